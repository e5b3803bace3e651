"""The answer of a run in one sentence, and its headline numbers."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from lake.query import queries
from lake.query.confusions import of_enough_samples
from lake.query.pivots import FEW
from lake.query.refused import Refused
from lake.statistics import bootstrap_mean_interval, wilson_interval
from lake.storage.store import Run
from pages.text.formatting import NO_BREAK, number, percent, plain, pluralize, share_with_interval
from pages.text.missing import is_classified

NO_TEST = "This run has no labelled test samples."
NO_MODEL = (
    "No model was trained, as the images are of fewer than two classes: map, groups, similar images and copies are "
    "those of their pixels."
)


@dataclass(frozen=True)
class Figure:
    """A number with its title, the text below it, and its glossary entry if it has one."""

    title: str
    value: str
    below: str
    word: str | None = None


def say_headline(samples: pl.LazyFrame, noun: str = "image") -> str | None:
    """How often the model is right and which class it fails on most; None without labelled test samples.

    `noun` is what one of them is called.
    """
    test = _test(samples)
    total = queries.accuracy(test).collect().row(0, named=True)
    if not total["n"]:
        return None
    report = queries.class_report(test).collect()
    sentence = (
        f"The model is right on **{share_with_interval(total['hits'], total['n'])}** of "
        f"{pluralize(total['n'], f'new {noun}')}"
    )
    if total["hits"] == total["n"]:
        return f"{sentence}: none is wrong."
    frequent = of_enough_samples(report)
    subject = "It" if len(frequent) == len(report) else f"Of the classes with {FEW} or more of them it"
    return f"{sentence}. {subject} fails most on {_say_worst(test, frequent.row(0, named=True))}."


def say_no_test(run: Run) -> str:
    """Return why there is no accuracy, for a run without labelled test samples."""
    return NO_TEST if is_classified(run) else NO_MODEL


def say_refused(refused: Refused, *, tested: bool = True) -> str | None:
    """The share of the source that could not be used, as a sentence beside the accuracy; None if it is small.

    Without test samples, there is no accuracy to speak of.
    """
    warning = refused.to_warning(tested=tested)
    return None if warning is None else warning.replace(" %", f"{NO_BREAK}%")


def _say_worst(test: pl.LazyFrame, worst: dict[str, Any]) -> str:
    """How many samples of a class are wrong, and what most of those are called."""
    wrong = worst["n"] - worst["hits"]
    summary = f"**{plain(worst['label'])}**: {wrong:,} of {worst['n']:,} {'is' if wrong == 1 else 'are'} wrong"
    confusions = queries.top_confusions(test).filter(pl.col("label") == worst["label"]).collect()
    if confusions.is_empty():
        return summary
    top = confusions.row(0, named=True)
    most_frequent = f"called **{plain(top['predicted'])}**"
    return (
        f"{summary}, and {most_frequent}"
        if wrong == 1
        else f"{summary}, and {percent(top['n'] / wrong)} of those are {most_frequent}"
    )


def headline_figures(samples: pl.LazyFrame, findings: pl.DataFrame, calibration_error: float | None) -> list[Figure]:
    """Return the five headline numbers, estimates with 95 % intervals; requires labelled test samples."""
    test = _test(samples)
    total = queries.accuracy(test).collect().row(0, named=True)
    losses = test.select("loss").drop_nulls().collect()["loss"].to_numpy()
    accuracy_ends, loss_ends = wilson_interval(total["hits"], total["n"]), bootstrap_mean_interval(losses)
    tested_findings = findings.filter(pl.col("covered_by").is_null(), pl.col("p").is_not_null())
    calibration = "–" if calibration_error is None else percent(calibration_error)
    confirmed = int(tested_findings["confirmed"].sum())
    ends = f"{accuracy_ends[0] * 100:.1f} to {accuracy_ends[1] * 100:.1f}"
    return [
        Figure("Accuracy, test", percent(total["hits"] / total["n"]), ends),
        Figure(
            "Mean loss (nats)", number(total["mean_loss"]), f"{number(loss_ends[0])} to {number(loss_ends[1])}", "loss"
        ),
        Figure("Calibration error", calibration, "0 is perfectly calibrated", "calibration"),
        Figure("Samples scored", f"{samples.select(pl.len()).collect().item():,}", "in every split"),
        Figure("Findings confirmed", f"{confirmed}", f"{len(tested_findings) - confirmed} open", "confirmed"),
    ]


def _test(samples: pl.LazyFrame) -> pl.LazyFrame:
    return samples.filter(pl.col("split") == "test")
