"""The map of a new model lies as the one before: groups stay where they were, also on a map that is no square."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.comparison.projection_drift import class_moves, measure_moves
from lake.search.vectors import to_unit
from pipeline.measure import projection_quality
from pipeline.measure.aligned_projection import project_like
from pipeline.measure.equal_embeddings import group_equal
from pipeline.measure.principal_components import project
from tests.support.data.drawn import tiny_settings
from tests.support.data.scalars import number

GROUPS, EACH, FEATURES = 8, 60, 12
LABEL = np.arange(GROUPS * EACH) % GROUPS
SAMPLE_ID = np.arange(len(LABEL))
RADIUS_KEPT = 0.15


def features(seed: int) -> np.ndarray:
    """What one model says of the samples: its groups where they are for every model, its axes and noise its own."""
    centres = np.random.default_rng(0).normal(0, 1, (GROUPS, FEATURES))
    rng = np.random.default_rng([seed, 1])
    axes, _ = np.linalg.qr(rng.normal(size=(FEATURES, FEATURES)))
    return ((centres[LABEL] + rng.normal(0, 0.25, (len(LABEL), FEATURES))) @ axes).astype(np.float32)


def frame(position: np.ndarray) -> pl.DataFrame:
    named = pl.Series(LABEL).cast(pl.String)
    x, y = position.astype(np.float64).T
    return pl.DataFrame({"sample_id": SAMPLE_ID, "label": named, "x": x, "y": y})


@pytest.fixture(scope="module")
def thin() -> pl.DataFrame:
    """A map six times as wide as high, with the groups in a row."""
    rng = np.random.default_rng(2)
    return frame(np.c_[LABEL * 8.0, (LABEL % 2) * 4.0] + rng.normal(0, 0.8, (len(LABEL), 2)))


def test_groups_stay_where_they_were_and_what_is_near_is_as_near_as_on_a_new_map(
    thin: pl.DataFrame, tmp_path: Path
) -> None:
    settings, seen = tiny_settings(tmp_path, umap_neighbors=15), features(seed=5)
    like = project_like(seen, SAMPLE_ID, settings, thin)
    alignment, moves = measure_moves(frame(like).lazy(), thin.lazy())
    assert not alignment.mirrored
    assert number(class_moves(moves, alignment.radius)["moved"].max()) <= RADIUS_KEPT
    fresh = project(seen, settings)
    kept, anew = (
        projection_quality.share_of_neighbors_kept(view, nearest(seen), group_equal(seen)).mean()
        for view in (like, fresh)
    )
    assert kept >= 0.9 * anew


def test_the_same_samples_and_seed_give_the_same_bytes(thin: pl.DataFrame, tmp_path: Path) -> None:
    given = (features(seed=5), SAMPLE_ID, tiny_settings(tmp_path), thin)
    assert (project_like(*given) == project_like(*given)).all()


def test_new_samples_begin_beside_their_like(thin: pl.DataFrame, tmp_path: Path) -> None:
    known = thin.filter(pl.col("sample_id") % 10 > 0)
    placed = frame(project_like(features(seed=5), SAMPLE_ID, tiny_settings(tmp_path, umap_neighbors=15), known))
    centres = placed.group_by("label").agg(pl.col("x", "y").mean())
    new = placed.filter(pl.col("sample_id") % 10 == 0).join(centres, on="label", suffix="_centre")
    away = new.select(((pl.col("x") - pl.col("x_centre")) ** 2 + (pl.col("y") - pl.col("y_centre")) ** 2).sqrt())
    assert number(away.to_series().quantile(0.95)) < 4  # half of what lies between two groups


def nearest(seen: np.ndarray) -> np.ndarray:
    """The 15 nearest rows of each by cosine."""
    unit = to_unit(seen)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    return np.argsort(-cosine, axis=1)[:, :15]
