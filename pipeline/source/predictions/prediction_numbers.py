"""What the numbers of external predictions are: probabilities, percentages, logarithms or logits, as logits.

It is decided over the whole table, because single rows may add up to 1 by chance. What is unmistakable is taken and
said; what is not becomes a doubt that suggests a setting. The order of the classes is never changed here. N rows,
K numbers per row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lake.errors import UserError
from lake.text.formatting import percent
from pipeline.config.dataset import PredictionSettings
from pipeline.pixels.decode import Unusable
from pipeline.source.notes import Doubt, Notes
from pipeline.source.predictions.number_sums import (
    EXACT,
    FEW,
    LEAST,
    NOT_FINITE,
    UNUSABLE,
    Flags,
    Floats,
    RowSums,
    add_up,
    blocks,
    check_refused,
    measure_rows,
    show_row,
)
from pipeline.source.predictions.single_numbers import single_to_logits

FLOOR = -1e4
"""Lower bound for logits relative to the highest of their row, so that float32 holds every loss."""
MIXED = 0.05
"""Share of probabilities among logits from which they are not there by chance."""
NEARLY = 0.2
"""Distance from 1 up to which sums are called nearly 1."""
LOGITS, NORMALIZE = "predictions.logits", "predictions.normalize"


@dataclass(frozen=True)
class Converted:
    """Logits [N, K] ([N, 2] of one number per row), whose softmax gives the probabilities; notes.

    The logits of refused rows are meaningless. With a doubt, they are as if its suggestion had been set.
    """

    logits_NK: NDArray[np.float32]
    refused: dict[int, Unusable]
    notes: Notes


@dataclass
class _Table:
    """The numbers, their measures, and which rows are judged: those not refused that are finite and not all 0."""

    numbers_NK: NDArray[np.floating]
    rows: RowSums
    judged: Flags
    refused: dict[int, Unusable]
    settings: PredictionSettings
    notes: Notes = field(default_factory=Notes)

    @property
    def count(self) -> int:
        return int(self.judged.sum())

    def share(self, is_so: Flags) -> float:
        """Share of the judged rows for which something is so."""
        return float(is_so[self.judged].mean()) if self.count else 0.0

    def show(self, where: Flags) -> str:
        """The first row, counted from 1, for which something is so, with its numbers."""
        return show_row(self.numbers_NK, int(np.flatnonzero(where & self.judged)[0]))


def to_logits(
    numbers_NK: NDArray[np.floating],
    settings: PredictionSettings,
    classes: list[str],
    *,
    positive: str | None = None,
    refused: Mapping[int, Unusable] | None = None,
) -> Converted:
    """Convert the numbers to logits.

    `classes` are the names in order, which matter with one number per row only: the number belongs to
    `settings.positive`, otherwise to `positive`, the class that the source names. Rows in `refused` are left out and
    stay refused. Raises `UserError` if the numbers contradict the settings, if two kinds of numbers are mixed, or if
    more than half of the rows are refused.
    """
    if settings.logits and settings.normalize:
        raise UserError(
            "logits = true and normalize = true contradict each other: remove one of [dataset.predictions]."
        )
    if numbers_NK.shape[1] == 1:
        logits_N2, wrong, notes = single_to_logits(numbers_NK[:, 0], settings, classes, positive, dict(refused or {}))
        return Converted(logits_N2, wrong, notes)
    table = _judge(numbers_NK, settings, dict(refused or {}))
    logits_NK = _convert(table)
    return Converted(logits_NK, dict(sorted(table.refused.items())), table.notes)


def _judge(numbers_NK: NDArray[np.floating], settings: PredictionSettings, refused: dict[int, Unusable]) -> _Table:
    rows = measure_rows(numbers_NK)
    judged = np.ones(len(numbers_NK), np.bool_)
    judged[list(refused)] = False
    judged &= ~np.isnan(rows.exp_total)
    return _Table(numbers_NK, rows, judged, refused, settings)


def _convert(table: _Table) -> NDArray[np.float32]:
    are_logs = (table.rows.exp_total <= 1.01) & (table.rows.exp_total >= 0.99) & ~(table.rows.highest > 1e-6)
    if table.count and table.share(are_logs) >= 1 - FEW:
        return _from_logarithms(table, are_logs)
    _refuse(table, np.isnan(table.rows.total), lambda _: NOT_FINITE)
    zeros = table.judged & (table.rows.lowest == 0) & (table.rows.highest == 0)
    table.judged &= ~zeros
    is_sum, decimals = add_up(table.numbers_NK, table.rows, table.judged, 1)
    is_percent, percent_decimals = add_up(table.numbers_NK, table.rows, table.judged, 100)
    _check_said_logits(table, is_sum, is_percent)
    if table.settings.logits:
        return _from_logits(table)
    _refuse(table, zeros, lambda _: "all numbers are 0")
    if table.share(is_percent) >= 1 - FEW and table.count:
        table.notes.remarks.append("The predictions are percentages, which add up to 100: they are divided by 100.")
        is_sum, decimals = is_percent, percent_decimals
    negative = table.rows.lowest < -1e-6
    if table.share(is_sum) < 1 - FEW and table.share(negative) > FEW and table.settings.logits is None:
        return _ask_for_logits(table, negative, is_sum)
    return _from_sums(table, is_sum, negative, decimals)


def _from_logarithms(table: _Table, are_logs: Flags) -> NDArray[np.float32]:
    table.notes.remarks.append(
        "The predictions are logarithms of probabilities: none is above 0, and their exponentials add up to 1."
    )
    _refuse(table, ~np.isfinite(table.rows.exp_total), lambda _: NOT_FINITE)
    _refuse(table, ~are_logs, lambda row: f"not logarithms of probabilities: {show_row(table.numbers_NK, row)}")
    return _finish(table, lambda block: np.maximum(block, np.log(LEAST)), "correct them")


def _from_logits(table: _Table) -> NDArray[np.float32]:
    within = (table.rows.lowest >= 0) & (table.rows.highest <= 1)
    if table.count and table.share(within) == 1:
        table.notes.remarks.append(
            "All predictions lie between 0 and 1, but are taken as logits, as logits = true says: the probabilities "
            "of the classes hardly differ."
        )
    return _finish(table, _shift, "correct them")


def _ask_for_logits(table: _Table, negative: Flags, is_sum: Flags) -> NDArray[np.float32]:
    """Numbers below 0 are logits unless other rows are probabilities."""
    if table.settings.normalize:
        raise UserError(
            f"normalize = true, but {int((negative & table.judged).sum()):,} of {table.count:,} rows have predictions "
            f"below 0, as in {table.show(negative)}: remove it and set logits = true in [dataset.predictions] if "
            "these are logits."
        )
    table.notes.doubts.append(
        Doubt(
            LOGITS,
            f"The predictions look like logits: {percent(table.share(~is_sum), 0)} of {table.count:,} rows are no "
            f"probabilities, as {table.show(negative)}.",
            True,
        )
    )
    return _finish(table, _shift, "correct them")


def _from_sums(table: _Table, is_sum: Flags, negative: Flags, decimals: int | None) -> NDArray[np.float32]:
    """Probabilities, or other numbers that are not negative, divided by their sum."""
    is_off = ~negative & ~is_sum
    are_logits = table.share(negative) > 0.5
    normalize = table.settings.normalize
    if normalize is None and table.share(is_off) > FEW:
        table.notes.doubts.append(Doubt(NORMALIZE, _describe_sums(table, is_off), True))
        normalize = True
    _refuse(table, negative, lambda _: "not probabilities: one is below 0")
    if not normalize:
        _refuse(table, is_off, lambda row: f"not probabilities: they add up to {table.rows.total[row]:.3g}")
    _note(table, decimals)
    setting = "logits = true" if table.settings.normalize or are_logits else "normalize = true or logits = true"
    return _finish(table, _divide_by_sum, f"correct them, or set {setting} in [dataset.predictions] if that is right")


def _note(table: _Table, decimals: int | None) -> None:
    """Say what the rounding of probabilities, or of one-hot rows, means for what is measured."""
    kept = table.judged
    total = table.rows.total[kept]
    if len(total) and table.rows.is_hard[kept].all():
        table.notes.remarks.append(
            "The predictions are 0 or 1 only: accuracy means what it says, but losses, confidence and calibration "
            "mean nothing."
        )
    elif decimals is not None and len(total) and np.ptp(total) > EXACT * total.max() and not table.notes.doubts:
        lost = f": a class rounded to 0 has a loss of {-np.log(LEAST):.1f} nats" if 0 in table.rows.lowest[kept] else ""
        table.notes.remarks.append(
            f"The predictions are rounded to {decimals} decimals, and each row is divided by its sum "
            f"({total.min():.4g} to {total.max():.4g}){lost}."
        )


def _describe_sums(table: _Table, is_off: Flags) -> str:
    total = table.rows.total[table.judged & ~(table.rows.lowest < -1e-6)]
    low, high = total.min(), total.max()
    text = f"The predictions of {percent(table.share(is_off), 0)} of {table.count:,} rows do not add up to 1"
    if high - low <= 1e-3 * high:
        return f"{text} but to {high:,.4g}, as counts or votes do: dividing by the sum gives probabilities."
    highest = table.rows.highest[table.judged].max()
    kind = "as independent sigmoids do" if highest <= 1 + 1e-6 else "as counts and scores do"
    if low >= 1 - NEARLY and high <= 1 + NEARLY:
        kind = "though nearly, more than rounding or 16 bits explain"
    if highest > 2:
        kind += " (or set logits = true if they are logits)"
    return (
        f"{text}, {kind}: their sums range from {low:,.3g} to {high:,.3g}. Dividing by the sum gives probabilities; "
        "without that, only the rows that add up to 1 by chance would be kept."
    )


def _check_said_logits(table: _Table, is_sum: Flags, is_percent: Flags) -> None:
    """Raise `UserError` if logits are said or likely, but many rows are probabilities."""
    negative = table.rows.lowest < -1e-6
    for is_so, kind in ((is_sum, "probabilities, which add up to 1"), (is_percent, "percentages")):
        share = table.share(is_so)
        if table.settings.logits and table.count and share >= 1 - FEW:
            raise UserError(
                f"logits = true, but the predictions are {kind} in {int((is_so & table.judged).sum()):,} of "
                f"{table.count:,} rows, as {table.show(is_so)}: set logits = false in [dataset.predictions]."
            )
        if table.settings.logits is not False and share >= MIXED and table.share(negative) >= MIXED:
            raise UserError(
                f"The predictions mix two kinds of numbers: {int((is_so & table.judged).sum()):,} of {table.count:,} "
                f"rows are {kind}, as {table.show(is_so)}, and {int((negative & table.judged).sum()):,} have numbers "
                f"below 0, as {table.show(negative)}: convert all to the same kind."
            )


def _refuse(table: _Table, wrong: Flags, why: Callable[[int], str]) -> None:
    """Refuse rows, unless they are refused already for another reason; they are no longer judged."""
    for row in np.flatnonzero(wrong).tolist():
        if row not in table.refused:
            table.refused[row] = Unusable(UNUSABLE, why(row))
    table.judged &= ~wrong


def _finish(table: _Table, convert: Callable[[Floats], Floats], advice: str) -> NDArray[np.float32]:
    """Convert all numbers, block by block, unless more than half of the rows are refused."""
    check_refused(table.refused, len(table.numbers_NK), advice)
    logits_NK = np.empty(table.numbers_NK.shape, np.float32)
    start = 0
    with np.errstate(all="ignore"):
        for block in blocks(table.numbers_NK):
            converted = np.nan_to_num(convert(block), nan=0, posinf=0, neginf=0)
            logits_NK[start : start + len(block)] = converted
            start += len(block)
    return logits_NK


def _divide_by_sum(block: Floats) -> Floats:
    positive = np.maximum(block, 0)
    return np.log(np.maximum(positive / positive.sum(1, keepdims=True), LEAST))


def _shift(block: Floats) -> Floats:
    """Logits relative to the highest of their row, which leaves the softmax as it is."""
    return np.maximum(block - block.max(1, keepdims=True), FLOOR)
