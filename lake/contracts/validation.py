"""What the rows of a table and the tables of a run must keep: their contracts, the same samples, known keys."""

import polars as pl
from dataframely import Schema
from dataframely.exc import SchemaError, ValidationError

from lake.contracts.stages import Need, tables_that_need
from lake.contracts.tables import RUN_TABLES, SAMPLE_TABLES, TABLES, ScoredSamples
from lake.errors import BrokenContract

MEASURED: dict[Need, set[str]] = {
    "embeddings": ScoredSamples.members().keys() - {"predictions"},
    "images": set(SAMPLE_TABLES) - {"samples"},
}
"""By what predictions from elsewhere may come without, the tables with rows of every sample that are empty then."""
LARGE = {"images": {"original": pl.lit(None, pl.Binary)}}
"""By table, columns that no rule is about, and what stands for them so that they are not read."""
OF_SOME_SAMPLES = [
    name for name in RUN_TABLES if "sample_id" in TABLES[name].columns() and name not in ScoredSamples.members()
]


def validate(tables: dict[str, pl.LazyFrame]) -> int:
    """Check contracts, keys across tables and row counts; returns how many checks passed.

    Raises `BrokenContract` naming the first table that breaks its contract.
    """
    for name, frame in tables.items():
        rows = frame.with_columns(**LARGE.get(name, {})).collect()
        if _kept(TABLES[name], rows, cast=False) is None:
            failures = TABLES[name].filter(rows).failure.counts()
            raise BrokenContract(f"the table {name} breaks its contract: {failures}.")
    scored = {name: tables[name] for name in ScoredSamples.members()}
    lacking = [need for need, names in MEASURED.items() if not any(_has_rows(tables[name]) for name in names)]
    if "embeddings" not in lacking and not ScoredSamples.is_valid(scored):
        raise BrokenContract("not every stage has measured the same samples.")
    for name in sorted(tables_that_need(lacking) & tables.keys()):
        if _has_rows(tables[name]):
            raise BrokenContract(f"{name} has rows in a run without {' and '.join(lacking)}.")
    for name in ("samples",) if "images" in lacking else SAMPLE_TABLES:
        absent = tables["predictions"].join(tables[name], on="sample_id", how="anti")
        if count := absent.select(pl.len()).collect().item():
            raise BrokenContract(f"{count} scored samples are not in {name}.")
    known = tables["samples"].select("sample_id")
    foreign = {name: "neighbor_id" if name == "neighbors" else "sample_id" for name in (*scored, *OF_SOME_SAMPLES)}
    for name, column in foreign.items():
        unknown = tables[name].join(known, left_on=column, right_on="sample_id", how="anti")
        if count := unknown.select(pl.len()).collect().item():
            raise BrokenContract(f"{count} rows of {name} have a {column} that is not a sample.")
    return len(tables) + 1 + len(SAMPLE_TABLES) + len(foreign)


def _has_rows(frame: pl.LazyFrame) -> bool:
    return frame.select(pl.len()).collect().item() > 0


def validated(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with the types of the table's contract; raises `BrokenContract` where they break it."""
    kept = _kept(TABLES[name], frame, cast=True)
    try:
        return TABLES[name].validate(frame, cast=True) if kept is None else kept
    except (ValidationError, SchemaError) as error:
        reason = " ".join(str(error).split("\n\n")[0].split())
        raise BrokenContract(f"The table {name} breaks its contract and was not written: {reason}.") from error


def _kept(contract: type[Schema], frame: pl.DataFrame, *, cast: bool) -> pl.DataFrame | None:
    """The rows if all keep the contract; which rules the others break is looked for only where that is asked."""
    try:
        return contract.validate(frame.lazy(), cast=cast).collect()
    except (pl.exceptions.ComputeError, pl.exceptions.InvalidOperationError, SchemaError):
        return None


def polars_schema(name: str) -> dict[str, pl.DataType]:
    """The columns of a table by name, as polars has their types."""
    return {column: definition.dtype for column, definition in TABLES[name].columns().items()}
