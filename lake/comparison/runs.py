"""Two runs of the same data, sample by sample: what was fixed and broken, whose loss changed, and what it cost.

Everything is about held-out samples of both runs; `before` is the run that the other is compared with. The frames are
those of `lake.query.queries.scan_samples`, filtered or not, so that every row has a filter that reproduces it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.stages import title_of
from lake.query.filters import Clause, Filters
from lake.query.queries import HELD_OUT, cluster_column, stage_costs
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
PAIRED = ("predicted", "correct", "loss", "confidence")
LABELLED = Filters.of(out_of_sample="true").with_clause(Clause(column="label", op="present"))
NOTHING_SHARED = "The two runs share no labelled held-out sample, so their predictions cannot be compared."
Matches = Mapping[str, Mapping[int, int]]
"""Method -> cluster before -> the same cluster now."""


def scan_pairs(now: pl.LazyFrame, before: pl.LazyFrame) -> pl.LazyFrame:
    """Each held-out sample of both with the columns of `now`, `predicted_before` and the like, and its change.

    `change` is fixed, broken, right (in both) or wrong (still).
    """
    was = before.filter(HELD_OUT).select("sample_id", *(pl.col(name).alias(f"{name}_before") for name in PAIRED))
    change = (
        pl.when(pl.col("correct") & ~pl.col("correct_before"))
        .then(pl.lit("fixed"))
        .when(~pl.col("correct") & pl.col("correct_before"))
        .then(pl.lit("broken"))
        .when("correct")
        .then(pl.lit("right"))
        .otherwise(pl.lit("wrong"))
    )
    return now.filter(HELD_OUT).join(was, on="sample_id").with_columns(change=change).sort("sample_id")


@dataclass(frozen=True)
class Changes:
    """How many of n held-out samples were fixed, broken, and are still wrong."""

    n: int
    fixed: int
    broken: int
    wrong: int

    @property
    def difference(self) -> float:
        """Change of the share right."""
        return (self.fixed - self.broken) / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval."""
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
        """The counts with interval and test, for a person who knows nothing."""
        low, high = self.interval
        return (
            f"{self.verdict}: of {self.n:,} samples that neither run was trained on {self.fixed:,} were fixed and "
            f"{self.broken:,} newly broken, {self.wrong:,} are still wrong; the share right changed by "
            f"{100 * self.difference:+.1f} points ({between(100 * low, 100 * high, '+.1f')}; McNemar's exact test, "
            f"{p_value(self.p)})."
        )


def count_changes(pairs: pl.DataFrame) -> Changes:
    """The counts of `scan_pairs`."""
    counts = dict(pairs["change"].value_counts().iter_rows())
    return Changes(len(pairs), *(counts.get(name, 0) for name in ("fixed", "broken", "wrong")))


def loss_changes(pairs: pl.DataFrame, by: str) -> pl.DataFrame:
    """Mean loss now and before of each value of a column, the largest change first.

    Columns: value, n, fixed, broken, loss, loss_before, change, low, high, p, adjusted_p, filter. `low` and `high` are
    the 95 % bootstrap interval of the paired change in nats, p is of the sign-flip test, adjusted (Benjamini-Hochberg)
    over the rows, `filter` finds the held-out samples of the value in the later run.
    """
    rows = []
    for (value,), part in pairs.drop_nulls(by).group_by(by, maintain_order=True):
        change = (part["loss"] - part["loss_before"]).to_numpy()
        low, high = bootstrap_mean_interval(change)
        counted = count_changes(part)
        rows.append(
            {"value": str(value), "n": len(part), "fixed": counted.fixed, "broken": counted.broken}
            | {"loss": part["loss"].mean(), "loss_before": part["loss_before"].mean()}
            | {"change": float(change.mean()), "low": low, "high": high, "p": sign_flip_p(change)}
            | {"filter": LABELLED.with_clause(Clause(column=by, op="is", values=(str(value),))).to_text()}
        )
    numbers = dict.fromkeys(("loss", "loss_before", "change", "low", "high", "p"), pl.Float64)
    counts = dict.fromkeys(("n", "fixed", "broken"), pl.Int64)
    schema = {"value": pl.String} | counts | numbers | {"filter": pl.String}
    found = pl.DataFrame(rows, schema=schema)
    adjusted = pl.Series("adjusted_p", benjamini_hochberg(found["p"].to_numpy()), dtype=pl.Float64)
    return found.with_columns(adjusted).sort(pl.col("change").abs(), "value", descending=[True, False])


def say_loss_changes(found: pl.DataFrame, what: str) -> str:
    """How many rows of `loss_changes` changed, and the one that changed most, in one sentence about `what`."""
    sure = found.filter(pl.col("adjusted_p") < SIGNIFICANT)
    better, worse = (len(sure.filter(sign)) for sign in (pl.col("change") < 0, pl.col("change") > 0))
    counted = f"The loss fell for {better} and rose for {worse} of {len(found)} {what} (adjusted p < 0.05)"
    if sure.is_empty():
        return f"{counted}."
    top = sure.row(0, named=True)
    return (
        f"{counted}, most for {top['value']}: {top['change']:+.3f} nats ({between(top['low'], top['high'], '+.3f')}) "
        f"over {top['n']:,} samples, sign-flip test, adjusted {p_value(top['adjusted_p'])}."
    )


