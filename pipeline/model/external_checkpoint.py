"""External checkpoints: read a model trained elsewhere, check it against the dataset, and store it like a trained one.

Weights are read from safetensors. Pickles are read only if the settings allow it, and then by `torch.load` with
`weights_only=True`, which builds tensors and containers and runs nothing else.
"""

import hashlib
import json
import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from lake.contracts.tables import make_frame
from lake.errors import UsageError, UserError, first_line
from pipeline.data.dataset import Dataset
from pipeline.engine.stage_cache import CHECKPOINT, Frames, package_versions
from pipeline.model.architecture import architecture_of, check
from pipeline.model.classifier import create_model, save_checkpoint
from pipeline.model.distributed import this_rank
from pipeline.settings import Settings

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
INSIDE = ("state_dict", "model")
"""Keys under which trainers store the weights in a file with further content."""
NAMED = 3
"""Maximum number of names listed in a message."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights by name, and the facts stored in the file if it is one of our checkpoints."""

    weights: dict[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)


def find_file(settings: Settings) -> Path | None:
    """The checkpoint named by the settings, or None.

    Raises `UsageError` if it does not exist, is a pickle that is not allowed, or contradicts other settings.
    """
    path = settings.checkpoint
    if path is None:
        return None
    if not path.is_file():
        raise UsageError(f"The checkpoint {path} does not exist: check the setting checkpoint.")
    if settings.folds:
        raise UsageError(
            "folds trains models, but a checkpoint is already trained: set folds = 0, or remove checkpoint."
        )
    if path.suffix.lower() in PICKLES and not settings.allow_pickle:
        raise UsageError(
            f"The checkpoint {path} is a pickle, which can hold more than weights: convert it to .safetensors, "
            "or set allow_pickle = true if you trust its source."
        )
    return path


def hash_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep_model(folder: Path, dataset: Dataset, settings: Settings) -> Frames:
    """Store the external model in the folder; `training` and `dynamics` are empty, as the training was not observed.

    Raises the errors of `load_external_model`.
    """
    facts = {
        "classes": dataset.classes,
        "dataset_id": dataset.dataset_id,
        "config": settings.model_dump(mode="json"),
        "packages": package_versions(),
    }
    if this_rank() == 0:
        save_checkpoint(load_external_model(dataset.classes, settings), folder / CHECKPOINT, facts)
    return {name: make_frame(name, []) for name in ("training", "dynamics")}


def load_external_model(classes: list[str], settings: Settings) -> Any:
    """The model of the external checkpoint, with its outputs reordered to match `classes`.

    Raises `UserError` if the file is damaged or does not fit the model or the classes.
    """
    path = find_file(settings)
    assert path is not None
    checkpoint = _read(path)
    output_classes = _output_classes(path, checkpoint, classes, settings)
    architecture = checkpoint.facts.get("architecture", settings.model)
    if architecture != settings.model:
        raise UserError(
            f"The checkpoint {path} holds a {architecture}, but the setting model is {settings.model}: "
            f"set model = {architecture}."
        )
    normalization: Any = {name: tuple(checkpoint.facts[name]) for name in ("mean", "std") if name in checkpoint.facts}
    stem: Any = checkpoint.facts.get("stem") or _stem(checkpoint.weights)
    model = create_model(len(classes), replace(architecture_of(settings), stem=stem, **normalization))
    check(model, [settings.resolution])
    _fill(path, model, checkpoint.weights)
    _reorder(model.get_classifier(), [output_classes.index(name) for name in classes])
    return model.eval()


def _read(path: Path) -> Checkpoint:
    try:
        if path.suffix.lower() in PICKLES:
            return Checkpoint(_weights_in(torch.load(path, map_location="cpu", weights_only=True)))
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
        return Checkpoint(_weights_in(load_file(path)), facts)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"The checkpoint {path} is refused: it is damaged or holds more than weights ({first_line(error)}). Save "
            "its state_dict, preferably as .safetensors."
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(
            f"The checkpoint {path} cannot be read ({first_line(error)}): it is damaged or not a file of weights."
        ) from error


def _weights_in(content: Any) -> dict[str, Tensor]:
    """The tensors by name, wherever a trainer stored them, without the prefix of a parallel training.

    Raises `ValueError` if there are none.
    """
    for name in INSIDE:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise ValueError("no named tensors")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _output_classes(path: Path, checkpoint: Checkpoint, classes: list[str], settings: Settings) -> list[str]:
    """The class of each output: from the settings, the file, or the dataset in order."""
    names = settings.checkpoint_classes or checkpoint.facts.get("classes") or classes
    if sorted(names) != sorted(classes):
        differing = sorted(set(names) ^ set(classes)) or names
        raise UserError(
            f"The checkpoint {path} has {len(names)} classes and the dataset has {len(classes)}; they differ in "
            f"{', '.join(differing[:NAMED])}: list those of the dataset in checkpoint_classes, in the order of the "
            "outputs."
        )
    return list(names)


def _stem(weights: dict[str, Tensor]) -> str:
    """The stem of a ResNet, judged by its first convolution: 7 x 7 is stock, 3 x 3 is small; empty if unknown."""
    first = weights.get("conv1.weight")
    return "" if first is None or first.ndim != 4 else ("stock" if first.shape[-1] == 7 else "small")


def _fill(path: Path, model: Any, weights: dict[str, Tensor]) -> None:
    """Load the weights; they must match the model exactly."""
    expected, name = model.state_dict(), model.architecture.name
    missing, foreign = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing:
        raise _misfit(path, name, "lacks", missing)
    if foreign:
        raise _misfit(path, name, "also has", foreign)
    for key, value in expected.items():
        if value.shape != weights[key].shape:
            raise UserError(
                f"The checkpoint {path} does not fit {name}: {key} is {_size(weights[key])}, expected {_size(value)}. "
                "Check model, the number of classes and the last size in phases."
            )
    model.load_state_dict(weights)


def _misfit(path: Path, model: str, verb: str, names: list[str]) -> UserError:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return UserError(
        f"The checkpoint {path} does not fit {model}: it {verb} {', '.join(names[:NAMED])}{more}. "
        "Check the setting model, and that this is a timm checkpoint."
    )


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _reorder(classifier: nn.Module, order: list[int]) -> None:
    """Reorder the outputs of a classifier."""
    index = torch.from_numpy(np.array(order))
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.copy_(parameter[index].clone())
