"""Column types shared by the tables of the lake, and how pages may use each column of the sample table."""

from dataclasses import dataclass
from typing import Any

import dataframely as dy

SAMPLE, MODEL, IMAGE = "The sample", "The model", "The image"
LATENT, WRONG = "Latent space", "What is wrong"
"""Sections of the column chooser."""


@dataclass(frozen=True)
class Use:
    """How pages may use a column of the sample table; declared together with the column."""

    section: str
    name: str = ""
    """Name in the sample table if it differs from that of the column; `{method}` stands for each clustering method."""
    shown: int = 0
    """Position in the sample table by default; 0 if hidden by default."""
    colors: bool = False
    """Whether samples can be coloured by it."""
    sizes: bool = False
    """Whether dots can be sized by it."""
    axis: bool = True
    """Whether losses can be tabulated by it: not if values are unique, or equal for all held-out samples."""
    unit: str = ""
    logarithmic: bool = False
    """Whether it uses a logarithmic colour scale, the same in all runs."""
    dots: tuple[float, float] | None = None
    """Values of the smallest and the largest dot, the same in all runs; None uses the range of the run."""

    @property
    def metadata(self) -> dict[str, "Use"]:
        """The column metadata for dataframely."""
        return {"use": self}


def use_of(column: dy.Column) -> Use | None:
    """Return the declared use of a column; None if there is none."""
    return (column.metadata or {}).get("use")


def run_id_column() -> dy.String:
    """Return the column with the run that a row belongs to."""
    return dy.String(primary_key=True, description="The run this row belongs to.")


def dataset_id_column(*, primary_key: bool = True) -> dy.String:
    """Return the column with the dataset that a row belongs to."""
    return dy.String(primary_key=primary_key, description="The dataset and its split; shared by runs.")


def sample_id_column() -> dy.Int64:
    """Return the column with the sample that a row is about."""
    return dy.Int64(primary_key=True, min=0, description="Stable sample id within the dataset.")


def float_column(description: str, *, use: Use | None = None, **options: Any) -> dy.Float64:
    """Return a column of finite numbers."""
    metadata = use.metadata if use else None
    return dy.Float64(allow_inf=False, allow_nan=False, description=description, metadata=metadata, **options)


def one_of(values: list[str], description: str, *, use: Use | None = None, primary_key: bool = False) -> dy.String:
    """Return a column of strings that are one of `values`."""
    return dy.String(
        primary_key=primary_key,
        metadata=use.metadata if use else None,
        check=lambda column: column.is_in(values),
        description=f"{description}: {', '.join(values)}.",
    )


def counts_of(*names: str) -> dy.List:
    """Return a column that counts each combination of the named strings."""
    fields: dict[str, dy.Column] = {name: dy.String() for name in names}
    fields["n"] = dy.Int64(min=1)
    return dy.List(dy.Struct(fields), description=f"Counts by {' and '.join(names)}, largest first.")
