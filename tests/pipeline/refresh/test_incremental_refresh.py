"""A refresh of data that grew: only what is new is measured, nobody moves; a new model keeps the map as it lay."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.contracts.tables import TABLES
from lake.query import queries
from lake.query.joined_samples import scan_samples
from lake.storage.store import Lake, Run
from pipeline.data.dataset import Dataset
from pipeline.engine.progress import Progress
from pipeline.measure import image_properties, score
from pipeline.refresh.refresh import Outcome, open_stages, refresh
from tests.support.data.drawn import CLASSES, draw_shape, drawn_dataset, tiny_settings

QUIET = Progress(quiet=True)
NEW = np.arange(1000, 1010)
Refresh = Callable[..., Outcome]


def grown(data: Dataset, *, labelled: bool = False) -> Dataset:
    """The dataset with ten more images, unlabeled or of the test split."""
    rng = np.random.default_rng(9)
    kind = np.arange(len(NEW)) % len(CLASSES)
    images = np.stack([draw_shape(CLASSES[i], 120, rng) for i in kind])
    label = kind if labelled else np.full(len(NEW), -1)
    return replace(
        data,
        sample_id=np.concatenate([data.sample_id, NEW]),
        images_NHWC=np.concatenate([data.images_NHWC, images]),
        label=np.concatenate([data.label, label]),
        split=np.concatenate([data.split, np.full(len(NEW), "test" if labelled else "unlabeled")]),
        source_name=[*data.source_name, *(f"new/{i}" for i in NEW)],
    )


@pytest.fixture(scope="module")
def folder(drawn_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the refreshed folder without what the work folder had: the lake is all there is."""
    copy = Path(shutil.copytree(drawn_folder, tmp_path_factory.mktemp("grown") / "drawn"))
    shutil.rmtree(copy / "work")
    return copy


@pytest.fixture(scope="module")
def runs(folder: Path) -> tuple[Run, Run]:
    """The run before, and the one with ten more images."""
    before = Lake(folder / "lake").run()
    outcome = refresh(tiny_settings(folder), QUIET, dataset=grown(drawn_dataset()))
    assert outcome.published
    return before, Lake(folder / "lake").run()


