"""Image properties: known colours give known numbers, planted changes show where they were made."""

import numpy as np
import pytest

from pipeline.engine.progress import Progress
from pipeline.measure.image_properties import compute_properties, srgb_to_lab
from pipeline.settings import load_settings

SETTINGS, QUIET = load_settings(), Progress(quiet=True)


def plain(color: tuple[int, int, int]) -> np.ndarray:
    return np.full((1, 32, 32, 3), color, np.uint8)


@pytest.mark.parametrize(
    ("color", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((128, 128, 128), (53.59, 0, 0)),
    ],
)
def test_srgb_has_the_published_cielab_values(color: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    assert srgb_to_lab(plain(color))[0, 0, 0] == pytest.approx(lab, abs=0.05)


def test_ring_and_object_are_measured_apart() -> None:
    images = plain((230, 230, 230))
    images[0, 8:24, 8:24] = (240, 130, 20)
    row = compute_properties(images, SETTINGS, QUIET).row(0, named=True)
    assert row["bg_lightness"] == pytest.approx(91.3, abs=0.5)
    assert row["bg_plainness"] == pytest.approx(0, abs=1e-3)
    assert row["shade"] == pytest.approx(row["object_lightness"] - row["bg_lightness"])
    assert row["shade"] < -15
    assert 40 < row["object_hue"] < 75
    assert row["object_chroma"] > 60


def test_a_grey_object_has_no_hue_and_a_blurred_image_is_less_sharp() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1, 32, 32, 1), dtype=np.uint8).repeat(3, axis=3)
    smooth = np.full_like(noise, 128)
    sharp, soft = (compute_properties(image, SETTINGS, QUIET).row(0, named=True) for image in (noise, smooth))
    assert sharp["object_hue"] is None
    assert sharp["sharpness"] > soft["sharpness"] == 0
    assert sharp["edge_density"] > 0.5 > soft["edge_density"]


def test_a_colour_of_the_same_lightness_is_seen() -> None:
    images = plain((200, 60, 60))
    images[0, :, 16:] = (20, 130, 20)  # L* of both is 47
    lightness = srgb_to_lab(images)[0, :, :, 0]
    assert np.ptp(lightness) < 1
    plain_row, striped = (
        compute_properties(image, SETTINGS, QUIET).row(0, named=True) for image in (plain((200, 60, 60)), images)
    )
    for name in ("contrast", "bg_plainness", "sharpness", "edge_density"):
        assert plain_row[name] == pytest.approx(0, abs=1e-3) and striped[name] > 0.05, name


def test_of_greys_the_spread_is_that_of_lightness() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 1), dtype=np.uint8).repeat(3, axis=3)
    row = compute_properties(noise, SETTINGS, QUIET).row(0, named=True)
    assert row["contrast"] == pytest.approx(srgb_to_lab(noise)[..., 0].std(), rel=1e-3)
