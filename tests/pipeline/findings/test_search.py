"""Findings and descriptions: they name what was planted, with counts that reproduce, and are silent on noise."""

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.query.filters import Filters
from lake.query.queries import HELD_OUT
from pipeline.engine.progress import Progress
from pipeline.findings import describe_clusters
from pipeline.findings import search as findings
from pipeline.findings.candidate_groups import Group, all_groups
from pipeline.findings.error_causes import HIGH_LOSS
from pipeline.findings.wording import Density, to_row
from pipeline.settings import Settings
from tests.support.data.drawn import tiny_settings
from tests.support.data.random_samples import make_samples
from tests.support.data.scalars import mean

QUIET = Progress(quiet=True)


def nowhere(samples: pl.DataFrame) -> Density:
    """No training image near any sample."""
    return Density(pl.DataFrame(schema={"sample_id": pl.Int64, "neighbor_id": pl.Int64, "near_label": pl.String}), 1.0)


def find(samples: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    return findings.find(samples, nowhere(samples), settings, QUIET)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return tiny_settings(tmp_path_factory.mktemp("findings"), permutations=10_000)


def test_a_planted_hard_class_is_found_confirmed_and_counted(settings: Settings) -> None:
    samples = make_samples(0, hard="cat")
    found = find(samples, settings)
    top = found.filter(pl.col("kind") == "class").row(0, named=True)
    assert top["name"] == "Cat images" and top["confirmed"]
    held_out = samples.filter(HELD_OUT)
    cats = held_out.filter(pl.col("label") == "cat")
    assert (top["n"], top["errors"]) == (len(cats), int((~cats["correct"]).sum()))
    assert top["lift"] == pytest.approx(mean(cats["loss"]) / mean(held_out["loss"]))
    assert top["lift_low"] < top["lift"] < top["lift_high"]
    assert found.filter(pl.col("kind") == "class").height == 1


def test_the_filter_of_every_finding_reproduces_its_members(settings: Settings) -> None:
    samples = make_samples(1, hard="dog")
    found = find(samples, settings)
    assert len(found)
    for row in found.iter_rows(named=True):
        members = Filters.from_text(row["filter"]).apply(samples.lazy()).collect()
        assert len(members) == row["n"], row["name"]
        assert set(row["example_ids"]) <= set(members["sample_id"])


def test_every_number_of_every_finding_is_that_of_its_members(settings: Settings) -> None:
    samples = make_samples(16, size=3000, hard="dog")
    sure = pl.col("label").is_null() & (pl.col("cluster_kmeans") == 1)
    samples = samples.with_columns(
        pl.when(sure).then(pl.col("expected_loss") + 1).otherwise("expected_loss").alias("expected_loss"),
        pl.when(~pl.col("correct") & (pl.col("label") == "cat"))
        .then(pl.lit("truck"))
        .otherwise("predicted")
        .alias("predicted"),
        (pl.col("loss") + (~pl.col("correct")).cast(pl.Float64) + (pl.col("cluster_bisecting") == 2)).alias("loss"),
    )
    high = pl.when(pl.col("loss") > HIGH_LOSS).then(pl.lit("unsure")).alias("reason")
    samples = samples.with_columns(high)
    found = find(samples, settings)
    assert {"class", "cluster", "confusion", "unlabeled"} <= set(found["kind"])
    for row in found.iter_rows(named=True):
        members = Filters.from_text(row["filter"]).apply(samples.lazy()).collect()
        unlabeled = row["kind"] == "unlabeled"
        value = "expected_loss" if unlabeled else "loss"
        everyone = samples.filter(pl.col("label").is_null() if unlabeled else HELD_OUT)
        labels = members["label"].unique().to_list()
        in_class = everyone.filter(pl.col("label") == labels[0]) if "label.is." in row["filter"] else everyone
        assert (row["n"], row["population"]) == (len(members), len(in_class))
        assert (row["mean_loss"], row["median_loss"]) == pytest.approx((members[value].mean(), members[value].median()))
        assert row["lift"] == pytest.approx(mean(members[value]) / mean(everyone[value]))
        assert row["severity"] == pytest.approx((members[value] - everyone[value].mean()).sum())
        assert row["errors"] == (None if unlabeled else (~members["correct"]).sum())
        wrong = members.filter(~pl.col("correct")).group_by("label", "predicted").len()
        assert {(c["label"], c["predicted"], c["n"]) for c in row["confusion"]} == set(wrong.iter_rows())
        assert sum(r["n"] for r in row["reasons"]) == (members["loss"] > HIGH_LOSS).sum()
        assert {(c["split"], c["n"]) for c in row["splits"]} == set(members["split"].value_counts().iter_rows())
        assert (
            row["example_ids"]
            == members.sort(value, "sample_id", descending=[True, False])["sample_id"].head(12).to_list()
        )
        assert row["sentence"] == say(row, members)


def say(row: dict[str, Any], members: pl.DataFrame) -> str:
    """The sentence of a finding, from its members."""

    def mostly(column: str) -> str:
        counts = Counter(members[column]).most_common(2)
        return " and ".join(f"{value} ({100 * n / len(members):.0f} %)" for value, n in counts)

    times = f"{row['lift']:.1f} times the average (95 % interval {row['lift_low']:.1f} to {row['lift_high']:.1f})"
    if row["kind"] == "unlabeled":
        alike = f"{len(members):,} unlabeled images that the model sees alike, mostly as {mostly('predicted')}"
        return f"{alike}, have an expected loss of {times}."
    wrong = members.filter(~pl.col("correct"))
    pairs = Counter(wrong.select("label", "predicted").iter_rows())
    ((label, predicted), n) = pairs.most_common(1)[0]
    if row["kind"] == "confusion":
        return f"{n:,} of {row['population']:,} {label} images are called {predicted}; their loss is {times}."
    alike = f"Of images that the model sees alike, mostly {mostly('label')}," if row["kind"] == "cluster" else ""
    called = f"{len(wrong):,} of {len(members):,} are wrong, most often {label} called {predicted} ({n:,})"
    return f"{alike or row['name'] + ':'} {called}; their loss is {times}."


@pytest.mark.long
def test_on_losses_without_structure_nothing_is_flagged_in_most_runs(settings: Settings) -> None:
    flagged = sum(len(find(make_samples(100 + seed), settings)) > 0 for seed in range(20))
    assert flagged <= 4


def test_in_sample_losses_never_count(settings: Settings) -> None:
    samples = make_samples(2)
    raised = pl.when(~pl.col("out_of_sample")).then(pl.col("loss") + 50).otherwise(pl.col("loss"))
    first = find(samples, settings)
    assert find(samples.with_columns(raised.alias("loss")), settings).equals(first)


def test_a_table_without_findings_still_has_its_columns(settings: Settings) -> None:
    samples = make_samples(3).with_columns(pl.lit(0.5).alias("loss"))
    found = find(samples, settings)
    assert found.height == 0
    assert {"finding_id", "lift", "filter", "confirmed"} <= set(found.columns)


def test_class_matched_groups_are_not_flagged_for_their_classes(settings: Settings) -> None:
    """A cluster of cats is hard only because cats are: the matched p says so."""
    samples = make_samples(4, size=4000, hard="cat")
    in_cluster = (pl.col("label") == "cat") & (pl.col("sample_id") % 3 == 0)
    samples = samples.with_columns(
        pl.when(in_cluster).then(0).otherwise(pl.col("cluster_kmeans") + 1).alias("cluster_kmeans")
    )
    found = find(samples, settings)
    row = found.filter(pl.col("kind") == "cluster", pl.col("filter").str.contains("cluster_kmeans.is.0")).row(
        0, named=True
    )
    assert row["p"] < 0.01 < row["class_matched_p"]


def test_every_group_is_what_its_filter_says(settings: Settings) -> None:
    samples = make_samples(8, size=2400).filter(HELD_OUT)
    groups = all_groups(samples, at_least=20)
    assert {group.kind for group in groups} == {"class", "cluster", "confusion", "slice"}
    for group in groups:
        members = group.filters.checked(samples.schema).apply(samples.lazy()).collect()
        assert members["sample_id"].to_list() == samples["sample_id"].gather(np.sort(group.rows)).to_list(), group.name


def test_a_hard_value_and_a_hard_end_of_columns_of_the_source_are_found(settings: Settings) -> None:
    samples = make_samples(11, size=4000)
    rng = np.random.default_rng(0)
    iso = pl.Series(rng.uniform(100, 800, 4000)).set(pl.Series(rng.random(4000) < 0.1), None)
    more = {"camera": np.array(["a", "b", "c"])[rng.integers(0, 3, 4000)].tolist(), "iso": iso}
    samples = samples.with_columns(
        **{name: pl.Series(values) for name, values in more.items()}, each=pl.col("sample_id").cast(pl.String)
    )
    hard = (pl.col("camera") == "b") | (pl.col("iso") > 740)
    raised = samples.with_columns(pl.when(hard).then(pl.col("loss") + 1).otherwise("loss").alias("loss"))
    found = findings.find(raised, nowhere(raised), settings, QUIET, source_columns=("camera", "iso", "each"))
    names = found.filter(pl.col("covered_by").is_null(), "confirmed")["name"].to_list()
    assert "Images with camera b" in names
    assert any(name.startswith("Images with high iso (the ") for name in names)
    assert not found["filter"].str.contains("camera.is.(a|c)|each").any()
    for row in found.iter_rows(named=True):
        assert Filters.from_text(row["filter"]).apply(raised.lazy()).collect().height == row["n"], row["name"]
    plain = find(raised, settings)
    assert not plain["filter"].str.contains("camera|iso").any()


def test_a_hard_end_of_a_property_is_found_in_its_class_only(settings: Settings) -> None:
    samples = make_samples(9, size=6000)
    low = (pl.col("label") == "dog") & (pl.col("contrast") <= samples.filter(label="dog")["contrast"].quantile(0.1))
    found = find(samples.with_columns(pl.when(low).then(pl.col("loss") + 2).otherwise("loss").alias("loss")), settings)
    slices = found.filter(pl.col("kind") == "slice", pl.col("filter").str.contains("contrast"))
    assert slices["filter"].str.contains("label.is.dog").any()
    worst = slices.filter(pl.col("filter").str.contains("label.is.dog")).row(0, named=True)
    assert worst["confirmed"]
    assert worst["name"].startswith("Dog images with low contrast (the ")
    examples = samples.filter(pl.col("sample_id").is_in(worst["example_ids"][:10]))
    assert examples.select(low.mean()).item() >= 0.8
    assert not found["filter"].str.contains("label.is.(cat|ship|truck)").any()


def test_a_slice_that_is_hard_only_because_its_class_is_hard_is_no_finding(settings: Settings) -> None:
    samples = make_samples(10, size=4000, hard="cat")
    colour = pl.when(pl.col("label") == "cat").then(pl.col("contrast") + 60).otherwise("contrast")
    found = find(samples.with_columns(colour.alias("contrast")), settings)
    assert found.filter(pl.col("kind") == "class")["name"].to_list() == ["Cat images"]
    assert found.filter(pl.col("kind") == "slice").is_empty()


def test_errors_spread_evenly_over_the_other_classes_are_no_confusion(settings: Settings) -> None:
    samples = make_samples(11, size=8000)
    raised = samples.with_columns(pl.when(~pl.col("correct")).then(pl.col("loss") + 2).otherwise("loss").alias("loss"))
    assert find(raised, settings).filter(pl.col("kind") == "confusion").is_empty()
    mistaken = pl.when((pl.col("label") == "cat") & ~pl.col("correct")).then(pl.lit("dog")).otherwise("predicted")
    found = find(raised.with_columns(mistaken.alias("predicted")), settings).filter(pl.col("kind") == "confusion")
    assert found["name"].to_list() == ["Cat images called dog"]
    assert found["confirmed"].to_list() == [True]


def test_unlabeled_groups_of_high_expected_loss_say_how_many_to_label_first(settings: Settings) -> None:
    samples = make_samples(12, size=6000)
    unsure = pl.col("label").is_null() & (pl.col("cluster_kmeans") == 3)
    samples = samples.with_columns(
        pl.when(unsure).then(pl.col("expected_loss") + 1).otherwise("expected_loss").alias("expected_loss")
    )
    (row,) = find(samples, settings).iter_rows(named=True)
    group = samples.filter(unsure)["expected_loss"].sort(descending=True)
    assert (row["kind"], row["n"], row["errors"], row["confirmed"]) == ("unlabeled", len(group), None, True)
    assert group.head(row["more_images"]).sum() >= group.sum() / 2 > group.head(row["more_images"] - 1).sum()
    assert row["action"].startswith(f"Label the {row['more_images']} ")


def test_the_other_half_decides_whether_a_finding_is_confirmed(settings: Settings) -> None:
    samples = make_samples(13, size=4000)
    half = findings.split_in_half(samples["sample_id"].to_numpy())
    only_here = pl.lit(pl.Series(half)) & (pl.col("label") == "ship")
    samples = samples.with_columns(pl.when(only_here).then(pl.col("loss") + 1).otherwise("loss").alias("loss"))
    (ships,) = find(samples, settings).filter(pl.col("kind") == "class").iter_rows(named=True)
    assert (ships["name"], ships["confirmed"]) == ("Ship images", False)


def test_a_group_of_which_the_other_half_has_too_few_is_neither_confirmed_nor_refuted(settings: Settings) -> None:
    samples = make_samples(14, size=4000)
    half = findings.split_in_half(samples["sample_id"].to_numpy())
    kept = pl.when((pl.col("cluster_kmeans") == 2) & ~pl.lit(pl.Series(half))).then(1).otherwise("cluster_kmeans")
    samples = samples.with_columns(kept.alias("cluster_kmeans"))
    hard = pl.when(pl.col("cluster_kmeans") == 2).then(pl.col("loss") + 1).otherwise("loss")
    found = find(samples.with_columns(hard.alias("loss")), settings)
    (group,) = found.filter(pl.col("filter").str.contains("^cluster_kmeans.is.2")).iter_rows(named=True)
    assert group["confirmed"] is None
    standing = found.filter(pl.col("covered_by").is_null())
    assert standing["confirmed"].fill_null(False).is_sorted(descending=True)


def test_what_is_the_same_samples_is_one_finding(settings: Settings) -> None:
    samples = make_samples(15, size=3000, hard="cat")
    same = pl.when(pl.col("label") == "cat").then(0).otherwise(pl.col("cluster_kmeans") + 1)
    samples = samples.with_columns(same.alias("cluster_kmeans"))
    found = find(samples, settings)
    standing = found.filter(pl.col("covered_by").is_null())
    assert len(found) > len(standing)
    assert set(found["covered_by"].drop_nulls()) <= set(standing["finding_id"])
    assert standing["finding_id"].to_list() == list(range(1, len(standing) + 1))
    assert found["finding_id"].is_sorted()
    cats = found.filter(pl.col("n") == samples.filter(HELD_OUT & (pl.col("label") == "cat")).height)
    assert cats["covered_by"].null_count() == 1


def test_how_many_more_images_would_make_the_vote_around_the_hard_ones_even() -> None:
    members = pl.DataFrame({"sample_id": [1, 2], "label": ["cat", "cat"]})
    near = pl.DataFrame(
        {
            "sample_id": [1, 1, 1, 1, 2, 2, 2, 2],
            "neighbor_id": [10, 11, 20, 21, 10, 22, 23, 24],
            "near_label": ["cat", "cat", "dog", "dog", "cat", "dog", "dog", "dog"],
        }
    )
    # 3 places go to two cats and 5 to dogs: the cats have to become 5/3 as many, of 10 times as many as were scored
    assert Density(near, 10.0).more_images(members) == {
        "more_label": "cat",
        "more_images": 13,
        "near_own": 3,
        "near_other": 5,
    }
    assert Density(near.filter(near_label="cat"), 10.0).more_images(members)["more_images"] is None
    even = near.filter(sample_id=1)
    assert Density(even, 10.0).more_images(members)["more_images"] is None


def test_what_to_do_about_two_equal_samples_is_to_label_one_and_to_review_both_if_one_label_is_doubtful() -> None:
    two = pl.DataFrame({"sample_id": [1, 2], "split": "test", "label": "cat", "predicted": "dog", "correct": False})
    two = two.with_columns(loss=pl.lit(3.0), expected_loss=pl.lit(1.0), reason=pl.Series(["doubtful label", "unsure"]))
    unlabeled, labelled = (Group(kind, "cats", np.arange(2)) for kind in ("unlabeled", "class"))
    assert to_row(unlabeled, two, "expected_loss", nowhere(two))["more_images"] == 1
    said = to_row(labelled, two, "loss", nowhere(two))["action"]
    assert said == "Review the hard ones, those of highest loss first."


def test_a_planted_light_background_is_named_there_and_nowhere_else(settings: Settings) -> None:
    samples = make_samples(5)
    number = samples["cluster_kmeans"].to_numpy()
    samples = samples.with_columns(
        pl.when(pl.col("cluster_kmeans") == 2)
        .then(pl.col("bg_lightness") + 25)
        .otherwise(pl.col("bg_lightness"))
        .alias("bg_lightness")
    )
    texts = describe_clusters.describe_sets(samples, number, settings)
    assert texts[2].startswith("clearly light background (median L* 7")
    assert all(text == describe_clusters.NOTHING for i, text in enumerate(texts) if i != 2)


def test_planted_orange_objects_are_named_there_and_nowhere_else(settings: Settings) -> None:
    samples = make_samples(6)
    inside = pl.col("cluster_kmeans") == 2
    samples = samples.with_columns(pl.when(inside).then(55.0).otherwise("object_hue").alias("object_hue"))
    texts = describe_clusters.describe_sets(samples, samples["cluster_kmeans"].to_numpy(), settings)
    share = mean(samples.filter(~inside)["object_hue"].is_between(40, 70, closed="left"))
    assert texts[2] == f"clearly more orange objects (100 %, others {100 * share:.0f} %) even for its classes"
    assert all(text == describe_clusters.NOTHING for i, text in enumerate(texts) if i != 2)


def test_grey_objects_have_no_hue(settings: Settings) -> None:
    samples = make_samples(7).with_columns(pl.lit(None, pl.Float64).alias("object_hue"))
    texts = describe_clusters.describe_sets(samples, samples["cluster_kmeans"].to_numpy(), settings)
    assert set(texts) == {describe_clusters.NOTHING}


def test_random_partitions_are_not_described(settings: Settings) -> None:
    spoken = 0
    for seed in range(20):
        samples = make_samples(200 + seed)
        texts = describe_clusters.describe_sets(samples, samples["cluster_kmeans"].to_numpy(), settings)
        spoken += any(text != describe_clusters.NOTHING for text in texts)
    assert spoken <= 1
