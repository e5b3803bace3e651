"""The kinds of columns that tables of the lake share."""

from typing import Any

import dataframely as dy


def run_id_column() -> dy.String:
    """The run a row belongs to."""
    return dy.String(primary_key=True, description="The run this row belongs to.")


def dataset_id_column(*, primary_key: bool = True) -> dy.String:
    """The dataset a row belongs to."""
    return dy.String(primary_key=primary_key, description="The dataset and its split, shared by runs.")


def sample_id_column() -> dy.Int64:
    """The sample a row is about."""
    return dy.Int64(primary_key=True, min=0, description="Stable number of the sample within the dataset.")


def float_column(description: str, **options: Any) -> dy.Float64:
    """A finite number."""
    return dy.Float64(allow_inf=False, allow_nan=False, description=description, **options)


def one_of(values: list[str], description: str, *, primary_key: bool = False) -> dy.String:
    """A text that is one of these."""
    return dy.String(
        primary_key=primary_key,
        check=lambda column: column.is_in(values),
        description=f"{description}: {', '.join(values)}.",
    )


def counts_of(*names: str) -> dy.List:
    """How often each combination of the named texts occurs."""
    counted: dict[str, dy.Column] = {name: dy.String() for name in names}
    counted["n"] = dy.Int64(min=1)
    return dy.List(dy.Struct(counted), description=f"Counts by {' and '.join(names)}, largest first.")
