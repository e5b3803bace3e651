"""HEIC, the format of iPhones, with the extra that reads it and without."""

import importlib.util
import io
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pipeline.pixels import image_file
from pipeline.pixels.decode import Unusable, decode
from tests.support.data.pictures import RED, encode

SIDE = 16
BLUE = (0, 0, 255)


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    found = decode(data, SIDE)
    assert not isinstance(found, Unusable), found
    return found.astype(int)


@pytest.fixture
def without_heic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the extra `heic` were not installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pillow_heif" else find_spec(name))
    image_file._register_heic.cache_clear()
    yield
    image_file._register_heic.cache_clear()


@pytest.mark.usefixtures("without_heic")
@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"hevc"])
def test_heic_names_the_package_that_reads_it(brand: bytes) -> None:
    found = decode(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(500), SIDE)
    assert found == Unusable("not an image", "HEIC needs pip install 'latentlake[heic]'")


def test_heic_of_a_phone_is_read_and_turned() -> None:
    image = Image.new("RGB", (64, 64), RED)
    image.paste(BLUE, (0, 0, 64, 32))
    exif = Image.Exif()
    exif[0x0112] = 3
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95, exif=exif.tobytes())
    assert buffer.getvalue()[4:8] == b"ftyp"
    found = pixels(buffer.getvalue())
    assert abs(found[0] - RED).max() < 12 and abs(found[-1] - BLUE).max() < 12
    assert isinstance(decode(buffer.getvalue()[:200], SIDE), Unusable)


def test_avif_is_not_taken_for_heic() -> None:
    data = encode(Image.new("RGB", (40, 40), RED), "AVIF")
    assert abs(pixels(data) - RED).max() < 8
    renamed = data.replace(b"ftypavif", b"ftypmif1", 1)
    assert not isinstance(found := decode(renamed, SIDE), Unusable) or "HEIC" not in found.detail
