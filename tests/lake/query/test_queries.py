"""Every question pages ask, answered a second time by hand with plain Python from the rows of the tiny lake."""

from collections import Counter
from collections.abc import Iterable
from statistics import mean, median
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.contracts.clusters import METHODS
from lake.query import joined_samples, queries
from lake.query.filters import Filters
from lake.query.queries import HELD_OUT
from lake.storage.store import Lake, Run
from tests.support.lakes.run_tables import STAGES
from tests.support.lakes.tiny_data import CLASSES, GROUPS
from tests.support.lakes.tiny_lake import stage_all
from tests.support.lakes.two_runs import FIRST, SECOND, facts_of

Row = dict[str, Any]
about = pytest.approx


@pytest.fixture(scope="module")
def run(tiny_lake: str) -> Run:
    return Lake(tiny_lake).run()


@pytest.fixture(scope="module")
def frame(run: Run) -> pl.LazyFrame:
    return joined_samples.scan_samples(run).collect().lazy()


@pytest.fixture(scope="module")
def held_out(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.filter(HELD_OUT)


@pytest.fixture(scope="module")
def rows(held_out: pl.LazyFrame) -> list[Row]:
    """The labelled samples the model has not trained on."""
    return held_out.collect().to_dicts()


def test_the_samples_table_has_one_row_a_sample_and_everything_measured_of_it(run: Run, frame: pl.LazyFrame) -> None:
    found = frame.collect()
    assert found["sample_id"].to_list() == sorted(_by_id(run, "samples"))
    sources = {name: _by_id(run, name) for name in ("samples", "predictions", "projection", "properties")}
    clusters = {(row["method"], row["sample_id"]): row["cluster"] for row in _rows(run, "clusters")}
    for row in found.to_dicts():
        i = row["sample_id"]
        assert row["label"] == sources["samples"][i]["label"]
        assert row["loss"] == sources["predictions"][i]["loss"]
        assert (row["x"], row["y"]) == (sources["projection"][i]["x"], sources["projection"][i]["y"])
        assert row["contrast"] == sources["properties"][i]["contrast"]
        assert [row[joined_samples.cluster_column(m)] for m in METHODS] == [clusters[m, i] for m in METHODS]


def test_the_samples_table_leaves_vectors_out_and_can_be_filtered_by_every_column(frame: pl.LazyFrame) -> None:
    schema = frame.collect_schema()
    assert not [name for name, dtype in schema.items() if dtype.is_nested() or dtype == pl.Binary]
    for name in schema:
        assert Filters.from_text(f"{name}.present").checked(schema).apply(frame).collect().height


def test_held_out_samples_are_labelled_and_not_of_the_training_split(rows: list[Row], frame: pl.LazyFrame) -> None:
    everything = frame.collect().to_dicts()
    assert [row["sample_id"] for row in rows] == [
        row["sample_id"] for row in everything if row["split"] in ("validation", "test")
    ]


def test_a_ship_is_a_vehicle_and_a_cat_is_an_animal(run: Run, frame: pl.LazyFrame) -> None:
    assert run.groups == GROUPS
    for row in frame.collect().to_dicts():
        assert row["superclass"] == (GROUPS["superclass"][row["label"]] if row["label"] else None)
    ships = frame.filter(pl.col("label") == "ship").collect()
    assert set(ships["superclass"]) == {"vehicle"}
    assert queries.accuracy(frame, by="superclass").collect()["superclass"].to_list() == ["animal", "vehicle"]


def test_accuracy_counts_hits_and_averages_losses(held_out: pl.LazyFrame, rows: list[Row]) -> None:
    assert queries.accuracy(held_out).collect().to_dicts() == [_accuracy(rows)]


@pytest.mark.parametrize("by", ["label", "split", "superclass", "cluster_kmeans", "correct"])
def test_accuracy_by_a_column_is_that_of_its_values(held_out: pl.LazyFrame, rows: list[Row], by: str) -> None:
    expected = [{by: value, **_accuracy(part)} for value, part in _groups(rows, by)]
    assert queries.accuracy(held_out, by=by).collect().to_dicts() == expected


def test_accuracy_leaves_out_what_has_no_label(frame: pl.LazyFrame) -> None:
    labelled = [row for row in frame.collect().to_dicts() if row["label"] is not None]
    assert queries.accuracy(frame).collect()["n"].to_list() == [len(labelled)]
    assert len(labelled) < frame.collect().height


def test_accuracy_of_nothing_is_no_samples_and_no_loss(frame: pl.LazyFrame) -> None:
    nothing = frame.filter(pl.col("label") == "unicorn")
    expected = {"n": 0, "hits": 0, "mean_loss": None, "median_loss": None}
    assert queries.accuracy(nothing).collect().to_dicts() == [expected]


def test_confusion_counts_every_cell_once(held_out: pl.LazyFrame, rows: list[Row]) -> None:
    cells = Counter((row["label"], row["predicted"]) for row in rows)
    totals = Counter(row["label"] for row in rows)
    expected = [
        {
            "label": label,
            "predicted": predicted,
            "n": n,
            "mean_loss": about(mean(r["loss"] for r in rows if (r["label"], r["predicted"]) == (label, predicted))),
            "total": totals[label],
            "share": about(n / totals[label]),
        }
        for (label, predicted), n in sorted(cells.items())
    ]
    assert queries.confusion(held_out).collect().to_dicts() == expected


def test_the_top_confusion_is_the_planted_one_and_hits_are_left_out(held_out: pl.LazyFrame) -> None:
    found = queries.top_confusions(held_out).collect()
    assert found.row(0, named=True)["label"] == "cat"
    assert found.row(0, named=True)["predicted"] == "dog"
    assert found["n"].to_list() == sorted(found["n"], reverse=True)
    assert not found.filter(pl.col("label") == pl.col("predicted")).height


def test_the_class_report_has_recall_and_precision_lowest_recall_first(held_out: pl.LazyFrame, rows: list[Row]) -> None:
    found = queries.class_report(held_out).collect().to_dicts()
    assert [row["label"] for row in found] == [
        row["label"] for row in sorted(found, key=lambda row: (row["recall"], row["label"]))
    ]
    for row in found:
        label = row["label"]
        claimed = [r for r in rows if r["predicted"] == label]
        own = [r for r in rows if r["label"] == label]
        assert row["claimed"] == len(claimed)
        assert row["precision"] == about(sum(r["label"] == label for r in claimed) / len(claimed))
        assert row["recall"] == about(sum(r["predicted"] == label for r in own) / len(own))
        assert row["mean_loss"] == about(mean(r["loss"] for r in own))
    assert found[0]["label"] == "cat"


def test_a_class_never_predicted_has_no_precision(held_out: pl.LazyFrame) -> None:
    missed = held_out.filter((pl.col("label") == "cat") & (pl.col("predicted") != "cat"))
    report = queries.class_report(missed).collect().row(0, named=True)
    assert (report["label"], report["recall"], report["precision"], report["claimed"]) == ("cat", 0.0, None, None)


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_reliability_bins_hold_equal_numbers_of_samples_by_confidence(
    held_out: pl.LazyFrame, rows: list[Row], bins: int
) -> None:
    ranked = sorted(rows, key=lambda row: row["confidence"])
    found = queries.reliability(held_out, bins=bins).collect().to_dicts()
    assert len(found) == bins
    for i, row in enumerate(found):
        part = [r for rank, r in enumerate(ranked) if rank * bins // len(ranked) == i]
        assert (row["bin"], row["n"], row["hits"]) == (i, len(part), sum(r["correct"] for r in part))
        assert row["confidence"] == about(mean(r["confidence"] for r in part))
    assert max(row["n"] for row in found) - min(row["n"] for row in found) <= 1


@pytest.mark.parametrize("group", ["superclass", "label"])
def test_neighbor_purity_is_the_share_of_labelled_neighbors_of_the_same_group(run: Run, group: str) -> None:
    value = {
        i: row["label"] if group == "label" else GROUPS["superclass"][row["label"]]
        for i, row in _by_id(run, "samples").items()
        if row["label"]
    }
    near = [row for row in _rows(run, "neighbors") if row["rank"] <= 15 and row["sample_id"] in value]
    same: dict[int, list[bool]] = {}
    for row in near:
        if row["neighbor_id"] in value:
            same.setdefault(row["sample_id"], []).append(value[row["sample_id"]] == value[row["neighbor_id"]])
    found = queries.neighbor_purity(run, group).collect()
    assert dict(found.select("sample_id", "purity").rows()) == about({i: mean(hits) for i, hits in same.items()})


@pytest.mark.parametrize(("group", "nearest"), [("superclass", 15), ("label", 15), ("label", 2)])
def test_the_misplaced_are_held_out_and_most_of_their_nearest_are_of_another_group(
    run: Run, group: str, nearest: int
) -> None:
    found = queries.neighbor_purity(run, group, nearest=nearest)
    purity = dict(found.select("sample_id", "purity").collect().rows())
    held_out = {row["sample_id"] for row in _rows(run, "predictions") if row["out_of_sample"]}
    assert group != "label" or any(purity[i] == 0.5 for i in held_out & purity.keys())
    misplaced = queries.misplaced(run, group, nearest=nearest).collect()["sample_id"].to_list()
    assert set(misplaced) == {i for i, share in purity.items() if share < 0.5 and i in held_out}
    assert [purity[i] for i in misplaced] == sorted(purity[i] for i in misplaced)


def test_composition_counts_a_selection_against_all(frame: pl.LazyFrame) -> None:
    everything = frame.collect().to_dicts()
    selected = [row for row in everything if row["predicted"] == "dog"]
    found = queries.composition(frame.filter(pl.col("predicted") == "dog"), frame, "label").collect().to_dicts()
    labelled = [row["label"] for row in selected if row["label"]]
    all_labels = [row["label"] for row in everything if row["label"]]
    for row in found:
        n, n_all = labelled.count(row["label"]), all_labels.count(row["label"])
        assert (row["n"], row["n_all"]) == (n, n_all)
        assert row["share"] == about(n / len(labelled))
        assert row["lift"] == about((n / len(labelled)) / (n_all / len(all_labels)))
    assert {row["label"] for row in found} == set(labelled)
    assert [row["share"] for row in found] == sorted((row["share"] for row in found), reverse=True)


def test_a_selection_of_nothing_is_made_of_nothing(frame: pl.LazyFrame) -> None:
    assert queries.composition(frame.head(0), frame, "label").collect().is_empty()


def test_probabilities_are_named_add_up_to_one_and_fall(run: Run) -> None:
    row = _by_id(run, "predictions")[3]
    found = queries.probabilities(run, 3).collect()
    expected = sorted(zip(CLASSES, row["probabilities"], strict=True), key=lambda pair: -pair[1])
    assert found.rows() == expected
    assert sum(found["probability"]) == about(1, abs=1e-6)
    assert found["label"][0] == row["predicted"]
    assert queries.probabilities(run, 10**6).collect().is_empty()


def test_loss_is_minus_the_log_probability_of_the_label_and_expected_loss_the_entropy(run: Run) -> None:
    labels = {i: row["label"] for i, row in _by_id(run, "samples").items()}
    for i, row in _by_id(run, "predictions").items():
        p = np.array(row["probabilities"], dtype=float)
        assert row["expected_loss"] == about(-(p * np.log(p)).sum(), abs=1e-5)
        assert row["loss"] == (about(-np.log(p[CLASSES.index(labels[i])]), abs=1e-5) if labels[i] else None)


def test_a_metric_is_its_number_or_nothing(run: Run, rows: list[Row]) -> None:
    accuracy = mean(row["correct"] for row in rows if row["split"] == "test")
    assert run.metric("score", "test_accuracy") == about(accuracy)
    assert run.metric("score", "temperature") == 1.25
    assert run.metric("score", "no such number") is None


def test_metrics_of_many_runs_are_those_of_each(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    stage_all(lake, tables | {"metrics": tables["metrics"].filter(pl.col("name") != "temperature")})
    lake.publish(facts_of(SECOND))
    names = ("test_accuracy", "temperature", "no such number")
    found = queries.metrics_of_runs(lake, lake.runs(), "score", names).collect()
    assert found["run_id"].to_list() == [SECOND, FIRST]
    for row in found.iter_rows(named=True):
        run = lake.run(row["run_id"])
        assert {name: row[name] for name in names} == {name: run.metric("score", name) for name in names}
    assert found["temperature"].to_list() == [None, 1.25]


def test_metrics_of_no_runs_are_no_rows(lake: Lake) -> None:
    assert queries.metrics_of_runs(lake, lake.runs().clear(), "score", ["test_loss"]).collect().is_empty()


def test_stage_costs_come_in_the_order_the_stages_ran(run: Run) -> None:
    found = queries.stage_costs(run).collect()
    assert found["stage"].to_list() == STAGES
    assert found["seconds"].to_list() == [2.0 + i for i in range(len(STAGES))]
    assert found["peak_memory_mib"].to_list() == [300.0 + 10 * i for i in range(len(STAGES))]
    assert set(found["reused"]) == {0.0}


def test_the_filter_of_a_finding_reproduces_its_numbers(run: Run, frame: pl.LazyFrame, rows: list[Row]) -> None:
    overall = mean(row["loss"] for row in rows)
    findings = _rows(run, "findings")
    assert {finding["kind"] for finding in findings} == {"class", "confusion"}
    for finding in findings:
        checked = Filters.from_text(finding["filter"]).checked(frame.collect_schema())
        group = checked.apply(frame).collect().to_dicts()
        assert len(group) == finding["n"]
        assert sum(not row["correct"] for row in group) == finding["errors"]
        assert mean(row["loss"] for row in group) / overall == about(finding["lift"])
        assert finding["lift_low"] < finding["lift"] < finding["lift_high"]
        worst = sorted(group, key=lambda row: -row["loss"])[:12]
        assert [row["sample_id"] for row in worst] == finding["example_ids"]


def test_cluster_summaries_count_their_members(run: Run, rows: list[Row]) -> None:
    losses = {row["sample_id"]: row["loss"] for row in rows}
    overall = mean(losses.values())
    for summary in _rows(run, "cluster_summaries"):
        key = (summary["method"], summary["cluster"])
        members = [r["sample_id"] for r in _rows(run, "clusters") if (r["method"], r["cluster"]) == key]
        held_out = [losses[i] for i in members if i in losses]
        assert (summary["n"], summary["n_held_out"]) == (len(members), len(held_out))
        assert summary["lift"] == about(mean(held_out) / overall)
        assert set(summary["medoids"]) <= set(members)


def _rows(run: Run, name: str) -> list[Row]:
    return run.scan(name).collect().to_dicts()


def _by_id(run: Run, name: str) -> dict[int, Row]:
    return {row["sample_id"]: row for row in _rows(run, name)}


def _groups(rows: list[Row], by: str) -> Iterable[tuple[Any, list[Row]]]:
    return [(value, [row for row in rows if row[by] == value]) for value in sorted({row[by] for row in rows})]


def _accuracy(rows: list[Row]) -> Row:
    losses = [row["loss"] for row in rows]
    return {
        "n": len(rows),
        "hits": sum(row["correct"] for row in rows),
        "mean_loss": about(mean(losses)),
        "median_loss": about(median(losses)),
    }


def test_the_length_of_an_embedding_is_that_of_the_run(run: Run) -> None:
    stored = run.scan("embeddings").collect()["embedding"]
    assert queries.embedding_size(run) == stored.list.len().unique().item()
