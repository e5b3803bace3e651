"""What the map of a run can be coloured and sized by and can show, and the state an address asks for among that."""

from collections.abc import Mapping

from lake.query.sample_columns import COLORS, SIZES
from lake.storage.store import Run
from pages.charts import projection_state
from pages.charts.projection_state import MapState
from pages.ui.core import data


def color_columns(run: Run) -> list[str]:
    """Columns a reader may colour by, the first grouping first."""
    empty = data.empty_columns(run)
    return [column for column in (*run.groups, *COLORS, *data.coarse_metadata(run)) if column not in empty]


def size_columns(run: Run) -> list[str]:
    """Columns a reader may size dots by."""
    empty = data.empty_columns(run)
    return [column for column in SIZES if column not in empty]


def shows(run: Run) -> list[str]:
    """As what a reader may see samples."""
    return projection_state.SHOWS if run.has("images") else projection_state.SHOWS[:1]


def read_state(query: Mapping[str, str], run: Run) -> tuple[MapState, list[str]]:
    """The state an address asks for, and the parameters that were refused as the run has nothing like it."""
    return projection_state.from_query(dict(query), color_columns(run), size_columns(run), shows(run))
