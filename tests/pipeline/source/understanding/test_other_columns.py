"""Columns that nothing is read from are named, with what can be done with them."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.config.dataset import DatasetSettings
from pipeline.source.understanding.other_columns import find_other_columns, tell_other_columns
from pipeline.source.understanding.understand import Understanding, understand
from tests.support.data.own_data import draw_files, to_table

ROWS = 120


def understood(folder: Path, columns: dict[str, Any], **settings: Any) -> Understanding:
    """A table of images with further columns, as it is understood."""
    images = to_table(draw_files(ROWS, classes=["cat", "dog"]))
    images.with_columns(pl.DataFrame(columns, strict=False)).write_parquet(folder / "t.parquet")
    return understand(DatasetSettings(source=folder / "t.parquet", **settings), folder / "cache", print)


@pytest.mark.parametrize(
    ("values", "kind", "is_useful"),
    [
        ([f"v{i % 3}" for i in range(ROWS)], "3 values", True),
        ([i % 7 for i in range(ROWS)], "7 values", True),
        ([i * 0.37 for i in range(ROWS)], "numbers", True),
        ([f"{i * 0.37:.2f}" for i in range(ROWS)], "numbers", True),
        ([i // 2 for i in range(ROWS)], "numbers", True),
        ([i + 10_000 for i in range(ROWS)], "unique numbers", False),
        ([f"{i:08x}-f" for i in range(ROWS)], "unique", False),
        ([f"text {i // 2 + i % 2}" for i in range(ROWS)], "61 values", False),
    ],
)
def test_a_column_is_called_what_its_values_are(
    values: list[object], kind: str, is_useful: bool, tmp_path: Path
) -> None:
    (found,) = find_other_columns(understood(tmp_path, {"extra": values}))
    assert (found.name, found.kind, found.is_useful) == ("extra", kind, is_useful)


def test_constants_and_what_is_used_are_not_named(tmp_path: Path) -> None:
    columns = {"unit": ["mm"] * ROWS, "empty": [None] * ROWS, "site": [i % 4 for i in range(ROWS)]}
    assert [column.name for column in find_other_columns(understood(tmp_path, columns))] == ["site"]
    assert find_other_columns(understood(tmp_path, columns, metadata=["site"])) == []


def test_predictions_beside_images_are_pointed_at_and_are_no_metadata(tmp_path: Path) -> None:
    cat = np.random.default_rng(0).uniform(size=ROWS).tolist()
    columns = {"prob_cat": cat, "prob_dog": [1 - p for p in cat], "vendor": [i % 2 for i in range(ROWS)]}
    found = understood(tmp_path, columns)
    assert tell_other_columns(found) == [
        "prob_cat to prob_dog may be predictions: with a section [dataset.predictions], no model is trained and these "
        "are used",
        "not used: vendor (2 values); to filter, colour and compare by one, name it in metadata",
    ]
    assert tell_other_columns(understood(tmp_path, columns, predictions={})) == [
        "not used: vendor (2 values); to filter, colour and compare by one, name it in metadata"
    ]


def test_of_many_columns_the_first_are_named(tmp_path: Path) -> None:
    (line,) = tell_other_columns(understood(tmp_path, {f"c{i}": [i % 2, *[0] * (ROWS - 1)] for i in range(1, 60, 2)}))
    assert line.startswith("not used: c1 (2 values), c3 (2 values)") and " and 18 more; " in line
