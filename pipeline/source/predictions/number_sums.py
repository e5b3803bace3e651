"""Sums and ranges of the numbers of each row, measured in blocks, and whether rounding explains a sum that is off.

N rows, K numbers per row.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake.errors import UserError
from pipeline.pixels.decode import Unusable

MISSING = "prediction missing"
UNUSABLE = "unusable prediction"
NOT_FINITE = "a number is missing or not finite"

LEAST = 1e-12
"""Lower bound for probabilities, so that every loss is finite: at most 27.6 nats."""
FEW = 0.01
"""Share of rows up to which those unlike the others are refused without a question."""
BLOCK = 2**20
"""Numbers measured at once."""
EXACT, IN_16_BITS = 1e-3, 1e-2
"""Tolerances for the sum of a row of probabilities in 32 bits, and in 16."""
MOST_DIGITS = 5
"""Number of digits, of numbers of at most `target`, above which float32 does not tell rounded numbers from others."""
ENOUGH = 10
"""Number of values between 0.1 and 0.9 below which rounding is not recognised."""
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class RowSums:
    """Measures of each row [N]; NaN where a number is not finite, except that -inf counts in `exp_total`."""

    total: Floats
    lowest: Floats
    highest: Floats
    exp_total: Floats
    """Sum of exp of the numbers, which is 1 for log-probabilities."""
    positive: NDArray[np.int64]
    """How many of the numbers are above 0."""
    is_hard: Flags
    """Whether all numbers are 0 or 1."""


def measure_rows(numbers_NK: NDArray[np.floating]) -> RowSums:
    """The measures of each row."""
    found: list[tuple[NDArray[Any], ...]] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for block in blocks(numbers_NK):
            exp_total = np.exp(np.minimum(block, 100)).sum(1)
            block = np.where(np.isfinite(block), block, np.nan)
            hard = ((block == 0) | (block == 1)).all(1)
            found.append((block.sum(1), block.min(1), block.max(1), exp_total, (block > 0).sum(1), hard))
    if not found:
        found = [(*(np.zeros(0),) * 4, np.zeros(0, np.int64), np.zeros(0, np.bool_))]
    return RowSums(*(np.concatenate(column) for column in zip(*found, strict=True)))


def blocks(numbers_NK: NDArray[np.floating], among: Flags | None = None) -> Iterator[Floats]:
    """The rows, or those `among` them, in blocks as float64."""
    size = max(1, BLOCK // max(1, numbers_NK.shape[1]))
    for start in range(0, len(numbers_NK), size):
        block = numbers_NK[start : start + size]
        yield (block if among is None else block[among[start : start + size]]).astype(np.float64)


def show_row(numbers_NK: NDArray[np.floating], row: int) -> str:
    """A row, counted from 1, with up to five of its numbers: "row 3: 0.1, 0.9"."""
    numbers = ", ".join(f"{number:.4g}" for number in numbers_NK[row, :5])
    return f"row {row + 1:,}: {numbers}" + (", ..." if numbers_NK.shape[1] > 5 else "")


def check_refused(refused: Mapping[int, Unusable], rows: int, advice: str) -> None:
    """Raise `UserError` with the most common reason if more than half of the rows are refused.

    Rows without a prediction do not count.
    """
    unusable = {row: why for row, why in refused.items() if why.reason != MISSING}
    if 2 * len(unusable) <= rows - (len(refused) - len(unusable)):
        return
    kinds = {row: why.detail.split(": ")[-1].split(" to ")[0] for row, why in unusable.items()}
    ((kind, count),) = Counter(kinds.values()).most_common(1)
    row = next(row for row, its in kinds.items() if its == kind)
    if kind == NOT_FINITE:
        advice = "store the numbers of all classes in every row, not only those of the likeliest"
    raise UserError(
        f"{len(unusable):,} of {rows:,} rows have unusable predictions, most often ({count:,} times) as row "
        f"{row + 1:,} ({unusable[row].detail}): {advice}."
    )


def add_up(numbers_NK: NDArray[np.floating], rows: RowSums, among: Flags, target: float) -> tuple[Flags, int | None]:
    """Whether each row [N] adds up to `target` (1 or 100), and the decimals that the numbers are rounded to, if any.

    The sum of rounded numbers may differ by half a unit of the last decimal for each of them. This is granted if the
    sums of most rows differ as little as independent rounding makes them differ.
    """
    classes = numbers_NK.shape[1]
    off = np.abs(rows.total - target)
    base = target * (IN_16_BITS if _is_16_bit(numbers_NK, among) else EXACT)
    no_negatives = rows.lowest >= -1e-6 * target
    close = no_negatives & (off <= base)
    decimals = _decimals(numbers_NK, among, target)
    if decimals is None:
        return close, None
    half = 10.0**-decimals / 2
    typical = np.median(off[among]) if among.any() else np.inf
    if typical > max(base, 2 * half * np.sqrt(classes / 3)):
        return close, None
    above, below = np.minimum(rows.positive * half, target / 2), min(classes * half, target / 2)
    rounded = (rows.total - target <= above + base) & (target - rows.total <= below + base)
    return no_negatives & rounded, decimals


def _decimals(numbers_NK: NDArray[np.floating], among: Flags, target: float) -> int | None:
    """The decimals of all numbers between a tenth and nine tenths of `target`; None if there are more."""
    decimals, most, count = (0, MOST_DIGITS - 2, 0) if target > 1 else (1, MOST_DIGITS, 0)
    for block in blocks(numbers_NK, among):
        values = block[(block >= 0.1 * target) & (block <= 0.9 * target)]
        count += len(values)
        while decimals <= most and not _are_rounded(values, decimals, target):
            decimals += 1
    return decimals if count >= ENOUGH and decimals <= most else None


def _are_rounded(values: Floats, decimals: int, target: float) -> bool:
    scaled = values * 10.0**decimals
    return bool((np.abs(scaled - np.rint(scaled)) <= 1e-7 * target * 10.0**decimals).all())


def _is_16_bit(numbers_NK: NDArray[np.floating], among: Flags) -> bool:
    """Whether all numbers are exact in float16 or in bfloat16."""
    half = brain = True
    with np.errstate(over="ignore", invalid="ignore"):
        for block in blocks(numbers_NK, among):
            values = block[np.isfinite(block)].astype(np.float32)
            half = half and bool((values.astype(np.float16) == values).all())
            brain = brain and not (values.view(np.uint32) & 0xFFFF).any()
            if not half and not brain:
                return False
    return True
