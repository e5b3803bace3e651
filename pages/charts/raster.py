"""Picture of more dots than a browser should draw: their density, in their mean colour.

After datashader's shading of categories (Anaconda, 2016): opacity grows with the logarithm of the count, so that
one dot stays visible beside a thousand.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lake.pictures import encode_png

Extent = tuple[float, float, float, float]
"""Left, right, bottom, top in the coordinates of the map."""
FAINTEST, STRONGEST = 0.35, 0.95
DISC = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
"""Offsets in rows and columns of the pixels that a dot covers, a small disc."""


class Density:
    """Counts and colours of dots on a picture of `extent`, `width` by `height` pixels; they can be added in parts."""

    def __init__(self, extent: Extent, *, width: int, height: int) -> None:
        self._extent, self._shape = extent, (height + 2, width + 2)  # the disc of a dot just outside is visible
        self._sums_HW4 = np.zeros((*self._shape, 4))

    def add(self, x_N: NDArray[np.float64], y_N: NDArray[np.float64], rgb_N3: NDArray[np.float64]) -> None:
        """Add dots at positions on the map, with colours from 0 to 255."""
        left, right, bottom, top = self._extent
        rows, columns = self._shape
        column = np.floor((x_N - left) / (right - left) * (columns - 2)).astype(np.int64) + 1
        row = np.floor((top - y_N) / (top - bottom) * (rows - 2)).astype(np.int64) + 1
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        cell, colors = (row * columns + column)[inside], rgb_N3[inside]
        weights = (None, *colors.T)
        for channel, weight in enumerate(weights):
            self._sums_HW4[..., channel] += np.bincount(cell, weight, minlength=rows * columns).reshape(rows, columns)

    def to_picture(self, *, opacity: float = 1.0) -> NDArray[np.uint8]:
        """Return the picture [height, width, 4], transparent where there are no dots."""
        spread = np.zeros_like(self._sums_HW4)
        for step in DISC:
            spread += np.roll(self._sums_HW4, step, axis=(0, 1))
        sums = spread[1:-1, 1:-1]
        count = sums[..., 0]
        covered = count > 0
        picture = np.zeros(sums.shape, dtype=np.uint8)
        picture[covered, :3] = np.round(sums[covered, 1:] / count[covered, None])
        strength = np.log1p(count[covered]) / math.log1p(max(count.max(initial=0), 1))
        picture[covered, 3] = np.round(255 * opacity * (FAINTEST + (STRONGEST - FAINTEST) * strength))
        return picture


def over(above: NDArray[np.uint8], below: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return one picture composited over another."""
    return np.asarray(Image.alpha_composite(Image.fromarray(below), Image.fromarray(above)))


def to_png(picture: NDArray[np.uint8]) -> bytes:
    """Encode the picture as PNG."""
    return encode_png(picture, compression=1)
