"""When is the model trained again? Never, if it is old and its inputs changed, or whenever they change."""

import datetime as dt

from pipeline.engine.previous_run import PreviousRun
from pipeline.engine.progress import Progress
from pipeline.settings import Phase, Settings

KEPT = ("model", "mean", "std")
"""Settings that a kept model was made under; runs from before they were there had the defaults."""


def keeps_model(previous: PreviousRun | None, settings: Settings, wanted: str, progress: Progress) -> bool:
    """Whether the model of the previous run stays, although `wanted` is the fingerprint of another training.

    One of a run with folds does not: which sample which model never saw would no longer hold.
    """
    record = previous.record("train") if previous else None
    if previous is None or record is None or record.fingerprint == wanted or settings.retrain == "always":
        return False
    if settings.folds or previous.record("fold-1"):
        progress.say("With folds a model is trained again whenever its inputs change.")
        return False
    if settings.retrain == "if-stale" and previous.model_age >= dt.timedelta(days=settings.stale_days):
        return False
    progress.say(f"The model of {previous.run.run_id} stays (--retrain {settings.retrain}), though its inputs changed.")
    return True


def with_kept_model(previous: PreviousRun, settings: Settings) -> Settings:
    """The settings with what the kept model is, and the phases of its training, which say at what size it looks."""
    config = previous.config
    given = {name: Settings.model_fields[name].default for name in KEPT} | config
    kept = {"model": given["model"], "mean": tuple(given["mean"]), "std": tuple(given["std"])}
    return settings.model_copy(update=kept | {"phases": [Phase(**phase) for phase in config["phases"]]})
