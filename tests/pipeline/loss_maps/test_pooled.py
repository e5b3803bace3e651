"""Pooled maps: a group whose border raises the loss is found and no other, random groups are not, numbers agree."""

import numpy as np
import polars as pl
import pytest

from lake.contracts.tables import make_frame
from lake.query.filters import Filters
from lake.query.joined_samples import scan_samples
from lake.query.loss_maps import Maps, border_of
from pipeline.findings.search import filter_of, labelled
from pipeline.loss_maps.pooled import pool_maps
from pipeline.settings import load_settings
from tests.support.data.scalars import mean
from tests.support.lakes.staged import staged

SETTINGS = load_settings(preset="smoke", min_group_size=20)


def random_maps(samples: pl.DataFrame, *, seed: int = 0) -> np.ndarray:
    """As large as the losses, everywhere alike."""
    rng = np.random.default_rng(seed)
    return (samples["loss"].to_numpy()[:, None, None] * rng.random((len(samples), 8, 8)) / 16).astype(np.float32)


def test_a_group_whose_border_raises_the_loss_is_told_apart_and_no_other() -> None:
    _, samples = staged()
    maps = random_maps(samples)
    ships = (samples["label"] == "ship").to_numpy()
    maps[ships] *= np.where(border_of(8, 8), 2.0, 1.0)
    run, _ = staged(maps)
    found = pool_maps(run, SETTINGS)
    classes = found.filter(pl.col("name").str.ends_with(" images"))
    ship = classes.filter(name="ship images").row(0, named=True)
    assert ship["adjusted_p"] < 0.001 and ship["border_share"] > ship["others_share"] + 0.1
    called = found.filter(pl.col("adjusted_p") < 0.05, pl.col("border_share") > pl.col("others_share"))
    run.frames["map_families"] = make_frame("map_families", [])
    for text in called["filter"]:
        label = Filters.from_text(text).apply(scan_samples(run)).collect()["label"]
        assert mean(label == "ship") >= 0.5, text


@pytest.mark.long
def test_groups_of_maps_that_are_all_alike_are_not_told_apart() -> None:
    called = 0
    for seed in range(30):
        _, samples = staged(seed=seed % 3)
        run, _ = staged(random_maps(samples, seed=seed), seed=seed % 3)
        called += bool((pool_maps(run, SETTINGS)["adjusted_p"] < 0.05).any())
    assert called <= 4  # of 30 at 5 %: more than four happen in 2 of 100 repetitions


def test_every_number_comes_from_the_maps_of_the_filter() -> None:
    _, samples = staged()
    maps = random_maps(samples)
    run, _ = staged(maps)
    everything = Maps(samples["sample_id"].to_numpy(), maps)
    found = pool_maps(run, SETTINGS)
    assert {"cat images", "cat images called dog", "k-means group 0"} <= set(found["name"])
    table = scan_samples(run)
    for row in found.iter_rows(named=True):
        inside, wider = (
            Filters.from_text(row[name]).apply(table).collect()["sample_id"].to_numpy()
            for name in ("filter", "others_filter")
        )
        here, there = everything.of_samples(inside), everything.of_samples(np.setdiff1d(wider, inside))
        assert (row["n"], row["others_n"]) == (len(here), len(there))
        assert row["border_share"] == pytest.approx(here.border_share().value)
        assert (row["others_low"], row["others_high"]) == pytest.approx(there.border_share().interval)
        assert row["values"] == pytest.approx(here.values_NHW.mean(0).ravel(), abs=1e-5)
        assert row["border_area"] == 28 / 64
    confused = found.filter(name="cat images called dog").row(0, named=True)
    assert confused["others"] == "all other cat images"


def test_slices_are_pooled_where_they_are_findings() -> None:
    run, _ = staged()
    assert not pool_maps(run, SETTINGS)["name"].str.contains("background").any()
    run.frames["findings"] = pl.DataFrame({"filter": ["bg_lightness.between.0,1"]})
    before = pool_maps(run, SETTINGS)
    samples = scan_samples(run).collect()
    population = labelled(samples, SETTINGS)
    slices = [group for group in population.groups if group.kind == "slice"]
    text = filter_of(slices[0], population)
    run.frames["findings"] = pl.DataFrame({"filter": [text]})
    assert set(pool_maps(run, SETTINGS)["filter"]) - set(before["filter"]) == {text}
