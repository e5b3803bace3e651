"""Decode an image file of any kind to the square of pixels that the model sees, or to the reason why it is unusable.

`decode(data, side)` never raises because of the content of a file. It takes the first frame, or the first that is not
blank, oriented according to EXIF, with transparent pixels on white. Values of more than 8 bits are scaled from the
range measured over the data set (see `bit_depth`); without one, 16-bit grey from 0-65,535, and grey of more bits or of
floats from its own minimum-maximum. All is converted to RGB. The longer side is cropped at both ends and the square
resized to `side` (bicubic). `decode_all` can also return the whole picture.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from pipeline.pixels.bit_depth import ValueRange, paint
from pipeline.pixels.deep_pixels import FULL_16_BIT, find_kind, is_deep_colour, read_values
from pipeline.pixels.display_images import Original, Size, encode_picture, fit
from pipeline.pixels.image_file import (
    FORMATS,
    MAX_BYTES,
    MAX_PIXELS,
    Encoded,
    Source,
    explain_error,
    open_image,
    read,
    read_file,
    refuse_size,
    upright,
    without_warnings,
)
from pipeline.pixels.tiff_bands import drops_a_band, refuse_bands
from pipeline.pixels.unusable import Unusable

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "Decoded",
    "Encoded",
    "Pixels",
    "Source",
    "Unusable",
    "decode",
    "decode_all",
    "read",
    "read_file",
    "tell_remarks",
]

DRAFT = 4
"""A JPEG is decoded at the smallest of its native scales with at least this many times the pixels needed per side."""
WITH_FRAMES = {"TIFF", "GIF", "WEBP", "PNG", "AVIF"}
"""Formats whose further frames are of the same kind; those of a JPEG are thumbnails and maps of brightness."""
MAX_FRAMES = 64
"""Most frames that are looked at for one that is not blank; fewer if they are large."""
BLANK_FIRST = "first frame blank"
BAND_LEFT_OUT = "fourth band left out"
TOLD = {
    BLANK_FIRST: "whose first frame is blank: the first that is not is shown",
    BAND_LEFT_OUT: "with a further band beside colour whose meaning the file does not declare: the band is left out",
}
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Decoded:
    """The square [side, side, 3], and the original; None if it was already that square, or if it was not requested."""

    pixels: Pixels
    original: Original | None = None
    size: Size = (0, 0)
    """Of the whole image, upright."""
    remarks: tuple[str, ...] = ()
    """What was done that may be unexpected, as phrases that `tell_remarks` explains."""


def decode(data: bytes, side: int, *, value_range: ValueRange | None = None) -> Pixels | Unusable:
    """The pixels [side, side, 3] of an encoded image."""
    with without_warnings():
        result = _decode(data, side, None, value_range)
    return result.pixels if isinstance(result, Decoded) else result


def decode_all(
    sources: Sequence[Source],
    side: int,
    *,
    display_side: int,
    is_new: Callable[[int, Pixels], bool],
    threads: int,
    done: Callable[[], None],
    value_range: ValueRange | None = None,
) -> Iterator[Decoded | Unusable]:
    """Decode each image like `decode`, in order, several at a time; `done` is called after each.

    Images for which `is_new(index, pixels)` is true also return their original, with a picture of at most
    `display_side` px on the longer side; none do if `display_side` is 0.
    """

    def decode_one(number: int, source: Source) -> Decoded | Unusable:
        data = read(source)
        policy = _DisplayPolicy(display_side, lambda pixels: is_new(number, pixels)) if display_side else None
        return data if isinstance(data, Unusable) else _decode(data, side, policy, value_range)

    pool = ThreadPoolExecutor(threads)
    try:
        with without_warnings():
            for result in pool.map(decode_one, range(len(sources)), sources):
                done()
                yield result
    finally:
        pool.shutdown(cancel_futures=True)


def tell_remarks(counts: Mapping[str, int]) -> list[str]:
    """A sentence for each phrase in `Decoded.remarks`, given how many images have it."""
    return [
        f"{counts[phrase]:,} image{'' if counts[phrase] == 1 else 's'} {words}."
        for phrase, words in TOLD.items()
        if counts.get(phrase)
    ]


@dataclass(frozen=True)
class _DisplayPolicy:
    """Which images keep a picture for display, judged by their squares, and the size of that picture."""

    display_side: int
    applies_to: Callable[[Pixels], bool]


@dataclass(frozen=True)
class _Whole:
    """The whole image, upright and in RGB, its full size, and remarks."""

    rgb: Image.Image
    size: Size
    remarks: tuple[str, ...] = ()


def _decode(
    data: bytes, side: int, policy: _DisplayPolicy | None, value_range: ValueRange | None
) -> Decoded | Unusable:
    if not data:
        return Unusable("zero bytes")
    file = io.BytesIO(data)
    try:
        with open_image(file) as image:
            whole = _read(image, data, (DRAFT * side, DRAFT * side), value_range)
        if isinstance(whole, Unusable):
            return whole
        square = _cut(whole.rgb).resize((side, side), Image.Resampling.BICUBIC)
        pixels = np.array(square, np.uint8)
        decoded = Decoded(pixels, None, whole.size, whole.remarks)
        if policy is None or whole.size == (side, side) or not policy.applies_to(pixels):
            return decoded
        return replace(decoded, original=Original(*whole.size, _picture(data, whole, policy.display_side)))
    except Exception as error:
        return explain_error(error, io.BytesIO(data))


def _read(image: ImageFile, data: bytes, at_least: Size, value_range: ValueRange | None) -> _Whole | Unusable:
    """The first frame that is not blank; the first if all are."""
    first = _read_frame(image, data, at_least, value_range)
    if isinstance(first, Unusable) or image.format not in WITH_FRAMES or not _is_blank(first.rgb):
        return first
    for number in range(1, min(MAX_FRAMES, 1 + 4 * MAX_PIXELS // (first.size[0] * first.size[1]))):
        try:
            image.seek(number)
            frame = _read_frame(image, data, at_least, value_range)
        except Exception:  # there are no more, or they are damaged
            return first
        if isinstance(frame, _Whole) and not _is_blank(frame.rgb):
            return replace(frame, remarks=(*frame.remarks, BLANK_FIRST))
    return first


def _read_frame(image: ImageFile, data: bytes, at_least: Size, value_range: ValueRange | None) -> _Whole | Unusable:
    """The current frame; a JPEG may be scaled down, but not below `at_least`."""
    if why := refuse_size(image) or refuse_bands(image):
        return why
    size, remarks, limits = image.size, (BAND_LEFT_OUT,) if drops_a_band(image) else (), None
    if (kind := find_kind(image)) and value_range:
        limits = value_range.limits.get(kind)
    if image.mode.startswith(("I", "F")) or (is_deep_colour(image) and limits and limits[1] != FULL_16_BIT):
        deep = read_values(image, data)
        deep = replace(deep, alpha=None) if remarks else deep
        return _Whole(paint(deep, limits), size[::-1] if deep.turned else size, remarks)
    image.draft(None, at_least)
    image.load()
    whole, turned = upright(image)
    return _Whole(_to_rgb(whole, ignore_alpha=bool(remarks)), size[::-1] if turned else size, remarks)


def _is_blank(rgb: Image.Image) -> bool:
    """Whether all pixels have the same colour."""
    return all(low == high for low, high in rgb.getextrema())  # type: ignore[misc]


def _picture(data: bytes, whole: _Whole, display_side: int) -> bytes:
    """The picture for display; a JPEG that was scaled down too far is decoded again."""
    display_size, rgb = fit(whole.size, display_side), whole.rgb
    if rgb.width < display_size[0] or rgb.height < display_size[1]:
        with open_image(io.BytesIO(data)) as image:
            image.draft(None, display_size if image.size == whole.size else display_size[::-1])
            rgb = _to_rgb(upright(image)[0])
    return encode_picture(rgb, display_size)


def _cut(image: Image.Image) -> Image.Image:
    """Crop the central square before scaling, so that no pixels from outside it bleed in."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    return image.crop((left, top, left + side, top + side))


def _to_rgb(image: Image.Image, *, ignore_alpha: bool = False) -> Image.Image:
    if image.has_transparency_data and not ignore_alpha:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")
