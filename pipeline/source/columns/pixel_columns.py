"""Images that a table holds as numbers: lists of pixels, nested by row and channel or flat.

H is the height, W the width, C the number of channels: 1, 3 or 4.
"""

import io
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from lake.errors import UserError
from pipeline.pixels.decode import Unusable

SAMPLE = 200
CHANNELS = (1, 3, 4)
LEAST_JUDGES, AGREEING, CLEAR = 10, 0.95, 0.05
"""Channel order: images that must tell, the share that must agree, and the difference in roughness that tells."""
MARGIN = {1: 0.5, 255: 0.01}
"""How far numbers may be out of range by rounding, for each scale."""
LEAST_BRIGHT = 32
"""The least maximum of decimals that are pixels from 0 to 255."""
Numbers = NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """How the numbers of a row are an image."""

    shape: tuple[int, ...] | None
    """The shape in which the numbers of a row are stored, if the type of the column declares it."""
    axes: tuple[int, ...] | None
    """The order of those axes in the image, if the type declares one."""
    planes: bool
    """Whether the channels come first, one plane after the other."""
    scale: int
    """What the numbers are multiplied by: 255 if they lie between 0 and 1."""


@dataclass(frozen=True)
class PixelRow:
    """A row of pixels, which is an image in PNG as soon as it is read."""

    column: pl.Series
    row: int
    layout: Layout

    def read(self) -> bytes | Unusable:
        """The encoded image, without loss if the numbers are whole."""
        image = _to_image(self.column[self.row], self.layout)
        if isinstance(image, Unusable):
            return image
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG", compress_level=1)
        return file.getvalue()


def holds_bytes(dtype: Any) -> bool:
    """Whether a column of this type has lists, flat or nested, of unsigned bytes, as pixels mostly are stored."""
    depth, inner = _depth(dtype.ext_storage() if isinstance(dtype, pl.BaseExtension) else dtype)
    return depth > 0 and inner == pl.UInt8


def may_be_pixels(dtype: Any) -> bool:
    """Whether a column of this type may hold pixels: lists of integers, or nested lists of any numbers."""
    depth, inner = _depth(dtype.ext_storage() if isinstance(dtype, pl.BaseExtension) else dtype)
    return (
        inner.is_integer()
        if depth == 1 and not isinstance(dtype, pl.BaseExtension)
        else depth > 0 and inner.is_numeric()
    )


def read_pixels(column: pl.Series) -> tuple[list[PixelRow | None], str]:
    """The image of each row, and how the numbers were understood.

    Lists are nested [H, W], [H, W, C] or [C, H, W]; flat ones, and bytes that are not encoded, are squares. Raises
    `UserError` if the numbers are no pixels or if the order of the channels cannot be told.
    """
    shape, axes = None, None
    if isinstance(column.dtype, pl.BaseExtension):
        shape, axes = _declared_shape(column.dtype)
        column = column.ext.storage()
    sample = _sample(column)
    if not len(sample):
        return [None] * len(column), ""
    layout = _judge(sample, Layout(shape, axes, planes=False, scale=1))
    missing = column.is_null().to_list()
    rows = [None if missing[i] else PixelRow(column, i, layout) for i in range(len(column))]
    return rows, _describe(sample, layout)


def is_square(count: int) -> bool:
    """Whether so many numbers are a square of 1 or 3 channels."""
    return bool(_square(count))


def _depth(dtype: Any) -> tuple[int, Any]:
    depth = 0
    while isinstance(dtype, pl.List | pl.Array):
        dtype, depth = dtype.inner, depth + 1
    return depth, dtype


def _declared_shape(dtype: Any) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """Shape and order of axes of a tensor of fixed shape; None for other extensions, whose lists are nested."""
    if dtype.ext_name() != "arrow.fixed_shape_tensor":
        return None, None
    declared = json.loads(dtype.ext_metadata() or "{}")
    axes = declared.get("permutation")
    return tuple(declared["shape"]), tuple(axes) if axes else None


