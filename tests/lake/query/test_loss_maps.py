"""Loss maps as numbers: which map explains what, where its border is, what a group of them shows."""

import numpy as np
import polars as pl
import pytest

from lake.query import loss_maps
from lake.query.loss_maps import Maps
from lake.statistics import Ratio, pooled_ratio
from lake.storage.store import Lake, Run
from tests.support.servers.apps import HELD_OUT


@pytest.fixture(scope="module")
def run(tiny_lake: str) -> Run:
    return Lake(tiny_lake).run()


def drawn_maps(*, border: float, centre: float, n: int = 200, seed: int = 0) -> Maps:
    """Maps whose cells raise the loss by about so much on the border and in the centre."""
    rng = np.random.default_rng(seed)
    mean = np.where(loss_maps.border_of(8, 8), border, centre)
    size = rng.gamma(0.5, 2.0, (n, 1, 1))  # a few samples carry most of the loss
    return Maps(np.arange(n), (size * mean * rng.random((n, 8, 8))).astype(np.float32))


def test_the_border_is_the_outermost_cells() -> None:
    assert loss_maps.border_of(4, 5).astype(int).tolist() == [
        [1, 1, 1, 1, 1],
        [1, 0, 0, 0, 1],
        [1, 0, 0, 0, 1],
        [1, 1, 1, 1, 1],
    ]
    border, centre = loss_maps.border_and_centre(np.arange(9.0).reshape(3, 3))
    assert (border, centre) == (32.0, 4.0)


@pytest.mark.parametrize("layer", ["layer3", "layer4"])
def test_a_map_explains_the_label_and_the_prediction_where_that_is_withheld(
    run: Run, rows: pl.DataFrame, layer: str
) -> None:
    given = loss_maps.scan_maps(run, layer).collect()
    known = {row["sample_id"]: row for row in rows.iter_rows(named=True)}
    assert len(given) == given["sample_id"].n_unique() == (rows["split"] != "train").sum()
    for row in given.iter_rows(named=True):
        sample = known[row["sample_id"]]
        assert row["target"] == (sample["label"] or sample["predicted"])


def test_a_map_is_found_by_its_class(run: Run, rows: pl.DataFrame) -> None:
    wrong = rows.filter(HELD_OUT & ~pl.col("correct")).row(0, named=True)
    for target in (wrong["label"], wrong["predicted"]):
        assert loss_maps.scan_map(run, wrong["sample_id"], "layer3", target).collect()["target"].to_list() == [target]
    other = next(name for name in run.classes if name not in (wrong["label"], wrong["predicted"]))
    assert loss_maps.scan_map(run, wrong["sample_id"], "layer3", other).collect().is_empty()


def test_sizes_are_those_of_the_stored_maps(run: Run) -> None:
    assert loss_maps.map_sizes(run).collect().rows() == [("layer3", 8, 8), ("layer4", 4, 4)]


class Named:
    """A run whose model has layers of these sides by these names."""

    def __init__(self, **sides: int) -> None:
        rows = [(name, side, side) for name, side in sides.items()] * 2
        types = {"layer": pl.String, "height": pl.Int64, "width": pl.Int64}
        self._maps = pl.DataFrame(rows, schema=types, orient="row")
        self.groups: dict[str, dict[str, str]] = {}
        self.metadata: dict[str, str] = {}

    def scan(self, name: str) -> pl.LazyFrame:
        return self._maps.lazy()


def test_layers_are_those_of_the_run_finest_first(run: Run) -> None:
    assert loss_maps.map_layers(run) == ["layer3", "layer4"]
    assert loss_maps.map_layers(Named(coarse=2, fine=14, middle=7)) == ["fine", "middle", "coarse"]
    assert loss_maps.map_layers(Named()) == []


def test_the_mean_map_is_the_mean_of_each_cell(run: Run) -> None:
    stored = loss_maps.scan_maps(run, "layer4").collect()
    cells = Maps.of(stored).mean()
    expected = np.array(stored["values"].to_list()).mean(0).reshape(4, 4)
    assert cells.sort("row", "column")["value"].to_numpy() == pytest.approx(expected.ravel())
    assert Maps.of(stored.clear()).values_NHW.shape == (0, 0, 0)


