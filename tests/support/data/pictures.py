"""Image files with known contents."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from tests.support.data.drawn import CLASSES, draw_shape

SIDE = 32
RED, GREEN, WHITE = (220, 30, 30), (30, 200, 60), (255, 255, 255)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def corner() -> Image.Image:
    """Green with a red quarter at the top left."""
    image = Image.new("RGB", (64, 64), GREEN)
    image.paste(RED, (0, 0, 32, 32))
    return image


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size but has no pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return header + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def picture(seed: int, side: int = 32) -> bytes:
    image = draw_shape(CLASSES[seed % 4], 120, np.random.default_rng(seed))
    return encode(Image.fromarray(image).resize((side, side)))
