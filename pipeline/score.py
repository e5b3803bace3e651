"""Scoring: embedding, logits and calibrated loss of every sample the preset asks for.

Shapes: N samples, K classes, D = 512 features.
"""

from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.datasets import HELD_OUT, Dataset
from pipeline.model import forward, normalize
from pipeline.progress import Progress
from pipeline.settings import Settings


class Scorer:
    """Embeddings and logits of a batch of images; the callable contract of Ray Data's `map_batches`."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model.eval()

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            embedding, logits = forward(self._model, normalize(torch.from_numpy(batch["images_NHWC"])))
        return {"sample_id": batch["sample_id"], "embedding": embedding.numpy(), "logits": logits.numpy()}


def choose_scored(dataset: Dataset, settings: Settings) -> NDArray[np.int64]:
    """Rows to score: every held-out sample and the training samples the preset asks for, ascending."""
    train = dataset.rows("train")
    if settings.scored_train is not None and settings.scored_train < len(train):
        rng = np.random.default_rng([settings.seed, 4])
        train = rng.choice(train, settings.scored_train, replace=False)
    return np.sort(np.concatenate([train, dataset.rows(*HELD_OUT)]))


def score(
    scorer: Scorer, dataset: Dataset, rows: NDArray[np.int64], settings: Settings, progress: Progress
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings [N, D] and raw logits [N, K] of the rows."""
    torch.set_num_threads(settings.threads)
    parts = []
    with progress.task("score", len(rows)) as task:
        for start in range(0, len(rows), settings.score_batch_size):
            chosen = rows[start : start + settings.score_batch_size]
            batch: dict[str, NDArray[Any]] = {
                "sample_id": dataset.sample_id[chosen],
                "images_NHWC": dataset.images_NHWC[chosen],
            }
            parts.append(scorer(batch))
            task.advance(len(chosen))
    return np.concatenate([p["embedding"] for p in parts]), np.concatenate([p["logits"] for p in parts])


def fit_temperature(logits_NK: NDArray[np.float32], label: NDArray[np.int64]) -> float:
    """The divisor of the logits that minimises cross-entropy on held-out samples. Guo et al. 2017."""
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


def predictions_frame(
    logits_NK: NDArray[np.float32], dataset: Dataset, rows: NDArray[np.int64], temperature: float
) -> pl.DataFrame:
    """The `predictions` table but for its run_id. Loss is -log p(label) in nats, null where unlabeled."""
    label = dataset.label[rows]
    log_p = _log_softmax(logits_NK.astype(np.float64) / temperature)
    raw_log_p = _log_softmax(logits_NK.astype(np.float64))
    probabilities = np.exp(log_p)
    ranked = np.sort(probabilities, axis=1)
    predicted = probabilities.argmax(1)
    labelled, index = label >= 0, np.maximum(label, 0)[:, None]
    names = np.array(dataset.classes)
    return pl.DataFrame(
        {
            "sample_id": dataset.sample_id[rows],
            "predicted": names[predicted].tolist(),
            "confidence": ranked[:, -1],
            "probabilities": list_column(probabilities),
            "logits": list_column(logits_NK),
            "loss": _where(labelled, -np.take_along_axis(log_p, index, 1)[:, 0]),
            "raw_loss": _where(labelled, -np.take_along_axis(raw_log_p, index, 1)[:, 0]),
            "expected_loss": -(probabilities * log_p).sum(1).clip(max=0),
            "margin": ranked[:, -1] - ranked[:, -2],
            "correct": _where(labelled, predicted == label),
            "out_of_sample": dataset.split[rows] != "train",
        }
    )


def list_column(values_ND: NDArray[Any]) -> pl.Series:
    """Rows as a column of lists of float32 (Delta cannot scan arrays back)."""
    return pl.Series(values_ND.astype(np.float32)).cast(pl.List(pl.Float32))


def _where(known: NDArray[np.bool_], values: NDArray[Any]) -> pl.Series:
    return pl.Series(values).set(pl.Series(~known), None)


def _log_softmax(logits_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits_NK - logits_NK.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))
