"""Which cells of a large confusion matrix are shown, on a matrix that can be counted by hand."""

import polars as pl

from lake.query.confusions import among, confused_with, most_changed, of_enough_samples
from lake.query.queries import rank_confusions

CELLS = pl.DataFrame(
    [
        ("a", "a", 90, 90),
        ("a", "b", 5, 5),
        ("a", "c", 2, 9),
        ("b", "a", 1, 1),
        ("c", "a", 5, 5),
        ("d", "d", 7, 7),
        ("d", "b", 5, 4),
    ],
    schema=["label", "predicted", "n", "n_before"],
    orient="row",
)


def test_wrong_cells_are_ranked_by_their_number_then_by_name() -> None:
    pairs = rank_confusions(CELLS).select("label", "predicted").rows()
    assert pairs == [("a", "b"), ("c", "a"), ("d", "b"), ("a", "c"), ("b", "a")]


def test_a_class_is_confused_in_both_directions() -> None:
    assert confused_with(CELLS, "a", 3) == ["a", "c", "b"]  # c 2 + 5, b 5 + 1
    assert confused_with(CELLS, "a", 2) == ["a", "c"]
    assert confused_with(CELLS.filter(label="d", predicted="d"), "d", 5) == ["d"]


def test_cells_among_classes_have_both_sides_there() -> None:
    assert among(CELLS, ["a", "c"]).select("label", "predicted").rows() == [("a", "a"), ("a", "c"), ("c", "a")]


def test_the_classes_of_the_largest_changes_come_first() -> None:
    assert most_changed(CELLS, 4) == ["a", "c", "d", "b"]
    assert most_changed(CELLS, 2) == ["a", "c"]


def test_classes_of_too_few_samples_are_left_out_unless_all_are() -> None:
    report = pl.DataFrame({"label": ["a", "b"], "n": [1, 20]})
    assert of_enough_samples(report)["label"].to_list() == ["b"]
    assert len(of_enough_samples(report.with_columns(n=pl.lit(3)))) == 2
