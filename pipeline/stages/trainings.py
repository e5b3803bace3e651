"""The models that score a run: that of the whole training split and those of the folds, or an external checkpoint."""

import math
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lake.errors import UserError
from pipeline.data.dataset import Dataset
from pipeline.engine.hashing import hash_facts
from pipeline.engine.previous_run import PreviousRun
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import Finished, Frames, Workspace
from pipeline.measure import cross_fitting
from pipeline.model import architecture, classifier, external_checkpoint
from pipeline.settings import Settings
from pipeline.stages import tables as stage_tables
from pipeline.stages.retrain_policy import keeps_model, with_kept_model

TRAIN_SETTINGS = (
    "seed",
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
CHECKPOINT_SETTINGS = ("model", "mean", "std", "checkpoint_classes", "phases")
FEWEST_IMAGES = 2


def check_splits(dataset: Dataset, settings: Settings) -> None:
    """Raises `UserError` if a split has too few labelled images left after reviews and the setting `samples`.

    Test samples measure accuracy and validation samples fit the temperature; with fewer than two training images,
    batches cannot be normalised. External predictions may come without any label.
    """
    needed = ("test",) if (dataset.label >= 0).any() else ()
    for name in needed if dataset.external else ("validation", "test"):
        if not (dataset.label[dataset.rows(name)] >= 0).any():
            raise UserError(f"{dataset.name} has no labelled image left in the split {name}: add some.")
    images, folds = len(dataset.rows("train")), settings.folds
    images_left = images - math.ceil(images / folds) if folds else images
    if images_left < FEWEST_IMAGES and not (settings.checkpoint or dataset.external):
        of_fold = f", of which folds = {folds} leaves {images_left} for a training" if folds else ""
        raise UserError(
            f"The split train of {dataset.name} has too few images ({images:,}{of_fold}): "
            f"at least {FEWEST_IMAGES} are needed."
        )


class Trainings:
    """The trainings of a dataset under some settings, or the model of the previous run if that is kept.

    `settings` are the given ones, with the architecture and phases of a kept model if there is one. `adopts` is whether
    the model of a run from an earlier version is taken over.
    """

    def __init__(
        self,
        dataset: Dataset,
        settings: Settings,
        progress: Progress,
        *,
        work: Workspace,
        previous: PreviousRun | None,
    ) -> None:
        self._dataset, self._progress, self._work, self._previous = dataset, progress, work, previous
        self.settings = settings
        self._check()
        external = settings.checkpoint is not None
        self.adopts = previous is not None and not external and adopts_model(previous, dataset, settings)
        fingerprint = self._fingerprint("train")
        self._keeps = not (external or self.adopts) and keeps_model(previous, settings, fingerprint, progress)
        if previous and self._keeps:
            self.settings = with_kept_model(previous, settings)

    @cached_property
    def fold_of_train(self) -> NDArray[np.int64]:
        """The fold of each training sample, in dataset order; all 0 without folds."""
        label = self._dataset.label[self._dataset.rows("train")]
        return cross_fitting.assign_folds(label, self.settings.folds, seed=self.settings.seed)

    @cached_property
    def adopts_folds(self) -> bool:
        """Whether the fold models are taken over too: only if every training sample is in the same fold as before.

        Otherwise a sample could be scored by a model trained on it and still count as out of sample.
        """
        if self._previous is None or not self.adopts:
            return False
        train = self._dataset.sample_id[self._dataset.rows("train")]
        return self._previous.folds() == dict(zip(train.tolist(), self.fold_of_train.tolist(), strict=True))

    def main(self) -> Finished:
        """The model of the whole training split, or the external checkpoint."""
        if self.settings.checkpoint:
            return self._find(
                "train", partial(external_checkpoint.keep_model, dataset=self._dataset, settings=self.settings)
            )
        return self._training("train", self._dataset.rows("train"))

    def of_folds(self) -> list[Finished]:
        """The models of the folds: number k has not seen the training samples of fold k."""
        rows, count = self._dataset.rows("train"), self.settings.folds
        return [self._training(f"fold-{k}", rows[self.fold_of_train != k]) for k in range(1, count + 1)]

    def say_adopted(self) -> str:
        """Describe which models of a run from an earlier version are taken over."""
        if not (self.adopts or self._keeps):
            return "none of its models is reused"
        if self.settings.folds and not self.adopts_folds:
            return "its model is reused, those of the folds are not"
        return "its models are reused" if self.settings.folds else "its model is reused"

    def _check(self) -> None:
        """Raises `UserError`, before anything is computed, if the settings name a model that cannot be used."""
        classes, settings = self._dataset.classes, self.settings
        if external_checkpoint.find_file(settings):
            external_checkpoint.load_external_model(classes, settings)
        elif settings.model != classifier.DEFAULT.name or settings.loss_map_layers:
            model = classifier.create_model(len(classes), architecture.architecture_of(settings))
            architecture.check(model, sorted({phase.resolution for phase in settings.phases}))

    def _fingerprint(self, name: str) -> str:
        """The fingerprint of a training on the current training split."""
        dataset = self._dataset
        if self.settings.checkpoint:
            content = external_checkpoint.hash_file(self.settings.checkpoint)
            facts = (dataset.dataset_id, *dataset.classes, content)
            return self._work.key(
                name, settings=CHECKPOINT_SETTINGS, code=(external_checkpoint.keep_model,), facts=facts
            )
        fold_facts = () if name == "train" else (name, hash_facts(self.fold_of_train.tolist()))
        facts = (dataset.dataset_id, dataset.content("train"), *fold_facts)
        return self._work.key(name, settings=TRAIN_SETTINGS, code=(stage_tables.train_model,), facts=facts)

    def _training(self, name: str, rows: NDArray[np.int64]) -> Finished:
        settings, progress = self.settings, self._progress
        return self._find(
            name, lambda folder: stage_tables.train_model(folder, self._dataset, rows, settings, progress)
        )

    def _find(self, name: str, train: Callable[[Path], Frames]) -> Finished:
        """The training under the current settings, or that of the previous run.

        A model in the lake is restored, not trained again.
        """
        previous = self._previous
        record = previous.record(name) if previous else None
        fingerprint = record.fingerprint if record and self._keeps else self._fingerprint(name)

        def compute(folder: Path) -> Frames:
            adopted = self.adopts if name == "train" else self.adopts_folds
            if previous and record and (adopted or record.fingerprint == fingerprint):
                return previous.restore_training(name, folder)
            return train(folder)

        return self._work.find(name, fingerprint, compute, value_key=fingerprint)


def adopts_model(previous: PreviousRun, dataset: Dataset, settings: Settings) -> bool:
    """Whether to take over the model of a run with keys of an earlier rule, judged by data and settings alone."""
    record = previous.record("train")
    if record is None or record.is_comparable:
        return False
    training_run = previous.find_training_run(record)
    values = settings.model_dump(mode="json")
    return (
        training_run is not None
        and training_run.content("train") == dataset.content("train")
        and all(values[name] == training_run.config.get(name, values[name]) for name in (*TRAIN_SETTINGS, "folds"))
    )
