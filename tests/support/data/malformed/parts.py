"""What malformed sources are made of: odd texts, images of any bytes, and changes of bytes."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from lake.pictures import encode_png

ROWS = 104
"""A few more than a dataset needs, so that what is usable is decoded and split."""
ODD_TEXTS = [
    *("", " ", "\t", "\r", "a\nb", "a\r\nb", "\x00", "a\x00b", "\x1b[31m", "\x7f", "\ufeffcat", "\u202ecat", "\u2028"),
    *("cat", "Cat", "cat ", "ｃat", "e\u0301", "\u00e9", "猫", "🐈", "\U0010ffff", "ß", "İ", "٣", "²", "½"),
    *("nan", "NaN", "None", "null", "N/A", "-1", "0", "00", "1.0", "1e999", "-0", "9" * 40, "0x1", "1_000", "True"),
    *("[1, 2", "[]", "[nan]", "{'a': 1}", "{", '"', "'", "''", "=1+1", "[bold]", "%", "%00", "%zz", "{0}", "*", "?"),
    *(
        "train",
        "Train/VAL",
        "test ",
        "fold",
        "..",
        ".",
        "/",
        "//",
        "../../etc/passwd",
        "/dev/zero",
        "~",
        "~nobody/x.png",
    ),
    *("C:\\a.png", "\\\\host\\a.png", "file:///x.png", "file:x", "http://[::1", "http://", "s3://", "ftp://a/b.png"),
    *("data:image/png;base64,!!!!", "data:,", "iVBORw0KGgo", "/9j/4AAQ", "a.png", "b/../a.png", "./a.png", "A.PNG"),
    *("a" * 3_000, "/".join(["a"] * 500) + ".png", "x" * 300 + ".png", "1," * 300, "😀" * 300),
]
TEXTS = st.one_of(st.sampled_from(ODD_TEXTS), st.text(st.characters(codec="utf-8"), max_size=12))


@dataclass(frozen=True)
class Malformed:
    """A source with its settings; `entries` is how many images or rows it names, where that is known."""

    source: Path
    settings: dict[str, Any] = field(default_factory=dict)
    entries: int | None = None


Build = Callable[[st.DataObject, Path], Malformed]
"""Writes a source that hypothesis draws below a folder that is empty."""


def draw_picture(kind: str, mode: str = "RGB", size: tuple[int, int] = (8, 8)) -> bytes:
    """A small image of a format and mode of Pillow."""
    buffer = io.BytesIO()
    values = np.random.default_rng(len(kind)).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(values).convert("L").convert(mode).save(buffer, kind) if mode != "RGB" else Image.fromarray(
        values
    ).save(buffer, kind)
    return buffer.getvalue()


PICTURES = [
    *(draw_picture(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000")),
    *(draw_picture("PNG", mode) for mode in ("1", "L", "P", "RGBA", "I;16")),
    *(draw_picture("TIFF", mode) for mode in ("F", "I", "CMYK", "LAB")),
    draw_picture("PNG", size=(1, 1)),
    draw_picture("PNG", size=(300, 1)),
]
PLAIN = [encode_png(np.full((8, 8, 3), 20 * i, np.uint8)) for i in range(10)]
FOREIGN = [
    b"",
    b"\x00",
    b"%PDF-1.4",
    b"GIF89a",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\x00",
    b"BM",
    b"P6\n9 9\n255\n",
]


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with up to four changes: cut, overwritten, with something inserted, left out or doubled."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data), 1) - 1))
        end = min(len(data), at + draw(st.integers(1, 40)))
        some = draw(st.binary(min_size=1, max_size=6))
        how = draw(st.sampled_from(["cut", "overwrite", "insert", "leave out", "double", "fill"]))
        data = {
            "cut": data[:at],
            "overwrite": data[:at] + some + data[at + len(some) :],
            "insert": data[:at] + some + data[at:],
            "leave out": data[:at] + data[end:],
            "double": data[:end] + data[at:],
            "fill": data[:at] + some[:1] * (end - at) + data[end:],
        }[how]
    return data


def maybe_changed(data: st.DataObject, valid: bytes) -> bytes:
    """The bytes as they are, or changed."""
    return data.draw(changed(valid)) if data.draw(st.booleans()) else valid


PICTURE_BYTES = st.one_of(
    st.sampled_from([*PICTURES, *FOREIGN]),
    st.sampled_from(PICTURES).flatmap(changed),
    st.binary(max_size=30),
)


def tiled(values: list[Any], rows: int) -> list[Any]:
    """The values again and again, `rows` in all."""
    return [values[i % len(values)] for i in range(rows)]
