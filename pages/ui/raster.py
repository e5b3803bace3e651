"""A picture of more dots than a browser should draw: where they lie densest, in their mean colour.

After datashader's shading of categories (Anaconda, 2016): opacity grows with the logarithm of the count, so that
one dot stays visible beside a thousand.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Extent = tuple[float, float, float, float]
"""Left, right, bottom, top in the coordinates of the map."""
FAINTEST, STRONGEST = 0.35, 0.95
DISC = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
"""Each dot is a small disc instead of one pixel: the rows and columns it covers."""


def draw_density(
    x_N: NDArray[np.float64],
    y_N: NDArray[np.float64],
    rgb_N3: NDArray[np.float64],
    extent: Extent,
    *,
    width: int,
    height: int,
    opacity: float = 1.0,
) -> NDArray[np.uint8]:
    """The picture [height, width, 4], transparent where nothing lies."""
    left, right, bottom, top = extent
    down, across = np.transpose(DISC)
    column = np.floor((x_N - left) / (right - left) * width).astype(np.int64)[:, None] + across
    row = np.floor((top - y_N) / (top - bottom) * height).astype(np.int64)[:, None] + down
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    cell, colors = (row * width + column)[inside], np.repeat(rgb_N3, len(DISC), axis=0)[inside.ravel()]
    count = np.bincount(cell, minlength=width * height)
    shown = np.flatnonzero(count)
    picture = np.zeros((height * width, 4), dtype=np.uint8)
    for channel in range(3):
        total = np.bincount(cell, colors[:, channel], minlength=width * height)
        picture[shown, channel] = np.round(total[shown] / count[shown])
    strength = np.log1p(count[shown]) / math.log1p(max(int(count.max(initial=0)), 1))
    picture[shown, 3] = np.round(255 * opacity * (FAINTEST + (STRONGEST - FAINTEST) * strength))
    return picture.reshape(height, width, 4)


def over(above: NDArray[np.uint8], below: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One picture laid over another."""
    return np.asarray(Image.alpha_composite(Image.fromarray(below), Image.fromarray(above)))


def to_png(picture: NDArray[np.uint8]) -> bytes:
    """The picture as a PNG file."""
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()
