"""Signed loss maps: HiResCAM on the cross-entropy, in nats, with sign and size kept.

M[i, j] = sum_k dL/dA[k, i, j] * A[k, i, j]. To first order zeroing cell (i, j) changes the loss by -M[i, j], so
M > 0 raises the loss and M < 0 lowers it. Draelos & Carin, "HiResCAM", 2020; pytorch-grad-cam.
"""

from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import HiResCAM
from torch import Tensor, nn
from torch.nn import functional

from lake.contracts import LAYERS
from pipeline.model import autocast, device_of, normalize, resize
from pipeline.progress import Progress
from pipeline.score import list_column
from pipeline.settings import Settings


class SignedCAM(HiResCAM):
    """HiResCAM without the clipping at 0 and the scaling per image that lose sign and magnitude."""

    def compute_cam_per_layer(
        self,
        input_tensor: Tensor,  # noqa: ARG002
        targets: list[Any],  # noqa: ARG002
        eigen_smooth: bool,  # noqa: ARG002
    ) -> list[NDArray[np.float32]]:
        hooks = self.activations_and_grads
        pairs = zip(hooks.activations, hooks.gradients, strict=True)
        return [(activation * gradient).sum(1).cpu().numpy() for activation, gradient in pairs]

    def aggregate_multi_layers(self, cam_per_target_layer: list[NDArray[np.float32]]) -> Any:
        return cam_per_target_layer


class LossTarget:
    """Cross-entropy of one class, in nats: what the map explains."""

    def __init__(self, label: int) -> None:
        self._label = torch.tensor(label)

    def __call__(self, logits_K: Tensor) -> Tensor:
        return functional.cross_entropy(logits_K, self._label.to(logits_K.device))


class ExplainedModel(nn.Module):
    """The classifier with its graph starting at the output of layer3, the deepest thing a map asks for.

    Up to there it runs without gradients and in the fast number format; from there on in float32, so that a map
    is exact to float32 for the activations it explains.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model.eval().requires_grad_(False)
        self.layer3, self.layer4 = nn.Identity(), model.layer4

    def forward(self, images_NCHW: Tensor) -> Tensor:
        model = self._model
        with torch.no_grad(), autocast(images_NCHW.device):
            stem = model.maxpool(model.act1(model.bn1(model.conv1(images_NCHW))))
            activations = model.layer3(model.layer2(model.layer1(stem)))
        logits: Tensor = model.forward_head(self.layer4(self.layer3(activations.float().requires_grad_())))
        return logits


class Explainer:
    """Signed maps of a batch at every layer, of images shown to the model with sides of `resolution` pixels.

    The callable contract of Ray Data's `map_batches`.
    """

    def __init__(self, model: nn.Module, resolution: int) -> None:
        explained, self._device, self._resolution = ExplainedModel(model), device_of(model), resolution
        self._cam = SignedCAM(explained, [getattr(explained, layer) for layer in LAYERS])

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        images = resize(torch.from_numpy(batch["images_NHWC"]).to(self._device), self._resolution)
        maps = self._cam(normalize(images), [LossTarget(int(label)) for label in batch["target"]])
        return {"sample_id": batch["sample_id"], **dict(zip(LAYERS, maps, strict=True))}


def compute_loss_maps(
    explainer: Explainer,
    sample_id: NDArray[np.int64],
    images_NHWC: NDArray[np.uint8],
    target: NDArray[np.int64],
    classes: list[str],
    settings: Settings,
    progress: Progress,
) -> pl.DataFrame:
    """The `loss_maps` table but for its run_id, both layers of every image."""
    torch.set_num_threads(settings.threads)
    parts: dict[str, list[NDArray[np.float32]]] = {layer: [] for layer in LAYERS}
    with progress.task("loss maps", len(sample_id)) as task:
        for start in range(0, len(sample_id), settings.score_batch_size):
            chosen = slice(start, start + settings.score_batch_size)
            batch: dict[str, NDArray[Any]] = {
                "sample_id": sample_id[chosen],
                "images_NHWC": images_NHWC[chosen],
                "target": target[chosen],
            }
            maps = explainer(batch)
            for layer in LAYERS:
                parts[layer].append(maps[layer])
            task.advance(len(batch["sample_id"]))
    names = np.array(classes)[target].tolist()
    return pl.concat(_layer_frame(layer, np.concatenate(parts[layer]), sample_id, names) for layer in LAYERS)


def _layer_frame(
    layer: str, maps_NHW: NDArray[np.float32], sample_id: NDArray[np.int64], target: list[str]
) -> pl.DataFrame:
    count, height, width = maps_NHW.shape
    return pl.DataFrame(
        {
            "sample_id": sample_id,
            "layer": pl.repeat(layer, count, eager=True),
            "target": target,
            "height": pl.repeat(height, count, dtype=pl.Int64, eager=True),
            "width": pl.repeat(width, count, dtype=pl.Int64, eager=True),
            "values": list_column(maps_NHW.reshape(count, -1)),
            "max_abs": np.abs(maps_NHW).max((1, 2)).astype(np.float64),
        }
    )
