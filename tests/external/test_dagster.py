"""Dagster: the definitions load, know what stages ask for, and publish and check a run as a refresh would.

`pip install -c deploy/dagster.lock -e '.[train,dev,dagster]'` brings what they need. `LATENTLAKE_TEST_WORK` names the
work folder of an earlier refresh with the smoke preset, whose finished stages are not computed again.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lake.contracts.stages import BY_NAME, STAGES
from lake.contracts.tables import DATASET_TABLES, RUN_TABLES
from lake.errors import RetryLater, UsageError
from lake.storage.store import Lake, Run
from pipeline.engine.stage_cache import Finished
from pipeline.refresh import refresh as refreshing
from pipeline.settings import Settings, load_settings
from pipeline.stages.inputs import StageInputs
from tests.support.data.drawn import drawn_dataset, tiny_settings
from tests.support.paths import REPOSITORY

dg = pytest.importorskip("dagster", reason="the extra `dagster` is not installed: see deploy/README.md")
from deploy import dagster_definitions as definitions  # noqa: E402

pytestmark = pytest.mark.timeout(1800)
DEPLOY = REPOSITORY / "deploy"
ASSETS = {*BY_NAME, "run"}
TABLES = {*DATASET_TABLES, *RUN_TABLES}
Executed = tuple[Any, dict[str, set[str]], Run]


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make these the settings of a process."""
    values = json.loads(settings.model_dump_json(exclude_none=True))
    return {f"LATENTLAKE_{k.upper()}": v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}


def recorded(read: dict[str, set[str]]) -> Callable[[StageInputs, str], list[Finished]]:
    """How a stage reads another, written down."""
    plain = StageInputs._read

    def read_and_record(inputs: StageInputs, name: str) -> list[Finished]:
        read[inputs.stage.name].add(name)
        return plain(inputs, name)

    return read_and_record


def run_job() -> Any:
    return definitions.defs.resolve_job_def(definitions.refresh_job.name).execute_in_process()


def metadata(result: Any) -> dict[str, dict[str, Any]]:
    """Asset name -> what it says of itself."""
    made = [event.materialization for event in result.get_asset_materialization_events()]
    return {m.asset_key.path[-1]: {name: entry.value for name, entry in m.metadata.items()} for m in made}


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """The nightly job on drawn images: its result, which stages asked for which, and the run it published."""
    folder = tmp_path_factory.mktemp("dagster")
    asked: dict[str, set[str]] = defaultdict(set)
    settings = tiny_settings(folder, folds=2, phases=[{"resolution": 16, "epochs": 1}])
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment(settings).items():
            patch.setenv(variable, value)
        patch.setattr(refreshing, "load_dataset", lambda *_, accept: drawn_dataset())
        patch.setattr(StageInputs, "_read", recorded(asked))
        return run_job(), asked, Lake(folder / "lake").run()


def test_the_schedule_materialises_and_checks_everything_every_night() -> None:
    dg.Definitions.validate_loadable(definitions.defs)
    (schedule,) = definitions.defs.schedules
    assets = definitions.defs.resolve_job_def(schedule.job_name).asset_layer
    assert schedule.cron_schedule == "17 2 * * *"
    assert assets.executable_asset_keys == {definitions.key_of(name) for name in ASSETS}
    assert {check.name for check in assets.asset_graph.asset_check_keys} == {*TABLES, definitions.ACROSS}


def test_the_instance_runs_one_refresh_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text((DEPLOY / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1


def test_the_job_publishes_one_run(executed: Executed) -> None:
    result, _, run = executed
    assert result.success
    facts = metadata(result)
    assert facts.keys() == ASSETS
    assert facts["run"] == {"run_id": run.run_id, "published": True}
    assert facts["score"]["rows"]["predictions"] == 400
    assert facts["folds"]["seconds"] > 0 and facts["folds"]["peak_memory_mib"] > 50
    assert not facts["clusters"]["reused"]


def test_a_stage_reads_all_that_it_says_and_nothing_else(executed: Executed) -> None:
    _, asked, _ = executed
    assert {stage.name: set(stage.reads) for stage in STAGES} == {stage.name: asked[stage.name] for stage in STAGES}


def test_publishing_finds_what_the_assets_computed(executed: Executed) -> None:
    _, _, run = executed
    reused = run.scan("metrics").collect().filter(name="reused")
    stages = dict(reused.select("stage", "value").iter_rows())
    assert stages.pop("data") == stages.pop("write") == 0
    assert set(stages.values()) == {1.0}


def test_every_table_is_a_check_that_passed(executed: Executed) -> None:
    found = {check.check_name: check for check in executed[0].get_asset_check_evaluations()}
    assert found.keys() == {*TABLES, definitions.ACROSS}
    assert all(check.passed for check in found.values())
    assert found["predictions"].description == f"400 rows of {executed[2].run_id} keep the contract."


def test_a_damaged_table_fails_its_check_and_no_other_table(lake_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (lake_copy / "clusters").rglob("*.parquet"):
        file.unlink()
    monkeypatch.setenv("LATENTLAKE_LAKE", str(lake_copy))
    failed = {result.check_name: result.description for result in definitions.contracts() if not result.passed}
    assert failed.keys() == {"clusters", definitions.ACROSS}
    assert "cannot be read" in failed["clusters"]


def test_settings_are_those_of_the_environment_and_of_the_named_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "settings.toml").write_text('preset = "smoke"\nseed = 3\n')
    monkeypatch.setenv("LATENTLAKE_CONFIG", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("LATENTLAKE_SEED", "5")
    assert (definitions.configured().preset, definitions.configured().seed) == ("smoke", 5)
    monkeypatch.setenv("LATENTLAKE_SEED", "none")
    with pytest.raises(UsageError, match="seed = 'none'"):
        definitions.configured()


def test_publishing_waits_while_another_refresh_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    def later(*_: object) -> None:
        raise RetryLater("Another refresh is running.")

    monkeypatch.setattr(definitions, "refresh", later)
    with pytest.raises(dg.RetryRequested):
        definitions.published_run()


@pytest.mark.cifar
def test_the_smoke_preset_on_cifar_10_is_published_and_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    work = os.environ.get("LATENTLAKE_TEST_WORK", tmp_path / "work")
    small = load_settings(preset="smoke", lake=str(tmp_path / "lake"), work_dir=work)
    for variable in ("preset", "lake", "work_dir"):
        monkeypatch.setenv(f"LATENTLAKE_{variable.upper()}", str(getattr(small, variable)))
    result = run_job()
    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert Lake(tmp_path / "lake").run().facts["preset"] == "smoke"
