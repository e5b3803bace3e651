"""What other readers build on: no table, column or bound of a contract is moved without being moved in `format.txt`."""

from pathlib import Path

import dataframely as dy

from lake.contracts.tables import TABLES

WRITTEN = Path(__file__).with_name("format.txt")
BOUNDS = ("min", "max", "min_exclusive", "max_exclusive", "min_length", "max_length", "regex")


def describe(column: dy.Column) -> str:
    """Its type, whether it is a key or may be null, and between what bounds its values lie."""
    marks = [mark for mark, holds in (("key", column.primary_key), ("nullable", column.nullable)) if holds]
    bounds = [f"{name} {bound}" for name in BOUNDS if (bound := getattr(column, name, None)) is not None]
    return ", ".join([str(column.dtype), *marks, *bounds])


def test_the_contracts_are_those_that_are_written_down() -> None:
    found = [
        f"{table}.{name}: {describe(column)}"
        for table, contract in TABLES.items()
        for name, column in contract.columns().items()
    ]
    assert found == WRITTEN.read_text().splitlines(), f"what is moved on purpose is moved in {WRITTEN.name} too"
