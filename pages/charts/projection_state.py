"""State of the map, kept in the session and in the URL: colour, size, view and selection.

URLs are untrusted: parameters that do not fit the run are ignored and reported.
"""

import math
from typing import Literal
from urllib.parse import quote, unquote

import polars as pl
from pydantic import BaseModel, ConfigDict

from lake.query.sample_columns import SIZES
from pages.charts.lasso import MAX_CORNERS, Polygon, encloses
from pages.charts.raster import Extent
from pages.charts.sample_ids import read_sample_id

PARAMETERS = ("color", "size", "layout", "show", "view", "box", "lasso", "sample", "only", "colored")
SHOW_OPTIONS = ["dots", "images"]
MAX_ONLY = 60
FURTHEST, FINEST = 1e6, 1e-9  # coordinates of a map are within tens
Layout = Literal["umap", "pca"]
Show = Literal["dots", "images"]


class MapState(BaseModel):
    """One view of the map; equal states look equal."""

    model_config = ConfigDict(frozen=True)

    color: str
    size: str = "loss"
    layout: Layout = "umap"
    show: Show = "dots"
    view: Extent | None = None
    """What the reader zoomed to; None for the whole map."""
    box: Extent | None = None
    lasso: Polygon = ()
    """A shape that the reader drew instead of a box."""
    sample: int | None = None
    only: tuple[str, ...] = ()
    """Values of the colour's column that the reader isolated."""
    colored: tuple[str, ...] = ()
    """Values that have a colour in a column of many values; by default the most frequent."""

    def to_query(self) -> dict[str, str]:
        """Return the query parameters; defaults are omitted."""
        defaults = MapState(color=self.color)._texts()
        return {name: text for name, text in self._texts().items() if name == "color" or text != defaults[name]}

    def _texts(self) -> dict[str, str]:
        """Return the text of each of `PARAMETERS` as in a URL."""
        return {
            "color": self.color,
            "size": self.size,
            "layout": self.layout,
            "show": self.show,
            "view": _extent_text(self.view) if self.view else "",
            "box": _extent_text(self.box) if self.box else "",
            "lasso": ",".join(f"{part:.5g}" for corner in self.lasso for part in corner),
            "sample": "" if self.sample is None else str(self.sample),
            "only": _values_text(self.only),
            "colored": _values_text(self.colored),
        }

    def changed(self, **values: object) -> "MapState":
        """Return a copy with other values; a new layout resets the view, a new colour the isolated and picked values.

        A box replaces a lasso and vice versa.
        """
        updated = dict(values)
        if values.get("layout", self.layout) != self.layout:
            updated |= {"view": None, "box": None, "lasso": ()}
        if updated.get("lasso"):
            updated["box"] = None
        elif updated.get("box"):
            updated["lasso"] = ()
        if values.get("color", self.color) != self.color:
            updated |= {"only": (), "colored": ()}
        return self.model_copy(update=updated)

    @property
    def axes(self) -> tuple[str, str]:
        """The columns of the coordinates."""
        return ("x", "y") if self.layout == "umap" else ("pca_x", "pca_y")

    def within(self, extent: Extent | None) -> pl.Expr:
        """Return whether a sample lies in an extent of the map; always true if it is None."""
        if extent is None:
            return pl.lit(value=True)
        x, y = self.axes
        return pl.col(x).is_between(extent[0], extent[1]) & pl.col(y).is_between(extent[2], extent[3])

    @property
    def has_selection(self) -> bool:
        """Whether there is a box or a lasso."""
        return bool(self.box or self.lasso)

    def selected(self) -> pl.Expr:
        """Return whether a sample lies in the box or lasso, else in the view; null if it has no position."""
        return encloses(self.lasso, *self.axes) if self.lasso else self.within(self.box or self.view)

    def isolated(self) -> pl.Expr:
        """Return whether a sample has one of the isolated values; never null, always true if none is isolated."""
        if not self.only:
            return pl.lit(value=True)
        return pl.col(self.color).cast(pl.String).is_in(self.only).fill_null(value=False)


def from_query(
    query: dict[str, str], colors: list[str], sizes: list[str] = SIZES, show_options: list[str] = SHOW_OPTIONS
) -> tuple[MapState, list[str]]:
    """Parse the state in a URL; return it and the names of the rejected parameters.

    `colors`, `sizes` and `show_options` are the choices that the run offers.
    """
    readers = {
        "color": lambda text: _one_of(text, colors),
        "size": lambda text: _one_of(text, sizes),
        "layout": lambda text: _one_of(text, ["umap", "pca"]),
        "show": lambda text: _one_of(text, show_options),
        "view": _extent,
        "box": _extent,
        "lasso": _polygon,
        "sample": _sample_id,
        "only": _values,
        "colored": _values,
    }
    values: dict[str, object] = {}
    rejected = []
    for name, parse in readers.items():
        if query.get(name, "") == "":
            continue
        try:
            values[name] = parse(query[name])
        except ValueError:
            rejected.append(name)
    if "lasso" in values:
        values.pop("box", None)
    return MapState.model_validate({"color": colors[0], **values}), rejected


def _one_of(text: str, allowed: list[str]) -> str:
    if text not in allowed:
        raise ValueError(text)
    return text


def _extent(text: str) -> Extent:
    left, right, bottom, top = (float(part) for part in text.split(","))
    reach, finest = max(map(abs, (left, right, bottom, top))), min(right - left, top - bottom)
    if not (reach <= FURTHEST and finest >= FINEST):  # also false for nan
        raise ValueError(text)
    return left, right, bottom, top


def _polygon(text: str) -> Polygon:
    numbers = [float(part) for part in text.split(",")]
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    if not (3 <= len(corners) <= MAX_CORNERS and all(abs(number) <= FURTHEST for number in numbers)):
        raise ValueError(text)
    return tuple(corners)


def _sample_id(text: str) -> int:
    sample_id = read_sample_id(text)
    if sample_id is None:
        raise ValueError(text)
    return sample_id


def _values(text: str) -> tuple[str, ...]:
    values = tuple(unquote(part) for part in text.encode(errors="replace").decode().split(","))
    if len(values) > MAX_ONLY:
        raise ValueError(text)
    return values


def _values_text(values: tuple[str, ...]) -> str:
    return ",".join(quote(part, safe=" ") for part in values)


def _extent_text(extent: Extent) -> str:
    """Format an extent with enough digits for a thousandth of its width and height."""
    left, right, bottom, top = extent
    ratio = max(map(abs, extent)) / min(right - left, top - bottom)
    digits = 5 + max(0, math.ceil(math.log10(ratio)))
    return ",".join(f"{part:.{digits}g}" for part in extent)
