"""Findings and descriptions: they name what was planted, with counts that reproduce, and are silent on noise."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control

from lake.filters import Filters
from lake.queries import HELD_OUT
from pipeline import describe, findings
from pipeline.progress import Progress
from tests.drawn import tiny_settings

QUIET = Progress(quiet=True)
CLASSES = np.array(["cat", "dog", "ship", "truck"])


def make_samples(seed: int, *, size: int = 1200, hard: str | None = None) -> pl.DataFrame:
    """Rows as from `scan_samples`: losses of one distribution for all, or higher for the class `hard`."""
    rng = np.random.default_rng(seed)
    label = CLASSES[rng.integers(0, 4, size)]
    loss = rng.exponential(0.5, size)
    wrong = rng.random(size) < 0.2
    if hard:
        loss[label == hard] += 0.6
    predicted = np.where(wrong, np.roll(CLASSES, 1)[np.searchsorted(CLASSES, label)], label)
    numbers = {f"cluster_{m}": rng.integers(0, 6, size) for m in ("kmeans", "bisecting", "hdbscan")}
    properties = {name: rng.normal(50, 10, size) for name in describe.WORDS}
    return pl.DataFrame(
        {
            "sample_id": np.arange(size),
            "label": label.tolist(),
            "predicted": predicted.tolist(),
            "correct": ~wrong,
            "loss": loss,
            "out_of_sample": rng.random(size) < 0.8,
            **numbers,
            **properties,
        }
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return tiny_settings(tmp_path_factory.mktemp("findings"), permutations=1000)


def test_a_planted_hard_class_is_found_confirmed_and_counted(settings):
    samples = make_samples(0, hard="cat")
    found = findings.find(samples, settings, QUIET)
    top = found.filter(pl.col("kind") == "class").row(0, named=True)
    assert top["name"] == "Cat" and top["confirmed"]
    held_out = samples.filter(HELD_OUT)
    cats = held_out.filter(pl.col("label") == "cat")
    assert (top["n"], top["errors"]) == (len(cats), int((~cats["correct"]).sum()))
    assert top["lift"] == pytest.approx(cats["loss"].mean() / held_out["loss"].mean())
    assert top["lift_low"] < top["lift"] < top["lift_high"]
    assert found.filter(pl.col("kind") == "class").height == 1


def test_the_filter_of_every_finding_reproduces_its_members(settings):
    samples = make_samples(1, hard="dog")
    found = findings.find(samples, settings, QUIET)
    assert len(found)
    for row in found.iter_rows(named=True):
        members = Filters.from_text(row["filter"]).apply(samples.lazy()).collect()
        assert len(members) == row["n"], row["name"]
        assert set(row["example_ids"]) <= set(members["sample_id"])


def test_on_losses_without_structure_nothing_is_flagged_in_most_runs(settings):
    flagged = sum(len(findings.find(make_samples(100 + seed), settings, QUIET)) > 0 for seed in range(20))
    assert flagged <= 4


def test_in_sample_losses_never_count(settings):
    samples = make_samples(2)
    raised = pl.when(~pl.col("out_of_sample")).then(pl.col("loss") + 50).otherwise(pl.col("loss"))
    first = findings.find(samples, settings, QUIET)
    assert findings.find(samples.with_columns(raised.alias("loss")), settings, QUIET).equals(first)


def test_a_table_without_findings_still_has_its_columns(settings):
    samples = make_samples(3).with_columns(pl.lit(0.5).alias("loss"))
    found = findings.find(samples, settings, QUIET)
    assert found.height == 0
    assert {"finding_id", "lift", "filter", "confirmed"} <= set(found.columns)


def test_class_matched_groups_are_not_flagged_for_their_classes(settings):
    """A cluster of cats is hard only because cats are: the matched p says so."""
    samples = make_samples(4, size=4000, hard="cat")
    in_cluster = (pl.col("label") == "cat") & (pl.col("sample_id") % 3 == 0)
    samples = samples.with_columns(
        pl.when(in_cluster).then(0).otherwise(pl.col("cluster_kmeans") + 1).alias("cluster_kmeans")
    )
    found = findings.find(samples, settings, QUIET)
    row = found.filter(pl.col("kind") == "cluster", pl.col("filter").str.contains("cluster_kmeans.is.0")).row(
        0, named=True
    )
    assert row["p"] < 0.01 < row["class_matched_p"]


def test_adjusted_p_equals_scipy():
    p = np.random.default_rng(0).random(50)
    assert findings.benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))


def test_a_planted_light_background_is_named_there_and_nowhere_else(settings):
    samples = make_samples(5)
    number = samples["cluster_kmeans"].to_numpy()
    samples = samples.with_columns(
        pl.when(pl.col("cluster_kmeans") == 2)
        .then(pl.col("bg_lightness") + 25)
        .otherwise(pl.col("bg_lightness"))
        .alias("bg_lightness")
    )
    texts = describe.describe_sets(samples, number, settings)
    assert texts[2].startswith("clearly light background (median L* 7")
    assert all(text == describe.NOTHING for i, text in enumerate(texts) if i != 2)


def test_random_partitions_are_not_described(settings):
    spoken = 0
    for seed in range(20):
        samples = make_samples(200 + seed)
        texts = describe.describe_sets(samples, samples["cluster_kmeans"].to_numpy(), settings)
        spoken += any(text != describe.NOTHING for text in texts)
    assert spoken <= 1
