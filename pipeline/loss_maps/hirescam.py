"""Compute signed loss maps: HiResCAM on the cross-entropy, in nats, keeping sign and magnitude.

M[i, j] = sum_k dL/dA[k, i, j] * A[k, i, j]. To first order, zeroing cell (i, j) changes L by -M[i, j], so M > 0 raises
the loss and M < 0 lowers it. L is the loss that is stored and shown: after temperature scaling, without label
smoothing. Draelos & Carin, "HiResCAM", 2020; pytorch-grad-cam.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import HiResCAM
from torch import Tensor, nn
from torch.nn import functional

from lake.contracts.tables import make_frame
from pipeline.data.dataset import HELD_OUT, Dataset
from pipeline.engine.batch_map import Batch, cut, map_batches
from pipeline.engine.progress import Progress
from pipeline.loss_maps.occlusion import Checker
from pipeline.measure.score import Scorer, list_column
from pipeline.model.architecture import map_layers
from pipeline.model.classifier import autocast, device_of, normalize, resize
from pipeline.settings import Settings

Target = Callable[[Tensor], Tensor]


class SignedCAM(HiResCAM):
    """HiResCAM without the clipping at 0 and the per-image scaling, which discard sign and magnitude."""

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
    """Calibrated cross-entropy of one class, in nats."""

    def __init__(self, label: int, temperature: float) -> None:
        self._label, self._temperature = torch.tensor(label), temperature

    def __call__(self, logits_K: Tensor) -> Tensor:
        return functional.cross_entropy(logits_K / self._temperature, self._label.to(logits_K.device))


class MarginTarget:
    """Margin of one class over another, in nats: the logarithm of the ratio of their probabilities."""

    def __init__(self, ahead: int, behind: int, temperature: float) -> None:
        self._ahead, self._behind, self._temperature = ahead, behind, temperature

    def __call__(self, logits_K: Tensor) -> Tensor:
        return (logits_K[self._ahead] - logits_K[self._behind]) / self._temperature


class ExplainedModel(nn.Module):
    """The classifier with a gradient graph that starts at the output of the finest layer, the earliest one explained.

    Up to that layer it runs without gradients and in the fast number format; from there on in float32, so that a map is
    exact to float32 for the activations it explains. The output of layer i passes through `outputs[i]`.
    """

    def __init__(self, model: Any, layers: list[str]) -> None:
        super().__init__()
        self._model = model.eval().requires_grad_(False)
        self._layers = [model.get_submodule(layer) for layer in layers]
        self.outputs = nn.ModuleList(nn.Identity() for _ in layers)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        with ExitStack() as hooks, ExitStack() as fast:
            fast.enter_context(torch.no_grad())
            fast.enter_context(autocast(images_NCHW.device))

            def begin(output: Tensor) -> Tensor:
                fast.close()
                return output.float().requires_grad_()

            for number, layer in enumerate(self._layers):
                hooks.callback(layer.register_forward_hook(self._pass_on(number, begin)).remove)
            logits: Tensor = self._model(images_NCHW)
        return logits

    def _pass_on(self, number: int, begin: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        """A hook that passes on a copy of a layer's output, as a block may modify its input in place."""
        explained = self.outputs[number]

        def hook(_module: nn.Module, _input: Any, output: Tensor) -> Tensor:
            explained_output: Tensor = explained(begin(output) if number == 0 else output)
            return explained_output.clone()

        return hook


class Explainer:
    """Signed maps of a batch at every layer, for images resized to `resolution` pixels per side.

    Follows the callable contract of Ray Data's `map_batches`. A batch has `images_NHWC` and the class index `target` of
    each image, whose loss is explained; where `behind` is a class (not -1), the margin of `target` over it is explained
    instead.
    """

    def __init__(self, model: Any, resolution: int, temperature: float) -> None:
        self.layers, self._architecture = map_layers(model), model.architecture
        self._device, self._resolution, self._temperature = device_of(model), resolution, temperature
        explained = ExplainedModel(model, self.layers)
        self._cam = SignedCAM(explained, list(explained.outputs))

    def __call__(self, batch: Batch) -> Batch:
        images = resize(torch.from_numpy(batch["images_NHWC"]).to(self._device), self._resolution)
        behind = batch.get("behind", np.full(len(images), -1))
        pairs = zip(batch["target"].tolist(), behind.tolist(), strict=True)
        maps = self.explain(normalize(images, self._architecture), [self._target(*pair) for pair in pairs])
        return {"sample_id": batch["sample_id"], **maps}

    def explain(self, images_NCHW: Tensor, targets: list[Target]) -> dict[str, NDArray[np.float32]]:
        """Maps [N, H, W] by layer of normalised images of any size; empty for a model without layers to explain."""
        return dict(zip(self.layers, self._cam(images_NCHW, targets), strict=True)) if self.layers else {}

    def _target(self, target: int, behind: int) -> Target:
        if behind >= 0:
            return MarginTarget(target, behind, self._temperature)
        return LossTarget(target, self._temperature)


