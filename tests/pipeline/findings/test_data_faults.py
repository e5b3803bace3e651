"""Faults of the data: each kind is found where planted and not where there is none; filters give back the counts."""

import numpy as np
import polars as pl
import pytest

from lake.contracts.tables import DATA_KINDS
from lake.query.filters import Filters
from lake.query.queries import HELD_OUT
from pipeline.engine.progress import Progress
from pipeline.findings.data_faults import find_in_data
from pipeline.findings.wording import two_digits
from pipeline.settings import Settings
from tests.support.data.drawn import tiny_settings
from tests.support.data.random_samples import make_samples
from tests.support.data.scalars import number

SIZE = 4000


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return tiny_settings(tmp_path_factory.mktemp("data"))


def without_faults(seed: int = 0) -> pl.DataFrame:
    """Samples whose confidence is honest, of which half were trained on."""
    rng = np.random.default_rng(seed)
    samples = make_samples(seed, size=SIZE)
    confidence = 1 - 0.2 * rng.random(SIZE) ** 3
    right = pl.Series(rng.random(SIZE) < confidence)
    trained = pl.lit(pl.Series(rng.random(SIZE) < 0.5))
    split = pl.Series(np.where(rng.random(SIZE) < 0.4, "validation", "test"))
    return samples.with_columns(
        confidence=pl.Series(confidence),
        correct=pl.when(pl.col("label").is_not_null()).then(right),
        out_of_sample=~trained | pl.col("label").is_null(),
        split=pl.when(pl.col("label").is_null())
        .then(pl.lit("unlabeled"))
        .when(trained)
        .then(pl.lit("train"))
        .otherwise(split),
        reason=pl.lit(None, pl.String),
        duplicate=pl.lit(None, pl.String),
        leak=False,
    )


def found_in(samples: pl.DataFrame, settings: Settings, *, embedding: np.ndarray | None = None) -> pl.DataFrame:
    points = np.random.default_rng(9).normal(size=(len(samples), 8)) if embedding is None else embedding
    found = find_in_data(samples, points.astype(np.float32), settings, Progress(quiet=True))
    assert set(found["kind"]) <= set(DATA_KINDS)
    for row in found.iter_rows(named=True):
        members = Filters.from_text(row["filter"]).checked(samples.schema).apply(samples.lazy()).collect()
        assert len(members) == row["n"], row["name"]
        assert set(row["example_ids"]) <= set(members["sample_id"])
    return found


@pytest.mark.long
def test_data_without_faults_has_no_finding_in_most_draws(settings: Settings) -> None:
    spoken = sum(len(found_in(without_faults(seed), settings)) > 0 for seed in range(40))
    assert spoken <= 4


def test_copies_and_leaks_are_counted(settings: Settings) -> None:
    samples = without_faults().with_columns(
        duplicate=pl.when(pl.col("sample_id") % 50 == 0)
        .then(pl.lit("near"))
        .when(pl.col("sample_id") == 7)
        .then(pl.lit("exact")),
        leak=pl.col("sample_id") % 100 == 0,
    )
    found = {row["kind"]: row for row in found_in(samples, settings).iter_rows(named=True)}
    leaks = samples.filter(pl.col("leak") & pl.col("out_of_sample") & pl.col("label").is_not_null())
    assert found["duplicate"]["n"] == 81
    assert "1 of them an exact one" in found["duplicate"]["sentence"]
    assert found["leakage"]["n"] == len(leaks)
    assert f"the model is wrong on {(~leaks['correct']).sum()} of them" in found["leakage"]["sentence"]
    assert found["leakage"]["p"] is None and found["leakage"]["confirmed"] is None


