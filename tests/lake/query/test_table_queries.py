"""Histograms and the pivot of the table of samples: counted by hand, and reproduced by the filter of each cell."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from lake.query.filters import Filters
from lake.query.histograms import histograms
from lake.query.joined_samples import scan_samples
from lake.query.pivots import FEW, PARTS, Axis, pivot, quantiles
from lake.storage.store import Lake
from tests.support.data.scalars import number
from tests.support.servers.apps import HELD_OUT


@pytest.fixture(scope="module")
def samples(tiny_lake: str) -> pl.DataFrame:
    return scan_samples(Lake(tiny_lake).run()).collect()


def axis_of(samples: pl.DataFrame, column: str) -> Axis:
    if not samples.schema[column].is_float():
        return Axis(column)
    return Axis(column, tuple(quantiles(samples.lazy(), column).collect()[column]))


# --- histograms


def test_values_are_counted_in_equal_bins_the_highest_in_the_last() -> None:
    frame = pl.LazyFrame({"a": [0.0, 1.0, 2.0, 2.0, 3.9, 4.0, None], "b": [7.0] * 7})
    found = histograms(frame, ["b", "a"], pl.col("a") >= 2, bins=4).collect()
    assert found.rows() == [
        ("b", 7.0, 7.0, 7, 4),
        ("a", 0.0, 1.0, 1, 0),
        ("a", 1.0, 2.0, 1, 0),
        ("a", 2.0, 3.0, 2, 2),
        ("a", 3.0, 4.0, 2, 2),
    ]


def test_a_column_without_values_has_no_bins() -> None:
    frame = pl.LazyFrame({"a": [None, None], "b": [1.0, 2.0]}, schema_overrides={"a": pl.Float64})
    assert histograms(frame, ["a", "b"], pl.lit(value=True)).collect()["column"].unique().to_list() == ["b"]


def test_histograms_of_a_run_agree_with_numpy(samples: pl.DataFrame) -> None:
    filters = Filters.of(label="cat")
    columns = ["loss", "confidence", "object_hue"]
    found = histograms(samples.lazy(), columns, filters.to_expr(samples.schema)).collect()
    for column in columns:
        values = samples[column].drop_nulls().to_numpy()
        counts, _ = np.histogram(values, bins=24)
        assert found.filter(column=column)["n_all"].to_list() == [n for n in counts.tolist() if n], column
        passing = samples.filter(pl.col("label") == "cat")[column].drop_nulls()
        assert found.filter(column=column)["n"].sum() == len(passing)


# --- the pivot


def test_means_counts_and_intervals_are_those_of_the_rows(samples: pl.DataFrame) -> None:
    down, across = axis_of(samples, "label"), axis_of(samples, "confidence")
    found = pivot(samples.lazy(), down, across).collect()
    held_out = samples.filter(HELD_OUT)
    assert found["n"].sum() == len(held_out)
    for row in found.iter_rows(named=True):
        ends = (-np.inf, *across.cuts, np.inf)  # type: ignore[misc]
        low, high = ends[row["across"]], ends[row["across"] + 1]
        inside = held_out.filter(label=row["down"]).filter(pl.col("confidence") > low, pl.col("confidence") <= high)
        loss = inside["loss"].to_numpy()
        assert (row["n"], row["mean_loss"]) == (len(loss), pytest.approx(loss.mean()))
        if len(loss) < FEW:
            assert (row["low"], row["high"]) == (None, None)
        else:
            low, high = hall_interval(loss)
            assert row["high"] == pytest.approx(high)
            assert row["low"] == pytest.approx(max(0, low))


def hall_interval(values: np.ndarray) -> tuple[float, float]:
    """Hall (1992), solved for the mean by the root of the cubic polynomial itself."""
    n, skew = len(values), stats.skew(values)
    g = skew / np.sqrt(n)

    def t(z: float) -> float:
        found = np.roots([g**2 / 27, g / 3, 1, g / 6 - z])
        return float(found[abs(found.imag) < 1e-9].real[0])

    error = values.std(ddof=1) / np.sqrt(n)
    return values.mean() - t(1.959964) * error, values.mean() - t(-1.959964) * error


@pytest.mark.parametrize(("n", "wrong", "least"), [(20, 0.4, 0.92), (50, 0.15, 0.93), (100, 0.05, 0.91)])
def test_the_interval_holds_the_mean_of_losses_in_about_95_of_100_cells(n: int, wrong: float, least: float) -> None:
    """Losses as a classifier has them: mostly near 0, of those that are wrong above 0.7 nats."""
    rng, cells = np.random.default_rng(0), 3000
    is_wrong = rng.random(n * cells) < wrong
    loss = np.where(is_wrong, 0.7 + rng.exponential(1.5, n * cells), rng.uniform(0, 0.1, n * cells))
    rows = {"loss": loss, "cell": np.arange(n * cells) % cells, "all": 0}
    frame = pl.LazyFrame(rows).with_columns(label=pl.lit("cat"), out_of_sample=True)
    found = pivot(frame, Axis("cell"), Axis("all")).collect()
    mean = wrong * (0.7 + 1.5) + (1 - wrong) * 0.05
    held = found.select((pl.lit(mean).is_between("low", "high")).mean()).item()
    assert least < held < 0.97


def test_the_interval_of_losses_that_are_not_skewed_is_the_symmetric_one() -> None:
    loss = [1.0, 3.0] * 10
    frame = pl.LazyFrame({"loss": loss, "label": ["cat"] * 20, "out_of_sample": [True] * 20})
    row = pivot(frame, Axis("label"), Axis("out_of_sample")).collect().row(0, named=True)
    half = 1.959964 * np.std(loss, ddof=1) / np.sqrt(20)
    assert (row["low"], row["high"]) == (pytest.approx(2 - half), pytest.approx(2 + half))


def test_a_number_is_cut_into_parts_of_as_many_held_out_samples(samples: pl.DataFrame) -> None:
    axis = axis_of(samples, "loss")
    sizes = samples.filter(HELD_OUT).group_by(axis.key().alias("part")).len()["len"]
    assert len(sizes) == PARTS
    assert number(sizes.min()) > 0.9 * number(sizes.max())


def test_dates_of_digits_are_cut_at_dates_that_are_not_rounded() -> None:
    days = [20240101 + i for i in range(20)]
    frame = pl.LazyFrame({"day": days, "label": "a", "out_of_sample": True})
    assert quantiles(frame, "day").collect()["day"].to_list() == [20240104, 20240108, 20240112, 20240116]
    rounded = quantiles(frame.cast({"day": pl.Float64}), "day").collect()["day"]
    assert rounded.to_list() == [20240000.0], "as floats, all days of a year are one"


def test_a_value_at_a_cut_belongs_to_the_part_that_ends_there() -> None:
    axis, values = Axis("a", (1.0, 2.0)), pl.DataFrame({"a": [0.5, 1.0, 1.5, 2.0, 2.5, None]})
    keys = values.select(axis.key()).to_series().to_list()
    assert keys == [0, 0, 1, 1, 2, None]
    for key in set(keys):
        left = Filters(clauses=(axis.clause(key),)).apply(values.lazy()).collect()
        assert left.height == keys.count(key), axis.text(key)


@pytest.mark.parametrize("column", ["label", "correct", "cluster_hdbscan", "loss", "object_hue", "bg_lightness"])
def test_the_filter_of_a_cell_leaves_exactly_the_samples_it_counts(samples: pl.DataFrame, column: str) -> None:
    down, across = axis_of(samples, column), axis_of(samples, "predicted")
    held_out = samples.lazy().filter(HELD_OUT)
    found = pivot(samples.lazy(), down, across).collect()
    assert len(found) > 1
    for row in found.iter_rows(named=True):
        filters = Filters(clauses=(down.clause(row["down"]), across.clause(row["across"])))
        again = Filters.from_text(filters.to_text()).checked(samples.schema)
        assert again.apply(held_out).collect().height == row["n"]


@pytest.mark.parametrize(
    ("axis", "key", "words", "clause"),
    [
        (Axis("label"), "cat", "cat", "label: cat"),
        (Axis("correct"), True, "true", "correct: true"),
        (Axis("cluster"), 3, "3", "cluster: 3"),
        (Axis("cluster"), None, "empty", "cluster: empty"),
        (Axis("shade", (-1.5, 2.0)), 0, "to -1.5", "shade <= -1.5"),
        (Axis("shade", (-1.5, 2.0)), 1, "-1.5 to 2", "shade > -1.5 and shade <= 2.0"),
        (Axis("shade", (-1.5, 2.0)), 2, "above 2", "shade > 2.0"),
        (Axis("year", (1999, 2004, 2005)), 0, "to 1999", "year <= 1999"),
        (Axis("year", (1999, 2004, 2005)), 1, "2000 to 2004", "year > 1999 and year <= 2004"),
        (Axis("year", (1999, 2004, 2005)), 2, "2005", "year > 2004 and year <= 2005"),
        (Axis("year", (1999, 2004, 2005)), 3, "above 2005", "year > 2005"),
    ],
)
def test_a_place_is_said_in_words_and_as_a_filter(axis: Axis, key: object, words: str, clause: str) -> None:
    assert axis.text(key) == words
    assert axis.clause(key).describe() == clause


def test_a_column_with_one_value_is_one_part() -> None:
    same = {"x": [1.0] * 50, "label": ["a"] * 50, "out_of_sample": [True] * 50, "loss": [0.5] * 50}
    frame = pl.LazyFrame(same)
    assert quantiles(frame, "x").collect().is_empty()
    assert pivot(frame, Axis("x", ()), Axis("label")).collect().select("down", "n").rows() == [(0, 50)]
    assert Axis("x", ()).text(0) == "any"
    assert Axis("x", ()).clause(0).describe() == "x: not empty"
