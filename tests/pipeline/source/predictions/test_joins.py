"""Tables are joined by names as people write them, gaps are counted, and rows in another order are noticed."""

import numpy as np
import polars as pl
import pytest

from lake.errors import UserError
from pipeline.source.predictions.joins import join_by_name, suspect_order

NAMES = [f"{split}/{kind}/{i:03d}.png" for split in ("train", "test") for kind in ("cat", "dog") for i in range(5)]
FLAT = [f"img_{i:04d}.jpg" for i in range(40)]


def shuffled(names: list[str], column: str = "name") -> tuple[pl.DataFrame, list[int]]:
    order = np.random.default_rng(0).permutation(len(names))
    return pl.DataFrame({column: [names[i] for i in order]}), np.argsort(order).tolist()


def test_names_that_are_equal_are_joined_whatever_the_order() -> None:
    frame, rows = shuffled(NAMES)
    joined = join_by_name(NAMES, frame, name_column="name")
    assert joined.rows.tolist() == rows and not joined.refused
    assert joined.notes.remarks == ["20 of 20 images have a row in the other table, by name."]


@pytest.mark.parametrize(
    ("spell", "how"),
    [
        (lambda name: f"./{name}", "by name"),
        (lambda name: name.replace("/", "\\"), "by name"),
        (lambda name: f"C:\\data\\{name}".replace("/", "\\"), "by last 3 parts of the path"),
        (lambda name: f"/home/me/photos/{name}", "by last 3 parts of the path"),
        (lambda name: name.removesuffix(".png"), "without its ending"),
        (lambda name: f"/home/me/{name}".replace(".png", ".jpeg"), "without its ending"),
    ],
)
def test_paths_are_joined_by_their_last_parts_where_file_names_repeat(spell: object, how: str) -> None:
    assert callable(spell)
    frame, rows = shuffled([spell(name) for name in NAMES])
    joined = join_by_name(NAMES, frame, name_column="name")
    assert joined.rows.tolist() == rows and how in joined.notes.remarks[0]


@pytest.mark.parametrize(
    ("spell", "how"),
    [
        (lambda name: f"elsewhere/{name}", "by file name"),
        (lambda name: name.removesuffix(".jpg"), "by file name without its ending"),
        (lambda name: str(int(name[4:8])), "leading zeros"),
    ],
)
def test_file_names_are_joined_in_full_then_without_their_ending_then_as_numbers(spell: object, how: str) -> None:
    assert callable(spell)
    names = [f"all/{name}" for name in FLAT] if "zeros" not in how else [f"{i:04d}.jpg" for i in range(40)]
    frame, rows = shuffled([spell(name) for name in FLAT], "id")
    if "zeros" in how:
        frame = frame.with_columns(pl.col("id").cast(pl.Int64))
    joined = join_by_name(names, frame, name_column=None)
    assert joined.rows.tolist() == rows and how in joined.notes.remarks[0]


def test_composed_and_decomposed_letters_are_the_same_name() -> None:
    assert join_by_name(
        ["M\u00f6we.jpg"], pl.DataFrame({"name": ["Mo\u0308we.jpg"]}), name_column="name"
    ).rows.tolist() == [0]


def test_the_column_of_names_is_the_one_that_has_them() -> None:
    frame, rows = shuffled(FLAT, "photo")
    frame = frame.with_columns(pl.lit("x").alias("name"), pl.int_range(pl.len()).alias("id"))
    assert join_by_name(FLAT, frame, name_column=None).rows.tolist() == rows


def test_gaps_and_rows_left_over_are_counted_with_examples() -> None:
    joined = join_by_name(FLAT, pl.DataFrame({"name": [*FLAT[2:], "other.jpg"]}), name_column="name")
    assert joined.rows.tolist() == [-1, -1, *range(38)]
    assert joined.notes.remarks == [
        "38 of 40 images have a row in the other table, by name; 2 have none, such as 'img_0000.jpg'; "
        "1 rows are left over, such as 'other.jpg'."
    ]


def test_a_file_name_that_two_images_have_joins_nothing() -> None:
    with pytest.raises(
        UserError, match=r"images are called 'train/cat/000\.png' and .* 'id' '000\.png' and '001\.png'"
    ):
        join_by_name(NAMES, pl.DataFrame({"id": [f"{i:03d}.png" for i in range(5)]}), name_column="id")


