"""Data sets of any shape, drawn at random: any number of images and classes, odd splits, predictions and embeddings."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st
from numpy.typing import NDArray

from lake.pictures import encode_png
from pipeline.settings import Settings
from tests.support.data.drawn import tiny_settings
from tests.support.lakes.tiny_data import lists

MOST_CLASSES, MOST_OF_CLASS, MOST = 1000, 50, 2000
Draw = np.random.Generator
Array = NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """Recipe of a data set; equal shapes give equal data."""

    counts: tuple[int, ...]
    """Number of images of each class."""
    names: str = "plain"
    split: str = "drawn"
    unlabeled: float = 0.0
    said: str = "drawn"
    embedded: str = "drawn"
    carried: str = "none"
    strangers: int = 0
    """Number of classes that only the predictions know."""
    seed: int = 0

    @property
    def classes(self) -> list[str]:
        """Classes of the predictions, in order."""
        return [NAMES[self.names](i) for i in range(len(self.counts) + self.strangers)]

    def label(self) -> Array:
        """The class index of each row."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


ODD = ["null", "NaN", "007", "1e5", 'a "quoted" one', "d'été / 猫", "<b>b</b>", "x" * 120, "-1", "True", "a,b;c~d", "é"]
NAMES: dict[str, Callable[[int], str]] = {
    "plain": lambda i: f"class {i:04}",
    "numbers": str,
    "odd": lambda i: ODD[i] if i < len(ODD) else f"{ODD[i % len(ODD)]} {i}",
}


def _drawn_split(label: Array, rng: Draw) -> Array:
    return rng.choice(["train", "validation", "test"], len(label), p=[0.5, 0.1, 0.4])


def _one_class_in_test(label: Array, rng: Draw) -> Array:
    return np.where(label == 0, "test", rng.choice(["train", "validation"], len(label)))


SPLITS: dict[str, Callable[[Array, Draw], Array | None]] = {
    "drawn": _drawn_split,
    "none": lambda label, rng: None,
    "one class in test": _one_class_in_test,
    "one test image": lambda label, rng: np.where(np.arange(len(label)) == rng.integers(len(label)), "test", "train"),
    "only train": lambda label, rng: np.full(len(label), "train"),
    "no train": lambda label, rng: rng.choice(["validation", "test"], len(label)),
    "no validation": lambda label, rng: rng.choice(["train", "test"], len(label)),
}


def _softmax(logits_NK: Array) -> Array:
    p = np.exp(logits_NK - logits_NK.max(1, keepdims=True))
    return np.asarray(p / p.sum(1, keepdims=True))


def _drawn_p(label: Array, classes: int, rng: Draw) -> Array:
    return _softmax(rng.normal(size=(len(label), classes)) + 3 * np.eye(classes)[label])


SAID: dict[str, Callable[[Array, int, Draw], Array]] = {
    "drawn": _drawn_p,
    "guessed": lambda label, classes, rng: rng.dirichlet(np.full(classes, 0.3), len(label)),
    "perfect": lambda label, classes, rng: np.eye(classes)[label],
    "certain": lambda label, classes, rng: np.eye(classes)[rng.integers(0, classes, len(label))],
    "one class": lambda label, classes, rng: np.eye(classes)[np.zeros_like(label)],
    "uniform": lambda label, classes, rng: np.full((len(label), classes), 1 / classes),
}


def _drawn_features(label: Array, rng: Draw) -> Array:
    return rng.normal(size=(label.max() + 1, 8))[label] * 2 + rng.normal(size=(len(label), 8))


EMBEDDED: dict[str, Callable[[Array, Draw], Array | None]] = {
    "none": lambda label, rng: None,
    "drawn": _drawn_features,
    "constant": lambda label, rng: np.full((len(label), 8), rng.normal()),
    "zero": lambda label, rng: np.zeros((len(label), 8)),
    "some zero": lambda label, rng: _drawn_features(label, rng) * (rng.random(len(label)) < 0.7)[:, None],
    "equal in a class": lambda label, rng: rng.normal(size=(label.max() + 1, 8))[label],
    "two points": lambda label, rng: np.eye(2, 8)[rng.integers(0, 2, len(label))],
    "equal but one": lambda label, rng: np.where(np.arange(len(label))[:, None] == 3, rng.normal(size=8), 1.0),
    "one number": lambda label, rng: rng.normal(size=(len(label), 1)),
    "two numbers": lambda label, rng: rng.normal(size=(len(label), 2)),
    "huge": lambda label, rng: _drawn_features(label, rng) * 1e30,
    "tiny": lambda label, rng: _drawn_features(label, rng) * 1e-30,
    "wide": lambda label, rng: rng.normal(size=(len(label), 300)),
}
CARRIED: dict[str, Callable[[int, Draw], list[Any] | None]] = {
    "none": lambda size, rng: None,
    "constant": lambda size, rng: ["day"] * size,
    "null": lambda size, rng: [None] * size,
    "unique": lambda size, rng: [f"patient {i}" for i in range(size)],
    "some": lambda size, rng: rng.choice(np.array(["day", "night", None]), size).tolist(),
    "number": lambda size, rng: rng.normal(size=size).tolist(),
    "same number": lambda size, rng: [0.5] * size,
    "few numbers": lambda size, rng: [1.0 if i == 0 else None for i in range(size)],
}


