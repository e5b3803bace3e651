"""Two menus for the columns of the sample table and the order of its rows."""

from collections.abc import Callable

import streamlit as st

from lake.storage.store import Run
from pages.text.formatting import column_title
from pages.ui.table import table_session
from pages.ui.table.table_columns import columns_of, grouped_columns
from pages.ui.table.table_state import Order

ARROWS = {True: "↓", False: "↑"}
IN_LABEL = 3
MENU_WIDTH = 420


def choose_columns(run: Run) -> None:
    """Show a menu of every column by section; columns are added on the right."""
    visible = table_session.current().columns
    with st.popover(f"Columns · {len(visible)}", icon=":material/view_column:"), st.container(width=MENU_WIDTH):
        for section, columns in grouped_columns(run).items():
            key = f"columns-{section}"
            st.session_state[key] = [column for column in columns if column in visible]
            st.pills(
                section,
                columns,
                selection_mode="multi",
                format_func=column_title,
                key=key,
                on_change=_take_columns,
                args=(run,),
            )


def _take_columns(run: Run) -> None:
    selected = [column for section in grouped_columns(run) for column in st.session_state[f"columns-{section}"]]
    remaining = [column for column in table_session.current().columns if column in selected]
    columns = dict.fromkeys([*remaining, *selected])
    if columns:  # a table needs at least one column
        table_session.change(columns=tuple(columns))


def choose_order(run: Run) -> None:
    """Show a menu with a line for each sort column: reverse it, move it up, remove it, add one."""
    orders = table_session.current().sort
    with st.popover(_describe(orders), icon=":material/sort:"), st.container(width=MENU_WIDTH):
        for position, order in enumerate(orders):
            _show_order(position, order)
        if not orders:
            st.caption("The rows are in the order of their numbers.")
        unused = [column for column in columns_of(run) if column not in {order.column for order in orders}]
        st.selectbox(
            "Then by" if orders else "Sort by",
            unused,
            index=None,
            format_func=column_title,
            placeholder="Add a column",
            key="sort-add",
            on_change=_add_order,
        )


def _describe(orders: tuple[Order, ...]) -> str:
    """ "Sort: loss ↓, label ↑": the columns in the order in which they count."""
    parts = [f"{column_title(order.column).lower()} {ARROWS[order.descending]}" for order in orders[:IN_LABEL]]
    more = f" +{len(orders) - IN_LABEL}" if len(orders) > IN_LABEL else ""
    return f"Sort: {', '.join(parts) or 'sample'}{more}"


def _show_order(position: int, order: Order) -> None:
    column = order.column
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"{position + 1}. {column_title(column)}", width="stretch")
        direction = f"{ARROWS[order.descending]} {'highest' if order.descending else 'lowest'} first"
        _button(
            direction, f"sort-turn-{column}", lambda orders: _replaced(orders, position, order.flipped()), "Reverse"
        )
        up = ":material/arrow_upward:"
        _button(
            up,
            f"sort-up-{column}",
            lambda orders: _moved_up(orders, position),
            "Move up",
            disabled=position == 0,
        )
        _button(":material/close:", f"sort-drop-{column}", lambda orders: _without(orders, position), "Remove")


Change = Callable[[tuple[Order, ...]], tuple[Order, ...]]


def _button(label: str, key: str, change: Change, meaning: str, *, disabled: bool = False) -> None:
    def act() -> None:
        table_session.change(sort=change(table_session.current().sort))

    st.button(label, key=key, on_click=act, help=meaning, type="tertiary", disabled=disabled)


def _replaced(orders: tuple[Order, ...], position: int, order: Order) -> tuple[Order, ...]:
    return (*orders[:position], order, *orders[position + 1 :])


def _moved_up(orders: tuple[Order, ...], position: int) -> tuple[Order, ...]:
    return (*orders[: position - 1], orders[position], orders[position - 1], *orders[position + 1 :])


def _without(orders: tuple[Order, ...], position: int) -> tuple[Order, ...]:
    return (*orders[:position], *orders[position + 1 :])


def _add_order() -> None:
    column = st.session_state["sort-add"]
    if column is not None:
        table_session.change(sort=(*table_session.current().sort, Order(column=column)))
        st.session_state["sort-add"] = None
