"""Images whose pixels are numbers in a text table: one column of 2,304 numbers, or 784 columns of one number.

Squares only, grey or RGB. Whether the colours of an RGB image follow each other pixel by pixel or plane by plane is
judged by the images: rows of an image resemble the next row. N images, P numbers per image, side S.
"""

import io
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from lake.errors import UserError
from pipeline.pixels.decode import Unusable
from pipeline.source.listing import Encoded

MIN_SIDE = 8
UNNAMED_SIDE, UNNAMED_BRIGHTEST = 16, 128
"""Numbers that are not called pixels are images only from this side and this brightest number on."""
SAMPLE = 200
"""Images by which everything is judged, evenly spread over the table."""
VALID = 0.9
"""The share of them that must be valid; single bad rows are refused one by one."""
BRIGHTEST = 255
FEW_LEVELS = 16
"""Images whose brightest pixel is at most this have that many levels, and are brightened to 255."""
CLEAR = 0.9
"""At most this share of the other layout's difference between rows must be left for a layout to be the right one."""
ROWS_AT_ONCE = 4_096
NUMBERED = re.compile(r"(.*?)(\d+)")
BY_ROW = re.compile(r"(.*?)(\d+)[x_,-](\d+)")
CALLED_PIXELS = re.compile(r"pixel|pix|px|\d+x\d+|(image|img)(_?data)?$", re.IGNORECASE)
NOT_NUMBERS = "a value is missing or not a number"
TO_BLANKS = str.maketrans("[](),;\n\r\t", " " * 9)

Numbers = NDArray[np.float32] | NDArray[np.uint8]
Layout = Literal["grey", "pixels of RGB", "planes of RGB"]


@dataclass(frozen=True)
class PixelColumns:
    """The columns that hold the pixels, in the order of pixels; a single one holds all of them as text."""

    names: list[str]
    side: int
    layout: Layout
    brightest: int = BRIGHTEST
    """The number that means white."""

    @property
    def remark(self) -> str:
        """What was understood, as a sentence."""
        kind = "grey" if self.layout == "grey" else f"colour, stored as {self.layout}"
        where = f"the column {self.names[0]!r}" if len(self.names) == 1 else f"the {len(self.names):,} columns from "
        where += f"{self.names[0]!r} to {self.names[-1]!r}" if len(self.names) > 1 else ""
        levels = "" if self.brightest == BRIGHTEST else f"; {self.brightest} is taken as white"
        return f"The images are the numbers in {where}: {self.side} x {self.side} pixels, {kind}{levels}."


@dataclass(frozen=True)
class PixelRow:
    """One image of a table: its numbers [P], or a column of texts and the row whose text they are."""

    values: Numbers | tuple[pl.Series, int]
    columns: PixelColumns

    def read(self) -> bytes | Unusable:
        """The image as PNG."""
        if not isinstance(self.values, tuple):
            return _encode(self.values, self.columns)
        text = self.values[0][self.values[1]]
        if text is None:
            return Unusable("image missing")
        numbers_P = _parse(text)
        return Unusable("invalid pixels", NOT_NUMBERS) if numbers_P is None else _encode(numbers_P, self.columns)


