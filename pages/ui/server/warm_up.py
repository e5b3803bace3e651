"""Read the latest run before anybody asks for it, so that nobody waits for what only the first reader would."""

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
    """While the server runs: warm up for the latest run, and for each that is published later."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_follow_runs)
        yield
        tasks.cancel_scope.cancel()


def warm_up(run: Run) -> None:
    """Ask what the first pages ask; the answers are shared by all sessions."""
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
        except KeyboardInterrupt:  # polars ends the query of any thread by it; the server has been told as well
            return
        except UserError as error:
            telemetry.count_error(error)
        except Exception as error:  # the server goes on: whoever opens the page that fails is told
            telemetry.count_error(error)
            telemetry.log_unforeseen(error)
        await anyio.sleep(SECONDS_BETWEEN_LOOKS)
