"""The proof of the list of copies: what is planted is found by the real detector, and missed where it is blinded."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from pipeline.checks import duplicates as duplicate_checks
from pipeline.checks.duplicates import CHANGES, check_duplicates
from pipeline.engine.batch_map import Batch
from pipeline.engine.progress import Progress
from pipeline.measure import duplicates
from pipeline.measure.score import Scorer


class Flat(Scorer):
    """A scorer that sees the mean colour of each quarter of an image."""

    def __init__(self) -> None:
        pass  # it has no model

    def __call__(self, batch: Batch) -> Batch:
        images = batch["images_NHWC"].astype(np.float32)
        quarters = [images[:, y : y + 16, x : x + 16].mean((1, 2)) for y in (0, 16) for x in (0, 16)]
        return {"embedding": np.concatenate(quarters, axis=1)}


@pytest.fixture(autouse=True)
def as_many_are_planted_as_in_a_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicate_checks, "PLANTED", 200)


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    """Random pictures whose detail falls off with its fineness as that of photographs does."""
    rng = np.random.default_rng(0)
    y, x = np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)
    falloff = 1 / np.hypot(y, x).clip(1 / 32) ** 1.2
    noise = np.fft.fft2(rng.normal(size=(120, 32, 32)), axes=(1, 2)) * falloff
    light = np.fft.ifft2(noise, axes=(1, 2)).real
    light /= light.std((1, 2), keepdims=True)
    return np.repeat((128 + 45 * light).clip(0, 255).astype(np.uint8)[..., None], 3, axis=3)


def proven(images: NDArray[np.uint8]) -> dict[str, dict[str, Any]]:
    split = np.array(["train"] * 90 + ["test"] * 30)
    known = pl.DataFrame(schema={"sample_id": pl.Int64, "duplicate_id": pl.Int64})
    embedding = Flat()({"images_NHWC": images})["embedding"]
    found = check_duplicates(Flat(), images, embedding, split, known, seed=0, progress=Progress(quiet=True))
    return {row["proof"]: row for row in found.iter_rows(named=True)}


def test_planted_copies_are_found_and_nothing_else(images: NDArray[np.uint8]) -> None:
    rows = proven(images)
    assert set(rows) == {*(f"recall, {name}" for name in CHANGES), "precision"}
    assert all(row["holds"] for row in rows.values()), rows
    assert rows["recall, exact"]["n"] == 90 and rows["recall, exact"]["value"] == 1


def test_a_detector_that_only_knows_equal_bytes_misses_changed_copies(
    images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    def equal_only(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
        return (first == second).all((1, 2, 3)).astype(float)

    monkeypatch.setattr(duplicates, "likeness", equal_only)
    rows = proven(images)
    assert rows["recall, exact"]["holds"]
    assert not any(rows[f"recall, {name}"]["holds"] for name in ("mirrored", "shifted", "compressed"))


def test_a_shift_by_two_pixels_keeps_the_size(images: NDArray[np.uint8]) -> None:
    moved = duplicate_checks._shifted(images[0])
    assert moved.shape == images[0].shape
    assert (moved[2:, 2:] == images[0][:-2, :-2]).all()
