"""How the numbers of arrays of images become pixels: judged over all images, so that one scale fits all."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake.errors import UserError

BLOCK = 64 * 2**20
"""Bytes that are looked at in one go."""
MAX_8_BIT, MAX_16_BIT = 255, 65_535
DARK = 128
"""Below this highest value, numbers of 8 bits are not taken for the usual 0 to 255 without a word."""

ROUNDING = 1e-5
"""By how much floats may exceed their range."""


@dataclass(frozen=True)
class Scale:
    """By what all values are multiplied, and whether pixels have 16 bits."""

    factor: int = 1
    deep: bool = False

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8] | NDArray[np.uint16] | None:
        """The pixels of one image; None if a value is not finite."""
        if values.dtype.kind != "f":
            return (values.astype(np.uint16) if self.deep else values.astype(np.uint8)) * np.uint8(self.factor)
        if not np.isfinite(values).all():
            return None
        return np.rint(values.astype(np.float64) * self.factor).astype(np.uint8)


def find_scale(path: Path, images: Mapping[str, NDArray[Any]]) -> tuple[Scale, list[str]]:
    """The scale of all arrays of images together, and remarks about it.

    Values are 0 to 255, 0 to 1, or grey of more than 8 bits. Raises `UserError` if they are something else.
    """
    kinds = {array.dtype.kind for array in images.values()}
    if not kinds <= set("buif") or len({kind == "f" for kind in kinds}) > 1:
        types = ", ".join(f"{name} {array.dtype}" for name, array in images.items())
        raise UserError(f"The images of {path} have the types {types}: save all with the same type of numbers.")
    if kinds == {"b"}:
        return Scale(MAX_8_BIT), []
    if "f" in kinds:
        return _of_floats(path, list(images.values()))
    return _of_integers(path, list(images.values()))


def _of_integers(path: Path, arrays: list[NDArray[Any]]) -> tuple[Scale, list[str]]:
    narrow = all(array.dtype == np.uint8 for array in arrays)
    low, high = _range(arrays, enough=(lambda high: high >= DARK) if narrow else None)
    if low < 0 or high > MAX_16_BIT:
        raise UserError(_unclear(path, low, high))
    if high > MAX_8_BIT:
        if any(array.ndim == 4 and array.shape[3] > 1 for array in arrays):
            raise UserError(f"The colours of {path} run from {low:,.0f} to {high:,.0f}: scale them to 0 to 255.")
        return Scale(deep=True), [f"{path.name}: grey of {int(high).bit_length()} bits, up to {high:,.0f}."]
    if high <= 1:
        return Scale(MAX_8_BIT), [f"{path.name}: all values are 0 or 1, which are taken for black and white."]
    if high < DARK:
        return Scale(), [
            f"{path.name}: the highest value of all images is {high:,.0f} of 255, so they are dark: if it means white, "
            f"save them multiplied by {MAX_8_BIT // int(high)}."
        ]
    return Scale(), []


def _of_floats(path: Path, arrays: list[NDArray[Any]]) -> tuple[Scale, list[str]]:
    low, high = _range(arrays)
    if low < -ROUNDING or not (high <= 1 + ROUNDING or DARK <= high <= MAX_8_BIT + ROUNDING):
        raise UserError(_unclear(path, low, high))
    if high > 1 + ROUNDING:
        return Scale(), [f"{path.name}: values from 0 to 255 are rounded to integers."]
    dark = f"; the highest of all images is {high:.3g}, so they are dark" if high * MAX_8_BIT < DARK else ""
    return Scale(MAX_8_BIT), [f"{path.name}: values from 0 to 1 are taken for black to white{dark}."]


def _unclear(path: Path, low: float, high: float) -> str:
    return (
        f"The values of the images of {path} run from {low:,.4g} to {high:,.4g}, but 0 to 255 or 0 to 1 is expected: "
        "undo their normalisation, or scale them to 0 to 255, before they are saved."
    )


def _range(arrays: list[NDArray[Any]], enough: Callable[[float], bool] | None = None) -> tuple[float, float]:
    """The lowest and highest finite value of all images; the search ends early at a highest value that is `enough`."""
    low, high = np.inf, -np.inf
    for block in _blocks(arrays):
        values = block[np.isfinite(block)] if block.dtype.kind == "f" else block
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
        if enough and enough(high):
            break
    return (low, high) if low <= high else (0, 0)


def _blocks(arrays: list[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    for array in arrays:
        rows = max(BLOCK // max(array[:1].nbytes, 1), 1)
        for start in range(0, len(array), rows):
            yield array[start : start + rows]
