"""Two runs compared: every number by hand from the rows, silent on equal runs and on noise, loud where planted."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import permutation_test

from lake.comparison import runs as compare
from lake.query import joined_samples
from lake.query.filters import Filters
from lake.statistics import calibration_error, paired_difference_interval, sign_flip_p
from lake.storage.store import Lake, Run
from tests.support.data.scalars import mean
from tests.support.lakes.changed_run import EARLIER, LATER
from tests.support.servers.apps import HELD_OUT

Runs = tuple[Run, Run]


@pytest.fixture(scope="module")
def runs(changed_lake: str) -> Runs:
    """The later run and the earlier one."""
    return Lake(changed_lake).run(LATER), Lake(changed_lake).run(EARLIER)


@pytest.fixture(scope="module")
def pairs(runs: Runs) -> pl.DataFrame:
    return compare.scan_pairs(*(joined_samples.scan_samples(run) for run in runs)).collect()


@pytest.fixture(scope="module")
def by_hand(runs: Runs) -> pl.DataFrame:
    """label, correct, loss and confidence of the held-out samples, now and before."""
    rows = [
        run.scan("predictions")
        .join(run.scan("samples").select("sample_id", "label"), on="sample_id")
        .filter(HELD_OUT)
        .select("sample_id", "label", "correct", "loss", "confidence")
        for run in runs
    ]
    return rows[0].join(rows[1].drop("label"), on="sample_id", suffix="_before").collect()


def noise(seed: int, *, size: int = 400, groups: int = 8) -> pl.DataFrame:
    """Pairs of equally good losses, and a group that has nothing to do with them."""
    rng = np.random.default_rng(seed)
    right, was = rng.random((2, size)) < 0.8
    return pl.DataFrame(
        {
            "group": rng.integers(0, groups, size),
            "loss": rng.gamma(0.5, 1, size),
            "loss_before": rng.gamma(0.5, 1, size),
            "change": np.where(right, np.where(was, "right", "fixed"), np.where(was, "broken", "wrong")),
        }
    )


# --- samples


def test_fixed_broken_and_still_wrong_are_counted_with_interval_and_test(
    pairs: pl.DataFrame, by_hand: pl.DataFrame
) -> None:
    changes = compare.count_changes(pairs)
    fixed = by_hand.filter(pl.col("correct") & ~pl.col("correct_before"))
    wrong = by_hand.filter(~pl.col("correct") & ~pl.col("correct_before"))
    assert (changes.n, changes.fixed, changes.broken, changes.wrong) == (len(by_hand), len(fixed), 3, len(wrong))
    assert changes.difference == pytest.approx(mean(by_hand["correct"]) - mean(by_hand["correct_before"]))
    low, high = changes.interval
    assert low < changes.difference < high
    assert f"{len(fixed)} were fixed and 3 newly broken, {len(wrong)} are still wrong" in changes.sentence()
    assert f" points ({100 * low:+.1f} to {100 * high:+.1f}; McNemar's exact test, p" in changes.sentence()


def test_equal_runs_have_nothing_fixed_broken_or_changed(runs: Runs) -> None:
    samples = joined_samples.scan_samples(runs[0]).collect().lazy()
    same = compare.scan_pairs(samples, samples).collect()
    changes = compare.count_changes(same)
    assert (changes.fixed, changes.broken, changes.p, changes.verdict) == (0, 0, 1.0, "No measurable difference")
    assert set(compare.loss_changes(same, "label")["adjusted_p"]) == {1.0}
    figures = compare.figures(runs[0], runs[0], same)
    assert figures.select("change", "low", "high").drop_nulls().to_numpy() == pytest.approx(
        np.array([[0, *changes.interval], [0, 0, 0], [0, 0, 0]])
    )
    findings = runs[0].scan("findings").collect()
    assert compare.finding_changes(findings, findings, {}).is_empty()


def test_the_verdict_is_better_or_worse_only_where_chance_would_not_do_it() -> None:
    said = {(f, b): compare.Changes(100, f, b, 5).verdict for f, b in ((20, 2), (2, 20), (6, 4), (0, 0))}
    assert said == {(20, 2): "Better", (2, 20): "Worse"} | dict.fromkeys([(6, 4), (0, 0)], "No measurable difference")


def test_equally_good_runs_are_told_apart_at_most_as_often_as_the_level_allows() -> None:
    told = sum(compare.count_changes(noise(seed)).p < 0.05 for seed in range(300))
    assert told <= 24  # 5 % of 300 is 15; the exact test stays below


def test_the_interval_of_a_change_holds_it_as_often_as_it_says() -> None:
    rng, n, held = np.random.default_rng(0), 200, 0
    for _ in range(500):
        fixed, broken, _ = rng.multinomial(n, [0.08, 0.03, 0.89])
        low, high = paired_difference_interval(int(fixed), int(broken), n)
        held += low <= 0.05 <= high
    assert held / 500 == pytest.approx(0.95, abs=0.03)
    assert paired_difference_interval(0, 0, 100) == pytest.approx((-0.0192, 0.0192), abs=1e-4)  # 1.96 / 102


# --- losses


def test_the_loss_of_each_class_is_compared_pair_by_pair(pairs: pl.DataFrame, by_hand: pl.DataFrame) -> None:
    found = compare.loss_changes(pairs, "label")
    for row in found.iter_rows(named=True):
        part = by_hand.filter(label=row["value"])
        change = (part["loss"] - part["loss_before"]).to_numpy()
        assert (row["n"], row["change"]) == (len(part), pytest.approx(change.mean()))
        assert row["low"] <= row["change"] <= row["high"]
    sure = found.filter(pl.col("adjusted_p") < 0.05)
    assert sure["value"].to_list() == ["cat"] and sure["change"][0] < 0
    assert "The loss fell for 1 and rose for 0 of 4 classes" in compare.say_loss_changes(found, "classes")
    change, low, high = sure.select("change", "low", "high").row(0)
    assert f"most for cat: {change:+.3f} nats ({low:+.3f} to {high:+.3f}) over" in compare.say_loss_changes(
        found, "classes"
    )


def test_the_largest_change_of_a_loss_comes_first_whether_it_rose_or_fell() -> None:
    part = pl.DataFrame({"group": ["a", "b", "c"], "loss": [0.0, 2.0, 1.5], "loss_before": [2.0, 1.0, 1.0]})
    frame = pl.concat([part, part]).with_columns(change=pl.lit("right"))
    assert compare.loss_changes(frame, "group")["value"].to_list() == ["a", "b", "c"]


@pytest.mark.parametrize("by", ["label", "cluster_kmeans"])
def test_the_filter_of_a_row_finds_its_samples(runs: Runs, pairs: pl.DataFrame, by: str) -> None:
    samples = joined_samples.scan_samples(runs[0])
    for row in compare.loss_changes(pairs, by).iter_rows(named=True):
        assert Filters.from_text(row["filter"]).apply(samples).collect().height == row["n"]


def test_losses_that_only_scatter_are_named_as_rarely_as_the_rate_allows() -> None:
    named = sum(compare.loss_changes(noise(seed), "group")["adjusted_p"].to_numpy().min() < 0.05 for seed in range(100))
    assert named <= 10


def test_a_raised_loss_of_one_group_is_named_and_no_other() -> None:
    for seed in range(10):
        frame = noise(seed, size=1600).with_columns(
            pl.when(pl.col("group") == 3).then(pl.col("loss") + 0.5).otherwise("loss").alias("loss")
        )
        found = compare.loss_changes(frame, "group")
        assert found.filter(pl.col("adjusted_p") < 0.005)["value"].to_list() == ["3"]


def test_a_column_without_values_has_no_rows(pairs: pl.DataFrame) -> None:
    nothing = pairs.with_columns(cluster_hdbscan=pl.lit(None, pl.Int64))
    found = compare.loss_changes(nothing, "cluster_hdbscan")
    assert found.is_empty()
    assert compare.say_loss_changes(found, "groups").startswith("The loss fell for 0 and rose for 0 of 0 groups")


def test_the_sign_flip_test_agrees_with_scipy() -> None:
    rng = np.random.default_rng(4)
    for shift in (0.0, 0.2, 0.5):
        differences = rng.normal(shift, 1, 60)
        drawn = permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=4999, rng=np.random.default_rng(1)
        )
        assert sign_flip_p(differences) == pytest.approx(drawn.pvalue, abs=0.03)
    assert sign_flip_p(np.zeros(10)) == 1.0


# --- figures, findings, cost


def test_the_figures_of_both_runs_are_those_of_the_shared_samples(
    runs: Runs, pairs: pl.DataFrame, by_hand: pl.DataFrame
) -> None:
    found = {row["figure"]: row for row in compare.figures(*runs, pairs).iter_rows(named=True)}
    for figure, side in {"now": "", "before": "_before"}.items():
        correct = by_hand[f"correct{side}"].to_numpy()
        assert found["share right"][figure] == pytest.approx(correct.mean())
        assert found["mean loss (nats)"][figure] == pytest.approx(by_hand[f"loss{side}"].mean())
        error = calibration_error(by_hand[f"confidence{side}"].to_numpy(), correct)
        assert found["calibration error"][figure] == pytest.approx(error)
    assert (found["temperature"]["now"], found["temperature"]["before"]) == (0.9, 1.25)
    assert all(r["low"] <= r["change"] <= r["high"] for r in found.values() if r["low"] is not None)


def test_the_interval_of_the_calibration_error_is_that_of_resampled_pairs(runs: Runs, pairs: pl.DataFrame) -> None:
    rng, changes = np.random.default_rng(0), []
    for _ in range(compare.RESAMPLES):
        drawn = pairs[rng.integers(0, len(pairs), len(pairs))]
        now, before = (
            calibration_error(drawn[f"confidence{side}"].to_numpy(), drawn[f"correct{side}"].to_numpy())
            for side in ("", "_before")
        )
        changes.append(now - before)
    found = compare.figures(*runs, pairs).filter(figure="calibration error").row(0, named=True)
    assert (found["low"], found["high"]) == pytest.approx(tuple(np.quantile(changes, [0.025, 0.975])), abs=0.002)


def test_findings_of_one_run_only_are_new_or_gone(runs: Runs) -> None:
    now, before = (run.scan("findings").collect() for run in runs)
    assert compare.finding_changes(now, before, {}).select("change", "name").rows() == [("gone", "cat → dog")]
    assert compare.finding_changes(before, now, {}).select("change", "name").rows() == [("new", "cat → dog")]


def test_a_finding_of_a_cluster_is_the_same_where_the_cluster_is_the_same(runs: Runs) -> None:
    finding = runs[1].scan("findings").collect().head(1)
    now, before = (finding.with_columns(filter=pl.lit(f"cluster_kmeans.is.{n};label.is.cat")) for n in (5, 2))
    assert compare.finding_changes(now, before, {"kmeans": {2: 5}}).is_empty()
    assert compare.finding_changes(now, before, {"kmeans": {2: 4}})["change"].to_list() == ["new", "gone"]
    assert compare.finding_changes(now, before, {"kmeans": {}})["change"].to_list() == ["new", "gone"]


def test_a_finding_that_is_covered_by_another_is_neither_new_nor_gone(runs: Runs) -> None:
    findings = runs[1].scan("findings").collect()
    covered = findings.with_columns(covered_by=pl.lit(1, pl.Int64))
    assert compare.finding_changes(covered, findings.clear(), {}).is_empty()
    assert compare.finding_changes(
        findings.with_columns(confirmed=pl.lit(None, pl.Boolean)), findings.clear(), {}
    ).is_empty()


def test_the_seconds_of_every_stage_stand_beside_each_other(runs: Runs) -> None:
    found = compare.stage_times(*runs)
    rows = {row["stage"]: row for row in found.iter_rows(named=True)}
    assert rows["train"]["ratio"] == pytest.approx(10)
    assert all(row["ratio"] == pytest.approx(1) for stage, row in rows.items() if stage != "train")
    assert "most changed: Training, from 2.0 to 20.0 s" in compare.say_stage_times(found)
    faster = pl.DataFrame({"stage": ["score", "train"], "seconds": [6.0, 2.0], "seconds_before": [5.0, 20.0]})
    said = compare.say_stage_times(faster.with_columns(ratio=pl.col("seconds") / pl.col("seconds_before")))
    assert said.endswith("; most changed: Training, from 20.0 to 2.0 s.")
