"""Embeddings from a table: lists of one width, in a range that float32 holds when squared, and what they can tell.

Cosine similarities do not change with the scale. N rows, D features.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import UserError
from lake.text.formatting import percent
from pipeline.source.notes import Notes
from pipeline.source.predictions.number_lists import holds_lists, read_array, read_lists
from pipeline.source.predictions.number_sums import blocks

USUAL = 2.0**20
"""Largest numbers of rows between its inverse and this, in the median, are kept as they are."""
SAFE = 2.0**40
"""A row whose largest number is further from 1 than this, after scaling, is scaled by itself."""
SAME = 1 - 1e-9
"""Cosine similarity from which two rows point the same way, apart from rounding."""
WITHOUT = "no map, clusters and neighbours are computed"
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class EmbeddingReport:
    """Embeddings [N, D] in a safe range, and which rows have one that says something."""

    embedding_ND: NDArray[np.float32]
    """Zeros where `usable_N` is false."""
    usable_N: Flags
    """[N]; false for rows without numbers, with a number that is not finite, or with zeros only."""
    informative: bool
    """False if no map, clusters and neighbours can be computed: no direction differs from another."""
    notes: Notes


def read_embeddings(column: pl.Series) -> EmbeddingReport:
    """The embeddings of a column of lists; rows of another width than most have none.

    Raises `UserError` if the column holds no lists of numbers.
    """
    if not holds_lists(column):
        raise UserError(
            f"The column {column.name!r} has type {column.dtype}, but embeddings are lists of numbers: correct "
            "embedding_column in [dataset.predictions]."
        )
    return check_embeddings(read_lists(column, "embedding", exact=True).numbers_NK)


def read_embedding_file(file: Path, rows: int, key: str | None = None) -> EmbeddingReport:
    """The embeddings of a .npy or .npz file, whose rows are in the order of the table with `rows` rows.

    `key` is the name of the array in an .npz file. Raises `UserError` if no array fits, or several do.
    """
    arrays = read_array(file, rows, key)
    if len(arrays) > 1:
        raise UserError(
            f"{len(arrays):,} arrays of {file} may be the embeddings: name one of {', '.join(arrays)} in "
            "embedding_column of [dataset.predictions]."
        )
    report = check_embeddings(next(iter(arrays.values())))
    report.notes.remarks.insert(0, f"The rows of {file.name} are in the order of the table, whose count is equal.")
    return report


def check_embeddings(embedding_ND: NDArray[np.floating]) -> EmbeddingReport:
    """Scale embeddings by a power of two if float32 could not hold their squares, and say what carries no information.

    A row with NaN has no embedding.
    """
    notes = Notes()
    largest_N = np.concatenate([np.abs(block).max(1, initial=0) for block in blocks(embedding_ND)] or [np.zeros(0)])
    finite_N = np.isfinite(largest_N) & (embedding_ND.shape[1] > 0)
    usable_N = finite_N & (largest_N > 0)
    _note_gaps(finite_N, usable_N, notes)
    exponent_N = _scales(largest_N, usable_N, notes)
    scaled_ND = np.zeros(embedding_ND.shape, np.float32)
    for start in range(0, len(embedding_ND), 4096):
        rows = slice(start, start + 4096)
        scaled = np.ldexp(embedding_ND[rows].astype(np.float64), exponent_N[rows, None])
        scaled_ND[rows] = np.where(usable_N[rows, None], scaled, 0)
    reason = _find_uninformative(scaled_ND, usable_N)
    if reason:
        notes.remarks.append(f"{reason}: {WITHOUT}.")
    else:
        _note_equal(scaled_ND, usable_N, notes)
    return EmbeddingReport(scaled_ND, usable_N, reason is None, notes)


def _note_gaps(finite_N: Flags, usable_N: Flags, notes: Notes) -> None:
    zero = int((finite_N & ~usable_N).sum())
    missing = int((~finite_N).sum())
    if missing and usable_N.any():
        notes.remarks.append(
            f"{missing:,} of {len(usable_N):,} rows have no embedding (missing, of another width, or not finite): they "
            "keep their predictions."
        )
    if zero and usable_N.any():
        notes.remarks.append(
            f"{zero:,} of {len(usable_N):,} embeddings are all zeros, which have no direction: these rows count as "
            "rows without an embedding."
        )


def _scales(largest_N: NDArray[np.float64], usable_N: Flags, notes: Notes) -> NDArray[np.int32]:
    """The exponent of the power of two by which each row is multiplied."""
    exponent_N = np.zeros(len(largest_N), np.int32)
    if not usable_N.any():
        return exponent_N
    own_N = -np.frexp(np.where(usable_N, largest_N, 1))[1]
    middle = float(np.median(largest_N[usable_N]))
    if not 1 / USUAL <= middle <= USUAL:
        exponent_N[:] = -int(np.frexp(middle)[1])
        notes.remarks.append(
            f"The embeddings are multiplied by 2^{exponent_N[0]}, because their numbers are around {middle:.1g}: "
            "similarities stay as they are."
        )
    distance_N = np.abs(exponent_N - own_N)
    extreme_N = usable_N & (distance_N > np.log2(SAFE))
    if extreme_N.any():
        exponent_N[extreme_N] = own_N[extreme_N]
        notes.remarks.append(
            f"{int(extreme_N.sum()):,} embeddings are scaled by themselves, because their numbers are up to "
            f"{largest_N[extreme_N].max():.1g} and others' around {middle:.1g}: similarities stay as they are."
        )
    return exponent_N


def _find_uninformative(scaled_ND: NDArray[np.float32], usable_N: Flags) -> str | None:
    """Why the embeddings say nothing; None if they may say something."""
    count = int(usable_N.sum())
    if not count:
        return "No row has an embedding other than zeros" if len(usable_N) else "There are no embeddings"
    if scaled_ND.shape[1] == 1:
        return f"The {count:,} embeddings have one number each, so that all similarities are 1 or -1"
    first = scaled_ND[np.flatnonzero(usable_N)[0]]
    if bool((scaled_ND[usable_N] == first).all()):
        return f"All {count:,} embeddings are equal"
    direction = first.astype(np.float64) / np.linalg.norm(first.astype(np.float64))
    for block in blocks(scaled_ND, usable_N):
        length = np.linalg.norm(block, axis=1)
        if (np.abs(block @ direction) < SAME * length).any():
            return None
    return f"All {count:,} embeddings point the same way"


def _note_equal(scaled_ND: NDArray[np.float32], usable_N: Flags, notes: Notes) -> None:
    seen: dict[int, int] = {}
    for row in np.flatnonzero(usable_N):
        digest = hash(scaled_ND[row].tobytes())
        seen[digest] = seen.get(digest, 0) + 1
    equal = sum(times for times in seen.values() if times > 1)
    if equal:
        count = int(usable_N.sum())
        notes.remarks.append(
            f"{equal:,} of {count:,} embeddings ({percent(equal / count)}) are equal to another one: they are each "
            "other's nearest neighbours."
        )
