"""The columns of the sample table by section, and those usable as axes."""

from lake.query.sample_columns import NO_AXIS, by_section
from lake.storage.store import Run
from pages.ui.core import data


def grouped_columns(run: Run) -> dict[str, list[str]]:
    """Return the columns by section, without those that are empty in the whole run."""
    sections = by_section([*run.groups, *run.metadata])
    empty = data.empty_columns(run)
    non_empty = {
        section: [column for column in columns if column not in empty] for section, columns in sections.items()
    }
    return {section: columns for section, columns in non_empty.items() if columns}


def columns_of(run: Run) -> list[str]:
    """Return every column that can be shown."""
    return [column for columns in grouped_columns(run).values() for column in columns]


def axes_of(run: Run) -> list[str]:
    """Return every column that losses can be tabulated by."""
    fine = set(run.metadata) - set(data.coarse_metadata(run))
    return [column for column in columns_of(run) if column not in (*NO_AXIS, *fine)]
