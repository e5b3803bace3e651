"""What a refresh will take: training steps, minutes and memory, estimated within seconds before it starts.

Time is measured on a few images of the largest size; smaller ones take as much less as they have pixels. Memory is what
the backward pass keeps of each image, counted on a few, and what weights, optimiser and data need beside it.
"""

import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from pipeline.model.architecture import architecture_of
from pipeline.model.classifier import autocast, choose_device, create_model
from pipeline.model.schedule import count_steps
from pipeline.settings import Settings

COUNTED_IMAGES, TIMED_IMAGES, TIMES = (2, 4), 8, 2
BASE_BYTES = 1200 * 2**20
"""Memory of a refresh of small images before it trains (measured)."""
TEMPORARY_SHARE = 1.4
"""Peak memory of a step relative to what the backward pass keeps: gradients and copies in between (measured)."""
COPIES_OF_WEIGHTS = 4
"""Weights, gradients, and two moments of the optimiser, as float32."""

PASSES_AT_LEAST, PASSES_PER_HELD_OUT = 4_000, 8
"""Measurements by the model, mostly loss maps and checks, take as long as training on so many images (measured)."""
SECONDS_AT_LEAST, SECONDS_PER_IMAGE = 15, 0.003
"""All others, mostly the projection and clusters (measured)."""


@dataclass(frozen=True)
class Cost:
    """Estimated cost of a refresh."""

    steps: int
    training_seconds: float
    seconds: float
    """Of training and all measurements."""
    memory_bytes: int


def estimate_cost(settings: Settings, *, classes: int, train: int, images: int) -> Cost:
    """The cost of a refresh that trains on `train` of `images` images. Raises the errors of `create_model`."""
    device = choose_device(settings.device)
    model = create_model(classes, architecture_of(settings)).to(device).train()
    steps = {phase.resolution: 0 for phase in settings.phases}
    for phase in settings.phases:
        steps[phase.resolution] += count_steps(phase, train, settings)
    largest = max(steps)
    weights = sum(parameter.numel() for parameter in model.parameters()) * 4
    batch = min(settings.batch_size, train)
    memory = (
        BASE_BYTES
        + COPIES_OF_WEIGHTS * weights
        + round(TEMPORARY_SHARE * count_kept_bytes(model, largest) * batch)
        + images * settings.side**2 * 3
    )
    images_of_largest = sum(count * batch * (resolution / largest) ** 2 for resolution, count in steps.items())
    each = _seconds_per_image(model, largest)
    passes = PASSES_AT_LEAST + PASSES_PER_HELD_OUT * (images - train)
    measuring = SECONDS_AT_LEAST + images * SECONDS_PER_IMAGE + passes * each
    training = images_of_largest * each
    return Cost(sum(steps.values()), training, training + measuring, memory)


def count_kept_bytes(model: nn.Module, resolution: int) -> float:
    """Bytes that the backward pass keeps of each image at a resolution: what one image more adds."""
    fewer, more = (_count_kept(_draw(model, count, resolution), model) for count in COUNTED_IMAGES)
    return (more - fewer) / (COUNTED_IMAGES[1] - COUNTED_IMAGES[0])


def _count_kept(images_NCHW: torch.Tensor, model: nn.Module) -> int:
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast(images_NCHW.device):
        loss = _loss(model, images_NCHW)
    del loss
    return sum(kept.values())


def _seconds_per_image(model: nn.Module, resolution: int) -> float:
    """Time of a forward and backward pass, the fastest but for the first."""
    images = _draw(model, TIMED_IMAGES, resolution)
    times = []
    for _ in range(1 + TIMES):
        started = time.perf_counter()
        with autocast(images.device):
            loss = _loss(model, images)
        loss.backward()
        times.append(time.perf_counter() - started)
    return min(times[1:]) / TIMED_IMAGES


def _draw(model: nn.Module, count: int, resolution: int) -> torch.Tensor:
    first = next(model.parameters())
    images = torch.rand(count, 3, resolution, resolution, device=first.device)
    return images.to(memory_format=torch.channels_last)


def _loss(model: nn.Module, images_NCHW: torch.Tensor) -> torch.Tensor:
    logits = model(images_NCHW)
    return functional.cross_entropy(logits.float(), torch.zeros(len(images_NCHW), dtype=torch.long).to(logits.device))
