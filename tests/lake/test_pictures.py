"""A PNG holds the pixels that it was made of."""

import io

import numpy as np
import pytest
from PIL import Image

from lake.pictures import encode_png


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3), (3, 5, 4), (1, 1, 3)])
def test_a_png_decodes_to_the_same_pixels(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(encode_png(pixels))) as picture:
        assert picture.format == "PNG" and np.array_equal(np.asarray(picture), pixels)
