"""Score samples: embedding, logits and calibrated loss of every sample that the preset selects.

Shapes: N samples, K classes, D features.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lake.statistics import calibration_error
from pipeline.data.dataset import HELD_OUT, Dataset
from pipeline.data.few_images import FEWEST_TO_CALIBRATE
from pipeline.engine.batch_map import Batch, cut, map_batches
from pipeline.engine.progress import Progress
from pipeline.measure import cross_fitting
from pipeline.model.classifier import device_of, forward, normalize, resize
from pipeline.settings import Settings


class Scorer:
    """Embeddings and logits of a batch of images, resized to `resolution` pixels per side."""

    def __init__(self, model: Any, resolution: int) -> None:
        self._model, self._resolution = model.eval(), resolution

    def __call__(self, batch: Batch) -> Batch:
        with torch.inference_mode():
            images = torch.from_numpy(batch["images_NHWC"]).to(device_of(self._model))
            model_input = normalize(resize(images, self._resolution), self._model.architecture)
            embedding, logits = forward(self._model, model_input)
        return {"sample_id": batch["sample_id"], "embedding": embedding.cpu().numpy(), "logits": logits.cpu().numpy()}


@dataclass
class Scores:
    """Model outputs for the samples at `rows` of a dataset, and which model produced them."""

    rows: NDArray[np.int64]
    embedding_ND: NDArray[np.float32]
    logits_NK: NDArray[np.float32]
    temperature_N: NDArray[np.float64]
    fold_N: NDArray[np.int64]
    """0 for the main model, otherwise the fold whose model was trained without the sample."""

    def take_over(self, other: "Scores", *, held_out: NDArray[np.int64], own: NDArray[np.int64], fold: int) -> float:
        """Take the rows `own` from the fold's model, its features rotated onto ours; returns how well both agree.

        The rotation is fitted on the rows `held_out`, which both models scored and neither was trained on. The
        agreement is the mean cosine on one half of these rows, with the rotation fitted on the other half.
        """
        theirs, ours = other._at(held_out), self._at(held_out)
        source, target = other.embedding_ND[theirs], self.embedding_ND[ours]
        own_rows, other_rows = self._at(own), other._at(own)
        self.embedding_ND[own_rows] = other.embedding_ND[other_rows] @ cross_fitting.fit_rotation(source, target)
        self.logits_NK[own_rows] = other.logits_NK[other_rows]
        self.temperature_N[own_rows] = other.temperature_N[other_rows]
        self.fold_N[own_rows] = fold
        return cross_fitting.alignment(source, target)

    def _at(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.rows, rows)


def measure(
    model: nn.Module,
    *,
    rows: NDArray[np.int64],
    dataset: Dataset,
    settings: Settings,
    progress: Progress,
    known_outputs: pl.DataFrame | None = None,
) -> Scores:
    """Scores of the rows (ascending) by one model, with the temperature fitted on its validation samples.

    `known_outputs` contains the `embedding` and `logits` of samples that this model has already scored.
    """
    embedding, logits = score_new(model, dataset, rows, settings, progress, known_outputs)
    validation = dataset.split[rows] == "validation"
    temperature = fit_temperature(logits[validation], dataset.label[rows][validation])
    return Scores(rows, embedding, logits, np.full(len(rows), temperature), np.zeros(len(rows), dtype=np.int64))


def choose_scored(dataset: Dataset, settings: Settings) -> NDArray[np.int64]:
    """Rows to score, ascending: every held-out sample and as many training samples as the preset requests."""
    train = dataset.rows("train")
    if settings.scored_train is not None and settings.scored_train < len(train):
        rng = np.random.default_rng([settings.seed, 4])
        train = rng.choice(train, settings.scored_train, replace=False)
    return np.sort(np.concatenate([train, dataset.rows(*HELD_OUT)]))


def score_new(
    model: nn.Module,
    dataset: Dataset,
    rows: NDArray[np.int64],
    settings: Settings,
    progress: Progress,
    known_outputs: pl.DataFrame | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings [N, D] and raw logits [N, K] of the rows, reusing those in `known_outputs`."""
    if known_outputs is None:
        return score(model, dataset, rows, settings, progress)
    is_known = np.isin(dataset.sample_id[rows], known_outputs["sample_id"].to_numpy())
    reused = known_outputs.filter(pl.col("sample_id").is_in(dataset.sample_id[rows[is_known]].tolist())).sort(
        "sample_id"
    )
    both = [reused[name].explode().to_numpy().reshape(len(reused), -1) for name in ("embedding", "logits")]
    if is_known.all():
        return both[0], both[1]
    joined = [np.zeros((len(rows), old.shape[1]), np.float32) for old in both]
    for all_, old, new in zip(joined, both, score(model, dataset, rows[~is_known], settings, progress), strict=True):
        all_[is_known], all_[~is_known] = old, new
    return joined[0], joined[1]


