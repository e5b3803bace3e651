"""Typed rows say what the contracts of their tables say."""

from datetime import UTC, datetime
from types import UnionType
from typing import get_args, get_type_hints, is_typeddict

import dataframely as dy
import polars as pl
import pytest

from lake.contracts import rows
from lake.contracts.rows import DuplicateRow, LabelCount, SampleRow, first_row, rows_of
from lake.contracts.tables import TABLES
from lake.query.joined_samples import sample_schema

CONTRACTS = {
    rows.FindingRow: "findings",
    rows.LabelIssueRow: "label_issues",
    rows.ReviewRow: "reviews",
    rows.LossMapRow: "loss_maps",
    rows.PooledMapRow: "pooled_maps",
    rows.DuplicateRow: "duplicates",
    rows.SeparationRow: "separation",
    rows.ProofRow: "proofs",
    rows.ClusterSummaryRow: "cluster_summaries",
    rows.ViewRow: "views",
}
ELSEWHERE = {LabelCount, rows.ConfusionCount, rows.ReasonCount, rows.SplitCount, SampleRow}
"""Rows of no table of their own."""
SIMPLE = {dy.String: str, dy.Int64: int, dy.Float64: float, dy.Float32: float, dy.Bool: bool, dy.Datetime: datetime}
COPY = {"run_id": "r", "sample_id": 1, "duplicate_id": 2, "tier": "exact", "correlation": 1.0, "leak": True}


def says(column: dy.Column, hint: object) -> bool:
    """Whether a hint is the type of the values of a column, None where they may be null."""
    if column.nullable:
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        return isinstance(hint, UnionType) and len(kinds) == 1 == len(get_args(hint)) - 1 and of_type(column, kinds[0])
    return of_type(column, hint)


def of_type(column: dy.Column, hint: object) -> bool:
    if isinstance(column, dy.List):
        return [says(column.inner, inner) for inner in get_args(hint)] == [True]
    if isinstance(column, dy.Struct):
        return is_typeddict(hint) and differences(column.inner, hint) == []
    return SIMPLE[type(column)] is hint


def differences(columns: dict[str, dy.Column], row: object) -> list[str]:
    """The names that only one of both has, or whose type is not that of the column."""
    hints = get_type_hints(row)
    both = columns.keys() & hints.keys()
    return sorted((columns.keys() ^ hints.keys()) | {name for name in both if not says(columns[name], hints[name])})


def test_every_typed_row_is_held_to_something() -> None:
    declared = {kind for kind in vars(rows).values() if is_typeddict(kind)}
    assert declared == CONTRACTS.keys() | ELSEWHERE


@pytest.mark.parametrize("row", CONTRACTS, ids=lambda row: row.__name__)
def test_a_row_has_the_columns_and_types_of_its_contract(row: type) -> None:
    assert differences(TABLES[CONTRACTS[row]].columns(), row) == []


def test_a_scored_sample_has_the_columns_and_types_of_the_query() -> None:
    simple = {pl.String(): str, pl.Int64(): int, pl.Float64(): float, pl.Boolean(): bool}
    there = {
        name for table in ("predictions", "samples") for name, c in TABLES[table].columns().items() if not c.nullable
    }
    said = {
        name: simple[dtype] if name in there | {"leak"} else simple[dtype] | None
        for name, dtype in sample_schema().items()
    }
    assert said == get_type_hints(SampleRow), "all but `leak`, which is filled, may be null where they are joined"


@pytest.mark.parametrize("change", [{"label": dy.Int64()}, {"label": dy.String(nullable=True)}, {"more": dy.String()}])
def test_a_difference_would_be_seen(change: dict[str, dy.Column]) -> None:
    assert differences({"label": dy.String(), "n": dy.Int64()} | change, LabelCount) == list(change)


def test_rows_are_read_with_their_values() -> None:
    frame = pl.DataFrame([COPY | {"said_at": datetime(2026, 11, 30, tzinfo=UTC)}])
    assert [row["duplicate_id"] for row in rows_of(frame, DuplicateRow)] == [2]
    first = first_row(frame, DuplicateRow)
    assert first is not None and first["tier"] == "exact"
    assert first_row(frame.clear(), DuplicateRow) is None


def test_a_frame_without_a_column_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="the frame lacks columns of DuplicateRow: leak, tier"):
        rows_of(pl.DataFrame([COPY]).drop("tier", "leak"), DuplicateRow)
