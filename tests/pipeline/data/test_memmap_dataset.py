"""Images mapped from a file: those of the lake bit by bit, whole or absent, and trained on without being held."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from lake.errors import LakeError, UserError
from lake.pictures import encode_png
from lake.storage.store import Lake, Run
from pipeline.data import memmap_dataset
from pipeline.data.dataset import Dataset
from pipeline.data.memmap_dataset import load_mapped_dataset
from pipeline.engine.progress import Progress
from pipeline.model.train import train, training_set
from pipeline.refresh.write_tables import _images_frame
from tests.support.data.drawn import drawn_dataset, tiny_settings
from tests.support.paths import REPOSITORY

QUIET = Progress(quiet=True)
SIZE = 120
Change = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return drawn_dataset(SIZE)


def stored(root: Path, dataset: Dataset, change: Change = lambda images: images) -> Run:
    """A run of the dataset, its images changed, as far as images and samples are concerned."""
    lake = Lake(root)
    lake.stage("images", change(_images_frame(dataset, np.ones(len(dataset), bool))))
    lake.stage("samples", dataset.frame)
    groups = [{"name": g, "label": k, "value": v} for g, of in dataset.groups.items() for k, v in of.items()]
    tables = [{"name": name, "version": lake.version(name)} for name in ("images", "samples")]
    facts = {"run_id": "1", "dataset_id": dataset.dataset_id, "dataset_name": dataset.name, "classes": dataset.classes}
    return Run(lake, facts | {"groups": groups, "tables": tables})


@pytest.fixture(scope="module")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return stored(tmp_path_factory.mktemp("stored") / "lake", dataset)


def with_png(sample_id: int, data: bytes) -> Change:
    """The images with another one for a sample."""
    return lambda images: images.with_columns(
        png=pl.when(pl.col("sample_id") == sample_id).then(pl.lit(data)).otherwise("png")
    )


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memmap_dataset, "ROWS_AT_ONCE", 7)


def test_the_mapped_dataset_is_the_one_that_was_stored(run: Run, dataset: Dataset, tmp_path: Path) -> None:
    for _ in range(2):  # written, then found
        mapped = load_mapped_dataset(run, tmp_path, QUIET)
        assert isinstance(mapped.images_NHWC, np.memmap)
        assert not mapped.images_NHWC.flags.writeable
        assert len(list(tmp_path.iterdir())) == 1
    assert np.array_equal(mapped.images_NHWC, dataset.images_NHWC)
    assert mapped.frame.equals(dataset.frame)
    assert np.array_equal(mapped.label, dataset.label)
    assert mapped.content() == dataset.content()


def test_hashes_are_those_of_the_lake_without_a_look_at_the_images(run: Run, dataset: Dataset, tmp_path: Path) -> None:
    mapped = load_mapped_dataset(run, tmp_path, QUIET)
    object.__setattr__(mapped, "images_NHWC", None)
    assert mapped.sha256 == dataset.sha256


def test_images_of_samples_that_are_gone_are_left_out(dataset: Dataset, tmp_path: Path) -> None:
    keep = np.arange(SIZE) % 3 > 0
    run = stored(tmp_path / "lake", dataset)
    run.lake.stage("samples", dataset.frame.filter(pl.Series(keep)))
    run._versions["samples"] = run.lake.version("samples")
    mapped = load_mapped_dataset(run, tmp_path / "mapped", QUIET)
    assert np.array_equal(mapped.images_NHWC, dataset.images_NHWC[keep])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_png(50, b"no picture"), r"^The image of sample 50 in the lake is damaged \(not a PNG\): restore it\.$"),
        (
            lambda images: with_png(50, images["png"][50][:200])(images),
            r"^The image of sample 50 in the lake is damaged \(.*\): restore it\.$",
        ),
        (
            with_png(50, encode_png(np.zeros((16, 24, 3), np.uint8))),
            r"^The image of sample 50 has 24 x 16 px, but the first one has 32 x 32: all mapped images must",
        ),
        (lambda images: images.filter(pl.col("sample_id") != 50), r"has no image of sample 50: refresh again\.$"),
    ],
    ids=["not a PNG", "cut short", "another size", "missing"],
)
def test_an_image_that_cannot_be_mapped_is_named_and_nothing_is_left(
    change: Change, sentence: str, dataset: Dataset, tmp_path: Path
) -> None:
    run = stored(tmp_path / "lake", dataset, change)
    with pytest.raises(LakeError, match=sentence):
        load_mapped_dataset(run, tmp_path / "mapped", QUIET)
    assert list((tmp_path / "mapped").iterdir()) == []


def test_a_full_disk_gets_one_sentence_and_the_next_try_succeeds(
    run: Run, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(
            UserError, match=r"cannot be written to .* \(No space left on device\): free some space there"
        ):
            load_mapped_dataset(run, tmp_path, QUIET)
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(load_mapped_dataset(run, tmp_path, QUIET).images_NHWC, dataset.images_NHWC)


def test_training_on_mapped_images_gives_the_weights_of_training_on_those_in_memory(
    run: Run, dataset: Dataset, tmp_path: Path
) -> None:
    settings = tiny_settings(tmp_path, phases=[{"resolution": 8, "epochs": 1}, {"resolution": 16, "epochs": 1}])
    models = []
    for one in (dataset, load_mapped_dataset(run, tmp_path, QUIET)):
        data = training_set(one, one.rows("train"))
        models.append(train(data, settings, QUIET, snapshot=tmp_path / "training.safetensors", facts={}).model)
    pairs = zip(*(model.state_dict().values() for model in models), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.long
def test_training_on_60_000_mapped_images_adds_a_small_part_of_their_bytes_to_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.processes.train_mapped", str(tmp_path), "60000"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr
    added, size = map(int, done.stdout.split())
    assert size == 60_000 * 32 * 32 * 3
    assert added < size / 5
