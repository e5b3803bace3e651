"""Images of fewer than two classes: no classifier is trained, and their embedding is what their pixels look like.

Map, groups, neighbours, copies and image properties need no labels. N images.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from lake.contracts.samples import NO_CLASS
from pipeline.data.dataset import Dataset, ExternalPredictions
from pipeline.model.classifier import resize

SIDE = 16
"""Side of the thumbnails whose colours are the embedding."""
PLAIN = 0.1
"""A feature that all images have in common, small beside the colours of any that shows something. Images of a single
colour have no other, so that they are alike; without it, rounding would decide what they are like."""
AT_ONCE = 4096


def use_pixels(dataset: Dataset) -> Dataset:
    """The dataset with its pixels as embedding, one class for all samples, and no labels."""
    count = len(dataset)
    logits_N1 = np.zeros((count, 1), np.float32)
    embedded_N = np.ones(count, np.bool_)
    return replace(
        dataset,
        classes=[NO_CLASS],
        groups={},
        label=np.full(count, -1),
        split=np.full(count, "unlabeled"),
        external=ExternalPredictions(dataset.sample_id, logits_N1, to_thumbnails(dataset.images_NHWC), embedded_N),
    ).with_hashes(dataset.sha256)


def to_thumbnails(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Centred colour thumbnails [N, 769]: 16 x 16 pixels of 3 channels, less the mean colour of each, and `PLAIN`.

    The cosine of two is high for near copies, whatever their brightness, and for two images of a single colour.
    """
    starts = range(0, len(images_NHWC), AT_ONCE)
    parts = [resize(torch.from_numpy(images_NHWC[start : start + AT_ONCE]), SIDE).numpy() for start in starts]
    small_NHWC = np.concatenate(parts).astype(np.float32) / 255
    centred = small_NHWC - small_NHWC.mean((1, 2), keepdims=True)
    return np.pad(centred.reshape(len(centred), -1), ((0, 0), (0, 1)), constant_values=PLAIN)
