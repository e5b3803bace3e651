"""A lake with two runs of the same data, the second with known changes.

In the second run, every cat of the test split is correct and three trucks are predicted as ships; the loss of these
cats is 0.02, that of the trucks 3. The k-means clusters are renumbered (0..3 become 3, 0, 2, 1), and every other ship
moves to a new cluster, 7. The map is mirrored, rotated by 30 degrees, scaled by 2 and shifted, and trucks move by half
of its radius. Only class findings remain; the temperature differs and training took ten times as long.
"""

import numpy as np
import polars as pl

from lake.storage.store import Lake
from tests.support.lakes.tiny_data import dataset_id_of
from tests.support.lakes.tiny_lake import RUN_ID, build_tiny_lake, run_facts, stage_all, tiny_tables

EARLIER, LATER = RUN_ID, "20260102-000000-bbbbbb"
RENUMBERED = {0: 3, 1: 0, 2: 2, 3: 1}
NEW_CLUSTER, SHIP = 7, 2
TURN, SCALE, SHIFT = 30.0, 2.0, (5.0, -3.0)
TRUCKS_MOVED = 0.5


def build_changed_lake(root: str) -> Lake:
    """Publish both runs."""
    lake = build_tiny_lake(root)
    tables = tiny_tables(run_id=LATER)
    known = tables["samples"].select("sample_id", "split", "label")
    for name, change in CHANGES.items():
        tables[name] = change(tables[name], known)
    stage_all(lake, {name: frame for name, frame in tables.items() if name not in ("images", "properties")})
    lake.publish(run_facts(run_id=LATER, dataset_id=dataset_id_of(240, 0)))
    return lake


def _predictions(frame: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    test = known.filter(pl.col("split") == "test")
    cats = test.filter(label="cat")["sample_id"].implode()
    trucks = test.filter(label="truck")["sample_id"].head(3).implode()
    is_cat, is_truck = pl.col("sample_id").is_in(cats), pl.col("sample_id").is_in(trucks)
    values = {"predicted": ("cat", "ship"), "correct": (True, False), "loss": (0.02, 3.0)}
    return frame.with_columns(
        pl.when(is_cat).then(pl.lit(cat)).when(is_truck).then(pl.lit(truck)).otherwise(name).alias(name)
        for name, (cat, truck) in values.items()
    )


def _clusters(frame: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    kmeans = pl.col("method") == "kmeans"
    moved = kmeans & (pl.col("cluster") == SHIP) & (pl.col("sample_id") // 4 % 2 == 0)
    renumbered = pl.col("cluster").replace_strict(RENUMBERED)
    return frame.with_columns(
        pl.when(moved).then(NEW_CLUSTER).when(kmeans).then(renumbered).otherwise("cluster").alias("cluster")
    )


def _projection(frame: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    places = frame.select("x", "y").to_numpy()
    radius = np.sqrt(((places - places.mean(0)) ** 2).sum(1).mean())
    labels = known.select("sample_id", "label")
    trucks = frame.join(labels, on="sample_id", maintain_order="left")["label"].fill_null("") == "truck"
    places = places + np.array([-TRUCKS_MOVED * radius, 0.0]) * trucks.to_numpy()[:, None]
    angle = np.radians(TURN)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    drawn = SCALE * places * [1, -1] @ turn + SHIFT
    return frame.with_columns(x=pl.Series(drawn[:, 0]), y=pl.Series(drawn[:, 1]))


def _findings(frame: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("kind") == "class")


def _metrics(frame: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    train, name = pl.col("stage") == "train", pl.col("name")
    return frame.with_columns(
        pl.when(train & (name == "seconds"))
        .then(pl.col("value") * 10)
        .when(name == "temperature")
        .then(0.9)
        .otherwise("value")
        .alias("value")
    )


CHANGES = {
    "predictions": _predictions,
    "clusters": _clusters,
    "projection": _projection,
    "findings": _findings,
    "metrics": _metrics,
}
