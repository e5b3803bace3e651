"""How reliable a method of a run is: a summary line and a table of its checks."""

import polars as pl

from lake.contracts.rows import ProofRow, rows_of
from pages.text.formatting import number

VERDICTS = {True: "holds", False: "missed", None: "too few"}


def say_checks(checks: pl.DataFrame, subject: str) -> str:
    """Return a line with the number of checks of a subject that hold."""
    n_holding, n_measured = int(checks["holds"].sum()), int(checks["holds"].is_not_null().sum())
    if not n_measured:
        return f"How reliable are these {subject}? Too few samples for any check"
    verb = "check holds" if n_measured == 1 else "checks hold"
    return f"How reliable are these {subject}? {n_holding} of {n_measured} {verb}"


def tabulate(checks: pl.DataFrame) -> pl.DataFrame:
    """Return verdict, claim, n, figure with its 95 % interval, and threshold of each check."""
    rows = rows_of(checks, ProofRow)
    return pl.DataFrame(
        {
            "verdict": [VERDICTS[row["holds"]] for row in rows],
            "claim": checks["claim"],
            "n": checks["n"],
            "figure": [_figure(row) for row in rows],
            "bar": [f"{row['rule']} {number(row['bar'])}" for row in rows],
        }
    )


def _figure(row: ProofRow) -> str:
    if row["value"] is None:
        return "–"
    if row["low"] is None or row["high"] is None:
        return number(row["value"])
    return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