def choose_maps(dataset: Dataset, predictions: pl.DataFrame) -> pl.DataFrame:
    """The maps to compute: dataset row, class index `target`, its loss, and the fold and temperature of the model.

    Every held-out sample is explained for its label, or for its prediction if the label is withheld. Misclassified
    samples, including training samples, are explained for both.
    """
    rows = np.searchsorted(dataset.sample_id, predictions["sample_id"].to_numpy())
    number = {name: i for i, name in enumerate(dataset.classes)}
    samples = predictions.select(
        "sample_id",
        "temperature",
        "probabilities",
        pl.lit(pl.Series(rows)).alias("row"),
        pl.lit(pl.Series(np.isin(dataset.split[rows], HELD_OUT))).alias("held_out"),
        pl.lit(pl.Series(dataset.label[rows])).alias("label"),
        pl.col("predicted").replace_strict(number, return_dtype=pl.Int64),
        pl.col("fold").fill_null(0),
        pl.col("correct").fill_null(value=True),
    )
    for_label = samples.filter(pl.col("held_out") | ~pl.col("correct")).with_columns(
        target=pl.when(pl.col("label") >= 0).then("label").otherwise("predicted")
    )
    for_prediction = samples.filter(~pl.col("correct")).with_columns(target="predicted")
    loss = -pl.col("probabilities").list.get(pl.col("target")).cast(pl.Float64).log()
    to_explain = pl.concat([for_label, for_prediction]).with_columns(loss=loss.clip(0, 100))
    return to_explain.select("sample_id", "row", "target", "loss", "fold", "temperature").sort("sample_id", "target")


def extend_loss_maps(
    known_maps: pl.DataFrame | None,
    models: dict[int, nn.Module],
    dataset: Dataset,
    to_explain: pl.DataFrame,
    settings: Settings,
    progress: Progress,
) -> pl.DataFrame:
    """The table `loss_maps` without the column run_id, reusing `known_maps`, which are of the same models."""
    if known_maps is None:
        return compute_loss_maps(models, dataset, to_explain, settings, progress)
    key = ["sample_id", "target"]
    requested = to_explain.with_columns(
        pl.col("target").replace_strict(dict(enumerate(dataset.classes))), number="target"
    )
    reused = known_maps.join(requested, on=key, how="semi")
    missing = requested.join(reused, on=key, how="anti", maintain_order="left")
    if missing.is_empty():
        return reused
    to_compute = missing.with_columns(target="number").drop("number")
    computed = compute_loss_maps(models, dataset, to_compute, settings, progress)
    return pl.concat([reused, computed], how="diagonal").sort("sample_id", "layer", "target")


def compute_loss_maps(
    models: dict[int, nn.Module], dataset: Dataset, to_explain: pl.DataFrame, settings: Settings, progress: Progress
) -> pl.DataFrame:
    """The table `loss_maps` without the column run_id: every requested map at each layer, checked if above the floor.

    `models` contains the models by fold, 0 for the main model; `to_explain` comes from `choose_maps`. Models without
    layers to explain have no rows.
    """
    frames: list[pl.DataFrame] = []
    layers = map_layers(next(iter(models.values()))) if models else []
    if not layers:
        return make_frame("loss_maps", [])
    for (fold, temperature), subset in to_explain.group_by("fold", "temperature", maintain_order=True):
        arguments = (models[fold], settings.resolution, temperature, settings.seed)
        maps = _explain_images(arguments, dataset, subset, settings, progress)
        names = subset.select("sample_id", pl.col("target").replace_strict(dict(enumerate(dataset.classes))), "loss")
        frames += [_layer_frame(layer, names, maps) for layer in layers]
    return pl.concat(frames)


def _explain_images(
    arguments: tuple[Any, ...], dataset: Dataset, to_explain: pl.DataFrame, settings: Settings, progress: Progress
) -> Batch:
    """The output of `CheckedExplainer` with the given arguments for the rows of `to_explain`, concatenated."""
    columns = {name: to_explain[name].to_numpy() for name in ("sample_id", "row", "target")}

    def images(part: slice) -> Batch:
        own = {name: values[part] for name, values in columns.items()}
        return {"images_NHWC": dataset.images_NHWC[own.pop("row")], **own}

    batches = cut(images, len(to_explain), settings.score_batch_size)
    return map_batches(
        "loss maps", CheckedExplainer, arguments, batches, count=len(to_explain), settings=settings, progress=progress
    )


class CheckedExplainer:
    """Maps of a batch from `Explainer`, and the losses from `Checker` at each layer, e.g. `layer3/loss_without_red`."""

    def __init__(self, model: nn.Module, resolution: int, temperature: float, seed: int) -> None:
        self._explainer = Explainer(model, resolution, temperature)
        self._checker = Checker(Scorer(model, resolution), temperature, seed=seed)

    def __call__(self, batch: Batch) -> Batch:
        maps = self._explainer(batch)
        for layer in self._explainer.layers:
            checked = self._checker(batch["images_NHWC"], maps[layer], batch["target"])
            maps |= {f"{layer}/{name}": losses for name, losses in checked.items()}
        return maps


def _layer_frame(layer: str, names: pl.DataFrame, maps: Batch) -> pl.DataFrame:
    maps_NHW = maps[layer]
    count, height, width = maps_NHW.shape
    columns = {
        "layer": pl.repeat(layer, count, eager=True),
        "height": pl.repeat(height, count, dtype=pl.Int64, eager=True),
        "width": pl.repeat(width, count, dtype=pl.Int64, eager=True),
        "values": list_column(maps_NHW.reshape(count, -1)),
        "max_abs": np.abs(maps_NHW).max((1, 2)).astype(np.float64),
    }
    losses = {
        name.removeprefix(f"{layer}/"): pl.Series(values).fill_nan(None)
        for name, values in maps.items()
        if name.startswith(f"{layer}/")
    }
    return names.with_columns(**{name: pl.Series(name, column) for name, column in {**columns, **losses}.items()})
