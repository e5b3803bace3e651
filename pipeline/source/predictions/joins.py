"""Rows of another table, found by the name of an image, and a check of tables that were put side by side.

A name is compared in full, else by its last folders, else without its ending, whichever joins most. N names, M rows of
the table, D features.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import UserError
from lake.text.formatting import percent
from pipeline.pixels.decode import Unusable
from pipeline.source.notes import Notes

NAME_COLUMNS = ("name", "filename", "file_name", "image", "image_path", "path", "file", "file_path", "image_id", "id")
"""Usual names of columns of names, the likeliest first."""
DEPTHS = (3, 2, 1)
"""How many of the last parts of a path are compared if the whole paths differ."""
ENDING = r"\.[A-Za-z][A-Za-z0-9]{1,4}$"
NEIGHBORS, SAMPLE, LEAST_ROWS = 5, 2000, 100
PERMUTATIONS, LEVEL = 199, 0.05
LEAST_IN_CLASS = 10


@dataclass(frozen=True)
class Joined:
    """The row of the table for each name."""

    rows: NDArray[np.int64]
    """[N]; -1 if the table has none, or more than one."""
    refused: dict[int, Unusable] = field(default_factory=dict)
    """Names, by position, that several rows have."""
    notes: Notes = field(default_factory=Notes)


@dataclass(frozen=True)
class _Level:
    """A way of comparing names, and what it joins."""

    how: str
    rows: NDArray[np.int64]
    repeated: NDArray[np.bool_]
    """Names [N] that several rows have."""

    @property
    def matched(self) -> int:
        return int((self.rows >= 0).sum())


def join_by_name(names: list[str], frame: pl.DataFrame, *, name_column: str | None) -> Joined:
    """The row of `frame` for each of the unique `names`; `name_column` has their names, by default the one that fits.

    Raises `UserError` if no name is found, or if most of those found have several rows.
    """
    column = name_column or _find_column(names, frame)
    if column not in frame.columns:
        raise UserError(f"The table has no column {column!r}: its columns are {', '.join(frame.columns)}.")
    best = _best(names, frame[column])
    if not best.matched and not best.repeated.any():
        if name_column is None and column.casefold() not in NAME_COLUMNS:
            raise UserError(
                f"No column of the table has the names of the images, which are called {_show(names)}: its columns are "
                f"{', '.join(frame.columns[:20])}. Add one, and name it with name_column if both tables have it."
            )
        raise UserError(
            f"No row of the table has the name of an image: images are called {_show(names)}, and rows of its column "
            f"{column!r} {_show(frame[column].drop_nulls().cast(pl.String).to_list())}: set name_column to the column "
            "of names in both tables."
        )
    _check_repeated(best, column)
    refused = {
        int(i): Unusable("duplicate name", "several rows of the table have this name")
        for i in np.flatnonzero(best.repeated)
    }
    return Joined(best.rows, refused, Notes(remarks=[_describe(best, names, frame[column])]))


def suspect_order(embedding_ND: NDArray[np.floating], label_N: NDArray[np.int64]) -> str | None:
    """A sentence if neighbours share a label no more often than by chance, as when rows are in another order.

    `label_N` is -1 for unlabeled rows. At most 2,000 rows are compared, by cosine similarity, with permuted labels.
    None if the rows are in order, or if there are too few to tell.
    """
    usable = np.flatnonzero((label_N >= 0) & np.isfinite(embedding_ND).all(1) & (embedding_ND != 0).any(1))
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(usable, min(SAMPLE, len(usable)), replace=False))
    label = label_N[rows]
    _, count = np.unique(label, return_counts=True)
    if len(rows) < LEAST_ROWS or (count >= LEAST_IN_CLASS).sum() < 2:
        return None
    vectors = embedding_ND[rows].astype(np.float64)
    vectors /= np.abs(vectors).max(1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if np.allclose(vectors, vectors[0]):
        return None
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argpartition(-similarity, NEIGHBORS, axis=1)[:, :NEIGHBORS]
    share = _share(label, nearest)
    chance = np.array([_share(rng.permutation(label), nearest) for _ in range(PERMUTATIONS)])
    p = (1 + int((chance >= share).sum())) / (1 + PERMUTATIONS)
    if p <= LEVEL:
        return None
    return (
        f"Neighbours share a label no more often than by chance ({percent(share)} of {len(rows):,} embeddings' "
        f"neighbours, {percent(chance.mean())} by chance): check that the rows of both tables are in the same order."
    )


def _share(label: NDArray[np.int64], nearest: NDArray[np.int64]) -> float:
    return float((label[nearest] == label[:, None]).mean())


def _find_column(names: list[str], frame: pl.DataFrame) -> str:
    """The column that has most of the names; at a tie, the one with the most usual name."""
    columns = [name for name in frame.columns if frame[name].dtype == pl.String or frame[name].dtype.is_integer()]
    usual = sorted(columns, key=lambda name: _usualness(name))
    if not usual:
        raise UserError(f"The table has no column of names to join by: its columns are {', '.join(frame.columns)}.")
    found = {name: _best(names, frame[name]) for name in usual}
    return max(usual, key=lambda name: (found[name].matched, int(found[name].repeated.sum())))


def _usualness(column: str) -> int:
    name = column.lower()
    return NAME_COLUMNS.index(name) if name in NAME_COLUMNS else len(NAME_COLUMNS)


def _best(names: list[str], column: pl.Series) -> _Level:
    """The level that joins most names; the strictest of those that do."""
    best: _Level | None = None
    texts = column.cast(pl.String)
    for how, own, theirs in _levels(pl.Series("name", names, dtype=pl.String), texts):
        level = _join(how, own, theirs, _plain(texts))
        if level and (best is None or level.matched > best.matched):
            best = level
        if best and best.matched + int(best.repeated.sum()) == len(names):
            break
    assert best is not None
    return best


def _levels(own: pl.Series, theirs: pl.Series) -> Iterator[tuple[str, pl.Series, pl.Series]]:
    """The ways of comparing names, from the strictest to the loosest."""
    own, theirs = _plain(own), _plain(theirs)
    yield "name", own, theirs
    for depth in DEPTHS:
        how = "file name" if depth == 1 else f"last {depth} parts of the path"
        yield how, _last(own, depth), _last(theirs, depth)
    for depth in DEPTHS:
        how = "file name" if depth == 1 else f"last {depth} parts of the path"
        yield f"{how} without its ending", _stem(_last(own, depth)), _stem(_last(theirs, depth))
    own, theirs = (_stem(_last(names, 1)).str.strip_chars_start("0") for names in (own, theirs))
    yield "file name without its ending and leading zeros", own, theirs


def _plain(names: pl.Series) -> pl.Series:
    slashes = names.str.normalize("NFC").str.strip_chars().str.replace_all("\\", "/", literal=True)
    return slashes.str.strip_prefix("./")


def _last(names: pl.Series, depth: int) -> pl.Series:
    return names.str.split("/").list.tail(depth).list.join("/")


def _stem(names: pl.Series) -> pl.Series:
    return names.str.replace(ENDING, "")


def _join(how: str, own: pl.Series, theirs: pl.Series, full: pl.Series) -> _Level | None:
    """The rows by a key; None if it is ambiguous: several images, or rows of different `full` names, have it."""
    keys = pl.DataFrame({"key": theirs, "full": full}).with_row_index("row").drop_nulls()
    first = keys.group_by("key").agg(pl.first("row"), pl.len(), several=pl.col("full").n_unique() > 1)
    found = pl.DataFrame({"key": own}).join(first, on="key", how="left", maintain_order="left")
    has_row = found["row"].is_not_null()
    if how != "name" and bool((found["key"].is_duplicated() & has_row).any()):
        return None
    if found["several"].any():
        return None
    repeated = (found["len"].fill_null(0) > 1).to_numpy()
    rows = found["row"].cast(pl.Int64).fill_null(-1).to_numpy().copy()
    rows[repeated] = -1
    return _Level(how, rows, repeated)


def _check_repeated(best: _Level, column: str) -> None:
    count = int(best.repeated.sum())
    if count > best.matched:
        raise UserError(
            f"{count:,} images have several rows in the table, by its column {column!r}, as of several models or "
            "folds: keep one row for each image."
        )


def _describe(best: _Level, names: list[str], column: pl.Series) -> str:
    gaps = np.flatnonzero((best.rows < 0) & ~best.repeated)
    used = np.zeros(len(column), np.bool_)
    used[best.rows[best.rows >= 0]] = True
    over = np.flatnonzero(~used)
    text = f"{best.matched:,} of {len(names):,} images have a row in the other table, by {best.how}"
    if len(gaps):
        text += f"; {len(gaps):,} have none, such as {names[int(gaps[0])]!r}"
    if best.repeated.any():
        text += f"; {int(best.repeated.sum()):,} have several and are left out"
    if len(over):
        text += f"; {len(over):,} rows are left over, such as {column[int(over[0])]!r}"
    return f"{text}."


def _show(names: list[str]) -> str:
    return " and ".join(repr(name) for name in names[:2]) or "nothing"
