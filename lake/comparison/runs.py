"""Compare two runs of the same data sample by sample, with the sentence that says whether they differ, or do not.

All comparisons use samples that are held out in both runs; `before` is the reference run. The frames come from
`scan_samples`, filtered or not, so that every row has a filter that reproduces it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.stages import title_of
from lake.query.filters import Clause, Filters
from lake.query.joined_samples import cluster_column
from lake.query.queries import HELD_OUT, stage_costs
from lake.statistics import (
    benjamini_hochberg,
    bootstrap_mean_interval,
    calibration_error,
    mcnemar_p,
    paired_difference_interval,
    sign_flip_p,
)
from lake.storage.store import Run
from lake.text.formatting import between, p_value

SIGNIFICANT = 0.05
RESAMPLES = 200
PAIRED_COLUMNS = ("predicted", "correct", "loss", "confidence")
LABELLED = Filters.of(out_of_sample="true").with_clause(Clause(column="label", op="present"))
NOTHING_SHARED = "The two runs share no labelled held-out sample, so their predictions cannot be compared."
Matches = Mapping[str, Mapping[int, int]]
"""Method -> earlier cluster -> the same cluster now."""


def scan_pairs(now: pl.LazyFrame, before: pl.LazyFrame) -> pl.LazyFrame:
    """Return the samples held out in both runs: the columns of `now`, `predicted_before` and the like, and `change`.

    `change` is fixed, broken, right (in both runs) or wrong (in both runs).
    """
    earlier = before.filter(HELD_OUT).select(
        "sample_id", *(pl.col(name).alias(f"{name}_before") for name in PAIRED_COLUMNS)
    )
    change = (
        pl.when(pl.col("correct") & ~pl.col("correct_before"))
        .then(pl.lit("fixed"))
        .when(~pl.col("correct") & pl.col("correct_before"))
        .then(pl.lit("broken"))
        .when("correct")
        .then(pl.lit("right"))
        .otherwise(pl.lit("wrong"))
    )
    return now.filter(HELD_OUT).join(earlier, on="sample_id").with_columns(change=change).sort("sample_id")


@dataclass(frozen=True)
class Changes:
    """Numbers of held-out samples that were fixed, broken and are still wrong, out of n."""

    n: int
    fixed: int
    broken: int
    wrong: int

    @property
    def difference(self) -> float:
        """Change of the accuracy."""
        return (self.fixed - self.broken) / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `difference`."""
        return paired_difference_interval(self.fixed, self.broken, self.n)

    @property
    def p(self) -> float:
        """Two-sided p that as many were fixed as broken (McNemar's exact test)."""
        return mcnemar_p(self.fixed, self.broken)

    @property
    def verdict(self) -> str:
        """Whether this run is better, in words."""
        if self.p >= SIGNIFICANT:
            return "No measurable difference"
        return "Better" if self.fixed > self.broken else "Worse"

    def sentence(self) -> str:
        """Describe the counts with interval and test, for readers without background."""
        low, high = self.interval
        return (
            f"{self.verdict}: of {self.n:,} samples that neither run was trained on, {self.fixed:,} were fixed and "
            f"{self.broken:,} newly broken, {self.wrong:,} are still wrong; the share right changed by "
            f"{100 * self.difference:+.1f} points ({between(100 * low, 100 * high, '+.1f')}; McNemar's exact test, "
            f"{p_value(self.p)})."
        )


def count_changes(pairs: pl.DataFrame) -> Changes:
    """Count the changes in the rows of `scan_pairs`."""
    counts = dict(pairs["change"].value_counts().iter_rows())
    return Changes(len(pairs), *(counts.get(name, 0) for name in ("fixed", "broken", "wrong")))


