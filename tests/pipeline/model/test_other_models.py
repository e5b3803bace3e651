"""A whole refresh with a ConvNeXt that is trained, and with a transformer that is brought: published and read."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lake.query import joined_samples, loss_maps, queries
from lake.search.similar import Index
from lake.storage.store import Lake, Run
from pages.report.document import render_report
from pages.text.claims import NO_MAPS, find_claims
from pages.ui.loss_maps import live_explain
from pipeline.checks.run import MAPS, check_again
from pipeline.engine.progress import Progress
from pipeline.loss_maps.on_demand import OnDemand
from pipeline.measure.score import Scorer
from pipeline.model import external_checkpoint
from pipeline.model.architecture import Architecture
from pipeline.model.classifier import create_model
from pipeline.model.published_model import load_model
from pipeline.refresh.refresh import refresh
from pipeline.settings import Settings
from pipeline.stages.graph import Stages
from tests.support.data.drawn import CLASSES, drawn_dataset, tiny_settings
from tests.support.servers.apps import NAMES, Open, failures, shown

pytestmark = pytest.mark.long

QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def convnext(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Root of a lake whose run trained a ConvNeXt, of which 32 px leave three stages with cells."""
    folder = tmp_path_factory.mktemp("convnext")
    refresh(tiny_settings(folder, model="test_convnext"), QUIET, dataset=drawn_dataset())
    return f"{folder}/lake"


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a refresh that was given a transformer nobody trained, its outputs in another order."""
    folder = tmp_path_factory.mktemp("transformer")
    torch.manual_seed(0)
    model = create_model(4, Architecture("test_vit"))
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "own.safetensors")
    refresh(external_settings(folder), QUIET, dataset=drawn_dataset())
    return folder


def external_settings(folder: Path, **changes: object) -> Settings:
    own = {"model": "test_vit", "checkpoint": folder / "own.safetensors", "checkpoint_classes": CLASSES[::-1]}
    return tiny_settings(folder, **own | changes)


def rows(run: Run) -> dict[str, int]:
    return {table["name"]: table["rows"] for table in run.facts["tables"]}


def test_another_model_is_trained_explained_and_published(convnext: str) -> None:
    run = Lake(convnext).run()
    assert loss_maps.map_layers(run) == ["stages.1", "stages.2"] and queries.embedding_size(run) == 64
    sizes = loss_maps.map_sizes(run).collect().rows()
    assert sizes == [("stages.1", 4, 4), ("stages.2", 2, 2)]
    assert set(run.scan("pooled_maps").collect()["layer"]) <= {"stages.1", "stages.2"}
    proven = set(run.scan("proofs").filter(subject="loss maps").collect()["proof"])
    assert {"finite difference, stages.1", "finite difference, stages.2"} <= proven and "closed form" not in proven
    assert run.scan("training").collect().height > 0


def test_its_maps_on_demand_are_those_of_the_lake(convnext: str) -> None:
    run = Lake(convnext).run()
    stored = run.scan("loss_maps").filter(layer="stages.1").sort("max_abs").tail(1).collect().row(0, named=True)
    image = live_explain.image_of(run, stored["sample_id"])
    found = OnDemand(load_model(run)).explain(image, run.classes.index(stored["target"]))
    expected = np.array(stored["values"]).reshape(4, 4)
    assert found.maps["stages.1"] == pytest.approx(expected, rel=0.05, abs=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("name", NAMES)
def test_every_page_reads_it(open_page: Open, convnext: str, name: str) -> None:
    app = open_page(convnext, name)
    assert not failures(app)
    if name == "loss_analysis":
        assert "4 x 4 cells (layer stages.1)" in str(app.segmented_control(key="layer").options)
    if name == "population_map":
        assert "64-d" in shown(app)


def test_an_external_model_scores_as_it_is_and_is_not_trained(transformer: Path) -> None:
    run = Lake(transformer / "lake").run()
    counted = rows(run)
    assert counted["training"] == counted["dynamics"] == 0
    assert counted["predictions"] == 400 and counted["models"] == 1
    model = external_checkpoint.load_external_model(CLASSES, external_settings(transformer))
    dataset = drawn_dataset()
    scored = Scorer(model, 32)({"sample_id": dataset.sample_id, "images_NHWC": dataset.images_NHWC})
    stored = run.scan("predictions").sort("sample_id").collect()["logits"].explode().to_numpy().reshape(-1, 4)
    assert stored == pytest.approx(scored["logits"], abs=0.02)


def test_a_model_without_cells_has_no_maps_families_pools_or_proofs_of_maps(transformer: Path) -> None:
    run = Lake(transformer / "lake").run()
    counted = rows(run)
    assert [counted[name] for name in ("loss_maps", "map_families", "pooled_maps")] == [0, 0, 0]
    assert "loss maps" not in run.scan("proofs").collect()["subject"].to_list()
    assert check_again(run, QUIET, MAPS).is_empty()
    assert run.verify() > 0
    assert find_claims(run, joined_samples.scan_samples(run))[-1].sentence == NO_MAPS


def test_its_embeddings_are_searched_and_computed_on_demand(transformer: Path) -> None:
    run = Lake(transformer / "lake").run()
    index, image = Index.of(run), live_explain.image_of(run, 7)
    own = OnDemand(load_model(run)).embedding(image)
    assert own.shape == (64,)
    found = index.search(own / np.linalg.norm(own), 1)
    assert found["sample_id"].to_list() == [7]


@pytest.mark.parametrize("name", NAMES)
def test_every_page_says_in_a_sentence_what_is_not_there(open_page: Open, transformer: Path, name: str) -> None:
    app = open_page(str(transformer / "lake"), name)
    assert not failures(app)
    said = {
        "loss_analysis": NO_MAPS,
        "runs": "The model was brought as a checkpoint: how it was trained is not known here.",
    }
    assert said.get(name, "") in shown(app)


def test_the_report_of_either_is_written(convnext: str, transformer: Path) -> None:
    for root in (convnext, transformer / "lake"):
        assert "64-d" in render_report(Lake(root).run(), None)


def test_the_same_checkpoint_is_nothing_new_and_another_one_is(transformer: Path) -> None:
    before = Lake(transformer / "lake").runs()
    assert not refresh(external_settings(transformer), QUIET, dataset=drawn_dataset()).published
    assert Lake(transformer / "lake").runs().equals(before)
    assert json.loads(before["config"][0])["checkpoint"].endswith("own.safetensors")
    orders = [external_settings(transformer, checkpoint_classes=order) for order in (CLASSES, CLASSES[::-1])]
    assert len({Stages(drawn_dataset(), settings, QUIET)["train"].fingerprint for settings in orders}) == 2
