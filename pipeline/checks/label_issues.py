"""Check the list of label issues: labels are flipped on purpose, and the detector must find them.

Precision counts labels that were already wrong as false alarms, so it is a lower bound.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from lake.contracts.tables import make_frame
from lake.text.formatting import percent
from pipeline.checks.row import Row, check_row
from pipeline.findings.label_issues import Evidence

SUBJECT = "label issues"
SHARE, PLANTINGS, SHORT_LIST = 0.05, 20, 100
BARS = {"uniform": (0.95, 0.5), "pair": (0.85, 0.3)}
"""Required AUROC and precision of the short list, by how labels are flipped."""


def check_label_issues(evidence: Evidence, classes: list[str], *, seed: int) -> pl.DataFrame:
    """Rows of the table `proofs` without the column run_id: 5 % of the labels flipped, 20 times.

    Flips between two classes are skipped if no two classes are confused.
    """
    pair = _most_confused(evidence)
    ways = {"uniform": (f"{percent(SHARE, 0)} of labels flipped to any other", np.arange(len(evidence.label)))}
    if pair:
        description = f"{percent(SHARE, 0)} of {classes[pair[0]]} and {classes[pair[1]]} flipped to each other"
        ways["pair"] = (description, np.flatnonzero(np.isin(evidence.label, pair)))
    rows: list[Row] = []
    for way, (description, population) in ways.items():
        count = round(SHARE * len(population))
        if count == 0:
            continue
        measurements = np.array(
            [
                _measure(evidence, population, count, pair if way == "pair" else None, [seed, 12, i])
                for i in range(PLANTINGS)
            ]
        )
        auroc, precision, recall = measurements.T
        bars = BARS[way]
        rows += [
            _row(f"AUROC, {way}", f"{description}: flipped labels score above others (AUROC)", count, auroc, bars[0]),
            _row(
                f"precision, {way}", f"{description}: of the first {SHORT_LIST} of the list", count, precision, bars[1]
            ),
            _row(f"recall, {way}", f"{description}: share of them in the list", count, recall, 0.5),
        ]
    return make_frame("proofs", [{"subject": SUBJECT, **row} for row in rows])


def flip(
    label: NDArray[np.int64],
    rows: NDArray[np.int64],
    classes: int,
    pair: tuple[int, int] | None,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """The labels, with those of the rows changed to the other class of the pair, or to any other class."""
    changed = label.copy()
    if pair is not None:
        changed[rows] = sum(pair) - label[rows]
    else:
        changed[rows] = (label[rows] + rng.integers(1, classes, len(rows))) % classes
    return changed


def area_under_curve(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Probability that a positive scores above a negative, ties counting half (Hanley & McNeil 1982)."""
    above = mannwhitneyu(score[positive], score[~positive], method="asymptotic").statistic
    return float(above / (positive.sum() * (~positive).sum()))


def _measure(
    evidence: Evidence, population: NDArray[np.int64], count: int, pair: tuple[int, int] | None, seed: list[int]
) -> tuple[float, float, float]:
    """AUROC in the population, precision of the short list, and share of the flipped labels that are listed."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(population, count, replace=False)
    flipped = np.zeros(len(evidence.label), bool)
    flipped[rows] = True
    flipped_evidence = evidence.relabelled(flip(evidence.label, rows, evidence.p_NK.shape[1], pair, rng))
    candidates = flipped_evidence.candidates()
    short = min(SHORT_LIST, count)
    return (
        area_under_curve(flipped_evidence.score[population], flipped[population]),
        float(flipped[candidates[:short]].sum() / short),
        float(flipped[candidates].sum() / count),
    )


def _most_confused(evidence: Evidence) -> tuple[int, int] | None:
    """The two classes confused most often, judged by the most probable class; None if there are no errors."""
    classes = evidence.p_NK.shape[1]
    counts = np.zeros((classes, classes))
    np.add.at(counts, (evidence.label, evidence.p_NK.argmax(1)), 1)
    both = np.triu(counts + counts.T, 1)
    first, second = np.unravel_index(both.argmax(), both.shape)
    return (int(first), int(second)) if both.any() else None


def _row(name: str, claim: str, n: int, values: NDArray[np.float64], bar: float) -> Row:
    """The mean over the plantings, and their central 95 % range."""
    low, high = np.quantile(values, [0.025, 0.975])
    return check_row(name, claim, n, values.mean(), "at least", bar, float(low), float(high))
