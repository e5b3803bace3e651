"""Run one refresh: compute the stages in order, resumable, and publish them atomically.

`refresh(settings)` returns what it published; a failure or kill at any moment changes nothing that readers see.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import polars as pl

from lake.errors import BrokenContract, LakeError, RetryLater, UserError
from lake.query.refused import STAGE, USABLE
from lake.storage.attempts import clear_attempt, record_attempt
from lake.storage.store import Lake
from pipeline.config import caches
from pipeline.data.dataset import Dataset
from pipeline.data.dataset_id import data_name
from pipeline.data.few_images import needs_model
from pipeline.data.incoming.add import add_new_data
from pipeline.data.load import load_dataset
from pipeline.data.review_corrections import honour_reviews, report_reviews
from pipeline.engine.hashing import hash_facts
from pipeline.engine.previous_run import find_previous_run
from pipeline.engine.progress import Progress
from pipeline.engine.refresh_lock import only_one
from pipeline.engine.stage_cache import Finished, measure_cost
from pipeline.model.time_budget import fit_schedule
from pipeline.model.train import training_set
from pipeline.refresh.accuracy_gate import Refused, accuracy_of, find_reason, last_published
from pipeline.refresh.unchanged import hash_request, keep_answer
from pipeline.refresh.write_tables import run_facts, stage_metrics, stage_tables
from pipeline.settings import Settings
from pipeline.source.errors import UnusableSource
from pipeline.stages.graph import Stages
from pipeline.stages.trainings import check_splits
from pipeline.stages.without_model import use_pixels


@dataclass(frozen=True)
class Outcome:
    """The run that readers now see, and whether this refresh published it."""

    run_id: str
    published: bool


def refresh(
    settings: Settings,
    progress: Progress,
    *,
    force: bool = False,
    accept: bool = False,
    dataset: Dataset | None = None,
) -> Outcome:
    """Compute what is missing and publish it; if data, settings and code are unchanged, nothing is published.

    `dataset` replaces the one named by the settings. `force` publishes an unchanged run, or one that the gate refuses.
    `accept` takes the suggestions for what is unclear about the data.

    Raises `UserError` with advice, `Unclear` if the data are, `RetryLater` while another refresh of this lake is
    running, and `Refused` if a run was computed that must not be published.
    """
    lake = Lake(settings.lake)
    with only_one(lake, progress):
        lake.runs()  # fail early if the lake cannot be read
        with _recorded(lake, settings):
            request = hash_request(settings, lake)
        outcome = _refresh(lake, settings, progress, force=force, accept=accept, dataset=dataset)
        if not outcome.published:
            clear_attempt(lake, data_name(settings))
        keep_answer(settings, request, outcome.run_id, progress)
        return outcome


@contextmanager
def _recorded(lake: Lake, settings: Settings) -> Iterator[None]:
    """Record in the lake that the data could not be used, and why, for those who read it."""
    try:
        yield
    except RetryLater:
        raise
    except UserError as error:
        refused = error.refused if isinstance(error, UnusableSource) else []
        with suppress(LakeError):
            rows = [(file, why.reason, why.detail) for file, why in refused]
            record_attempt(lake, data_name(settings), str(error), rows)
        raise


def help_refresh(settings: Settings, progress: Progress, *, dataset: Dataset | None = None) -> None:
    """Take part in each training of `refresh`, as a process of `torchrun` other than the first."""
    open_stages(settings, progress, dataset=dataset).help_training()


def open_stages(
    settings: Settings, progress: Progress, *, accept: bool = False, dataset: Dataset | None = None
) -> Stages:
    """The stages of a refresh under these settings: the data are loaded, nothing is computed yet."""
    caches.settle(settings.work_dir)
    lake = Lake(settings.lake)
    dataset = _load(lake, settings, progress, dataset, accept=accept)
    previous = find_previous_run(lake, dataset.dataset_id)
    check_splits(dataset, settings)
    if not dataset.external:
        settings = fit_schedule(settings, training_set(dataset, dataset.rows("train")), progress)
    return Stages(dataset, settings, progress, previous)


def _refresh(
    lake: Lake, settings: Settings, progress: Progress, *, force: bool, accept: bool, dataset: Dataset | None
) -> Outcome:
    started = dt.datetime.now(dt.UTC)
    with measure_cost() as data_cost:
        stage_graph = open_stages(settings, progress, accept=accept, dataset=dataset)
        dataset, settings = stage_graph.dataset, stage_graph.settings
        reviews = report_reviews(lake, dataset.dataset_id, progress)
    stages = stage_graph.run()
    fingerprint = hash_facts([stage.fingerprint for stage in stages.values()])
    run_id = f"{started:%Y%m%d-%H%M%S}-{fingerprint[:6]}"
    facts = run_facts(run_id, started, dataset, settings, fingerprint) | {"stages": _records(stages)}
    if not force and (same := _answered(lake, facts)):
        progress.say(f"Nothing new: data, settings and code are the same as for {same}.")
        return Outcome(same, published=False)
    costs = {"data": data_cost, **{name: stage.cost for name, stage in stages.items()}}
    costs["write"] = stage_tables(lake, run_id, dataset, stages, settings, progress)
    counted = {} if dataset.usable is None else {USABLE: float(dataset.usable)}
    stage_metrics(lake, run_id, costs, {"score": _headline(stages), "reviews": reviews, STAGE: counted})
    _publish(lake, facts, _headline(stages).get("test_accuracy"), settings, force=force)
    progress.say(f"Published {run_id}.")
    return Outcome(run_id, published=True)


def _load(lake: Lake, settings: Settings, progress: Progress, dataset: Dataset | None, *, accept: bool) -> Dataset:
    """The dataset of the settings or the given one, with new data added and review verdicts applied if configured."""
    with _recorded(lake, settings):
        if dataset is None:
            dataset = load_dataset(settings, progress, accept=accept)
        dataset = add_new_data(dataset, settings, lake, progress)
    if not dataset.external and not needs_model(dataset.classes):
        dataset = use_pixels(dataset)
    return honour_reviews(lake, dataset, progress) if settings.apply_reviews else dataset


def _records(stages: dict[str, Finished]) -> list[dict[str, str]]:
    """The records of the stages, as read by `pipeline.engine.previous_run`."""
    return [
        {"name": name, "fingerprint": stage.fingerprint, "row_key": stage.value_key, "fit": stage.fit_id}
        for name, stage in stages.items()
    ]


def _headline(stages: dict[str, Finished]) -> dict[str, float]:
    return dict(stages["score"].frames["headline"].iter_rows())


def _answered(lake: Lake, facts: dict[str, object]) -> str | None:
    """The last published run of this dataset and preset if it has the same fingerprint, otherwise None.

    Raises `Refused` if a run with this fingerprint was refused before.
    """
    alike = (pl.col("dataset_id") == facts["dataset_id"], pl.col("preset") == facts["preset"])
    newest = lake.runs().filter(*alike).head(1).filter(pl.col("fingerprint") == facts["fingerprint"])
    refused = lake.rejected().filter(pl.col("fingerprint") == facts["fingerprint"])
    if newest.is_empty() and len(refused):
        raise Refused(refused["run_id"][0], refused["reason"][0])
    return newest["run_id"][0] if len(newest) else None


def _publish(lake: Lake, facts: dict[str, object], accuracy: float | None, settings: Settings, *, force: bool) -> None:
    """Publish the run, or store it as rejected with the reason; errors of the machine do not reject it."""
    previous = last_published(lake, str(facts["dataset_id"]))
    reason = find_reason(accuracy, previous, settings)
    accuracies = {
        "before_run_id": previous.run_id if previous else None,
        "test_accuracy": accuracy,
        "accuracy_before": accuracy_of(previous),
    }
    if reason and not force:
        lake.reject(facts, reason, accuracies)
        raise Refused(str(facts["run_id"]), reason)
    try:
        lake.publish(facts | {"forced": reason})
    except BrokenContract as error:
        lake.reject(facts, str(error), accuracies)
        raise