def draw_table(shape: Shape) -> pl.DataFrame:
    """The rows of a source: name, label, probabilities and, depending on the shape, split, embedding and light."""
    rng, label = np.random.default_rng(shape.seed), shape.label()
    known = rng.random(len(label)) >= shape.unlabeled
    names = np.array(shape.classes, dtype=object)
    split = SPLITS[shape.split](label, rng)
    columns: dict[str, Any] = {
        "name": [f"{i:05}" for i in range(len(label))],
        "label": pl.Series(
            [name if there else None for name, there in zip(names[label], known, strict=True)], dtype=pl.String
        ),
        "split": None if split is None else np.where(known, split, "unlabeled").tolist(),
        "probabilities": lists(SAID[shape.said](label, len(names), rng)),
        "light": CARRIED[shape.carried](len(label), rng),
    }
    features = EMBEDDED[shape.embedded](label, rng)
    if features is not None:
        columns["embedding"] = lists(features)
    return pl.DataFrame({name: values for name, values in columns.items() if values is not None})


def settings_of(shape: Shape, root: Path, table: pl.DataFrame) -> Settings:
    """Write the table as parquet; returns settings for it, with the lake beside it."""
    table.write_parquet(root / "said.parquet")
    own = {
        "source": root / "said.parquet",
        "name": "Drawn",
        "metadata": ["light"] if "light" in table.columns else [],
        "predictions": {"classes": shape.classes},
    }
    return tiny_settings(root, dataset=own, samples=None, permutations=100)


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, ...]:
    """Images per class: equal or drawn around a number; occasionally fewer than 100 in total."""
    each = draw(st.sampled_from([1, 2, 3, 5, 8, 10, 12, 20, 30, MOST_OF_CLASS]))
    most = draw(st.sampled_from([200, 300, 400, 800, MOST]))
    least = draw(st.sampled_from([200, 200, 120, 120, 120, 40])) // each
    classes = draw(st.integers(max(2, least), max(2, min(MOST_CLASSES, most // each))))
    if draw(st.booleans()):
        return (each,) * classes
    drawn = np.random.default_rng(draw(st.integers(0, 2**16))).geometric(1 / each, classes)
    return tuple(drawn.clip(1, MOST_OF_CLASS).tolist())


SHAPES = st.builds(
    Shape,
    counts=counts(),
    names=st.sampled_from([*NAMES]),
    split=st.sampled_from([*SPLITS, "drawn", "drawn", "none", "no train", "no validation", "one class in test"]),
    unlabeled=st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.1, 0.3, 0.5, 0.9, 0.98, 1.0]),
    said=st.sampled_from([*SAID, "drawn", "guessed"]),
    embedded=st.sampled_from([*EMBEDDED, "drawn"]),
    carried=st.sampled_from([*CARRIED]),
    strangers=st.sampled_from([0, 0, 1, 3]),
    seed=st.integers(0, 2**16),
)


# --- images to train on


def _noise(label: Array, side: int, rng: Draw) -> Array:
    return rng.integers(0, 256, (len(label), side, side, 3), np.uint8)


PICTURED: dict[str, Callable[[Array, int, Draw], Array]] = {
    "tinted": lambda label, side, rng: (
        _noise(label, side, rng) // 4 + _noise(label, 1, np.random.default_rng(0))[label]
    ),
    "noise": _noise,
    "equal in a class": lambda label, side, rng: _noise(label, side, rng)[label],
    "grey": lambda label, side, rng: np.full((len(label), side, side, 3), 128, np.uint8),
}


@dataclass(frozen=True)
class Pictures:
    """Images of the classes of a shape, and how a network is trained on them."""

    shape: Shape
    pictured: str = "tinted"
    side: int = 8
    folds: int = 0

    def table(self) -> pl.DataFrame:
        """The rows of a source: name, image and label, and split and light depending on the shape."""
        rng, label = np.random.default_rng(self.shape.seed), self.shape.label()
        images = PICTURED[self.pictured](label, self.side, rng)
        return (
            draw_table(self.shape)
            .drop("probabilities", "embedding", strict=False)
            .with_columns(image=pl.Series([encode_png(image) for image in images], dtype=pl.Binary))
        )

    def settings(self, root: Path) -> Settings:
        """Write the table as parquet; returns settings for it, with the lake beside it."""
        self.table().write_parquet(root / "images.parquet")
        own = {"source": root / "images.parquet", "name": "Drawn", "size": self.side}
        phases = [{"resolution": self.side, "epochs": 1}]
        return tiny_settings(root, dataset=own, samples=None, phases=phases, folds=self.folds, permutations=100)


PICTURES = st.builds(
    Pictures,
    shape=SHAPES,
    pictured=st.sampled_from([*PICTURED, "tinted"]),
    side=st.sampled_from([8, 12, 16]),
    folds=st.sampled_from([0, 0, 2, 5]),
)
