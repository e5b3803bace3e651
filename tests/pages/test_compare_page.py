"""The page Compare and the command of that name: the same numbers, in words where there is nothing to compare."""

import json
import shlex
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import polars as pl
import pytest
from scipy.stats import bootstrap

from lake.comparison import cluster_matches, projection_drift
from lake.comparison import runs as compare
from lake.query.filters import Filters
from lake.query.joined_samples import scan_samples
from lake.storage.store import Lake
from pages.ui.comparison import run_changes
from tests.support.lakes.changed_run import EARLIER, LATER
from tests.support.lakes.tiny_lake import RUN_ID, build_tiny_lake
from tests.support.processes.commands import latentlake
from tests.support.servers.apps import HELD_OUT, Open, answer, failures, shown, tiles

PARTS: dict[str, list[str]] = {
    "Samples": ["were fixed and 3"],
    "Losses": ["The loss fell for 1 and rose for 0 of 4 classes"],
    "Map": [
        "it was mirrored, turned by 30° and scaled by 2.00",
        "1 of 4 classes moved",
        "the farthest, truck",
    ],
    "Groups": ["3 the same, 1 split, 0 merged, 0 born, 0 died"],
    "Findings": ["0 new and 1 gone"],
    "Drift": ["Both runs are of the same data"],
    "Cost": ["most changed: Training, from 2.0 to 20.0 s"],
}
"""What each part says of the changes that were planted."""


@pytest.fixture(scope="module")
def both(changed_lake: str) -> pl.DataFrame:
    """label and correct of the held-out samples, now and before, joined by hand."""
    rows = [
        Lake(changed_lake)
        .run(name)
        .scan("predictions")
        .join(Lake(changed_lake).run(name).scan("samples").select("sample_id", "label"), on="sample_id")
        .filter(HELD_OUT)
        .select("sample_id", "label", "correct", "loss")
        for name in (LATER, EARLIER)
    ]
    return rows[0].join(rows[1].drop("label"), on="sample_id", suffix="_before").collect()


def fixed(both: pl.DataFrame) -> pl.DataFrame:
    return both.filter(pl.col("correct") & ~pl.col("correct_before"))


# --- the page


