"""State of the sample table, kept in the session, in the URL and in saved views: columns, order, pivot.

URLs and saved views are untrusted: parts that do not fit the run are ignored and reported.
"""

from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict

from lake.query.sample_columns import DEFAULT_COLUMNS

PARAMETERS = ("columns", "sort", "pivot")
MAX_PARTS = 100
ROW = "sample_id"
"""The column that breaks ties."""


class Order(BaseModel):
    """One column to sort by."""

    model_config = ConfigDict(frozen=True)

    column: str
    descending: bool = True

    def to_text(self) -> str:
        return ("-" if self.descending else "") + quote(self.column, safe="")

    def flipped(self) -> "Order":
        return Order(column=self.column, descending=not self.descending)


class TableState(BaseModel):
    """One view of the table; equal states look equal."""

    model_config = ConfigDict(frozen=True)

    columns: tuple[str, ...] = DEFAULT_COLUMNS
    sort: tuple[Order, ...] = (Order(column="loss"),)
    """The first column takes precedence; empty sorts by sample id."""
    pivot: tuple[str, str] | None = None
    """The columns of rows and columns."""

    def to_query(self) -> dict[str, str]:
        """Return the query parameters; `sort` is always present, so that without the others the defaults apply."""
        query = {"sort": ",".join(order.to_text() for order in self.sort) or ROW}
        if self.columns != DEFAULT_COLUMNS:
            query["columns"] = ",".join(quote(column, safe="") for column in self.columns)
        if self.pivot:
            query["pivot"] = ",".join(quote(column, safe="") for column in self.pivot)
        return query

    def changed(self, **values: object) -> "TableState":
        """Return a copy with other values."""
        return self.model_copy(update=values)


def from_query(query: dict[str, str], columns: list[str], axes: list[str]) -> tuple[TableState, list[str]]:
    """Parse the state in a URL; return it and descriptions of the ignored parts."""
    directed = [ROW, *columns, *(f"-{column}" for column in columns)]
    parts_by_name = {
        name: _parts(query.get(name, ""), allowed)
        for name, allowed in {"columns": columns, "sort": directed, "pivot": axes}.items()
    }
    rejected = [f"{name} {part[:40]!r}" for name, (_, unknown) in parts_by_name.items() for part in unknown]
    visible, sort, pivot = (allowed_parts for allowed_parts, _ in parts_by_name.values())
    if query.get("pivot") and len(pivot) != 2 and not parts_by_name["pivot"][1]:
        rejected.append("a pivot, which takes two columns")
    defaults = TableState()
    state = TableState(
        columns=tuple(visible) or defaults.columns,
        sort=_orders(sort) if sort else defaults.sort,
        pivot=(pivot[0], pivot[1]) if len(pivot) == 2 else None,
    )
    return state, rejected


def _orders(parts: list[str]) -> tuple[Order, ...]:
    """Return the sort columns without repetitions and without the sample id, which breaks ties anyway."""
    orders: dict[str, Order] = {}
    for part in parts:
        column = part.removeprefix("-")
        orders.setdefault(column, Order(column=column, descending=part != column))
    orders.pop(ROW, None)
    return tuple(orders.values())


def _parts(text: str, allowed: list[str]) -> tuple[list[str], list[str]]:
    """Return the distinct allowed parts of a list, and the others."""
    readable = text.encode(errors="replace").decode()  # lone surrogates cannot be displayed
    parts = dict.fromkeys(unquote(part) for part in readable.split(",")[:MAX_PARTS] if part)
    return [part for part in parts if part in allowed], [part for part in parts if part not in allowed]
