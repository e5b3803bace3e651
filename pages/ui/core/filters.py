"""The filter bar shared by all pages: chips on any column, kept in the session and in the URL."""

import polars as pl
import streamlit as st

from lake.errors import FilterError
from lake.query.aggregates import or_zero
from lake.query.filters import MAX_CLAUSES, MAX_VALUES, Clause, Filters
from lake.storage.store import Run
from pages.text.formatting import column_title, plain
from pages.ui.core import data

MAX_CHOICES, MAX_REASONS = 1000, 2


def current() -> Filters:
    """Return the filters of this session."""
    return Filters.from_text(st.session_state.get("filters", ""))


def filtered(run: Run) -> pl.LazyFrame:
    """Return the samples of the run that pass the filters."""
    return current().apply(data.samples(run))


def accept(text: str, run: Run) -> None:
    """Take filters from the URL; clauses that this run cannot answer are ignored and reported."""
    clauses, reasons = _read(text, run)
    change(Filters(clauses=tuple(clauses)))
    if reasons:
        part = "A part of the" if clauses else "The"
        st.toast(
            f"{part} address's filter was ignored: {plain(' '.join(reasons[:MAX_REASONS]))}",
            icon=":material/filter_alt_off:",
        )


def change(filters: Filters) -> None:
    """Replace the filters; effective from the next rerun, for callbacks."""
    st.session_state["filters"] = filters.to_text()


def narrow(clauses: list[Clause]) -> None:
    """Add conditions to the filters; effective from the next rerun, for callbacks."""
    existing = current().clauses
    combined = (*existing, *(clause for clause in clauses if clause not in existing))
    if len(combined) > MAX_CLAUSES:
        st.toast(f"More than {MAX_CLAUSES} filters: remove some first.", icon=":material/filter_alt_off:")
        return
    change(Filters(clauses=combined))


def show_filters(run: Run) -> None:
    """Show the filters as chips, a form to add one, and the number of samples that pass."""
    filters = current()
    total = data.samples(run).select(pl.len()).collect().item()
    passing = filters.apply(data.samples(run)).select(pl.len()).collect().item()
    st.markdown(f"**Filters** · {passing:,} of {total:,} samples")
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
    schema, excluded = _schema(run), {"source_name", *data.empty_columns(run)}
    column = st.selectbox(
        "Column", [c for c in schema if c not in excluded], format_func=column_title, key="filter-column"
    )
    values, some_empty = data.values(run, column, MAX_CHOICES)
    if data.is_measure(run, column):
        whole = schema[column].is_integer()
        low, high = (int(or_zero(end)) if whole else or_zero(end) for end in values)
        bounds = st.slider("Range", low, high, (low, high), key=f"filter-range-{column}") if low < high else (low, high)
        low_text, high_text = (str(end) if whole else f"{end:.6g}" for end in bounds)
        clause = Clause(column=column, op="between", values=(low_text, high_text))
    else:
        negate = st.toggle("Is not", key="filter-not")
        selected = st.multiselect(
            "Values", [_text(value) for value in values], key=f"filter-values-{column}", max_selections=MAX_VALUES
        )
        clause = Clause(column=column, op="not" if negate else "is", values=tuple(selected))
    if st.button("Add", type="primary", disabled=clause.op != "between" and not clause.values):
        change(filters.with_clause(clause))
        st.rerun()
    if some_empty:
        st.button(
            f"Only where {column_title(column).lower()} is empty",
            on_click=change,
            args=(filters.with_clause(Clause(column=column, op="null")),),
        )


def _add_expression(run: Run, filters: Filters) -> None:
    empty = data.empty_columns(run)
    columns = ", ".join(column for column in _schema(run) if column not in empty)
    expression = st.text_input(
        "Or an expression",
        key="filter-expression",
        placeholder="label == 'cat' and loss > 2",
        help=f"Columns: {columns}. Comparisons, and, or, not, in (...), + - * /, abs(), null.",
    )
    if st.button("Add expression", disabled=not expression):
        clause = Clause.where(expression)
        try:
            clause.check(_schema(run))
        except FilterError as error:
            st.error(plain(str(error)))
            return
        change(filters.with_clause(clause))
        st.rerun()


def _read(text: str, run: Run) -> tuple[list[Clause], list[str]]:
    """Return the distinct clauses that this run can answer, and the reasons for rejecting others."""
    accepted, reasons = [], []
    try:
        clauses = dict.fromkeys(Filters.from_text(text).clauses)
    except FilterError as error:
        return [], [str(error)]
    for clause in clauses:
        try:
            _check(clause, run)
            accepted.append(clause)
        except FilterError as error:
            reasons.append(str(error))
    return accepted, reasons


def _check(clause: Clause, run: Run) -> None:
    """Raise `FilterError` if the run lacks the column or value, or its type does not fit."""
    clause.check(_schema(run))
    if clause.column in data.empty_columns(run):
        raise FilterError(f"{clause.column} is empty in this run.")
    if clause.op in ("is", "not") and _schema(run)[clause.column] == pl.String:
        matching = data.samples(run).filter(pl.col(clause.column).is_in(clause.values))
        present = matching.select(pl.col(clause.column).unique()).collect()[clause.column]
        if absent := set(clause.values) - set(present):
            raise FilterError(f"{clause.column} is never {min(absent)[:60]!r} in this run.")


def _schema(run: Run) -> dict[str, pl.DataType]:
    return dict(data.samples(run).collect_schema())


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
