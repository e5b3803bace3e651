"""When is the model trained again? Never, if it is old and its inputs changed, or whenever they change."""

import datetime as dt
import json

from pipeline.before import Before
from pipeline.progress import Progress
from pipeline.settings import Phase, Settings

KEPT = ("model", "mean", "std")
"""Settings that a kept model was made under; runs from before they were there had the defaults."""


def keeps_model(before: Before | None, settings: Settings, wanted: str, progress: Progress) -> bool:
    """Whether the model of the run before stays, although `wanted` is the fingerprint of another training.

    One of a run with folds does not: which sample which model never saw would no longer hold.
    """
    record = before.record("train") if before else None
    if before is None or record is None or record.fingerprint == wanted or settings.retrain == "always":
        return False
    if settings.folds or before.record("fold-1"):
        progress.say("With folds a model is trained again whenever its inputs change.")
        return False
    if settings.retrain == "if-stale" and before.model_age >= dt.timedelta(days=settings.stale_days):
        return False
    progress.say(f"The model of {before.run.run_id} stays (--retrain {settings.retrain}), though its inputs changed.")
    return True


def with_kept_model(before: Before, settings: Settings) -> Settings:
    """The settings with what the kept model is, and the phases of its training, which say at what size it looks."""
    config = json.loads(before.run.facts["config"])
    given = {name: Settings.model_fields[name].default for name in KEPT} | config
    kept = {"model": given["model"], "mean": tuple(given["mean"]), "std": tuple(given["std"])}
    return settings.model_copy(update=kept | {"phases": [Phase(**phase) for phase in config["phases"]]})