def score(
    model: nn.Module, dataset: Dataset, rows: NDArray[np.int64], settings: Settings, progress: Progress
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings [N, D] and raw logits [N, K] of the rows."""

    def images(part: slice) -> Batch:
        return {"sample_id": dataset.sample_id[rows[part]], "images_NHWC": dataset.images_NHWC[rows[part]]}

    batches = cut(images, len(rows), settings.score_batch_size)
    outputs = map_batches(
        "score", Scorer, (model, settings.resolution), batches, count=len(rows), settings=settings, progress=progress
    )
    return outputs["embedding"], outputs["logits"]


def fit_temperature(logits_NK: NDArray[np.float32], label: NDArray[np.int64]) -> float:
    """The divisor of the logits that minimises the cross-entropy on held-out samples (Guo et al. 2017).

    It is 1 if there are fewer than 10 samples, which may all be right by chance: any certainty would fit them.
    """
    if len(label) < FEWEST_TO_CALIBRATE:
        return 1.0
    logits, labels = torch.from_numpy(logits_NK), torch.from_numpy(label)
    log_temperature = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(logits / log_temperature.exp(), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(log_temperature.detach().exp())


def predictions_frame(scores: Scores, dataset: Dataset) -> pl.DataFrame:
    """The table `predictions` without the column run_id. Loss is -log p(label) in nats, null if unlabeled."""
    rows = scores.rows
    label = dataset.label[rows]
    log_p, raw_log_p = _log_probabilities(scores)
    probabilities = np.exp(log_p)
    ranked = np.sort(probabilities, axis=1)
    predicted = probabilities.argmax(1)
    labelled, index = label >= 0, np.maximum(label, 0)[:, None]
    expected_loss = -(probabilities * log_p).sum(1).clip(max=0)
    names = np.array(dataset.classes)
    return pl.DataFrame(
        {
            "sample_id": dataset.sample_id[rows],
            "predicted": names[predicted].tolist(),
            "confidence": ranked[:, -1],
            "probabilities": list_column(probabilities),
            "logits": list_column(scores.logits_NK),
            "loss": _where(labelled, 0.0 - np.take_along_axis(log_p, index, 1)[:, 0]),
            "raw_loss": _where(labelled, 0.0 - np.take_along_axis(raw_log_p, index, 1)[:, 0]),
            "expected_loss": expected_loss,
            "entropy": expected_loss / np.log(max(len(dataset.classes), 2)),
            "margin": 2 * ranked[:, -1] - ranked[:, -2:].sum(1),
            "correct": _where(labelled, predicted == label),
            "out_of_sample": (dataset.split[rows] != "train") | (scores.fold_N > 0),
            "fold": _where(scores.fold_N > 0, scores.fold_N),
            "temperature": scores.temperature_N,
        }
    )


def embeddings_frame(scores: Scores, dataset: Dataset) -> pl.DataFrame:
    """The table `embeddings` without the column run_id."""
    return pl.DataFrame({"sample_id": dataset.sample_id[scores.rows], "embedding": list_column(scores.embedding_ND)})


def headline(scores: Scores, dataset: Dataset) -> dict[str, float]:
    """Accuracy and calibration on the test split, by name; `_before` marks values before temperature scaling.

    The loss is the mean cross-entropy in nats; the Brier score is the squared distance between the probabilities and
    the one-hot label (0 to 2); the calibration error uses 15 bins of equal counts. Empty without labelled test samples.
    """
    test = (dataset.split[scores.rows] == "test") & (dataset.label[scores.rows] >= 0)
    if not test.any():
        return {}
    label = dataset.label[scores.rows][test]
    scaled, raw = (_quality(log_p[test], label) for log_p in _log_probabilities(scores))
    unscaled = {f"{name}_before": value for name, value in raw.items() if name != "test_accuracy"}
    return scaled | unscaled | {"temperature": float(scores.temperature_N[test][0])}


def headline_frame(figures: dict[str, float]) -> pl.DataFrame:
    """Headline metrics as a table with the columns name and value."""
    return pl.DataFrame({"name": list(figures), "value": [float(value) for value in figures.values()]})


def _quality(log_p_NK: NDArray[np.float64], label: NDArray[np.int64]) -> dict[str, float]:
    p_NK = np.exp(log_p_NK)
    correct, own = p_NK.argmax(1) == label, np.take_along_axis(log_p_NK, label[:, None], 1)[:, 0]
    return {
        "test_accuracy": correct.mean(),
        "test_loss": -own.mean(),
        "brier_score": ((p_NK**2).sum(1) - 2 * np.exp(own) + 1).mean(),
        "calibration_error": calibration_error(p_NK.max(1), correct),
    }


def _log_probabilities(scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-probabilities [N, K] after temperature scaling, and before it."""
    logits = scores.logits_NK.astype(np.float64)
    return _log_softmax(logits / scores.temperature_N[:, None]), _log_softmax(logits)


def list_column(values_ND: NDArray[Any]) -> pl.Series:
    """Rows as a column of float32 lists (Delta cannot scan arrays back)."""
    return pl.Series(values_ND.astype(np.float32)).cast(pl.List(pl.Float32))


def _where(valid: NDArray[np.bool_], values: NDArray[Any]) -> pl.Series:
    return pl.Series(values).set(pl.Series(~valid), None)


def _log_softmax(logits_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits_NK - logits_NK.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))
