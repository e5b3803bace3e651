"""Filter expressions such as `loss > 2 and label != predicted`, translated to polars.

The line is parsed, never executed. Columns, numbers, strings, comparisons, `and or not in`, `+ - * /` and `abs()` are
allowed; anything else is rejected with a message that quotes it.
"""

import ast
import operator
import warnings
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import polars as pl

from lake.errors import FilterError

MAX_LENGTH, MAX_DEPTH = 400, 30
LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
COMPARISONS: dict[type, Callable[[Any, Any], pl.Expr]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
ARITHMETIC: dict[type, Callable[[Any, Any], pl.Expr]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def parse(text: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """Translate a line to a condition over the columns of `schema`.

    Raises `FilterError` if the line cannot be parsed, names an unknown column, mixes types or is not a condition.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"The expression is longer than {MAX_LENGTH} characters.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's syntax warnings about literals
            tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FilterError(
            f"The expression {text[:60]!r} cannot be read. Write, for example, label == 'cat' and loss > 2."
        ) from None
    expression = _read(tree.body, schema, depth=0)
    _check_types(expression, schema)
    return expression


def _check_types(expression: pl.Expr, schema: Mapping[str, pl.DataType]) -> None:
    try:
        result = pl.DataFrame(schema=dict(schema)).lazy().select(expression.alias("condition")).collect()
    except pl.exceptions.PolarsError:
        raise FilterError(
            "The expression combines values of incompatible types: text goes in quotes, numbers do not."
        ) from None
    if result.schema["condition"] != pl.Boolean:
        raise FilterError("The expression is not a condition: compare something, as in loss > 2.")


def _read(node: ast.expr, schema: Mapping[str, pl.DataType], *, depth: int) -> pl.Expr:
    if depth > MAX_DEPTH:
        raise FilterError(f"The expression is nested more than {MAX_DEPTH} levels deep.")

    def read_inner(inner: ast.expr) -> pl.Expr:
        return _read(inner, schema, depth=depth + 1)

    def read_condition(inner: ast.expr) -> pl.Expr:
        condition = read_inner(inner)
        _check_types(condition, schema)
        return condition

    match node:
        case ast.Name(id=name):
            return _column(name, schema)
        case ast.Constant():
            return pl.lit(_value(node))
        case ast.BoolOp(op=op, values=values):
            combine = pl.all_horizontal if isinstance(op, ast.And) else pl.any_horizontal
            return combine(*map(read_condition, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~read_condition(operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -read_inner(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            return ARITHMETIC[type(op)](read_inner(left), read_inner(right))
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [left, *others]
            pairs = zip(sides, ops, others, strict=False)
            return pl.all_horizontal(*(_compare(a, op, b, read_inner) for a, op, b in pairs))
        case ast.Call(func=ast.Name(id="abs"), args=[argument], keywords=[]):
            return read_inner(argument).abs()
    raise FilterError(f"The expression cannot contain {ast.unparse(node)[:60]!r}.")


def _compare(left: ast.expr, op: ast.cmpop, right: ast.expr, read: Callable[[ast.expr], pl.Expr]) -> pl.Expr:
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(right, ast.Tuple | ast.List):
            raise FilterError("`in` must be followed by a list, as in label in ('cat', 'dog').")
        is_listed = pl.any_horizontal(pl.lit(value=False), *(read(left) == pl.lit(_value(item)) for item in right.elts))
        return is_listed if isinstance(op, ast.In) else ~is_listed
    if _is_null(right) and isinstance(op, ast.Eq | ast.Is | ast.NotEq | ast.IsNot):
        is_null = read(left).is_null()
        return is_null if isinstance(op, ast.Eq | ast.Is) else ~is_null
    if type(op) not in COMPARISONS:
        raise FilterError("`is` can be used only with null, as in label is null.")
    return COMPARISONS[type(op)](read(left), read(right))


def _column(name: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    if name in schema:
        return pl.col(name)
    if name in LITERALS:
        return pl.lit(LITERALS[name])
    raise FilterError(f"There is no column {name[:60]!r}{suggest_column(name, schema)}. Text goes in quotes.")


def suggest_column(name: str, columns: Iterable[str]) -> str:
    """Return ": the closest is 'loss'" if a column has a similar name, otherwise nothing."""
    similar = get_close_matches(name, list(columns), n=1)
    return f": the closest is {similar[0]!r}" if similar else ""


def _value(node: ast.expr) -> str | float | bool | None:
    constant, sign = node, 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        constant, sign = node.operand, -1
    if not isinstance(constant, ast.Constant):
        raise FilterError("A list after `in` can hold only numbers and text in quotes.")
    value = constant.value
    if isinstance(value, bool | None | str) and sign == 1:
        return value
    if isinstance(value, int | float) and abs(value) <= (2**63 - 1 if isinstance(value, int) else 2**53):
        return sign * value
    raise FilterError(f"The expression cannot contain {ast.unparse(constant)[:60]!r}.")


def _is_null(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "null") or (isinstance(node, ast.Constant) and node.value is None)
