"""Images in a column of a table: encoded bytes, paths, texts of base64, lists of pixels, or structs as of a hub."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from lake.errors import UserError
from pipeline.pixels.decode import Unusable
from pipeline.source.columns.image_bytes import HEAD, TextImage, is_base64_image, is_data_uri, is_encoded
from pipeline.source.columns.pixel_columns import holds_bytes, is_square, may_be_pixels, read_pixels
from pipeline.source.listing import Encoded
from pipeline.source.notes import Notes

_NAMES = """
image images img imgs picture pictures pic photo photos pixels pixel_values jpg jpeg png webp content bytes data
file file_name filename filepath file_path path image_path img_path image_file image_filename image_name
url image_url uri image_uri image_id img_id photo_id id name
"""
RANKS = {name: rank for rank, name in enumerate(_NAMES.split())}
"""Usual names of columns of images, the likeliest first."""
IMAGE_WORDS = {"image", "img", "picture", "pic", "photo", "jpg", "jpeg", "png", "pixel", "pixels"}
THUMBNAIL_WORDS = {"thumb", "thumbs", "thumbnail", "thumbnails", "preview"}
MASK_WORDS = {"mask", "masks", "seg", "segmentation", "depth", "annotation", "label", "labels"}
"""A column of images that has one of these words in its name is not the one to learn from."""
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif", ".jp2", ".ppm", ".pgm"),
)
BYTES_FIELDS, PATH_FIELDS = ("bytes", "data", "content", "image"), ("path", "filename", "file_name", "name", "uri")
SAMPLE = 100
LEAST_RAW = 256
"""Bytes, all of one length and of no known format, are taken for the pixels of a square if it has 16 px or more."""
MOST = 0.8
"""Share of the texts of a column that decides what they are."""


@dataclass(frozen=True)
class StoredBytes:
    """Encoded bytes that stay in their column until they are read."""

    column: pl.Series
    row: int

    def read(self) -> bytes | Unusable:
        """The encoded image."""
        return self.column[self.row]


@dataclass(frozen=True)
class ImageColumn:
    """The image of each row."""

    images: Sequence[Encoded | str | None]
    """Encoded, the text of a path or address, or None if it is missing."""
    names: list[str]
    """Of each row; unique unless two rows name the same file."""
    notes: Notes = field(default_factory=Notes)


def read_images(column: pl.Series, row_names: Sequence[str] | None = None) -> ImageColumn:
    """The images of a column, none of which is decoded.

    A row is named by the path that belongs to it; if those are not unique, by `row_names` (default row/0, row/1, ...).
    Raises `UserError` if the type of the column, or what it holds, cannot be images.
    """
    numbers = list(row_names) if row_names is not None else [f"row/{row}" for row in range(len(column))]
    dtype = column.dtype
    if isinstance(dtype, pl.Struct):
        return _read_struct(column, numbers)
    if isinstance(dtype, pl.List | pl.Array) and isinstance(dtype.inner, pl.Struct | pl.Binary | pl.String):
        return read_images(_only_image(column), numbers)
    if dtype == pl.Binary:
        return _read_binary(column, numbers)
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return _read_texts(column.cast(pl.String), numbers)
    if may_be_pixels(dtype):
        pixels, remark = read_pixels(column)
        return ImageColumn(pixels, numbers, Notes(remarks=[remark] if remark else []))
    if dtype == pl.Null:
        return ImageColumn([None] * len(column), numbers)
    raise UserError(
        f"The column {column.name!r} has type {dtype}: images are encoded bytes, paths or pixels. "
        "Choose another image_column."
    )


def find_image_column(schema: pl.Schema, sample: pl.DataFrame | None = None) -> list[str]:
    """The columns that may hold or name the images, the likeliest first.

    With a `sample` of some rows, texts and bytes are judged by their values. A column of images comes before one of
    paths, what has a usual name before what has none, and masks or thumbnails come last.
    """
    ranked = []
    for position, (name, dtype) in enumerate(schema.items()):
        values = sample[name].drop_nulls().head(SAMPLE) if sample is not None and name in sample.columns else None
        words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
        rank = _name_rank(name, words)
        kind = _judge_kind(dtype, values, known=rank <= len(RANKS))
        if kind is not None:
            second = (bool(words & MASK_WORDS), bool(words & THUMBNAIL_WORDS))
            ranked.append((*second, kind, rank, position, name))
    return [name for *_, name in sorted(ranked)]


def _name_rank(name: str, words: set[str]) -> int:
    unusual = len(RANKS) if words & IMAGE_WORDS else len(RANKS) + 1
    return RANKS.get(name.lower(), unusual)


def _judge_kind(dtype: Any, values: pl.Series | None, *, known: bool) -> int | None:
    """0 for images, 1 for texts that are images or name some, 2 for texts that may; None for what cannot.

    `known` says whether the name of the column is usual.
    """
    if isinstance(dtype, pl.Struct):
        return 0 if _is_image_struct(dtype) and (known or values is None or _holds_images(values)) else None
    if dtype == pl.Binary:
        return 0 if known or values is None or _share(values, is_encoded) >= MOST else None
    if isinstance(dtype, pl.List | pl.Array) and isinstance(dtype.inner, pl.Struct | pl.Binary):
        return _judge_kind(dtype.inner, None, known=known) if known else None
    if holds_bytes(dtype):
        return 0 if known or values is None or _are_square(values) else None
    if may_be_pixels(dtype):
        return 0 if known else None
    if dtype != pl.String:
        return None
    if values is not None and len(values) and _share(values, _is_image_text) >= MOST:
        return 1
    return 2 if known else None


def _is_image_struct(dtype: pl.Struct) -> bool:
    fields = {part.name.lower() for part in dtype.fields}
    return "bytes" in fields or bool(fields & set(BYTES_FIELDS) and fields & set(PATH_FIELDS))


def _holds_images(values: pl.Series) -> bool:
    """Whether the bytes of structs are images, not sounds; those without bytes may be."""
    parts = (part.drop_nulls() for part in values.struct.unnest() if part.dtype == pl.Binary)
    return all(_share(part, is_encoded) >= MOST for part in parts if len(part))


def _are_square(values: pl.Series) -> bool:
    """Whether lists are nested, or flat ones of so many numbers that they may be an image."""
    is_flat = values.dtype == pl.List(pl.UInt8)
    return not is_flat or all(map(is_square, values.list.len()))


def _is_image_text(text: str) -> bool:
    """Whether a text is an image, or names a file or address with the suffix of one."""
    bare = text.strip().split("?")[0].replace("\\", "/")
    return PurePosixPath(bare[-300:]).suffix.lower() in SUFFIXES or is_data_uri(text) or is_base64_image(text)


def _share(values: pl.Series, holds: Any) -> float:
    return sum(map(holds, values)) / max(len(values), 1)


def _read_struct(column: pl.Series, numbers: list[str]) -> ImageColumn:
    """A struct as `datasets` writes it: the bytes, or only the path, which is often the same in every row."""
    parts = {part.name.lower(): part.name for part in column.dtype.fields}  # type: ignore[attr-defined]
    if "nchannels" in parts:
        raise UserError(
            f"The column {column.name!r} has raw pixels as Spark's image source reads them: read the files with "
            'spark.read.format("binaryFile") instead, whose column content has encoded images.'
        )
    bytes_field = next((parts[name] for name in BYTES_FIELDS if name in parts), None)
    path_field = next((parts[name] for name in PATH_FIELDS if name in parts), None)
    data = column.struct.field(bytes_field) if bytes_field else pl.Series([None] * len(column), dtype=pl.Null)
    if data.dtype not in (pl.Binary, pl.Null) or not (bytes_field or path_field):
        raise UserError(
            f"The column {column.name!r} has type {column.dtype}: structs of images have bytes and path. "
            "Choose another image_column."
        )
    texts = column.struct.field(path_field).cast(pl.String) if path_field else pl.Series([None] * len(column))
    paths = [path or None for path in texts]
    holds = data.is_not_null().to_list()
    images = [StoredBytes(data, row) if holds[row] else paths[row] for row in range(len(column))]
    if not any(holds):
        return ImageColumn(images, [path or number for path, number in zip(paths, numbers, strict=True)])
    return ImageColumn(images, *_name_rows(column.name, paths, numbers))


def _name_rows(column: str, paths: list[str | None], numbers: list[str]) -> tuple[list[str], Notes]:
    """The paths if they are unique; otherwise the numbers of the rows, with a remark."""
    named = [path or number for path, number in zip(paths, numbers, strict=True)]
    (repeated, count), *_ = Counter(named).most_common(1) or [("", 0)]
    if count < 2:
        return named, Notes()
    remark = (
        f"The paths in the column {column!r} are not unique, as {count:,} are {repeated!r}: images are named "
        f"by their rows, such as {numbers[0]}."
    )
    return numbers, Notes(remarks=[remark])


def _read_binary(column: pl.Series, numbers: list[str]) -> ImageColumn:
    """Encoded images; but some tools write text without saying so, and some the pixels themselves."""
    sample = column.drop_nulls().head(SAMPLE)
    if len(sample) and not any(is_encoded(data[:HEAD], len(data)) for data in sample):
        texts = [_decode_text(data) for data in sample]
        if all(text is not None and _is_image_text(text) for text in texts):
            return _read_texts(column.cast(pl.String, strict=False), numbers)
        if _are_squares(column):
            pixels, remark = read_pixels(column)
            return ImageColumn(pixels, numbers, Notes(remarks=[remark]))
    holds = column.is_not_null().to_list()
    return ImageColumn([StoredBytes(column, row) if holds[row] else None for row in range(len(column))], numbers)


def _are_squares(column: pl.Series) -> bool:
    lengths = column.bin.size().drop_nulls().unique().to_list()
    return len(lengths) == 1 and lengths[0] >= LEAST_RAW and is_square(lengths[0])


def _decode_text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _read_texts(column: pl.Series, numbers: list[str]) -> ImageColumn:
    """Paths, or images as base64 or data URIs, which are told by their content."""
    sample = column.drop_nulls().head(SAMPLE)
    is_base64 = len(sample) > 0 and _share(sample, is_base64_image) >= MOST
    images: list[Encoded | str | None] = []
    names = []
    for text, number in zip(column, numbers, strict=True):
        holds = bool(text) and (is_base64 or is_data_uri(text))
        images.append(TextImage(text) if holds else text or None)
        names.append(number if holds or not text else text)
    return ImageColumn(images, names)


def _only_image(column: pl.Series) -> pl.Series:
    """The image of each row of a column of lists that have one at most."""
    lists = column.cast(pl.List(column.dtype.inner))  # type: ignore[attr-defined]
    if max(lists.list.len().drop_nulls().to_list(), default=0) > 1:
        raise UserError(
            f"The column {column.name!r} has several images in a row: every row needs one. Choose another "
            "image_column, or write a row for each image."
        )
    return lists.list.first()
