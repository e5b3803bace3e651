"""The check beside a map: what is blurred, what is left, and what the loss does."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.engine.batch_map import Batch
from pipeline.loss_maps.occlusion import SIGMA, Checker, blur, cover, move
from pipeline.measure.score import Scorer


class BrightLeft(Scorer):
    """A scorer for which class 0 is the more likely the brighter the left half is."""

    def __init__(self) -> None:
        pass  # it has no model

    def __call__(self, batch: Batch) -> Batch:
        left = batch["images_NHWC"][:, :, :16].mean((1, 2, 3)) / 255
        return {"logits": np.stack([left * 8, np.full(len(left), 2.0)], 1).astype(np.float32)}


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)


def test_blurring_keeps_the_mean_and_nothing_finer_than_a_cell(images: NDArray[np.uint8]) -> None:
    blurred = blur(images).astype(float)
    assert blurred.shape == images.shape
    assert abs(blurred.mean() - images.mean()) < 2
    assert np.abs(np.diff(blurred, axis=2)).mean() < 0.1 * np.abs(np.diff(images.astype(float), axis=2)).mean()
    flat = np.full((1, 32, 32, 3), 77, np.uint8)
    assert (blur(flat) == 77).all()
    assert blur(images[:, :8, :8]).shape == (6, 8, 8, 3)


def test_a_line_is_blurred_as_by_a_gaussian_to_two_sigma() -> None:
    line = np.zeros((1, 33, 33, 3), np.uint8)
    line[:, :, 16] = 255
    across = blur(line).astype(float)[0, 16, :, 0]
    spread = float(np.sqrt((across * (np.arange(33) - 16) ** 2).sum() / across.sum()))
    assert 0.85 < spread / (SIGMA * 33) < 1  # 0.88 of one without its tails


def test_only_what_lies_under_the_cells_is_replaced(images: NDArray[np.uint8]) -> None:
    cells = np.zeros((6, 8, 8), bool)
    cells[:, 2, 5] = True
    covered = cover(images, np.zeros_like(images), cells)
    assert (covered[:, 8:12, 20:24] == 0).all()
    covered[:, 8:12, 20:24] = images[:, 8:12, 20:24]
    assert (covered == images).all()


def test_a_grid_that_does_not_divide_the_image_is_laid_over_it_whole(images: NDArray[np.uint8]) -> None:
    covered = cover(images, np.zeros_like(images), np.ones((6, 6, 6), bool))
    assert (covered == 0).all()


def test_cells_are_moved_as_they_are_to_where_none_of_them_was() -> None:
    cells = np.zeros((50, 4, 4), bool)
    cells[:, 0, :3] = True
    moved = move(cells, np.random.default_rng(0))
    assert (moved.sum((1, 2)) == 3).all()
    assert not (moved & cells).any()
    assert len({m.tobytes() for m in moved}) > 3  # by chance among the places that are free
    assert all((np.roll(m, (-i, -j), (0, 1)) == cells[0]).any() for m in moved for i in (1, 2, 3) for j in range(4))


def test_cells_that_fill_the_map_stay() -> None:
    assert move(np.ones((2, 2, 2), bool), np.random.default_rng(0)).all()


def test_blurring_what_raises_the_loss_lowers_it(images: NDArray[np.uint8]) -> None:
    bright = np.zeros((6, 32, 32, 3), np.uint8)
    bright[:, :, 10:14] = 255  # a bright stripe on the left: class 0; blurred, a part of it is left out
    maps = np.zeros((6, 4, 4), np.float32)
    maps[:, :, 1] = 1.0  # class 1 loses by the left half
    checked = Checker(BrightLeft(), 1.0, seed=0)(bright, maps, np.ones(6, np.int64))
    before = Checker(BrightLeft(), 1.0, seed=0).measure(bright, np.ones(6, np.int64))
    assert (checked["loss_without_red"] < before).all()


def test_a_map_that_says_nothing_is_not_checked(images: NDArray[np.uint8]) -> None:
    maps = np.full((6, 4, 4), 0.01, np.float32)
    maps[3] = 0.5
    checked = Checker(BrightLeft(), 1.0, seed=0)(images, maps, np.zeros(6, np.int64))
    for values in checked.values():
        assert np.isfinite(values).tolist() == [False, False, False, True, False, False]


def test_a_margin_is_the_difference_of_two_losses(images: NDArray[np.uint8]) -> None:
    checker = Checker(BrightLeft(), 2.0, seed=0)
    zero, one = np.zeros(6, np.int64), np.ones(6, np.int64)
    margin = checker.measure(images, zero, one)
    assert margin == pytest.approx(checker.measure(images, one) - checker.measure(images, zero))
