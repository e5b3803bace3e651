"""How far a method of a run can be believed, as a line and a table of words."""

import polars as pl

from lake.contracts.rows import ProofRow, rows_of
from pages.text.words import number

VERDICTS = {True: "holds", False: "missed", None: "too few"}


def say_proofs(proofs: pl.DataFrame, subject: str) -> str:
    """How many of the checks of a subject hold."""
    held, measured = int(proofs["holds"].sum()), int(proofs["holds"].is_not_null().sum())
    return f"How far can these {subject} be believed? {held} of {measured} checks hold"


def tabulate(proofs: pl.DataFrame) -> pl.DataFrame:
    """Verdict, claim, n, figure with its 95 % interval, and the bar of each check."""
    rows = rows_of(proofs, ProofRow)
    return pl.DataFrame(
        {
            "verdict": [VERDICTS[row["holds"]] for row in rows],
            "claim": proofs["claim"],
            "n": proofs["n"],
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
