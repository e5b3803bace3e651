"""How sets of samples differ from the others in measured image properties, and which differences may be said.

A difference is said only if a Mann-Whitney test survives Benjamini-Hochberg over everything tested at once and Cliff's
delta is at least 0.33 ("somewhat") or 0.474 ("clearly"; Romano et al. 2006). A hue is a range on a circle, so it is
tested as being in that range or not; delta is then the difference of the two shares.
"""

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.statistics import benjamini_hochberg

WORDS = {
    "bg_lightness": ("dark background", "light background", "median L*"),
    "bg_plainness": ("plain background", "busy background", "median spread of L*"),
    "bg_chroma": ("grey background", "colourful background", "median chroma"),
    "object_lightness": ("dark objects", "light objects", "median L*"),
    "shade": (
        "objects darker than their background",
        "objects lighter than their background",
        "median difference of L*",
    ),
    "object_chroma": ("grey objects", "colourful objects", "median chroma"),
    "contrast": ("low contrast", "high contrast", "median spread of L*"),
    "sharpness": ("low sharpness", "high sharpness", "median variance of the Laplacian"),
    "edge_density": ("few edges", "many edges", "median share of pixels"),
}
"""The lower end, the upper end and the number of each property in words."""
HUES = {
    "red": (0.0, 40.0),
    "orange": (40.0, 70.0),
    "yellow": (70.0, 105.0),
    "green": (105.0, 165.0),
    "cyan": (165.0, 230.0),
    "blue": (230.0, 300.0),
    "purple": (300.0, 360.0),
}
"""Degrees in CIELAB from which and to below which an object that is not grey has the colour."""
SOMEWHAT, CLEARLY = 0.33, 0.474
FALSE_DISCOVERY_RATE = 0.05
MAX_CLAUSES = 4

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]


class Difference(TypedDict):
    """What a row of `notable` says of a property."""

    property: str
    delta: float
    here: float
    others: float


class Ranked:
    """The properties of some samples with the ranks of their values, which every set of them is compared by."""

    def __init__(self, samples: pl.DataFrame, *, within: str | None = None) -> None:
        stratum = np.zeros(len(samples), np.int64) if within is None else _codes(samples[within])
        strata = [np.flatnonzero(stratum == code) for code in np.unique(stratum[stratum >= 0])]
        self._values = samples.select(*WORDS, *(_has_hue(name) for name in HUES))
        self._strata = {
            column.name: [_Stratum(rows, column.to_numpy().astype(np.float64)) for rows in strata]
            for column in self._values
        }

    def measure(self, sets: Sequence[Mask]) -> pl.DataFrame:
        """As the function `measure` says it."""
        rows = []
        for name, strata in self._strata.items():
            values = self._values[name].to_numpy().astype(np.float64, copy=False)
            typical = np.mean if name in HUES else np.median
            for i, inside in enumerate(sets):
                delta, p = _compare(strata, inside)
                parts = (values[inside], values[~inside])
                here, others = (float(typical(part)) if len(part) else None for part in parts)
                rows.append({"set": i, "property": name, "here": here, "others": others, "delta": delta, "p": p})
        schema = {"set": pl.Int64, "property": pl.String} | dict.fromkeys(("here", "others", "delta", "p"), pl.Float64)
        found = pl.DataFrame(rows, schema=schema)
        return found.with_columns(pl.Series("adjusted_p", benjamini_hochberg(found["p"].to_numpy())))


def measure(samples: pl.DataFrame, sets: Sequence[Mask], *, within: str | None = None) -> pl.DataFrame:
    """Every property of every set against all other rows: set, property, here, others, delta, p and adjusted_p.

    `here` and `others` are medians, of a hue the shares that have it. `delta` is Cliff's delta in -1..1: how much more
    often a member is higher than another row. `p` is two-sided. `within` compares only rows of one value of that
    column, weighted by the members that have it: does the set differ even from others of its classes?
    """
    return Ranked(samples, within=within).measure(sets)


def notable(measured: pl.DataFrame, *, rate: float = FALSE_DISCOVERY_RATE) -> pl.DataFrame:
    """The differences that may be said, of each set the strongest four, strongest first."""
    strong = measured.filter(pl.col("adjusted_p") < rate, pl.col("delta").abs() >= SOMEWHAT)
    ordered = strong.sort("set", pl.col("delta").abs(), "property", descending=[False, True, False])
    return ordered.group_by("set", maintain_order=True).head(MAX_CLAUSES)


def to_clause(row: Difference, *, others: str = "others") -> str:
    """One difference in words with its numbers: "clearly light background (median L* 88, others 53)"."""
    name, delta = row["property"], row["delta"]
    degree = "clearly" if abs(delta) >= CLEARLY else "somewhat" if abs(delta) >= SOMEWHAT else "slightly"
    here, there = row["here"], row["others"]
    if name in HUES:
        return f"{degree} {'more' if delta > 0 else 'fewer'} {name} objects ({here:.0%}, {others} {there:.0%})"
    low, high, unit = WORDS[name]
    return f"{degree} {high if delta > 0 else low} ({unit} {_number(here)}, {others} {_number(there)})"


def _number(value: float) -> str:
    """Two significant digits, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"


class _Stratum:
    """Rows among which sets are compared, with the rank of their values, ties shared."""

    def __init__(self, rows: NDArray[np.int64], values: Values) -> None:
        from scipy.stats import rankdata, tiecorrect

        self.rows = rows
        own = values[rows]
        rank = rankdata(np.where(np.isnan(own), np.inf, own))  # those that are missing tie, above all others
        self.rank = rank.astype(np.float32)  # exact to a half up to 8 million rows
        self.spread = (len(rows) + 1) * float(tiecorrect(rank)) / 12

    def count(self, inside: Mask) -> tuple[int, int, float]:
        """Members, others, and by how much the Mann-Whitney U of the members exceeds its expectation."""
        here = inside[self.rows]
        m = int(here.sum())
        n = len(here) - m
        return m, n, float(self.rank[here].sum(dtype=np.float64)) - m * (m + 1) / 2 - m * n / 2


def _compare(strata: list[_Stratum], inside: Mask) -> tuple[float, float]:
    """Cliff's delta and the two-sided p of members against others of their stratum (Mann & Whitney 1947, summed)."""
    counted = [(*stratum.count(inside), stratum.spread) for stratum in strata]
    both = [(m, n, excess, spread) for m, n, excess, spread in counted if m and n]
    variance = sum(m * n * spread for m, n, _, spread in both)
    if variance <= 0:
        return 0.0, 1.0
    delta = sum(2 * excess / n for _, n, excess, _ in both) / sum(m for m, *_ in both)
    z = sum(excess for _, _, excess, _ in both) / math.sqrt(variance)
    return delta, math.erfc(abs(z) / math.sqrt(2))


def _codes(values: pl.Series) -> NDArray[np.int64]:
    """A number for each distinct value; -1 where there is none."""
    return values.rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()


def _has_hue(name: str) -> pl.Expr:
    """1 where the object has the colour, 0 where it has another or is grey."""
    low, high = HUES[name]
    return pl.col("object_hue").is_between(low, high, closed="left").fill_null(value=False).cast(pl.UInt8).alias(name)
