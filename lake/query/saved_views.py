"""Saved views of the sample table: filters, columns, sort order and pivot under a name, as in a URL.

They belong to a dataset, because sample ids in filters are valid only there.
"""

from dataclasses import asdict, dataclass

import polars as pl

from lake.contracts.views import MAX_STATE
from lake.errors import UsageError
from lake.storage import appending
from lake.storage.appending import MAX_NAME, MAX_NOTE, MAX_PERSON
from lake.storage.store import Lake, Run

MOMENT = "saved_at"
STATE = ("filter", "columns", "sort", "pivot")


@dataclass(frozen=True)
class View:
    """A saved view; the fields in `STATE` are strings as in the URL and just as untrusted."""

    name: str
    saved_by: str
    note: str = ""
    filter: str = ""
    columns: str = ""
    sort: str = ""
    pivot: str = ""


def save_view(run: Run, view: View) -> None:
    """Save a view, replacing any other of that name.

    Raises `UsageError` if a name is missing or the view is too long, `LakeError` if the lake cannot be written.
    """
    if not view.name.strip():
        raise UsageError("A view needs a name.")
    if any(len(getattr(view, part)) > MAX_STATE for part in STATE):
        raise UsageError(
            f"The view is too long to save: its filters, columns or pivot exceed {MAX_STATE:,} characters."
        )
    _append(run, [_row(view)])


def drop_view(run: Run, name: str, saved_by: str) -> None:
    """Drop a view, by one row for each saved under the name; a view saved concurrently stays."""
    rows = _active(scan_views(run.lake, run.dataset_id)).filter(pl.col("name") == name).collect()
    undo_rows = [_row(View(name, saved_by)) | {"undoes": view_id} for view_id in rows["view_id"]]
    if undo_rows:
        _append(run, undo_rows)


def scan_views(lake: Lake, dataset_id: str) -> pl.LazyFrame:
    """Return all saved views of a dataset, including replaced and dropped ones, oldest first."""
    return appending.scan_rows(lake, "views", dataset_id, moment=MOMENT)


def saved_views(views: pl.LazyFrame) -> pl.LazyFrame:
    """Return the current view under each name, newest first."""
    last = _active(views).unique("name", keep="last", maintain_order=True)
    return last.sort(MOMENT, "name", descending=[True, False])


def _active(views: pl.LazyFrame) -> pl.LazyFrame:
    return appending.active_rows("views", views)


def _append(run: Run, rows: list[dict[str, str]]) -> None:
    keys = {"dataset_id": run.dataset_id, "run_id": run.run_id}
    appending.append_rows(run.lake, "views", [row | keys for row in rows], moment=MOMENT)


def _row(view: View) -> dict[str, str]:
    if not view.saved_by.strip():
        raise UsageError("A view needs the name of the person who saves or removes it.")
    names = {"name": view.name.strip()[:MAX_NAME], "saved_by": view.saved_by.strip()[:MAX_PERSON]}
    return asdict(view) | names | {"note": view.note[:MAX_NOTE]}
