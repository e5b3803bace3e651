"""What a training is said to take: steps as they are trained, time and memory that grow as the work does."""

import pytest
import torch
from torch import nn

from pipeline.model.cost_estimate import count_kept_bytes, estimate_cost
from pipeline.settings import Phase, Settings, load_settings


def set_up(**values: object) -> Settings:
    phases = [Phase(resolution=8, epochs=2), Phase(resolution=16, epochs=1)]
    return load_settings({"preset": "smoke", "phases": phases, "batch_size": 100, **values})


def test_steps_are_those_of_the_schedule() -> None:
    cost = estimate_cost(set_up(), classes=3, train=1_000, images=1_200)
    assert cost.steps == 2 * 10 + 10
    assert 0 < cost.training_seconds < cost.seconds


def test_memory_grows_with_the_batch_and_the_data() -> None:
    few, large_batches, many = (
        estimate_cost(set_up(batch_size=batch), classes=3, train=1_000, images=images).memory_bytes
        for batch, images in ((50, 1_000), (200, 1_000), (50, 1_000_000))
    )
    assert large_batches - few > 100 * 2**20
    assert many - few == 999_000 * 32 * 32 * 3


def test_a_batch_is_no_larger_than_the_training_images() -> None:
    of_ten, of_all = (estimate_cost(set_up(batch_size=size), classes=2, train=10, images=12) for size in (10, 100))
    assert of_all.memory_bytes == of_ten.memory_bytes


@pytest.mark.parametrize("depth", [1, 3])
def test_what_is_kept_of_an_image_is_what_the_backward_pass_needs(depth: int) -> None:
    """Rectifiers keep their outputs: as many as there are pixels, each once, in 2 or 4 bytes by machine."""
    layers = [layer for _ in range(depth) for layer in (nn.Conv2d(3, 3, 1, bias=False), nn.ReLU())]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    values = 3 * 32 * 32
    kept = count_kept_bytes(model.train(), 32)
    assert depth * 2 * values <= kept <= (2 * depth + 2) * 4 * values
    assert count_kept_bytes(model, 64) == pytest.approx(4 * kept, rel=0.01)


def test_a_model_that_is_not_trained_keeps_nothing() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2, bias=False))
    with torch.no_grad():
        assert count_kept_bytes(model, 16) == 0
