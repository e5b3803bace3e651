"""Clusters matched by their members: every event found where planted, none where groups are random."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from lake.comparison import cluster_matches
from lake.comparison.cluster_matches import count_events, match_clusters, same_clusters, say_matches
from lake.query import joined_samples
from lake.storage.store import Lake
from tests.support.lakes.changed_run import EARLIER, LATER, NEW_CLUSTER, RENUMBERED, SHIP

NOTHING = dict.fromkeys(cluster_matches.EVENTS, 0)


def frame(clusters: Sequence[int | None] | np.ndarray) -> pl.LazyFrame:
    """Samples in clusters; null is noise."""
    column = pl.Series("cluster_kmeans", clusters, dtype=pl.Int64)
    return pl.LazyFrame({"sample_id": np.arange(len(clusters))}).with_columns(column)


def match(now: Sequence[int | None] | np.ndarray, before: Sequence[int | None] | np.ndarray) -> pl.DataFrame:
    return match_clusters(frame(now), frame(before), "kmeans")


def pairs(found: pl.DataFrame, event: str) -> list[tuple[int | None, int | None]]:
    return found.filter(event=event).select("before", "now").rows()


def test_clusters_with_other_numbers_are_the_same_with_their_jaccard_index_and_interval() -> None:
    found = match([7] * 90 + [4] * 110, [1] * 100 + [2] * 100)
    assert pairs(found, "same") == [(1, 7), (2, 4)]
    first = found.row(0, named=True)
    assert (first["n_before"], first["n_now"], first["n_both"], first["jaccard"]) == (100, 90, 90, 0.9)
    assert first["low"] < 0.9 < first["high"]
    assert say_matches(found) == (
        "2 groups before and 2 now: 2 the same, 0 split, 0 merged, 0 born, 0 died. Among those that are the same, "
        "1 before and 7 now differ most: they share 90 % of their 100 samples (83 to 94)."
    )


def test_a_cluster_of_which_two_are_made_was_split_and_the_reverse_is_merged() -> None:
    one, two = [0] * 100 + [5] * 100, [1] * 60 + [2] * 40 + [3] * 100
    split, merged = match(two, one), match(one, two)
    assert (pairs(split, "split"), pairs(split, "same")) == ([(0, 1), (0, 2)], [(5, 3)])
    assert (pairs(merged, "merged"), pairs(merged, "same")) == ([(1, 0), (2, 0)], [(3, 5)])
    assert count_events(split) == NOTHING | {"same": 1, "split": 1}
    assert count_events(merged) == NOTHING | {"same": 1, "merged": 1}


def test_the_larger_piece_of_a_split_is_still_matched_for_findings() -> None:
    found = match([1] * 60 + [2] * 40 + [3] * 400, [0] * 100 + [5] * 400)
    assert found.filter("alike").select("before", "now").rows() == [(5, 3), (0, 1)]


def test_a_cluster_without_a_match_is_born_or_died_and_the_closest_is_named() -> None:
    found = match([0] * 100 + [None] * 100 + [8] * 50, [3] * 100 + [4] * 100 + [None] * 50)
    assert pairs(found, "same") == [(3, 0)]
    assert pairs(found, "born") == [(None, 8)]
    assert pairs(found, "died") == [(4, None)]
    mixed = match([0, 1, 2] * 40, [0] * 60 + [1] * 60)
    assert count_events(mixed) == NOTHING | {"born": 3, "died": 2}
    assert mixed["jaccard"].is_not_null().all()


def test_dust_that_falls_off_a_cluster_is_no_split() -> None:
    found = match([1] * 95 + [2] * 5 + [3] * 100, [0] * 100 + [5] * 100)
    assert pairs(found, "same") == [(0, 1), (5, 3)]
    assert count_events(found) == NOTHING | {"same": 2, "born": 1}


def test_random_groups_match_none() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        shares = rng.dirichlet(np.ones(rng.integers(2, 9)))
        now, before = (rng.choice(len(shares), 800, p=shares) for _ in range(2))
        found = count_events(match(now, before))
        assert (found["same"], found["split"], found["merged"]) == (0, 0, 0), seed


def test_equal_groups_are_all_the_same_even_where_there_is_one() -> None:
    for clusters in ([0] * 50, [0, 1, 2] * 20, [None] * 10 + [4] * 10):
        found = count_events(match(clusters, clusters))
        assert found == NOTHING | {"same": len(set(clusters) - {None})}


def test_no_groups_at_all_are_no_rows() -> None:
    found = match([None] * 20, [None] * 20)
    assert found.is_empty()
    assert say_matches(found).startswith("0 groups before and 0 now")


def test_samples_of_one_run_only_count_for_nothing() -> None:
    now = frame([1] * 350).with_columns(pl.col("sample_id") * 2)
    found = match_clusters(now, frame([0] * 100), "kmeans")
    assert (found["n_now"][0], found["jaccard"][0]) == (50, 1.0)


def test_the_clusters_of_two_runs_are_matched_by_every_method(changed_lake: str) -> None:
    now, before = (joined_samples.scan_samples(Lake(changed_lake).run(name)) for name in (LATER, EARLIER))
    found = match_clusters(now, before, "kmeans")
    assert pairs(found, "same") == [(old, new) for old, new in RENUMBERED.items() if old != SHIP]
    assert pairs(found, "split") == [(SHIP, RENUMBERED[SHIP]), (SHIP, NEW_CLUSTER)]
    sizes = dict(before.group_by("cluster_kmeans").len().collect().iter_rows())
    assert all(row["n_before"] == sizes[row["before"]] for row in found.iter_rows(named=True))
    assert say_matches(found).startswith("4 groups before and 5 now: 3 the same, 1 split, 0 merged, 0 born, 0 died.")
    matched = same_clusters(now, before)
    assert {old: new for old, new in matched["kmeans"].items() if old != SHIP} == {0: 3, 1: 0, 3: 1}
    assert matched["bisecting"] == {0: 0, 1: 1}
    assert matched["hdbscan"] == {n: n for n in matched["hdbscan"]}
    assert pytest.approx(1) == match_clusters(now, before, "bisecting")["jaccard"].min()


def test_clusters_with_the_same_samples_are_said_to_be_exactly_the_same() -> None:
    found = match([1] * 100 + [2] * 100, [1] * 100 + [2] * 100)
    assert say_matches(found).endswith("0 died. All that are the same have exactly the same samples.")
