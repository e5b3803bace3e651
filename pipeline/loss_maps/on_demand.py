"""Explain one image at a time: for a map that was not computed beforehand, or an image that is not in a lake.

`OnDemand(load_model(run))` holds the model and can be called from several threads.
"""

from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from pipeline.engine.batch_map import Batch
from pipeline.loss_maps.hirescam import Explainer
from pipeline.loss_maps.occlusion import Checker
from pipeline.measure.score import Scorer
from pipeline.model.published_model import StoredModel


@dataclass(frozen=True)
class Explained:
    """What raises and lowers the loss of a class for one image, or the margin of one class over another, in nats."""

    value: float
    """The loss or the margin."""
    maps: dict[str, NDArray[np.float32]]
    """Maps [H, W] by layer."""
    checks: dict[str, dict[str, float]]
    """By layer, the value with the red or blue quarter or an equal area elsewhere blurred; NaN below the floor."""


class OnDemand:
    """The maps of a stored model, one image at a time."""

    def __init__(self, stored: StoredModel) -> None:
        self._temperature = stored.temperature
        self._scorer = Scorer(stored.model, stored.resolution)
        self._explainer = Explainer(stored.model, stored.resolution, stored.temperature)
        self._lock = Lock()  # grad-cam stores the activations of a call on the model

    def embedding(self, image_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features before the classification layer [D]."""
        return np.asarray(self._score(image_HWC)["embedding"][0])

    def probabilities(self, image_HWC: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Calibrated probability of each class [K]."""
        logits = self._score(image_HWC)["logits"][0]
        shifted = np.exp((logits.astype(np.float64) - logits.max()) / self._temperature)
        return np.asarray(shifted / shifted.sum())

    def _score(self, image_HWC: NDArray[np.uint8]) -> Batch:
        with self._lock:
            return self._scorer({"sample_id": np.zeros(1), "images_NHWC": image_HWC[None]})

    def explain(self, image_HWC: NDArray[np.uint8], target: int, behind: int | None = None) -> Explained:
        """Maps and checks at every layer of the target's loss or, if `behind` is a class, of its margin over it."""
        images, targets = image_HWC[None], np.array([target])
        behind_classes = None if behind is None else np.array([behind])
        batch: Batch = {"sample_id": np.zeros(1), "images_NHWC": images, "target": targets}
        layers = self._explainer.layers
        with self._lock:
            maps = self._explainer(batch if behind_classes is None else batch | {"behind": behind_classes})
            checker = Checker(self._scorer, self._temperature, seed=0)
            value = float(checker.measure(images, targets, behind_classes)[0])
            checked = {layer: checker(images, maps[layer], targets, behind_classes) for layer in layers}
        checks = {layer: {name: float(v[0]) for name, v in values.items()} for layer, values in checked.items()}
        return Explained(value, {layer: maps[layer][0] for layer in layers}, checks)
