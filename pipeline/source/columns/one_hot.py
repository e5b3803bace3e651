"""Labels that are written as one column of 0 and 1 for each class, of which every row has one 1."""

import polars as pl

FEW = 3
"""So many columns, or two without other columns that may be labels, are no coincidence."""
FLAGS = ("0", "1", "0.0", "1.0", "false", "true")


def find_one_hot(table: pl.DataFrame, columns: list[str]) -> list[str]:
    """The columns, side by side, of which every row has exactly one 1; empty if there are none."""
    runs: list[list[str]] = [[]]
    for name in columns:
        if _is_flag(table[name]):
            runs[-1].append(name)
        elif runs[-1]:
            runs.append([])
    complete = (run for run in runs if len(run) > 1 and bool((_flags(table, run).sum_horizontal() == 1).all()))
    return next(complete, [])


def name_ones(table: pl.DataFrame, columns: list[str]) -> list[str | None]:
    """The name of the column of each row that has the 1."""
    flags = _flags(table, columns)
    return flags.select(pl.coalesce(pl.when(name).then(pl.lit(name)) for name in columns).alias("label"))[
        "label"
    ].to_list()


def _is_flag(values: pl.Series) -> bool:
    if values.dtype.is_nested() or values.dtype == pl.Binary or values.null_count() or values.n_unique() > 2:
        return False
    return len(values) > 0 and set(_texts(values.unique())) <= set(FLAGS)


def _flags(table: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """The columns as truth values."""
    return table.select(_texts(table[name]).is_in(["1", "1.0", "true"]) for name in columns)


def _texts(values: pl.Series) -> pl.Series:
    return values.cast(pl.String).str.strip_chars().str.to_lowercase()
