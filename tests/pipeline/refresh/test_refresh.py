"""The refresh: real stages on drawn images, resumable, idempotent, and nothing visible until it is published."""

import io
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from filelock import FileLock
from PIL import Image

from lake.contracts.stages import BY_NAME
from lake.contracts.tables import TABLES, UNPINNED
from lake.errors import RetryLater, UserError
from lake.query import joined_samples, queries
from lake.search.similar import Index
from lake.search.vectors import to_unit
from lake.storage.store import Lake, Run
from pipeline.engine.progress import Progress
from pipeline.measure import clustering
from pipeline.refresh.refresh import Outcome, refresh
from tests.support.data.drawn import drawn_dataset, tiny_settings
from tests.support.data.scalars import mean, number
from tests.support.paths import REPOSITORY

QUIET = Progress(quiet=True)


@pytest.fixture
def folder(drawn_folder: Path, tmp_path: Path) -> Path:
    """A copy of the refreshed folder to write to."""
    return Path(shutil.copytree(drawn_folder, tmp_path / "drawn"))


@pytest.fixture(scope="module")
def run(drawn_folder: Path) -> Run:
    return Lake(drawn_folder / "lake").run()


def again(folder: Path, **options: Any) -> Outcome:
    return refresh(tiny_settings(folder, **options.pop("settings", {})), QUIET, dataset=drawn_dataset(), **options)


def test_every_table_is_published_and_counts_are_pinned(run: Run) -> None:
    pinned = {table["name"]: table["rows"] for table in run.facts["tables"]}
    assert pinned.keys() == TABLES.keys() - set(UNPINNED)
    assert all(run.scan(name).select(pl.len()).collect().item() == rows for name, rows in pinned.items())
    assert pinned["predictions"] == pinned["samples"] == 400
    assert pinned["clusters"] == 3 * 400
    held_out = run.scan("samples").filter(pl.col("split") != "train").select(pl.len()).collect().item()
    assert pinned["loss_maps"] == 2 * held_out


def test_the_model_learns_the_drawn_shapes(run: Run) -> None:
    test = joined_samples.scan_samples(run).filter(pl.col("split") == "test")
    n, hits = queries.accuracy(test).select("n", "hits").collect().row(0)
    assert hits / n > 0.9
    assert run.metric("score", "test_accuracy") == pytest.approx(hits / n)


def test_withheld_labels_reach_no_table(run: Run) -> None:
    samples = joined_samples.scan_samples(run).filter(pl.col("split") == "unlabeled").collect()
    assert len(samples) > 0
    assert (
        samples["label"].null_count()
        == samples["loss"].null_count()
        == samples["superclass"].null_count()
        == len(samples)
    )
    maps = run.scan("loss_maps").join(samples.lazy().select("sample_id", "predicted"), on="sample_id").collect()
    assert (maps["target"] == maps["predicted"]).all()


def test_the_thumbnail_is_the_image(run: Run) -> None:
    png = run.scan("images").filter(pl.col("sample_id") == 7).select("png").collect().item()
    with Image.open(io.BytesIO(png)) as image:
        assert np.array_equal(np.asarray(image), drawn_dataset().images_NHWC[7])


def test_stages_tell_their_seconds_and_memory(run: Run) -> None:
    costs = queries.stage_costs(run).collect()
    assert costs["stage"].to_list() == ["data", *(name for name in BY_NAME if name != "folds"), "write"]
    assert (costs["seconds"] > 0).all() and (costs["peak_memory_mib"] > 50).all()


def test_nothing_new_publishes_nothing(folder: Path) -> None:
    outcome = again(folder)
    assert not outcome.published
    assert outcome.run_id == Lake(folder / "lake").runs()["run_id"].item()


def stages_in(folder: Path) -> set[str]:
    return {path.name for path in (folder / "work").iterdir() if path.is_dir()}