@pytest.fixture(scope="module")
def kept(folder: Path, runs: tuple[Run, Run], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Below another folder, the run after labels have arrived and a training label was changed, with the model kept."""
    copy = Path(shutil.copytree(folder / "lake", tmp_path_factory.mktemp("kept") / "lake")).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.model.train.train", refuse_training)
        data = changed_training(grown(drawn_dataset(), labelled=True))
        assert refresh(tiny_settings(copy, retrain="never"), QUIET, dataset=data).published
    return Lake(copy / "lake").run()


def both(runs: tuple[Run, Run], table: str) -> pl.DataFrame:
    """Rows of samples that both runs have, with the later ones' columns suffixed."""
    key = [column for column in TABLES[table].primary_key() if column not in ("run_id", "dataset_id")]
    first, second = (run.scan(table).collect() for run in runs)
    return first.join(second, on=key, suffix="_now")


def test_on_an_empty_work_folder_the_lake_answers_and_nothing_is_trained(drawn_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(drawn_folder / "lake", tmp_path / "lake")).parent
    outcome = refresh(tiny_settings(copy), QUIET, dataset=drawn_dataset())
    assert not outcome.published
    assert len(Lake(copy / "lake").runs()) == 1


def test_every_table_has_the_new_samples_and_passes_its_checks(runs: tuple[Run, Run]) -> None:
    _, now = runs
    for table in (
        "samples",
        "images",
        "properties",
        "predictions",
        "embeddings",
        "projection",
        "neighbors",
        "loss_maps",
    ):
        found = now.scan(table).filter(pl.col("sample_id").is_in(NEW.tolist())).collect()
        assert found["sample_id"].n_unique() == len(NEW), table
    assert now.scan("clusters").filter(pl.col("sample_id").is_in(NEW.tolist())).collect().height == 3 * len(NEW)
    assert now.verify() > 0 and runs[0].verify() > 0


def test_nobody_moves_and_nothing_that_was_measured_changes(runs: tuple[Run, Run]) -> None:
    for table, columns in {
        "projection": ["x", "y", "pca_x", "pca_y"],
        "predictions": ["loss", "confidence", "temperature"],
        "clusters": ["cluster"],
        "properties": ["bg_lightness", "contrast"],
    }.items():
        rows = both(runs, table)
        assert rows.height >= 400, table
        for column in columns:
            assert rows[column].equals(rows[f"{column}_now"], check_names=False), f"{table}.{column}"


def test_new_samples_lie_among_their_like(runs: tuple[Run, Run]) -> None:
    _, now = runs
    samples = scan_samples(now).collect()
    new, old = (samples.filter(pl.col("sample_id").is_in(NEW.tolist()) == there) for there in (True, False))
    distance = np.hypot(*(new[a].to_numpy()[:, None] - old[a].to_numpy()[None] for a in ("x", "y")))
    assert (old["predicted"].to_numpy()[distance.argmin(1)] == new["predicted"].to_numpy()).mean() >= 0.9


def test_neighbours_are_those_of_a_search_over_all(runs: tuple[Run, Run]) -> None:
    _, now = runs
    rows = now.scan("embeddings").sort("sample_id").collect()
    embedding = rows["embedding"].explode().to_numpy().reshape(len(rows), -1).astype(np.float64)
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    stored = now.scan("neighbors").sort("sample_id", "rank").collect()["similarity"].to_numpy().reshape(len(rows), -1)
    assert stored == pytest.approx(np.sort(cosine)[:, ::-1][:, : stored.shape[1]], abs=1e-5)


def test_only_new_images_are_looked_at(folder: Path, runs: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """One more image, in a work folder that is empty: one is measured and scored, and no model is trained."""
    seen: dict[str, int] = {}
    for module, name, place in ((image_properties, "compute_properties", 0), (score, "score", 2)):
        original = getattr(module, name)

        def counted(
            *arguments: Any, original: Any = original, name: str = name, place: int = place, **rows: Any
        ) -> Any:
            seen[name] = len(rows.get("rows", arguments[place]))
            return original(*arguments, **rows)

        monkeypatch.setattr(module, name, counted)
    copy = Path(shutil.copytree(folder / "lake", folder / "again" / "lake")).parent
    data = grown(drawn_dataset())
    one = replace(data, sample_id=np.append(data.sample_id[:-1], 2000))
    assert refresh(tiny_settings(copy), QUIET, dataset=one).published
    assert seen == {"compute_properties": 1, "score": 1}
    assert 1009 not in Lake(copy / "lake").run().scan("predictions").collect()["sample_id"]


def test_the_same_again_is_nothing_new(folder: Path, runs: tuple[Run, Run]) -> None:
    outcome = refresh(tiny_settings(folder), QUIET, dataset=grown(drawn_dataset()))
    assert (outcome.published, outcome.run_id) == (False, runs[1].run_id)


def test_labels_that_arrive_update_their_samples(runs: tuple[Run, Run], kept: Run) -> None:
    rows = scan_samples(kept).filter(pl.col("sample_id").is_in(NEW.tolist())).collect()
    assert rows["split"].unique().to_list() == ["test"] and rows["loss"].null_count() == 0
    before = scan_samples(runs[1]).filter(pl.col("sample_id").is_in(NEW.tolist())).collect()
    assert rows.sort("sample_id")["x"].equals(before.sort("sample_id")["x"])
    assert before["label"].null_count() == len(NEW), "the run before is as it was"


# --- another model


def changed_training(data: Dataset) -> Dataset:
    """The dataset with one training label changed."""
    label = data.label.copy()
    label[data.rows("train")[0]] = (label[data.rows("train")[0]] + 1) % len(CLASSES)
    return replace(data, label=label)


class Trained(Exception):
    """A training began."""


def refuse_training(*_: object, **__: object) -> None:
    raise Trained


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.model.train.train", refuse_training)


@pytest.mark.parametrize(
    ("retrain", "days", "kept"), [("never", 7, True), ("if-stale", 7, True), ("if-stale", 0, False)]
)
def test_a_model_is_kept_or_trained_again_as_asked(
    folder: Path, runs: tuple[Run, Run], tmp_path: Path, no_training: None, retrain: str, days: float, kept: bool
) -> None:
    copy = Path(shutil.copytree(folder / "lake", tmp_path / "lake")).parent
    settings = tiny_settings(copy, retrain=retrain, stale_days=days)
    stages = open_stages(settings, QUIET, dataset=changed_training(grown(drawn_dataset())))
    if kept:
        assert stages["train"].fingerprint == runs[1].facts["stages"][1]["fingerprint"]
    else:
        with pytest.raises(Trained):
            _ = stages["train"]


def test_with_a_kept_model_the_changed_data_are_published_once(
    runs: tuple[Run, Run], kept: Run, no_training: None
) -> None:
    assert kept.run_id != runs[1].run_id
    assert kept.facts["stages"][1]["fingerprint"] == runs[1].facts["stages"][1]["fingerprint"]
    settings = tiny_settings(Path(kept.lake.root).parent, retrain="never")
    assert not refresh(settings, QUIET, dataset=changed_training(grown(drawn_dataset(), labelled=True))).published


@pytest.mark.long
def test_the_map_of_a_new_model_lies_as_the_one_before(folder: Path, runs: tuple[Run, Run], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder / "lake", tmp_path / "lake")).parent
    refresh(tiny_settings(copy, seed=3), QUIET, dataset=grown(drawn_dataset()), force=True)
    before, now = (scan_samples(run).filter(queries.HELD_OUT).collect() for run in (runs[1], Lake(copy / "lake").run()))
    centres = [
        frame.group_by("label").agg(pl.col("x", "y").mean()).sort("label").select("x", "y").to_numpy()
        for frame in (before, now)
    ]
    place = before.select("x", "y").to_numpy()
    radius = np.linalg.norm(place - place.mean(0), axis=1).max()
    assert np.linalg.norm(centres[0] - centres[1], axis=1).max() <= 0.15 * radius
