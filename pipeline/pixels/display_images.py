"""The picture for display: the whole image in its own aspect ratio, beside the square that the model sees.

It is made from the decoded pixels, upright and in RGB as returned by `pipeline.pixels.decode`, never from the bytes of
the file, so metadata such as place, author and camera is dropped. The longer side is limited and never enlarged. A
picture smaller than 64 px, or with at most 64 colours like a drawing, becomes a lossless PNG; any other a JPEG of
quality 85, about 40 kB at 512 px, which takes a tenth of the time of WebP.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SMALL, FEW_COLORS, QUALITY = 64, 64, 85
Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Original:
    """An image before it became a square: its width and height in pixels, and its encoded picture."""

    width: int
    height: int
    picture: bytes


def fit(size: Size, display_side: int) -> Size:
    """The size with the same aspect ratio whose longer side is at most `display_side`; not enlarged, at least 1 px."""
    scale = min(1.0, display_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def encode_picture(image: Image.Image, size: Size) -> bytes:
    """Encode an RGB image at that size as PNG or JPEG, without any of its metadata."""
    picture = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    picture.info = {}  # comments and colour profiles would be written otherwise
    lossless = max(size) < SMALL or picture.getcolors(FEW_COLORS) is not None
    file = io.BytesIO()
    picture.save(file, "PNG") if lossless else picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def by_sample(sample_id: NDArray[np.int64], originals: Sequence[Original | None]) -> dict[int, Original]:
    """Sample id -> original, for those that are not None."""
    return {number: original for number, original in zip(sample_id.tolist(), originals, strict=True) if original}
