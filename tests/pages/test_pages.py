"""Every page on a tiny lake through `AppTest`: its sentence, its guards, and what an address may ask of it.

The numbers in a page's sentence are computed here again, from rows, without the queries the pages use.
"""

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from lake.storage.store import Lake, Run
from pages.ui.session.navigation import ENTRIES
from tests.support.data.scalars import mean, number
from tests.support.lakes.raw_tables import folder_of, read_raw, write_raw
from tests.support.lakes.tiny_lake import RUN_ID
from tests.support.paths import REPOSITORY
from tests.support.servers.apps import HELD_OUT, NAMES, VEHICLES, Open, answer, percent, shown, tiles
from tests.support.suite.reach import FIRST_PAGE


def test_the_app_also_runs_as_a_plain_script(tiny_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTLAKE_LAKE", tiny_lake)
    app = AppTest.from_file(REPOSITORY / "streamlit_app.py", default_timeout=60).run()
    assert not app.exception
    assert [title.value for title in app.title] == ["Overview"]


# --- each page says its sentence, with numbers that the rows agree to


def test_the_first_page_is_the_one_that_tests_open_without_its_name() -> None:
    assert f"pages/{NAMES[0]}.py" == FIRST_PAGE


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_every_page_opens_with_its_title_and_an_answer(entry: Any, tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, entry.name)
    assert not app.exception
    assert not app.error
    assert [title.value for title in app.title] == [entry.title]
    assert answer(app).endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_no_page_has_a_text_that_streamlit_would_show_by_itself(name: str) -> None:
    _, *statements = ast.parse((REPOSITORY / "pages" / f"{name}.py").read_text()).body
    assert not [one for one in statements if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)]


