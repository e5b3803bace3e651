"""The kinds of columns that tables of the lake share, and what pages may do with a column of the table of samples."""

from dataclasses import dataclass
from typing import Any

import dataframely as dy

SAMPLE, MODEL, IMAGE = "The sample", "The model", "The image"
LATENT, WRONG = "Latent space", "What is wrong"
"""Sections of the columns that an analyst chooses from."""


@dataclass(frozen=True)
class Use:
    """What pages may do with a column of the table of samples; it is declared where the column is."""

    section: str
    name: str = ""
    """In the table of samples, where it is not that of the column; `{method}` stands for each clustering."""
    shown: int = 0
    """Its place in the table of samples before a reader chooses; 0 where it has none."""
    colors: bool = False
    """Whether samples may be coloured by it."""
    sizes: bool = False
    """Whether dots may be sized by it."""
    axis: bool = True
    """Whether losses may be laid out by it: not where each value is one sample, or all held-out ones have the same."""
    unit: str = ""
    logarithmic: bool = False
    """Whether it has one logarithmic colour scale in all runs."""
    dots: tuple[float, float] | None = None
    """Values of the smallest and the largest dot in all runs; those of the run where there are none."""

    @property
    def metadata(self) -> dict[str, "Use"]:
        """As dataframely takes it."""
        return {"use": self}


def use_of(column: dy.Column) -> Use | None:
    """What a contract says of the use of a column."""
    return (column.metadata or {}).get("use")


def run_id_column() -> dy.String:
    """The run a row belongs to."""
    return dy.String(primary_key=True, description="The run this row belongs to.")


def dataset_id_column(*, primary_key: bool = True) -> dy.String:
    """The dataset a row belongs to."""
    return dy.String(primary_key=primary_key, description="The dataset and its split, shared by runs.")


def sample_id_column() -> dy.Int64:
    """The sample a row is about."""
    return dy.Int64(primary_key=True, min=0, description="Stable number of the sample within the dataset.")


def float_column(description: str, *, use: Use | None = None, **options: Any) -> dy.Float64:
    """A finite number."""
    metadata = use.metadata if use else None
    return dy.Float64(allow_inf=False, allow_nan=False, description=description, metadata=metadata, **options)


def one_of(values: list[str], description: str, *, use: Use | None = None, primary_key: bool = False) -> dy.String:
    """A text that is one of these."""
    return dy.String(
        primary_key=primary_key,
        metadata=use.metadata if use else None,
        check=lambda column: column.is_in(values),
        description=f"{description}: {', '.join(values)}.",
    )


def counts_of(*names: str) -> dy.List:
    """How often each combination of the named texts occurs."""
    counted: dict[str, dy.Column] = {name: dy.String() for name in names}
    counted["n"] = dy.Int64(min=1)
    return dy.List(dy.Struct(counted), description=f"Counts by {' and '.join(names)}, largest first.")
