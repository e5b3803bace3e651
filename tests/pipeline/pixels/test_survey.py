"""The survey counts what was planted, and the suggested side suits the images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.pixels.survey import Survey, count_crops, find_losses, suggest_size, survey_images
from tests.support.data.pictures import GREEN, RED, encode, noise, png_header


def of_size(width: int, height: int) -> bytes:
    return encode(noise(width, height))


def survey_of(sizes: list[tuple[int, int]]) -> Survey:
    sides = np.array(sizes)
    return Survey(len(sizes), len(sizes), {}, {}, sides.min(1), sides.max(1), 0, 0, {}, {})


def test_formats_depths_and_sizes_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encode(noise(200, 100), "JPEG"))
    deep = encode(Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30)))
    sources: list[Any] = [tmp_path / "a.jpg", of_size(40, 60), deep, encode(noise(20, 20).convert("RGBA"))]
    survey = survey_images(sources)
    assert dict(survey.formats) == {"PNG": 3, "JPEG": 1}
    assert dict(survey.depths) == {"8-bit colour": 2, "16-bit grey": 1, "8-bit colour with transparency": 1}
    assert sorted(survey.long_N.tolist()) == [20, 30, 60, 200] and survey.total == survey.looked_at == 4
    assert survey.sentences(32)[:2] == [
        "Headers of 4 images: 3 PNG, 1 JPEG; 2 8-bit colour, 1 16-bit grey, 1 8-bit colour with transparency.",
        "The longer side is 20 to 200 px, 45 px in the median; the longer side is 1.2 times the shorter one in the "
        "median, 2 times at most.",
    ]


def test_panoramas_single_pixels_and_icons_are_said() -> None:
    sizes = [(1100, 100), (100, 1100), (1, 1), (8, 8), (1000, 100), (64, 64)]
    survey = survey_images([of_size(*size) for size in sizes])
    said = " ".join(survey.sentences(224))
    assert "2 of 6 images are more than ten times as long as wide or high" in said
    assert "1 of 6 images is of a single pixel" in said and "1 of 6 images is enlarged more than 4 times" in said
    assert "enlarged" not in " ".join(survey.sentences(32)), "8 px at 32 px are enlarged four times, and no more"


def test_losses_are_found_for_each_image_of_the_whole_set() -> None:
    losses = find_losses([(2000, 100), (100, 100), (1, 1), (7, 50)], 32)
    assert losses.panorama_N.tolist() == [True, False, False, False]
    assert losses.enlarged_N.tolist() == [False, False, True, True]
    assert losses.single_pixel_N.tolist() == [False, False, True, False]
    assert count_crops([(2000, 100), (100, 100)], 32) == [
        "1 of 2 images is more than ten times as long as wide or high: the central square shows less than a tenth of "
        "the picture."
    ]
    assert count_crops([(100, 100)], 32) == count_crops([], 32) == []


def test_images_of_one_colour_are_counted_if_they_are_small() -> None:
    blank = [encode(Image.new("RGB", size, RED)) for size in ((30, 30), (1200, 30))]
    survey = survey_images([*blank, of_size(30, 30), encode(Image.new("P", (9, 9)))])
    assert (survey.blank, survey.checked) == (2, 3)
    assert "2 of 3 small images are of a single colour." in survey.sentences(32)


def test_what_cannot_be_read_is_told_with_the_reason_of_the_first(tmp_path: Path) -> None:
    sources: list[Any] = [
        of_size(20, 20), tmp_path / "gone.png", b"", b"text", b"text", png_header(60_000, 60_000), of_size(90, 90)[:200]
    ]  # fmt: skip
    survey = survey_images(sources)
    assert dict(survey.unreadable) == {
        "not an image": 2, "missing file": 1, "zero bytes": 1, "too many pixels": 1, "truncated": 1,
    }  # fmt: skip
    assert survey.examples["not an image"][0] == 3
    assert any(s.startswith("2 of 7 cannot be read (not an image: not one of PNG") for s in survey.sentences(32))
    assert survey_images([]).sentences(32) == ["The source has no images."]


def test_a_large_source_is_looked_at_in_a_sample_that_stays_the_same() -> None:
    sources = [of_size(20, 20)] * 300 + [of_size(40, 40)] * 300
    survey = survey_images(sources, sample=60)
    assert survey.looked_at == 60 and survey.total == 600 and (survey.long_N == 20).sum() == 30
    assert survey.sentences(32)[0].startswith("Headers of 60 of 600 images")
    assert (survey_images(sources, sample=60).long_N == survey.long_N).all()


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(28, 28)] * 3, 32), ([(32, 32)] * 3, 32), ([(16, 16)], 16), ([(1, 1)], 16), ([(50, 200)], 56),
        ([(64, 64)], 64), ([(400, 300), (64, 64), (4000, 3000)], 64), ([(20, 20), (20, 20), (900, 900)], 24),
    ],
)  # fmt: skip
def test_the_suggested_side_keeps_small_images_and_limits_large_ones(sizes: list[tuple[int, int]], side: int) -> None:
    found, reason = suggest_size(survey_of(sizes))
    assert found == side and f"{side} px" in reason


def test_without_a_readable_image_the_default_is_suggested() -> None:
    assert suggest_size(survey_images([b"text"]))[0] == 32


def test_several_frames_and_colours_do_not_disturb_the_survey() -> None:
    frames = [Image.new("RGB", (30, 30), color) for color in (RED, GREEN)]
    sources = [encode(frames[0], kind, save_all=True, append_images=frames[1:]) for kind in ("GIF", "TIFF", "PNG")]
    sources += [encode(noise(30, 30).convert(mode), "TIFF") for mode in ("1", "L", "CMYK")]
    survey = survey_images(sources)
    assert survey.blank == 3 and not survey.unreadable
    assert {"black and white", "8-bit grey", "8-bit CMYK"} <= set(survey.depths)