def _sample(column: pl.Series) -> pl.Series:
    """Rows that are not null, evenly spread."""
    present = column.is_not_null().arg_true()
    return column.gather(present.gather_every(max(1, len(present) // SAMPLE)).head(SAMPLE))


def _judge(sample: pl.Series, layout: Layout) -> Layout:
    """The layout of a column by a sample of its rows."""
    arrays = [array for value in sample if (array := _to_array(value, layout)) is not None]
    if not arrays:
        raise _refuse(sample, "its lists are ragged, empty or have missing values")
    dimensions = {array.ndim for array in arrays}
    if len(dimensions) > 1 or max(dimensions) > 3:
        raise _refuse(sample, f"it has arrays of {max(dimensions)} dimensions; 2 or 3 are read")
    scale = _judge_scale(sample, arrays)
    if dimensions == {1}:
        planes = _judge_flat(sample, arrays)
    elif dimensions == {2}:
        planes = False
    else:
        planes = not all(array.shape[2] in CHANNELS for array in arrays)
        if planes and not all(array.shape[0] in CHANNELS for array in arrays):
            shape = " x ".join(map(str, arrays[0].shape))
            raise _refuse(sample, f"it has arrays of {shape} numbers, of which none counts 1, 3 or 4 channels")
    return Layout(layout.shape, layout.axes, planes, scale)


def _judge_scale(sample: pl.Series, arrays: list[Numbers]) -> int:
    """255 for numbers from 0 to 1, otherwise 1; decimals of which the highest is 1.5 are neither."""
    low, high = min(array.min() for array in arrays), max(array.max() for array in arrays)
    is_decimal = arrays[0].dtype.kind == "f"
    scale = 255 if 0 < high <= 1 + MARGIN[255] else 1
    if not _in_range(low, high, scale) or (is_decimal and scale == 1 and 0 < high < LEAST_BRIGHT):
        raise _refuse(sample, f"its numbers are {low:,} to {high:,}; pixels are 0 to 255, or 0 to 1")
    if is_decimal and arrays[0].ndim == 1:
        raise _refuse(sample, "flat lists of decimals may as well be features")
    return scale


def _in_range(low: float, high: float, scale: int) -> bool:
    return bool(low >= -MARGIN[scale] and high <= 255 / scale + MARGIN[scale])


def _judge_flat(sample: pl.Series, arrays: list[Numbers]) -> bool:
    """Whether flat lists are planes of channels; they are squares of grey or of three channels."""
    squares = [array for array in arrays if _square(array.size)]
    if not squares:
        raise _refuse(sample, f"its lists have {arrays[0].size:,} numbers, which are no square of 1 or 3 channels")
    grey = [array for array in squares if _square(array.size) == (1, math.isqrt(array.size))]
    if grey and all(array.size % 4 == 0 and (array[3::4] == 255).all() for array in grey):
        raise _refuse(
            sample, "every fourth number is 255 as if it were opacity, and flat lists of 4 channels are not read"
        )
    return _judge_planes(sample, [array for array in squares if _square(array.size)[:1] == (3,)])


def _judge_planes(sample: pl.Series, colour: list[Numbers]) -> bool:
    """Neighbouring pixels are alike in the right order; each image votes."""
    if not colour:
        return False
    votes = [vote for array in colour if (vote := _vote_planes(array)) is not None]
    share = sum(votes) / max(len(votes), 1)
    if len(votes) < LEAST_JUDGES or 1 - AGREEING < share < AGREEING:
        raise _refuse(
            sample,
            f"whether the channels of a pixel follow each other is not clear from {len(colour):,} images: nest the "
            "lists as [H, W, 3]",
        )
    return share >= AGREEING


def _vote_planes(array: Numbers) -> bool | None:
    """Whether the channels of a flat image come first; None if it does not tell. Equal channels are grey."""
    side = math.isqrt(array.size // 3)
    last, first = array.reshape(side, side, 3), np.moveaxis(array.reshape(3, side, side), 0, 2)
    grey_last, grey_first = ((image == image[..., :1]).all() for image in (last, first))
    if grey_last != grey_first:
        return bool(grey_first)
    rough_last, rough_first = _roughness(last), _roughness(first)
    clear = abs(rough_last - rough_first) > CLEAR * (rough_last + rough_first) / 2
    return rough_first < rough_last if clear else None


def _roughness(image_HWC: Numbers) -> float:
    """The mean difference of neighbouring pixels, across and down."""
    image = image_HWC.astype(np.float64)
    return float(np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean())


def _to_array(value: pl.Series | bytes | None, layout: Layout) -> Numbers | None:
    """The numbers of a row in the shape of their nesting; None if they are ragged, empty or some are missing."""
    if value is None:
        return None
    if isinstance(value, bytes):
        value = pl.Series(np.frombuffer(value, np.uint8))
    shape, flat = [len(value)], value
    while isinstance(value.dtype, pl.List | pl.Array):
        value = value[0] if len(value) else None
        if value is None:
            return None
        shape.append(len(value))
    while flat.dtype.is_nested():
        flat = flat.explode()
    numbers = flat.to_numpy()
    declared = layout.shape or tuple(shape)
    if flat.null_count() or not numbers.size or numbers.size != math.prod(declared) or not np.isfinite(numbers).all():
        return None
    array = numbers.reshape(declared)
    return array.transpose(layout.axes) if layout.axes else array


def _to_image(value: pl.Series | bytes | None, layout: Layout) -> NDArray[np.uint8] | Unusable:
    """The pixels [H, W] or [H, W, C] of a row."""
    array = _to_array(value, layout)
    if array is None:
        return Unusable("incomplete pixels", "the lists of the row are ragged, empty or have missing values")
    if array.ndim == 1:
        square = _square(array.size)
        if not square:
            return Unusable("not a square", f"{array.size:,} numbers")
        channels, side = square
        array = array.reshape((channels, side, side) if layout.planes else (side, side, channels))
        array = array.reshape(side, side) if channels == 1 else array
    if array.ndim == 3 and layout.planes:
        array = np.moveaxis(array, 0, 2)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in CHANNELS):
        return Unusable("not an image", f"an array of {' x '.join(map(str, array.shape))} numbers")
    if not _in_range(array.min(), array.max(), layout.scale):
        return Unusable("pixels out of range", f"numbers from {array.min():,} to {array.max():,}")
    return np.rint(array.astype(np.float64) * layout.scale).clip(0, 255).astype(np.uint8)


def _square(count: int) -> tuple[int, int] | tuple[()]:
    """Channels and side of a flat list: 1 or 3 channels of a square; empty if it is none."""
    for channels in (1, 3):
        side = math.isqrt(count // channels)
        if side > 1 and side * side * channels == count:
            return channels, side
    return ()


def _describe(sample: pl.Series, layout: Layout) -> str:
    """How the numbers were understood, in one sentence."""
    image = next(image for value in sample if not isinstance(image := _to_image(value, layout), Unusable))
    channels = "grey" if image.ndim == 2 else f"{image.shape[2]} channels, {'first' if layout.planes else 'last'}"
    scale = "; its numbers are 0 to 1" if layout.scale == 255 else ""
    return (
        f"The column {sample.name!r} is read as pixels of {image.shape[1]:,} x {image.shape[0]:,} images ({channels})"
        f"{scale}."
    )


def _refuse(sample: pl.Series, why: str) -> UserError:
    return UserError(
        f"The column {sample.name!r} of type {sample.dtype} cannot be read as pixels: {why}. "
        "Choose another image_column, or write encoded images."
    )
