"""Labels in arrays as text: integers, texts, whole floats and one-hot rows; several labels an image are refused."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake.errors import UserError


def read_labels(path: Path, name: str, array: NDArray[Any]) -> list[str | None]:
    """The label of each image from an array [N], [N, 1] or one-hot [N, K]; None where it is empty or not a number.

    Raises `UserError` for several labels an image, for fractions, and for other types.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        array = _from_one_hot(path, name, array)
    if array.ndim != 1:
        raise UserError(
            f"The labels {name} of {path} have the shape {list(array.shape)}, but [N] is expected: "
            "save one label an image."
        )
    match array.dtype.kind:
        case "b" | "i" | "u":
            return [str(int(value)) for value in array]
        case "f":
            return _from_floats(path, name, array)
        case "U" | "S":
            return [_text(path, name, value).strip() or None for value in array.tolist()]
    raise UserError(
        f"The labels {name} of {path} have the type {array.dtype}, but numbers or text are expected: save them as such."
    )


def _from_one_hot(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind in "buif" and array.shape[1] > 1:
        ones = array == 1
        if ((array == 0) | ones).all() and (ones.sum(axis=1) == 1).all():
            return ones.argmax(axis=1)
    raise UserError(
        f"The labels {name} of {path} have the shape {list(array.shape)} and are not one-hot, so that an image has "
        "several labels or none: save one label an image, such as a column of the array."
    )


def _from_floats(path: Path, name: str, array: NDArray[Any]) -> list[str | None]:
    missing = np.isnan(array)
    known = array[~missing]
    if (other := known[~np.isfinite(known) | (known != np.rint(known))]).size:
        raise UserError(
            f"The labels {name} of {path} are numbers such as {float(other[0]):.4g}, but classes are integers or text: "
            "save the class of each image."
        )
    return [None if without else str(int(value)) for value, without in zip(array, missing, strict=True)]


def _text(path: Path, name: str, value: str | bytes) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        raise UserError(
            f"The labels {name} of {path} are not UTF-8 ({value!r}): save them as text (dtype=str)."
        ) from None