def test_endings_are_kept_where_two_rows_would_be_one() -> None:
    names = ["a.jpg", "a.png", "b.jpg"]
    with pytest.raises(UserError, match="No row of the table has the name of an image"):
        join_by_name(names, pl.DataFrame({"id": ["a", "c"]}), name_column="id")
    assert join_by_name(names, pl.DataFrame({"id": ["b.jpg", "a.png"]}), name_column="id").rows.tolist() == [-1, 1, 0]


def test_a_name_with_a_point_keeps_what_follows_unless_it_is_an_ending() -> None:
    names = ["scan1.5.png", "scan1.6.png"]
    assert join_by_name(names, pl.DataFrame({"id": ["scan1.6", "scan1.5"]}), name_column="id").rows.tolist() == [1, 0]


def test_names_that_several_rows_have_are_refused_and_most_of_them_are_an_error() -> None:
    joined = join_by_name(FLAT, pl.DataFrame({"name": [*FLAT, FLAT[3]]}), name_column="name")
    assert list(joined.refused) == [3] and joined.rows[3] == -1 and joined.refused[3].reason == "duplicate name"
    with pytest.raises(UserError, match="40 images have several rows in the table, by its column 'name'"):
        join_by_name(FLAT, pl.DataFrame({"name": FLAT * 5}), name_column="name")


@pytest.mark.parametrize("column", [None, "file"])
def test_a_table_without_names_is_refused(column: str | None) -> None:
    with pytest.raises(UserError, match=r"no column .*its columns are p"):
        join_by_name(FLAT, pl.DataFrame({"p": [0.5] * 40}), name_column=column)


# --- the order of rows


def draw(rows: int, classes: int, signal: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, rows)
    return rng.normal(size=(rows, 16)) + signal * rng.normal(size=(classes, 16))[label], label


@pytest.mark.parametrize("classes", [2, 10])
def test_rows_in_order_are_not_suspected_and_rows_in_another_order_nearly_always_are(classes: int) -> None:
    ordered, permuted = [], []
    for seed in range(20):
        embedding, label = draw(300, classes, 0.7, seed)
        ordered.append(suspect_order(embedding, label))
        permuted.append(suspect_order(np.random.default_rng(seed).permutation(embedding), label))
    assert ordered == [None] * 20
    assert sum(found is not None for found in permuted) >= 16
    assert any("same order" in (found or "") for found in permuted)


def test_nothing_is_suspected_without_the_power_to_tell() -> None:
    embedding, label = draw(300, 3, 0, 0)
    assert suspect_order(embedding, label) is not None
    assert suspect_order(embedding[:99], label[:99]) is None
    assert suspect_order(embedding, np.where(np.arange(300) < 250, -1, label)) is None
    assert suspect_order(embedding, np.zeros(300, np.int64)) is None
    assert suspect_order(embedding, np.where(np.arange(300) < 3, 1, 0)) is None
    assert suspect_order(np.ones((300, 4)), label) is None
    assert suspect_order(np.zeros((300, 4)), label) is None


def test_a_few_rows_that_occur_twice_cost_only_their_images_even_if_names_lack_their_folder() -> None:
    names = [f"cat/{name}" for name in FLAT]
    frame = pl.DataFrame({"id": [name.removesuffix(".jpg") for name in [*FLAT, FLAT[3]]]})
    joined = join_by_name(names, frame, name_column=None)
    assert joined.rows.tolist() == [i if i != 3 else -1 for i in range(40)]
    assert list(joined.refused) == [3] and "1 have several and are left out" in joined.notes.remarks[0]
    ambiguous = pl.DataFrame({"id": [*[f"a/{name}" for name in FLAT], f"b/{FLAT[3]}"]})
    with pytest.raises(UserError, match="No row of the table"):
        join_by_name(names, ambiguous, name_column=None)


def test_a_table_without_names_is_refused_with_its_columns() -> None:
    frame = pl.DataFrame({"prob_cat": ["0.25"] * 40, "prob_dog": ["0.75"] * 40})
    with pytest.raises(UserError, match=r"No column of the table has the names .* its columns are prob_cat, prob_dog"):
        join_by_name(FLAT, frame, name_column=None)
