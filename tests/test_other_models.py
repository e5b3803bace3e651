"""A whole refresh with a ConvNeXt: trained, measured, published and read."""

import numpy as np
import pytest

from lake import loss_maps, queries
from lake.store import Lake
from pages.report.document import render_report
from pages.ui import live_explain
from pipeline.on_demand import OnDemand
from pipeline.progress import Progress
from pipeline.refresh import refresh
from pipeline.stored_model import load_model
from tests.apps import NAMES, shown
from tests.drawn import drawn_dataset, tiny_settings

QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def convnext(tmp_path_factory):
    """Root of a lake whose run trained a ConvNeXt, of which 32 px leave three stages with cells."""
    folder = tmp_path_factory.mktemp("convnext")
    refresh(tiny_settings(folder, model="test_convnext"), QUIET, dataset=drawn_dataset())
    return f"{folder}/lake"


def test_another_model_is_trained_explained_and_published(convnext):
    run = Lake(convnext).run()
    assert loss_maps.map_layers(run) == ["stages.1", "stages.2"] and queries.embedding_size(run) == 64
    sizes = loss_maps.map_sizes(run).collect().rows()
    assert sizes == [("stages.1", 4, 4), ("stages.2", 2, 2)]
    assert set(run.scan("pooled_maps").collect()["layer"]) <= {"stages.1", "stages.2"}
    proven = set(run.scan("proofs").filter(subject="loss maps").collect()["proof"])
    assert {"finite difference, stages.1", "finite difference, stages.2"} <= proven and "closed form" not in proven
    assert run.scan("training").collect().height > 0


def test_its_maps_on_demand_are_those_of_the_lake(convnext):
    run = Lake(convnext).run()
    stored = run.scan("loss_maps").filter(layer="stages.1").sort("max_abs").tail(1).collect().row(0, named=True)
    image = live_explain.image_of(run, stored["sample_id"])
    found = OnDemand(load_model(run)).explain(image, run.classes.index(stored["target"]))
    expected = np.array(stored["values"]).reshape(4, 4)
    assert found.maps["stages.1"] == pytest.approx(expected, rel=0.05, abs=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("name", NAMES)
def test_every_page_reads_it(open_page, convnext, name):
    app = open_page(convnext, name)
    assert not app.exception, app.exception
    if name == "loss_analysis":
        assert "4 x 4 cells (layer stages.1)" in str(app.segmented_control(key="layer").options)
    if name == "population_map":
        assert "64-d" in shown(app)


def test_its_report_is_written(convnext):
    assert "64-d" in render_report(Lake(convnext).run(), None)
