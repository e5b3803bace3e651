"""Retraining policy: whether to keep the model of the previous run, although the inputs of its training changed."""

import datetime as dt

from pipeline.engine.previous_run import PreviousRun
from pipeline.engine.progress import Progress
from pipeline.settings import Phase, Settings

KEPT = ("model", "mean", "std")
"""Settings of a kept model; runs from before these settings existed had the defaults."""


def keeps_model(previous: PreviousRun | None, settings: Settings, fingerprint: str, progress: Progress) -> bool:
    """Whether to keep the model of the previous run, although `fingerprint` is that of a different training.

    A run with folds never keeps it, because the record of which model has not seen which sample would no longer hold.
    """
    record = previous.record("train") if previous else None
    if previous is None or record is None or record.fingerprint == fingerprint or settings.retrain == "always":
        return False
    if settings.folds or previous.record("fold-1"):
        progress.say("With folds a model is trained again whenever its inputs change.")
        return False
    if settings.retrain == "if-stale" and previous.model_age >= dt.timedelta(days=settings.stale_days):
        return False
    progress.say(
        f"The model of {previous.run.run_id} is kept (--retrain {settings.retrain}), although its inputs changed."
    )
    return True


def with_kept_model(previous: PreviousRun, settings: Settings) -> Settings:
    """The settings with the architecture of the kept model and its training phases, which define the image size."""
    config = previous.config
    values = {name: Settings.model_fields[name].default for name in KEPT} | config
    architecture = {"model": values["model"], "mean": tuple(values["mean"]), "std": tuple(values["std"])}
    return settings.model_copy(update=architecture | {"phases": [Phase(**phase) for phase in config["phases"]]})
