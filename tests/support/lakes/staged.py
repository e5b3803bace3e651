"""A staged run with given loss maps."""

import numpy as np
import polars as pl

from lake.contracts.tables import make_frame
from pipeline.stages.inputs import Staged
from tests.support.lakes.tiny_lake import tiny_tables
from tests.support.servers.apps import HELD_OUT


def staged(maps: np.ndarray | None = None, *, seed: int = 0) -> tuple[Staged, pl.DataFrame]:
    """A larger tiny run with `maps` as its layer-3 maps, and its labelled held-out samples in the order of the maps."""
    tables = tiny_tables(samples=800, seed=seed)
    run = Staged(
        {"superclass": {}}, {name: frame.drop("run_id", "dataset_id", strict=False) for name, frame in tables.items()}
    )
    samples = run.frames["predictions"].join(run.frames["samples"], on="sample_id").filter(HELD_OUT).sort("sample_id")
    if maps is not None:
        rows = {
            "sample_id": samples["sample_id"],
            "layer": "layer3",
            "target": samples["label"],
            "height": 8,
            "width": 8,
            "values": pl.Series(maps.reshape(len(maps), 64)).cast(pl.List(pl.Float32)),
            "max_abs": np.abs(maps).max((1, 2)),
        }
        schema = make_frame("loss_maps", []).schema
        run.frames["loss_maps"] = pl.DataFrame(rows, schema_overrides=schema).with_columns(loss=1.0)
    run.frames["findings"] = make_frame("findings", [])
    return run, samples
