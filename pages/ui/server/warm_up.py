"""Read the latest run in advance, so that its first reader need not wait."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import streamlit as st

from lake.errors import UserError
from lake.storage.damage import reading
from lake.storage.store import Run, default_root
from pages.text.separation import first_group
from pages.ui.core import data
from pages.ui.map import projection_offers
from pages.ui.session import telemetry

SECONDS_BETWEEN_LOOKS = 60


@asynccontextmanager
async def keep_warm(app: st.App) -> AsyncIterator[None]:  # noqa: ARG001
    """Warm up for the latest run and for each later one while the server runs."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_follow_runs)
        yield
        tasks.cancel_scope.cancel()


def warm_up(run: Run) -> None:
    """Fill the caches that the first pages use; all sessions share them."""
    with reading(run.lake.root):
        data.samples(run)
        data.misplaced(run, first_group(run))
        data.color_scale(run, projection_offers.color_columns(run)[0])
        data.headline(run)
        data.claims(run)


async def _follow_runs() -> None:
    warm = None
    while True:
        try:
            run = await anyio.to_thread.run_sync(data.read_latest, default_root(), abandon_on_cancel=True)
            if run is not None and run.run_id != warm:
                await anyio.to_thread.run_sync(warm_up, run, abandon_on_cancel=True)
                warm = run.run_id
        except KeyboardInterrupt:  # polars raises it in any thread; the server handles it too
            return
        except UserError as error:
            telemetry.count_error(error)
        except Exception as error:  # the server keeps running: the page shows the error to its reader
            telemetry.count_error(error)
            telemetry.log_unforeseen(error)
        await anyio.sleep(SECONDS_BETWEEN_LOOKS)
