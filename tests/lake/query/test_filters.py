"""Filters: text and model are two forms of one thing, hostile text is refused, clauses keep what they say."""

import string
from typing import get_args

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lake.errors import FilterError
from lake.query.filters import MAX_CLAUSES, MAX_VALUES, Clause, Filters, Operator

ROWS = pl.LazyFrame(
    {
        "sample_id": [0, 1, 2, 3, 4],
        "label": ["cat", "cat", "dog", "ship; a.b,c~", None],
        "loss": [0.1, 2.5, 0.7, 1.0, None],
        "cluster": [0, 3, 3, None, 0],
        "correct": [True, False, True, True, None],
        "probabilities": [[0.5], [0.5], [0.5], [0.5], [0.5]],
    },
    schema_overrides={"cluster": pl.Int64},
)
SCHEMA = ROWS.collect_schema()
CAT, DOG, SHIP = "cat", "dog", "ship; a.b,c~"

columns = st.sampled_from(sorted(SCHEMA)) | st.text(max_size=20)
values = st.lists(st.text(max_size=20) | st.floats().map(str) | st.integers().map(str), max_size=4).map(tuple)
operators = st.sampled_from(get_args(Operator))
clauses = st.builds(Clause, column=columns, op=operators, values=values, enabled=st.booleans())
filters = st.builds(Filters, clauses=st.lists(clauses, max_size=MAX_CLAUSES).map(tuple))
signs = [".", ",", ";", "~", "%", "%2E", "%00", "%ZZ", "%ff", "\x00", "^.*$", "*"]
odd_values = ["cat", "1", "1.5", "-0", "1e400", "nan", "inf", "true", "9" * 400, "'; drop table runs"]
fragments = st.sampled_from([*SCHEMA, *get_args(Operator), *signs, *odd_values])
hostile = st.lists(fragments | st.text(max_size=8), max_size=30).map("".join)


@given(filters)
def test_a_filter_written_as_text_and_read_again_is_itself(given_filters: Filters) -> None:
    assert Filters.from_text(given_filters.to_text()) == given_filters


@given(filters)
def test_the_text_of_a_filter_is_plain_enough_for_an_address(given_filters: Filters) -> None:
    allowed = set(string.ascii_letters + string.digits + "-_.,;~%")
    assert set(given_filters.to_text()) <= allowed


@given(hostile | st.text())
@example("label.is.cat")
@example("cluster.is.1.5")
@example("cluster.is." + "9" * 400)
@example("loss.between.1")
@example("loss.between.2,1")
@example("label.between.a,b")
@example("probabilities.is.1")
@example("~probabilities.not.0.5")
@example("^.*$.is.cat")
@example("*.null")
@example("correct.is.True")
@example(";" * 1000)
@example("label.is." + "," * 1000)
@example("label.is.\ud800")
@example(".where.loss > 1")
@example(".where." + "-" * 390 + "1")
@example("label.where.loss")
@example(".where")
@example(".is.cat")
def test_hostile_text_is_answered_or_refused_but_never_breaks(text: str) -> None:
    try:
        checked = Filters.from_text(text).checked(SCHEMA)
    except FilterError as error:
        assert len(str(error)) < 500
        return
    assert checked.apply(ROWS).collect().height <= 5
    assert all(clause.describe() for clause in checked.clauses)


