"""What is said of a cluster is what its rows give, and a cluster whose loss is raised is found."""

import numpy as np
import polars as pl
import pytest

from lake.contracts.clusters import METHODS
from lake.query import joined_samples
from lake.storage.store import Lake
from pipeline.engine.progress import Progress
from pipeline.findings.describe_clusters import summarize
from pipeline.settings import Settings
from tests.support.data.scalars import mean
from tests.support.lakes.tiny_lake import build_tiny_lake

SETTINGS = Settings(permutations=2000, min_group_size=20)
HARD = 1
NO_STABILITY = pl.DataFrame(schema={"method": pl.String, "cluster": pl.Int64, "stability": pl.Float64})


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Samples whose losses are raised in one cluster of k-means."""
    root = str(tmp_path_factory.mktemp("described") / "lake")
    build_tiny_lake(root, samples=600)
    raised = pl.col("loss") + 5 * (pl.col(joined_samples.cluster_column("kmeans")) == HARD)
    return joined_samples.scan_samples(Lake(root).run()).with_columns(loss=raised).collect()


def members(samples: pl.DataFrame, order: np.ndarray) -> pl.DataFrame:
    """The table of clusters in any order."""
    parts = [
        samples.select(
            "sample_id",
            cluster=joined_samples.cluster_column(method),
            distance=pl.col("sample_id") / 1000,
            method=pl.lit(method),
        )
        for method in METHODS
    ]
    return pl.concat([part[order] for part in parts])


def summary(samples: pl.DataFrame, order: np.ndarray) -> pl.DataFrame:
    return summarize(samples, members(samples, order), NO_STABILITY, SETTINGS, Progress(quiet=True))


def test_each_number_is_that_of_the_rows_in_whatever_order_they_come(samples: pl.DataFrame) -> None:
    orders = [np.arange(len(samples)), np.random.default_rng(0).permutation(len(samples))]
    given, shuffled = (summary(samples, order) for order in orders)
    assert given.equals(shuffled)
    held_out = samples.filter(pl.col("out_of_sample"), pl.col("label").is_not_null())
    for row in given.iter_rows(named=True):
        loss = held_out.filter(pl.col(joined_samples.cluster_column(row["method"])) == row["cluster"])["loss"]
        assert row["n_held_out"] == len(loss)
        if len(loss) < SETTINGS.min_group_size:
            assert (row["mean_loss"], row["lift"], row["adjusted_p"]) == (None, None, None)
        else:
            assert row["mean_loss"] == pytest.approx(loss.mean())
            assert row["lift"] == pytest.approx(mean(loss) / mean(held_out["loss"]))


def test_the_cluster_whose_loss_is_raised_is_the_one_that_is_found(samples: pl.DataFrame) -> None:
    found = summary(samples, np.arange(len(samples)))
    low = found.filter(method="kmeans").filter(pl.col("adjusted_p") < 0.01)
    assert low["cluster"].to_list() == [HARD]
