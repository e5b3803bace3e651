"""Decode an image file of any kind to the square of pixels that the model sees, or to the reason why it is unusable.

`decode(data, side)` never raises because of the content of a file. It takes the first frame, oriented according to
EXIF, with transparent pixels on white. 16-bit grey is scaled from 0-65,535; grey of more bits or of floats from its
minimum-maximum; all is converted to RGB. The longer side is cropped at both ends and the square resized to `side`
(bicubic). `decode_all` can also return the whole picture.
"""

import errno
import io
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from lake.errors import first_line
from pipeline.data.display_images import Original, Size, encode_picture, fit

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Detected by content, whatever the file name; none of these decoders starts another program."""
MAX_PIXELS = 50_000_000
MAX_BYTES = 512 * 2**20
MAX_16_BIT = 65_535
DRAFT = 4
"""A JPEG is decoded at the smallest of its native scales with at least this many times the pixels needed per side."""
TURNED = range(5, 9)
"""EXIF orientations that swap width and height."""
ON_DISK = {
    errno.ELOOP: "symbolic link loop",
    errno.ENOENT: "missing file",
    errno.ENOTDIR: "missing file",
    errno.EISDIR: "not a file",
}
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Unusable:
    """Why a file is not a sample: a `reason` that is stable across versions, and a `detail` for people."""

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Decoded:
    """The square [side, side, 3], and the original; None if it was already that square, or if it was not requested."""

    pixels: Pixels
    original: Original | None = None


def decode(data: bytes, side: int) -> Pixels | Unusable:
    """The pixels [side, side, 3] of an encoded image."""
    with _without_warnings():
        result = _decode(data, side, None)
    return result.pixels if isinstance(result, Decoded) else result


def decode_all(
    sources: Sequence[bytes | Path],
    side: int,
    *,
    display_side: int,
    is_new: Callable[[int, Pixels], bool],
    threads: int,
    done: Callable[[], None],
) -> Iterator[Decoded | Unusable]:
    """Decode each image like `decode`, in order, several at a time; `done` is called after each.

    Images for which `is_new(index, pixels)` is true also return their original, with a picture of at most
    `display_side` px on the longer side; none do if `display_side` is 0.
    """

    def decode_one(number: int, source: bytes | Path) -> Decoded | Unusable:
        data = source if isinstance(source, bytes) else read_file(source)
        policy = _DisplayPolicy(display_side, lambda pixels: is_new(number, pixels)) if display_side else None
        return data if isinstance(data, Unusable) else _decode(data, side, policy)

    pool = ThreadPoolExecutor(threads)
    try:
        with _without_warnings():
            for result in pool.map(decode_one, range(len(sources)), sources):
                done()
                yield result
    finally:
        pool.shutdown(cancel_futures=True)


def read_file(path: Path) -> bytes | Unusable:
    """The bytes of a file."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe might never end
            return Unusable("not a file")
        if status.st_size > MAX_BYTES:
            return Unusable("too many bytes", f"{status.st_size:,} bytes, at most {MAX_BYTES:,} are read")
        return path.read_bytes()
    except OSError as error:
        return Unusable(ON_DISK.get(error.errno or 0, "unreadable file"), error.strerror or "")
    except ValueError as error:  # a name with a null byte
        return Unusable("missing file", str(error))


@dataclass(frozen=True)
class _DisplayPolicy:
    """Which images keep a picture for display, judged by their squares, and the size of that picture."""

    display_side: int
    applies_to: Callable[[Pixels], bool]


def _decode(data: bytes, side: int, policy: _DisplayPolicy | None) -> Decoded | Unusable:
    if not data:
        return Unusable("zero bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return Unusable(
                    "too many pixels", f"{image.width:,} x {image.height:,} pixels, at most {MAX_PIXELS:,} are read"
                )
            whole, size = _read(image, (DRAFT * side, DRAFT * side))
        square = _cut(whole).resize((side, side), Image.Resampling.BICUBIC)
        pixels = np.array(square, np.uint8)
        if policy is None or size == (side, side) or not policy.applies_to(pixels):
            return Decoded(pixels)
        return Decoded(pixels, Original(*size, _picture(data, whole, size, policy.display_side)))
    except UnidentifiedImageError:
        return Unusable("not an image", f"not one of {', '.join(FORMATS)}")
    except Image.DecompressionBombError:
        return Unusable("too many pixels", f"far more than the maximum of {MAX_PIXELS:,} pixels")
    except Exception as error:  # decoders raise all kinds of errors on damaged files
        cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
        return Unusable("truncated" if cut else "damaged image", first_line(error))


def _read(image: Image.Image, at_least: Size) -> tuple[Image.Image, Size]:
    """The whole image, upright and in RGB, and its full size; a JPEG may be scaled down, but not below `at_least`."""
    size = image.size
    image.draft(None, at_least)
    image.load()
    upright, turned = _upright(image)
    return _to_rgb(upright), size[::-1] if turned else size


def _picture(data: bytes, whole: Image.Image, size: Size, display_side: int) -> bytes:
    """The picture for display; a JPEG that was scaled down too far is decoded again."""
    display_size = fit(size, display_side)
    if whole.width < display_size[0] or whole.height < display_size[1]:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            whole, _ = _read(image, display_size if image.size == size else display_size[::-1])
    return encode_picture(whole, display_size)


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image oriented according to EXIF, and whether its width and height were swapped."""
    try:
        return ImageOps.exif_transpose(image), image.getexif().get(ExifTags.Base.Orientation) in TURNED
    except Exception:  # damaged metadata does not affect the pixels
        return image, False


def _cut(image: Image.Image) -> Image.Image:
    """Crop the central square before scaling, so that no pixels from outside it bleed in."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    return image.crop((left, top, left + side, top + side))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_to_bytes(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _to_bytes(grey_HW: NDArray[np.generic]) -> Pixels:
    """Convert grey of more than 8 bits to bytes."""
    grey = np.nan_to_num(grey_HW.astype(np.float64), posinf=0, neginf=0)
    low, high = grey.min(), grey.max()
    if grey_HW.dtype.kind in "iu" and low >= 0 and high <= MAX_16_BIT:
        low, high = 0, MAX_16_BIT
    return ((grey - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence Pillow's warnings about large images and odd metadata; only whether the pixels can be read matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