def loss_changes(pairs: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return the mean loss now and before for each value of the column `by`, largest change first.

    Columns: value, n, fixed, broken, loss, loss_before, change, low, high, p, adjusted_p, filter. `low` and `high` are
    the 95 % bootstrap interval of the paired change in nats, `p` comes from the sign-flip test and is adjusted over the
    rows (Benjamini-Hochberg), `filter` selects the held-out samples with the value in the later run.
    """
    rows = []
    for (value,), part in pairs.drop_nulls(by).group_by(by, maintain_order=True):
        change = (part["loss"] - part["loss_before"]).to_numpy()
        low, high = bootstrap_mean_interval(change)
        changes = count_changes(part)
        rows.append(
            {"value": str(value), "n": len(part), "fixed": changes.fixed, "broken": changes.broken}
            | {"loss": part["loss"].mean(), "loss_before": part["loss_before"].mean()}
            | {"change": float(change.mean()), "low": low, "high": high, "p": sign_flip_p(change)}
            | {"filter": LABELLED.with_clause(Clause(column=by, op="is", values=(str(value),))).to_text()}
        )
    numbers = dict.fromkeys(("loss", "loss_before", "change", "low", "high", "p"), pl.Float64)
    counts = dict.fromkeys(("n", "fixed", "broken"), pl.Int64)
    schema = {"value": pl.String} | counts | numbers | {"filter": pl.String}
    table = pl.DataFrame(rows, schema=schema)
    adjusted = pl.Series("adjusted_p", benjamini_hochberg(table["p"].to_numpy()), dtype=pl.Float64)
    return table.with_columns(adjusted).sort(pl.col("change").abs(), "value", descending=[True, False])


def say_loss_changes(changes: pl.DataFrame, noun: str) -> str:
    """Describe in one sentence how many rows of `loss_changes` changed, and the top one; `noun` names the rows."""
    significant = changes.filter(pl.col("adjusted_p") < SIGNIFICANT)
    better, worse = (len(significant.filter(sign)) for sign in (pl.col("change") < 0, pl.col("change") > 0))
    summary = f"The loss fell for {better} and rose for {worse} of {len(changes)} {noun} (adjusted p < 0.05)"
    if significant.is_empty():
        return f"{summary}."
    top = significant.row(0, named=True)
    return (
        f"{summary}, most for {top['value']}: {top['change']:+.3f} nats ({between(top['low'], top['high'], '+.3f')}) "
        f"over {top['n']:,} samples, sign-flip test, adjusted {p_value(top['adjusted_p'])}."
    )


def figures(now: Run, before: Run, pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the headline figures of both runs on the same samples: figure, now, before, change, low, high, p.

    `low` and `high` are the 95 % interval of the change (Agresti & Min for the accuracy, paired bootstrap otherwise).
    The temperature has none, because it is not estimated from these samples.
    """
    changes, loss = count_changes(pairs), (pairs["loss"] - pairs["loss_before"]).to_numpy()
    errors, interval = _calibration(pairs)
    temperature = [run.metric("score", "temperature") for run in (now, before)]
    accuracies, losses = (pairs.select(name, f"{name}_before").mean().row(0) for name in ("correct", "loss"))
    rows = [
        ("share right", *accuracies, *changes.interval, changes.p),
        ("mean loss (nats)", *losses, *bootstrap_mean_interval(loss), sign_flip_p(loss)),
        ("calibration error", *errors, *interval, None),
        ("temperature", *temperature, None, None, None),
    ]
    schema = {"figure": pl.String} | dict.fromkeys(("now", "before", "low", "high", "p"), pl.Float64)
    table = pl.DataFrame(rows, schema=schema, orient="row")
    return table.select(
        "figure", "now", "before", (pl.col("now") - pl.col("before")).alias("change"), "low", "high", "p"
    )


def _calibration(pairs: pl.DataFrame) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the calibration error now and before, and the 95 % bootstrap interval of its change."""
    rng, n = np.random.default_rng(0), len(pairs)
    now, before = (_by_confidence(pairs, suffix) for suffix in ("", "_before"))

    def errors(counts: NDArray[np.int64]) -> tuple[float, float]:
        resampled = [(np.repeat(np.arange(n), counts[row]), *values) for row, *values in (now, before)]
        error, error_before = (calibration_error(values[0][rows], values[1][rows]) for rows, *values in resampled)
        return error, error_before

    resampled_errors = np.array([errors(np.bincount(rng.integers(0, n, n), minlength=n)) for _ in range(RESAMPLES)])
    low, high = np.quantile(resampled_errors[:, 0] - resampled_errors[:, 1], [0.025, 0.975])
    return errors(np.ones(n, dtype=np.int64)), (float(low), float(high))


def _by_confidence(pairs: pl.DataFrame, suffix: str) -> list[NDArray[Any]]:
    """Return row, confidence and correctness by ascending confidence, so that resamples in this order are sorted."""
    columns = [f"{name}{suffix}" for name in ("confidence", "correct")]
    ordered = pairs.select(columns).with_row_index("row").sort(columns[0], "row")
    return [column.to_numpy() for column in ordered]


def say_other_data(now: Run, before: Run) -> str:
    """Explain that two runs cannot be compared sample by sample."""
    data = [f"{run.facts['dataset_name']}, {run.dataset_id}" for run in (now, before)]
    return (
        f"Run {now.run_id} is of other data ({data[0]}) than run {before.run_id} ({data[1]}): their samples are not "
        "the same, so only the data can be compared."
    )


def finding_changes(now: pl.DataFrame, before: pl.DataFrame, matches: Matches) -> pl.DataFrame:
    """Return confirmed, uncovered findings that the other run lacks: change (new, gone), name, n, lift, filter.

    Findings are the same if their filters are; earlier clusters are first renumbered to the matching current ones.
    """
    current, earlier = (
        frame.filter(pl.col("confirmed").fill_null(value=False)).sort("finding_id") for frame in (now, before)
    )
    current = current.with_columns(key=pl.col("filter"))
    renumbered = [_renumbered(Filters.from_text(text), matches) for text in earlier["filter"]]
    earlier = earlier.with_columns(key=pl.Series(renumbered, dtype=pl.String))
    parts = [
        frame.join(other, on="key", how="anti", maintain_order="left")
        .filter(pl.col("covered_by").is_null())
        .select(pl.lit(change).alias("change"), "name", "n", "lift", "filter")
        for frame, other, change in ((current, earlier, "new"), (earlier, current, "gone"))
    ]
    return pl.concat(parts)


def _renumbered(filters: Filters, matches: Matches) -> str:
    """Return the filter with earlier clusters renumbered; a value that no filter has replaces unmatched clusters."""
    clauses = []
    for clause in filters.clauses:
        method = next((m for m in matches if clause.column == cluster_column(m)), None)
        values = clause.values
        if method and values:
            values = tuple(str(matches[method].get(int(value), "none")) for value in values)
        clauses.append(Clause(column=clause.column, op=clause.op, values=values, enabled=clause.enabled))
    return Filters(clauses=tuple(clauses)).to_text()


def stage_times(now: Run, before: Run) -> pl.DataFrame:
    """Return the duration of every stage of both runs, whether it was reused, and the ratio of the durations.

    Columns: stage, seconds, seconds_before, reused, reused_before and ratio; null if a run lacks the stage.
    """
    frames = [stage_costs(run).select("stage", "seconds", pl.col("reused") > 0) for run in (now, before)]
    joined = frames[0].join(frames[1], on="stage", how="full", coalesce=True, suffix="_before", maintain_order="left")
    return joined.with_columns(ratio=pl.col("seconds") / pl.col("seconds_before")).collect()


def say_stage_times(times: pl.DataFrame) -> str:
    """Describe in one sentence the total duration of both runs, and the stage whose duration changed most."""
    now, before = (float(times[column].sum()) for column in ("seconds", "seconds_before"))
    summary = f"{now:,.0f} s in all stages, {before:,.0f} s before (reused ones as they were first computed)"
    ordered = times.drop_nulls("ratio").sort((pl.col("seconds") - pl.col("seconds_before")).abs(), descending=True)
    if ordered.is_empty():
        return f"{summary}."
    top = ordered.row(0, named=True)
    change = f"from {top['seconds_before']:,.1f} to {top['seconds']:,.1f} s"
    return f"{summary}; most changed: {title_of(top['stage'])}, {change}."
