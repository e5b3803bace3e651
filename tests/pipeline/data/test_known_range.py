"""The range of deep images is kept when others are added, and extended by new kinds of numbers only."""

import io

import numpy as np
from PIL import Image

from pipeline.data.known_range import SETTING, settle_range
from pipeline.pixels.bit_depth import ValueRange
from pipeline.source.answers import Assumed


def grey(highest: float, dtype: str = "uint16") -> bytes:
    ramp = np.linspace(0, highest, 256).reshape(16, 16).astype(dtype)
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "TIFF")
    return file.getvalue()


def test_images_of_8_bits_have_none() -> None:
    known = settle_range([grey(255, "uint8")], [])
    assert (known.value_range, known.to_assumed()) == (None, [])


def test_the_range_of_an_earlier_run_is_kept_when_brighter_images_are_added() -> None:
    first = settle_range([grey(4095)], [])
    assert first.value_range == ValueRange({"unsigned": (0, 4095)})
    again = settle_range([grey(4095), grey(65_535)], [Assumed("labels", {}, ""), *first.to_assumed()])
    assert again.value_range == first.value_range and again.to_assumed() == first.to_assumed()


def test_a_new_kind_of_numbers_is_measured_and_the_others_stay() -> None:
    first = settle_range([grey(4095)], []).to_assumed()
    both = settle_range([grey(1000), grey(2.0, "float32")], first)
    assert both.value_range is not None
    assert both.value_range.limits["unsigned"] == (0, 4095) and "float" in both.value_range.limits
    assert [one.setting for one in both.to_assumed()] == [SETTING]
