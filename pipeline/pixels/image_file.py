"""Read and open an encoded image, and say why that is not possible; the format is detected by content."""

import errno
import importlib
import importlib.util
import io
import logging
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO, Protocol

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from lake.errors import first_line
from pipeline.pixels.tiff_bands import explain_tiff
from pipeline.pixels.unusable import Unusable

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Detected by content, whatever the file name; none of these decoders starts another program."""
MAX_PIXELS = 50_000_000
MAX_BYTES = 512 * 2**20
TURNED = range(5, 9)
"""EXIF orientations that swap width and height."""
ON_DISK = {
    errno.ELOOP: "symbolic link loop",
    errno.ENOENT: "missing file",
    errno.ENOTDIR: "missing file",
    errno.EISDIR: "not a file",
}
HEAD = 160
"""Bytes that tell the format."""
HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"}
EITHER_BRANDS = {b"mif1", b"msf1"}
"""Of HEIC, or of AVIF if they name it among the further brands."""
CONVERT = "convert it to PNG first"
SIGNATURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8")
"""How files of formats that are read begin, if that is all that can be read of them."""
FOREIGN = {
    (128, b"DICM"): f"DICOM: {CONVERT}, for instance with DCMTK or pydicom, with the window applied",
    (0, b"\xff\x0a"): f"JPEG XL: {CONVERT}, for instance with djxl",
    (0, b"\0\0\0\x0cJXL "): f"JPEG XL: {CONVERT}, for instance with djxl",
    (0, b"%PDF"): f"PDF: {CONVERT}, for instance with pdftoppm -png",
    (0, b"8BPS"): f"Photoshop file: {CONVERT}",
    (0, b"\x93NUMPY"): f"NumPy array: {CONVERT}",
    (0, b"SIMPLE  ="): f"FITS: {CONVERT}, or to TIFF of 32-bit floats",
    (0, b"version https://git-lfs"): "pointer to a file of Git LFS: run git lfs pull in its folder",
    (0, b"<svg"): f"SVG: {CONVERT}, for instance with rsvg-convert",
    (0, b"<?xml"): f"XML, perhaps SVG: {CONVERT}, for instance with rsvg-convert",
    (0, b"<!DOCTYPE html"): "web page: download the image again",
    (0, b"<!doctype html"): "web page: download the image again",
    (0, b"<html"): "web page: download the image again",
    (0, b"\x89HDF"): f"HDF5: {CONVERT}",
    (0, b"\x76\x2f\x31\x01"): f"OpenEXR: {CONVERT}, or to TIFF of 32-bit floats",
}
"""Position and bytes of formats of pictures that are not read, and what to do."""

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what it logs of a damaged file is told as the reason


class Encoded(Protocol):
    """An image that is neither a file nor bytes in memory."""

    def read(self) -> bytes | Unusable:
        """The encoded image; called from several threads."""


Source = bytes | Path | Encoded


def read(source: Source) -> bytes | Unusable:
    """The encoded bytes of an image, wherever they are."""
    if isinstance(source, bytes):
        return source
    return read_file(source) if isinstance(source, Path) else source.read()


def read_file(path: Path) -> bytes | Unusable:
    """The bytes of a file."""
    try:
        return _check_file(path) or path.read_bytes()
    except (OSError, ValueError) as error:
        return _unreadable(error)


def open_source(source: Source) -> BinaryIO | Unusable:
    """The encoded image to read from, where it is a file without reading it whole; to be closed by the caller."""
    if isinstance(source, Path):
        try:
            return _check_file(source) or source.open("rb")
        except (OSError, ValueError) as error:
            return _unreadable(error)
    data = read(source)
    return data if isinstance(data, Unusable) else io.BytesIO(data)


def open_image(file: BinaryIO) -> ImageFile:
    """The image of a file positioned at its start; only the header is read. Raises what `explain_error` explains."""
    head = file.read(HEAD)
    file.seek(0)
    return Image.open(file, formats=(*FORMATS, "HEIF") if _is_heic(head) and _register_heic() else FORMATS)


def explain_error(error: Exception, file: BinaryIO) -> Unusable:
    """Why an image cannot be decoded: decoders raise all kinds of errors on damaged files."""
    file.seek(0)
    head = file.read(HEAD)
    if _is_heic(head) and not _register_heic():
        return Unusable("not an image", "HEIC needs pip install 'latentlake[heic]'")
    if _is_heic(head):
        return Unusable("damaged image", f"HEIC: {first_line(error)}")
    if isinstance(error, Image.DecompressionBombError):
        return Unusable("too many pixels", f"far more than the maximum of {MAX_PIXELS:,} pixels")
    if isinstance(error, UnidentifiedImageError):
        if head.startswith(SIGNATURES):
            return Unusable("damaged image", "its header cannot be read")
        said = next((words for (at, magic), words in FOREIGN.items() if head[at:].startswith(magic)), None)
        return explain_tiff(file) or Unusable("not an image", said or f"not one of {', '.join(FORMATS)}")
    cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
    return Unusable("truncated" if cut else "damaged image", first_line(error))


def refuse_size(image: Image.Image) -> Unusable | None:
    """The reason not to decode an image that has too many pixels."""
    if image.width * image.height <= MAX_PIXELS:
        return None
    return Unusable("too many pixels", f"{image.width:,} x {image.height:,} pixels, at most {MAX_PIXELS:,} are read")


def upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image oriented according to EXIF, and whether its width and height were swapped."""
    try:
        return ImageOps.exif_transpose(image), image.getexif().get(ExifTags.Base.Orientation) in TURNED
    except Exception:  # damaged metadata does not affect the pixels
        return image, False


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence Pillow's warnings about large images and odd metadata; only whether the pixels can be read matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_file(path: Path) -> Unusable | None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe might never end
        return Unusable("not a file")
    if status.st_size > MAX_BYTES:
        return Unusable("too many bytes", f"{status.st_size:,} bytes, at most {MAX_BYTES:,} are read")
    return None


def _unreadable(error: OSError | ValueError) -> Unusable:
    if isinstance(error, OSError):
        return Unusable(ON_DISK.get(error.errno or 0, "unreadable file"), error.strerror or "")
    return Unusable("missing file", str(error))  # a name with a null byte


def _is_heic(head: bytes) -> bool:
    if head[4:8] != b"ftyp":
        return False
    return head[8:12] in HEIC_BRANDS or (head[8:12] in EITHER_BRANDS and b"avif" not in head and b"avis" not in head)


@cache
def _register_heic() -> bool:
    """Let Pillow read HEIC; whether the package for it is installed."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif  # an extra, and slow to import

    pillow_heif.register_heif_opener()
    return True
