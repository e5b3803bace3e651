"""The models that a run is measured by: that of the whole training split, and those of folds that leave a part out.

Or the one that was brought as a checkpoint.
"""

import math
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lake.errors import UserError
from pipeline import (
    architecture,
    augment,
    brought_model,
    distributed,
    dynamics,
    folds,
    model,
    muon,
    schedule,
    stage_tables,
    train,
    whitening,
)
from pipeline.before import Before
from pipeline.datasets import Dataset
from pipeline.plan import Plan
from pipeline.progress import Progress
from pipeline.retrain import keeps_model, with_kept_model
from pipeline.settings import Settings
from pipeline.workspace import CHECKPOINT, Finished, Workspace, hash_facts

TRAIN_SETTINGS = (
    "seed",
    "threads",
    "device",
    "model",
    "mean",
    "std",
    "pretrained",
    "phases",
    "batch_size",
    "crop_padding",
    "optimizer",
    "momentum",
    "ns_steps",
    "learning_rate",
    "other_rate_scale",
    "weight_decay",
    "label_smoothing",
    "warmup",
)
TRAIN_CODE = (train, schedule, augment, whitening, dynamics, distributed, architecture, model, muon)
FEWEST_IMAGES = 2
BROUGHT_SETTINGS = ("threads", "device", "model", "mean", "std", "checkpoint_classes", "phases")
BROUGHT_CODE = (brought_model, architecture, model)


def check_splits(dataset: Dataset, settings: Settings) -> None:
    """Raises `UserError` where a split has too few labelled images: what is left of it by reviews and `samples`.

    A test sample tells how good the model is, a validation sample its temperature, and by fewer than two images no
    batch of a training can be normalised.
    """
    for name in ("test",) if dataset.brought else ("validation", "test"):
        if not (dataset.label[dataset.rows(name)] >= 0).any():
            raise UserError(f"{dataset.name} has no labelled image of the split {name} left: add some.")
    images, folds = len(dataset.rows("train")), settings.folds
    left = images - math.ceil(images / folds) if folds else images
    if left < FEWEST_IMAGES and not (settings.checkpoint or dataset.brought):
        of_fold = f", of which folds = {folds} leaves a training {left}" if folds else ""
        raise UserError(
            f"The split train of {dataset.name} has too few images ({images:,}{of_fold}): {FEWEST_IMAGES} are needed."
        )


class Trainings:
    """The trainings of a dataset under some settings, or the model of the run before where that is kept.

    `settings` are those given, or with the phases of the model that is kept.
    """

    def __init__(
        self,
        dataset: Dataset,
        settings: Settings,
        progress: Progress,
        *,
        work: Workspace,
        plan: Plan,
        before: Before | None,
    ) -> None:
        self._dataset, self._progress, self._plan, self.settings = dataset, progress, plan, settings
        self._key = partial(work.key, settings=TRAIN_SETTINGS, code=TRAIN_CODE)
        self._brought = partial(work.key, settings=BROUGHT_SETTINGS, code=BROUGHT_CODE)
        self._check()
        brought = settings.checkpoint is not None
        self._keeps = not brought and keeps_model(before, settings, self._wanted("train"), progress)
        if before and self._keeps:
            self.settings = with_kept_model(before, settings)

    @cached_property
    def fold_of_train(self) -> NDArray[np.int64]:
        """The fold of each training sample, in the order of the dataset; 0 for all without folds."""
        label = self._dataset.label[self._dataset.rows("train")]
        return folds.assign_folds(label, self.settings.folds, seed=self.settings.seed)

    def main(self) -> Finished:
        """The model of the whole training split, or the one that was brought."""
        if self.settings.checkpoint:
            return self._plan.training(
                "train",
                lambda folder: brought_model.keep_model(folder, self._dataset, self.settings),
                wanted=self._wanted("train"),
                keep=False,
            )
        return self._training("train", self._dataset.rows("train"))

    def of_folds(self) -> list[Finished]:
        """The models of the folds: number k never saw the training samples of fold k."""
        rows, count = self._dataset.rows("train"), self.settings.folds
        return [self._training(f"fold-{k}", rows[self.fold_of_train != k]) for k in range(1, count + 1)]

    def classifier(self, training: Finished) -> nn.Module:
        """The model that a training left, where the settings want it to run."""
        classifier, _ = model.load_checkpoint(
            training.folder / CHECKPOINT,
            classes=self._dataset.classes,
            dataset_id=self._dataset.dataset_id,
            layers=self.settings.loss_map_layers,
        )
        return classifier.to(model.choose_device(self.settings.device))

    def _check(self) -> None:
        """Raises `UserError` before anything is computed where the settings name a model that cannot be had."""
        classes, settings = self._dataset.classes, self.settings
        if brought_model.find_file(settings):
            brought_model.load_brought(classes, settings)
        elif settings.model != model.DEFAULT.name or settings.loss_map_layers:
            created = model.create_model(len(classes), architecture.architecture_of(settings))
            architecture.check(created, sorted({phase.resolution for phase in settings.phases}))

    def _wanted(self, name: str) -> str:
        """The fingerprint of a training on the training split as it is now."""
        if self.settings.checkpoint:
            content = brought_model.hash_file(self.settings.checkpoint)
            return self._brought(name, inputs=(self._dataset.dataset_id, *self._dataset.classes, content))
        part = () if name == "train" else (name, hash_facts(self.fold_of_train.tolist()))
        return self._key(name, inputs=(self._dataset.dataset_id, self._dataset.content("train"), *part))

    def _training(self, name: str, rows: NDArray[np.int64]) -> Finished:
        return self._plan.training(
            name,
            lambda folder: stage_tables.train_model(folder, self._dataset, rows, self.settings, self._progress),
            wanted=self._wanted(name),
            keep=self._keeps,
        )
