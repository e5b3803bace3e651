"""Snapshot of an unfinished training in one file, so that it resumes after a kill as if nothing had happened."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.engine.progress import Progress
from pipeline.model.training_dynamics import Dynamics

WHOLE_NUMBERS = ("step", "resolution")


@dataclass
class TrainingState:
    """Everything that changes during a training."""

    model: nn.Module
    optimizer: Any
    dynamics: Dynamics
    step: int = 0
    telemetry: list[dict[str, Any]] = field(default_factory=list)


def save_snapshot(path: Path, state: TrainingState, facts: dict[str, Any]) -> None:
    """Save weights, optimiser state, dynamics and telemetry with `facts`, atomically."""
    tensors = _prefixed("model", state.model.state_dict())
    for number, values in state.optimizer.state_dict()["state"].items():
        tensors |= _prefixed(f"optimizer.{number}", values)
    tensors |= _prefixed("dynamics", state.dynamics.state())
    for key in state.telemetry[0] if state.telemetry else []:
        tensors[f"telemetry.{key}"] = torch.tensor([row[key] for row in state.telemetry], dtype=torch.float64)
    tensors["step"] = torch.tensor(state.step)
    partial = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in tensors.items()}, partial, {"facts": json.dumps(facts)})
    partial.replace(path)


def load_snapshot(path: Path, state: TrainingState, facts: dict[str, Any], progress: Progress) -> None:
    """Restore `state` from the snapshot, if there is one, and report it.

    A snapshot that is damaged or was taken under other facts is ignored: training starts again.
    """
    if not path.exists():
        return
    try:
        with safe_open(path, framework="pt") as file:
            stored_facts = json.loads(file.metadata()["facts"])
        tensors = load_file(path)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        progress.say(f"The interrupted training cannot be read ({error}): training starts again.")
        return
    if stored_facts != facts:
        changed = sorted(key for key in facts if stored_facts.get(key) != facts[key])
        progress.say(f"The interrupted training used different {', '.join(changed)}: training starts again.")
        return
    state.model.load_state_dict(_below("model", tensors))
    optimizer_state: dict[int, dict[str, Tensor]] = {}
    for name, value in _below("optimizer", tensors).items():
        number, key = name.split(".", 1)
        optimizer_state.setdefault(int(number), {})[key] = value
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": optimizer_state})
    state.dynamics.load(_below("dynamics", tensors))
    columns = {key: value.tolist() for key, value in _below("telemetry", tensors).items()}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    state.telemetry = [{k: int(v) if k in WHOLE_NUMBERS else v for k, v in row.items()} for row in rows]
    state.step = int(tensors["step"])
    progress.say(f"Training continues at step {state.step}.")


def _prefixed(prefix: str, values: dict[str, Any]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": torch.as_tensor(value) for name, value in values.items()}


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
