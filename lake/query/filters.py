"""The filter model of all pages: chips on screen <-> URL of the page <-> polars expression.

A clause has the form `column.op.value,value`, each part percent-encoded; a leading `~` disables it. Clauses are joined
by `;`; `.where.<line>` holds an expression of `lake.query.expressions`. URLs are untrusted: `Filters.checked` rejects
what does not fit the run.
"""

import math
import re
from collections.abc import Mapping
from typing import Literal, get_args
from urllib.parse import quote, unquote

import polars as pl
from pydantic import BaseModel, ConfigDict

from lake.errors import FilterError
from lake.query import expressions

Operator = Literal["is", "not", "between", "null", "present", "where"]
Schema = Mapping[str, pl.DataType]
MAX_CLAUSES, MAX_VALUES, MAX_VALUES_DESCRIBED = 20, 200, 5
NUMBER_OF_VALUES = {"between": 2, "null": 0, "present": 0, "where": 1}
OFF = "~"
DIGITS = re.compile("-?[0-9]{1,18}")
"""An integer that fits into 64 bits."""


class Clause(BaseModel):
    """A condition on one column, or an expression over any columns; `values` are strings as in the URL."""

    model_config = ConfigDict(frozen=True)

    column: str
    op: Operator
    values: tuple[str, ...] = ()
    enabled: bool = True

    @classmethod
    def where(cls, expression: str) -> "Clause":
        """Create a clause from an expression of `lake.query.expressions`."""
        return cls(column="", op="where", values=(expression,))

    def to_text(self) -> str:
        parts = [_quote(self.column), self.op]
        if self.values:
            parts.append(",".join(map(_quote, self.values)))
        return ("" if self.enabled else OFF) + ".".join(parts)

    def describe(self) -> str:
        """Describe the condition in words, for a chip."""
        column = self.column.replace("_", " ")
        match self.op:
            case "is":
                return f"{column}: {self._either()}"
            case "not":
                return f"{column}: not {self._either()}"
            case "between":
                return f"{column}: {self.values[0]} to {self.values[1]}"
            case "null":
                return f"{column}: empty"
            case "present":
                return f"{column}: not empty"
            case "where":
                return self.values[0]

    def _either(self) -> str:
        """List the values in words; only the first if there are many."""
        rest = len(self.values) - MAX_VALUES_DESCRIBED
        others = [f"{rest:,} others"] if rest > 1 else self.values[MAX_VALUES_DESCRIBED:]
        return " or ".join([*self.values[:MAX_VALUES_DESCRIBED], *others])

    def to_expr(self, schema: Schema) -> pl.Expr:
        """Return the condition as a polars expression; raises `FilterError` if a value does not fit the column type."""
        if self.op == "where":
            return expressions.parse(self.values[0], schema)
        column, dtype = pl.col(self.column), schema[self.column]
        if self.op in ("null", "present"):
            return column.is_null() if self.op == "null" else column.is_not_null()
        if self.op == "between":
            low, high = (self._number(value) for value in self.values)
            return column.is_between(low, high)
        condition = column.is_in(self._typed(dtype))
        return condition if self.op == "is" else ~condition

    def check(self, schema: Schema) -> None:
        """Raise `FilterError` if the run has no such column or the values do not fit it."""
        expected = NUMBER_OF_VALUES.get(self.op)
        if self.op != "where" and self.column not in schema:
            suggestion = expressions.suggest_column(self.column, schema)
            raise FilterError(f"There is no column {self.column[:60]!r} to filter by{suggestion}.")
        if (expected is None and not self.values) or (expected is not None and len(self.values) != expected):
            subject = f"on {self.column} " if self.column else ""
            raise FilterError(
                f"The filter {subject[:60]}has {len(self.values)} values, the wrong number for {self.op}."
            )
        if self.op == "between" and not schema[self.column].is_numeric():
            raise FilterError(f"{self.column} is not numeric, so it has no range.")
        self.to_expr(schema)

    def _typed(self, dtype: pl.DataType) -> list[str] | list[float] | list[bool] | list[int]:
        if dtype == pl.Boolean:
            if not set(self.values) <= {"true", "false"}:
                raise FilterError(f"{self.column} must be true or false, not {self.values[0][:60]!r}.")
            return [value == "true" for value in self.values]
        if dtype.is_integer():
            return [self._integer(value) for value in self.values]
        if dtype.is_numeric():
            return [self._number(value) for value in self.values]
        if dtype != pl.String:
            raise FilterError(f"{self.column} cannot be filtered by value.")
        return list(self.values)

    def _integer(self, value: str) -> int:
        if DIGITS.fullmatch(value):  # a float would round long ids
            return int(value)
        number = self._number(value)
        if not number.is_integer():
            raise FilterError(f"{self.column}: {value[:60]!r} is not a whole number.")
        return int(number)

    def _number(self, value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or abs(number) > 2**53:
            raise FilterError(f"{self.column}: {value[:60]!r} is not a number.")
        return number


class Filters(BaseModel):
    """Conditions that must all hold."""

    model_config = ConfigDict(frozen=True)

    clauses: tuple[Clause, ...] = ()

    @classmethod
    def of(cls, /, **values: str | list[str]) -> "Filters":
        """Create equality conditions, one per named column: `Filters.of(label="cat", predicted="dog")`."""
        value_lists = {k: (v,) if isinstance(v, str) else tuple(v) for k, v in values.items()}
        return cls(clauses=tuple(Clause(column=k, op="is", values=v) for k, v in value_lists.items()))

    @classmethod
    def from_text(cls, text: str) -> "Filters":
        """Parse the filters of a URL; raises `FilterError` if they cannot be parsed."""
        readable = text.encode(errors="replace").decode()  # polars cannot compare strings with lone surrogates
        parts = [part for part in readable.split(";") if part]
        if len(parts) > MAX_CLAUSES:
            raise FilterError(f"The address has more than {MAX_CLAUSES} filters.")
        return cls(clauses=tuple(_parse(part) for part in parts))

    def to_text(self) -> str:
        return ";".join(clause.to_text() for clause in self.clauses)

    def checked(self, schema: Schema) -> "Filters":
        """Check every clause against the columns of the run and return the filters; raises `FilterError`."""
        for clause in self.clauses:
            clause.check(schema)
        return self

    def to_expr(self, schema: Schema) -> pl.Expr:
        """Return the expression that every enabled clause holds; never null."""
        # The constant is not filled: polars 2.1 fails to filter a large frame eagerly by a filled constant.
        enabled = [clause.to_expr(schema).fill_null(value=False) for clause in self.clauses if clause.enabled]
        return pl.all_horizontal(pl.lit(value=True), *enabled)

    def apply(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Return the rows for which every enabled clause holds."""
        return frame.filter(self.to_expr(frame.collect_schema()))

    def with_clause(self, clause: Clause) -> "Filters":
        """Return the filters with the clause replacing any other on its column."""
        others = tuple(c for c in self.clauses if c.column != clause.column)
        return Filters(clauses=(*others, clause))

    def toggled(self, index: int) -> "Filters":
        """Return the filters with one clause enabled or disabled."""
        flip = {"enabled": not self.clauses[index].enabled}
        return Filters(
            clauses=tuple(c.model_copy(update=flip) if i == index else c for i, c in enumerate(self.clauses))
        )

    def without(self, index: int) -> "Filters":
        return Filters(clauses=tuple(c for i, c in enumerate(self.clauses) if i != index))


def _parse(part: str) -> Clause:
    enabled = not part.startswith(OFF)
    column, _, rest = part.removeprefix(OFF).partition(".")
    op, dot, value_list = rest.partition(".")
    operators: tuple[Operator, ...] = get_args(Operator)
    operator = next((name for name in operators if name == op), None)
    if operator is None:
        raise FilterError(f"The filter {part[:60]!r} in the address cannot be read.")
    values = tuple(unquote(value) for value in value_list.split(",")) if dot else ()
    if len(values) > MAX_VALUES:
        raise FilterError(f"A filter in the address has more than {MAX_VALUES} values.")
    return Clause(column=unquote(column), op=operator, values=values, enabled=enabled)


def _quote(text: str) -> str:
    return quote(text, safe="").replace(".", "%2E").replace("~", "%7E")
