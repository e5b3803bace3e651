"""Separation and map fidelity: planted groups are found, shuffled ones are not; formulas equal scikit-learn's."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_samples

from lake.contracts.tables import FIDELITY_MEASURES, MapQuality, Separation
from lake.search.vectors import to_unit
from pipeline.measure import projection_quality, separation
from pipeline.measure.separation import Space

LABELS = ["cat", "dog", "ship"]
Blobs = tuple[NDArray[np.float32], NDArray[np.int64]]


@pytest.fixture(scope="module")
def blobs() -> Blobs:
    """300 points in 16-d: cats and dogs near each other, ships far from both; every third was trained on."""
    rng = np.random.default_rng(0)
    number = np.arange(300) % 3
    centres = np.array([[0, 0], [4, 0], [0, 40]]) @ np.eye(2, 16)
    return (centres[number] + rng.normal(0, 1, (300, 16))).astype(np.float32), number


def measured(points: NDArray[np.float32], number: NDArray[np.int64], **options: NDArray[np.bool_]) -> pl.DataFrame:
    held_out = options.get("held_out", np.arange(300) % 5 > 0)
    space = Space(points, projection_quality.nearest_in_projection(points))
    groupings = {"superclass": number // 2, "label": number}
    label = [LABELS[i] if i >= 0 else None for i in number]
    frame = separation.measure_separation({"embedding": space}, groupings, label, held_out, seed=0)
    Separation.validate(frame.with_columns(run_id=pl.lit("r")), cast=True)
    return frame


def one(frame: pl.DataFrame, *, grouping: str = "superclass", label: str = "", measure: str) -> dict[str, Any]:
    return frame.row(
        by_predicate=(pl.col("grouping") == grouping) & (pl.col("label") == label) & (pl.col("measure") == measure),
        named=True,
    )


def test_groups_that_lie_apart_are_measured_apart(blobs: Blobs) -> None:
    frame = measured(*blobs)
    for measure, least in (("probe", 0.99), ("purity", 0.99), ("margin", 0.5), ("silhouette", 0.5)):
        row = one(frame, measure=measure)
        assert row["low"] <= row["value"] <= row["high"]
        assert row["value"] >= least, measure
        assert row["n"] == 240


def test_shuffled_groups_are_no_better_than_chance(blobs: Blobs) -> None:
    points, number = blobs
    frame = measured(points, np.random.default_rng(1).permutation(number))
    share = np.bincount(number // 2).max() / 300
    for measure, chance in (
        ("probe", share),
        ("purity", share**2 + (1 - share) ** 2),
        ("margin", 0),
        ("silhouette", 0),
    ):
        for value in (one(frame, measure=measure)["value"], one(measured(*blobs), measure=measure)["chance"]):
            assert chance - 0.15 < value < chance + 0.05, measure


def test_only_labelled_held_out_samples_are_measured(blobs: Blobs) -> None:
    points, number = blobs
    withheld = np.where(np.arange(300) < 30, -1, number)
    group = np.where(withheld < 0, -1, withheld // 2)
    label = [LABELS[i] if i >= 0 else None for i in withheld]
    held_out = np.arange(300) % 5 > 0
    space = {"embedding": Space(points, projection_quality.nearest_in_projection(points))}
    frame = separation.measure_separation(space, {"superclass": group}, label, held_out, seed=0)
    assert one(frame, measure="purity")["n"] == (held_out & (withheld >= 0)).sum()
    by_label = frame.filter(pl.col("label") != "", pl.col("measure") == "purity")
    assert by_label["label"].to_list() == LABELS
    assert by_label["n"].sum() == one(frame, measure="purity")["n"]


def test_purity_and_margin_are_what_they_are_by_hand() -> None:
    nearest = np.array([[1, 2], [0, 3], [0, 1], [1, 2]])
    group = np.array([0, 0, 1, -1])
    assert separation.purity(nearest[:3], group, group[:3]).tolist() == [0.5, 1.0, 0.0]
    line = np.array([[0.0], [2.0], [10.0], [10.0]])
    assert separation.margin(line, np.array([0, 0, 1, 1])) == pytest.approx([0.8182, 0.7778, 1, 1], abs=1e-4)


def test_silhouettes_are_those_of_scikit_learn(blobs: Blobs) -> None:
    points, number = blobs
    rows, values = separation.measures(
        Space(points, projection_quality.nearest_in_projection(points)), number, np.arange(0, 300, 2), seed=0
    )["silhouette"]
    assert values == pytest.approx(silhouette_samples(points[rows].astype(float), number[rows]))


def test_a_grouping_of_one_group_or_of_single_samples_is_left_out(blobs: Blobs) -> None:
    points, _ = blobs
    assert measured(points, np.zeros(300, dtype=np.int64)).is_empty()
    lonely = np.where(np.arange(300) == 7, 1, 0) * 2
    assert measured(points, lonely, held_out=np.ones(300, bool)).is_empty()


def test_a_class_of_one_held_out_sample_is_left_out_and_the_others_are_measured(blobs: Blobs) -> None:
    points, number = blobs
    lonely = np.where(np.arange(300) == 7, 3, number)
    held_out = np.ones(300, bool)
    frame = separation.measure_separation(
        {"embedding": Space(points, projection_quality.nearest_in_projection(points))},
        {"label": lonely},
        [[*LABELS, "lonely"][i] for i in lonely],
        held_out,
        seed=0,
    )
    assert one(frame, grouping="label", measure="probe")["n"] == 299
    assert set(frame["label"]) == {"", *LABELS}


def test_shuffling_keeps_how_many_held_out_samples_a_group_has() -> None:
    """As few as two of each of a hundred classes: dealt among all samples, some would have one or none."""
    group, held_out = np.repeat(np.arange(100), 10), np.arange(0, 1000, 5)
    shuffled = separation.shuffle(group, held_out, seed=0)
    assert (np.bincount(shuffled[held_out]) == 2).all() and (np.bincount(shuffled) == 10).all()
    assert (shuffled != group).mean() > 0.9


def test_the_unit_of_an_embedding_changes_nothing(blobs: Blobs) -> None:
    points, number = blobs
    rare = np.where(number == 2, 1, 0) * (np.arange(300) < 40)
    nearest = projection_quality.nearest_in_projection(points)
    values = [
        separation.measures(Space(points * np.float32(unit), nearest), rare, np.arange(300), seed=0)
        for unit in (1e-30, 1, 1e30)
    ]
    for measure in ("probe", "margin", "silhouette"):
        assert values[0][measure][1] == pytest.approx(values[1][measure][1], abs=1e-6), measure
        assert values[2][measure][1] == pytest.approx(values[1][measure][1], abs=1e-6), measure


def test_of_samples_without_a_labelled_neighbour_no_purity_is_measured(blobs: Blobs) -> None:
    points, number = blobs
    nearest = np.tile(np.arange(15), (300, 1))
    nearest[::2] = 299 - nearest[::2]
    withheld = np.where(np.arange(300) < 20, -1, number)
    rows, values = separation.measures(Space(points, nearest), withheld, np.arange(20, 300), seed=0)["purity"]
    assert (rows % 2 == 0).all() and len(rows) == 140 and (values > 0).all()


@pytest.mark.parametrize("nearest", [3, 15])
def test_trustworthiness_and_continuity_are_those_of_scikit_learn(blobs: Blobs, nearest: int) -> None:
    points, flat = blobs[0], blobs[0][:, :2] + np.random.default_rng(3).normal(0, 3, (300, 2)).astype(np.float32)
    every = np.arange(300)
    for truth, seen in ((points, flat), (flat, points)):
        found = projection_quality.trustworthiness(truth, seen, every, nearest=nearest)
        assert found.mean() == pytest.approx(trustworthiness(truth, seen, n_neighbors=nearest), abs=1e-6)


def test_a_faithful_map_is_trusted_and_noise_is_not(blobs: Blobs) -> None:
    plane = to_unit(blobs[0][:, :2])
    noise = np.random.default_rng(1).normal(size=(300, 2)).astype(np.float32)
    frame = projection_quality.measure_projections(
        plane, {"umap": plane, "pca": noise}, projection_quality.nearest_in_projection(plane), seed=0
    )
    MapQuality.validate(frame.with_columns(run_id=pl.lit("r")), cast=True)
    value = {(r["view"], r["measure"]): r["value"] for r in frame.iter_rows(named=True)}
    assert [value["umap", m] for m in FIDELITY_MEASURES] == pytest.approx([1, 1, 1], abs=1e-4)
    assert value["pca", "trustworthiness"] == pytest.approx(0.5, abs=0.06)
    assert value["pca", "continuity"] == pytest.approx(0.5, abs=0.06)
    assert value["pca", "neighbors_kept"] < 0.12
    assert (frame["low"] <= frame["value"]).all() and (frame["value"] <= frame["high"]).all()
