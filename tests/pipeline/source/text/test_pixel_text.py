"""Numbers in a table become the images that were written, and other numbers no images."""

import io

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image

from lake.errors import UserError
from pipeline.pixels.decode import Unusable
from pipeline.source.listing import Encoded
from pipeline.source.text.pixel_text import find_pixels, list_pixels

COUNT, SIDE = 12, 16


@pytest.fixture
def grey() -> NDArray[np.uint8]:
    """Images [N, S, S] that are not symmetric."""
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 200, SIDE)[None, :, None] * np.linspace(0.2, 1, SIDE)
    return np.clip(slope + rng.normal(25, 8, (COUNT, SIDE, SIDE)), 0, 255).astype(np.uint8)


@pytest.fixture
def colour(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images [N, S, S, 3] whose channels differ."""
    return np.stack([grey, 255 - grey, grey // 2], axis=-1)


def wide(images: NDArray[np.generic], names: list[str] | None = None) -> pl.DataFrame:
    """A table of a label and one column for each number."""
    flat_NP = images.reshape(len(images), -1)
    names = names or [f"pixel{i}" for i in range(flat_NP.shape[1])]
    columns = {name: [str(value) for value in flat_NP[:, i]] for i, name in enumerate(names)}
    return pl.DataFrame({"label": [str(i % 3) for i in range(len(images))], **columns})


def joined(images: NDArray[np.generic], form: str = "{}", blank: str = " ") -> pl.DataFrame:
    """A table as fer2013: all numbers of an image in one column."""
    texts = [form.format(blank.join(map(str, image.ravel()))) for image in images]
    labels = [str(i % 3) for i in range(len(images))]
    return pl.DataFrame({"emotion": labels, "pixels": texts, "Usage": ["Training"] * len(images)})


def decode(encoded: Encoded) -> NDArray[np.uint8]:
    data = encoded.read()
    assert isinstance(data, bytes)
    return np.array(Image.open(io.BytesIO(data)))


def read_all(frame: pl.DataFrame) -> NDArray[np.uint8]:
    columns = find_pixels(frame)
    assert columns is not None
    return np.array([decode(encoded) for encoded in list_pixels(frame, columns)])


@pytest.mark.parametrize(("form", "blank"), [("{}", " "), ("{}", ", "), ("[{}]", ","), ("[{}]", "\n ")])
def test_one_column_of_many_numbers(form: str, blank: str, grey: NDArray[np.uint8]) -> None:
    frame = joined(grey, form, blank)
    columns = find_pixels(frame)
    assert columns is not None and (columns.names, columns.side, columns.layout) == (["pixels"], SIDE, "grey")
    assert columns.remark == "The images are the numbers in the column 'pixels': 16 x 16 pixels, grey."
    np.testing.assert_array_equal(read_all(frame), grey)


@pytest.mark.parametrize("form", ["pixel{}", "pixel{:04}", "px_{}", "{}", "f{}"])
@pytest.mark.parametrize("first", [0, 1])
def test_one_column_for_each_number(form: str, first: int, grey: NDArray[np.uint8]) -> None:
    frame = wide(grey, [form.format(i + first) for i in range(SIDE**2)])
    np.testing.assert_array_equal(read_all(frame), grey)
    shuffled = frame.select(np.random.default_rng(1).permutation(frame.columns).tolist())
    np.testing.assert_array_equal(read_all(shuffled), grey)


@pytest.mark.parametrize("form", ["{}x{}", "pixel_{}_{}"])
def test_columns_named_by_row_and_column(form: str, grey: NDArray[np.uint8]) -> None:
    names = [form.format(row + 1, column + 1) for row in range(SIDE) for column in range(SIDE)]
    np.testing.assert_array_equal(read_all(wide(grey, names)), grey)


def test_whole_floats_are_integers(grey: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(read_all(wide(grey.astype(float))), grey)


def test_colours_pixel_by_pixel_and_plane_by_plane_are_told_apart(colour: NDArray[np.uint8]) -> None:
    for frame in (joined(colour), wide(colour)):
        columns = find_pixels(frame)
        assert columns is not None and columns.layout == "pixels of RGB" and columns.remark.endswith("pixels of RGB.")
        np.testing.assert_array_equal(read_all(frame), colour)
    planes = np.moveaxis(colour, 3, 1)
    assert (found := find_pixels(wide(planes))) is not None and found.layout == "planes of RGB"
    np.testing.assert_array_equal(read_all(wide(planes)), colour)


def test_colours_that_are_nearly_grey_are_told_apart_too(grey: NDArray[np.uint8]) -> None:
    colour = np.stack([grey, grey, grey], axis=-1)
    np.testing.assert_array_equal(read_all(joined(colour)), colour)
    np.testing.assert_array_equal(read_all(joined(np.moveaxis(colour, 3, 1))), colour)


def test_colours_of_noise_are_refused_as_their_layout_is_not_clear() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3))
    with pytest.raises(UserError, match="pixel by pixel or plane by plane is not clear"):
        find_pixels(wide(noise))


@pytest.mark.parametrize("levels", [1, 15, 16])
def test_images_of_few_levels_are_brightened(levels: int) -> None:
    images = np.random.default_rng(0).integers(0, levels + 1, (COUNT, 8, 8))
    columns = find_pixels(wide(images))
    assert columns is not None and columns.brightest == levels and f"{levels} is taken as white" in columns.remark
    np.testing.assert_array_equal(read_all(wide(images)), np.rint(images * (255 / levels)).astype(np.uint8))
    np.testing.assert_array_equal(read_all(joined(images)), read_all(wide(images)))


def test_one_bright_image_among_many_dark_ones_keeps_all_as_they_are() -> None:
    images = np.ones((901, 8, 8), np.uint8)
    images[898] = 200
    assert (columns := find_pixels(wide(images))) is not None and columns.brightest == 255


def test_bad_rows_are_refused_one_by_one(grey: NDArray[np.uint8]) -> None:
    frame = joined(grey)
    texts = frame["pixels"].to_list()
    texts[3], texts[5], texts[7] = texts[3] + " 1", None, texts[7].replace(" ", " x", 1)
    many = pl.concat([joined(grey)] * 4 + [frame.with_columns(pixels=pl.Series(texts))])
    columns = find_pixels(many)
    assert columns is not None
    read = [encoded.read() for encoded in list_pixels(many, columns)]
    assert {i - 48: why for i, why in enumerate(read) if isinstance(why, Unusable)} == {
        3: Unusable("invalid pixels", "257 numbers, but 256 in other rows"),
        5: Unusable("image missing"),
        7: Unusable("invalid pixels", "a value is missing or not a number"),
    }


@pytest.mark.parametrize(
    ("value", "why"),
    [("256", "256 is not an integer"), ("-1", "-1 is not"), ("0.5", "0.5 is not"), (None, "a value is missing")],
)
def test_a_bad_value_refuses_its_row(value: str | None, why: str, grey: NDArray[np.uint8]) -> None:
    frame = wide(grey)
    changed = frame.with_columns(pixel9=pl.Series([value, *frame["pixel9"][1:]], dtype=pl.String))
    columns = find_pixels(changed)
    assert columns is not None
    first, second, *_ = list_pixels(changed, columns)
    refused = first.read()
    assert isinstance(refused, Unusable) and refused.reason == "invalid pixels" and why in refused.detail
    np.testing.assert_array_equal(decode(second), grey[1])


@pytest.mark.parametrize(
    ("scale", "why"), [(1 / 255, "is not an integer from 0 to 255"), (257, "is not an integer from 0 to 255")]
)
def test_columns_called_pixels_with_other_numbers_are_refused(scale: float, why: str, grey: NDArray[np.uint8]) -> None:
    with pytest.raises(UserError, match=why):
        find_pixels(wide(grey.astype(float) * scale))


def test_columns_called_pixels_that_make_no_square_are_refused(grey: NDArray[np.uint8]) -> None:
    with pytest.raises(UserError, match="176 numbers make no square"):
        find_pixels(wide(grey[:, :11]).drop("label"))


def test_other_numbers_are_no_images() -> None:
    rng = np.random.default_rng(0)
    one_hot = np.eye(100, dtype=int)[rng.integers(0, 100, 30)]
    percent = rng.integers(0, 101, (30, 256))
    embeddings = rng.normal(size=(30, 256))
    for prefix, values in (("class_", one_hot), ("", percent), ("score_", percent), ("pca_", embeddings)):
        assert find_pixels(wide(values, [f"{prefix}{i}" for i in range(values.shape[1])])) is None
    assert find_pixels(joined(embeddings).rename({"pixels": "embedding"})) is None
    assert find_pixels(joined(one_hot).rename({"pixels": "targets"})) is None
    words = pl.DataFrame({"image": ["a.jpg"], "caption": [" ".join(["cat"] * 300)]})
    assert find_pixels(words) is None and find_pixels(pl.DataFrame()) is None


def test_numbered_columns_with_a_gap_are_no_images(grey: NDArray[np.uint8]) -> None:
    names = [f"f{i + (i > 100)}" for i in range(SIDE**2)]
    assert find_pixels(wide(grey, names)) is None
