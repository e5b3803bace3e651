"""How sets of samples differ from all others in measured image properties, and which differences are reported.

A difference is reported only if a Mann-Whitney test is significant after Benjamini-Hochberg correction over all tests
and Cliff's delta is at least 0.33 ("somewhat") or 0.474 ("clearly"; Romano et al. 2006). A hue is a range on a circle,
so the test is whether a value lies in that range; delta is then the difference of the two shares.
"""

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.statistics import benjamini_hochberg
from lake.text.formatting import percent

PROPERTY_WORDING = {
    "bg_lightness": ("dark background", "light background", "median L*"),
    "bg_plainness": ("plain background", "busy background", "median spread of colour"),
    "bg_chroma": ("grey background", "colourful background", "median chroma"),
    "object_lightness": ("dark objects", "light objects", "median L*"),
    "shade": (
        "objects darker than their background",
        "objects lighter than their background",
        "median difference of L*",
    ),
    "object_chroma": ("grey objects", "colourful objects", "median chroma"),
    "contrast": ("low contrast", "high contrast", "median spread of colour"),
    "sharpness": ("low sharpness", "high sharpness", "median variance of the Laplacian"),
    "edge_density": ("few edges", "many edges", "median share of pixels"),
}
"""Property -> wording for low values, for high values and for the statistic shown."""
HUES = {
    "red": (0.0, 40.0),
    "orange": (40.0, 70.0),
    "yellow": (70.0, 105.0),
    "green": (105.0, 165.0),
    "cyan": (165.0, 230.0),
    "blue": (230.0, 300.0),
    "purple": (300.0, 360.0),
}
"""Colour -> range of CIELAB hue angles in degrees, upper bound excluded; grey objects have no hue."""
SOMEWHAT, CLEARLY = 0.33, 0.474
FALSE_DISCOVERY_RATE = 0.05
MAX_CLAUSES = 4

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]


class Difference(TypedDict):
    """The columns of a row of `notable` that `to_clause` uses."""

    property: str
    delta: float
    here: float
    others: float


class Ranked:
    """Image properties of samples with precomputed ranks, to compare many sets of them."""

    def __init__(self, samples: pl.DataFrame, *, within: str | None = None) -> None:
        stratum = np.zeros(len(samples), np.int64) if within is None else _codes(samples[within])
        strata = [np.flatnonzero(stratum == code) for code in np.unique(stratum[stratum >= 0])]
        self._values = samples.select(*PROPERTY_WORDING, *(_has_hue(name) for name in HUES))
        self._strata = {
            column.name: [_Stratum(rows, column.to_numpy().astype(np.float64)) for rows in strata]
            for column in self._values
        }

    def measure(self, sets: Sequence[Mask]) -> pl.DataFrame:
        """See the function `measure`."""
        rows = []
        for name, strata in self._strata.items():
            values = self._values[name].to_numpy().astype(np.float64, copy=False)
            average = np.mean if name in HUES else np.median
            for i, inside in enumerate(sets):
                delta, p = _compare(strata, inside)
                parts = (values[inside], values[~inside])
                own_value, other_value = (float(average(part)) if len(part) else None for part in parts)
                rows.append(
                    {"set": i, "property": name, "here": own_value, "others": other_value, "delta": delta, "p": p}
                )
        schema = {"set": pl.Int64, "property": pl.String} | dict.fromkeys(("here", "others", "delta", "p"), pl.Float64)
        measured = pl.DataFrame(rows, schema=schema)
        return measured.with_columns(pl.Series("adjusted_p", benjamini_hochberg(measured["p"].to_numpy())))


def measure(samples: pl.DataFrame, sets: Sequence[Mask], *, within: str | None = None) -> pl.DataFrame:
    """Compare every property of every set with all other rows: set, property, here, others, delta, p and adjusted_p.

    `here` and `others` are medians, or for a hue the shares that have it. `delta` is Cliff's delta (-1 to 1): how much
    more often a member exceeds another row than falls below it. `p` is two-sided. `within` compares only rows with the
    same value of that column, weighted by the number of members: does the set differ even from others of its classes?
    """
    return Ranked(samples, within=within).measure(sets)


def notable(measured: pl.DataFrame, *, rate: float = FALSE_DISCOVERY_RATE) -> pl.DataFrame:
    """Return the differences that are reported: at most the four strongest of each set, strongest first."""
    strong = measured.filter(pl.col("adjusted_p") < rate, pl.col("delta").abs() >= SOMEWHAT)
    ordered = strong.sort("set", pl.col("delta").abs(), "property", descending=[False, True, False])
    return ordered.group_by("set", maintain_order=True).head(MAX_CLAUSES)


def to_clause(row: Difference, *, others: str = "others") -> str:
    """Describe a difference with its numbers: "clearly light background (median L* 88, others 53)"."""
    name, delta = row["property"], row["delta"]
    degree = "clearly" if abs(delta) >= CLEARLY else "somewhat" if abs(delta) >= SOMEWHAT else "slightly"
    value, other_value = row["here"], row["others"]
    if name in HUES:
        amount = f"{degree} {'more' if delta > 0 else 'fewer'}"
        return f"{amount} {name} objects ({percent(value, 0)}, {others} {percent(other_value, 0)})"
    low, high, unit = PROPERTY_WORDING[name]
    return f"{degree} {high if delta > 0 else low} ({unit} {_number(value)}, {others} {_number(other_value)})"


def _number(value: float) -> str:
    """Format a number to two significant digits, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"


class _Stratum:
    """Rows within which sets are compared, with the ranks of their values (ties averaged)."""

    def __init__(self, rows: NDArray[np.int64], values: Values) -> None:
        from scipy.stats import rankdata, tiecorrect

        self.rows = rows
        own = values[rows]
        rank = rankdata(np.where(np.isnan(own), np.inf, own))  # missing values tie and rank above all others
        self.rank = rank.astype(np.float32)  # exact to one half up to 8 million rows
        self.spread = (len(rows) + 1) * float(tiecorrect(rank)) / 12

    def count(self, inside: Mask) -> tuple[int, int, float]:
        """Return the numbers of members and of others, and the members' Mann-Whitney U minus its expectation."""
        is_member = inside[self.rows]
        m = int(is_member.sum())
        n = len(is_member) - m
        return m, n, float(self.rank[is_member].sum(dtype=np.float64)) - m * (m + 1) / 2 - m * n / 2


def _compare(strata: list[_Stratum], inside: Mask) -> tuple[float, float]:
    """Return Cliff's delta and two-sided p of members against others of their stratum (Mann & Whitney 1947, summed)."""
    counts = [(*stratum.count(inside), stratum.spread) for stratum in strata]
    comparable = [(m, n, excess, spread) for m, n, excess, spread in counts if m and n]
    variance = sum(m * n * spread for m, n, _, spread in comparable)
    if variance <= 0:
        return 0.0, 1.0
    delta = sum(2 * excess / n for _, n, excess, _ in comparable) / sum(m for m, *_ in comparable)
    z = sum(excess for _, _, excess, _ in comparable) / math.sqrt(variance)
    return delta, math.erfc(abs(z) / math.sqrt(2))


def _codes(values: pl.Series) -> NDArray[np.int64]:
    """Return an integer code for each distinct value; -1 for null."""
    return values.rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()


def _has_hue(name: str) -> pl.Expr:
    """Return 1 if the object has the colour, 0 if it has another or is grey."""
    low, high = HUES[name]
    return pl.col("object_hue").is_between(low, high, closed="left").fill_null(value=False).cast(pl.UInt8).alias(name)