def figures(now: Run, before: Run, pairs: pl.DataFrame) -> pl.DataFrame:
    """The headline figures of both runs on the same samples: figure, now, before, change, low, high, p.

    `low` and `high` are the 95 % interval of the change (bootstrap of the pairs, of the share right Agresti & Min); the
    temperature is set and not estimated from these samples, so it has none.
    """
    changes, loss = count_changes(pairs), (pairs["loss"] - pairs["loss_before"]).to_numpy()
    errors, interval = _calibration(pairs)
    temperature = [run.metric("score", "temperature") for run in (now, before)]
    right, losses = (pairs.select(name, f"{name}_before").mean().row(0) for name in ("correct", "loss"))
    rows = [
        ("share right", *right, *changes.interval, changes.p),
        ("mean loss (nats)", *losses, *bootstrap_mean_interval(loss), sign_flip_p(loss)),
        ("calibration error", *errors, *interval, None),
        ("temperature", *temperature, None, None, None),
    ]
    schema = {"figure": pl.String} | dict.fromkeys(("now", "before", "low", "high", "p"), pl.Float64)
    found = pl.DataFrame(rows, schema=schema, orient="row")
    return found.select(
        "figure", "now", "before", (pl.col("now") - pl.col("before")).alias("change"), "low", "high", "p"
    )


def _calibration(pairs: pl.DataFrame) -> tuple[tuple[float, float], tuple[float, float]]:
    """Calibration error now and before, and the 95 % bootstrap interval of its change."""
    rng, n = np.random.default_rng(0), len(pairs)
    now, before = (_by_confidence(pairs, suffix) for suffix in ("", "_before"))

    def errors(counts: NDArray[np.int64]) -> tuple[float, float]:
        resampled = [(np.repeat(np.arange(n), counts[row]), *values) for row, *values in (now, before)]
        error, error_before = (calibration_error(values[0][rows], values[1][rows]) for rows, *values in resampled)
        return error, error_before

    drawn = np.array([errors(np.bincount(rng.integers(0, n, n), minlength=n)) for _ in range(RESAMPLES)])
    low, high = np.quantile(drawn[:, 0] - drawn[:, 1], [0.025, 0.975])
    return errors(np.ones(n, dtype=np.int64)), (float(low), float(high))


def _by_confidence(pairs: pl.DataFrame, suffix: str) -> list[NDArray[Any]]:
    """Row, confidence and correctness in ascending order of confidence: a resample in this order is sorted already."""
    columns = [f"{name}{suffix}" for name in ("confidence", "correct")]
    ordered = pairs.select(columns).with_row_index("row").sort(columns[0], "row")
    return [column.to_numpy() for column in ordered]


def say_other_data(now: Run, before: Run) -> str:
    """That two runs cannot be compared sample by sample."""
    data = [f"{run.facts['dataset_name']}, {run.dataset_id}" for run in (now, before)]
    return (
        f"Run {now.run_id} is of other data ({data[0]}) than run {before.run_id} ({data[1]}): their samples are not "
        "the same, so only the data can be compared."
    )


def finding_changes(now: pl.DataFrame, before: pl.DataFrame, matches: Matches) -> pl.DataFrame:
    """Confirmed findings that stand for themselves and that the other run lacks: change (new, gone), name, n, lift,
    filter.

    Findings are the same where their filters are; clusters before are renumbered to those of `now` that are the same.
    """
    here, there = (
        frame.filter(pl.col("confirmed").fill_null(value=False)).sort("finding_id") for frame in (now, before)
    )
    here = here.with_columns(key=pl.col("filter"))
    renumbered = [_renumbered(Filters.from_text(text), matches) for text in there["filter"]]
    there = there.with_columns(key=pl.Series(renumbered, dtype=pl.String))
    parts = [
        frame.join(other, on="key", how="anti", maintain_order="left")
        .filter(pl.col("covered_by").is_null())
        .select(pl.lit(change).alias("change"), "name", "n", "lift", "filter")
        for frame, other, change in ((here, there, "new"), (there, here, "gone"))
    ]
    return pl.concat(parts)


def _renumbered(filters: Filters, matches: Matches) -> str:
    """The filter with clusters before as clusters now; text that no filter has where one is no more."""
    clauses = []
    for clause in filters.clauses:
        method = next((m for m in matches if clause.column == cluster_column(m)), None)
        values = clause.values
        if method and values:
            values = tuple(str(matches[method].get(int(value), "none")) for value in values)
        clauses.append(Clause(column=clause.column, op=clause.op, values=values, enabled=clause.enabled))
    return Filters(clauses=tuple(clauses)).to_text()


def stage_times(now: Run, before: Run) -> pl.DataFrame:
    """Seconds of every stage of both runs, whether an earlier refresh had computed them, and how many times as long.

    The columns are stage, seconds, seconds_before, reused, reused_before and ratio; null where a run has no such stage.
    """
    frames = [stage_costs(run).select("stage", "seconds", pl.col("reused") > 0) for run in (now, before)]
    both = frames[0].join(frames[1], on="stage", how="full", coalesce=True, suffix="_before", maintain_order="left")
    return both.with_columns(ratio=pl.col("seconds") / pl.col("seconds_before")).collect()


def say_stage_times(times: pl.DataFrame) -> str:
    """The sum of both runs, and the stage whose time changed most, in one sentence."""
    now, before = (float(times[column].sum()) for column in ("seconds", "seconds_before"))
    said = f"{now:,.0f} s in all stages, {before:,.0f} s before (reused ones as they were first computed)"
    most = times.drop_nulls("ratio").sort((pl.col("seconds") - pl.col("seconds_before")).abs(), descending=True)
    if most.is_empty():
        return f"{said}."
    top = most.row(0, named=True)
    changed = f"from {top['seconds_before']:,.1f} to {top['seconds']:,.1f} s"
    return f"{said}; most changed: {title_of(top['stage'])}, {changed}."
