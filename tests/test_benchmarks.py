"""What the benchmarks compute by themselves: counts of work and the time at which an accuracy is reached."""

import pytest

from benchmarks.train import flops_of_an_image, orthogonalization_flops, seconds_to


def test_an_image_costs_three_forward_passes():
    forward = 2 * 0.555e9
    assert flops_of_an_image(32) == pytest.approx(3 * forward, rel=0.02)
    assert flops_of_an_image(16) == pytest.approx(3 * forward / 4, rel=0.02)


def test_newton_schulz_costs_grow_with_its_steps():
    assert orthogonalization_flops(4) == 2 * orthogonalization_flops(2)


def test_a_target_is_reached_between_the_trainings_that_enclose_it():
    runs = [(400.0, 0.9), (100.0, 0.7)]
    assert seconds_to(0.7, runs) == pytest.approx(100)
    assert seconds_to(0.8, runs) == pytest.approx(200)
    assert seconds_to(0.95, runs) is None
    assert seconds_to(0.6, runs) is None
