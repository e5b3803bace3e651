"""Training dynamics against what a person computes from four logits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.engine.stage_cache import Finished
from pipeline.model.training_dynamics import Dynamics
from pipeline.refresh import write_tables
from pipeline.settings import Settings
from tests.support.data.drawn import drawn_dataset

RIGHT, WRONG = [2.0, 0.0, 1.0], [0.0, 2.0, 1.0]
P_RIGHT, P_WRONG = (np.exp(row[0]) / np.exp(row).sum() for row in (RIGHT, WRONG))


def show(dynamics: Dynamics, rows: list[int], logits: list[list[float]]) -> None:
    dynamics.add(np.array(rows), torch.tensor(logits), torch.zeros(len(rows), dtype=torch.int64))


def test_margins_probabilities_and_forgetting_are_those_of_the_logits() -> None:
    dynamics = Dynamics(3)
    for logits in (RIGHT, WRONG, RIGHT, WRONG):
        show(dynamics, [0], [logits])
    show(dynamics, [2], [WRONG])
    frame = dynamics.frame(np.array([10, 11, 12]))
    assert frame["sample_id"].to_list() == [10, 12]
    first, last = frame.rows(named=True)
    assert first["times_seen"] == 4 and last["times_seen"] == 1
    assert first["aum"] == pytest.approx(((2 - 1) + (0 - 2)) / 2)
    assert first["confidence"] == pytest.approx((P_RIGHT + P_WRONG) / 2)
    assert first["variability"] == pytest.approx((P_RIGHT - P_WRONG) / 2)
    assert first["times_forgotten"] == 2
    assert last["times_forgotten"] == 0 and last["variability"] == pytest.approx(0, abs=1e-7)


def test_a_loaded_state_goes_on_as_if_never_interrupted() -> None:
    whole, first = Dynamics(2), Dynamics(2)
    for dynamics in (whole, first):
        show(dynamics, [0, 1], [RIGHT, WRONG])
    second = Dynamics(2)
    second.load(first.state())
    for dynamics in (whole, second):
        show(dynamics, [1, 0], [RIGHT, WRONG])
    assert second.frame(np.arange(2)).equals(whole.frame(np.arange(2)))
    assert first.frame(np.arange(2))["times_seen"].to_list() == [1, 1]


def test_dynamics_of_samples_that_are_gone_are_not_published() -> None:
    dataset = drawn_dataset(8)
    dynamics = Dynamics(10)
    show(dynamics, [*range(10)], [RIGHT] * 10)
    kept = dynamics.frame(np.arange(10))
    tables = write_tables._tables(dataset, {"kept": Finished("", Path(), {"dynamics": kept}, {})}, Settings())
    assert len(kept) == 10 and tables["dynamics"]["sample_id"].to_list() == dataset.sample_id.tolist()


def test_a_planted_wrong_label_has_the_smallest_margin() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 3
    label = truth.copy()
    label[[4, 17, 40]] = (label[[4, 17, 40]] + 1) % 3
    dynamics = Dynamics(60)
    for _ in range(5):
        logits = torch.from_numpy(4 * np.eye(3)[truth] + rng.normal(0, 1, (60, 3)))
        dynamics.add(np.arange(60), logits, torch.from_numpy(label))
    lowest = dynamics.frame(np.arange(60)).sort("aum").head(3)["sample_id"]
    assert sorted(lowest) == [4, 17, 40]
