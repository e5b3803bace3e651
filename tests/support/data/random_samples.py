"""Samples without structure, or with a planted one."""

import numpy as np
import polars as pl

from lake.comparison.differences import PROPERTY_WORDING
from pipeline.findings.error_causes import HIGH_LOSS

CLASSES = np.array(["cat", "dog", "ship", "truck"])
METHODS = ("kmeans", "bisecting", "hdbscan")


def make_samples(seed: int, *, size: int = 1200, hard: str | None = None) -> pl.DataFrame:
    """Rows like those of `scan_samples`: losses from one distribution, or higher for the class `hard`.

    The first tenth is unlabeled; a fifth of the rest was trained on.
    """
    rng = np.random.default_rng(seed)
    label = CLASSES[rng.integers(0, 4, size)]
    loss = rng.exponential(0.5, size)
    wrong = rng.random(size) < 0.2
    if hard:
        loss[label == hard] += 0.6
    other = CLASSES[(np.searchsorted(CLASSES, label) + rng.integers(1, 4, size)) % 4]
    numbers = {f"cluster_{m}": rng.integers(0, 6, size) for m in METHODS}
    properties = {name: rng.normal(50, 10, size) for name in PROPERTY_WORDING} | {
        "object_hue": rng.uniform(0, 360, size)
    }
    labelled = pl.lit(pl.Series(np.arange(size) >= size // 10))
    frame = pl.DataFrame(
        {
            "sample_id": np.arange(size),
            "label": label.tolist(),
            "predicted": np.where(wrong, other, label),
            "correct": ~wrong,
            "loss": loss,
            "expected_loss": rng.exponential(0.5, size),
            "out_of_sample": rng.random(size) < 0.8,
            "x": np.zeros(size),
            "reason": pl.Series(loss > HIGH_LOSS).replace_strict({True: "unsure", False: None}, return_dtype=pl.String),
            **numbers,
            **properties,
        }
    )
    split = (
        pl.when(~labelled)
        .then(pl.lit("unlabeled"))
        .when("out_of_sample")
        .then(pl.lit("test"))
        .otherwise(pl.lit("train"))
    )
    known = pl.when(labelled).then(pl.col("label", "correct", "loss", "reason")).name.keep()
    return frame.with_columns(split.alias("split"), known)


def make_properties(seed: int, *, size: int = 1200) -> pl.DataFrame:
    """Properties without structure, and an unrelated label."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.normal(50, 10, size) for name in PROPERTY_WORDING}
    return pl.DataFrame(
        columns | {"object_hue": rng.uniform(0, 360, size), "label": np.array(["cat", "dog"])[rng.integers(0, 2, size)]}
    )
