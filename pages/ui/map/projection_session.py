"""The state of the map in a session, updated from the URL, the controls and the chart.

Streamlit keeps the zoom and the box of a chart under its key, so setting a view requires a new key.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from lake.storage.store import Run
from pages.charts import projection_state
from pages.charts.projection_state import MapState
from pages.charts.raster import Extent
from pages.ui.core import data
from pages.ui.map import projection_offers
from pages.ui.session import page_address

CONTROLS = ("color", "size", "layout", "show")
STATE, START, GENERATION, SELECTION, ADDRESS, RUN, LASSO = (
    f"map-{part}" for part in ("state", "start", "generation", "selection", "address", "run", "lasso")
)


def current() -> MapState:
    """Return the current state."""
    state: MapState = st.session_state[STATE]
    return state


def at_start() -> MapState:
    """Return the state that the current chart started with."""
    state: MapState = st.session_state[START]
    return state


def chart_key() -> str:
    """Return the key of the chart."""
    return f"map-chart-{st.session_state[GENERATION]}"


def colored_key(color: str) -> str:
    """Return the key of the control for the coloured values of a column."""
    return f"map-colored-{color}"


def start(run: Run) -> None:
    """Take the state from the URL if a link opened the page, else keep that of the session."""
    parameters = page_address.read_parameters(projection_state.PARAMETERS)
    if STATE not in st.session_state or (parameters and parameters != st.session_state[ADDRESS]):
        _begin(_follow(parameters, run))
    elif st.session_state[RUN] != run.run_id:
        offered, _ = projection_offers.read_state(current().to_query(), run)
        controls = {name: getattr(offered, name) for name in ("color", "size", "show")}
        _begin(current().changed(**controls, view=None, box=None, lasso=(), only=()))
    st.session_state[RUN] = run.run_id
    for name in CONTROLS:
        st.session_state[f"map-{name}"] = getattr(current(), name)
    offered_values = data.color_values(run, current().color) if current().colored else []
    st.session_state[colored_key(current().color)] = [value for value in current().colored if value in offered_values]


def take_controls() -> MapState:
    """Update the state from the controls and return it; another layout starts a new chart."""
    state = current()
    controls = {name: st.session_state.get(f"map-{name}", getattr(state, name)) for name in CONTROLS}
    changed = state.changed(**controls)
    changed = changed.changed(colored=tuple(st.session_state.get(colored_key(changed.color), ())))
    if changed.layout != state.layout:
        _begin(changed)
    st.session_state[STATE] = changed
    return changed


def take_selection() -> None:
    """Update the state from the chart: a pick, a box, a zoom or a click on the legend."""
    before, now = st.session_state[SELECTION], dict(st.session_state[chart_key()]["selection"])
    changes = {
        field: parse(now.get(name)) for name, (field, parse) in READERS.items() if now.get(name) != before.get(name)
    }
    st.session_state[SELECTION] = now
    st.session_state[STATE] = current().changed(**changes)


def take_lasso() -> None:
    """Update the state from the lasso, drawn or removed; if it replaces a box, start a new chart."""
    text, state = st.session_state[LASSO]["shape"], current()
    if text is None:
        return
    lasso_state, rejected = projection_state.from_query({"lasso": text}, [state.color])
    if rejected:
        return
    changed = state.changed(lasso=lasso_state.lasso)
    if state.box:
        _begin(changed)
    st.session_state[STATE] = changed


def keep_address() -> None:
    """Write the state into the URL, so that a copied link shows the same."""
    query = current().to_query()
    page_address.write_parameters(projection_state.PARAMETERS, query)
    st.session_state[ADDRESS] = query


def _begin(state: MapState) -> None:
    st.session_state[STATE] = st.session_state[START] = state
    st.session_state[GENERATION] = st.session_state.get(GENERATION, 0) + 1
    st.session_state[SELECTION] = {}


def _follow(query: dict[str, str], run: Run) -> MapState:
    """Return the state of a link; one without a colour changes only what it names."""
    state, rejected = projection_offers.read_state(query, run)
    if rejected:
        st.toast(f"The address's {' and '.join(rejected)} was ignored: this run has nothing like it.")
    if STATE not in st.session_state or "color" in query:
        return state
    return current().changed(**{name: getattr(state, name) for name in query})


def _picked(value: Any) -> int | None:
    return int(value[-1]["sample_id"]) if value else None


def _extent(value: Any) -> Extent | None:
    if not value:
        return None
    (left, right), (bottom, top) = sorted(value["at_x"]), sorted(value["at_y"])
    return (left, right, bottom, top) if left < right and bottom < top else None


def _isolated(value: Any) -> tuple[str, ...]:
    """Return the isolated values, without the legend entry of all others."""
    values = [part for item in value or [] for part in item.values()]
    texts = [str(part).lower() if isinstance(part, bool) else str(part) for part in values]
    scale = data.color_scale(data.current_run(), current().color, current().colored)
    return tuple(text for text in texts if not scale.others or text != scale.name_of_others)


READERS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "pick": ("sample", _picked),
    "box": ("box", _extent),
    "zoom": ("view", _extent),
    "only": ("only", _isolated),
}
"""Parameter of the chart -> field of the state and its parser."""
