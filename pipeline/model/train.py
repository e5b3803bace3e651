"""Training: growing image sizes, one-cycle Muon for feature-mixing weights, resumable at any step.

Muon: Jordan et al. 2024 (timm.optim); growing sizes: Karras et al. 2018, Howard 2018. Alternatives that were tried,
with accuracy and seconds: benchmarks/training.md. Shapes: N training images of the M in a dataset, B per batch, K
classes.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lake.contracts.tables import make_frame
from lake.errors import UserError
from pipeline.data.dataset import Dataset
from pipeline.engine.progress import Progress, Task
from pipeline.model.architecture import architecture_of, small_stem
from pipeline.model.augment import augment, draw_shifts
from pipeline.model.classifier import (
    autocast,
    choose_device,
    create_model,
    device_of,
    multiplies_bfloat16,
    normalize,
    resize,
)
from pipeline.model.distributed import World, joined
from pipeline.model.muon import choose_muon
from pipeline.model.schedule import Batch, plan_batches
from pipeline.model.snapshot import TrainingState, load_snapshot, save_snapshot
from pipeline.model.training_dynamics import Dynamics
from pipeline.model.whitening import whiten_stem
from pipeline.settings import Settings

SECONDS_BETWEEN_SNAPSHOTS = 60.0
ROWS_OF_TELEMETRY = 40
WHITENING_IMAGES = 2000


@dataclass(frozen=True)
class TrainingSet:
    """Training data: a subset of the images of a dataset, and their class indices.

    The images may be memory-mapped: each batch is copied when it is used.
    """

    images_MHWC: NDArray[np.uint8]
    row_N: NDArray[np.int64]
    label_N: NDArray[np.int64]
    num_classes: int

    def take(self, chosen_B: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of the images [B, H, W, 3] at these positions among the training images."""
        return self.images_MHWC[self.row_N[chosen_B]]


def training_set(dataset: Dataset, rows: NDArray[np.int64]) -> TrainingSet:
    """The rows of a dataset as training data."""
    return TrainingSet(dataset.images_NHWC, rows, dataset.label[rows], len(dataset.classes))


@dataclass(frozen=True)
class Trained:
    """A finished training: the model, its telemetry, and the training dynamics of each sample."""

    model: nn.Module
    telemetry: pl.DataFrame
    dynamics: Dynamics


