"""Training: growing image sizes, one-cycle Muon on the convolutions, resumable at any checkpoint.

Data order and augmentation depend on (seed, step) only, so a resumed training equals an uninterrupted one.
Muon: Jordan et al. 2024 (timm.optim); progressive resizing and alternating flip: Jordan, "94 % on CIFAR-10 in
3.29 seconds", 2024.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from timm.optim.muon import Muon
from torch import Tensor, nn
from torch.nn import functional

from lake.contracts import make_frame
from lake.errors import UserError
from pipeline.model import autocast, create_model, normalize
from pipeline.progress import Progress
from pipeline.settings import Phase, Settings

SECONDS_BETWEEN_CHECKPOINTS = 60.0
ROWS_OF_TELEMETRY = 40


@dataclass(frozen=True)
class Batch:
    """One step of the plan: which images, at which size, with which share of the peak rate."""

    step: int
    epoch: float
    resolution: int
    rate: float
    rows: NDArray[np.int64]
    flip: NDArray[np.bool_]


def plan_batches(size: int, settings: Settings) -> list[Batch]:
    """Every step of the training, known beforehand: shuffled passes, flips that alternate from pass to pass."""
    resolutions = [phase.resolution for phase in settings.phases for _ in range(_steps(phase, size, settings))]
    first_flip = np.random.default_rng([settings.seed, 1]).random(size) < 0.5
    per_pass = max(1, size // settings.batch_size)
    batches = []
    for step, resolution in enumerate(resolutions):
        number, offset = divmod(step, per_pass)
        order = np.random.default_rng([settings.seed, 2, number]).permutation(size)
        rows = order[offset * settings.batch_size : (offset + 1) * settings.batch_size]
        rate = one_cycle((step + 1) / (len(resolutions) + 1), warmup=settings.warmup)
        batches.append(Batch(step, step / per_pass, resolution, rate, rows, first_flip[rows] ^ bool(number % 2)))
    return batches


def one_cycle(progress: float, *, warmup: float) -> float:
    """Share of the peak rate at `progress` in 0..1: a linear rise over `warmup`, then a linear fall to 0."""
    return progress / warmup if progress < warmup else (1 - progress) / (1 - warmup)


def train(
    images_NHWC: NDArray[np.uint8],
    label: NDArray[np.int64],
    num_classes: int,
    settings: Settings,
    progress: Progress,
    checkpoint: Path,
) -> tuple[nn.Module, pl.DataFrame]:
    """The trained model and its telemetry; resumes from `checkpoint` when it exists.

    Raises `UserError` when the loss is no longer finite.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    model = create_model(num_classes)
    optimizer = create_optimizer(model, settings)
    batches = plan_batches(len(images_NHWC), settings)
    done, telemetry = _resume(checkpoint, model, optimizer)
    labels, sized = torch.from_numpy(label), _SizedImages(torch.from_numpy(images_NHWC))
    every = max(1, len(batches) // ROWS_OF_TELEMETRY)
    model.train()
    window, saved = _Window(), time.monotonic()
    with progress.task("train", len(batches)) as task:
        task.advance(done)
        for batch in batches[done:]:
            images = augment(sized.at(batch.resolution)[batch.rows], batch, seed=settings.seed)
            window.add(batch, *_step(model, optimizer, images, labels[batch.rows], batch, settings))
            task.advance(1, window.note())
            if (batch.step + 1) % every == 0 or batch.step + 1 == len(batches):
                telemetry.append(window.close(batch, settings))
            if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                _save(checkpoint, model, optimizer, batch.step + 1, telemetry)
                saved = time.monotonic()
    checkpoint.unlink(missing_ok=True)
    return model.eval(), make_frame("training", telemetry)


def create_optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Muon for the convolutions; AdamW without weight decay for norms, biases and the classifier."""
    convolutions = [p for p in model.parameters() if p.ndim == 4]
    others = [p for p in model.parameters() if p.ndim != 4]
    groups = [
        {"params": convolutions, "lr": settings.learning_rate},
        {
            "params": others,
            "lr": settings.learning_rate * settings.other_rate_scale,
            "use_fallback": True,
            "weight_decay": 0.0,
        },
    ]
    optimizer: torch.optim.Optimizer = Muon(
        groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, momentum=0.9, ns_steps=3
    )
    for group in optimizer.param_groups:
        group["peak_lr"] = group["lr"]
    return optimizer


def augment(images_NHWC: Tensor, batch: Batch, *, seed: int) -> Tensor:
    """Flipped and randomly shifted by up to an eighth of the side (reflected borders); uint8 in, uint8 out."""
    size, side = len(images_NHWC), images_NHWC.shape[1]
    pad = max(1, side // 8)
    flipped = torch.where(torch.from_numpy(batch.flip)[:, None, None, None], images_NHWC.flip(2), images_NHWC)
    padded = functional.pad(flipped.permute(0, 3, 1, 2), [pad] * 4, mode="reflect").permute(0, 2, 3, 1)
    shift = np.random.default_rng([seed, 3, batch.step]).integers(0, 2 * pad + 1, (2, size, 1))
    rows, columns = torch.from_numpy(shift + np.arange(side))
    return padded[torch.arange(size)[:, None, None], rows[:, :, None], columns[:, None, :]]


class _SizedImages:
    """The training images at the size of the current phase, kept as uint8."""

    def __init__(self, images_NHWC: Tensor) -> None:
        self._original = self._current = images_NHWC

    def at(self, side: int) -> Tensor:
        if self._current.shape[1] != side:
            self._current = torch.cat([_resize(part, side) for part in self._original.split(5000)])
        return self._current


def _resize(images_NHWC: Tensor, side: int) -> Tensor:
    if images_NHWC.shape[1] == side:
        return images_NHWC
    images = images_NHWC.permute(0, 3, 1, 2).float()
    sized = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    return sized.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _step(
    model: nn.Module, optimizer: Any, images: Tensor, labels: Tensor, batch: Batch, settings: Settings
) -> tuple[float, float]:
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * batch.rate
    with autocast():
        logits = model(normalize(images)).float()
    loss = functional.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    if not math.isfinite(loss.item()):
        raise UserError(
            f"Training diverged: the loss is {loss.item()} at step {batch.step}. "
            f"Lower learning_rate (now {settings.learning_rate}) and refresh again."
        )
    return loss.item(), (logits.argmax(1) == labels).float().mean().item()


def _steps(phase: Phase, size: int, settings: Settings) -> int:
    return max(1, round(phase.epochs * size / settings.batch_size))


class _Window:
    """Sums between two rows of telemetry."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._images, self._loss, self._accuracy, self._steps = 0, 0.0, 0.0, 0

    def add(self, batch: Batch, loss: float, accuracy: float) -> None:
        self._images += len(batch.rows)
        self._loss += loss
        self._accuracy += accuracy
        self._steps += 1

    def note(self) -> str:
        speed = self._images / (time.monotonic() - self._started)
        return f"loss {self._loss / self._steps:.3f}, {speed:.0f} images/s"

    def close(self, batch: Batch, settings: Settings) -> dict[str, Any]:
        row = {
            "step": batch.step + 1,
            "epoch": batch.epoch,
            "resolution": batch.resolution,
            "loss": self._loss / self._steps,
            "accuracy": self._accuracy / self._steps,
            "learning_rate": settings.learning_rate * batch.rate,
            "images_per_second": self._images / (time.monotonic() - self._started),
        }
        self.__init__()  # type: ignore[misc]
        return row


def _save(path: Path, model: nn.Module, optimizer: Any, step: int, telemetry: list[dict[str, Any]]) -> None:
    """Weights, optimizer state and telemetry in one file, complete or absent."""
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": torch.as_tensor(value) for key, value in state.items()}
    for key in telemetry[0] if telemetry else []:
        tensors[f"telemetry.{key}"] = torch.tensor([row[key] for row in telemetry], dtype=torch.float64)
    tensors["step"] = torch.tensor(step)
    partial = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in tensors.items()}, partial)
    partial.replace(path)


def _resume(path: Path, model: nn.Module, optimizer: Any) -> tuple[int, list[dict[str, Any]]]:
    """Steps already done and their telemetry, with model and optimizer set back to where they were."""
    if not path.exists():
        return 0, []
    tensors = load_file(path)
    model.load_state_dict(_strip(tensors, "model."))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _strip(tensors, "optimizer.").items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    columns = {key: value.tolist() for key, value in _strip(tensors, "telemetry.").items()}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    whole = ("step", "resolution")
    return int(tensors["step"]), [{k: int(v) if k in whole else v for k, v in row.items()} for row in rows]


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
