"""Few images are measured as far as that goes, and it is said how far; nothing to train on is refused at once."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.query import queries
from lake.query.joined_samples import scan_samples
from lake.storage.store import Lake
from pages.report.document import render_report
from pages.ui.session.navigation import ENTRIES
from pipeline.config.dataset import DatasetSettings
from pipeline.data.few_images import FEWEST_TO_CALIBRATE, check_enough, check_training, tell_few
from pipeline.engine.progress import Progress
from pipeline.measure.score import fit_temperature
from pipeline.pixels.unusable import Unusable
from pipeline.refresh.refresh import refresh
from pipeline.source.errors import UnusableSource
from tests.support.data.drawn import CLASSES, tiny_settings
from tests.support.data.external import external_settings, external_table
from tests.support.data.own_data import draw_files, load, own_settings, write_folder
from tests.support.servers.apps import NAMES, Open, failures

QUIET = Progress(quiet=True)
OWN = DatasetSettings(source=Path("photos"))
BROUGHT = DatasetSettings(source=Path("said.parquet"), predictions={})  # type: ignore[arg-type]


def split_of(**counts: int) -> np.ndarray[Any, Any]:
    return np.repeat(list(counts), list(counts.values())).astype("<U10")


# --- what is refused


def test_twenty_images_of_two_classes_are_enough_and_nineteen_are_not() -> None:
    check_enough(OWN, ["cat", "dog"] * 10, [])
    with pytest.raises(UnusableSource, match=r"^The dataset photos has 19 usable images: at least 20 are needed\.$"):
        check_enough(OWN, ["cat", "dog"] * 9 + ["cat"], [])


def test_ten_rows_of_predictions_are_enough_without_labels_or_of_one_class() -> None:
    check_enough(BROUGHT, [None] * 10, [])
    check_enough(BROUGHT, ["cat"] * 10, [])
    with pytest.raises(UnusableSource, match="has 9 usable images: at least 10 are needed"):
        check_enough(BROUGHT, ["cat", "dog", None] * 3, [])


def test_of_too_few_images_the_commonest_reason_of_the_others_is_told() -> None:
    refused = [("a.txt", Unusable("not an image", "not PNG")), ("b.txt", Unusable("not an image"))]
    refused.append(("c.png", Unusable("duplicate name")))
    with pytest.raises(UnusableSource) as raised:
        check_enough(OWN, ["cat"], refused)
    assert str(raised.value) == (
        "The dataset photos has 1 usable image, and 3 that cannot be used: at least 20 are needed. The most common "
        "reason (2 of them) is 'not an image', as for a.txt (not PNG). Fix these images, or add others."
    )
    assert raised.value.refused == refused


@pytest.mark.parametrize(("labels", "have"), [([None] * 60, "no class"), (["cat"] * 60, r"one class \('cat'\)")])
def test_fewer_than_two_classes_are_refused_for_a_checkpoint_alone(labels: list[str | None], have: str) -> None:
    check_enough(OWN, labels, [])
    with pytest.raises(UnusableSource, match=f"are of {have}, and a checkpoint is measured on at least two"):
        check_enough(OWN, labels, [], checkpoint=Path("m.safetensors"))


def test_training_images_of_one_class_are_refused() -> None:
    label, split = np.array([0, 0, 0, 1, -1]), split_of(train=3, test=1, unlabeled=1)
    with pytest.raises(UnusableSource, match="training images of the dataset photos are of only 1 class"):
        check_training(OWN, label, split, [])
    check_training(OWN, np.array([0, 0, 1, 1, -1]), split, [])


# --- what is said


def say(label: list[int], split: np.ndarray[Any, Any], *, predicted: bool = False) -> list[str]:
    return tell_few(np.array(label), split, ["cat", "dog", "emu"], predicted=predicted, min_group_size=20)


def test_of_many_images_nothing_is_said() -> None:
    assert say([0, 1, 2] * 60, split_of(train=90, validation=30, test=60)) == []
    assert say([0, 1, 2] * 60, split_of(train=90, test=90), predicted=True) == []


def test_few_held_out_images_and_few_to_calibrate_by_are_said() -> None:
    few = say([0, 1, 2] * 10, split_of(train=15, validation=6, test=9))
    assert few == [
        "Only 15 labelled images are held out: intervals are wide, and hardly any group is large enough to be tested, "
        "which takes 20 samples in each half of them.",
        "Only 6 validation images have a label, fewer than 10: the probabilities are not calibrated.",
    ]
    assert say([0, 1, 2] * 10, split_of(train=15, test=15), predicted=True) == few[:1]


def test_classes_that_cannot_be_learnt_or_tested_are_named() -> None:
    label = [0, 1] * 60 + [2]
    assert say(label, split_of(train=30, validation=20, test=71)) == [
        "The class 'emu' has at most one training image: the model can hardly learn it."
    ]
    assert say(label[::-1], split_of(train=31, validation=20, test=70)) == [
        "The class 'emu' has at most one training image: the model can hardly learn it.",
        "The class 'emu' has no test image: there is no accuracy for it.",
    ]
    only_cats = say([0] * 90, split_of(train=30, test=60), predicted=True)
    assert only_cats == ["All labels are 'cat': accuracy only says how often this class is recognised."]
    assert say([-1] * 60, split_of(unlabeled=60), predicted=True)[0].startswith("No image has a label: accuracy")


def test_a_temperature_is_fitted_to_ten_samples_but_not_to_nine_that_are_all_right() -> None:
    logits, label = np.tile(np.array([[2.0, 0.0]], np.float32), (FEWEST_TO_CALIBRATE, 1)), np.zeros(10, np.int64)
    assert fit_temperature(logits, label) < 0.5
    assert fit_temperature(logits[:9], label[:9]) == 1


def test_twenty_files_of_two_classes_become_a_dataset_that_says_what_is_missing(tmp_path: Path) -> None:
    write_folder(tmp_path / "shapes", draw_files(20, classes=["bar", "disc"]))
    dataset = load(own_settings(tmp_path, tmp_path / "shapes"))
    assert len(dataset) == 20 and {name: (dataset.split == name).sum() for name in ("validation", "test")} == {
        "validation": 2,
        "test": 4,
    }
    assert [remark[:6] for remark in dataset.understood] == ["Only 6", "Only 2"]


# --- what is published


@pytest.fixture(scope="module")
def unlabeled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Twenty-four rows of predictions and embeddings with pictures, none with a label."""
    root = tmp_path_factory.mktemp("unlabeled")
    settings = external_settings(root, external_table(24).drop("label", "split"), classes=list(CLASSES))
    assert refresh(settings, QUIET).published
    return Lake(settings.lake)


