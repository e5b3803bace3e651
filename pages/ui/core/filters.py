"""The filter bar shared by every page: chips over any column, kept in the session and in the address."""

import polars as pl
import streamlit as st

from lake.errors import FilterError
from lake.query.aggregates import or_zero
from lake.query.filters import MAX_CLAUSES, MAX_VALUES, Clause, Filters
from lake.storage.store import Run
from pages.text.words import name, plain
from pages.ui.core import data

MAX_CHOICES, MAX_SAID = 1000, 2


def current() -> Filters:
    """The filters of this session."""
    return Filters.from_text(st.session_state.get("filters", ""))


def filtered(run: Run) -> pl.LazyFrame:
    """The samples of the run on which the filters hold."""
    return current().apply(data.samples(run))


def accept(text: str, run: Run) -> None:
    """Take filters from the address; a clause that this run cannot answer is refused in words and left out."""
    kept, refused = _read(text, run)
    change(Filters(clauses=tuple(kept)))
    if refused:
        part = "A part of the" if kept else "The"
        st.toast(
            f"{part} address's filter was ignored: {plain(' '.join(refused[:MAX_SAID]))}",
            icon=":material/filter_alt_off:",
        )


def change(filters: Filters) -> None:
    """Filter by these from the next run of the page on; for callbacks."""
    st.session_state["filters"] = filters.to_text()


def narrow(clauses: list[Clause]) -> None:
    """Filter by these conditions as well from the next run of the page on; for callbacks."""
    held = current().clauses
    together = (*held, *(clause for clause in clauses if clause not in held))
    if len(together) > MAX_CLAUSES:
        st.toast(f"More than {MAX_CLAUSES} filters: remove some first.", icon=":material/filter_alt_off:")
        return
    change(Filters(clauses=together))


def show_filters(run: Run) -> None:
    """Chips to switch off or remove, a form to add one, and how many samples are left."""
    filters = current()
    everything = data.samples(run).select(pl.len()).collect().item()
    left = filters.apply(data.samples(run)).select(pl.len()).collect().item()
    st.markdown(f"**Filters** · {left:,} of {everything:,} samples")
    for i, clause in enumerate(filters.clauses):
        chip, remove = st.columns([5, 1], gap="small", vertical_alignment="center")
        chip.toggle(
            plain(clause.describe()),
            value=clause.enabled,
            key=f"chip-{clause.to_text()}",
            on_change=change,
            args=(filters.toggled(i),),
        )
        remove.button(
            ":material/close:",
            key=f"remove-{i}",
            on_click=change,
            args=(filters.without(i),),
            type="tertiary",
            help="Remove",
        )
    with st.popover("Add filter", icon=":material/add:", width="stretch"):
        _add(run, filters)
        _add_expression(run, filters)


def _add(run: Run, filters: Filters) -> None:
    schema, left_out = _schema(run), {"source_name", *data.empty_columns(run)}
    column = st.selectbox("Column", [c for c in schema if c not in left_out], format_func=name, key="filter-column")
    values, some_empty = data.values(run, column, MAX_CHOICES)
    if schema[column].is_float():
        low, high = (or_zero(end) for end in values)
        chosen = st.slider("Range", low, high, (low, high), key=f"filter-range-{column}") if low < high else (low, high)
        clause = Clause(column=column, op="between", values=(f"{chosen[0]:.6g}", f"{chosen[1]:.6g}"))
    else:
        negate = st.toggle("Is not", key="filter-not")
        chosen_values = st.multiselect(
            "Values", [_text(value) for value in values], key=f"filter-values-{column}", max_selections=MAX_VALUES
        )
        clause = Clause(column=column, op="not" if negate else "is", values=tuple(chosen_values))
    if st.button("Add", type="primary", disabled=clause.op != "between" and not clause.values):
        change(filters.with_clause(clause))
        st.rerun()
    if some_empty:
        st.button(
            f"Only where {name(column).lower()} is empty",
            on_click=change,
            args=(filters.with_clause(Clause(column=column, op="null")),),
        )


def _add_expression(run: Run, filters: Filters) -> None:
    empty = data.empty_columns(run)
    columns = ", ".join(column for column in _schema(run) if column not in empty)
    line = st.text_input(
        "Or an expression",
        key="filter-expression",
        placeholder="label == 'cat' and loss > 2",
        help=f"Columns: {columns}. Comparisons, and, or, not, in (...), + - * /, abs(), null.",
    )
    if st.button("Add expression", disabled=not line):
        clause = Clause.where(line)
        try:
            clause.check(_schema(run))
        except FilterError as error:
            st.error(plain(str(error)))
            return
        change(filters.with_clause(clause))
        st.rerun()


def _read(text: str, run: Run) -> tuple[list[Clause], list[str]]:
    """The clauses that this run can answer, each once, and why it cannot the others."""
    kept, refused = [], []
    try:
        clauses = dict.fromkeys(Filters.from_text(text).clauses)
    except FilterError as error:
        return [], [str(error)]
    for clause in clauses:
        try:
            _check(clause, run)
            kept.append(clause)
        except FilterError as error:
            refused.append(str(error))
    return kept, refused


def _check(clause: Clause, run: Run) -> None:
    """Raise `FilterError` where the run has no such column, value or type."""
    clause.check(_schema(run))
    if clause.column in data.empty_columns(run):
        raise FilterError(f"{clause.column} is empty in this run.")
    if clause.op in ("is", "not") and _schema(run)[clause.column] == pl.String:
        asked = data.samples(run).filter(pl.col(clause.column).is_in(clause.values))
        known = asked.select(pl.col(clause.column).unique()).collect()[clause.column]
        if unknown := set(clause.values) - set(known):
            raise FilterError(f"{clause.column} is never {min(unknown)[:60]!r} in this run.")


def _schema(run: Run) -> dict[str, pl.DataType]:
    return dict(data.samples(run).collect_schema())


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
