"""Families of maps: planted shapes are found whatever their size, and the family of errors comes first."""

import numpy as np
from sklearn.metrics import adjusted_rand_score

from lake.query.loss_maps import Maps
from pipeline.loss_maps.families import FAMILIES, sort_into_families


def planted(n: int = 400) -> tuple[Maps, np.ndarray]:
    """Maps of eight shapes in many sizes, a tenth of them too quiet to say anything; and the shape of each."""
    rng = np.random.default_rng(0)
    shapes = rng.normal(size=(FAMILIES, 8, 8))
    shape = rng.integers(0, FAMILIES, n)
    size = rng.lognormal(0, 1, (n, 1, 1)) + 0.1
    size[: n // 10] = 1e-4
    values = size * (shapes[shape] + rng.normal(0, 0.2, (n, 8, 8)))
    return Maps(np.arange(n) * 3, values.astype(np.float32)), shape


def test_maps_of_one_shape_are_one_family_whatever_their_size() -> None:
    maps, shape = planted()
    found = sort_into_families(maps, np.array([]), seed=0)
    assert len(found) == 360  # the quiet ones are in no family
    assert adjusted_rand_score(shape[found["sample_id"].to_numpy() // 3], found["family"]) > 0.95
    assert (found["similarity"] > 0.9).all()


def test_the_family_with_most_errors_is_the_first() -> None:
    maps, shape = planted()
    wrong = maps.sample_id[(shape == 5) | (np.random.default_rng(1).random(len(shape)) < 0.1)]
    found = sort_into_families(maps, wrong, seed=0)
    first = found.filter(family=0)["sample_id"].to_numpy()
    assert (shape[first // 3] == 5).mean() > 0.9


def test_too_few_maps_make_no_families() -> None:
    maps, _ = planted(60)
    assert sort_into_families(maps, np.array([]), seed=0).is_empty()
    assert sort_into_families(Maps(np.array([]), np.zeros((0, 0, 0), np.float32)), np.array([]), seed=0).is_empty()


def test_fewer_maps_that_differ_than_families_are_as_many_families() -> None:
    maps, shape = planted()
    equal = Maps(maps.sample_id, np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)[shape % 3])
    found = sort_into_families(equal, maps.sample_id[shape % 3 == 1], seed=0)
    assert sorted(found["family"].unique()) == [0, 1, 2] and (found["similarity"] > 0.99).all()
    assert (shape[found.filter(family=0)["sample_id"].to_numpy() // 3] % 3 == 1).all()