def test_maps_of_some_samples_keep_only_theirs() -> None:
    maps = drawn_maps(border=1, centre=1, n=5)
    some = maps.of_samples(np.array([3, 1, 99]))
    assert some.sample_id.tolist() == [1, 3]
    assert np.array_equal(some.values_NHW, maps.values_NHW[[1, 3]])


def test_only_what_raises_the_loss_is_shared_between_border_and_centre() -> None:
    values = np.zeros((2, 3, 3), np.float32)
    values[0, 0, 0], values[0, 1, 1], values[0, 2, 2] = 3, 1, -9
    values[1, 1, 1], values[1, 0, 1] = 2, -4
    maps = Maps(np.arange(2), values)
    assert maps.raising.tolist() == [4, 2] and maps.raising_on_border.tolist() == [3, 0]
    assert maps.border_share().value == pytest.approx(0.5)


def test_where_nothing_raises_the_loss_there_is_no_share() -> None:
    quiet = Maps(np.arange(3), np.full((3, 4, 4), -1.0, np.float32))
    assert np.isnan(quiet.border_share().value)
    assert quiet.border_share().differs_p(drawn_maps(border=1, centre=1).border_share()) == 1


# --- the share of a group: its interval and its test


def test_the_interval_of_a_pooled_ratio_is_that_of_the_bootstrap() -> None:
    maps = drawn_maps(border=2, centre=1)
    part, whole = maps.raising_on_border, maps.raising
    rng = np.random.default_rng(1)
    drawn = [rng.integers(0, len(whole), len(whole)) for _ in range(4000)]
    low, high = np.quantile([part[rows].sum() / whole[rows].sum() for rows in drawn], [0.025, 0.975])
    assert pooled_ratio(part, whole).interval == pytest.approx((low, high), abs=0.15 * (high - low))


def test_equal_groups_are_called_different_in_five_of_a_hundred() -> None:
    maps, rng = drawn_maps(border=1.3, centre=1, n=1200), np.random.default_rng(2)
    called = 0
    for _ in range(400):
        inside = np.isin(maps.sample_id, rng.choice(maps.sample_id, 100, replace=False))
        here, there = (maps.of_samples(maps.sample_id[part]).border_share() for part in (inside, ~inside))
        called += here.differs_p(there) < 0.05
    assert called <= 0.07 * 400


def test_a_group_whose_border_raises_more_is_told_apart() -> None:
    here, there = drawn_maps(border=1.5, centre=1, n=60), drawn_maps(border=1, centre=1, n=900, seed=1)
    assert here.border_share().value > there.border_share().value
    assert here.border_share().differs_p(there.border_share()) < 1e-4


def test_one_sample_has_no_interval() -> None:
    assert np.isnan(pooled_ratio(np.array([1.0]), np.array([2.0])).error)
    assert Ratio(1, np.nan, np.nan).differs_p(Ratio(1, 0.5, 0.1)) == 1


# --- the check


def test_the_red_quarter_are_the_cells_that_raise_the_loss_most() -> None:
    maps = np.arange(32, dtype=np.float32).reshape(2, 4, 4)
    red, blue = loss_maps.reddest_quarter(maps), loss_maps.reddest_quarter(-maps)
    assert red.sum((1, 2)).tolist() == [4, 4]
    assert red[:, 3].all() and blue[:, 0].all()
    assert loss_maps.reddest_quarter(np.zeros((1, 3, 3))).sum() == 2


def test_the_effect_of_the_quarter_counts_where_red_takes_more_than_as_much_elsewhere() -> None:
    checked = pl.LazyFrame(
        {"loss_without_red": [0.5, 1.0, None, 0.2], "loss_without_other": [1.0, 0.5, None, 0.3], "loss": [1.0] * 4}
    )
    assert loss_maps.quarter_effect(checked).collect().row(0) == (3, 2)