def find_pixels(frame: pl.DataFrame) -> PixelColumns | None:
    """The columns of pixels in a table of text; None if there are none.

    Raises `UserError` if columns are called pixels but hold other numbers, or if the layout of colours is not clear.
    """
    sample = frame.gather_every(max(1, len(frame) // SAMPLE)).head(SAMPLE)
    for names in _candidates(sample):
        if found := _judge(sample, names, called=all(CALLED_PIXELS.match(name) for name in names)):
            return _with_levels(found, frame, sample)
    return None


def list_pixels(frame: pl.DataFrame, columns: PixelColumns) -> list[Encoded]:
    """The image of every row; an invalid one is `Unusable` when it is read."""
    if len(columns.names) == 1:
        column = frame[columns.names[0]]
        return [PixelRow((column, row), columns) for row in range(len(column))]
    return [PixelRow(values_P, columns) for values_P in _bytes_of_rows(frame.select(columns.names))]


def _judge(sample: pl.DataFrame, names: list[str], *, called: bool) -> PixelColumns | None:
    """The columns if they hold pixels; otherwise None, or an error if they are called pixels."""
    numbers_NP, count, problem = _numbers(sample, names)
    shape = _square(count)
    if called and not problem and shape is None:
        problem = f"{count:,} numbers make no square, neither grey nor RGB"
    if problem or shape is None:
        if called and count >= MIN_SIDE**2:
            raise UserError(f"The column {names[0]!r} does not hold pixels: {problem}. Convert the images to files.")
        return None
    side, channels = shape
    if not called and (side < UNNAMED_SIDE or numbers_NP.max() < UNNAMED_BRIGHTEST):
        return None
    return PixelColumns(names, side, "grey" if channels == 1 else _find_layout(numbers_NP, side, names))


def _bytes_of_rows(frame: pl.DataFrame) -> Iterator[Numbers]:
    """The numbers [P] of each row as bytes, or as they are if they do not fit."""
    for part in frame.iter_slices(ROWS_AT_ONCE):
        numbers_NP = part.select(_to_number(name) for name in frame.columns).to_numpy()
        fits_N = np.all(_are_pixels(numbers_NP, BRIGHTEST), axis=1)
        bytes_NP = np.where(fits_N[:, None], numbers_NP, 0).astype(np.uint8)
        for fits, bytes_P, numbers_P in zip(fits_N, bytes_NP, numbers_NP, strict=True):
            yield bytes_P if fits else numbers_P.copy()


def _candidates(frame: pl.DataFrame) -> Iterator[list[str]]:
    """Columns that may be pixels: those that are numbered, and columns of long lists of numbers."""
    for pattern in (BY_ROW, NUMBERED):
        groups: dict[str, dict[tuple[int, ...], str]] = {}
        for name in frame.columns:
            if match := pattern.fullmatch(name):
                prefix, *numbers = match.groups()
                groups.setdefault(prefix, {})[tuple(map(int, numbers))] = name
        for group in groups.values():
            if len(group) >= MIN_SIDE**2 and _is_complete(list(group)):
                yield [group[number] for number in sorted(group)]
    for name in frame.columns:
        first = frame[name].drop_nulls().head(1).to_list()
        if first and len(first[0].translate(TO_BLANKS).split()) >= MIN_SIDE**2:
            yield [name]


def _is_complete(numbers: list[tuple[int, ...]]) -> bool:
    """Whether the numbers count from 0 or 1 without a gap, in each of their parts."""
    parts = [set(part) for part in zip(*numbers, strict=True)]
    complete = all(min(part) in (0, 1) and max(part) - min(part) + 1 == len(part) for part in parts)
    return complete and math.prod(map(len, parts)) == len(numbers)


def _numbers(sample: pl.DataFrame, names: list[str]) -> tuple[NDArray[np.float32], int, str]:
    """The numbers [N, P] of the valid rows, P, and what is wrong, if too many rows are not valid."""
    if len(names) > 1:
        rows = sample.select(names).filter(~pl.all_horizontal(pl.all().is_null()))
        lists = list(rows.select(_to_number(name) for name in names).to_numpy())
    else:
        parsed = (_parse(text) for text in sample[names[0]].drop_nulls())
        lists = [np.full(1, math.nan, np.float32) if numbers_P is None else numbers_P for numbers_P in parsed]
    count = Counter(map(len, lists)).most_common(1)[0][0] if lists else 0
    problems = [_find_problem(numbers_P, count, BRIGHTEST) for numbers_P in lists]
    valid = [numbers_P for numbers_P, problem in zip(lists, problems, strict=True) if not problem]
    problem = "" if valid and len(valid) >= VALID * len(lists) else next(filter(None, problems), NOT_NUMBERS)
    return np.array(valid, np.float32).reshape(len(valid), count), count, problem


def _to_number(name: str) -> pl.Expr:
    return pl.col(name).str.strip_chars().cast(pl.Float32, strict=False).fill_null(math.nan)


def _parse(text: str) -> NDArray[np.float32] | None:
    try:
        return np.array(text.translate(TO_BLANKS).split(), np.float32)
    except ValueError:
        return None


def _square(count: int) -> tuple[int, int] | None:
    """Side and channels of a square of so many numbers."""
    for channels in (1, 3):
        side = math.isqrt(count // channels)
        if side >= MIN_SIDE and side * side * channels == count:
            return side, channels
    return None


def _count(columns: PixelColumns) -> int:
    return columns.side**2 * (1 if columns.layout == "grey" else 3)


def _are_pixels(numbers: Numbers, brightest: int) -> NDArray[np.bool_]:
    return np.asarray((numbers >= 0) & (numbers <= brightest) & (numbers == np.floor(numbers)))


def _find_problem(numbers_P: Numbers, count: int, brightest: int) -> str:
    """Why numbers are not the pixels of an image; empty if they are."""
    if np.isnan(numbers_P).any():
        return NOT_NUMBERS
    if len(numbers_P) != count:
        return f"{len(numbers_P):,} numbers, but {count:,} in other rows"
    wrong = ~_are_pixels(numbers_P, brightest)
    return f"{numbers_P[wrong][0]:g} is not an integer from 0 to {brightest}" if wrong.any() else ""


def _find_layout(sample_NP: NDArray[np.float32], side: int, names: list[str]) -> Layout:
    """The layout of colours in which each row of pixels differs least from the next one."""
    below = {"planes of RGB": side, "pixels of RGB": 3 * side}
    planes, pixels = (float(np.abs(sample_NP[:, lag:] - sample_NP[:, :-lag]).mean()) for lag in below.values())
    if planes < CLEAR * pixels:
        return "planes of RGB"
    if pixels < CLEAR * planes:
        return "pixels of RGB"
    raise UserError(
        f"The column {names[0]!r} holds {side} x {side} pixels of three colours, but whether these follow each other "
        "pixel by pixel or plane by plane is not clear: convert the images to files."
    )


def _with_levels(columns: PixelColumns, frame: pl.DataFrame, sample: pl.DataFrame) -> PixelColumns:
    """The columns with the number that means white, by all rows if those of the sample have few levels."""
    if not 0 < _find_brightest(sample, columns) <= FEW_LEVELS:
        return columns
    brightest = _find_brightest(frame, columns)
    return replace(columns, brightest=brightest) if brightest <= FEW_LEVELS else columns


def _find_brightest(frame: pl.DataFrame, columns: PixelColumns) -> int:
    """The highest number up to 255; anything else is not a pixel."""
    rows = (
        (_parse(text) for text in frame[columns.names[0]].drop_nulls())
        if len(columns.names) == 1
        else _bytes_of_rows(frame.select(columns.names))
    )
    valid = (row_P[_are_pixels(row_P, BRIGHTEST)] for row_P in rows if row_P is not None)
    return max((int(row_P.max()) for row_P in valid if len(row_P)), default=0)


def _encode(numbers_P: Numbers, columns: PixelColumns) -> bytes | Unusable:
    if problem := _find_problem(numbers_P, _count(columns), columns.brightest):
        return Unusable("invalid pixels", problem)
    return _to_png(numbers_P, columns)


def _to_png(numbers_P: Numbers, columns: PixelColumns) -> bytes:
    pixels_P = np.rint(numbers_P.astype(np.float64) * (BRIGHTEST / columns.brightest)).astype(np.uint8)
    side = columns.side
    shapes = {"grey": (side, side), "pixels of RGB": (side, side, 3), "planes of RGB": (3, side, side)}
    pixels = pixels_P.reshape(shapes[columns.layout])
    if columns.layout == "planes of RGB":
        pixels = np.moveaxis(pixels, 0, 2)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=1)
    return file.getvalue()
