"""Histograms of columns, counting all rows and those that pass a filter."""

import polars as pl

BINS = 24


def histograms(frame: pl.LazyFrame, columns: list[str], passes: pl.Expr, *, bins: int = BINS) -> pl.LazyFrame:
    """Return the non-empty bins of each column: column, low, high, n_all (all rows) and n (rows that pass).

    Bins have equal width between the minimum and the maximum over all rows; a value on an edge belongs to the upper
    bin, the maximum to the last. Nulls are not counted. All columns are computed in one pass.
    """
    tables = [_histogram(frame, column, passes, bins) for column in columns]
    return pl.concat(tables).sort(pl.col("column").replace_strict(columns, range(len(columns))), "low")


def _histogram(frame: pl.LazyFrame, column: str, passes: pl.Expr, bins: int) -> pl.LazyFrame:
    value = pl.col(column).cast(pl.Float64)
    lowest, width = value.min(), (value.max() - value.min()) / bins
    bin_number = ((value - lowest) / width).fill_nan(0).floor().clip(0, bins - 1).cast(pl.Int64)
    binned = frame.select(
        bin_number.alias("bin"),
        passes.alias("passes"),
        value.alias("value"),
        lowest.alias("first"),
        width.alias("width"),
    )
    counts = (
        binned.filter(pl.col("value").is_not_null())
        .group_by("bin")
        .agg(
            pl.col("first").first(),
            pl.col("width").first(),
            n_all=pl.len().cast(pl.Int64),
            n=pl.col("passes").sum().cast(pl.Int64),
        )
    )
    low = pl.col("first") + pl.col("bin") * pl.col("width")
    return counts.select(
        pl.lit(column).alias("column"), low.alias("low"), (low + pl.col("width")).alias("high"), "n_all", "n"
    )
