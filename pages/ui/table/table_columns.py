"""Which columns the analyst's table has, in groups, and what each may be used for."""

from lake.contracts.clusters import METHODS
from lake.query import queries
from lake.storage.store import Run
from pages.ui.core import data

SHOWN = ("label", "predicted", "correct", "loss", "confidence", "split", "out_of_sample")
NO_AXIS = ("source_name", "out_of_sample", "x", "y", "pca_x", "pca_y")
"""Columns that tell nothing as an axis of held-out samples: each value is one sample, or all have the same."""


def grouped_columns(run: Run) -> dict[str, list[str]]:
    """Every column an analyst may show, by what it is about; none that is empty in the whole run."""
    groups = {
        "The sample": ["label", *run.groups, "split", *run.metadata, "source_name"],
        "The model": ["predicted", "correct", "loss", "confidence", "expected_loss", "margin", "out_of_sample"],
        "The image": list(queries.PROPERTIES),
        "Latent space": [*map(queries.cluster_column, METHODS), "neighbors_kept", "x", "y", "pca_x", "pca_y"],
        "What is wrong": ["reason", "duplicate", "leak", "map_family"],
    }
    empty = data.empty_columns(run)
    shown = {group: [column for column in columns if column not in empty] for group, columns in groups.items()}
    return {group: columns for group, columns in shown.items() if columns}


def columns_of(run: Run) -> list[str]:
    """Every column an analyst may show."""
    return [column for columns in grouped_columns(run).values() for column in columns]


def axes_of(run: Run) -> list[str]:
    """Every column that the losses may be laid out by."""
    fine = set(run.metadata) - set(data.coarse_metadata(run))
    return [column for column in columns_of(run) if column not in (*NO_AXIS, *fine)]
