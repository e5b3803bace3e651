"""What changed between two runs, by hand and on the pages; the runs are of the same drawn data."""

from pathlib import Path

import polars as pl
import pytest
from scipy.stats import binomtest

from lake.comparison import runs as compare
from lake.query import queries
from lake.query.joined_samples import scan_samples
from lake.statistics import mcnemar_p
from lake.storage.store import Lake
from tests.support.data.scalars import mean
from tests.support.lakes.changed_run import EARLIER, LATER
from tests.support.lakes.tiny_lake import build_tiny_lake
from tests.support.servers.apps import HELD_OUT, Open, failures, shown


@pytest.fixture(scope="module")
def both(changed_lake: str) -> pl.DataFrame:
    """correct, label, predicted of the held-out samples, now and before, joined by hand."""
    now, before = (Lake(changed_lake).run(name) for name in (LATER, EARLIER))
    rows = [
        run.scan("predictions")
        .join(run.scan("samples").select("sample_id", "label"), on="sample_id")
        .filter(HELD_OUT)
        .select("sample_id", "label", "predicted", "correct")
        for run in (now, before)
    ]
    return rows[0].join(rows[1], on="sample_id", suffix="_before").collect()


def test_every_shared_sample_is_fixed_broken_right_or_wrong(changed_lake: str, both: pl.DataFrame) -> None:
    frames = [scan_samples(Lake(changed_lake).run(name)) for name in (LATER, EARLIER)]
    found = dict(compare.scan_pairs(*frames).select("sample_id", "change").collect().iter_rows())
    names = {(True, False): "fixed", (False, True): "broken", (True, True): "right", (False, False): "wrong"}
    expected = {row["sample_id"]: names[row["correct"], row["correct_before"]] for row in both.iter_rows(named=True)}
    assert found == expected
    assert sum(change == "broken" for change in found.values()) == 3


def test_the_difference_of_two_matrices_is_that_of_their_shares(changed_lake: str, both: pl.DataFrame) -> None:
    frames = [scan_samples(Lake(changed_lake).run(name)) for name in (LATER, EARLIER)]
    totals = dict(both["label"].value_counts().iter_rows())
    found = queries.confusion_difference(*frames).collect()
    pairs = both.select("label", "predicted"), both.select("label", predicted="predicted_before")
    assert set(found.select("label", "predicted").iter_rows()) == set(pl.concat(pairs).iter_rows())
    for row in found.iter_rows(named=True):
        of = both.filter(label=row["label"])
        now, before = (len(of.filter(pl.col(c) == row["predicted"])) for c in ("predicted", "predicted_before"))
        assert (row["n"], row["n_before"]) == (now, before)
        assert row["difference"] == pytest.approx((now - before) / totals[row["label"]])


def test_mcnemar_is_the_binomial_test_of_the_changed() -> None:
    for fixed, broken in ((0, 0), (1, 0), (5, 5), (3, 17), (400, 340)):
        expected = binomtest(fixed, fixed + broken).pvalue if fixed + broken else 1.0
        assert mcnemar_p(fixed, broken) == pytest.approx(expected)


def test_calibration_by_class_is_confidence_less_the_share_right(tiny_lake: str, rows: pl.DataFrame) -> None:
    held_out = rows.filter(HELD_OUT)
    found = queries.class_calibration(scan_samples(Lake(tiny_lake).run()).filter(queries.HELD_OUT)).collect()
    assert set(found["predicted"]) == set(held_out["predicted"])
    for row in found.iter_rows(named=True):
        part = held_out.filter(predicted=row["predicted"])
        assert (row["n"], row["hits"]) == (len(part), part["correct"].sum())
        assert row["gap"] == pytest.approx(mean(part["confidence"]) - mean(part["correct"]))
    assert found["gap"].abs().is_sorted(descending=True)


def test_the_overview_counts_what_was_fixed_and_what_broke(
    changed_lake: str, both: pl.DataFrame, open_page: Open
) -> None:
    fixed = both.filter(pl.col("correct") & ~pl.col("correct_before"))
    said = shown(open_page(changed_lake)).replace("**", "")
    assert f"of {len(both)} samples that neither run was trained on, {len(fixed)} were fixed and 3 newly broken" in said
    assert "No longer found: cat → dog" in said.replace("\\", "")


def test_a_first_run_has_nothing_to_compare_with(tiny_lake: str, open_page: Open) -> None:
    assert "This is the first run of this data." in shown(open_page(tiny_lake))


def test_the_runs_are_drawn_and_listed_with_their_accuracy_in_percent(changed_lake: str, open_page: Open) -> None:
    app = open_page(changed_lake, "runs")
    lake = Lake(changed_lake)
    accuracy = {name: lake.run(name).metric("score", "test_accuracy") for name in (LATER, EARLIER)}
    listed = app.dataframe[0].value
    assert dict(zip(listed["run_id"], listed["test_accuracy"] / 100, strict=True)) == pytest.approx(accuracy)
    (chart,) = (found.proto for found in app.get("vega_lite_chart") if "Accuracy, test" in found.proto.spec)
    assert '"format": ".4~p"' in chart.spec and '"format": ".1%"' in chart.spec


def test_the_matrix_can_show_the_difference_to_another_run(changed_lake: str, open_page: Open) -> None:
    app = open_page(changed_lake, "confusion")
    app.button_group[0].set_value("difference").run()
    assert not failures(app)
    assert app.selectbox(key="matrix-run").options == [EARLIER]


def test_one_run_has_no_difference_to_show(tiny_lake: str, open_page: Open) -> None:
    assert "Difference to a run" not in open_page(tiny_lake, "confusion").button_group[0].options


def test_a_run_of_other_data_is_not_compared(tmp_path: Path, open_page: Open) -> None:
    root = str(tmp_path / "lake")
    build_tiny_lake(root, samples=120)
    build_tiny_lake(root, run_id=LATER)
    assert "This is the first run of this data." in shown(open_page(root))
