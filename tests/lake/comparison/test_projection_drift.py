"""Movement on the map: an alignment is taken back exactly, what moved is named, and nothing else."""

import numpy as np
import polars as pl
import pytest
from scipy.spatial import procrustes

from lake.comparison import projection_drift
from lake.comparison.projection_drift import Alignment, class_moves, measure_moves, say_moves
from lake.query import joined_samples
from lake.storage.store import Lake
from tests.support.lakes.changed_run import EARLIER, LATER, SCALE, TRUCKS_MOVED, TURN


def maps(seed: int = 0, *, size: int = 600) -> pl.DataFrame:
    """Four classes on a map."""
    rng = np.random.default_rng(seed)
    label = np.arange(size) % 4
    places = np.array([[5, 4], [5, -4], [-5, 3], [-4, -4]])[label] + rng.normal(0, 0.7, (size, 2))
    names = np.array(["cat", "dog", "ship", "truck"])[label]
    return pl.DataFrame({"sample_id": np.arange(size), "label": names, "x": places[:, 0], "y": places[:, 1]})


def drawn_anew(frame: pl.DataFrame, *, degrees: float, mirror: bool, scale: float) -> pl.DataFrame:
    """The same map turned, mirrored (first), scaled and shifted."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    places = scale * frame.select("x", "y").to_numpy() * [1, -1 if mirror else 1] @ turn + [3, -8]
    return frame.with_columns(x=pl.Series(places[:, 0]), y=pl.Series(places[:, 1]))


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("degrees", [0.0, 40.0, -120.0])
def test_a_map_drawn_anew_has_moved_nobody(degrees: float, mirror: bool) -> None:
    before = maps()
    now = drawn_anew(before, degrees=degrees, mirror=mirror, scale=1.7)
    alignment, moves = measure_moves(now.lazy(), before.lazy())
    assert alignment.degrees == pytest.approx(degrees, abs=1e-6)
    assert alignment.mirrored == mirror and alignment.scale == pytest.approx(1.7)
    assert alignment.explained == pytest.approx(1)
    assert float(moves["moved"].to_numpy().max()) < 1e-6
    assert float(moves["moved_as_drawn"].to_numpy().max()) > 0.1
    assert f"it was {'mirrored, ' if mirror else ''}turned by" in alignment.sentence()
    classes = class_moves(moves, alignment.radius)
    assert say_moves(classes).startswith("The centres of 0 of 4 classes moved")


def test_scatter_moves_no_class() -> None:
    for seed in range(20):
        before, rng = maps(seed), np.random.default_rng(100 + seed)
        jitter = pl.Series(rng.normal(0, 0.7, len(before))), pl.Series(rng.normal(0, 0.7, len(before)))
        now = drawn_anew(
            before.with_columns(pl.col("x") + jitter[0], pl.col("y") + jitter[1]), degrees=9, mirror=True, scale=1
        )
        alignment, moves = measure_moves(now.lazy(), before.lazy())
        assert class_moves(moves, alignment.radius).filter(pl.col("low") > projection_drift.MOVED).is_empty()


def test_a_class_that_moved_is_named_and_no_other() -> None:
    before = maps()
    away = pl.when(pl.col("label") == "ship").then(3.0).otherwise(0.0)
    now = drawn_anew(before.with_columns(pl.col("y") + away), degrees=70, mirror=True, scale=0.5)
    alignment, moves = measure_moves(now.lazy(), before.lazy())
    classes = class_moves(moves, alignment.radius)
    moved = dict(classes.select("label", "moved").iter_rows())
    assert moved["ship"] == pytest.approx(0.5 * 3 / alignment.radius, abs=0.01)
    assert max(value for name, value in moved.items() if name != "ship") < 0.01
    assert "1 of 4 classes" in say_moves(classes) and "the farthest, ship" in say_moves(classes)
    assert set(moves.sort("moved", descending=True).head(150)["label"]) == {"ship"}


def test_a_class_has_moved_where_the_whole_interval_is_beyond_a_tenth_of_the_radius() -> None:
    classes = pl.DataFrame(
        {"label": ["ship", "cat"], "n": [1200, 40], "moved": [0.3, 0.12], "low": [0.25, 0.08], "high": [0.35, 0.16]}
    )
    assert say_moves(classes) == (
        "The centres of 1 of 2 classes moved by more than 10 % of the map's radius; the farthest, ship, by 30.0 % "
        "(25.0 to 35.0; n 1,200)."
    )


def test_a_map_that_gives_less_than_nothing_of_another_gives_0_of_it() -> None:
    said = Alignment(degrees=0, mirrored=False, scale=1, radius=1, explained=-0.2).sentence()
    assert "then explains 0 % of the variance of positions: the two are different drawings" in said


def test_unrelated_maps_are_called_different_drawings() -> None:
    before = maps()
    rng = np.random.default_rng(0)
    now = before.with_columns(x=pl.Series(rng.normal(size=len(before))), y=pl.Series(rng.normal(size=len(before))))
    alignment, _ = measure_moves(now.lazy(), before.lazy())
    assert alignment.explained < 0.1
    assert "different drawings" in alignment.sentence()


def test_the_share_explained_is_that_of_scipys_procrustes_where_nothing_stands_out() -> None:
    before, rng = maps(), np.random.default_rng(2)
    now = before.with_columns(pl.col("x") + pl.Series(rng.normal(0, 1, len(before))))
    alignment, _ = measure_moves(now.lazy(), before.lazy())
    *_, disparity = procrustes(now.select("x", "y").to_numpy(), before.select("x", "y").to_numpy())
    assert 1 - alignment.explained == pytest.approx(disparity, rel=0.1)


def test_the_interval_holds_the_movement_of_a_class(changed_lake: str) -> None:
    now, before = (joined_samples.scan_samples(Lake(changed_lake).run(name)) for name in (LATER, EARLIER))
    alignment, moves = measure_moves(now, before)
    assert alignment.mirrored
    assert alignment.degrees == pytest.approx(TURN) and alignment.scale == pytest.approx(SCALE)
    old = before.select("x", "y").collect().to_numpy()
    moved_by = TRUCKS_MOVED * np.sqrt(((old - old.mean(0)) ** 2).sum(1).mean()) * SCALE / alignment.radius
    truck = class_moves(moves, alignment.radius).row(0, named=True)
    assert (truck["label"], truck["moved"]) == ("truck", pytest.approx(moved_by, rel=1e-4))
    assert truck["low"] - 1e-9 <= truck["moved"] <= truck["high"] + 1e-9


def test_maps_of_one_sample_or_of_one_place_do_not_fail() -> None:
    one = maps(size=1)
    for now, before in ((one, one), (maps().with_columns(x=0.0, y=0.0), maps())):
        _, moves = measure_moves(now.lazy(), before.lazy())
        assert moves["moved"].is_finite().all()


def test_samples_that_are_on_one_map_only_do_not_move() -> None:
    now = pl.DataFrame(
        {"sample_id": [0, 1, 2, 3], "label": ["a"] * 4, "x": [0.0, 1.0, 0.0, 5.0], "y": [0.0, 0.0, 1.0, 5.0]}
    )
    before = now.with_columns(pl.when(pl.col("sample_id") < 3).then(pl.col("x", "y")))
    _, moves = measure_moves(now.lazy(), before.lazy())
    assert moves["sample_id"].to_list() == [0, 1, 2]
    assert moves["moved"].to_numpy() == pytest.approx(0, abs=1e-6)
