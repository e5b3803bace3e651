"""Augmentation of training images: random flips and shifts.

Shapes: B images of H x W pixels, uint8 in and out, on the training device.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def augment(images_BHWC: Tensor, flip: NDArray[np.bool_], shift: NDArray[np.int64]) -> Tensor:
    """Flip horizontally where `flip` is set, then shift by `shift` [B, 2] px (down, right) with reflected borders."""
    side, device = images_BHWC.shape[1], images_BHWC.device
    mirrored = torch.from_numpy(flip).to(device)[:, None, None, None]
    flipped = torch.where(mirrored, images_BHWC.flip(2), images_BHWC)
    pad = int(np.abs(shift).max(initial=0))
    if pad == 0:
        return flipped
    padded = functional.pad(flipped.permute(0, 3, 1, 2), [pad] * 4, mode="reflect").permute(0, 2, 3, 1)
    rows, columns = torch.from_numpy((pad - shift)[:, :, None] + np.arange(side)).to(device).unbind(1)
    return padded[torch.arange(len(shift), device=device)[:, None, None], rows[:, :, None], columns[:, None, :]]


def draw_shifts(size: int, side: int, padding: float, *, seed: int, step: int) -> NDArray[np.int64]:
    """Random shift of each image of a batch, [size, 2] pixels, up to `padding` times the side in each direction."""
    furthest = round(side * padding)
    return np.random.default_rng([seed, 3, step]).integers(-furthest, furthest + 1, (size, 2))