def test_the_page_opens_against_the_run_before_and_counts(
    changed_lake: str, both: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(changed_lake, "compare")
    assert app.selectbox(key="against").value == EARLIER
    assert f"of {len(both)} samples that neither run was trained on, {len(fixed(both))} were fixed and 3" in answer(app)
    assert {metric.label.split(" (")[0] for metric in app.metric} == {
        "Share right",
        "Mean loss",
        "Calibration error",
        "Temperature",
    }
    found = {tile["sample_id"] for tile in tiles(app)}
    assert found and found <= set(fixed(both)["sample_id"])


@pytest.mark.parametrize(("part", "sentences"), PARTS.items())
def test_every_part_opens_from_the_address_and_says_what_was_planted(
    changed_lake: str, part: str, sentences: list[str], open_page: Open
) -> None:
    app = open_page(changed_lake, "compare", part=part)
    assert not failures(app)
    assert app.button_group[0].value == part
    assert [sentence for sentence in sentences if sentence not in shown(app)] == []


def test_the_filters_of_the_sidebar_narrow_what_is_compared(
    changed_lake: str, both: pl.DataFrame, open_page: Open
) -> None:
    cats = both.filter(label="cat")
    app = open_page(changed_lake, "compare", f="label.is.cat")
    assert f"of {len(cats)} samples that neither run was trained on, {len(fixed(cats))} were fixed and 0" in answer(app)


def test_newly_broken_samples_are_those_that_were_planted(
    changed_lake: str, both: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(changed_lake, "compare", changed="Newly broken")
    broken = both.filter(~pl.col("correct") & pl.col("correct_before"))
    assert {tile["sample_id"] for tile in tiles(app)} == set(broken["sample_id"])
    assert f"3 of {len(both)} held-out samples of both runs" in shown(app)


@pytest.mark.parametrize(("most", "label"), [(3, "Open these in the table"), (2, "Open the first 2 in the table")])
def test_the_link_to_samples_that_changed_is_to_as_many_as_an_address_holds(
    most: int, label: str, changed_lake: str, both: pl.DataFrame, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_changes, "MAX_VALUES", most)
    links = open_page(changed_lake, "compare", changed="Newly broken").get("page_link")
    (address,) = (parse_qs(link.proto.query_string)["f"][0] for link in links if link.proto.label == label)
    broken = both.filter(~pl.col("correct") & pl.col("correct_before")).sort(
        "loss", "sample_id", descending=[True, False]
    )
    (clause,) = Filters.from_text(address).clauses
    assert clause.values == tuple(str(sample) for sample in broken["sample_id"].head(most))


def test_the_link_of_a_row_leads_to_its_samples(changed_lake: str, both: pl.DataFrame, open_page: Open) -> None:
    app = open_page(changed_lake, "compare", part="Losses")
    first = app.dataframe[0].value.iloc[0]
    (address,) = [a for a in (parse_qs(link.proto.query_string) for link in app.get("page_link")) if "f" in a]
    assert address["run"] == [LATER]
    found = Filters.from_text(address["f"][0]).apply(scan_samples(Lake(changed_lake).run(LATER))).collect()
    assert set(found["sample_id"]) == set(both.filter(label=first["value"])["sample_id"])
    assert len(found) == first["n"]


def test_the_interval_of_a_changed_loss_is_that_of_its_samples_the_lower_end_first(
    changed_lake: str, both: pl.DataFrame, open_page: Open
) -> None:
    table = pl.from_pandas(open_page(changed_lake, "compare", part="Losses").dataframe[0].value)
    assert set(table["value"]) == set(both["label"])
    for row in table.iter_rows(named=True):
        changes = (
            both.sort("sample_id").filter(label=row["value"]).select(pl.col("loss") - pl.col("loss_before")).to_series()
        )
        resampled = bootstrap((changes.to_numpy(),), np.mean, method="percentile", rng=0).confidence_interval
        low, high = (float(end) for end in row["interval"].split(" to "))
        assert low <= row["change"] <= high
        assert (low, high) == pytest.approx(tuple(resampled), abs=0.2 * (high - low) + 0.001)


@pytest.mark.parametrize(("part", "runs"), [("Groups", {EARLIER, LATER}), ("Findings", {EARLIER})])
def test_what_is_of_the_earlier_run_opens_there(changed_lake: str, part: str, runs: set[str], open_page: Open) -> None:
    links = open_page(changed_lake, "compare", part=part).get("page_link")
    addresses = [a for a in (parse_qs(link.proto.query_string) for link in links) if "f" in a]
    assert {address["run"][0] for address in addresses} == runs
    for address in addresses:
        samples = scan_samples(Lake(changed_lake).run(address["run"][0]))
        assert not Filters.from_text(address["f"][0]).apply(samples).collect().is_empty()


def test_the_earlier_run_is_compared_with_the_later_where_it_is_the_current_one(
    changed_lake: str, open_page: Open
) -> None:
    app = open_page(changed_lake, "compare", run=EARLIER)
    assert app.selectbox(key="against").value == LATER
    assert "3 were fixed" in answer(app)


def test_one_run_says_what_to_do(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "compare")
    assert "one run, so there is nothing to compare it with yet" in answer(app)
    assert app.code[0].value == f"latentlake refresh --seed 1 --lake {shlex.quote(tiny_lake)}"


def test_an_address_with_a_run_nobody_has_falls_back_to_the_run_before(changed_lake: str, open_page: Open) -> None:
    app = open_page(changed_lake, "compare", against="20991231-235959-ffffff", part="Nonsense")
    assert not failures(app)
    assert app.selectbox(key="against").value == EARLIER


def test_filters_that_no_shared_sample_passes_are_answered_in_words(changed_lake: str, open_page: Open) -> None:
    app = open_page(changed_lake, "compare", f="split.is.train")
    assert not failures(app)
    assert "No labelled held-out sample of both runs passes the filters" in answer(app)


def test_a_run_of_other_data_is_compared_by_its_data_only(tmp_path: Path, open_page: Open) -> None:
    root = str(tmp_path / "lake")
    build_tiny_lake(root, samples=120)
    build_tiny_lake(root, run_id=LATER)
    app = open_page(root, "compare")
    assert not failures(app)
    assert "is of other data (Tiny drawings, tiny-240-0) than run" in answer(app).replace("\\", "")
    assert "Data, between the two runs" in [heading.value for heading in app.subheader]
    assert "tests of a property find drift" in shown(app)


def test_overview_and_runs_lead_to_the_comparison(changed_lake: str, open_page: Open) -> None:
    for name in ("overview", "runs"):
        labels = [link.proto.label for link in open_page(changed_lake, name).get("page_link")]
        assert any(label.startswith("Compare") for label in labels)


# --- the command


def test_the_command_says_the_same_as_the_page(changed_lake: str, both: pl.DataFrame) -> None:
    result = latentlake("compare", EARLIER, LATER, "--lake", changed_lake, COLUMNS="200")
    assert result.returncode == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert f"run {LATER} compared with {EARLIER}" in said
    assert f"of {len(both)} samples that neither run was trained on, {len(fixed(both))} were fixed and 3" in said
    assert "findings gone 1: cat → dog" in said
    assert "Both runs are of the same data" in said


def test_the_summary_for_machines_holds_every_number(changed_lake: str) -> None:
    result = latentlake("compare", EARLIER, "--json", "--lake", changed_lake)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    now, before = (Lake(changed_lake).run(name) for name in (LATER, EARLIER))
    samples, earlier = (scan_samples(run) for run in (now, before))
    pairs = compare.scan_pairs(samples, earlier).collect()
    changes = compare.count_changes(pairs)
    assert (found["run"], found["before"], found["sentence"]) == (LATER, EARLIER, changes.sentence())
    assert found["samples"]["p"] == pytest.approx(changes.p)
    assert found["losses"]["classes"]["rows"] == compare.loss_changes(pairs, "label").to_dicts()
    assert found["figures"] == compare.figures(now, before, pairs).to_dicts()
    matched = cluster_matches.match_clusters(samples, earlier, "kmeans")
    assert found["clusters"]["kmeans"]["rows"] == matched.to_dicts()
    alignment, moves = projection_drift.measure_moves(samples, earlier)
    assert found["map"]["classes"] == projection_drift.class_moves(moves, alignment.radius).to_dicts()
    assert found["stages"] == compare.stage_times(now, before).to_dicts()
    assert {"between_runs", "between_splits"} == set(found["drift"])


def test_a_run_compared_with_itself_is_refused(tiny_lake: str) -> None:
    result = latentlake("compare", "latest", RUN_ID, "--lake", tiny_lake)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"latest and {RUN_ID} are the same run, {RUN_ID}: name two runs" in result.stderr


def test_an_unknown_run_is_one_clear_sentence(tiny_lake: str) -> None:
    result = latentlake("compare", "20991231-235959-ffffff", "--lake", tiny_lake)
    assert result.returncode == 1
    assert "has no run '20991231-235959-ffffff'" in result.stderr
    assert "Traceback" not in result.stderr


def test_runs_of_other_data_are_said_to_be_so(tmp_path: Path) -> None:
    root = str(tmp_path / "lake")
    build_tiny_lake(root, samples=120)
    build_tiny_lake(root, run_id=LATER)
    result = latentlake("compare", EARLIER, LATER, "--lake", root, COLUMNS="200")
    assert result.returncode == 0, result.stderr
    assert "so only the data can be compared" in " ".join(result.stdout.split())
    found = json.loads(latentlake("compare", EARLIER, LATER, "--json", "--lake", root).stdout)
    assert (found["same_data"], "samples" in found) == (False, False)
