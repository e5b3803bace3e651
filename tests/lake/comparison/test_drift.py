"""Drift of data: named where planted and nowhere else, silent where nothing differs, told in words where not tested."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu, rankdata

from lake.comparison import drift
from lake.comparison.differences import HUES, PROPERTY_WORDING
from lake.comparison.drift import Drift, delta_interval, energy_test, property_drift
from lake.storage.store import Lake
from tests.support.data.random_samples import make_properties
from tests.support.data.scalars import number
from tests.support.lakes.bare_run import build_bare_lake
from tests.support.lakes.tiny_data import dataset_id_of
from tests.support.lakes.tiny_lake import RUN_ID, build_tiny_lake, run_facts, stage_all, tiny_tables
from tests.support.lakes.two_runs import SAMPLES

LATER = "20260102-000000-bbbbbb"
NO_SPACES = drift._adjusted([])


def first_part(frame: pl.DataFrame) -> np.ndarray:
    return np.arange(len(frame)) < len(frame) // 3


def find_drift(frame: pl.DataFrame) -> Drift:
    """The first third of the rows against the others."""
    return Drift(property_drift(frame, [first_part(frame)], ["new"], ["old"]), NO_SPACES)


# --- properties


def test_the_largest_drift_comes_first_and_equal_ones_by_set_and_property() -> None:
    rows = [("b", "y", 0.5), ("b", "x", -0.5), ("c", "w", 0.9), ("a", "z", 0.5), ("a", "sure", 0.1)]
    frame = pl.DataFrame(rows, schema=["set", "property", "delta"], orient="row").with_columns(adjusted_p=0.001)
    said = Drift(frame, NO_SPACES).drifted()["property"].to_list()
    assert said == ["w", "z", "x", "y"]


@pytest.mark.parametrize("name", [name for name in PROPERTY_WORDING if name != "shade"])
def test_a_planted_drift_of_one_property_is_named_and_no_other(name: str) -> None:
    frame = make_properties(11)
    shifted = frame.with_columns(pl.col(name) + pl.Series(6.0 * first_part(frame)))
    found = find_drift(shifted)
    assert found.drifted()["property"].to_list() == [name]
    head, said, *rest = found.sentences()
    assert head.startswith(f"1 of {len(PROPERTY_WORDING) + len(HUES)} tests of a property find drift")
    assert (
        said.startswith("New: ")
        and f"{number(shifted[name].filter(pl.Series(first_part(frame))).median()):.0f}, old" in said
    )
    low, high = found.drifted().select("low", "high").row(0)
    assert f" ({low:+.2f} to {high:+.2f}), n 400 and 800, Mann-Whitney, adjusted p < 0.001." in said
    assert not rest


def test_more_of_a_hue_is_named() -> None:
    frame = make_properties(12)
    redder = pl.when(pl.Series(first_part(frame) & (np.arange(len(frame)) % 2 == 0))).then(20.0).otherwise("object_hue")
    found = find_drift(frame.with_columns(redder.alias("object_hue")))
    assert found.drifted()["property"][0] == "red"
    assert "more red objects" in found.sentences()[1]


def test_sets_drawn_alike_are_silent_at_the_false_discovery_rate() -> None:
    runs = [find_drift(make_properties(500 + seed, size=600)) for seed in range(100)]
    assert sum(len(found.drifted()) > 0 for found in runs) <= 8  # 5 % and what 100 runs scatter
    assert sum(bool((found.properties["adjusted_p"] < 0.05).any()) for found in runs) <= 10


def test_a_sure_but_negligible_difference_is_not_called_drift() -> None:
    frame = make_properties(13, size=60_000)
    found = find_drift(frame.with_columns(pl.col("contrast") + pl.Series(1.0 * first_part(frame))))
    row = found.properties.row(by_predicate=pl.col("property") == "contrast", named=True)
    assert row["adjusted_p"] < 0.001 and 0 < row["delta"] < drift.NEGLIGIBLE
    assert found.drifted().is_empty()


def test_the_interval_of_cliffs_delta_is_about_that_of_the_bootstrap_and_holds_it() -> None:
    rng = np.random.default_rng(0)
    here, there = rng.normal(0.4, 1, 300), rng.normal(0, 1, 500).round(1)
    low, high = delta_interval(here, there)
    delta = 2 * mannwhitneyu(here, there).statistic / (300 * 500) - 1
    assert (low + high) / 2 == pytest.approx(delta)
    drawn = [
        2 * mannwhitneyu(rng.choice(here, 300), rng.choice(there, 500)).statistic / (300 * 500) - 1 for _ in range(400)
    ]
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.02)
    assert delta_interval(np.arange(5.0), np.arange(5.0) + 10) == (-1.0, -1.0)


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_ranks_are_those_of_scipy(decimals: int) -> None:
    values = np.random.default_rng(5).normal(0, 2, 500).round(decimals)
    assert np.array_equal(drift._ranks(values), rankdata(values))


# --- whole spaces


def test_the_energy_distance_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    here, there = rng.normal(0, 1, (30, 4)), rng.normal(0.5, 1, (50, 4))
    across, within, outside = cdist(here, there).mean(), cdist(here, here).mean(), cdist(there, there).mean()
    found = energy_test(here, there)
    assert found["value"] == pytest.approx((2 * across - within - outside) / (2 * across), abs=1e-5)
    assert (found["n"], found["n_others"]) == (30, 50)


def test_points_drawn_alike_are_told_apart_as_rarely_as_the_level_allows() -> None:
    p = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        p.append(energy_test(rng.normal(size=(30, 3)), rng.normal(size=(40, 3)), permutations=199, seed=seed)["p"])
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.04)


@pytest.mark.parametrize("change", ["shift", "spread"])
def test_points_that_are_shifted_or_only_wider_spread_are_told_apart(change: str) -> None:
    rng = np.random.default_rng(2)
    here, there = rng.normal(size=(300, 5)), rng.normal(size=(300, 5))
    found = energy_test(here * 1.5 if change == "spread" else here + 0.4, there)
    assert found["p"] == 0.001
    assert number(found["value"]) > number(found["chance"])


def test_the_smallest_p_of_whole_spaces_is_said() -> None:
    row = {"others": "other held-out samples", "space": drift.EMBEDDINGS, "n": 40, "n_others": 200, "chance": 0.02}
    spaces = drift._adjusted(
        [row | {"set": name, "value": 0.01, "p": p} for name, p in (("test", 0.09), ("train", 0.8))]
    )
    nothing = Drift(property_drift(make_properties(11), [], [], []), spaces)
    assert nothing.sentences() == [
        drift.NOTHING_TESTED,
        "0 of 2 tests of embeddings as a whole find drift (energy distance, permutation test, smallest adjusted "
        "p 0.18).",
    ]


# --- runs and splits of a lake


def publish_other(lake: Lake, *, seed: int, contrast: float = 0.0) -> None:
    """A later run of other data, whose contrast is higher by so much."""
    tables = tiny_tables(run_id=LATER, seed=seed)
    tables["properties"] = tables["properties"].with_columns(pl.col("contrast") + contrast)
    stage_all(lake, tables)
    lake.publish(run_facts(run_id=LATER, dataset_id=dataset_id_of(240, seed), seed=seed))


def test_the_same_data_is_said_to_be_the_same_and_not_tested(changed_lake: str) -> None:
    lake = Lake(changed_lake)
    said = drift.run_drift(*(lake.run(run_id) for run_id in lake.runs()["run_id"]))
    assert isinstance(said, str)
    assert said.startswith("Both runs are of the same data (Tiny drawings, tiny-240-0)")


@pytest.mark.parametrize("contrast", [0.0, 4.0])
def test_new_images_are_compared_with_those_there_were(tmp_path: Path, contrast: float) -> None:
    lake = build_tiny_lake(str(tmp_path / "lake"))
    earlier = lake.run()
    publish_other(lake, seed=1, contrast=contrast)
    found = drift.run_drift(lake.run(LATER), earlier)
    assert isinstance(found, Drift)
    assert set(found.properties["n"]) == {240} and set(found.properties["n_others"]) == {240}
    assert found.drifted()["property"].to_list() == (["contrast"] if contrast else [])
    assert len(found.shifted()) == (1 if contrast else 0)
    values = [run.scan("properties").collect()["contrast"] for run in (lake.run(LATER), earlier)]
    row = found.properties.row(by_predicate=pl.col("property") == "contrast", named=True)
    assert (row["here"], row["there"]) == (values[0].median(), values[1].median())


def test_images_that_both_datasets_have_are_no_new_ones(tmp_path: Path) -> None:
    lake = build_tiny_lake(str(tmp_path / "lake"), samples=240)
    earlier = lake.run()
    tables = tiny_tables(run_id=LATER)
    renamed = {
        n: f.with_columns(dataset_id=pl.lit("tiny-again")) for n, f in tables.items() if "dataset_id" in f.columns
    }
    stage_all(lake, tables | renamed)
    lake.publish(run_facts(run_id=LATER, dataset_id="tiny-again"))
    said = drift.run_drift(lake.run(LATER), earlier)
    assert isinstance(said, str)
    assert said.startswith("0 of 240 images are not in the data of 20260101-000000-aaaaaa (240 images), too few")


def test_few_earlier_images_are_too_few_however_many_are_new(
    tiny_lake: str, built: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "AT_LEAST", SAMPLES + 1)
    said = drift.run_drift(Lake(tiny_lake).run(), Lake(built).run())
    assert isinstance(said, str)
    assert f"of 240 images are not in the data of {RUN_ID} ({SAMPLES} images), too few" in said


def test_splits_drawn_at_random_have_not_drifted(tiny_lake: str, rows: pl.DataFrame) -> None:
    found = drift.split_drift(Lake(tiny_lake).run())
    sizes = dict(rows["split"].value_counts().iter_rows())
    assert dict(found.properties.select("set", "n").unique().iter_rows()) == sizes
    assert found.drifted().is_empty()
    assert set(found.spaces["set"]) == {"validation", "test", "unlabeled"}
    assert found.shifted().is_empty()
    assert found.sentences()[0].startswith(f"0 of {4 * (len(PROPERTY_WORDING) + len(HUES))} tests")


def test_a_split_of_other_images_is_named_by_property_and_by_embedding(tmp_path: Path) -> None:
    tables = tiny_tables()
    of_split = tables["samples"].filter(split="unlabeled")["sample_id"].implode()
    planted = pl.col("sample_id").is_in(of_split)
    tables["properties"] = tables["properties"].with_columns(pl.col("contrast") + pl.when(planted).then(6).otherwise(0))
    away = pl.col("embedding").list.eval(pl.element() + 2.0)
    tables["embeddings"] = tables["embeddings"].with_columns(pl.when(planted).then(away).otherwise("embedding"))
    lake = Lake(tmp_path / "lake")
    stage_all(lake, tables)
    lake.publish(run_facts())
    found = drift.split_drift(lake.run())
    assert found.drifted().row(0, named=True)["set"] == "unlabeled"
    assert set(found.drifted()["property"]) == {"contrast"}
    assert found.shifted()["set"][0] == "unlabeled"
    assert any(
        said.startswith("Unlabeled and other held-out samples differ in their embeddings") for said in found.sentences()
    )


def test_a_run_of_a_single_split_has_nothing_to_compare(tmp_path: Path) -> None:
    tables = tiny_tables()
    tables["samples"] = tables["samples"].with_columns(split=pl.lit("test"))
    lake = Lake(tmp_path / "lake")
    stage_all(lake, tables)
    lake.publish(run_facts())
    found = drift.split_drift(lake.run())
    assert found.properties.is_empty() and found.spaces.is_empty()
    assert found.sentences() == [drift.NOTHING_TESTED]


@pytest.mark.parametrize("embeddings", [True, False])
def test_of_what_a_run_does_not_have_no_drift_is_tested(tmp_path: Path, embeddings: bool) -> None:
    lake = build_bare_lake(str(tmp_path / "lake"), images=False, embeddings=embeddings, samples=240)
    found = drift.split_drift(lake.run())
    assert found.properties.is_empty() and found.sentences()[0] == drift.NOTHING_TESTED
    assert (len(found.spaces) > 0) == embeddings
    said = drift.run_drift(lake.run(), lake.run())
    assert said == f"Run {RUN_ID} has no images whose properties could be tested for drift."
