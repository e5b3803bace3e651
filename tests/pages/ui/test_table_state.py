"""The state of the table of samples: what is written to an address is read again, hostile text is left out and said."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lake.query.sample_columns import DEFAULT_COLUMNS
from pages.ui.table.table_state import Order, TableState, from_query

COLUMNS = [*DEFAULT_COLUMNS, "margin", "odd, name", "100 %"]
AXES = ["label", "margin", "odd, name"]

orders = st.builds(Order, column=st.sampled_from(COLUMNS), descending=st.booleans())
states = st.builds(
    TableState,
    columns=st.lists(st.sampled_from(COLUMNS), min_size=1, unique=True).map(tuple),
    sort=st.lists(orders, max_size=4, unique_by=lambda order: order.column).map(tuple),
    pivot=st.none() | st.lists(st.sampled_from(AXES), min_size=2, max_size=2, unique=True).map(tuple),
)
fragments = st.sampled_from([*COLUMNS, "-", ",", "%", "%2C", "\ud800", "<img src=x>", "sample_id", "^.*$"])
hostile = st.text() | st.lists(fragments, max_size=30).map("".join)


@given(states)
def test_a_state_written_to_the_address_and_read_again_is_itself(state: TableState) -> None:
    assert from_query(state.to_query(), COLUMNS, AXES) == (state, [])


@given(states)
def test_the_text_of_a_state_is_plain_enough_for_an_address(state: TableState) -> None:
    allowed = set(string.ascii_letters + string.digits + "-_.,~%")
    assert all(set(text) <= allowed for text in state.to_query().values())


@given(hostile, hostile, hostile)
@example("," * 1000, "-" * 1000, "label")
@example("no_such", "--loss", "label,label")
def test_hostile_text_gives_a_state_that_the_run_can_show(columns: str, sort: str, pivot: str) -> None:
    state, _ = from_query({"columns": columns, "sort": sort, "pivot": pivot}, COLUMNS, AXES)
    assert state.columns and set(state.columns) <= set(COLUMNS) and len(set(state.columns)) == len(state.columns)
    assert {order.column for order in state.sort} <= set(COLUMNS)
    assert state.pivot is None or (set(state.pivot) <= set(AXES) and state.pivot[0] != state.pivot[1])


@pytest.mark.parametrize(
    ("query", "expected", "refused"),
    [
        ({}, TableState(), []),
        ({"sort": "sample_id"}, TableState(sort=()), []),
        ({"sort": "label,-label"}, TableState(sort=(Order(column="label", descending=False),)), []),
        ({"columns": "loss,gone,loss"}, TableState(columns=("loss",)), ["columns 'gone'"]),
        ({"columns": "gone"}, TableState(), ["columns 'gone'"]),
        ({"sort": "-gone,-margin"}, TableState(sort=(Order(column="margin"),)), ["sort '-gone'"]),
        ({"pivot": "label,margin"}, TableState(pivot=("label", "margin")), []),
        ({"pivot": "label,loss"}, TableState(), ["pivot 'loss'"]),
        ({"pivot": "label"}, TableState(), ["a pivot, which takes two columns"]),
    ],
)
def test_what_a_run_lacks_is_left_out_and_said(query: dict[str, str], expected: TableState, refused: list[str]) -> None:
    assert from_query(query, COLUMNS, AXES) == (expected, refused)
