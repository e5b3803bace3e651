"""Views of the analyst's table that people keep under a name: filters, columns, order and pivot, as in an address.

They belong to a dataset, because a filter by sample number means something only there.
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
    """One view; the parts in `STATE` are texts as the address holds them, untrusted like one."""

    name: str
    saved_by: str
    note: str = ""
    filter: str = ""
    columns: str = ""
    sort: str = ""
    pivot: str = ""


def save_view(run: Run, view: View) -> None:
    """Keep a view, in place of one of that name.

    Raises `UsageError` where a name is missing or the view too long, `LakeError` where the lake cannot be written.
    """
    if not view.name.strip():
        raise UsageError("A view needs a name.")
    if any(len(getattr(view, part)) > MAX_STATE for part in STATE):
        raise UsageError(f"The view is too long to be kept: more than {MAX_STATE:,} characters of filters or columns.")
    _append(run, [_row(view)])


def drop_view(run: Run, name: str, saved_by: str) -> None:
    """Take a view back, by a row for each that was saved under the name; one saved meanwhile stays."""
    rows = _standing(scan_views(run.lake, run.dataset_id)).filter(pl.col("name") == name).collect()
    undone = [_row(View(name, saved_by)) | {"undoes": view_id} for view_id in rows["view_id"]]
    if undone:
        _append(run, undone)


def scan_views(lake: Lake, dataset_id: str) -> pl.LazyFrame:
    """Every view that was saved of a dataset, oldest first, those that were replaced or taken back too."""
    return appending.scan_rows(lake, "views", dataset_id, moment=MOMENT)


def saved_views(views: pl.LazyFrame) -> pl.LazyFrame:
    """The view that stands under each name, the newest first."""
    last = _standing(views).unique("name", keep="last", maintain_order=True)
    return last.sort(MOMENT, "name", descending=[True, False])


def _standing(views: pl.LazyFrame) -> pl.LazyFrame:
    return appending.standing("views", views)


def _append(run: Run, rows: list[dict[str, str]]) -> None:
    whose = {"dataset_id": run.dataset_id, "run_id": run.run_id}
    appending.append_rows(run.lake, "views", [row | whose for row in rows], moment=MOMENT)


def _row(view: View) -> dict[str, str]:
    if not view.saved_by.strip():
        raise UsageError("A view needs the name of who saves it or takes it back.")
    short = {"name": view.name.strip()[:MAX_NAME], "saved_by": view.saved_by.strip()[:MAX_PERSON]}
    return asdict(view) | short | {"note": view.note[:MAX_NOTE]}
