"""Open a text file of any encoding, plain or compressed: what it holds decides, and not its name.

UTF-8 is taken if the whole file is valid; UTF-16 and UTF-32 with a byte order mark, UTF-16 also without; anything else
is guessed from all its lines outside ASCII, and the guess has a word to check it by. What cannot be told is refused.
"""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from lake.errors import UserError, first_line
from pipeline.source.text.character_sets import guess_encoding

CHUNK = 2**20
SAMPLE = 2**18
"""Bytes of lines outside ASCII that an encoding is guessed from."""
SHARE = 0.8
"""The share of bytes outside ASCII that form UTF-8 above which a file is damaged UTF-8, and no other encoding."""
GZIP, BZIP2, XZ, ZSTANDARD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", ""),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
UTF_8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
OTHER_FORMATS = (
    (b"PK\x03\x04", "is a zip archive or an Excel workbook, not text: save it as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook, not text: save it as CSV UTF-8"),
    (b"PAR1", "is a parquet file, not text: name it .parquet"),
    (b"version https://git-lfs", "is only a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
    (b"<!doctype html", "is a web page, not a table: download the file itself"),
    (b"<html", "is a web page, not a table: download the file itself"),
    (b"{", "is JSON, not delimited text: convert it to parquet, such as with polars"),
    (b"[{", "is JSON, not delimited text: convert it to parquet, such as with polars"),
    (b"%PDF", "is a PDF, not text: save the table as CSV UTF-8"),
)


@dataclass(frozen=True)
class TextEncoding:
    """How the bytes of a file become text."""

    codec: str
    remark: str = ""
    """For people, with a word by which to check a guess; empty for UTF-8."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert the errors of a missing, unreadable or damaged file into `UserError`."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"The table {path} does not exist: check source in [dataset].") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        raise UserError(f"The table {path} cannot be read ({first_line(error)}): check the file.") from None


def is_compressed(path: Path) -> bool:
    """Whether a file is gzip, bzip2, xz or Zstandard."""
    with path.open("rb") as file:
        return file.read(6).startswith((GZIP, BZIP2, XZ, ZSTANDARD))


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed if it is gzip, bzip2, xz or Zstandard."""
    with path.open("rb") as raw:
        magic = raw.read(6)
        raw.seek(0)
        if magic.startswith(GZIP):
            with gzip.open(raw) as unpacked:
                yield cast(BinaryIO, unpacked)
        elif magic.startswith(BZIP2):
            with bz2.open(raw) as unpacked_bz2:
                yield cast(BinaryIO, unpacked_bz2)
        elif magic.startswith(XZ):
            with lzma.open(raw) as unpacked_xz:
                yield cast(BinaryIO, unpacked_xz)
        elif magic.startswith(ZSTANDARD):
            with pa.CompressedInputStream(raw, "zstd") as unpacked_zstd:
                yield cast(BinaryIO, unpacked_zstd)
        else:
            yield raw


@contextmanager
def open_text(path: Path, codec: str, errors: str = "strict") -> Iterator[io.TextIOWrapper]:
    """The text of a file, whose lines may end in any way and keep their ends."""
    with open_bytes(path) as data:
        yield io.TextIOWrapper(data, encoding=codec, errors=errors, newline="")


def find_encoding(path: Path) -> TextEncoding:
    """The encoding of the whole file. Raises `UserError` if it is no text, is damaged, or cannot be told."""
    if path.exists() and not path.is_file():  # reading a pipe might never end
        raise UserError(f"The table {path} is not a file: check source in [dataset].")
    with reading(path):
        with open_bytes(path) as data:
            start = data.read(CHUNK)
        _refuse_other_formats(path, start)
        for mark, codec, name in MARKS:
            if start.startswith(mark):
                return TextEncoding(codec, name)
        if b"\0" in start:
            return _without_mark(path, start)
        if _is_utf_8(path):
            return TextEncoding("utf-8")
        sample = _beyond_ascii(path)
    if _share_of_utf_8(sample) > SHARE:
        raise UserError(
            f"The table {path} is damaged: it is UTF-8, but line {line_of_damage(path, 'utf-8'):,} is not; "
            "save it again as CSV UTF-8."
        )
    guess = guess_encoding(sample)
    if guess is None:
        raise UserError(
            f"The encoding of the table {path} cannot be told, as line {line_of_damage(path, 'utf-8'):,} is not UTF-8: "
            "save it as CSV UTF-8."
        )
    codec, name, word = guess
    return TextEncoding(codec, f'{name} (such as "{word[:40]}")')


def line_of_damage(path: Path, codec: str) -> int:
    """The first line, counted from 1, that is not valid in an encoding."""
    with open_text(path, codec, errors="replace") as lines:
        return next((number for number, line in enumerate(lines, 1) if "\ufffd" in line), 1)


def _refuse_other_formats(path: Path, start: bytes) -> None:
    if not start.strip():
        raise UserError(f"The table {path} is empty: it needs a line of column names and one line for each image.")
    for magic, sentence in OTHER_FORMATS:
        if start[: len(magic)].lower() == magic.lower():
            raise UserError(f"The table {path} {sentence}.")


def _without_mark(path: Path, start: bytes) -> TextEncoding:
    """UTF-16 without a mark: every ASCII character, and all line ends, have a zero byte on the same side."""
    zeros = [start[side::2].count(0) for side in (0, 1)]
    codec = "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    try:
        text = codecs.getincrementaldecoder(codec)().decode(start)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or not ({"\n", "\r"} & set(text)):
        raise UserError(f"The table {path} is not text: it has zero bytes, as images and archives have.")
    return TextEncoding(codec, "UTF-16")


def _is_utf_8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(path):
            if b"\0" in chunk:
                raise UserError(f"The table {path} is not text, or it is damaged: it has zero bytes.")
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _chunks(path: Path) -> Iterator[bytes]:
    with open_bytes(path) as data:
        read: Callable[[], bytes] = lambda: data.read(CHUNK)  # noqa: E731
        yield from iter(read, b"")


def _beyond_ascii(path: Path) -> bytes:
    """Lines outside ASCII, as many as a guess needs."""
    found, size, rest = [], 0, b""
    for chunk in _chunks(path):
        *lines, rest = re.split(rb"[\r\n]+", rest + chunk)
        beyond = [line for line in lines if not line.isascii()]
        found += beyond
        size += sum(map(len, beyond))
        if size > SAMPLE:
            return b"\n".join(found)
    return b"\n".join([*found, rest])


def _share_of_utf_8(sample: bytes) -> float:
    beyond = len(re.findall(rb"[\x80-\xff]", sample))
    return sum(len(match) for match in UTF_8.findall(sample)) / max(beyond, 1)
