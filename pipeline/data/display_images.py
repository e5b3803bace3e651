"""The picture as people know it, whole and in its own aspect, beside the square that the model sees.

It is made of the decoded pixels, upright and in RGB as `pipeline.data.decode` has them, never of the file's bytes:
where it was taken, by whom and with what stays behind. The longer side is at most so many pixels, never enlarged.
A picture with less than 64 px on its longer side, or with at most 64 colours as drawings have, is a PNG without loss;
any other is a JPEG of quality 85, some 40 kB at 512 px, which costs a tenth of the time of WebP.
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
    """What an image was before it became a square: its width and height in pixels, and the encoded picture of it."""

    width: int
    height: int
    picture: bytes


def fit(size: Size, display_side: int) -> Size:
    """The size in the same aspect whose longer side is at most `display_side`; never larger, and 1 px at least."""
    scale = min(1.0, display_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def encode_picture(image: Image.Image, size: Size) -> bytes:
    """The pixels of an RGB image at that size as PNG or JPEG, without anything else the image carries."""
    picture = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    picture.info = {}  # comments and colour profiles would be written again
    lossless = max(size) < SMALL or picture.getcolors(FEW_COLORS) is not None
    file = io.BytesIO()
    picture.save(file, "PNG") if lossless else picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def by_sample(sample_id: NDArray[np.int64], originals: Sequence[Original | None]) -> dict[int, Original]:
    """The originals that there are, by the number of the sample."""
    return {number: one for number, one in zip(sample_id.tolist(), originals, strict=True) if one}
