"""Check the loss maps of a model: each figure comes from an independent computation and has a bar to meet.

A closed form, finite differences, occlusion, deletion, mosaics of two images, a network with random weights, and
byte-identical repetition. Randomisation: Adebayo et al. 2018; mosaics: Arias-Duart et al. 2022 (Focus).
Shapes: N images, C channels, K classes, H x W cells.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.ndimage import sobel
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional

from lake.contracts.tables import make_frame
from lake.query.joined_samples import Tables
from lake.query.loss_maps import FLOOR_NATS, quarter_effect
from lake.statistics import bootstrap_mean_interval
from pipeline.checks.row import Row, check_row, share
from pipeline.engine.progress import Progress
from pipeline.loss_maps.hirescam import ExplainedModel, Explainer, LossTarget
from pipeline.loss_maps.occlusion import Checker, blur, cover
from pipeline.measure.score import Scorer
from pipeline.model.classifier import create_model, normalize, resize
from pipeline.model.published_model import StoredModel

SUBJECT = "loss maps"
SAMPLES, PAIRS = 200, 200
SURE, HALF = 0.9, 0.7
STEP, MEASURABLE = 1e-6, 1e-3
"""Relative change of the activations in a finite difference, and the smallest cell, in nats, that is compared."""
Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Subject:
    """A model and the labelled test samples it is checked on; row i of every column belongs to image i."""

    stored: StoredModel
    classes: list[str]
    samples: pl.DataFrame
    """Columns sample_id, label, predicted, correct and confidence."""
    images_NHWC: NDArray[np.uint8]

    @cached_property
    def explainer(self) -> Explainer:
        return Explainer(self.stored.model, self.stored.resolution, self.stored.temperature)

    @property
    def layers(self) -> list[str]:
        """The layers that are explained, finest first."""
        return self.explainer.layers

    @cached_property
    def label(self) -> NDArray[np.int64]:
        """Class index of each sample."""
        return np.array([self.classes.index(name) for name in self.samples["label"]], dtype=np.int64)

    @cached_property
    def grids(self) -> dict[str, str]:
        """The grid of each layer's maps, in words."""
        maps = self.part(np.arange(1)).maps
        return {layer: f"{maps[layer].shape[1]} x {maps[layer].shape[2]} cells" for layer in self.layers}

    def part(self, rows: NDArray[np.int64]) -> "Subject":
        """The same model on a subset of the samples."""
        return replace(self, samples=self.samples[rows], images_NHWC=self.images_NHWC[rows])

    @cached_property
    def maps(self) -> dict[str, Maps]:
        """Maps of the label's loss by layer."""
        return self.explain(self.explainer)

    def explain(self, explainer: Explainer) -> dict[str, Maps]:
        """The maps of the label's loss by layer from an explainer, computed on each call."""
        batch = {"sample_id": self.samples["sample_id"].to_numpy(), "images_NHWC": self.images_NHWC}
        return explainer(batch | {"target": self.label})

    def model_input(self) -> Tensor:
        """The images as the model sees them [N, 3, H, W]."""
        model: Any = self.stored.model
        return normalize(resize(torch.from_numpy(self.images_NHWC), self.stored.resolution), model.architecture)


def check_maps(subject: Subject, loss_maps: pl.LazyFrame, *, seed: int, progress: Progress) -> pl.DataFrame:
    """The table `proofs` without the column run_id; empty for a model without layers to explain.

    Only the rows of `loss_maps` for the subject's samples whose target is the label are used.
    """
    if not subject.layers:
        return make_frame("proofs", [])
    subset = subject.part(_half_of_them_wrong(subject, seed))
    checks = (_exact, _occlusion, _random_network)
    rows: list[Row] = []
    with progress.task("checks of the loss maps", len(checks) + 2) as task:
        for check in checks:
            rows += check(subset, seed)
            task.advance()
        rows += _deletion(subject, loss_maps)
        task.advance()
        rows += _mosaics(subject, seed)
        task.advance()
    return make_frame("proofs", [{"subject": SUBJECT, **row} for row in rows])


def check_run(
    run: Tables,
    stored: StoredModel,
    classes: list[str],
    images_of: Callable[[NDArray[np.int64]], NDArray[np.uint8]],
    *,
    seed: int,
    progress: Progress,
) -> pl.DataFrame:
    """The checks of a run's maps on its test samples; `images_of` returns the pixels of samples."""
    labels = run.scan("samples").filter(split="test").select("sample_id", "label")
    test = run.scan("predictions").join(labels, on="sample_id").sort("sample_id").collect()
    subject = Subject(stored, classes, test, images_of(test["sample_id"].to_numpy()))
    return check_maps(subject, run.scan("loss_maps").collect().lazy(), seed=seed, progress=progress)