def test_overview_says_how_often_the_model_is_right_and_where_it_fails(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    test = rows.filter(pl.col("split") == "test")
    wrong = test.filter(~pl.col("correct"))
    label, n_wrong = wrong["label"].value_counts().sort("count", descending=True).row(0)
    called = wrong.filter(pl.col("label") == label)["predicted"].value_counts().sort("count", descending=True).row(0)
    sentence = answer(open_page(tiny_lake))
    assert f"is right on {percent(mean(test['correct']))} (" in sentence
    assert f"of {len(test)} new images" in sentence
    assert f"fails most on {label}: {n_wrong} of {test.filter(pl.col('label') == label).height} are wrong" in sentence
    assert f"{percent(called[1] / n_wrong)} of those are called {called[0]}" in sentence


def test_overview_shows_headline_numbers(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    test = rows.filter(pl.col("split") == "test")
    values = {metric.label: metric.value for metric in open_page(tiny_lake).metric}
    assert values["Accuracy, test"] == percent(mean(test["correct"]))
    assert values["Mean loss (nats)"] == f"{mean(test['loss']):.3g}"
    assert values["Samples scored"] == str(len(rows))


def test_map_says_what_share_of_neighbours_is_of_the_same_kind(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    run = Lake(tiny_lake).run()
    stored = run.scan("separation").filter(grouping="superclass", space="embedding", measure="purity", label="")
    found = stored.collect().row(0, named=True)
    vehicle = dict(
        rows.filter(pl.col("label").is_not_null()).select("sample_id", pl.col("label").is_in(VEHICLES)).rows()
    )
    close = run.scan("neighbors").filter(pl.col("rank") <= 15).select("sample_id", "neighbor_id").collect()
    same: dict[int, list[bool]] = {}
    for sample, neighbor in close.iter_rows():
        if sample in vehicle and neighbor in vehicle:
            same.setdefault(sample, []).append(vehicle[sample] == vehicle[neighbor])
    held_out = set(rows.filter(HELD_OUT)["sample_id"])
    away = sum(float(np.mean(hits)) < 0.5 for sample, hits in same.items() if sample in held_out)
    sentence = answer(open_page(tiny_lake, "population_map"))
    assert f"on average {percent(found['value'])} of the 15 nearest" in sentence
    assert f"{away} of {found['n']} held-out samples sit among the other kind" in sentence


def test_how_far_the_map_is_to_be_believed_is_listed_measure_by_measure_the_map_first(
    tiny_lake: str, open_page: Open
) -> None:
    stored = Lake(tiny_lake).run().scan("map_quality").collect()
    said = {"trustworthiness": "Trustworthiness", "neighbors_kept": "Share of the 15 nearest kept"}
    said |= {"continuity": "Continuity"}
    places = [(name, view) for name in said for view in ("umap", "pca")]
    rows = [stored.filter(measure=name, view=view).row(0, named=True) for name, view in places]
    tables = [table.value for table in open_page(tiny_lake, "population_map").dataframe]
    (listed,) = (table for table in tables if [*table.columns] == ["measure", "view", "value"])
    assert listed["measure"].to_list() == [said[name] for name, _ in places]
    assert listed["view"].to_list() == [view.upper() for _, view in places]
    assert listed["value"].to_list() == [f"{r['value']:.3f} ({r['low']:.3f}–{r['high']:.3f})" for r in rows]


def test_the_map_shows_the_held_out_samples_of_highest_loss_first(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    held_out = rows.filter(pl.col("split") != "train").sort("loss", descending=True, nulls_last=True)
    app = open_page(tiny_lake, "population_map")
    found = [tile["sample_id"] for tile in tiles(app)]
    assert found == held_out["sample_id"].head(len(found)).to_list() and len(found) > 8
    assert f"of the {len(held_out)} held-out samples shown" in shown(app)


def test_where_it_fails_names_the_largest_confusion(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    held_out = rows.filter(HELD_OUT)
    wrong = held_out.filter(pl.col("label") != pl.col("predicted"))
    label, predicted, n = wrong.group_by("label", "predicted").len().sort("len", descending=True).row(0)
    of_label = held_out.filter(pl.col("label") == label).height
    app = open_page(tiny_lake, "confusion")
    assert f": {percent(n / of_label)} (" in answer(app)
    assert f"of the {of_label} {label} images are called {predicted}, {n} of all {len(wrong)} errors" in answer(app)
    assert app.subheader[0].value == f"{label.capitalize()} called {predicted}: {n} samples"
    in_cell = [tile["first"] == f"{label} called {predicted}" for tile in tiles(app)]
    assert in_cell[:n] == [True] * min(n, 32)


def test_groups_names_the_hardest_group(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    clusters = Lake(tiny_lake).run().scan("clusters").filter(pl.col("method") == "kmeans").collect()
    held_out = rows.filter(HELD_OUT).join(clusters, on="sample_id")
    mean = held_out.group_by("cluster").agg(pl.col("loss").mean()).sort("loss", descending=True)
    sentence = answer(open_page(tiny_lake, "clusters"))
    assert sentence.removeprefix("## ").startswith(f"{clusters['cluster'].n_unique()} groups; ")
    assert f"Hardest: group {mean['cluster'][0]} (" in sentence
    assert f"at {mean['loss'][0] / held_out['loss'].mean():.1f} times the average loss" in sentence


def test_why_sums_the_loss_map_of_the_hardest_sample(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    worst = rows.filter(HELD_OUT).sort("loss", descending=True).row(0, named=True)
    maps = Lake(tiny_lake).run().scan("loss_maps")
    row = maps.filter(pl.col("sample_id") == worst["sample_id"], pl.col("layer") == "layer3").collect()
    grid = np.array(row["values"][0]).reshape(row["height"][0], row["width"][0])
    centre, border = grid[1:-1, 1:-1].sum(), grid.sum() - grid[1:-1, 1:-1].sum()
    app = open_page(tiny_lake, "loss_analysis")
    sentence = answer(app)
    for place, nats in {"border": border, "centre": centre}.items():
        assert f"{place} {'raises' if nats > 0 else 'lowers'} the loss by {abs(nats):.3g} nats" in sentence
    assert f"{len(grid)} x {len(grid)} cells (layer 3)" in app.button_group[1].options


def test_similar_counts_the_labels_of_the_nearest(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    worst = rows.filter(HELD_OUT).sort("loss", descending=True).row(0, named=True)
    close = Lake(tiny_lake).run().scan("neighbors").filter(pl.col("sample_id") == worst["sample_id"]).collect()
    labels = close.join(rows, left_on="neighbor_id", right_on="sample_id").drop_nulls("label")["label"]
    top, n = labels.value_counts(sort=True).row(0)
    app = open_page(tiny_lake, "similar")
    assert f"{n} of the {len(labels)} most similar labelled images are {top} ({percent(n / len(labels))})" in answer(
        app
    )
    assert f"cosine similarity of {number(close['similarity'].max()):.3g}" in answer(app)
    assert [tile["sample_id"] for tile in tiles(app)] == close.sort("rank")["neighbor_id"].to_list()


def test_samples_counts_rows_and_errors(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    held_out = rows.filter(HELD_OUT)
    wrong = held_out.filter(~pl.col("correct")).height
    app = open_page(tiny_lake, "samples")
    assert f"{len(rows)} samples pass the filters" in answer(app)
    assert f"of the {len(held_out)} labelled held-out ones {wrong} are wrong" in answer(app)
    assert f"mean loss of {mean(held_out['loss']):.3g} nats" in answer(app)
    table = app.dataframe[0].value
    worst_first = rows.sort("loss", "sample_id", descending=[True, False], nulls_last=True)
    assert table["sample_id"].to_list() == worst_first["sample_id"].to_list()


def test_runs_lists_every_published_run(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    test = rows.filter(pl.col("split") == "test")
    app = open_page(tiny_lake, "runs")
    assert f"1 published run; the latest is right on {percent(mean(test['correct']))} of the test" in answer(app)
    assert app.dataframe[0].value["run_id"].to_list() == [Lake(tiny_lake).run().run_id]


def test_the_history_of_many_runs_opens_none_of_them_but_the_newest(
    lake_copy: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, shares = Lake(lake_copy), [i / 20 for i in range(20)]
    for i, share in enumerate(shares):
        add_earlier_run(lake, f"20250101-0000{i:02}-bbbbbb", days=i + 1, accuracy=share)
    opened: set[str] = set()
    find = Lake.run

    def run(lake: Lake, run_id: str = "latest") -> Run:
        opened.add(run_id)
        return find(lake, run_id)

    monkeypatch.setattr(Lake, "run", run)
    history = open_page(str(lake_copy), "runs").dataframe[0].value
    assert history["run_id"].to_list()[0] == RUN_ID
    assert history["test_accuracy"].to_list()[1:] == pytest.approx([100 * share for share in shares])
    assert opened <= {RUN_ID, "latest"}


def add_earlier_run(lake: Lake, run_id: str, *, days: int, accuracy: float) -> None:
    """A run published so many days before the only one, of which nothing but the metrics is its own."""
    own, runs = pl.lit(run_id).alias("run_id"), lake.runs().filter(pl.col("run_id") == RUN_ID)
    value = pl.when(pl.col("name") == "test_accuracy").then(accuracy).otherwise("value").alias("value")
    lake.stage("metrics", lake.run(RUN_ID).scan("metrics").with_columns(own, value).collect())
    pins = [t | ({"version": lake.version("metrics")} if t["name"] == "metrics" else {}) for t in runs["tables"][0]]
    tables = pl.Series("tables", [pins], dtype=runs.schema["tables"])
    published = runs.with_columns(own, tables, pl.col("published_at") - pl.duration(days=days))
    write_raw(folder_of(lake, "runs"), published, mode="append")


def test_the_newest_runs_that_were_published_by_force_are_warned_of(lake_copy: Path, open_page: Open) -> None:
    run = read_raw(lake_copy / "runs")
    forced = [
        run.with_columns(
            pl.lit(f"2026010{day}-000000-bbbbbb").alias("run_id"),
            pl.col("published_at") + pl.duration(days=day),
            pl.lit(f"reason {day}").alias("forced"),
        )
        for day in range(2, 6)
    ]
    write_raw(lake_copy / "runs", pl.concat(forced), mode="append")
    warned = [warning.value for warning in open_page(str(lake_copy), "runs", run=RUN_ID).warning]
    assert warned == [f"Run 2026010{day}-000000-bbbbbb was published by force: reason {day}" for day in (5, 4, 3)]


# --- honesty: in-sample losses are marked, groups are what the classes say


@pytest.mark.parametrize("name", NAMES)
def test_tiles_of_training_samples_are_marked_and_no_others(
    name: str, tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    trained = set(rows.filter(pl.col("split") == "train")["sample_id"])
    for tile in tiles(open_page(tiny_lake, name)):
        assert tile["second"].endswith(", in-sample") == (tile["sample_id"] in trained), tile


def test_a_gallery_with_training_samples_exists_to_be_marked(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    trained = rows.filter(pl.col("split") == "train")["sample_id"].to_list()
    assert {tile["sample_id"] for tile in tiles(open_page(tiny_lake, "similar"))} & set(trained)


def test_the_panel_of_a_training_sample_says_its_loss_is_in_sample(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    trained = rows.filter(pl.col("split") == "train")["sample_id"][0]
    held_out = rows.filter(HELD_OUT)["sample_id"][0]
    assert "(in-sample)" in shown(open_page(tiny_lake, "similar", sample=str(trained)))
    assert "(in-sample)" not in shown(open_page(tiny_lake, "similar", sample=str(held_out)))


def test_the_samples_table_says_of_each_row_whether_it_is_out_of_sample(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    table = open_page(tiny_lake, "samples").dataframe[0].value
    trained = set(rows.filter(pl.col("split") == "train")["sample_id"])
    said = list(zip(table["sample_id"], table["out_of_sample"], strict=True))
    assert said and all(out_of_sample == (sample not in trained) for sample, out_of_sample in said)


def test_the_loss_of_an_unlabeled_sample_is_called_expected(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, "population_map", f="label.null")
    withheld = rows.filter(pl.col("label").is_null())
    found = tiles(app)
    assert found and {tile["sample_id"] for tile in found} <= set(withheld["sample_id"])
    assert all(tile["second"].startswith("expected loss ") for tile in found)


def test_a_ship_is_a_vehicle_on_the_map(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    chart = open_page(tiny_lake, "population_map").get("vega_lite_chart")[0].proto
    spec = json.loads(chart.spec)
    (dots,) = [layer for layer in spec["layer"] if "color" in layer["encoding"]]
    assert dots["encoding"]["color"]["field"] == "superclass"
    frames = [pl.read_ipc_stream(dataset.data.data) for dataset in chart.datasets]
    points = next(frame for frame in frames if "superclass" in frame.columns)
    assert len(points) == len(rows)
    kinds = set(points.drop_nulls("label").select("label", "superclass").iter_rows())
    assert kinds == {("cat", "animal"), ("dog", "animal"), ("ship", "vehicle"), ("truck", "vehicle")}
