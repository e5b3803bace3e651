"""What `latentlake.refresh` is given from python, as settings and dataset."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from lake.errors import UsageError
from pipeline import caches, logs
from pipeline.datasets import Dataset
from pipeline.progress import Progress
from pipeline.settings import Settings, load_settings


def read_arguments(config: Any, dataset: Any, values: dict[str, Any]) -> tuple[Settings, Dataset | None]:
    """The settings that path or dict, source or section, and values by name make, and a dataset that is given whole.

    Raises `UsageError` naming what cannot be right.
    """
    if isinstance(config, Settings):
        return _whole(config, dataset, values)
    given = config if isinstance(config, Mapping) else {}
    chosen = {**given, **values}
    if unknown := [name for name in chosen if name not in Settings.model_fields]:
        raise UsageError(f"{unknown[0]!r} is no setting: `latentlake config` lists them.")
    if dataset is not None and not isinstance(dataset, Dataset):
        chosen["dataset"] = _section(dataset)
    return load_settings(_file(config), **chosen), dataset if isinstance(dataset, Dataset) else None


def refresh_here(settings: Settings, dataset: Dataset | None) -> str:
    """Refresh in a process that is not ours; returns the id of the run that readers now see.

    Threads and random state of torch, and the log, are the caller's again afterwards. Raises `ImportError` where the
    training packages are missing.
    """
    caches.settle(settings.work_dir)
    from pipeline.refresh import refresh

    with _log_on_stderr(settings), _own_torch():
        return refresh(settings, Progress(bars=settings.log == "text"), dataset=dataset).run_id


@contextmanager
def _log_on_stderr(settings: Settings) -> Iterator[None]:
    """Log as the command does, unless the caller has set up structlog: its default is stdout."""
    if structlog.is_configured():
        yield
        return
    logs.configure(settings.log)
    try:
        yield
    finally:
        structlog.reset_defaults()


@contextmanager
def _own_torch() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(threads)


def _whole(settings: Settings, dataset: Any, values: dict[str, Any]) -> tuple[Settings, Dataset | None]:
    if values:
        raise UsageError(f"{min(values)} has no effect beside a whole Settings: give it to load_settings.")
    if dataset is not None and not isinstance(dataset, Dataset):
        raise UsageError("dataset has no effect beside a whole Settings: give it to load_settings.")
    return settings, dataset


def _file(config: Any) -> Path | None:
    if config is None or isinstance(config, Mapping):
        return None
    if isinstance(config, str | os.PathLike):
        return Path(config)
    raise UsageError(f"config is a {type(config).__name__}: expected the path of a settings file, or a dict as in one.")


def _section(dataset: Any) -> dict[Any, Any]:
    if isinstance(dataset, Mapping):
        return dict(dataset)
    if isinstance(dataset, str | os.PathLike) and os.fspath(dataset):
        return {"source": Path(dataset)}
    raise UsageError(
        f"dataset is a {type(dataset).__name__}: expected the path of a folder, CSV, parquet file or Delta table, or a "
        "dict as the section [dataset] of a settings file."
    )
