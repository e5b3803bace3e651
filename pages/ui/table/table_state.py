"""What the analyst's table shows, kept in the session, in the address and in saved views: columns, order, pivot.

Addresses and saved views are untrusted: what this run does not have is left out, and said.
"""

from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict

from lake.query.sample_columns import SHOWN

PARAMETERS = ("columns", "sort", "pivot")
MAX_PARTS = 100
ROW = "sample_id"
"""The column that orders rows which are equal otherwise."""


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

    columns: tuple[str, ...] = SHOWN
    sort: tuple[Order, ...] = (Order(column="loss"),)
    """The first column counts most; none leaves the rows by their number."""
    pivot: tuple[str, str] | None = None
    """The columns down and across."""

    def to_query(self) -> dict[str, str]:
        """The parameters of the address; the sort always, so that a link without the others means the first ones."""
        query = {"sort": ",".join(order.to_text() for order in self.sort) or ROW}
        if self.columns != SHOWN:
            query["columns"] = ",".join(quote(column, safe="") for column in self.columns)
        if self.pivot:
            query["pivot"] = ",".join(quote(column, safe="") for column in self.pivot)
        return query

    def changed(self, **values: object) -> "TableState":
        """With other values."""
        return self.model_copy(update=values)


def from_query(query: dict[str, str], columns: list[str], axes: list[str]) -> tuple[TableState, list[str]]:
    """The state an address asks for, and in words what was left out of it."""
    directed = [ROW, *columns, *(f"-{column}" for column in columns)]
    asked = {
        name: _parts(query.get(name, ""), allowed)
        for name, allowed in {"columns": columns, "sort": directed, "pivot": axes}.items()
    }
    refused = [f"{name} {part[:40]!r}" for name, (_, unknown) in asked.items() for part in unknown]
    shown, sort, pivot = (known for known, _ in asked.values())
    if query.get("pivot") and len(pivot) != 2 and not asked["pivot"][1]:
        refused.append("a pivot, which takes two columns")
    first = TableState()
    state = TableState(
        columns=tuple(shown) or first.columns,
        sort=_orders(sort) if sort else first.sort,
        pivot=(pivot[0], pivot[1]) if len(pivot) == 2 else None,
    )
    return state, refused


def _orders(parts: list[str]) -> tuple[Order, ...]:
    """The columns to sort by; of a column that is named twice the first counts, and number orders rows anyway."""
    found: dict[str, Order] = {}
    for part in parts:
        column = part.removeprefix("-")
        found.setdefault(column, Order(column=column, descending=part != column))
    found.pop(ROW, None)
    return tuple(found.values())


def _parts(text: str, allowed: list[str]) -> tuple[list[str], list[str]]:
    """The parts of a list that are allowed, each once, and those that are not."""
    readable = text.encode(errors="replace").decode()  # a lone surrogate is no text that could be shown
    parts = dict.fromkeys(unquote(part) for part in readable.split(",")[:MAX_PARTS] if part)
    return [part for part in parts if part in allowed], [part for part in parts if part not in allowed]
