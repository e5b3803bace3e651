"""Mean held-out loss by two columns: categories are used as they are, numbers are binned at their quantiles."""

from dataclasses import dataclass

import polars as pl

from lake.query.filters import Clause
from lake.query.queries import HELD_OUT
from lake.statistics import Z95

PARTS, FEW = 5, 20
"""Number of bins of a numeric column, and the minimum number of samples for a reliable mean."""
CATEGORIES = 12
"""Maximum number of distinct values of an integer column that are used as they are."""
DIGITS = 4
STRAIGHT = 1e-6
"""Skewness below which the transformation reduces to the identity and would divide by zero."""


@dataclass(frozen=True)
class Axis:
    """A column as an axis; `cuts` are the inclusive upper bounds of all bins of a numeric column except the last.

    The cuts of a column of integers are integers.
    """

    column: str
    cuts: tuple[float, ...] | None = None

    def key(self) -> pl.Expr:
        """Return the position on the axis: the value or the bin number; null if the column is null."""
        value = pl.col(self.column)
        if self.cuts is None:
            return value
        above = [(value > cut).cast(pl.Int64) for cut in self.cuts]
        return pl.when(value.is_not_null()).then(pl.sum_horizontal(pl.lit(0, pl.Int64), *above))

    def text(self, key: object) -> str:
        """Describe a position in words: cat, true, 12.3 to 20.1; a bin of integers by its first and last, 4 to 7."""
        if key is None:
            return "empty"
        if self.cuts is None:
            return str(key).lower() if isinstance(key, bool) else str(key)
        match self._ends(key):
            case None, None:
                return "any"
            case int(low), int(high):
                return f"{low + 1} to {high}" if low + 1 < high else f"{high}"
            case (None, int(end)) | (int(end), None):
                return f"to {end}" if key == 0 else f"above {end}"
            case None, high:
                return f"to {high:g}"
            case low, None:
                return f"above {low:g}"
            case low, high:
                return f"{low:g} to {high:g}"

    def clause(self, key: object) -> Clause:
        """Return the filter that selects exactly the samples at a position."""
        if key is None:
            return Clause(column=self.column, op="null")
        if self.cuts is None:
            return Clause(column=self.column, op="is", values=(self.text(key),))
        low, high = self._ends(key)
        ends = [f"{self.column} {sign} {end!r}" for sign, end in ((">", low), ("<=", high)) if end is not None]
        return Clause.where(" and ".join(ends)) if ends else Clause(column=self.column, op="present")

    def _ends(self, key: object) -> tuple[float | None, float | None]:
        assert self.cuts is not None and isinstance(key, int)
        ends = (None, *self.cuts, None)
        return ends[key], ends[key + 1]


def quantiles(frame: pl.LazyFrame, column: str) -> pl.LazyFrame:
    """Return the bounds between bins of equally many held-out samples.

    Integers stay integers, other numbers are rounded to four significant digits.
    """
    dtype = frame.collect_schema()[column]
    shares = [part / PARTS for part in range(1, PARTS)]
    held_out = frame.filter(HELD_OUT).select(pl.col(column).drop_nulls())
    ends = pl.concat_list(pl.col(column).quantile(share, "lower") for share in shares).explode()
    cuts = held_out.select(ends.cast(dtype) if dtype.is_integer() else ends.round_sig_figs(DIGITS)).unique()
    highest = held_out.select(pl.max(column).alias("highest"))
    above = cuts.join(highest, how="cross").filter(pl.col(column) < pl.col("highest"))  # or the last bin would be empty
    return above.select(column).sort(column)


def pivot(frame: pl.LazyFrame, down: Axis, across: Axis) -> pl.LazyFrame:
    """Return each pair of positions that has held-out rows: down, across, n, mean_loss in nats, low and high.

    `low` and `high` are the 95 % interval of the mean; null below `FEW` samples.
    """
    low, high = _mean_interval(pl.col("loss"))
    enough = pl.len() >= FEW
    return (
        frame.filter(HELD_OUT)
        .group_by(down.key().alias("down"), across.key().alias("across"))
        .agg(
            n=pl.len().cast(pl.Int64),
            mean_loss=pl.col("loss").mean(),
            low=pl.when(enough).then(low.clip(lower_bound=0)),
            high=pl.when(enough).then(high),
        )
        .sort("down", "across", nulls_last=True)
    )


def _mean_interval(value: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Return the 95 % interval of the mean of skewed values, by the cubic transformation of Hall (1992).

    A few high losses among many low ones skew the distribution of the mean, so a symmetric interval lies too low.
    """
    root, skew = pl.len().sqrt(), value.skew()
    error = value.std() / root

    def end(z: float) -> pl.Expr:
        cubic = 3 * root / skew * ((1 + skew / root * (z - skew / (6 * root))).cbrt() - 1)
        return value.mean() - pl.when(skew.abs() > STRAIGHT).then(cubic).otherwise(z) * error

    return end(Z95), end(-Z95)
