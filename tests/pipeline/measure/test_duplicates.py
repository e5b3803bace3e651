"""Copies are found whether exact, mirrored, shifted or recoloured; different images are not; leaks are named."""

import numpy as np
import polars as pl
import pytest

from pipeline.engine.progress import Progress
from pipeline.measure.duplicates import find_duplicates, likeness, spectra

QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """60 smooth random pictures [60, 32, 32, 3]."""
    smooth = np.kron(np.random.default_rng(0).normal(size=(60, 4, 4, 3)), np.ones((1, 8, 8, 1)))
    for step in (1, 2, 4):
        smooth = (
            smooth + np.roll(smooth, step, 1) + np.roll(smooth, step, 2) + np.roll(smooth, (step, step), (1, 2))
        ) / 4
    return (128 + 60 * smooth).clip(0, 255).astype(np.uint8)


def shift(image: np.ndarray) -> np.ndarray:
    return np.roll(image, (2, -1), (0, 1))


CHANGES = {
    "the same": lambda image: image,
    "mirrored": lambda image: image[:, ::-1],
    "shifted": shift,
    "shifted and mirrored": lambda image: shift(image)[:, ::-1],
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "noisy": lambda image: (image + np.random.default_rng(1).normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_copy_is_like_its_original(photos: np.ndarray, name: str) -> None:
    copies = np.stack([CHANGES[name](image) for image in photos])
    assert likeness(photos, copies).min() > 0.97


def test_different_pictures_are_not_alike(photos: np.ndarray) -> None:
    assert likeness(photos[:30], photos[30:]).max() < 0.9


def test_plain_images_are_like_nothing() -> None:
    plain = np.full((2, 32, 32, 3), 90, np.uint8)
    assert likeness(plain, plain[::-1]).max() <= 0


def test_copies_are_named_with_their_tier_and_a_leak_first(photos: np.ndarray) -> None:
    images = photos.copy()
    images[1] = images[0]  # exact, both in training
    images[41] = images[40][:, ::-1]  # a mirror image of a test image in training
    images[3] = CHANGES["noisy"](images[0])
    split = np.array(["train"] * 30 + ["test"] * 30)
    split[41] = "train"
    everyone = [{"sample_id": 10 * i, "rank": 1, "neighbor_id": 10 * j} for i in range(60) for j in range(60) if i != j]
    found = find_duplicates(np.arange(60) * 10, images, split, pl.DataFrame(everyone), QUIET)
    assert found["sample_id"].to_list() == [0, 10, 30, 400, 410]
    rows = {row["sample_id"]: row for row in found.iter_rows(named=True)}
    assert (rows[0]["duplicate_id"], rows[0]["tier"], rows[0]["leak"]) == (10, "exact", False)
    assert rows[30]["tier"] == "near"
    assert (rows[400]["duplicate_id"], rows[410]["duplicate_id"]) == (410, 400)
    assert rows[400]["leak"] and rows[410]["leak"]


def test_look_alikes_are_named_and_are_no_leak(photos: np.ndarray) -> None:
    noise = np.random.default_rng(2).normal(0, 1, photos[0].shape)
    steps = [(photos[0] + size * noise).clip(0, 255).astype(np.uint8) for size in range(0, 120, 2)]
    alike = [likeness(photos[:1], step[None])[0] for step in steps]
    images = photos.copy()
    images[59] = steps[next(i for i, value in enumerate(alike) if value < 0.96)]
    split = np.array(["train"] * 30 + ["test"] * 30)
    pair = pl.DataFrame({"sample_id": [0], "rank": [1], "neighbor_id": [59]})
    found = find_duplicates(np.arange(60), images, split, pair, QUIET)
    assert found.select("sample_id", "duplicate_id", "tier", "leak").rows() == [
        (0, 59, "similar", False),
        (59, 0, "similar", False),
    ]


def test_different_pictures_have_no_copy(photos: np.ndarray) -> None:
    none = pl.DataFrame(schema={"sample_id": pl.Int64, "rank": pl.Int64, "neighbor_id": pl.Int64})
    assert find_duplicates(np.arange(60), photos, np.full(60, "train"), none, QUIET).is_empty()


def test_a_shifted_mirror_image_is_proposed_by_its_spectrum_where_nothing_else_proposes_it(photos: np.ndarray) -> None:
    images = np.concatenate([photos, np.stack([shift(image)[:, ::-1] for image in photos[:20]])])
    none = pl.DataFrame(schema={"sample_id": pl.Int64, "rank": pl.Int64, "neighbor_id": pl.Int64})
    split = np.array(["train"] * 60 + ["test"] * 20)
    found = find_duplicates(np.arange(80), images, split, none, QUIET)
    named = dict(found.select("sample_id", "duplicate_id").iter_rows())
    assert all(other == row - 60 for row, other in named.items() if row >= 60) and found["leak"].all()
    assert sum(row >= 60 for row in named) >= 18


def test_copies_are_looked_for_of_the_asked_rows_only(photos: np.ndarray) -> None:
    images = photos.copy()
    images[1], images[41] = images[0], images[40]
    none = pl.DataFrame(schema={"sample_id": pl.Int64, "rank": pl.Int64, "neighbor_id": pl.Int64})
    found = find_duplicates(np.arange(60), images, np.full(60, "train"), none, QUIET, rows=np.array([1]))
    assert found["sample_id"].to_list() == [0, 1]


def test_a_spectrum_stays_as_it_is_under_a_mirror_image_and_nearly_when_darker(photos: np.ndarray) -> None:
    original = spectra(photos)
    mirrored, darker = (spectra(images) for images in (photos[:, :, ::-1], (photos * 0.8).astype(np.uint8)))
    assert (original * mirrored).sum(1).min() > 0.999
    assert (original * darker).sum(1).min() > 0.75
    assert (original * np.roll(original, 1, axis=0)).sum(1).mean() < 0.1
