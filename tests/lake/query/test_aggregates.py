"""Numbers that polars computed."""

import polars as pl
import pytest

from lake.query.aggregates import or_zero


@pytest.mark.parametrize(("values", "highest"), [([1, 3], 3.0), ([0.5], 0.5), ([], 0.0), ([None], 0.0)])
def test_the_highest_of_no_values_is_0(values: list[float], highest: float) -> None:
    assert or_zero(pl.Series(values, dtype=pl.Float64).max()) == highest


def test_a_text_is_no_number() -> None:
    with pytest.raises(TypeError, match="'dog' is not a number"):
        or_zero(pl.Series(["cat", "dog"]).max())