@given(filters)
def test_a_model_of_anything_is_answered_or_refused_but_never_breaks(given_filters: Filters) -> None:
    try:
        checked = given_filters.checked(SCHEMA)
    except FilterError:
        return
    assert checked.apply(ROWS).collect().height <= 5


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("label.is.cat", [0, 1]),
        ("label.is.cat,dog", [0, 1, 2]),
        ("label.is.ship%3B%20a%2Eb%2Cc%7E", [3]),
        ("loss.between.0.7,2.5", [1, 2, 3]),
        ("loss.between.2.5,0.7", []),
        ("loss.is.2.5", [1]),
        ("cluster.is.3", [1, 2]),
        ("cluster.is.3.0", [1, 2]),
        ("cluster.between.0,2", [0, 4]),
        ("correct.is.false", [1]),
        ("correct.is.true,false", [0, 1, 2, 3]),
        ("label.is.cat;correct.is.false", [1]),
        ("label.is.cat;~correct.is.false", [0, 1]),
        ("label.is.cat;label.is.dog", []),
        (".where.loss%20%3E%201", [1]),
        ("label.is.cat;~.where.loss%20%3E%201", [0, 1]),
    ],
)
def test_clauses_keep_the_rows_they_say(text: str, kept: list[int]) -> None:
    assert _kept(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("id.is.9007199254740993", [1]),
        ("id.not.9007199254740993", [0, 2]),
        ("id.is.-9007199254740993", [2]),
        (".where.id%20%3D%3D%209007199254740993", [1]),
        (".where.id%20in%20%28-9007199254740993%2C%201%29", [2]),
    ],
)
def test_integers_beyond_the_digits_of_a_float_are_told_apart(text: str, kept: list[int]) -> None:
    ids = pl.DataFrame({"row": [0, 1, 2], "id": [9007199254740992, 9007199254740993, -9007199254740993]})
    assert Filters.from_text(text).checked(ids.schema).apply(ids.lazy()).collect()["row"].to_list() == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("label.null", [4]),
        ("label.present", [0, 1, 2, 3]),
        ("label.not.cat", [2, 3]),
        ("cluster.null", [3]),
        ("cluster.is.0", [0, 4]),
        ("cluster.not.0", [1, 2]),
        ("correct.not.true", [1]),
        ("loss.between.0,100", [0, 1, 2, 3]),
    ],
)
def test_an_empty_value_is_neither_like_a_value_nor_unlike_it(text: str, kept: list[int]) -> None:
    assert _kept(text) == kept


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("superclass.is.animal", "There is no column 'superclass'"),
        ("label.like.cat", "cannot be read"),
        ("label", "cannot be read"),
        ("label.is", "0 values, the wrong number for is"),
        ("loss.between.1", "1 values, the wrong number for between"),
        ("label.null.cat", "1 values, the wrong number for null"),
        ("label.between.a,b", "label is not numeric, so it has no range"),
        ("loss.is.much", "'much' is not a number"),
        ("loss.is.nan", "'nan' is not a number"),
        ("cluster.is.1.5", "'1.5' is not a whole number"),
        ("correct.is.yes", "correct must be true or false, not 'yes'"),
        ("probabilities.is.1", "probabilities cannot be filtered by value"),
        ("~loss.is.much", "'much' is not a number"),
        (".where", "0 values, the wrong number for where"),
        (".where.purity%3E1", "There is no column 'purity'"),
        (";".join(["label.is.cat"] * (MAX_CLAUSES + 1)), f"more than {MAX_CLAUSES} filters"),
        ("label.is." + ",".join(["cat"] * (MAX_VALUES + 1)), f"more than {MAX_VALUES} values"),
    ],
)
def test_a_filter_the_run_cannot_answer_says_why(text: str, sentence: str) -> None:
    with pytest.raises(FilterError, match=sentence):
        Filters.from_text(text).checked(SCHEMA)


def test_equality_on_named_columns_is_written_as_in_an_address() -> None:
    assert Filters.of(label=CAT, predicted=DOG).to_text() == "label.is.cat;predicted.is.dog"
    assert Filters.of(label=[CAT, SHIP]).to_text() == "label.is.cat,ship%3B%20a%2Eb%2Cc%7E"


def test_a_chip_is_switched_off_without_being_lost() -> None:
    both = Filters.of(label=CAT, correct="false")
    off = both.toggled(1)
    assert off.to_text() == "label.is.cat;~correct.is.false"
    assert off.apply(ROWS).collect()["sample_id"].to_list() == [0, 1]
    assert off.toggled(1) == both


def test_a_new_clause_takes_the_place_of_the_one_on_its_column() -> None:
    both = Filters.of(label=CAT, correct="false")
    changed = both.with_clause(Clause(column="label", op="is", values=(DOG,)))
    assert sorted(changed.to_text().split(";")) == ["correct.is.false", "label.is.dog"]


def test_a_clause_can_be_taken_away() -> None:
    assert Filters.of(label=CAT, correct="false").without(0).to_text() == "correct.is.false"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("label.is.cat,dog", "label: cat or dog"),
        ("label.not.cat", "label: not cat"),
        ("sample_id.is.1,2,3,4,5,6", "sample id: 1 or 2 or 3 or 4 or 5 or 6"),
        ("sample_id.not.1,2,3,4,5,6,7", "sample id: not 1 or 2 or 3 or 4 or 5 or 2 others"),
        ("out_of_sample.is.true", "out of sample: true"),
        ("loss.between.1,2", "loss: 1 to 2"),
        ("cluster.null", "cluster: empty"),
        ("cluster.present", "cluster: not empty"),
        (".where.loss%20%3E%201", "loss > 1"),
    ],
)
def test_a_clause_describes_itself_in_words(text: str, words: str) -> None:
    assert Filters.from_text(text).clauses[0].describe() == words


def _kept(text: str) -> list[int]:
    return Filters.from_text(text).checked(SCHEMA).apply(ROWS).collect()["sample_id"].to_list()


def test_no_filter_keeps_every_row_of_a_large_frame() -> None:
    rows = pl.DataFrame({"loss": [0.5, None] * 30_000})
    assert len(rows.filter(Filters().to_expr(rows.schema))) == 60_000
