"""A lake of many samples: the tiny one again and again, each time under new numbers."""

import sys

import polars as pl

from lake.contracts import ScoredSamples
from lake.store import Lake
from tests.tiny_data import dataset_id_of
from tests.tiny_lake import run_facts, stage_all, tiny_tables

TILE = 240
TILED = {"samples", "images", "properties", *ScoredSamples.members()}
NUMBERS = ("sample_id", "neighbor_id")


def build_tiled_lake(root: str, samples: int) -> Lake:
    """The lake at `root` with one published run of at least so many samples."""
    lake, tiles = Lake(root), -(-samples // TILE)
    tables = {
        name: _tile(frame, tiles) if name in TILED else frame for name, frame in tiny_tables(samples=TILE).items()
    }
    stage_all(lake, tables)
    lake.publish(run_facts(dataset_id=dataset_id_of(TILE, 0), samples=TILE))
    return lake


def _tile(frame: pl.DataFrame, tiles: int) -> pl.DataFrame:
    numbers = [name for name in NUMBERS if name in frame.columns]
    return pl.concat(frame.with_columns(pl.col(numbers) + TILE * i) for i in range(tiles))


if __name__ == "__main__":
    build_tiled_lake(sys.argv[1], int(sys.argv[2]))