def test_a_changed_setting_redoes_only_what_depends_on_it(folder: Path) -> None:
    before = stages_in(folder)
    assert again(folder, settings={"kmeans_clusters": 5}).published
    new = {name.rsplit("-", 1)[0] for name in stages_in(folder) - before}
    assert new == {"clusters", "cluster_quality", "findings", "pooled_maps"}
    assert len(Lake(folder / "lake").runs()) == 2


@pytest.mark.long
def test_above_the_limit_a_search_index_is_published_and_proposes_neighbours(folder: Path, run: Run) -> None:
    before = stages_in(folder)
    outcome = again(folder, settings={"index_above": 399})
    redone = {name.rsplit("-", 1)[0] for name in stages_in(folder) - before}
    assert {"search_index", "neighbors"} <= redone
    assert not redone & {"train", "properties", "score", "loss_maps"}
    now = Lake(folder / "lake").run(outcome.run_id)
    key = ["sample_id", "rank"]
    exact, proposed = (r.scan("neighbors").sort(key).collect()["similarity"].to_numpy() for r in (run, now))
    assert proposed == pytest.approx(exact, abs=1e-6)  # of so few samples all are proposed
    plain, indexed = Index.of(run), Index.of(now)
    assert plain.search_index is None and indexed.search_index is not None
    assert indexed.search(indexed.vector([7]), 10).equals(plain.search(plain.vector([7]), 10))


@pytest.mark.long
def test_equal_inputs_give_equal_measurements(folder: Path, run: Run) -> None:
    """In a lake of its own, as the same one would only be read."""
    outcome = again(folder / "anew")
    other = Lake(folder / "anew" / "lake").run(outcome.run_id)
    for name in ("predictions", "embeddings", "projection", "clusters", "neighbors", "loss_maps", "findings"):
        first, second = (r.scan(name).drop("run_id").collect() for r in (run, other))
        key = [c for c in TABLES[name].primary_key() if c != "run_id"]
        assert first.sort(key).equals(second.sort(key)), name


@pytest.mark.long
@pytest.mark.parametrize("moment", ["_append_run", "publish", "stage"])
def test_a_refresh_killed_while_publishing_changes_nothing_and_the_next_one_succeeds(folder: Path, moment: str) -> None:
    before = Lake(folder / "lake").runs()["run_id"].to_list()
    program = f"""
import os, signal
from lake.storage.store import Lake
from pipeline.engine.progress import Progress
from pipeline.refresh.refresh import refresh
from tests.support.data.drawn import drawn_dataset, tiny_settings
original = Lake.{moment}
def die(self, *arguments, **options):
    if {moment!r} != "stage" or arguments[0] == "neighbors":
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, *arguments, **options)
Lake.{moment} = die
refresh(tiny_settings({str(folder)!r}), Progress(quiet=True), dataset=drawn_dataset(), force=True)
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()
    lake = Lake(folder / "lake")
    assert lake.runs()["run_id"].to_list() == before
    assert lake.run().scan("predictions").select(pl.len()).collect().item() == 400
    assert again(folder, force=True).published
    assert len(Lake(folder / "lake").runs()) == 2


def test_an_interrupted_stage_leaves_nothing_that_looks_finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(clustering, "compute_clusterings", interrupt)
    with pytest.raises(KeyboardInterrupt):
        again(folder, settings={"kmeans_clusters": 5})
    assert sorted(p.name.endswith(".part") for p in (folder / "work").glob("clusters-*")) == [False, True]
    monkeypatch.undo()
    assert again(folder, settings={"kmeans_clusters": 5}).published


def test_two_refreshes_at_once_are_one_too_many(folder: Path) -> None:
    with FileLock(folder / "lake" / "refresh.lock"), pytest.raises(RetryLater, match="is running: try again") as caught:
        again(folder)
    assert caught.value.exit_code == 75


def test_a_lake_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/lake cannot be opened \(Not a directory\): name another"):
        refresh(tiny_settings(tmp_path / "file"), QUIET, dataset=drawn_dataset())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """The same data twice: measured by one model, and with two more that each leave out half of the training split."""
    folder = tmp_path_factory.mktemp("folds")
    phases = [{"resolution": 16, "epochs": 8}]
    settings = [tiny_settings(folder, phases=phases, folds=folds) for folds in (0, 2)]
    runs = [refresh(s, QUIET, dataset=drawn_dataset(800)).run_id for s in settings]
    return [Lake(folder / "lake").run(run_id) for run_id in runs]


@pytest.mark.long
def test_with_folds_every_training_sample_is_measured_by_a_model_that_never_saw_it(both: list[Run]) -> None:
    run, folded = both
    samples = joined_samples.scan_samples(folded).collect()
    assert samples["out_of_sample"].all()
    fold = folded.scan("predictions").collect()["fold"].value_counts().sort("fold", nulls_last=True)
    assert fold.rows() == [(1, 240), (2, 240), (None, 320)]
    before = joined_samples.scan_samples(run).filter(pl.col("split") != "train").collect()
    held_out = samples.filter(pl.col("split") != "train")
    assert held_out["loss"].equals(before["loss"])


@pytest.mark.long
def test_features_of_the_folds_lie_in_the_space_of_the_main_model(both: list[Run]) -> None:
    """Aligned, a training sample's nearest held-out samples share its class; unaligned axes would mix them."""
    _, folded = both
    alignment = folded.metric("score", "fold_1_alignment")
    assert alignment is not None and alignment > 0.8
    samples = joined_samples.scan_samples(folded).collect().select("sample_id", "split", "predicted")
    features = folded.scan("embeddings").collect().join(samples, on="sample_id")
    train, other = features.filter(pl.col("split") == "train"), features.filter(pl.col("split") != "train")
    ours, theirs = (f["embedding"].explode().to_numpy().reshape(len(f), -1) for f in (train, other))
    nearest = other["predicted"].to_numpy()[(to_unit(ours) @ to_unit(theirs).T).argmax(1)]
    assert (nearest == train["predicted"].to_numpy()).mean() > 0.9