def test_more_confident_contradictions_than_the_confidence_allows_are_doubtful_labels(settings: Settings) -> None:
    samples = without_faults()
    flipped = (
        pl.col("out_of_sample")
        & pl.col("label").is_not_null()
        & (pl.col("confidence") > 0.95)
        & (pl.col("sample_id") % 10 == 0)
    )
    planted = samples.with_columns(
        correct=pl.when(flipped).then(False).otherwise("correct"),
        reason=pl.when(flipped).then(pl.lit("doubtful label")),
    )
    (row,) = found_in(planted, settings).filter(kind="mislabeled").iter_rows(named=True)
    assert (row["n"], row["confirmed"]) == (planted.filter(flipped).height, True)
    sure = planted.filter(pl.col("out_of_sample") & pl.col("label").is_not_null() & (pl.col("confidence") >= 0.95))
    expected = number((1 - sure["confidence"]).sum())
    assert row["lift"] == pytest.approx(number((~sure["correct"]).sum()) / expected)
    assert row["lift_low"] < row["lift"] < row["lift_high"]


def test_contradictions_that_certainty_does_not_allow_have_no_ratio_to_it(settings: Settings) -> None:
    """Probabilities of exactly 1 expect no contradiction, which nothing can be divided by."""
    samples = without_faults().with_columns(confidence=pl.lit(1.0))
    flipped = HELD_OUT & (pl.col("sample_id") % 10 == 0)
    planted = samples.with_columns(
        correct=pl.when(flipped).then(False).otherwise("correct"),
        reason=pl.when(flipped).then(pl.lit("doubtful label")),
    )
    (row,) = found_in(planted, settings).filter(kind="mislabeled").iter_rows(named=True)
    assert row["lift"] is None and row["confirmed"] and "allows 0;" in row["sentence"]


@pytest.mark.parametrize("shifted", ["validation", "unlabeled"])
def test_a_split_that_lies_elsewhere_is_a_domain_gap(settings: Settings, shifted: str) -> None:
    samples = without_faults()
    points = np.random.default_rng(9).normal(size=(SIZE, 8))
    points[(samples["split"] == shifted).to_numpy(), 0] += 1
    found = found_in(samples, settings, embedding=points)
    (row,) = found.filter(name=f"{shifted.capitalize()} images differ from test images").iter_rows(named=True)
    assert (row["kind"], row["confirmed"]) == ("domain gap", True)
    assert 1.2 < row["lift_low"] < row["lift"] < row["lift_high"] < 1.6
    hardest = samples.filter(split=shifted).sort(pl.coalesce("loss", "expected_loss"), descending=True)
    assert row["example_ids"] == hardest["sample_id"].head(len(row["example_ids"])).to_list()


def test_training_images_of_another_contrast_are_a_domain_gap(settings: Settings) -> None:
    samples = without_faults()
    lower = pl.when(pl.col("split") == "train").then(pl.col("contrast") - 10).otherwise("contrast")
    found = found_in(samples.with_columns(contrast=lower), settings)
    assert "Train images differ from test images" in found["name"].to_list()


def test_a_kind_of_image_left_out_of_training_is_under_represented(settings: Settings) -> None:
    samples = without_faults()
    dark = (pl.col("label") == "truck") & (
        pl.col("bg_lightness") < samples.filter(label="truck")["bg_lightness"].quantile(0.2)
    )
    kept = samples.filter(~(dark & (pl.col("split") == "train") & (pl.col("sample_id") % 10 > 0)))
    found = found_in(kept, settings).filter(kind="under-represented")
    assert found["name"].str.starts_with("Truck images with dark background").any()
    assert found["filter"].str.contains("label.is.truck|bg_lightness.between").all()
    held_out, trained = kept.filter(HELD_OUT).height, kept.filter(split="train").height
    for row in found.iter_rows(named=True):
        group = Filters.from_text(row["filter"].replace("split.not.train", "split.is.train"))
        there = group.checked(kept.schema).apply(kept.lazy()).collect().height
        assert row["population"] == held_out and row["lift"] == pytest.approx(row["n"] / held_out * trained / there)
        counted = f"{row['n']:,} of the {held_out:,} held-out images but only {there:,} of the {trained:,} training"
        assert counted in row["sentence"]
        missing = row["n"] * trained / held_out - there
        assert row["action"] == f"Add about {two_digits(missing):,} such images to the training data."
    assert found.filter(pl.col("name").str.starts_with("Truck images with dark"))["confirmed"].any()