def test_predictions_without_a_label_have_map_groups_and_copies_but_no_accuracy(unlabeled: Lake) -> None:
    run = unlabeled.run()
    samples = scan_samples(run)
    assert queries.accuracy(samples).collect()["n"].to_list() == [0]
    assert run.metric("score", "test_accuracy") is None
    assert samples.collect().select("predicted", "x", "cluster_kmeans").null_count().sum_horizontal().item() == 0
    assert "No image has a label: accuracy and loss are not measured" in run.facts["understood"][0]
    assert "This run has no labelled test samples." in render_report(run, None)
    assert run.verify()


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_every_page_opens_on_predictions_without_a_label(entry: Any, unlabeled: Lake, open_page: Open) -> None:
    assert not failures(open_page(unlabeled.root, entry.name))


@pytest.mark.long
def test_twenty_images_are_trained_on_and_published(tmp_path: Path) -> None:
    write_folder(tmp_path / "shapes", draw_files(20, classes=["bar", "disc"]))
    settings = tiny_settings(tmp_path, dataset={"source": tmp_path / "shapes", "size": 16}, samples=None)
    assert refresh(settings, QUIET).published
    run = Lake(settings.lake).run()
    kinds = run.scan("findings").collect()["kind"]
    assert run.metric("score", "temperature") == 1 and not set(kinds) - {"duplicate", "leakage"}
    assert queries.accuracy(scan_samples(run).filter(pl.col("split") == "test")).collect()["n"].item() == 4
