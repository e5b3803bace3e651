"""Whether bytes or texts are encoded images, judged by how they begin."""

import base64
import binascii
import re
from dataclasses import dataclass

from pipeline.pixels.decode import Unusable

STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
CONTAINERS = (b"ftypavif", b"ftypavis", b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1")
CODESTREAMS = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a")
HEAD = 64
"""Bytes that suffice to recognise an image."""
LEAST = 32
"""No encoded image has fewer bytes."""
_PPM = re.compile(rb"P[1-7]\s")
_DATA_URI = re.compile(r"\s*data:(?P<kind>[\w.+-]+/[\w.+-]+)?(?P<parameters>(;[^,;]*)*),", re.IGNORECASE)
_ALPHABET = re.compile(r"[A-Za-z0-9+/_\-\s]+={0,2}\s*")


def is_encoded(data: bytes, length: int | None = None) -> bool:
    """Whether bytes, or the first of them if there are `length`, begin like an image of a known format."""
    size = len(data) if length is None else length
    if size < LEAST:
        return False
    if data.startswith(b"BM"):  # two letters are not much: the header repeats the size of the file
        return int.from_bytes(data[2:6], "little") == size
    return (
        data.startswith(STARTS + CODESTREAMS)
        or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")
        or data[4:12] in CONTAINERS
        or _PPM.match(data) is not None
    )


def is_data_uri(text: str) -> bool:
    """Whether a text is `data:image/png;base64,...` or a sibling."""
    return _DATA_URI.match(text[:200]) is not None


def is_base64_image(text: str) -> bool:
    """Whether a text is an encoded image in base64, of either alphabet, in one line or several."""
    if len(text) < LEAST or not _ALPHABET.fullmatch(text):
        return False
    data = decode_base64(text)
    return data is not None and is_encoded(data)


def decode_base64(text: str) -> bytes | None:
    """The bytes of base64 in either alphabet, with or without line breaks and padding; None if it is none."""
    plain = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


@dataclass(frozen=True)
class TextImage:
    """An image that is written as a text: base64 or a data URI."""

    text: str

    def read(self) -> bytes | Unusable:
        """The encoded image."""
        match = _DATA_URI.match(self.text[:200])
        if match is None:
            data = decode_base64(self.text)
        elif "base64" in match["parameters"].lower():
            data = decode_base64(self.text[match.end() :])
        else:
            return Unusable("damaged base64", "only data URIs in base64 are read")
        return data if data is not None else Unusable("damaged base64", f"{len(self.text):,} characters")
