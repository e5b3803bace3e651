"""What the map shows, kept in the session and in the address: colour, size, view and selection.

Addresses are untrusted: what this run does not have is left out, and said.
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
SHOWS = ["dots", "images"]
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
    """What the reader zoomed to; all of the map where None."""
    box: Extent | None = None
    lasso: Polygon = ()
    """A shape that the reader drew instead of a box."""
    sample: int | None = None
    only: tuple[str, ...] = ()
    """Values of the colour's column that the reader isolated."""
    colored: tuple[str, ...] = ()
    """Of a column of many values those that have a colour; the most frequent where none is named."""

    def to_query(self) -> dict[str, str]:
        """The parameters of the address; what is as at first is left out."""
        first = MapState(color=self.color)._texts()
        return {name: text for name, text in self._texts().items() if name == "color" or text != first[name]}

    def _texts(self) -> dict[str, str]:
        """Every one of `PARAMETERS` as an address has it."""
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
        """With other values; another layout has another view, another colour no isolated or picked values.

        A box and a lasso take each other's place.
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
        """Whether a sample lies in an extent of the map; all do where it is None."""
        if extent is None:
            return pl.lit(value=True)
        x, y = self.axes
        return pl.col(x).is_between(extent[0], extent[1]) & pl.col(y).is_between(extent[2], extent[3])

    @property
    def has_selection(self) -> bool:
        """Whether the reader drew a box or a lasso."""
        return bool(self.box or self.lasso)

    def selected(self) -> pl.Expr:
        """Whether a sample lies in the box or the lasso, without either in the view; null where it was not placed."""
        return encloses(self.lasso, *self.axes) if self.lasso else self.within(self.box or self.view)

    def isolated(self) -> pl.Expr:
        """Whether a sample has one of the isolated values, never null; all have where none is."""
        if not self.only:
            return pl.lit(value=True)
        return pl.col(self.color).cast(pl.String).is_in(self.only).fill_null(value=False)


def from_query(
    query: dict[str, str], colors: list[str], sizes: list[str] = SIZES, shows: list[str] = SHOWS
) -> tuple[MapState, list[str]]:
    """The state an address asks for, and the parameters that were refused.

    Colours, sizes and what is shown are what the run offers of each.
    """
    readers = {
        "color": lambda text: _one_of(text, colors),
        "size": lambda text: _one_of(text, sizes),
        "layout": lambda text: _one_of(text, ["umap", "pca"]),
        "show": lambda text: _one_of(text, shows),
        "view": _extent,
        "box": _extent,
        "lasso": _polygon,
        "sample": _sample_id,
        "only": _values,
        "colored": _values,
    }
    found: dict[str, object] = {}
    refused = []
    for name, read in readers.items():
        if query.get(name, "") == "":
            continue
        try:
            found[name] = read(query[name])
        except ValueError:
            refused.append(name)
    if "lasso" in found:
        found.pop("box", None)
    return MapState.model_validate({"color": colors[0], **found}), refused


def _one_of(text: str, allowed: list[str]) -> str:
    if text not in allowed:
        raise ValueError(text)
    return text


def _extent(text: str) -> Extent:
    left, right, bottom, top = (float(part) for part in text.split(","))
    reach, finest = max(map(abs, (left, right, bottom, top))), min(right - left, top - bottom)
    if not (reach <= FURTHEST and finest >= FINEST):  # nor is either of what is no number
        raise ValueError(text)
    return left, right, bottom, top


def _polygon(text: str) -> Polygon:
    numbers = [float(part) for part in text.split(",")]
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    if not (3 <= len(corners) <= MAX_CORNERS and all(abs(number) <= FURTHEST for number in numbers)):
        raise ValueError(text)
    return tuple(corners)


def _sample_id(text: str) -> int:
    found = read_sample_id(text)
    if found is None:
        raise ValueError(text)
    return found


def _values(text: str) -> tuple[str, ...]:
    values = tuple(unquote(part) for part in text.encode(errors="replace").decode().split(","))
    if len(values) > MAX_ONLY:
        raise ValueError(text)
    return values


def _values_text(values: tuple[str, ...]) -> str:
    return ",".join(quote(part, safe=" ") for part in values)


def _extent_text(extent: Extent) -> str:
    """Its numbers with as many digits as tell its ends apart to a thousandth of its width and height."""
    left, right, bottom, top = extent
    times = max(map(abs, extent)) / min(right - left, top - bottom)
    digits = 5 + max(0, math.ceil(math.log10(times)))
    return ",".join(f"{part:.{digits}g}" for part in extent)