def train(
    data: TrainingSet, settings: Settings, progress: Progress, *, snapshot: Path, facts: dict[str, Any]
) -> Trained:
    """Train a model, resuming from `snapshot` if one was taken under the same `facts`.

    Under `torchrun`, every process calls this and gets the same model.

    Raises `UserError` if the loss is no longer finite.
    """
    device = choose_device(settings.device)
    with joined(device, batch_size=settings.batch_size) as world:
        torch.set_num_threads(max(1, settings.threads // world.size))
        state = start(data, settings, device)
        load_snapshot(snapshot, state, facts, progress)
        trainer = Trainer(data, settings, state, world, device)
        work = [batch.work for batch in trainer.batches]
        with progress.task("train", len(work), done=state.step, work=work) as task:
            trainer.run(task, lambda: save_snapshot(snapshot, state, facts))
        if world.rank == 0:
            snapshot.unlink(missing_ok=True)
    return Trained(state.model.eval(), make_frame("training", state.telemetry), state.dynamics)


def start(data: TrainingSet, settings: Settings, device: torch.device) -> TrainingState:
    """The initial state: an optimiser and a model, whose small-image stem is whitened unless it is pretrained."""
    torch.manual_seed(settings.seed)
    model = create_model(data.num_classes, architecture_of(settings), pretrained=settings.pretrained)
    stem = small_stem(model)
    if stem is not None and not settings.pretrained:
        first = data.take(np.arange(min(WHITENING_IMAGES, len(data.row_N))))
        whiten_stem(stem, normalize(torch.from_numpy(first), model.architecture))
    model = model.to(device)
    return TrainingState(model, create_optimizer(model, settings), Dynamics(len(data.label_N)))


def create_optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Muon for feature-mixing weights and AdamW for the rest, or Nesterov SGD for both.

    Only feature-mixing weights decay: convolutions and, in a ConvNeXt or ViT, linear layers. Classifier, norms, biases
    and positions do not mix features: Muon is for matrices inside a network (Jordan et al. 2024). A ResNet has no
    linear layer but its classifier.
    """
    rate, inside = settings.learning_rate, _mixing(model)
    mixing = {"params": [p for p in model.parameters() if id(p) in inside], "lr": rate}
    others = {
        "params": [p for p in model.parameters() if id(p) not in inside],
        "lr": rate * settings.other_rate_scale,
        "weight_decay": 0.0,
    }
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "muon":
        groups = [mixing, others | {"use_fallback": True}]
        optimizer = choose_muon(bfloat16=multiplies_bfloat16(device_of(model)))(
            groups, lr=rate, weight_decay=settings.weight_decay, momentum=settings.momentum, ns_steps=settings.ns_steps
        )
    else:
        optimizer = torch.optim.SGD(
            [mixing, others],
            lr=rate,
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
            nesterov=True,
        )
    for param_group in optimizer.param_groups:
        param_group["peak_lr"] = param_group["lr"]
    return optimizer


def _mixing(model: Any) -> set[int]:
    """The ids of the weights of convolutions, and of linear layers other than the classifier."""
    classifier = set(model.get_classifier().parameters())
    linear = {module.weight for module in model.modules() if isinstance(module, nn.Linear)}
    return {id(p) for p in model.parameters() if p not in classifier and (p.ndim == 4 or p in linear)}


class Trainer:
    """Applies the steps of a plan to a state; every process of the world runs one."""

    def __init__(
        self, data: TrainingSet, settings: Settings, state: TrainingState, world: World, device: torch.device
    ) -> None:
        self.batches = plan_batches(len(data.label_N), settings)
        self._data, self._settings, self._state, self._world, self._device = data, settings, state, world, device
        self._label = torch.from_numpy(data.label_N).to(device)
        self._model = world.wrap(_compiled(state.model, device))

    def run(self, task: Task, save: Callable[[], None]) -> None:
        """Run all remaining steps, with a snapshot now and then."""
        every = max(1, len(self.batches) // ROWS_OF_TELEMETRY)
        window, saved = _Window(), time.monotonic()
        self._model.train()
        for batch in self.batches[self._state.step :]:
            window.add(batch, *self._step(batch))
            self._state.step += 1
            task.advance(1, window.note())
            if self._state.step % every == 0 or self._state.step == len(self.batches):
                self._state.telemetry.append(window.row(batch, self._settings))
                window = _Window()
            if self._world.rank == 0 and time.monotonic() - saved > SECONDS_BETWEEN_SNAPSHOTS:
                save()
                saved = time.monotonic()

    def _step(self, batch: Batch) -> tuple[float, float]:
        """Run one step; returns loss and accuracy of the whole batch before the update."""
        optimizer, label = self._state.optimizer, self._label[batch.rows]
        for param_group in optimizer.param_groups:
            param_group["lr"] = param_group["peak_lr"] * batch.rate
        own_logits = self._logits(batch)
        optimizer.zero_grad(set_to_none=True)
        self._loss(own_logits, self._world.part(label)).backward()
        optimizer.step()
        logits = self._world.gather(own_logits.detach())
        loss = self._loss(logits, label).item()
        if not math.isfinite(loss):
            raise UserError(
                f"Training diverged: the loss is {loss} at step {batch.step}. "
                f"Lower learning_rate (now {self._settings.learning_rate}) and refresh again."
            )
        self._state.dynamics.add(batch.rows, logits.cpu(), label.cpu())
        return loss, (logits.argmax(1) == label).float().mean().item()

    def _logits(self, batch: Batch) -> Tensor:
        """Logits for this process's part of the batch, float32 [B / size, K]."""
        settings, take_part = self._settings, self._world.part
        padding, random = settings.crop_padding, {"seed": settings.seed, "step": batch.step}
        shift = draw_shifts(len(batch.rows), batch.resolution, padding, **random)
        images = torch.from_numpy(self._data.take(take_part(batch.rows))).to(self._device)
        augmented = augment(resize(images, batch.resolution), take_part(batch.flip), take_part(shift))
        with autocast(augmented.device):
            logits: Tensor = self._model(normalize(augmented, architecture_of(settings)))
        return logits.float()

    def _loss(self, logits_BK: Tensor, label_B: Tensor) -> Tensor:
        return functional.cross_entropy(logits_BK, label_B, label_smoothing=self._settings.label_smoothing)


def _compiled(model: nn.Module, device: torch.device) -> Any:
    """Compile the model on CUDA; elsewhere, compiling costs more than it saves in an hour of training."""
    return torch.compile(model) if device.type == "cuda" else model


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

    def row(self, batch: Batch, settings: Settings) -> dict[str, Any]:
        """A row of the `training` table."""
        return {
            "step": batch.step + 1,
            "epoch": batch.epoch,
            "resolution": batch.resolution,
            "loss": self._loss / self._steps,
            "accuracy": self._accuracy / self._steps,
            "learning_rate": settings.learning_rate * batch.rate,
            "images_per_second": self._images / (time.monotonic() - self._started),
        }
