"""The stages in order, resumable, into one publish.

`refresh(settings)` returns what it published; a failure or a kill at any moment changes nothing readers see.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from filelock import FileLock, Timeout

from lake.errors import LakeError, RetryLater
from lake.store import Lake
from pipeline.budget import fit_schedule
from pipeline.corrections import honour_reviews, report_reviews
from pipeline.datasets import Dataset, load_dataset
from pipeline.progress import Progress
from pipeline.publish import run_facts, stage_metrics, stage_tables
from pipeline.settings import Settings
from pipeline.stages import Stages
from pipeline.train import training_set
from pipeline.workspace import hash_facts, measure_cost


@dataclass(frozen=True)
class Outcome:
    """The run readers now see, and whether this refresh made it."""

    run_id: str
    published: bool


def refresh(settings: Settings, progress: Progress, *, force: bool = False, dataset: Dataset | None = None) -> Outcome:
    """Compute what is missing and publish it; nothing new (same data, settings and code) publishes nothing.

    `dataset` stands in for the one the settings name.

    Raises `UserError` with what to do; `RetryLater` while another refresh of this lake is running.
    """
    lake = Lake(settings.lake)
    with _only_one(lake):
        published = lake.runs()
        started = dt.datetime.now(dt.UTC)
        with measure_cost() as data_cost:
            dataset = _load(lake, settings, progress, dataset)
            reviews = report_reviews(lake, dataset.dataset_id, progress)
        settings = fit_schedule(settings, training_set(dataset, dataset.rows("train")), progress)
        stages = Stages(dataset, settings, progress).run()
        fingerprint = hash_facts([stage.fingerprint for stage in stages.values()])
        same = published.filter(pl.col("fingerprint") == fingerprint)
        if len(same) and not force:
            progress.say(f"Nothing new: data, settings and code are those of {same['run_id'][0]}.")
            return Outcome(same["run_id"][0], published=False)
        run_id = f"{started:%Y%m%d-%H%M%S}-{fingerprint[:6]}"
        costs = {"data": data_cost, **{name: stage.cost for name, stage in stages.items()}}
        costs["write"] = stage_tables(lake, run_id, dataset, stages, settings, progress)
        headline = dict(stages["score"].frames["headline"].iter_rows())
        stage_metrics(lake, run_id, costs, {"score": headline, "reviews": reviews})
        lake.publish(run_facts(run_id, started, dataset, settings, fingerprint))
        progress.say(f"Published {run_id}.")
        return Outcome(run_id, published=True)


def help_refresh(settings: Settings, progress: Progress, *, dataset: Dataset | None = None) -> None:
    """What a process of `torchrun` other than the first does: its part of each training of `refresh`."""
    Stages(_load(Lake(settings.lake), settings, progress, dataset), settings, progress).help_training()


def _load(lake: Lake, settings: Settings, progress: Progress, dataset: Dataset | None) -> Dataset:
    """The dataset the settings name, or the one that stands in for it; corrected by people if they ask for it."""
    dataset = dataset or load_dataset(settings, progress)
    return honour_reviews(lake, dataset, progress) if settings.apply_reviews else dataset


@contextmanager
def _only_one(lake: Lake) -> Iterator[None]:
    """Hold the lake's refresh lock; a lock whose process died is free again."""
    if "://" in lake.root:
        yield
        return
    path = Path(lake.root) / "refresh.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        lock.acquire()
    except Timeout:
        raise RetryLater(f"Another refresh of {lake.root} is running: try again when it has finished.") from None
    except OSError as error:
        raise LakeError(
            f"The lake {lake.root} cannot be written ({error.strerror or error}): fix its permissions or name "
            "another folder with --lake."
        ) from None
    try:
        yield
    finally:
        lock.release()
