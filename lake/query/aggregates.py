"""Typed access to aggregates of polars, whose annotations allow for every type of a column."""


def or_zero(value: object) -> float:
    """Return an aggregate (maximum, mean, ...) of a numeric column as a float; 0 if the column has no values."""
    if value is None:
        return 0.0
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)
