"""Images in columns of any kind are found, read without loss and named, or refused in a sentence."""

import base64
import io
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image

from lake.errors import UserError
from pipeline.pixels.decode import Unusable
from pipeline.source.columns.image_columns import ImageColumn, find_image_column, read_images

SIDE = 16
STRUCT: Any = pl.Struct({"bytes": pl.Binary, "path": pl.String})


def photos(count: int = 12, channels: int = 3) -> NDArray[np.uint8]:
    """Smooth images with coloured gradients and some noise [N, H, W, C]."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    images = [
        200 * down[..., None] * rng.random(channels)
        + 40 * across[..., None] * rng.random(channels)
        + rng.normal(8, 2, (SIDE, SIDE, channels))
        for _ in range(count)
    ]
    return np.clip(images, 0, 255).astype(np.uint8)


def encode(image: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


FILES = [encode(image) for image in photos(3)]


def data(column: ImageColumn) -> list[Any]:
    """The encoded image of each row, or its path, or None."""
    return [image if image is None or isinstance(image, str) else image.read() for image in column.images]


def pixels(column: ImageColumn) -> NDArray[np.uint8]:
    return np.array([np.asarray(Image.open(io.BytesIO(image))) for image in data(column)])


# --- bytes and paths


def test_encoded_bytes_are_given_as_they_are() -> None:
    column = read_images(pl.Series([FILES[0], None, b"", FILES[1]]))
    assert data(column) == [FILES[0], None, b"", FILES[1]] and column.names == [f"row/{i}" for i in range(4)]
    assert not column.notes.remarks


def test_rows_are_named_as_the_caller_says() -> None:
    assert read_images(pl.Series(FILES), ["train/0", "train/1", "test/0"]).names == ["train/0", "train/1", "test/0"]


def test_a_struct_has_bytes_or_only_a_path() -> None:
    rows = [{"bytes": FILES[0], "path": "a.png"}, {"bytes": None, "path": "b.png"}, {"bytes": None, "path": None}, None]
    column = read_images(pl.Series(rows, dtype=STRUCT))
    assert data(column) == [FILES[0], "b.png", None, None]
    assert column.names == ["a.png", "b.png", "row/2", "row/3"]


def test_a_struct_without_any_bytes_gives_paths() -> None:
    column = read_images(pl.Series([{"bytes": None, "path": "a.png"}, {"bytes": None, "path": "a.png"}]))
    assert data(column) == ["a.png", "a.png"] == column.names  # the same file twice, which is for the caller to refuse


def test_the_same_path_in_every_row_names_none() -> None:
    column = read_images(pl.Series("image", [{"bytes": file, "path": "image.png"} for file in FILES]))
    assert data(column) == FILES and column.names == ["row/0", "row/1", "row/2"]
    assert column.notes.remarks == [
        "The paths in the column 'image' are not unique, as 3 are 'image.png': images are named by their rows, such as "
        "row/0."
    ]


def test_rows_are_named_by_number_if_no_path_is_known() -> None:
    column = read_images(pl.Series([{"bytes": file, "path": None} for file in FILES]))
    assert column.names == ["row/0", "row/1", "row/2"] and not column.notes.remarks


def test_texts_are_paths() -> None:
    column = read_images(pl.Series(["cat/1.png", None, "", "https://host/1.jpg"]))
    assert data(column) == ["cat/1.png", None, None, "https://host/1.jpg"]
    assert column.names == ["cat/1.png", "row/1", "row/2", "https://host/1.jpg"]


def test_bytes_that_are_texts_are_read_as_such() -> None:
    assert data(read_images(pl.Series([b"cat/1.png", b"dog/2.png"]))) == ["cat/1.png", "dog/2.png"]


def test_lists_of_one_image_are_that_image_and_of_several_are_refused() -> None:
    rows = [[{"bytes": FILES[0], "path": "a.png"}], []]
    assert data(read_images(pl.Series(rows, dtype=pl.List(STRUCT)))) == [FILES[0], None]
    with pytest.raises(UserError, match="The column 'images' has several images in a row: every row needs one"):
        read_images(pl.Series("images", [[FILES[0], FILES[1]]]))


@pytest.mark.parametrize("values", [[1, 2], [0.5], [True], [{"a": 1}]])
def test_a_column_of_other_values_is_refused(values: list[Any]) -> None:
    with pytest.raises(UserError, match=r"The column 'x' has type .*Choose another image_column"):
        read_images(pl.Series("x", values))


def test_raw_pixels_of_spark_are_told_how_to_read() -> None:
    row = {"origin": "a", "height": 1, "width": 1, "nChannels": 3, "mode": 16, "data": b"abc"}
    with pytest.raises(UserError, match="raw pixels as Spark's image source reads them"):
        read_images(pl.Series([row]))


# --- base64


def wrapped(text: str) -> str:
    return "\n".join(text[i : i + 76] for i in range(0, len(text), 76))


@pytest.mark.parametrize(
    "write",
    [
        lambda data: base64.b64encode(data).decode(),
        lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
        lambda data: wrapped(base64.b64encode(data).decode()),
        lambda data: "data:image/png;base64," + base64.b64encode(data).decode(),
        lambda data: "DATA:image/png;charset=utf-8;base64," + base64.b64encode(data).decode(),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_base64_is_recognised_by_what_it_holds(write: Any, kind: str) -> None:
    files = [encode(image, kind) for image in photos(3)]
    column = read_images(pl.Series([write(file) for file in files] + [None]))
    assert data(column) == [*files, None] and column.names == ["row/0", "row/1", "row/2", "row/3"]


@pytest.mark.parametrize(
    "text", ["iVBORw0K", "Qk0xMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0", "a" * 64, "data/1.png"]
)
def test_ids_and_paths_are_no_base64(text: str) -> None:
    assert data(read_images(pl.Series([text] * 3))) == [text] * 3


def test_one_damaged_base64_is_unusable_among_others() -> None:
    texts = [base64.b64encode(file).decode() for file in FILES * 3]
    last = data(read_images(pl.Series([*texts, texts[0][:-7] + "!"])))[-1]
    assert last == Unusable("damaged base64", f"{len(texts[0]) - 6:,} characters")


# --- pixels


def nested(images: NDArray[Any], dtype: Any = pl.UInt8) -> pl.Series:
    kind: Any = dtype
    for _ in range(images.ndim - 1):
        kind = pl.List(kind)
    return pl.Series("image", images.tolist(), dtype=kind)


@pytest.mark.parametrize("dtype", [pl.UInt8, pl.Int64, pl.Float32])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_nested_lists_are_pixels_without_loss(dtype: Any, channels: int) -> None:
    images = photos(channels=channels)
    expected = images[..., 0] if channels == 1 else images
    assert np.array_equal(pixels(read_images(nested(images, dtype))), expected)
    planes = read_images(nested(np.moveaxis(images, 3, 1), dtype))
    assert np.array_equal(pixels(planes), expected)
    assert channels == 1 or f"({channels} channels, first)" in planes.notes.remarks[0]


def test_grey_rows_are_pixels() -> None:
    images = photos(channels=1)[..., 0]
    column = read_images(nested(images))
    assert np.array_equal(pixels(column), images)
    assert column.notes.remarks == ["The column 'image' is read as pixels of 16 x 16 images (grey)."]


def test_arrays_of_fixed_size_and_tensors_are_pixels() -> None:
    images = photos()
    assert np.array_equal(pixels(read_images(pl.Series(images))), images)
    tensor = pl.DataFrame(pa.table({"image": pa.FixedShapeTensorArray.from_numpy_ndarray(images)}))["image"]
    assert np.array_equal(pixels(read_images(tensor)), images)


def test_a_tensor_that_is_stored_in_another_order_is_turned() -> None:
    images = photos()
    kind = pa.fixed_shape_tensor(pa.uint8(), (3, SIDE, SIDE), permutation=[1, 2, 0])
    flat = np.moveaxis(images, 3, 1).reshape(len(images), -1)
    storage = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
    tensor = pl.DataFrame(pa.table({"image": pa.ExtensionArray.from_storage(kind, storage)}))["image"]
    assert np.array_equal(pixels(read_images(tensor)), images)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("kind", ["list", "array", "bytes"])
def test_the_channel_order_of_flat_lists_is_seen(grey: bool, kind: str) -> None:
    images = photos()
    if grey:
        images = np.repeat(images[..., :1], 3, axis=3)
    for stored, order in ((images, "last"), (np.moveaxis(images, 3, 1), "first")):
        flat = stored.reshape(len(images), -1)
        series = {
            "list": lambda flat=flat: nested(flat),
            "array": lambda flat=flat: pl.Series("image", flat),
            "bytes": lambda flat=flat: pl.Series("image", [row.tobytes() for row in flat]),
        }[kind]()
        column = read_images(series)
        assert np.array_equal(pixels(column), images)
        assert f"3 channels, {order}" in column.notes.remarks[0]


def test_flat_squares_of_grey_are_pixels() -> None:
    images = photos(3, channels=1)[..., 0]
    assert np.array_equal(pixels(read_images(nested(images.reshape(3, -1)))), images)


@pytest.mark.parametrize("count", [3, 12])
def test_a_channel_order_that_cannot_be_seen_is_not_guessed(count: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (count, 3 * SIDE * SIDE), dtype=np.uint8)
    with pytest.raises(UserError, match=r"whether the channels of a pixel follow each other is not clear from"):
        read_images(nested(noise))


def test_flat_lists_that_look_like_four_channels_are_refused() -> None:
    images = photos(channels=4)
    images[..., 3] = 255
    with pytest.raises(UserError, match="every fourth number is 255 as if it were opacity"):
        read_images(nested(images.reshape(len(images), -1)))


def test_numbers_between_0_and_1_are_scaled_and_said() -> None:
    images = photos()
    column = read_images(nested(images / 255, pl.Float64))
    assert np.array_equal(pixels(column), images) and column.notes.remarks[0].endswith("; its numbers are 0 to 1.")


def test_numbers_that_are_out_of_range_by_rounding_are_pixels() -> None:
    images = photos()
    images[0, 0, 0] = (0, 255, 0)
    rounded = (images / 255).astype(np.float32) * np.float32(1.001) - np.float32(0.0001)
    assert np.abs(pixels(read_images(nested(rounded, pl.Float32))).astype(int) - images).max() <= 1


def test_black_and_white_of_0_and_1_is_not_nearly_black() -> None:
    images = (photos(channels=1)[..., 0] > 60).astype(np.uint8)
    assert np.array_equal(pixels(read_images(nested(images))), images * 255)


@pytest.mark.parametrize(
    ("images", "dtype", "why"),
    [
        (photos() / 100, pl.Float32, "pixels are 0 to 255, or 0 to 1"),
        (photos() * 16.0, pl.UInt16, r"its numbers are .* to [\d,]+; pixels are 0 to 255, or 0 to 1"),
        (photos() / 127.5 - 1, pl.Float32, "its numbers are -.*; pixels are 0 to 255"),
        (np.zeros((3, 2, 8, 8)), pl.UInt8, "arrays of 2 x 8 x 8 numbers, of which none counts 1, 3 or 4 channels"),
        (np.zeros((3, 2, 8, 8, 3)), pl.UInt8, "arrays of 4 dimensions"),
        (np.zeros((3, 50)), pl.UInt8, "its lists have 50 numbers, which are no square"),
    ],
)
def test_numbers_that_are_no_pixels_are_refused(images: NDArray[Any], dtype: Any, why: str) -> None:
    with pytest.raises(UserError, match=f"The column 'image' of type .* cannot be read as pixels: .*{why}"):
        read_images(nested(images.astype(np.int64) if dtype.is_integer() else images, dtype))


def test_features_are_no_pixels() -> None:
    with pytest.raises(UserError, match="Choose another image_column"):
        read_images(nested(np.random.default_rng(0).random((12, 768)), pl.Float32))


def test_single_rows_that_do_not_fit_are_unusable() -> None:
    grey = photos(3, channels=1)[..., 0].tolist()
    rows = [*grey, None, [[1, 2], [3]], [], [[1, None], [2, 3]]]
    column = read_images(pl.Series("image", rows, dtype=pl.List(pl.List(pl.Int64))))
    reasons = [image.reason if isinstance(image, Unusable) else type(image) for image in data(column)]
    assert reasons == [bytes, bytes, bytes, type(None), *["incomplete pixels"] * 3]


# --- candidates


def test_a_column_of_images_is_found_by_type_before_names() -> None:
    schema = pl.Schema(
        {"path": pl.String(), "modified": pl.Datetime("us"), "length": pl.Int64(), "content": pl.Binary()}
    )
    assert find_image_column(schema) == ["content", "path"]


@pytest.mark.parametrize("name", ["image", "img", "jpg", "img_bytes", "photo", "picture", "blob"])
@pytest.mark.parametrize("dtype", [pl.Binary, STRUCT, pl.List(pl.UInt8), pl.Array(pl.UInt8, (8, 8, 3))])
def test_images_are_found_whatever_their_name(name: str, dtype: Any) -> None:
    assert find_image_column(pl.Schema({"label": pl.Int64, "probs": pl.List(pl.Float32), name: dtype})) == [name]


def test_masks_and_thumbnails_come_last() -> None:
    schema = pl.Schema({"mask": STRUCT, "image": STRUCT, "thumbnail": pl.Binary})
    assert find_image_column(schema) == ["image", "thumbnail", "mask"]


def test_texts_are_judged_by_their_values() -> None:
    sample = pl.DataFrame(
        {
            "name": ["Ann", "Ben"],
            "label": ["cat", "dog"],
            "where": ["a/1.JPG", "b\\2.png"],
            "id": ["0a", "0b"],
            "b64": [base64.b64encode(file).decode() for file in FILES[:2]],
            "link": ["https://host/1.jpg?size=2", None],
            "hash": [b"0123", b"4567"],
        }
    )
    assert find_image_column(sample.schema, sample) == ["where", "b64", "link", "id", "name"]


def test_sounds_boxes_and_one_hot_labels_are_no_images() -> None:
    sample = pl.DataFrame(
        {
            "audio": [{"bytes": b"RIFF\0\0\0\0WAVEfmt " + bytes(40), "path": "a.wav"}],
            "boxes": [[[0.0, 1.0, 2.0, 3.0]]],
            "onehot": pl.Series([[0, 1, 0, 0, 0]], dtype=pl.List(pl.UInt8)),
            "scan": [{"bytes": FILES[0], "path": "a.png"}],
        }
    )
    assert find_image_column(sample.schema, sample) == ["scan"]


def test_nothing_is_found_where_nothing_is() -> None:
    schema = pl.Schema(
        {"label": pl.Int64(), "probs": pl.List(pl.Float64), "tokens": pl.List(pl.Int64), "text": pl.String()}
    )
    assert find_image_column(schema, pl.DataFrame(schema=schema)) == []
