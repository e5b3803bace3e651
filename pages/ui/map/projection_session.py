"""The state of the map through a session: from the address, from the controls, from the chart, and back.

Streamlit keeps the zoom and the box of a chart under its key, so a view that is set from outside takes a new key.
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
    """What the map shows now."""
    state: MapState = st.session_state[STATE]
    return state


def at_start() -> MapState:
    """The view and the box that the present chart began with."""
    state: MapState = st.session_state[START]
    return state


def chart_key() -> str:
    """The key of the chart."""
    return f"map-chart-{st.session_state[GENERATION]}"


def colored_key(color: str) -> str:
    """The key of the control that says which values of a column have a colour."""
    return f"map-colored-{color}"


def start(run: Run) -> None:
    """Take the state from the address when a link opened the page, else keep that of the session."""
    asked = page_address.asked(projection_state.PARAMETERS)
    if STATE not in st.session_state or (asked and asked != st.session_state[ADDRESS]):
        _begin(_follow(asked, run))
    elif st.session_state[RUN] != run.run_id:
        there, _ = projection_offers.read_state(current().to_query(), run)
        kept = {name: getattr(there, name) for name in ("color", "size", "show")}
        _begin(current().changed(**kept, view=None, box=None, lasso=(), only=()))
    st.session_state[RUN] = run.run_id
    for name in CONTROLS:
        st.session_state[f"map-{name}"] = getattr(current(), name)
    known = data.color_values(run, current().color) if current().colored else []
    st.session_state[colored_key(current().color)] = [value for value in current().colored if value in known]


def take_controls() -> MapState:
    """Change the state to what the controls say, and return it; another layout begins anew."""
    state = current()
    shown = {name: st.session_state.get(f"map-{name}", getattr(state, name)) for name in CONTROLS}
    changed = state.changed(**shown)
    changed = changed.changed(colored=tuple(st.session_state.get(colored_key(changed.color), ())))
    if changed.layout != state.layout:
        _begin(changed)
    st.session_state[STATE] = changed
    return changed


def take_selection() -> None:
    """Change the state by what the reader did to the chart: a pick, a box, a zoom, a click on the legend."""
    before, now = st.session_state[SELECTION], dict(st.session_state[chart_key()]["selection"])
    changes = {
        field: read(now.get(name)) for name, (field, read) in READERS.items() if now.get(name) != before.get(name)
    }
    st.session_state[SELECTION] = now
    st.session_state[STATE] = current().changed(**changes)


def take_lasso() -> None:
    """Change the state by the lasso that the reader drew or took away; a box that it replaces leaves the chart."""
    text, state = st.session_state[LASSO]["shape"], current()
    if text is None:
        return
    found, refused = projection_state.from_query({"lasso": text}, [state.color])
    if refused:
        return
    changed = state.changed(lasso=found.lasso)
    if state.box:
        _begin(changed)
    st.session_state[STATE] = changed


def keep_address() -> None:
    """Write the state into the address, so that a copied link shows the same."""
    query = current().to_query()
    page_address.keep(projection_state.PARAMETERS, query)
    st.session_state[ADDRESS] = query


def _begin(state: MapState) -> None:
    st.session_state[STATE] = st.session_state[START] = state
    st.session_state[GENERATION] = st.session_state.get(GENERATION, 0) + 1
    st.session_state[SELECTION] = {}


def _follow(asked: dict[str, str], run: Run) -> MapState:
    """The state that a link asks for; one that names no colour changes only what it names."""
    found, refused = projection_offers.read_state(asked, run)
    if refused:
        st.toast(f"The address's {' and '.join(refused)} was ignored: this run has nothing like it.")
    if STATE not in st.session_state or "color" in asked:
        return found
    return current().changed(**{name: getattr(found, name) for name in asked})


def _picked(value: Any) -> int | None:
    return int(value[-1]["sample_id"]) if value else None


def _extent(value: Any) -> Extent | None:
    if not value:
        return None
    (left, right), (bottom, top) = sorted(value["at_x"]), sorted(value["at_y"])
    return (left, right, bottom, top) if left < right and bottom < top else None


def _isolated(value: Any) -> tuple[str, ...]:
    """The values that the reader isolated; what all others are called in the legend is none."""
    found = [part for item in value or [] for part in item.values()]
    texts = [str(part).lower() if isinstance(part, bool) else str(part) for part in found]
    scale = data.color_scale(data.current_run(), current().color, current().colored)
    return tuple(text for text in texts if not scale.others or text != scale.name_of_others)


READERS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "pick": ("sample", _picked),
    "box": ("box", _extent),
    "zoom": ("view", _extent),
    "only": ("only", _isolated),
}
"""The chart's parameters: which part of the state each one is, and how to read it."""
