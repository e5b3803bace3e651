"""Choose the columns of the analyst's table and the order of its rows, in two small menus."""

from collections.abc import Callable

import streamlit as st

from lake.storage.store import Run
from pages.text.words import name
from pages.ui.table import table_session
from pages.ui.table.table_columns import columns_of, grouped_columns
from pages.ui.table.table_state import Order

ARROWS = {True: "↓", False: "↑"}
IN_LABEL = 3
MENU_WIDTH = 420


def choose_columns(run: Run) -> None:
    """A menu of every column by what it is about; what is chosen later stands further right."""
    shown = table_session.current().columns
    with st.popover(f"Columns · {len(shown)}", icon=":material/view_column:"), st.container(width=MENU_WIDTH):
        for group, columns in grouped_columns(run).items():
            key = f"columns-{group}"
            st.session_state[key] = [column for column in columns if column in shown]
            st.pills(
                group, columns, selection_mode="multi", format_func=name, key=key, on_change=_take_columns, args=(run,)
            )


def _take_columns(run: Run) -> None:
    chosen = [column for group in grouped_columns(run) for column in st.session_state[f"columns-{group}"]]
    kept = [column for column in table_session.current().columns if column in chosen]
    columns = dict.fromkeys([*kept, *chosen])
    if columns:  # a table without a column is none
        table_session.change(columns=tuple(columns))


def choose_order(run: Run) -> None:
    """A menu with a line for each column to sort by: turn it round, move it up, leave it out, add one."""
    orders = table_session.current().sort
    with st.popover(_describe(orders), icon=":material/sort:"), st.container(width=MENU_WIDTH):
        for place, order in enumerate(orders):
            _show_order(place, order)
        if not orders:
            st.caption("The rows are in the order of their numbers.")
        free = [column for column in columns_of(run) if column not in {order.column for order in orders}]
        st.selectbox(
            "Then by" if orders else "Sort by",
            free,
            index=None,
            format_func=name,
            placeholder="Add a column",
            key="sort-add",
            on_change=_add_order,
        )


def _describe(orders: tuple[Order, ...]) -> str:
    """ "Sort: loss ↓, label ↑": the columns in the order in which they count."""
    said = [f"{name(order.column).lower()} {ARROWS[order.descending]}" for order in orders[:IN_LABEL]]
    more = f" +{len(orders) - IN_LABEL}" if len(orders) > IN_LABEL else ""
    return f"Sort: {', '.join(said) or 'sample'}{more}"


def _show_order(place: int, order: Order) -> None:
    column = order.column
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"{place + 1}. {name(column)}", width="stretch")
        turn = f"{ARROWS[order.descending]} {'highest' if order.descending else 'lowest'} first"
        _button(turn, f"sort-turn-{column}", lambda orders: _replaced(orders, place, order.flipped()), "Turn round")
        up = ":material/arrow_upward:"
        _button(
            up, f"sort-up-{column}", lambda orders: _moved_up(orders, place), "Count it earlier", disabled=place == 0
        )
        _button(":material/close:", f"sort-drop-{column}", lambda orders: _without(orders, place), "Leave it out")


Change = Callable[[tuple[Order, ...]], tuple[Order, ...]]


def _button(label: str, key: str, change: Change, meaning: str, *, disabled: bool = False) -> None:
    def act() -> None:
        table_session.change(sort=change(table_session.current().sort))

    st.button(label, key=key, on_click=act, help=meaning, type="tertiary", disabled=disabled)


def _replaced(orders: tuple[Order, ...], place: int, order: Order) -> tuple[Order, ...]:
    return (*orders[:place], order, *orders[place + 1 :])


def _moved_up(orders: tuple[Order, ...], place: int) -> tuple[Order, ...]:
    return (*orders[: place - 1], orders[place], orders[place - 1], *orders[place + 1 :])


def _without(orders: tuple[Order, ...], place: int) -> tuple[Order, ...]:
    return (*orders[:place], *orders[place + 1 :])


def _add_order() -> None:
    column = st.session_state["sort-add"]
    if column is not None:
        table_session.change(sort=(*table_session.current().sort, Order(column=column)))
        st.session_state["sort-add"] = None
