"""Implementation of `latentlake.refresh`: parse its arguments, and refresh within the caller's process."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from lake.errors import UsageError, UserError
from pipeline.commands import platforms
from pipeline.config import caches
from pipeline.data.dataset import Dataset
from pipeline.engine import log_setup
from pipeline.engine.progress import Progress
from pipeline.settings import Settings, load_settings


def read_arguments(config: Any, dataset: Any, values: dict[str, Any]) -> tuple[Settings, Dataset | None]:
    """The settings from a path or dict, a source or section, and keyword values; and a `Dataset` given as an object.

    Raises `UsageError` naming the invalid argument.
    """
    if isinstance(config, Settings):
        return _check_settings_object(config, dataset, values)
    config_values = config if isinstance(config, Mapping) else {}
    if unknown := [name for name in (*config_values, *values) if name not in Settings.model_fields]:
        raise UsageError(f"{unknown[0]!r} is not a setting: `latentlake config` lists all settings.")
    section = {} if dataset is None or isinstance(dataset, Dataset) else {"dataset": _section(dataset)}
    settings = load_settings(_file_or_values(config), **{**values, **section})
    return settings, dataset if isinstance(dataset, Dataset) else None


def refresh_here(settings: Settings, dataset: Dataset | None, *, settings_file: Path | None) -> str:
    """Refresh in the process of the caller; returns the id of the run that readers now see.

    `settings_file` is one that was found, not named by the caller; it is reported. The threads and random state of
    torch, and the log configuration, are restored afterwards. Raises `UserError` if latentlake cannot run here, and
    `ImportError` if the training packages are missing.
    """
    if problem := platforms.find_problem():
        raise UserError(problem)
    caches.settle(settings.work_dir)
    from pipeline.refresh.refresh import refresh

    with _log_on_stderr(settings), _own_torch():
        progress = Progress(bars=settings.log == "text")
        if settings_file:
            progress.say(f"Settings from {settings_file}.")
        return refresh(settings, progress, dataset=dataset).run_id


@contextmanager
def _log_on_stderr(settings: Settings) -> Iterator[None]:
    """Log like the command, unless the caller has configured structlog, whose default is stdout."""
    if structlog.is_configured():
        yield
        return
    log_setup.configure(settings.log)
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


def _check_settings_object(settings: Settings, dataset: Any, values: dict[str, Any]) -> tuple[Settings, Dataset | None]:
    if values:
        raise UsageError(
            f"{min(values)} has no effect when config is a Settings object: pass it to load_settings instead."
        )
    if dataset is not None and not isinstance(dataset, Dataset):
        raise UsageError("dataset has no effect when config is a Settings object: pass it to load_settings instead.")
    return settings, dataset


def _file_or_values(config: Any) -> Path | Mapping[str, Any] | None:
    if config is None or isinstance(config, Mapping):
        return config
    if isinstance(config, str | os.PathLike):
        return Path(config)
    raise UsageError(f"config is a {type(config).__name__}: expected the path or contents of a settings file.")


def _section(dataset: Any) -> dict[Any, Any]:
    if isinstance(dataset, Mapping):
        return dict(dataset)
    if isinstance(dataset, str | os.PathLike) and os.fspath(dataset):
        return {"source": dataset}
    raise UsageError(
        f"dataset is a {type(dataset).__name__}: expected the path of a folder, CSV, parquet file or Delta table, or a "
        "dict like the section [dataset] of a settings file."
    )
