"""The values of an image of more than 8 bits, in full depth.

Pillow reduces colour of 16 bits to its high bytes; the low bytes are read by decoding the image a second time, as if it
had the other byte order. H pixels high, W wide.
"""

import io
import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile

from pipeline.pixels.image_file import open_image, upright
from pipeline.pixels.tiff_bands import BITS, FORMAT, PHOTOMETRIC

Kind = Literal["unsigned", "integer", "float"]
"""Unsigned integers of at most 16 bits, which have a full scale; other integers, and floats, which have none."""
KINDS: tuple[Kind, ...] = ("unsigned", "integer", "float")
FULL_16_BIT = 65_535
HUGE = 1e30
"""Values beyond are the placeholders of some programs for missing values, such as -3.4e38."""
NODATA_TAG = 42113
WHITE_IS_ZERO = 0
NATIVE = "L" if sys.byteorder == "little" else "B"


@dataclass(frozen=True)
class DeepValues:
    """Values as stored, upright."""

    values: NDArray[Any]
    """[H, W] grey or [H, W, 3] colour; integers, or 32-bit floats."""
    valid: NDArray[np.bool_]
    """[H, W]: false for NaN, infinity and what the file declares as missing."""
    alpha: NDArray[np.float64] | None = None
    """[H, W] from 0, transparent, to 1; None if there is no transparency."""
    white_is_zero: bool = False
    turned: bool = False
    """Whether width and height were swapped to bring it upright."""


def find_kind(image: ImageFile) -> Kind | None:
    """The kind of values of an opened image that is not loaded; None for 8 bits, or if Pillow has scaled them already.

    The latter applies to PPM, AVIF, HEIC and colour of JPEG 2000, which declare their full scale.
    """
    if image.mode == "F":
        return "float"
    if not image.mode.startswith("I"):
        return "unsigned" if _raw_mode(image) else None
    if image.format == "PPM":
        return "unsigned" if image.tile[0].codec_name == "raw" else None
    tags = getattr(image, "tag_v2", {})
    return "integer" if max(tags.get(BITS, (16,))) > 16 or max(tags.get(FORMAT, (1,))) == 2 else "unsigned"


def is_deep_colour(image: ImageFile) -> bool:
    """Whether an opened image that is not loaded has colour, or transparency, of 16 bits."""
    return not image.mode.startswith(("I", "F")) and _raw_mode(image) is not None


def full_scale(top: int) -> int:
    """The highest value of the depth of 8, 10, 12, 14 or 16 bits that the highest value `top` suggests.

    4,096 still counts as 12 bits, as do other powers of 2: 1 is scaled to it by some programs.
    """
    return next((2**bits - 1 for bits in (8, 10, 12, 14) if 0 < top <= 2**bits), FULL_16_BIT)


def read_values(image: ImageFile, data: bytes) -> DeepValues:
    """The values of the current frame of an opened image of more than 8 bits, whose encoded bytes are `data`."""
    return _read_colour(image, data) if is_deep_colour(image) else _read_grey(image)


def _read_grey(image: ImageFile) -> DeepValues:
    tags = dict(getattr(image, "tag_v2", {}))  # loading drops some of them
    turned_image, turned = upright(image)
    values = np.asarray(turned_image)
    if max(tags.get(BITS, (16,))) == 32 and max(tags.get(FORMAT, (1,))) == 1:
        values = values.view(np.uint32)  # Pillow has no unsigned mode of 32 bits
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    valid = np.abs(values) < HUGE if values.dtype.kind == "f" else np.ones(values.shape, np.bool_)
    missing = _declared_missing(tags)
    if missing is not None:
        valid &= values != (np.float32(missing) if image.mode == "F" else missing)
    return DeepValues(values, valid, white_is_zero=tags.get(PHOTOMETRIC) == WHITE_IS_ZERO, turned=turned)


def _read_colour(image: ImageFile, data: bytes) -> DeepValues:
    raw_mode = _raw_mode(image)
    assert raw_mode is not None
    missing = _declared_missing(getattr(image, "tag_v2", {}))
    if raw_mode == "LA;16B":  # four bytes per pixel, read as if they were four bands
        both, turned = _load_as(data, image.tell(), "RGBA")
        grey_alpha = both[..., 0::2] * 256 + both[..., 1::2]
        alpha_HW: NDArray[np.uint16] | None = grey_alpha[..., 1]
        values = np.repeat(grey_alpha[..., :1], 3, axis=2)
    else:
        base, order = raw_mode[:-1].replace("a", "A"), raw_mode[-1].replace("N", NATIVE)
        high, turned = _load_as(data, image.tell(), base + order)
        low, _ = _load_as(data, image.tell(), base + ("B" if order == "L" else "L"))
        bands = high * 256 + low
        values = bands[..., :3]
        alpha_HW = bands[..., 3] if bands.shape[2] == 4 else None
    alpha = None if alpha_HW is None else np.minimum(alpha_HW / full_scale(int(alpha_HW.max())), 1)
    if alpha is not None and "a" in raw_mode:  # the colours are multiplied by the transparency
        values = np.clip(values / np.maximum(alpha, 1 / FULL_16_BIT)[..., None], 0, FULL_16_BIT).astype(np.uint16)
    if isinstance(clear := image.info.get("transparency"), tuple):  # the one colour that is transparent
        alpha = (values != np.array(clear)).any(2).astype(np.float64)
    missing_HW = np.zeros(values.shape[:2], np.bool_) if missing is None else (values == missing).all(2)
    return DeepValues(values, ~missing_HW, alpha, turned=turned)


def _raw_mode(image: ImageFile) -> str | None:
    """How the bytes of 16-bit colour are stored, such as RGB;16B; None if the image has no such."""
    if not image.tile:
        return None
    tile = image.tile[0]
    if image.format == "PPM":
        return "RGB;16B" if tile.codec_name == "ppm" and tile.args == ("RGB", FULL_16_BIT) else None
    raw_mode = tile.args[0] if isinstance(tile.args, tuple) else tile.args
    is_known = isinstance(raw_mode, str) and raw_mode[:-1] in ("RGB;16", "RGBA;16", "RGBX;16", "RGBa;16", "LA;16")
    return raw_mode if is_known else None


def _load_as(data: bytes, frame: int, raw_mode: str) -> tuple[NDArray[np.uint16], bool]:
    """The bands [H, W, bands] of a frame whose bytes are taken as that raw mode, upright, and whether it was turned."""
    with open_image(io.BytesIO(data)) as image:
        image.seek(frame)
        tiles = []
        for tile in image.tile:
            if image.format == "PPM":
                tiles.append(tile._replace(codec_name="raw", args=(raw_mode, 0, 1)))
            else:
                args = tile.args
                tiles.append(tile._replace(args=(raw_mode, *args[1:]) if isinstance(args, tuple) else raw_mode))
        image.tile = tiles
        if raw_mode.startswith("RGBA"):
            image._mode = "RGBA"  # that of transparency multiplied into the colours needs another
        image.load()
        whole, turned = upright(image)
        return np.asarray(whole).astype(np.uint16), turned


def _declared_missing(tags: Any) -> float | None:
    """The value that stands for a missing one, as declared by GDAL."""
    try:
        return float(str(tags[NODATA_TAG]).strip("\0 "))
    except (KeyError, ValueError):
        return None
