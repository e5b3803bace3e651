"""A dataset that the lake may know under another id, because its folder was moved: what to set to continue it."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from lake.errors import UserError
from lake.storage.store import Lake
from pipeline.config.dataset import DatasetSettings
from pipeline.data.dataset_id import name_of


def tell_moved(own: DatasetSettings, lake: Lake, dataset_id: str) -> list[str]:
    """What to set if a dataset that is new to the lake may be one that the lake has; empty if it has this one."""
    runs = lake.runs()
    if runs.is_empty() or dataset_id in runs["dataset_id"]:
        return []
    if own.id:
        known = ", ".join(runs["dataset_id"].unique(maintain_order=True).head(5))
        return [f"The lake has no dataset with id = {own.id!r}, so a new one begins: it has {known}."]
    for run in _last_runs(runs.filter(pl.col("dataset_name") == name_of(own))):
        before = _source_of(run)
        if before and before != _place(own.source):
            return [_tell(own, before, run["dataset_id"])]
    return []


def check_continued(own: DatasetSettings, lake: Lake) -> None:
    """Raises `UserError` if the dataset that `id` continues has images of another size, which would all be new."""
    runs = lake.runs().filter(pl.col("dataset_id") == (own.id or ""))
    size = _own_of(runs.row(0, named=True)).get("size") if len(runs) else None
    if size is not None and size != own.size:
        raise UserError(
            f"The dataset {own.id} that id continues has images of {size} px: set size = {size} in [dataset], or "
            "leave out id to begin a new dataset."
        )


def _last_runs(runs: pl.DataFrame) -> list[dict[str, Any]]:
    """The last run of each dataset, newest first."""
    return runs.unique("dataset_id", keep="first", maintain_order=True).rows(named=True)


def _own_of(run: dict[str, Any]) -> dict[str, Any]:
    """The section [dataset] of the settings of a run; empty if it had none."""
    return json.loads(run["config"]).get("dataset") or {}


def _source_of(run: dict[str, Any]) -> str | None:
    source = _own_of(run).get("source")
    return _place(source) if source else None


def _place(source: str | Path) -> str:
    """An address as it is, a path as an absolute one."""
    text = str(source)
    return text if "://" in text else str(Path(text).absolute())


def _tell(own: DatasetSettings, before: str, dataset_id: str) -> str:
    here = f"this one, from {_place(own.source)}, is new to it"
    known = f"The lake has a dataset {name_of(own)!r} from {before}"
    if "://" not in before and not Path(before).exists():
        return (
            f"{known}, which is gone: {here}. To continue the earlier one, as after a folder was moved, set "
            f'id = "{dataset_id}" in [dataset] and refresh again.'
        )
    return (
        f"{known}: {here}. If it is the same dataset in another place, set id = "
        f'"{dataset_id}" in [dataset] to continue it; otherwise give this one a name of its own with name.'
    )
