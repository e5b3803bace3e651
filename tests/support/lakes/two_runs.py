"""A lake with one published run, a second run ready to be staged, and helpers to inspect both."""

from lake.contracts.tables import DATASET_TABLES, RUN_TABLES, TABLES
from lake.storage.store import Lake, Run
from tests.support.lakes.tiny_data import dataset_id_of
from tests.support.lakes.tiny_lake import run_facts

FIRST, SECOND = "20260101-000000-aaaaaa", "20260102-000000-bbbbbb"
SAMPLES = 40


def facts_of(run_id: str) -> dict[str, object]:
    """Facts to publish a run of the tiny dataset."""
    return run_facts(run_id=run_id, dataset_id=dataset_id_of(SAMPLES, 0), samples=SAMPLES)


def run_ids(lake: Lake) -> list[str]:
    """Ids of published runs, newest first."""
    return lake.runs()["run_id"].to_list()


def contents(run: Run) -> dict[str, str]:
    """Every table of a run except binary ones, as comparable text."""
    names = [name for name in (*DATASET_TABLES, *RUN_TABLES) if name not in ("images", "models", "search_index")]
    return {name: run.scan(name).collect().sort(TABLES[name].primary_key()).write_json() for name in names}
