"""What people said is honoured when asked: labels corrected, samples left out, the rest of the work found as it was."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.query import joined_samples, queries
from lake.query.reviews import Review, add_reviews, judged_issues
from lake.storage.store import Lake, Run
from pipeline.data.review_corrections import apply_verdicts
from pipeline.engine.progress import Progress
from pipeline.refresh.refresh import refresh
from tests.support.data.drawn import CLASSES, drawn_dataset, tiny_settings

QUIET = Progress(quiet=True)
VERDICTS = pl.DataFrame(
    {
        "sample_id": [3, 5, 7, 8, 9, 4000],
        "verdict": ["wrong", "exclude", "duplicate", "fine", "wrong", "exclude"],
        "label": ["ring", None, None, None, "unicorn", None],
    }
)


def test_labels_are_corrected_and_samples_left_out_and_nothing_else_changes() -> None:
    data = drawn_dataset()
    corrected = apply_verdicts(data, VERDICTS)
    assert (corrected.relabelled, corrected.left_out) == (1, 2)
    kept = ~np.isin(data.sample_id, [5, 7])
    wanted = data.label[kept].copy()
    wanted[3] = CLASSES.index("ring")
    assert np.array_equal(corrected.dataset.label, wanted)
    assert np.array_equal(corrected.dataset.images_NHWC, data.images_NHWC[kept])
    assert np.array_equal(corrected.dataset.sample_id, data.sample_id[kept])
    assert len(corrected.dataset.source_name) == len(corrected.dataset.split) == 398


def test_without_verdicts_the_content_is_the_same() -> None:
    data = drawn_dataset()
    assert apply_verdicts(data, VERDICTS.clear()).dataset.content() == data.content()
    assert apply_verdicts(data, VERDICTS).dataset.content() != data.content()


def test_a_changed_test_label_leaves_the_training_data_as_they_are() -> None:
    data = drawn_dataset()
    of_test = pl.DataFrame({"sample_id": data.sample_id[data.rows("test")][:1], "verdict": "wrong", "label": "ring"})
    corrected = apply_verdicts(data, of_test).dataset
    assert corrected.content("train") == data.content("train")
    assert corrected.content("test") != data.content("test")


@pytest.fixture(scope="module")
def reviewed(drawn_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Run, list[int]]]:
    """A run, one after two of its test samples were reviewed, and these: one relabelled, one left out."""
    folder = Path(shutil.copytree(drawn_folder, tmp_path_factory.mktemp("reviewed") / "drawn"))
    lake = Lake(folder / "lake")
    before = lake.run()
    data = drawn_dataset()
    wrong, out = (int(i) for i in data.sample_id[data.rows("test")][:2])
    label = CLASSES[(data.label[wrong] + 1) % len(CLASSES)]
    add_reviews(lake, [Review(data.dataset_id, wrong, "wrong", "Ada", label=label, run_id=before.run_id)])
    add_reviews(lake, [Review(data.dataset_id, out, "exclude", "Ada", run_id=before.run_id)])
    assert not refresh(tiny_settings(folder), QUIET, dataset=data).published
    refresh(tiny_settings(folder, apply_reviews=True), QUIET, dataset=data)
    yield before, lake.run(), [wrong, out]


def test_the_next_refresh_honours_verdicts_without_training_again(reviewed: tuple[Run, Run, list[int]]) -> None:
    before, after, (wrong, out) = reviewed
    assert after.run_id != before.run_id
    then, now = (joined_samples.scan_samples(run).collect() for run in (before, after))
    assert set(then["sample_id"]) - set(now["sample_id"]) == {out}
    changed = then.join(now, on="sample_id", suffix="_now").filter(pl.col("label") != pl.col("label_now"))
    assert changed["sample_id"].to_list() == [wrong]
    assert changed["loss_now"].item() > changed["loss"].item(), "a right label was called wrong: its loss rises"
    costs = queries.stage_costs(after).collect().filter(stage="train")
    assert costs["reused"].item() == 1
    assert after.verify() > 0 and before.verify() > 0


def test_the_precision_of_the_list_is_reported_by_the_verdicts_on_it(
    reviewed: tuple[Run, Run, list[int]], tiny_lake: str, tmp_path: Path
) -> None:
    assert reviewed[1].metric("reviews", "judged") is None, "neither sample stood in a list"
    lake = Lake(shutil.copytree(tiny_lake, tmp_path / "lake"))
    run = lake.run()
    listed = run.scan("label_issues").filter(kind="label").sort("rank").collect()["sample_id"].to_list()
    others = set(joined_samples.scan_samples(run).collect()["sample_id"]) - set(listed)
    said = {listed[0]: "wrong", listed[1]: "fine", min(others): "wrong"}
    label = {"wrong": run.classes[0]}
    for sample_id, verdict in said.items():
        review = Review(run.dataset_id, sample_id, verdict, "Ada", label=label.get(verdict), run_id=run.run_id)
        add_reviews(lake, [review])
    add_reviews(lake, [Review(run.dataset_id, listed[2], "fine", "Ada", run_id="gone")])
    judged = judged_issues(lake, run.dataset_id)
    assert dict(judged.select("sample_id", "verdict").iter_rows()) == {listed[0]: "wrong", listed[1]: "fine"}
