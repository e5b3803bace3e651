"""The line above the checks of a method counts those that hold among those that could be measured."""

import polars as pl
import pytest

from pages.text.checks import say_checks


@pytest.mark.parametrize(
    ("holds", "answer"),
    [
        ([None, None], "Too few samples for any check"),
        ([True, None], "1 of 1 check holds"),
        ([False, True, True], "2 of 3 checks hold"),
    ],
)
def test_checks_that_could_not_be_measured_do_not_count(holds: list[bool | None], answer: str) -> None:
    checks = pl.DataFrame({"holds": holds}, schema={"holds": pl.Boolean})
    assert say_checks(checks, "copies") == f"How reliable are these copies? {answer}"