@pytest.mark.long
def test_the_models_of_the_folds_cost_and_are_not_published_as_the_training(both: list[Run]) -> None:
    run, folded = both
    costs = queries.stage_costs(folded).collect()
    assert {"fold-1", "fold-2"} <= set(costs["stage"])
    for name in ("training", "dynamics"):
        assert folded.scan(name).drop("run_id").collect().equals(run.scan(name).drop("run_id").collect())


def test_what_is_learnt_shows_in_the_loss_and_the_accuracy_of_training(run: Run) -> None:
    steps = run.scan("training").sort("step").collect()
    first, last = (steps.row(at, named=True) for at in (0, -1))
    assert first["loss"] > 1.2 and first["accuracy"] < 0.5, "four classes, by chance: 1.39 and 0.25"
    assert last["loss"] < 0.7 * first["loss"] and last["accuracy"] > 0.8


def test_every_training_sample_tells_how_it_was_learnt(run: Run) -> None:
    trained = joined_samples.scan_samples(run).filter(pl.col("split") == "train").select("sample_id").collect()
    dynamics = run.scan("dynamics").sort("sample_id").collect()
    assert dynamics["sample_id"].equals(trained.sort("sample_id")["sample_id"])
    assert number(dynamics["times_seen"].min()) >= 5 and mean(dynamics["confidence"]) > 0.5


@pytest.mark.long
def test_stored_logits_reproduce_stored_losses(both: list[Run]) -> None:
    _, folded = both
    label = folded.scan("samples").select("sample_id", "label")
    labelled = folded.scan("predictions").join(label, on="sample_id").filter(pl.col("label").is_not_null())
    for row in labelled.collect().iter_rows(named=True):
        scaled = np.array(row["logits"]) / row["temperature"]
        loss = np.logaddexp.reduce(scaled) - scaled[folded.classes.index(row["label"])]
        assert row["loss"] == pytest.approx(loss, abs=1e-5)
