"""When is the model trained again? Never, if it is old and its inputs changed, or whenever they change."""

import datetime as dt
import json

from pipeline.before import Before
from pipeline.progress import Progress
from pipeline.settings import Phase, Settings


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
    """The settings with the phases the kept model was trained in, which say at what size it is shown images."""
    phases = json.loads(before.run.facts["config"])["phases"]
    return settings.model_copy(update={"phases": [Phase(**phase) for phase in phases]})
