"""Typed access to aggregates of polars, whose annotations allow for every type of a column."""


def or_zero(found: object) -> float:
    """Return an aggregate (maximum, mean, ...) of a numeric column as a float; 0 if the column has no values."""
    if found is None:
        return 0.0
    if not isinstance(found, int | float):
        raise TypeError(f"{found!r} is not a number")
    return float(found)
