"""Data of the tiny lake, drawn without torch: images, features and logits of four classes.

Row i of every array is one sample. Shapes: N samples, K classes, D features.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from lake.contracts.tables import TABLES
from lake.pictures import encode_png

CLASSES = ["cat", "dog", "ship", "truck"]
GROUPS = {"superclass": {"cat": "animal", "dog": "animal", "ship": "vehicle", "truck": "vehicle"}}
BACKGROUNDS = {"cat": (196, 84, 60), "dog": (86, 152, 74), "ship": (66, 118, 200), "truck": (150, 150, 150)}
SPLIT_SHARES = {"train": 0.4, "validation": 0.1, "test": 0.4, "unlabeled": 0.1}
CAT, DOG = 0, 1
NOTHING_CARRIED = pl.Series([None], dtype=TABLES["samples"].columns()["metadata"].dtype)
"""Metadata in `samples` of a sample whose source had no further columns."""
NO_ORIGINAL: dict[str, None] = dict.fromkeys(("original", "original_width", "original_height"))
"""Columns of `images` for a sample whose image was already square."""
SIDE, FEATURES, TEMPERATURE = 32, 8, 1.25
ORIGINAL_OF, ORIGINAL_SIZE, PICTURE_SIZE = 8, (4032, 2688), (60, 40)
"""The sample with an original of another size, width and height of that original, and of its stored picture."""


@dataclass(frozen=True)
class Drawn:
    """Source of all tables; row i of every array belongs to sample `sample_id[i]`."""

    run_id: str
    dataset_id: str
    sample_id: NDArray[np.int64]
    truth: NDArray[np.int64]
    """Class index, also where the label is withheld."""
    split: NDArray[np.str_]
    confused: NDArray[np.bool_]
    """Cats that look like dogs."""
    images: NDArray[np.uint8]
    """[N, 32, 32, 3]."""
    embedding: NDArray[np.float64]
    """[N, D]."""
    logits: NDArray[np.float64]
    """[N, K], before temperature scaling."""

    @property
    def labels(self) -> list[str | None]:
        named = zip(self.truth, self.split, strict=True)
        return [None if split == "unlabeled" else CLASSES[i] for i, split in named]


def draw(*, run_id: str, samples: int, seed: int) -> Drawn:
    """Draw images, features and logits; sample i has class i mod 4, so every class is in every split."""
    rng = np.random.default_rng(seed)
    truth = np.arange(samples) % len(CLASSES)
    confused = (truth == CAT) & (rng.random(samples) < 0.5)
    seen_as = np.where(confused, DOG, truth)
    centres_KD = np.array([[4, 2, 0, 0], [4, -2, 0, 0], [-4, 0, 2, 0], [-4, 0, -2, 0]]) @ np.eye(4, FEATURES)
    embedding_ND = centres_KD[seen_as] + rng.normal(0, 0.9, (samples, FEATURES))
    logits_NK = 3.5 * np.eye(len(CLASSES))[seen_as] + rng.normal(0, 0.9, (samples, len(CLASSES)))
    return Drawn(
        run_id=run_id,
        dataset_id=dataset_id_of(samples, seed),
        sample_id=np.arange(samples),
        truth=truth,
        split=_splits(samples, rng),
        confused=confused,
        images=np.stack([_draw_image(CLASSES[i], rng) for i in truth]),
        embedding=embedding_ND,
        logits=logits_NK,
    )


def dataset_id_of(samples: int, seed: int) -> str:
    """Id of the dataset that `draw` makes from these arguments."""
    return f"tiny-{samples}-{seed}"


def _splits(samples: int, rng: np.random.Generator) -> NDArray[np.str_]:
    """Assign whole rounds of the four classes, so that every split holds equally many of each."""
    rounds = -(-samples // len(CLASSES))
    edges = np.cumsum(list(SPLIT_SHARES.values()))[:-1] * rounds
    names = np.array(list(SPLIT_SHARES))[np.searchsorted(edges, np.arange(rounds), side="right")]
    return np.repeat(rng.permutation(names), len(CLASSES))[:samples]


def _draw_image(name: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A dark shape on the background of its class: disc, square, triangle or bar."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + rng.integers(-3, 4, (2, 1, 1))
    shapes = {
        "cat": x**2 + y**2 < 64,
        "dog": np.maximum(abs(x), abs(y)) < 8,
        "ship": (y < 8) & (2 * abs(x) < y + 8),
        "truck": (abs(x) < 12) & (abs(y) < 4),
    }
    image = np.where(shapes[name][..., None], 40, np.array(BACKGROUNDS[name]))
    return (image + rng.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8)


def samples_frame(drawn: Drawn) -> pl.DataFrame:
    """The table `samples`."""
    groups = [
        [{"name": name, "value": values[label] if label else None} for name, values in GROUPS.items()]
        for label in drawn.labels
    ]
    return pl.DataFrame(
        {
            "sample_id": drawn.sample_id,
            "split": drawn.split.tolist(),
            "label": pl.Series(drawn.labels, dtype=pl.String),
            "groups": pl.Series(groups, dtype=pl.List(pl.Struct({"name": pl.String, "value": pl.String}))),
            "source_name": [f"{split}/{i}" for i, split in zip(drawn.sample_id, drawn.split, strict=True)],
            "sha256": [hashlib.sha256(image.tobytes()).hexdigest() for image in drawn.images],
            "metadata": NOTHING_CARRIED.new_from_index(0, len(drawn.sample_id)),
        }
    )


def images_frame(drawn: Drawn) -> pl.DataFrame:
    """The table `images`."""
    whole = encode_png(np.asarray(Image.fromarray(drawn.images[ORIGINAL_OF]).resize(PICTURE_SIZE)))
    of_one = {"original": whole, "original_width": ORIGINAL_SIZE[0], "original_height": ORIGINAL_SIZE[1]}
    images = {"sample_id": drawn.sample_id, "png": [encode_png(image) for image in drawn.images]}
    return (
        pl.DataFrame(images)
        .with_columns(
            pl.when(pl.col("sample_id") == ORIGINAL_OF).then(pl.lit(value)).alias(name)
            for name, value in of_one.items()
        )
        .with_columns(width=SIDE, height=SIDE)
    )


def properties_frame(drawn: Drawn) -> pl.DataFrame:
    """Greys and ranges instead of CIELAB: the units are right, but the values are not colour science."""
    images = drawn.images.astype(float)
    light = images.mean(3) / 255 * 100
    ring, centre = _ring(light), light[:, 10:22, 10:22].reshape(len(light), -1)
    chroma = np.ptp(images[:, 10:22, 10:22].mean((1, 2)), axis=1)
    hue = pl.Series(images[:, 16, 16, 0] * 360 / 255)
    return pl.DataFrame(
        {
            "sample_id": drawn.sample_id,
            "bg_lightness": np.median(ring, axis=1),
            "bg_plainness": ring.std(1),
            "bg_chroma": np.ptp(images[:, 0].mean(1), axis=1),
            "object_lightness": np.median(centre, axis=1),
            "shade": np.median(centre, axis=1) - np.median(ring, axis=1),
            "object_chroma": chroma,
            "object_hue": hue.set(pl.Series(chroma < 10), None),
            "contrast": light.std((1, 2)),
            "sharpness": np.diff(light, axis=1).var((1, 2)),
            "edge_density": (abs(np.diff(light, axis=2)) > 15).mean((1, 2)),
        }
    )


def _ring(light_NHW: NDArray[np.float64]) -> NDArray[np.float64]:
    border = np.ones((SIDE, SIDE), bool)
    border[3:-3, 3:-3] = False
    return light_NHW[:, border]


def lists(values_ND: NDArray[np.floating[Any]]) -> pl.Series:
    """The rows of a matrix as lists, as the lake stores vectors."""
    return pl.Series(values_ND.astype(np.float32)).cast(pl.List(pl.Float32))