def _half_of_them_wrong(subject: Subject, seed: int) -> NDArray[np.int64]:
    """200 rows, half of them misclassified if there are enough."""
    rng, correct = np.random.default_rng([seed, 8]), subject.samples["correct"].to_numpy()
    wrong, right = (rng.permutation(np.flatnonzero(mask)) for mask in (~correct, correct))
    few = wrong[: max(SAMPLES // 2, SAMPLES - len(right))]
    return np.sort(np.concatenate([few, right[: SAMPLES - len(few)]]))


def _exact(subject: Subject, seed: int) -> Iterator[Row]:  # noqa: ARG001
    """The closed form at the last layer if any, finite differences at each layer, and byte-identical repetition."""
    maps, repeated_maps = subject.maps, subject.explain(subject.explainer)
    n, coarse = len(subject.samples), subject.layers[-1]
    activations, logits = _activations(subject)
    expected = _closed_form(subject, activations[coarse], logits)
    if expected is not None:
        scale = np.abs(expected).max((1, 2), keepdims=True).clip(FLOOR_NATS)
        error = float((np.abs(maps[coarse] - expected) / scale).max(initial=0))
        claim = f"{subject.grids[coarse]}: largest relative difference to the closed form"
        yield check_row("closed form", claim, n, error, "at most", 1e-4)
    for layer in subject.layers:
        slope, cell = _finite_difference(subject, layer, activations[layer], maps[layer])
        large = np.abs(cell) >= MEASURABLE
        error = float((np.abs(slope - cell)[large] / np.abs(cell)[large]).max(initial=0))
        claim = f"{subject.grids[layer]}: largest relative difference to the loss's measured slope"
        yield check_row(f"finite difference, {layer}", claim, int(large.sum()), error, "at most", 0.05)
    equal = float(all(maps[layer].tobytes() == repeated_maps[layer].tobytes() for layer in subject.layers))
    yield check_row(
        "same bytes", "Computed twice: every map is the same to the byte (1 is yes)", n, equal, "at least", 1
    )


def _activations(subject: Subject) -> tuple[dict[str, Tensor], Tensor]:
    """Outputs of each explained layer [N, C, H, W], and the logits [N, K]."""
    outputs: dict[str, Tensor] = {}
    explained = ExplainedModel(subject.stored.model, subject.layers)
    for layer, output in zip(subject.layers, explained.outputs, strict=True):
        output.register_forward_hook(lambda _m, _i, out, layer=layer: outputs.update({layer: out}))
    logits = explained(subject.model_input()).detach()
    return {layer: activations.detach() for layer, activations in outputs.items()}, logits


def _closed_form(subject: Subject, activations_NCHW: Tensor, logits_NK: Tensor) -> NDArray[np.float64] | None:
    """sum_c (p_c - 1[c = y]) w_c . A / (H W T), as the gradient is the same in every cell.

    None if the logits are not a linear classifier of the mean of A over the cells, as something else comes in between.
    """
    model: Any = subject.stored.model
    classifier = model.get_classifier()
    weight_KC, mean_NC = classifier.weight.detach().flatten(1), activations_NCHW.mean((2, 3))
    if weight_KC.shape[1] != mean_NC.shape[1]:
        return None
    linear_NK = functional.linear(mean_NC, weight_KC, classifier.bias)
    if not torch.allclose(linear_NK, logits_NK, rtol=1e-3, atol=1e-3):
        return None
    p_NK = (logits_NK / subject.stored.temperature).double().softmax(1)
    error_NK = p_NK - functional.one_hot(torch.from_numpy(subject.label), len(subject.classes))
    summed = torch.einsum("nk,kc,nchw->nhw", error_NK, weight_KC.double(), activations_NCHW.double())
    height, width = activations_NCHW.shape[2:]
    return (summed / (height * width * subject.stored.temperature)).numpy()


def _finite_difference(
    subject: Subject, layer: str, activations_NCHW: Tensor, maps_NHW: Maps
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope of the loss as the largest cell of each map is scaled by 1 +- `STEP`, and the value of that cell [N]."""
    model: Any = subject.stored.model
    width, place = maps_NHW.shape[2], np.abs(maps_NHW).reshape(len(maps_NHW), -1).argmax(1)
    at = (torch.arange(len(place)), slice(None), torch.from_numpy(place // width), torch.from_numpy(place % width))
    losses, weights = [], {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.double()
    for factor in (1 + STEP, 1 - STEP):
        scaled = activations_NCHW.double().clone()
        scaled[at] *= factor
        logits, target = _logits_from(subject, layer, scaled), torch.from_numpy(subject.label)
        losses.append(functional.cross_entropy(logits / subject.stored.temperature, target, reduction="none").numpy())
    model.float().load_state_dict(weights)
    cell = np.take_along_axis(maps_NHW.reshape(len(place), -1), place[:, None], 1)[:, 0]
    return (losses[0] - losses[1]) / (2 * STEP), cell.astype(np.float64)


def _logits_from(subject: Subject, layer: str, activations_NCHW: Tensor) -> Tensor:
    """Logits [N, K] in float64 given the outputs of a layer; one image is enough to run the model up to it."""
    model: Any = subject.stored.model
    hook = model.get_submodule(layer).register_forward_hook(lambda *_: activations_NCHW)
    try:
        with torch.no_grad():
            logits: Tensor = model(subject.part(np.arange(1)).model_input().double())
    finally:
        hook.remove()
    return logits


def _occlusion(subject: Subject, seed: int) -> Iterator[Row]:
    """Do the cells predict the effect of covering them? Compared with a random map and a map of edges."""
    maps, n = subject.maps, len(subject.samples)
    grid = maps[subject.layers[-1]].shape[1:]
    effect = occlusion_effects(subject, *grid)
    rng = np.random.default_rng([seed, 9])
    references = {"a random map": rng.random(effect.shape), "a map of edges": _pool(_edges(subject.images_NHWC), *grid)}
    chance = {name: rank_correlations(effect, reference).mean() for name, reference in references.items()}
    for layer in subject.layers:
        pooled = _pool(maps[layer].astype(np.float64), *grid)
        rho = rank_correlations(effect, pooled)
        claim = (
            f"{subject.grids[layer]}: mean rank correlation with what blurring each of {effect[0].size} patches does"
        )
        yield check_row(f"occlusion, {layer}", claim, n, rho.mean(), "at least", 0.40, *bootstrap_mean_interval(rho))
        for name, mean in chance.items():
            claim = f"{subject.grids[layer]}: by how much that is above {name}"
            yield check_row(f"occlusion over {name}, {layer}", claim, n, rho.mean() - mean, "at least", 0.2)
        agree = _sign_agreement(effect, pooled)
        claim = f"{subject.grids[layer]}: same sign as the quarter of those effects that is largest, share"
        by_image = agree.mean(1)
        yield check_row(
            f"occlusion sign, {layer}", claim, n, agree.mean(), "at least", 0.70, *bootstrap_mean_interval(by_image)
        )


def occlusion_effects(subject: Subject, height: int, width: int) -> NDArray[np.float64]:
    """Decrease of the loss in nats with each patch of a grid blurred [N, H, W]; positive if it raised the loss."""
    checker = Checker(Scorer(subject.stored.model, subject.stored.resolution), subject.stored.temperature, seed=0)
    loss, blurred = checker.measure(subject.images_NHWC, subject.label), blur(subject.images_NHWC)
    effect = np.empty((len(loss), height, width))
    for row, column in np.ndindex(height, width):
        cells = np.zeros((len(loss), height, width), bool)
        cells[:, row, column] = True
        effect[:, row, column] = loss - checker.measure(cover(subject.images_NHWC, blurred, cells), subject.label)
    return effect


def rank_correlations(a_NHW: NDArray[Any], b_NHW: NDArray[Any]) -> NDArray[np.float64]:
    """Spearman's rank correlation of the cells of each pair of maps [N]; 0 if one of them is constant."""
    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (a_NHW, b_NHW)]
    a, b = (r - r.mean(1, keepdims=True) for r in ranks)
    norm = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.asarray(np.where(norm > 0, (a * b).sum(1) / norm.clip(1e-12), 0.0))


def _sign_agreement(effect_NHW: NDArray[np.float64], maps_NHW: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether map and effect have the same sign, for the quarter of patches with the largest effects [N, quarter]."""
    effect, maps = (values.reshape(len(values), -1) for values in (effect_NHW, maps_NHW))
    largest = np.argsort(-np.abs(effect), axis=1, kind="stable")[:, : max(1, effect.shape[1] // 4)]
    return np.asarray(np.take_along_axis(np.sign(effect) == np.sign(maps), largest, 1))


def _edges(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Edge strength of each image [N, H, W]."""
    grey = images_NHWC.mean(3)
    return np.hypot(sobel(grey, axis=1), sobel(grey, axis=2))


def _pool(maps_NHW: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Sums over the cells of a coarser grid [N, height, width]."""
    sized = functional.adaptive_avg_pool2d(torch.from_numpy(maps_NHW), (height, width)).numpy()
    return np.asarray(sized * (maps_NHW.shape[1] * maps_NHW.shape[2] / (height * width)))


def _random_network(subject: Subject, seed: int) -> Iterator[Row]:
    """Do the maps depend on what was learnt? Those of a network with random weights should look different."""
    torch.manual_seed(seed)
    model: Any = subject.stored.model
    untrained: nn.Module = create_model(len(subject.classes), model.architecture).eval()
    maps = subject.maps
    random_maps = subject.explain(Explainer(untrained, subject.stored.resolution, subject.stored.temperature))
    for layer in subject.layers:
        rho = rank_correlations(maps[layer], random_maps[layer])
        low, high = bootstrap_mean_interval(rho)
        claim = f"{subject.grids[layer]}: mean rank correlation, either sign, with maps of an untrained network"
        ends = (low, high) if rho.mean() >= 0 else (-high, -low)
        yield check_row(f"random network, {layer}", claim, len(rho), abs(rho.mean()), "at most", 0.3, *ends)


def _deletion(subject: Subject, loss_maps: pl.LazyFrame) -> Iterator[Row]:
    """Over all misclassified test samples: the effect of blurring the red quarter against an equal area elsewhere."""
    wrong = subject.samples.filter(~pl.col("correct")).select("sample_id", target="label").lazy()
    checked = loss_maps.join(wrong, on=["sample_id", "target"])
    for layer in subject.layers:
        n, hits = quarter_effect(checked.filter(pl.col("layer") == layer)).collect().row(0)
        claim = f"{subject.grids[layer]}: errors whose loss falls further with red blurred than with as much elsewhere"
        yield share(f"deletion, {layer}", claim, hits, n, 0.70)


def _mosaics(subject: Subject, seed: int) -> Iterator[Row]:
    """Two confident images side by side, labelled as one: is 70 % of the blue in its half, of the red in the other?"""
    own, other = _most_confused(subject)
    pairs = [_sure_rows(subject, name, seed) for name in (own, other)]
    model: Any = subject.stored.model
    n = 0 if model.architecture.has_fixed_size else min(map(len, pairs))  # a mosaic is twice as wide
    own_on_left = np.random.default_rng([seed, 11]).random(n) < 0.5
    halves = [subject.part(rows[:n]).model_input() for rows in pairs]
    mosaics = [
        torch.cat((a, b) if own_first else (b, a), 2) for a, b, own_first in zip(*halves, own_on_left, strict=True)
    ]
    target = LossTarget(subject.classes.index(own), subject.stored.temperature)
    maps = (
        subject.explainer.explain(torch.stack(mosaics), [target] * n)
        if n
        else dict.fromkeys(subject.layers, np.zeros((0, 1, 2)))
    )
    for layer, values in maps.items():
        blue, red = (_share_on_left(strength) for strength in ((-values).clip(min=0), values.clip(min=0)))
        in_place = np.where(own_on_left, (blue >= HALF) & (1 - red >= HALF), (1 - blue >= HALF) & (red >= HALF))
        claim = (
            f"{subject.grids[layer]}: mosaics of {own} and {other}, labelled {own}, with blue and red in their halves"
        )
        yield share(f"mosaics, {layer}", claim, int(in_place.sum()), n, 0.80)


def _most_confused(subject: Subject) -> tuple[str, str]:
    """The most frequent pair of label and wrong prediction; the first two classes if there are no errors."""
    counts = subject.samples.filter(~pl.col("correct")).group_by("label", "predicted").len()
    ordered = counts.sort("len", "label", "predicted", descending=[True, False, False]).select("label", "predicted")
    label, predicted = [*ordered.rows(), (subject.classes[0], subject.classes[1])][0]
    return label, predicted


def _sure_rows(subject: Subject, name: str, seed: int) -> NDArray[np.int64]:
    """Up to 200 samples of a class that are correct with at least 90 % confidence, in random order."""
    sure = subject.samples["correct"] & (subject.samples["label"] == name) & (subject.samples["confidence"] >= SURE)
    return np.random.default_rng([seed, 10]).permutation(np.flatnonzero(sure.to_numpy()))[:PAIRS]


def _share_on_left(values_NHW: Maps) -> NDArray[np.float64]:
    left_sum = values_NHW[:, :, : values_NHW.shape[2] // 2].sum((1, 2), dtype=np.float64)
    return np.asarray(left_sum / values_NHW.sum((1, 2), dtype=np.float64).clip(1e-12))
