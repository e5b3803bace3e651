"""A lake with a thousand classes and two runs, for the pages that compare."""

import pytest

from lake.contracts.tables import DATASET_TABLES
from lake.storage.store import Lake
from tests.support.lakes import synthetic
from tests.support.lakes.synthetic import build_synthetic_lake

MANY, SAMPLES = 1000, 3000


def build_two_runs(root: str) -> None:
    """Publish two runs of the same samples at `root`; the later one has more errors."""
    add_rows = Lake.add_rows
    build_synthetic_lake(root, SAMPLES, classes=MANY, features=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "RUN_ID", "20260102-000000-bbbbbb")
        patch.setattr(synthetic, "CONFUSED", 3.0)
        patch.setattr(Lake, "add_rows", lambda lake, t, f: None if t in DATASET_TABLES else add_rows(lake, t, f))
        build_synthetic_lake(root, SAMPLES, classes=MANY, features=16)
