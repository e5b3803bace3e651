"""Numbers that polars computed of a column, as numbers: its annotations allow for every type a column may have."""


def or_zero(found: object) -> float:
    """A maximum, a mean, ... of a column of numbers; 0 where the column has no values."""
    if found is None:
        return 0.0
    if not isinstance(found, int | float):
        raise TypeError(f"{found!r} is no number")
    return float(found)
