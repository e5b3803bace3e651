"""External predictions, and optionally embeddings: list columns of a table, read and checked row by row.

They are used as they are: no temperature is fitted, and the loss is -log of the probability assigned to the label. N
rows, K classes, D features.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.data.decode import Unusable

LEAST = 1e-12
"""Lower bound for probabilities, so that every loss is finite: at most 27.6 nats."""
SUM_WITHIN = 1e-2
"""Tolerance for the sum of the probabilities of a row, which may have been rounded or stored in 16 bits."""


@dataclass(frozen=True)
class TablePredictions:
    """The logits and embeddings of a table, and the reason for each row that is unusable."""

    logits_NK: NDArray[np.float32]
    embedding_ND: NDArray[np.float32]
    refused: dict[int, Unusable]


def read_predictions(table: pl.DataFrame, own: DatasetSettings) -> TablePredictions:
    """The logits [N, K] and embeddings [N, D] from the columns named by `own.predictions`.

    D is 0 without an embedding column. The values of refused rows are meaningless. Raises `UserError` if a column does
    not hold lists of numbers.
    """
    settings = own.predictions
    assert settings is not None
    numbers_NK, refused = _read_lists(table[settings.column], own, "prediction")
    if not settings.logits:
        refused |= _refuse_improbable(numbers_NK, refused)
        numbers_NK = np.log(np.maximum(numbers_NK, LEAST))
    embedding_ND = np.empty((len(table), 0), np.float32)
    if settings.embedding_column in table.columns:
        embedding_ND, without = _read_lists(table[settings.embedding_column], own, "embedding")
        refused = without | refused
    return TablePredictions(numbers_NK, embedding_ND, refused)


def name_classes(classes: int, labels: list[str], own: DatasetSettings) -> list[str]:
    """The classes of the predictions in order: those named in the settings, otherwise the sorted labels.

    Raises `UserError` if their number differs from the width of the predictions, or if a label is not among them.
    """
    settings = own.predictions
    assert settings is not None
    names = settings.classes or labels
    if len(names) != classes or len(set(names)) != len(names):
        whose = "are named" if settings.classes else "are among the labels"
        raise UserError(
            f"The predictions of {own.source} have {classes:,} numbers per row, but {len(set(names)):,} classes "
            f"{whose}: list all classes, in the order of the numbers, in classes of [dataset.predictions]."
        )
    if strangers := set(labels) - set(names):
        raise UserError(
            f"The label {min(strangers)!r} of {own.source} is not a class of the predictions: "
            "add it at its position in classes of [dataset.predictions], or correct the label."
        )
    return names


def _read_lists(column: pl.Series, own: DatasetSettings, kind: str) -> tuple[NDArray[np.float32], dict[int, Unusable]]:
    """The lists of a column as a matrix of the most common width, and the rows that do not fit."""
    if not isinstance(column.dtype, pl.List | pl.Array) or not column.dtype.inner.is_numeric():
        raise UserError(
            f"The column {column.name!r} of {own.source} has type {column.dtype}, but lists of numbers are "
            "needed, which parquet and Delta can store."
        )
    lists = column.cast(pl.List(pl.Float32))
    length = lists.list.len()
    width = max(length.drop_nulls().mode(), default=0)
    usable = (
        (length == width) & (lists.list.eval(pl.element().is_finite().fill_null(value=False)).list.all())
    ).fill_null(value=False)
    rows = np.flatnonzero(usable.to_numpy())
    matrix = np.zeros((len(column), width), np.float32)
    if width:
        matrix[rows] = lists.gather(rows).explode().to_numpy().reshape(len(rows), width)
    wrong = np.setdiff1d(np.arange(len(column)), rows)
    return matrix, {int(row): _refuse(length[int(row)], width, kind) for row in wrong}


def _refuse(length: int | None, width: int, kind: str) -> Unusable:
    if length is None:
        return Unusable(f"{kind} missing")
    detail = f"{length:,} numbers, others have {width:,}" if length != width else "a number is not finite"
    return Unusable(f"unusable {kind}", detail)


def _refuse_improbable(numbers_NK: NDArray[np.float32], refused: dict[int, Unusable]) -> dict[int, Unusable]:
    """The rows that are not probabilities, among those not refused already."""
    total_N = numbers_NK.sum(1, dtype=np.float64)
    negative_N = numbers_NK.min(1, initial=0) < 0
    wrong = np.flatnonzero(negative_N | (np.abs(total_N - 1) > SUM_WITHIN))
    why = {row: "one is below 0" if negative_N[row] else f"they add up to {total_N[row]:.3g}" for row in wrong.tolist()}
    return {
        row: Unusable("unusable prediction", f"not probabilities: {detail}")
        for row, detail in why.items()
        if row not in refused
    }
