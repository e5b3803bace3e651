"""Custom image sources for tests: the drawn shapes as files, in class folders or with a CSV."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.datasets import load_digits

from lake.pictures import encode_png
from lake.storage.store import Lake
from pipeline.data.dataset import Dataset
from pipeline.data.image_dataset import load_own_images
from pipeline.engine.progress import Progress
from pipeline.settings import Settings, load_settings
from tests.support.data.drawn import CLASSES, draw_shape
from tests.support.lakes.tiny_data import NO_ORIGINAL

QUICK = """\
preset = "smoke"
threads = 1
batch_size = 48
ns_steps = 1
pca_dims = 10
kmeans_clusters = 4
hdbscan_min_cluster_size = 10
permutations = 500
neighbors = 15
"""
"""Contents of a settings file with which every stage takes a second or two."""


def draw_files(count: int = 120, *, classes: list[str] | None = None, seed: int = 0) -> dict[str, tuple[bytes, str]]:
    """File name (class/number.png) -> PNG and class, for `count` drawn images of the classes in turn."""
    rng, names = np.random.default_rng(seed), classes or CLASSES
    files = {}
    for i in range(count):
        label = names[i % len(names)]
        image = draw_shape(CLASSES[i % len(names) % len(CLASSES)], int(rng.integers(60, 220)), rng)
        files[f"{label}/{i:04}.png"] = (encode_png(image), label)
    return files


def write_folder(folder: Path, files: dict[str, tuple[bytes, str]], *, below: str = "") -> Path:
    """Write the files in their folders, optionally all below a common sub-folder."""
    for name, (data, _) in files.items():
        path = folder / below / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def to_table(files: dict[str, tuple[bytes, str]]) -> pl.DataFrame:
    """One row per file, sorted by name: name, image (bytes) and label."""
    names = sorted(files)
    return pl.DataFrame(
        {"name": names, "image": [files[n][0] for n in names], "label": [files[n][1] for n in names]},
    )


def own_settings(root: Path, source: Path, *, dataset: dict[str, Any] | None = None, **changes: Any) -> Settings:
    """Settings for the source, with the lake beside it."""
    own = {"source": source} | (dataset or {})
    given: dict[str, Any] = {"dataset": own, "lake": f"{root}/lake", "work_dir": f"{root}/work", "threads": 2}
    return load_settings(**given | changes)


def load(settings: Settings, *, accept: bool = False) -> Dataset:
    """Load the dataset named by the settings; `accept` takes suggestions for what is unclear."""
    assert settings.dataset is not None
    return load_own_images(settings.dataset, settings, Lake(settings.lake), Progress(quiet=True), accept=accept)


def count_splits(dataset: Dataset) -> dict[str, int]:
    """Split -> number of samples."""
    names, count = np.unique(dataset.split, return_counts=True)
    return dict(zip(names.tolist(), count.tolist(), strict=True))


def keep(settings: Settings, dataset: Dataset) -> None:
    """Store the dataset in the lake as a refresh does."""
    lake = Lake(settings.lake)
    lake.stage("samples", dataset.frame)
    refused = dataset.quarantine.with_columns(dataset_id=pl.lit(dataset.dataset_id))
    lake.stage("quarantine", refused, key=dataset.dataset_id)
    frame = pl.DataFrame({"dataset_id": dataset.dataset_id, "sample_id": dataset.sample_id})
    if lake.has("images", dataset.dataset_id):
        frame = frame.join(lake.staged("images", dataset.dataset_id).collect(), on="sample_id", how="anti")
    lake.add_rows("images", frame.with_columns(png=pl.lit(b"x"), width=1, height=1, **NO_ORIGINAL))


DIGITS = 1797


def write_digits(folder: Path) -> Path:
    """Write 8 x 8 PNG files and a CSV with labels and writers; one additional row is not an image."""
    (folder / "png").mkdir(parents=True)
    digits = load_digits()
    for i, image in enumerate(digits.images):
        (folder / "png" / f"{i:04}.png").write_bytes(encode_png((image * 255 / 16).astype(np.uint8)))
    (folder / "png" / "bad.png").write_bytes(b"no image")
    rows = {
        "image": [*(f"png/{i:04}.png" for i in range(DIGITS)), "png/bad.png"],
        "label": [*digits.target.tolist(), 0],
        "writer half": [*("first" if i < DIGITS // 2 else "second" for i in range(DIGITS)), "second"],
    }
    pl.DataFrame(rows).write_csv(folder / "digits.csv")
    return folder / "digits.csv"
