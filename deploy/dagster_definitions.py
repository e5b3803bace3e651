"""Dagster: each stage is an asset, the published run is one, its contracts are asset checks, and a schedule is nightly.

`dagster dev -f deploy/dagster_definitions.py`. Settings are those of the command: the environment (`LATENTLAKE_...`),
then the TOML file that `LATENTLAKE_CONFIG` names. Stages hand on through the work folder, where they find each other
by fingerprint, so each may run in a process of its own.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import dagster as dg

from lake.contracts.stages import STAGES, Stage
from lake.contracts.tables import DATASET_TABLES, RUN_TABLES, TABLES
from lake.errors import LakeError, RetryLater
from lake.storage.damage import reading
from lake.storage.store import Lake, Run
from pipeline.engine.progress import Progress
from pipeline.refresh.refresh import open_stages, refresh
from pipeline.settings import Settings, load_settings

ACROSS = "across_tables"


def configured() -> Settings:
    """The settings of this process; raises `UsageError` naming each wrong value."""
    file = os.environ.get("LATENTLAKE_CONFIG")
    return load_settings(Path(file) if file else None)


def key_of(name: str) -> dg.AssetKey:
    """Where an asset stands in Dagster's catalogue."""
    return dg.AssetKey(["latentlake", name])


def stage_asset(stage: Stage) -> dg.AssetsDefinition:
    """The asset that computes one stage, or finds it done."""

    @dg.asset(
        key=key_of(stage.name),
        deps=[key_of(other) for other in stage.reads],
        description=stage.title,
        group_name="stages",
    )
    def asset() -> dg.MaterializeResult[None]:
        parts = open_stages(configured(), Progress()).find(stage.name)
        fingerprint = "-".join(part.fingerprint for part in parts)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(fingerprint or "none"),
            metadata={
                "fingerprint": fingerprint,
                "seconds": sum(part.cost["seconds"] for part in parts),
                "peak_memory_mib": max((part.cost["peak_memory_mib"] for part in parts), default=0.0),
                "reused": all(part.cost["reused"] for part in parts),
                "rows": {table: len(frame) for part in parts for table, frame in part.frames.items()},
            },
        )

    return asset


@dg.asset(key=key_of("run"), deps=[key_of(stage.name) for stage in STAGES], group_name="lake")
def published_run() -> dg.MaterializeResult[None]:
    """The run that readers see; nothing new publishes nothing. Waits while another refresh is running."""
    try:
        outcome = refresh(configured(), Progress())
    except RetryLater as later:
        raise dg.RetryRequested(max_retries=6, seconds_to_wait=600) from later
    return dg.MaterializeResult(
        data_version=dg.DataVersion(outcome.run_id),
        metadata={"run_id": outcome.run_id, "published": outcome.published},
    )


@dg.multi_asset_check(
    specs=[dg.AssetCheckSpec(name, asset=key_of("run")) for name in (*DATASET_TABLES, *RUN_TABLES, ACROSS)]
)
def contracts() -> Iterator[dg.AssetCheckResult]:
    """Each table of the latest run against its contract, then keys across tables and pinned row counts."""
    run = Lake(configured().lake).run()
    for name in (*DATASET_TABLES, *RUN_TABLES):
        yield _result(name, partial(_check_table, run, name))
    yield _result(ACROSS, lambda: f"{run.verify()} checks of {run.run_id} passed.")


def _check_table(run: Run, name: str) -> str:
    with reading(run.lake.root):
        frame = run.scan(name).collect()
    failures = TABLES[name].filter(frame).failure.counts()
    if failures:
        raise LakeError(f"The table {name} of {run.run_id} breaks its contract: {failures}.")
    return f"{len(frame):,} rows of {run.run_id} keep the contract."


def _result(name: str, check: Callable[[], str]) -> dg.AssetCheckResult:
    try:
        passed, description = True, check()
    except LakeError as error:
        passed, description = False, str(error)
    return dg.AssetCheckResult(passed=passed, check_name=name, asset_key=key_of("run"), description=description)


refresh_job = dg.define_asset_job(
    "latentlake_refresh",
    selection=dg.AssetSelection.all(),
    # One stage at a time: each uses every thread, and gives its memory back when its process ends.
    config={"execution": {"config": {"multiprocess": {"max_concurrent": 1}}}},
)

defs = dg.Definitions(
    assets=[*map(stage_asset, STAGES), published_run],
    asset_checks=[contracts],
    jobs=[refresh_job],
    schedules=[dg.ScheduleDefinition(name="nightly", job=refresh_job, cron_schedule="17 2 * * *")],
)
