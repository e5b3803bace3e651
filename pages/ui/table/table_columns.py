"""Which columns the analyst's table has, in groups, and what each may be used for."""

from lake.query.sample_columns import NO_AXIS, by_section
from lake.storage.store import Run
from pages.ui.core import data


def grouped_columns(run: Run) -> dict[str, list[str]]:
    """Every column an analyst may show, by what it is about; none that is empty in the whole run."""
    groups = by_section([*run.groups, *run.metadata])
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
