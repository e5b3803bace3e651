"""A column of text becomes numbers only where no value can mean anything else."""

import polars as pl
import pytest

from pipeline.source.text.decimal_numbers import has_decimal_commas, read_commas, to_numbers

Values = list[str | None]


def convert(values: Values, *, decimal_commas: bool = False) -> tuple[pl.DataType, list[float | None]] | None:
    numbers = to_numbers(pl.Series("x", values, pl.String), decimal_commas=decimal_commas)
    return None if numbers is None else (numbers.dtype, numbers.to_list())


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (["1", "-2", "+3", " 4 ", "0", "-0"], [1, -2, 3, 4, 0, 0]),
        (["12345678901234567", "", None], [12345678901234567, None, None]),
        (["9223372036854775807"], [2**63 - 1]),
    ],
)
def test_integers_keep_every_digit(values: Values, numbers: list[int | None]) -> None:
    assert convert(values) == (pl.Int64(), numbers)


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (["0.5", "1", "-2.25", "+.5", "3.", "1e-3", "2E2"], [0.5, 1, -2.25, 0.5, 3, 0.001, 200]),
        (["0,5", "1", "-2,25", "1,5E-03"], [0.5, 1, -2.25, 0.0015]),
        (["0,123", "0,456"], [0.123, 0.456]),
        (["1,234", "1,5"], [1.234, 1.5]),
        (["1.234", "2.345"], [1.234, 2.345]),
        (["1", "nan", "NaN", "-inf", "Infinity", ""], [1, None, None, None, None, None]),
        (["0.5", "inf"], [0.5, None]),
    ],
)
def test_decimals_with_points_or_with_commas(values: Values, numbers: list[float | None]) -> None:
    assert convert(values) == (pl.Float64(), numbers)


@pytest.mark.parametrize(
    "values",
    [
        ["007", "8"],
        ["00.5"],
        ["1,234", "12,345", "7"],
        ["1,234,567"],
        ["1.234,5"],
        ["1,5", "2.5"],
        ["1.2.3"],
        ["5 %"],
        ["1 000"],
        ["0x1F"],
        ["1_000"],
        ["١٢"],
        ["1e999"],
        ["cat", "1"],
        ["1"] * 60 + ["cat"],
        ["nan", ""],
        ["", None],
        [],
        ["12345678901234567890"],
        ["9007199254740993", "0.5"],
        ["12345678901234567", "nan"],
        ["2024-05-03"],
    ],
)
def test_anything_else_stays_text(values: Values) -> None:
    assert convert(values) is None


def test_points_before_three_digits_are_unclear_beside_decimal_commas() -> None:
    assert convert(["1.234", "12.345"], decimal_commas=True) is None
    assert convert(["1.25", "12.345"], decimal_commas=True) == (pl.Float64(), [1.25, 12.345])


@pytest.mark.parametrize(
    ("values", "expected"),
    [(["0,5", "1"], True), (["0.5"], False), (["1,234"], False), (["a, b"], False), (["", None], False)],
)
def test_only_numbers_have_decimal_commas(values: Values, expected: bool) -> None:
    assert has_decimal_commas(pl.Series("x", values, pl.String)) is expected


def test_columns_of_predictions_with_decimal_commas_and_percent_signs_are_numbers() -> None:
    assert read_commas(pl.Series(["0,25", "1", None, "7,1E-05"])).to_list() == [0.25, 1, None, 7.1e-5]
    assert read_commas(pl.Series(["39,5 %", "100%", "0 %"])).to_list() == [39.5, 100, 0]
    for texts in (["0,1", "1,0"], ["0.25", "1"], ["0,25,3", "1,1,1"], ["a,25"]):
        assert read_commas(pl.Series(texts)).to_list() == texts
