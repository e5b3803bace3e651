"""A table of external predictions for drawn shapes: three in four discs are taken for rings."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.settings import Settings
from tests.support.data.drawn import CLASSES, tiny_settings
from tests.support.data.own_data import draw_files
from tests.support.lakes.tiny_data import lists

COUNT = 480
RING, DISC = CLASSES.index("ring"), CLASSES.index("disc")


def external_table(count: int = COUNT, *, confused: float = 0.75, seed: int = 0) -> pl.DataFrame:
    """name, label, split, light, image, probabilities and embedding [8]; `confused` of the discs look like rings."""
    rng = np.random.default_rng(seed)
    files = draw_files(count, seed=seed)
    names = sorted(files)
    label = np.array([CLASSES.index(files[name][1]) for name in names])
    seen = np.where((label == DISC) & (rng.random(count) < confused), RING, label)
    logits = rng.normal(size=(count, len(CLASSES)))
    logits[np.arange(count), seen] += 4
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    embedding = np.eye(len(CLASSES), 8)[seen] * 4 + rng.normal(size=(count, 8))
    return pl.DataFrame(
        {
            "name": names,
            "label": [files[name][1] for name in names],
            "split": np.where(rng.random(count) < 0.4, "train", "test").tolist(),
            "light": rng.choice(["day", "night"], count).tolist(),
            "image": [files[name][0] for name in names],
            "probabilities": lists(p),
            "embedding": lists(embedding),
        }
    )


def external_settings(root: Path, table: pl.DataFrame, **predictions: Any) -> Settings:
    """Write the table as parquet; returns settings for it, with the lake beside it."""
    table.write_parquet(root / "said.parquet")
    own = {"source": root / "said.parquet", "name": "Said", "predictions": predictions}
    if "light" in table.columns:
        own["metadata"] = ["light"]
    return tiny_settings(root, dataset=own, samples=None)
