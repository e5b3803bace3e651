"""The colour of a value: one scale for a column of a run, the same in a chart, its legend and a picture of dots."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.query.sample_columns import use_of_column, with_unit
from pages.charts.palette import CONTEXT, DISTINCT, LOSS_RAMP, RAMP, value_colors
from pages.text.formatting import column_title

LOSS_DOMAIN = (0.01, 10.0)
MOST_VALUES, COLUMNS = 30, 5
"""Maximum number of values in a legend, and of its columns."""
LONG, LONGEST_LABEL, SYMBOL = 16, 120, 30
"""Length above which a label is long; width in pixels of long labels and of the legend symbol."""
OTHERS_FIELD = "shown_as"
Kind = Literal["nominal", "linear", "log"]


@dataclass(frozen=True)
class ColorScale:
    """Colours `range_` at the values `domain`, interpolated between them if the values are numbers.

    `others` is the number of further values, which are grey; `whole` says that the numbers are integers.
    """

    column: str
    domain: list[Any]
    range_: list[str]
    kind: Kind
    others: int = 0
    whole: bool = False

    @property
    def field(self) -> str:
        """The field that a chart is coloured by: the column, or its values with all others combined."""
        return OTHERS_FIELD if self.others else self.column

    @property
    def name_of_others(self) -> str:
        """The label of all other values combined."""
        return f"{self.others:,} others"

    @property
    def legend(self) -> dict[str, str]:
        """Value as text -> colour, all others last."""
        colors = {str(value): color for value, color in zip(self.domain, self.range_, strict=True)}
        return colors | ({self.name_of_others: CONTEXT} if self.others else {})

    def name_others(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with the `field` to colour by, all others first so that they are drawn below."""
        if not self.others:
            return frame
        value = pl.col(self.column)
        value_name = (
            pl.when(value.is_in(self.domain)).then(value.cast(pl.String)).otherwise(pl.lit(self.name_of_others))
        )
        colored = frame.with_columns(pl.when(value.is_not_null()).then(value_name).alias(OTHERS_FIELD))
        return colored.sort(
            pl.col(OTHERS_FIELD).is_in(list(map(str, self.domain))), maintain_order=True, nulls_last=False
        )

    def to_altair(self, *, legend: bool = True) -> alt.Color:
        """Return the colour channel for altair."""
        title = with_unit(self.column, column_title(self.column))
        if self.kind == "nominal":
            legend_options: dict[str, Any] = {
                "symbolLimit": 2 * MOST_VALUES,
                "symbolOpacity": 1,
                "columns": min(len(self.domain), COLUMNS),
            }
            channel, scale = "N", alt.Scale(domain=self.domain, range=self.range_)
            if self.others or max(map(len, self.legend), default=0) > LONG:
                columns = alt.ExprRef(f"max(1, floor(width / {LONGEST_LABEL + SYMBOL}))")
                legend_options |= {"labelLimit": LONGEST_LABEL, "columns": columns}
                scale = alt.Scale(domain=list(self.legend), range=list(self.legend.values()))
        else:
            legend_options = {"gradientOpacity": 1, **({"format": "d", "tickMinStep": 1} if self.whole else {})}
            channel = "Q"
            scale = alt.Scale(type=self.kind, clamp=True, interpolate="rgb", domain=self.domain, range=self.range_)
        legend_spec = alt.Legend(title=title, orient="top", **legend_options) if legend else None
        return alt.Color(f"{self.field}:{channel}", scale=scale, legend=legend_spec)

    def rgb(self, values: pl.Series) -> NDArray[np.float64]:
        """Return the colours [N, 3] of the values, 0 to 255; grey for nulls and other values."""
        stops = np.array([hex_to_rgb(color) for color in self.range_], dtype=float)
        if self.kind == "nominal":
            return self._nominal_rgb(values, stops)
        number, domain = values.cast(pl.Float64).to_numpy(), np.array(self.domain, dtype=float)
        if self.kind == "log":
            number, domain = np.log(np.maximum(number, self.domain[0])), np.log(domain)
        valid = ~np.isnan(number)
        colors = np.full((len(number), 3), hex_to_rgb(CONTEXT), dtype=float)
        colors[valid] = np.stack([np.interp(number[valid], domain, stops[:, i]) for i in range(3)], axis=1)
        return colors

    def _nominal_rgb(self, values: pl.Series, stops: NDArray[np.float64]) -> NDArray[np.float64]:
        positions = {value: i for i, value in enumerate(self.domain)}
        distinct = values.unique()
        index = values.replace_strict(distinct, [positions.get(v, len(stops)) for v in distinct], return_dtype=pl.Int64)
        return np.vstack([stops, hex_to_rgb(CONTEXT)])[index.to_numpy()]


def color_scale(
    values: pl.Series,
    classes: list[str],
    groups: dict[str, dict[str, str]],
    *,
    picked: Sequence[str] = (),
    measure: bool = False,
) -> ColorScale:
    """Return the scale of a column from all its values in the run; losses have the same scale in every run.

    Floats have a continuous scale, and integers if they are a `measure`. If there are more other values than a legend
    holds, the most frequent or those in `picked` have colours.
    """
    column = values.name
    if use_of_column(column).logarithmic:
        low, high = (math.log(end) for end in LOSS_DOMAIN)
        stops = [round(float(v), 6) for v in np.exp(np.linspace(low, high, len(LOSS_RAMP)))]
        return ColorScale(column, stops, LOSS_RAMP, "log")
    if measure or values.dtype.is_float():
        stops = np.linspace(*_bulk(values), len(RAMP)).tolist()
        return ColorScale(column, stops, RAMP, "linear", whole=values.dtype.is_integer())
    distinct = values.drop_nulls().unique().sort().to_list()
    if len(distinct) > MOST_VALUES:
        return _scale_of_many(values, picked)
    ordered = [c for c in classes if c in distinct] if set(distinct) <= set(classes) else distinct
    texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in ordered]
    return ColorScale(column, ordered, value_colors(texts, classes, groups), "nominal")


def by_frequency(values: pl.Series) -> pl.Series:
    """Return the distinct values, most frequent first."""
    counts = values.drop_nulls().value_counts(name="n").sort("n", values.name, descending=[True, False])
    return counts[values.name]


def _scale_of_many(values: pl.Series, picked: Sequence[str]) -> ColorScale:
    """Return a scale with distinct colours for the picked values or the most frequent; all others are grey."""
    by_count = by_frequency(values)
    value_of_text = {str(value): value for value in by_count}
    colored = [value_of_text[text] for text in dict.fromkeys(picked) if text in value_of_text] or by_count.to_list()
    domain = colored[: len(DISTINCT)]
    return ColorScale(values.name, domain, DISTINCT[: len(domain)], "nominal", len(by_count) - len(domain))


def size_domain(values: pl.Series) -> tuple[float, float]:
    """Return the values of the smallest and the largest dot of a column, from all its values in the run."""
    return use_of_column(values.name).dots or _bulk(values)


def _bulk(values: pl.Series) -> tuple[float, float]:
    """Return the 1 % and 99 % quantiles."""
    low, high = (float(values.quantile(q) or 0) for q in (0.01, 0.99))
    return low, max(high, low + 1e-9)


def hex_to_rgb(color: str) -> tuple[int, int, int]:
    """ "#f46036" -> (244, 96, 54)."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
