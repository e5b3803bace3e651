"""The choices that the map of a run offers, and parsing of its state with them."""

from collections.abc import Mapping

from lake.query.sample_columns import COLORS, SIZES
from lake.storage.store import Run
from pages.charts import projection_state
from pages.charts.projection_state import MapState
from pages.ui.core import data


def color_columns(run: Run) -> list[str]:
    """Return the columns to colour by, the first grouping first."""
    empty = data.empty_columns(run)
    return [column for column in (*run.groups, *COLORS, *data.coarse_metadata(run)) if column not in empty]


def size_columns(run: Run) -> list[str]:
    """Return the columns to size dots by."""
    empty = data.empty_columns(run)
    return [column for column in SIZES if column not in empty]


def show_options(run: Run) -> list[str]:
    """Return how samples can be drawn: as dots, and as images if the run has them."""
    return projection_state.SHOW_OPTIONS if run.has("images") else projection_state.SHOW_OPTIONS[:1]


def read_state(query: Mapping[str, str], run: Run) -> tuple[MapState, list[str]]:
    """Return the state in a URL, and the parameters that do not fit the run."""
    return projection_state.from_query(dict(query), color_columns(run), size_columns(run), show_options(run))
