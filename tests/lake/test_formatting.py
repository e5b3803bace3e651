"""Numbers in words, as people say them."""

import datetime as dt

import pytest

from lake.text.formatting import say_age


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (dt.timedelta(days=-1), "0 minutes"),
        (dt.timedelta(seconds=59), "0 minutes"),
        (dt.timedelta(seconds=119), "1 minute"),
        (dt.timedelta(minutes=119), "119 minutes"),
        (dt.timedelta(minutes=120), "2 hours"),
        (dt.timedelta(hours=47, minutes=59), "47 hours"),
        (dt.timedelta(hours=48), "2 days"),
    ],
)
def test_an_age_is_said_in_the_unit_that_fits(age: dt.timedelta, said: str) -> None:
    assert say_age(age) == said
