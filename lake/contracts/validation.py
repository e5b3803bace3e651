"""Validation of the tables of a run: their contracts, equal sets of samples and known keys."""

from collections.abc import Iterable

import polars as pl
from dataframely import Schema
from dataframely.exc import SchemaError, ValidationError

from lake.contracts.stages import Need, tables_that_need
from lake.contracts.tables import RUN_TABLES, SAMPLE_TABLES, TABLES, ScoredSamples
from lake.errors import BrokenContract

TABLES_OF_NEED: dict[Need, set[str]] = {
    "embeddings": ScoredSamples.members().keys() - {"predictions"},
    "images": set(SAMPLE_TABLES) - {"samples"},
}
"""Need that external predictions may lack -> per-sample tables that are then empty."""
LARGE = {"images": {"original": pl.lit(None, pl.Binary)}}
"""Table -> columns without rules, each with a placeholder so that it is not read."""
TABLES_WITH_SAMPLES = [
    *ScoredSamples.members(),
    *(name for name in RUN_TABLES if "sample_id" in TABLES[name].columns() and name not in ScoredSamples.members()),
]
"""Tables whose sample ids must be known."""


def validate(tables: dict[str, pl.LazyFrame]) -> tuple[dict[str, int], int]:
    """Check contracts and keys across tables; return the row count of each table and the number of checks passed.

    Raises `BrokenContract` for the first violation.
    """
    counts = {name: _count_rows(name, frame) for name, frame in tables.items()}
    scored = {name: tables[name] for name in ScoredSamples.members()}
    lacking = [need for need, names in TABLES_OF_NEED.items() if not any(counts[name] for name in names)]
    if "embeddings" not in lacking:
        has_model = any(counts.get(name) for name in ("models", "training"))
        incomplete = has_model and counts["embeddings"] != counts["predictions"]
        if incomplete or not ScoredSamples.is_valid(scored):
            raise BrokenContract("the stages have measured different sets of samples.")
    for name in sorted(tables_that_need(lacking) & tables.keys()):
        if counts[name]:
            raise BrokenContract(f"the table {name} has rows, but the run has no {' and no '.join(lacking)}.")
    _check_keys(tables, ("samples",) if "images" in lacking else SAMPLE_TABLES)
    return counts, len(tables) + 1 + len(SAMPLE_TABLES) + len(TABLES_WITH_SAMPLES)


def _count_rows(name: str, frame: pl.LazyFrame) -> int:
    """Return the row count of a table; raises `BrokenContract` if it violates its contract."""
    rows = frame.with_columns(**LARGE.get(name, {})).collect()
    if _valid_rows(TABLES[name], rows, cast=False) is None:
        failures = TABLES[name].filter(rows).failure.counts()
        raise BrokenContract(f"the table {name} breaks its contract: {failures}.")
    return len(rows)


def _check_keys(tables: dict[str, pl.LazyFrame], complete: Iterable[str]) -> None:
    """Raise `BrokenContract` if a table of `complete` lacks scored samples, or a sample id is unknown."""
    violations: dict[tuple[str, str], pl.LazyFrame] = {}
    scored, samples = tables["predictions"], tables["samples"].select("sample_id")
    for name in complete:
        sentences = f"scored sample is missing from {name}", f"scored samples are missing from {name}"
        violations[sentences] = scored.join(tables[name], on="sample_id", how="anti")
    for name in TABLES_WITH_SAMPLES:
        column = "neighbor_id" if name == "neighbors" else "sample_id"
        clause = f"a {column} that belongs to no sample"
        sentences = f"row of {name} has {clause}", f"rows of {name} have {clause}"
        violations[sentences] = tables[name].join(samples, left_on=column, right_on="sample_id", how="anti")
    counts = pl.collect_all([rows.select(pl.len()) for rows in violations.values()])
    for (one, many), rows in zip(violations, counts, strict=True):
        if count := rows.item():
            raise BrokenContract(f"{count} {one if count == 1 else many}.")


def validated(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the types of the table's contract; raises `BrokenContract` if they violate it."""
    rows = _valid_rows(TABLES[name], frame, cast=True)
    try:
        return TABLES[name].validate(frame, cast=True) if rows is None else rows
    except (ValidationError, SchemaError) as error:
        reason = " ".join(str(error).split("\n\n")[0].split())
        raise BrokenContract(f"The table {name} breaks its contract and was not written: {reason}.") from error


def _valid_rows(contract: type[Schema], frame: pl.DataFrame, *, cast: bool) -> pl.DataFrame | None:
    """Return the rows if all satisfy the contract, otherwise None; cheaper than reporting which rules are violated."""
    try:
        return contract.validate(frame.lazy(), cast=cast).collect()
    except (pl.exceptions.ComputeError, pl.exceptions.InvalidOperationError, SchemaError):
        return None


def polars_schema(name: str) -> dict[str, pl.DataType]:
    """Return the polars type of each column of a table, by name."""
    return {column: definition.dtype for column, definition in TABLES[name].columns().items()}
