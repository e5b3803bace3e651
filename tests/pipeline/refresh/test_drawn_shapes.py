"""Every shape of data set is published, with figures that hold, or refused in one sentence; nothing is a traceback.

`LATENTLAKE_TEST_SHAPES` and `LATENTLAKE_TEST_TRAININGS` say how many are drawn: a long run asks for more than CI.
"""

import os
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import event, example, given, settings

from lake.contracts.tables import RUN_TABLES
from lake.errors import LakeError, UserError
from lake.query import joined_samples, queries
from lake.query.filters import Filters
from lake.storage.store import Lake, Run
from pipeline.engine.progress import Progress
from pipeline.refresh.refresh import open_stages, refresh
from pipeline.settings import Settings
from tests.support.data.drawn import drawn_dataset, tiny_settings
from tests.support.data.shapes import PICTURES, SHAPES, Pictures, Shape, draw_table, settings_of
from tests.support.servers.reports import report_of, words_of

QUIET = Progress(quiet=True)
SHAPES_DRAWN = int(os.environ.get("LATENTLAKE_TEST_SHAPES", "3"))
TRAININGS_DRAWN = int(os.environ.get("LATENTLAKE_TEST_TRAININGS", "1"))


@pytest.mark.long
@settings(max_examples=SHAPES_DRAWN, derandomize=True)
@given(SHAPES)
@example(Shape((10,) * 12, split="no train", embedded="one number"))
@example(Shape((5,) * 43, split="one class in test", said="guessed", embedded="huge", strangers=3))
@example(Shape((50, 13, 50, 5), split="one class in test", embedded="equal in a class", strangers=3, seed=2110))
@example(Shape((20,) * 6, embedded="constant", said="certain", names="odd", carried="constant"))
def test_external_predictions_of_any_shape(shape: Shape) -> None:
    table = draw_table(shape)
    with TemporaryDirectory() as folder:
        if published(settings_of(shape, Path(folder), table)):
            run = Lake(f"{folder}/lake").run()
            check_run(run, table)
            check_accuracy(run, table)


@pytest.mark.long
@settings(max_examples=TRAININGS_DRAWN, derandomize=True)
@given(PICTURES)
@example(Pictures(Shape((3,) * 40, split="none")))
def test_images_of_any_shape_to_train_on(pictures: Pictures) -> None:
    with TemporaryDirectory() as folder:
        if published(pictures.settings(Path(folder))):
            check_run(Lake(f"{folder}/lake").run(), pictures.table())


@pytest.mark.parametrize(
    ("left", "folds", "said"),
    [
        ({"train": 1}, 0, r"has too few images \(1\): at least 2 are needed"),
        ({"train": 2}, 2, r"\(2, of which folds = 2 leaves 1 for a training\): at least 2 are"),
        ({"train": 0}, 5, r"The split train of Drawn shapes has too few images \(0"),
        ({"validation": 0}, 0, "no labelled image left in the split validation"),
        ({"test": 0}, 0, "no labelled image left in the split test"),
    ],
)
def test_too_little_of_a_split_is_refused_before_training(
    left: dict[str, int], folds: int, said: str, tmp_path: Path
) -> None:
    (name, count), dataset = next(iter(left.items())), drawn_dataset(120)
    gone = dataset.rows(name)[count:]
    split = dataset.split.copy()
    split[gone] = "test" if name == "train" else "train"
    with pytest.raises(UserError, match=said):
        open_stages(tiny_settings(tmp_path, folds=folds), QUIET, dataset=replace(dataset, split=split))


def published(asked: Settings) -> bool:
    """Whether a refresh publishes; where it does not it says why in one sentence."""
    try:
        done = refresh(asked, QUIET).published
    except UserError as error:
        assert not isinstance(error, LakeError), error  # a contract that is broken is a fault of ours
        assert re.fullmatch(r"[^\n]+\.", str(error)), error
        event(re.sub(r"\S*/\S*|\d[\d,]*", "#", str(error)))
        return False
    event("published")
    return done


def check_run(run: Run, table: pl.DataFrame) -> None:
    """What a reader could add up: rows, cells of the confusion matrix, members of findings, no figure that is none."""
    assert run.verify()
    samples = joined_samples.scan_samples(run).collect()
    assert len(samples) + len(run.scan("quarantine").collect()) == len(table)
    cells = queries.confusion(samples.lazy()).collect()
    assert cells["n"].sum() == samples["label"].count()
    for finding in run.scan("findings").collect().iter_rows(named=True):
        members = Filters.from_text(finding["filter"]).checked(samples.schema).apply(samples.lazy()).collect()
        assert len(members) == finding["n"], finding
    for name in RUN_TABLES:
        for column in run.scan(name).select(pl.col(pl.List(pl.Float32))).collect():
            assert column.explode().is_finite().all(), (name, column.name)
    assert not re.search(r"\b(nan|inf)\b", words_of(report_of(run.lake.root)))


def check_accuracy(run: Run, table: pl.DataFrame) -> None:
    """The test accuracy is that of the predictions as they were brought; without labels there is none."""
    classes = dict(enumerate(run.classes))
    test = table if "split" not in table.columns else table.filter(split="test")
    test = test.drop_nulls("label")
    if test.is_empty():
        assert run.metric("score", "test_accuracy") is None
        return
    said = test["probabilities"].list.arg_max().replace_strict(classes, return_dtype=pl.String)
    assert run.metric("score", "test_accuracy") == pytest.approx((said == test["label"]).mean())
    rates = run.scan("metrics").filter(pl.col("name").is_in(["test_accuracy", "calibration_error"])).collect()["value"]
    assert len(rates) >= 2 and rates.is_between(0, 1).all()
