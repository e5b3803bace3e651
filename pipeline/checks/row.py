"""Build a row of the table `proofs`: a figure, its interval, and whether it meets its bar."""

from lake.statistics import wilson_interval

ENOUGH = 20
Row = dict[str, object]


def check_row(
    name: str,
    claim: str,
    n: int,
    value: float,
    rule: str,
    bar: float,
    low: float | None = None,
    high: float | None = None,
) -> Row:
    """A row without its subject; without a verdict if fewer than 20 could be measured."""
    row: Row = {"proof": name, "claim": claim, "n": n, "rule": rule, "bar": float(bar)}
    if n < ENOUGH:
        return row | {"value": None, "low": None, "high": None, "holds": None}
    value = float(value)
    holds = value <= bar if rule == "at most" else value >= bar
    return row | {"value": value, "low": low, "high": high, "holds": holds}


def share(name: str, claim: str, hits: int, n: int, bar: float) -> Row:
    """A share that must meet the bar, with its Wilson interval."""
    return check_row(name, claim, n, hits / max(1, n), "at least", bar, *wilson_interval(hits, n))
