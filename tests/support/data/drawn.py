"""A small drawn dataset with known properties: shapes on backgrounds, learnable in seconds, no download.

Discs and rings are round, bars and squares angular; the class determines shape and colour, so it can be learnt.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset
from pipeline.settings import Settings, load_settings

CLASSES = ["bar", "disc", "ring", "square"]
GROUPS = {"superclass": {"bar": "angular", "square": "angular", "disc": "round", "ring": "round"}}
COLORS = {"bar": (40, 60, 200), "disc": (220, 90, 30), "ring": (200, 190, 40), "square": (30, 150, 90)}
SIDE = 32


def draw_shape(name: str, background: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One image [32, 32, 3]: the shape in its colour, near the centre, on a grey background with a little noise."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2 - rng.uniform(-3, 3, (2, 1, 1))
    distance = np.hypot(x, y)
    masks = {
        "bar": (abs(y) < 3) & (abs(x) < 12),
        "disc": distance < 8,
        "ring": (distance < 10) & (distance > 6),
        "square": (abs(x) < 7) & (abs(y) < 7),
    }
    image = np.full((SIDE, SIDE, 3), background, float)
    image[masks[name]] = COLORS[name]
    return (image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)


def drawn_dataset(size: int = 400, *, seed: int = 0) -> Dataset:
    """Images of the four classes in turn: 60 % train, 15 % validation, 20 % test, 5 % unlabeled."""
    rng = np.random.default_rng(seed)
    label = np.arange(size) % len(CLASSES)
    images = np.stack([draw_shape(CLASSES[i], int(rng.integers(60, 220)), rng) for i in label])
    parts = np.array(["train"] * 12 + ["validation"] * 3 + ["test"] * 4 + ["unlabeled"])
    split = parts[(np.arange(size) // len(CLASSES)) % len(parts)].astype("<U10")
    return Dataset(
        dataset_id=f"drawn-{size}-{seed}",
        name="Drawn shapes",
        classes=CLASSES,
        groups=GROUPS,
        sample_id=np.arange(size),
        images_NHWC=images,
        label=np.where(split == "unlabeled", -1, label),
        split=split,
        source_name=[f"drawn/{i}" for i in range(size)],
    )


def tiny_settings(folder: object, **changes: object) -> Settings:
    """Settings with which every stage takes a second or two, with a network far smaller than the default."""
    tiny: dict[str, Any] = {
        "preset": "smoke",
        "threads": 1,
        "model": "test_resnet",
        "lake": f"{folder}/lake",
        "work_dir": f"{folder}/work",
        "phases": [{"resolution": 32, "epochs": 6}],
        "batch_size": 48,
        "ns_steps": 1,
        "pca_dims": 10,
        "kmeans_clusters": 4,
        "hdbscan_min_cluster_size": 10,
        "permutations": 500,
        "neighbors": 15,
    }
    return load_settings(**tiny | changes)


def take_training(finished: Path, folder: Path) -> None:
    """Copy the training of a refresh with the same data and settings into the folder, so that it is reused there."""
    for training in (finished / "work").glob("train-*"):
        shutil.copytree(training, folder / "work" / training.name)
