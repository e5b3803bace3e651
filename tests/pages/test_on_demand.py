"""Maps on demand: equal to those of the lake, safe with several readers at once, clear about what cannot be read."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lake.errors import UserError
from lake.query.loss_maps import scan_map
from lake.storage.store import Lake, Run
from pages.text.understood import list_assumed
from pages.ui.loss_maps import live_explain
from pages.ui.loss_maps.signed_map import compute_map, find_map
from pipeline.loss_maps.on_demand import OnDemand
from pipeline.model.published_model import load_model
from tests.support.data.drawn import drawn_dataset
from tests.support.data.pictures import encode


@pytest.fixture(scope="module")
def run(drawn_folder: Path) -> Run:
    return Lake(drawn_folder / "lake").run()


@pytest.fixture(scope="module")
def on_demand(run: Run) -> OnDemand:
    return OnDemand(load_model(run))


def test_a_map_on_demand_is_that_of_the_lake(run: Run, on_demand: OnDemand) -> None:
    stored = (
        run.scan("loss_maps").filter(pl.col("layer") == "layer3").sort("max_abs").tail(1).collect().row(0, named=True)
    )
    image = live_explain.image_of(run, stored["sample_id"])
    found = on_demand.explain(image, run.classes.index(stored["target"]))
    expected = np.array(stored["values"]).reshape(stored["height"], stored["width"])
    assert found.maps["layer3"] == pytest.approx(expected, rel=0.05, abs=0.02 * np.abs(expected).max())
    assert found.value == pytest.approx(stored["loss"], rel=0.05, abs=1e-3)


def test_probabilities_are_those_of_the_lake(run: Run, on_demand: OnDemand) -> None:
    row = run.scan("predictions").filter(~pl.col("out_of_sample")).head(1).collect().row(0, named=True)
    found = on_demand.probabilities(live_explain.image_of(run, row["sample_id"]))
    assert found.sum() == pytest.approx(1)
    assert found == pytest.approx(row["probabilities"], abs=0.02)


def test_several_readers_at_once_get_the_maps_they_would_get_alone(on_demand: OnDemand) -> None:
    images = drawn_dataset(12, seed=5).images_NHWC
    alone = [on_demand.explain(image, i % 4) for i, image in enumerate(images)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda i: on_demand.explain(images[i], i % 4), range(12)))
    for one, other in zip(alone, together, strict=True):
        assert all(one.maps[layer].tobytes() == other.maps[layer].tobytes() for layer in one.maps)


def test_a_margin_is_the_logarithm_of_the_ratio_of_two_probabilities(on_demand: OnDemand) -> None:
    image = drawn_dataset(4, seed=6).images_NHWC[0]
    p = on_demand.probabilities(image)
    assert on_demand.explain(image, 0, behind=3).value == pytest.approx(np.log(p[0] / p[3]), abs=0.02)


def test_a_training_sample_is_explained_where_the_model_is_there(run: Run) -> None:
    trained = run.scan("predictions").filter(~pl.col("out_of_sample"), pl.col("correct")).head(1).collect()
    sample_id, label = trained["sample_id"][0], trained["predicted"][0]
    assert scan_map(run, sample_id, "layer3", label).collect().is_empty()
    found = find_map(run, sample_id, "layer3", (label, None))
    assert found is not None and found.values_HW.shape == (8, 8)


def test_without_a_model_there_is_no_map_but_no_error(tiny_lake: str) -> None:
    tiny = Lake(tiny_lake).run()
    trained = tiny.scan("predictions").filter(~pl.col("out_of_sample")).head(1).collect()["sample_id"][0]
    assert not live_explain.is_open(tiny)
    assert find_map(tiny, trained, "layer3", ("cat", None)) is None
    with pytest.raises(UserError, match="has no model in the lake"):
        load_model(tiny)


# --- images of a reader


def test_the_middle_of_any_image_is_taken_as_large_as_those_of_the_run(run: Run) -> None:
    wide = Image.new("RGB", (400, 100), "red")
    wide.paste("blue", (150, 0, 250, 100))
    found = live_explain.read_upload(encode(wide), run)
    assert found.shape == (32, 32, 3) and (found == (0, 0, 255)).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "1", "CMYK"])
def test_images_of_every_kind_of_pixel_are_read(mode: str, run: Run) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert live_explain.read_upload(encode(Image.new(mode, (50, 70)), kind), run).shape == (32, 32, 3)


def test_values_of_12_bits_are_stretched_as_those_of_the_run_were(run: Run) -> None:
    picture = encode(Image.fromarray(np.full((40, 40), 1_000, np.uint16)))
    assumed = [{"setting": "value_range", "value": '{"unsigned": [0, 4000]}', "sentence": "Stretched."}]
    stretched = Run(run.lake, run.facts | {"assumed": assumed})
    assert live_explain.read_upload(picture, run).max() < 10
    assert live_explain.read_upload(picture, stretched).mean() == pytest.approx(64, abs=1)
    assert list_assumed(stretched) == []


def test_an_image_is_turned_as_its_camera_says(run: Run) -> None:
    image = Image.new("RGB", (40, 40), "white")
    image.paste("black", (0, 0, 40, 20))  # black above, white below; turned by 180 degrees
    exif = Image.Exif()
    exif[0x0112] = 3
    found = live_explain.read_upload(encode(image, "JPEG", exif=exif.tobytes()), run)
    assert found[:8].mean() > 250 and found[-8:].mean() < 5


@pytest.mark.parametrize("content", [b"", b"no image", encode(Image.new("RGB", (64, 64)))[:60]])
def test_what_is_no_image_is_refused_in_one_sentence(content: bytes, run: Run) -> None:
    with pytest.raises(UserError, match="not a readable image: choose a PNG, JPEG or WebP file"):
        live_explain.read_upload(content, run)


def test_an_image_that_would_fill_the_memory_is_refused_before_it_is_unpacked(run: Run) -> None:
    with pytest.raises(UserError, match=r"has 8,000 x 8,000 pixels, at most 50,000,000 are read"):
        live_explain.read_upload(encode(Image.new("1", (8000, 8000))), run)


def test_an_uploaded_image_has_a_map(run: Run) -> None:
    image = live_explain.read_upload(encode(Image.new("RGB", (64, 64), "orange")), run)
    found = compute_map(run, image, "layer4", (run.classes[1], None))
    assert found.values_HW.shape == (4, 4)
    assert live_explain.probabilities(run, image)["probability"].sum() == pytest.approx(1)
