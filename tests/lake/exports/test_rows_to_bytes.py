"""CSV files: exact for programs, and for people as they look in a spreadsheet.

What Excel does is written out in `seen_in_excel`: openpyxl reads xlsx files but no CSV, and no spreadsheet runs here.
"""

import ast
import csv
import io
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.exports.rows_to_bytes import to_bytes
from lake.exports.spreadsheet_csv import BYTE_ORDER_MARK, count_formulas, to_spreadsheet_csv
from tests.support.paths import REPOSITORY

IDS = [12345678901234567, 7, None, -(2**62), 123456789012345]
TEXTS = ["Möwe", '5" disk, "new"', "two\nlines", "a,b;c\td", ""]
FORMULAS = ["=1+1", "+49 30 1234", "-2+3", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C calc'!A0", "\uff1d1+1", "-"]
CHANGED = [
    *("007", "00", "12345678901234567", "1E5", "2e10", "1.10", "1,5", "1.2.3", "1-2", "3/4", "2024-01-15", "12:30"),
    *("MARCH1", "Sept2", "dec-12", "1 Jan", "true", "FALSE"),
]
HARMLESS = ["0", "7", "1.5", "0.25", "123456789012345", "img_007", "1-a", "mar", "decoy12", "marble1", "x=1", "7 cats"]
DATES = r"\d+[-/.: ]\d+([-/.: ]\d+)?|([a-z]{3,9})[-/. ]?\d{1,4}|\d{1,4}[-/. ]?[a-z]{3,9}"
MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august"]
MONTHS += ["september", "sept", "october", "november", "december"]


def seen_in_excel(cell: str) -> str:
    """The text that Excel shows for a cell of a CSV file; fails where it would run a formula or make a date."""
    if constant := re.fullmatch('="([^"]*)"', cell):
        return constant[1]
    assert cell[:1] not in tuple("=+@\t\r\n\uff1d\uff0b\uff0d\uff20"), f"runs {cell}"
    if re.fullmatch(r"-?\d[\d,]*([.]\d+)?(e[+-]?\d+)?", cell, re.IGNORECASE):
        return f"{float(cell.replace(',', '')):.15g}"
    assert not cell.startswith("-"), f"runs {cell}"
    month = re.sub("[^a-z]", "", cell.lower())
    is_month = any(name == month or name[:3] == month for name in MONTHS)
    date = re.fullmatch(DATES, cell, re.IGNORECASE)
    assert not date or (month and not is_month), f"is a date: {cell}"
    assert cell.lower() not in ("true", "false"), f"is a logical value: {cell}"
    return cell


def cells_of(content: bytes) -> list[list[str]]:
    """The cells as a program reads them that knows the byte order mark."""
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def column(content: bytes) -> list[str]:
    """The cells of the only column, without its name."""
    return [row[0] if row else "" for row in cells_of(content)[1:]]


def test_people_see_umlauts_because_the_file_begins_with_a_byte_order_mark_and_programs_get_none() -> None:
    rows = pl.DataFrame({"Tür": ["Möwe", "鸥"]})
    assert to_bytes(rows, "csv", for_spreadsheets=True) == BYTE_ORDER_MARK + "Tür\nMöwe\n鸥\n".encode()
    assert to_bytes(rows, "csv") == "Tür\nMöwe\n鸥\n".encode()
    assert pl.read_csv(to_spreadsheet_csv(rows)).equals(rows)


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_a_spreadsheet_would_run_begins_with_an_apostrophe(text: str) -> None:
    assert column(to_spreadsheet_csv(pl.DataFrame({"a": [text]}))) == [f"'{text}"]
    assert count_formulas(pl.DataFrame({"a": [text, "cat", None], "b": [-1, 2, 3]})) == 1


def test_numbers_are_never_escaped_and_keep_their_type() -> None:
    rows = pl.DataFrame({"a": [-1, None, 10**14], "b": [-0.5, 1e-9, None], "c": [True, None, False]})
    assert to_spreadsheet_csv(rows) == BYTE_ORDER_MARK + to_bytes(rows, "csv")
    assert pl.read_csv(to_spreadsheet_csv(rows)).equals(rows)
    assert count_formulas(rows) == 0


@pytest.mark.parametrize("text", CHANGED)
def test_text_that_excel_would_change_is_seen_as_it_is(text: str) -> None:
    (cell,) = column(to_spreadsheet_csv(pl.DataFrame({"a": [text]})))
    assert cell == f'="{text}"' and seen_in_excel(cell) == text
    with pytest.raises(AssertionError):
        assert seen_in_excel(text) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_text_that_excel_leaves_alone_is_not_touched(text: str) -> None:
    assert column(to_spreadsheet_csv(pl.DataFrame({"a": [text]}))) == [text] == [seen_in_excel(text)]


def test_integers_keep_all_their_digits_in_excel() -> None:
    cells = column(to_spreadsheet_csv(pl.DataFrame({"id": IDS, "n": range(len(IDS))})))
    assert [seen_in_excel(cell) for cell in cells] == ["" if value is None else str(value) for value in IDS]
    assert seen_in_excel(str(IDS[0])) == "1.23456789012346e+16"


def test_commas_quotes_and_lines_in_text_stay_in_their_cell() -> None:
    rows = pl.DataFrame({"a": TEXTS, "b": range(len(TEXTS))})
    for content in (to_bytes(rows, "csv"), to_spreadsheet_csv(rows)):
        assert cells_of(content) == [["a", "b"], *([text, str(i)] for i, text in enumerate(TEXTS))]
        assert pl.read_csv(content).equals(rows)


def test_an_empty_text_differs_from_no_value_for_programs() -> None:
    rows = pl.DataFrame({"a": ["", None, "x"], "b": [1, 2, 3]})
    assert to_bytes(rows, "csv") == b'a,b\n"",1\n,2\nx,3\n'
    assert pl.read_csv(to_bytes(rows, "csv")).equals(rows)


def test_programs_read_every_value_as_it_is() -> None:
    texts = [*TEXTS, *FORMULAS, *CHANGED, *HARMLESS]
    rows = pl.DataFrame({"text": texts, "id": [IDS[i % len(IDS)] for i in range(len(texts))]})
    schema = {"text": pl.String, "id": pl.Int64}
    assert pl.read_csv(to_bytes(rows, "csv"), schema=schema).equals(rows)
    assert pl.read_parquet(to_bytes(rows, "parquet", for_spreadsheets=True)).equals(rows)


def test_names_of_a_fixed_set_are_text_too() -> None:
    rows = pl.DataFrame({"a": pl.Series(["=a", "007"], dtype=pl.Categorical)})
    assert column(to_spreadsheet_csv(rows)) == ["'=a", '="007"']
    assert count_formulas(rows) == 1


@given(st.lists(st.text(alphabet="=+-@09.,eE/:;'\"\t\r\n aäJun\uff1d", max_size=8), min_size=1, max_size=5))
def test_no_text_runs_or_leaves_its_cell_whatever_it_is(texts: list[str]) -> None:
    content = to_spreadsheet_csv(pl.DataFrame({"a": texts, "end": "z"}))
    rows = cells_of(content)[1:]
    assert [row[1:] for row in rows] == [["z"]] * len(texts)
    for (cell, _), text in zip(rows, texts, strict=True):
        assert seen_in_excel(cell) in (text, f"'{text}")


def test_every_csv_file_of_the_pages_is_written_for_spreadsheets() -> None:
    for file in (REPOSITORY / "pages").rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        names = {ast.unparse(call.func).rpartition(".")[2] for call in calls}
        assert "write_csv" not in names, file
        for call in calls:
            if ast.unparse(call.func) == "to_bytes":
                assert "for_spreadsheets=True" in ast.unparse(call), file
