"""Distributed training with several processes started by `torchrun`; a single process is a world of size 1.

Every process knows the whole plan and takes its part of each batch. Gradients are averaged by torch's
DistributedDataParallel, so the update is that of the whole batch.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from lake.errors import UsageError


@dataclass(frozen=True)
class World:
    """This process among those that train together; rank 0 stores and reports."""

    rank: int = 0
    size: int = 1

    def part(self, whole: Any) -> Any:
        """Every `size`-th item along the first axis, starting at this rank."""
        return whole[self.rank :: self.size]

    def gather(self, part: Tensor) -> Tensor:
        """The whole batch in plan order, gathered from all processes."""
        if self.size == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.size)]
        distributed.all_gather(parts, part.contiguous())
        return torch.stack(parts, 1).flatten(0, 1)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with averaged gradients; unchanged in a world of one."""
        return model if self.size == 1 else nn.parallel.DistributedDataParallel(model)


def this_rank() -> int:
    """The rank assigned by `torchrun`; 0 without it."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """The number of processes started by `torchrun`; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(device: torch.device, *, batch_size: int) -> Iterator[World]:
    """Join the world of this training, and leave it when the block ends.

    Raises `UsageError` if a batch cannot be divided evenly.
    """
    size = world_size()
    if size == 1:
        yield World()
        return
    if batch_size % size:
        raise UsageError(
            f"batch_size = {batch_size} cannot be divided evenly among {size} processes: choose a multiple of {size}."
        )
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(distributed.get_rank(), size)
    finally:
        distributed.destroy_process_group()
