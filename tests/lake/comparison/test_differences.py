"""Differences of measured properties: right by hand, named where planted, silent on noise."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import mannwhitneyu

from lake.comparison import differences
from lake.comparison.differences import HUES, PROPERTY_WORDING, Difference, measure, notable, to_clause
from lake.contracts.rows import rows_of
from tests.support.data.random_samples import make_properties
from tests.support.data.scalars import number


def every_fourth(frame: pl.DataFrame) -> np.ndarray:
    return np.arange(len(frame)) % 4 == 0


def test_delta_medians_and_p_are_those_of_the_pairs_and_of_scipy() -> None:
    frame = make_properties(0, size=200).with_columns(pl.col("contrast").round(0))  # ties
    inside = every_fourth(frame)
    for row in measure(frame, [inside]).filter(pl.col("property").is_in(list(PROPERTY_WORDING))).iter_rows(named=True):
        values = frame[row["property"]].to_numpy()
        here, others = values[inside], values[~inside]
        assert row["delta"] == pytest.approx(np.sign(here[:, None] - others).mean())
        assert (row["here"], row["others"]) == (np.median(here), np.median(others))
        expected = mannwhitneyu(here, others, method="asymptotic", use_continuity=False).pvalue
        assert row["p"] == pytest.approx(expected)


def test_a_difference_that_only_the_classes_have_is_gone_within_them() -> None:
    frame = make_properties(1)
    is_cat = (frame["label"] == "cat").to_numpy()
    lighter = frame.with_columns(pl.col("bg_lightness") + pl.Series(40.0 * is_cat))
    mostly_cats = is_cat & (np.arange(len(frame)) % 3 > 0)
    of = {"property": "bg_lightness"}
    assert (
        measure(lighter, [mostly_cats]).row(by_predicate=pl.col("property") == "bg_lightness", named=True)["delta"]
        > 0.5
    )
    matched = measure(lighter, [mostly_cats], within="label").filter(**of).row(0, named=True)
    assert abs(matched["delta"]) < 0.15
    assert matched["p"] > 0.01


def test_a_difference_inside_each_class_is_found_within_them() -> None:
    frame = make_properties(2)
    inside = every_fourth(frame)
    lighter = frame.with_columns(pl.col("bg_lightness") + pl.Series(25.0 * inside))
    said = notable(measure(lighter, [inside], within="label"))
    assert said["property"].to_list() == ["bg_lightness"]


def test_what_was_measured_of_no_row_differs_nowhere() -> None:
    frame = make_properties(3, size=40).with_columns(pl.lit(None, pl.Float64).alias(name) for name in PROPERTY_WORDING)
    found = measure(frame, [every_fourth(frame)]).filter(pl.col("property").is_in(list(PROPERTY_WORDING)))
    assert set(found["delta"]) == {0.0} and set(found["p"]) == set(found["adjusted_p"]) == {1.0}


def test_rows_without_a_class_are_compared_with_none() -> None:
    frame = make_properties(3).with_columns(pl.lit(None, pl.String).alias("label"))
    found = measure(frame, [every_fourth(frame)], within="label")
    assert set(found["delta"]) == {0.0} and set(found["p"]) == {1.0}


def test_a_light_background_is_said_with_its_numbers() -> None:
    frame = make_properties(4)
    inside = every_fourth(frame)
    found = notable(measure(frame.with_columns(pl.col("bg_lightness") + pl.Series(25.0 * inside)), [inside]))
    assert len(found) == 1
    text = to_clause(rows_of(found, Difference)[0], others="group 3")
    here = number(frame["bg_lightness"].filter(pl.Series(inside)).median()) + 25
    others = number(frame["bg_lightness"].filter(pl.Series(~inside)).median())
    assert text == f"clearly light background (median L* {here:.0f}, group 3 {others:.0f})"


def test_numbers_below_nothing_are_said_without_an_exponent() -> None:
    row: Difference = {"property": "shade", "delta": -0.4, "here": -123.4, "others": -0.123}
    assert to_clause(row) == (
        "somewhat objects darker than their background (median difference of L* -123, others -0.12)"
    )


@pytest.mark.parametrize("name", HUES)
def test_every_hue_is_named_where_planted_and_no_other(name: str) -> None:
    frame = make_properties(5)
    inside = every_fourth(frame)
    middle = sum(HUES[name]) / 2
    planted = frame.with_columns(
        pl.when(pl.Series(inside))
        .then(middle)
        .otherwise((middle + 120 + pl.col("object_hue") / 3) % 360)
        .alias("object_hue")
    )
    said = [to_clause(row) for row in rows_of(notable(measure(planted, [inside])), Difference)]
    assert said[0].startswith(f"clearly more {name} objects (100 %, others 0 %)")
    assert not any("more" in clause for clause in said[1:])


def test_at_most_four_differences_are_said_strongest_first() -> None:
    frame = make_properties(6)
    inside = every_fourth(frame)
    shifted = frame.with_columns(
        pl.col(name) + pl.Series((8.0 + 3 * i) * inside) for i, name in enumerate(PROPERTY_WORDING)
    )
    found = notable(measure(shifted, [inside]))
    assert len(found) == differences.MAX_CLAUSES
    assert found["property"][0] == list(PROPERTY_WORDING)[-1]
    assert found["delta"].abs().is_sorted(descending=True)


def test_everything_and_nothing_differ_from_nothing() -> None:
    frame = make_properties(7)
    whole = np.ones(len(frame), bool)
    assert notable(measure(frame, [whole, ~whole])).is_empty()


def test_random_partitions_are_silent() -> None:
    spoken = 0
    for seed in range(100):
        frame = make_properties(100 + seed, size=600)
        number = np.random.default_rng(seed).integers(0, 6, len(frame))
        spoken += len(notable(measure(frame, [number == i for i in range(6)]))) > 0
    assert spoken <= 5
