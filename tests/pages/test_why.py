"""The page Why: sentence, check, pooled maps, families and proofs say what the rows say, files too."""

import io
import re
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lake.storage.store import Lake
from pages.ui.loss_maps.signed_map import SignedMap, to_csv, to_png
from tests.support.data.scalars import number
from tests.support.servers.apps import HELD_OUT, Open, answer, failures, percent, shown, tiles


@pytest.fixture(scope="module")
def maps(tiny_lake: str) -> pl.DataFrame:
    return Lake(tiny_lake).run().scan("loss_maps").collect()


@pytest.fixture(scope="module")
def worst(rows: pl.DataFrame) -> dict[str, Any]:
    return rows.filter(HELD_OUT).sort("loss", descending=True).row(0, named=True)


def map_of(maps: pl.DataFrame, sample_id: int, target: str, layer: str = "layer3") -> dict[str, Any]:
    return maps.filter(sample_id=sample_id, target=target, layer=layer).row(0, named=True)


def test_the_sentence_says_what_blurring_the_red_quarter_does(
    tiny_lake: str, maps: pl.DataFrame, worst: dict[str, Any], open_page: Open
) -> None:
    row = map_of(maps, worst["sample_id"], worst["label"])
    sentence = answer(open_page(tiny_lake, "loss_analysis"))
    assert f"takes the loss from {row['loss']:.3g} to {row['loss_without_red']:.3g}" in sentence
    assert f"as much elsewhere to {row['loss_without_other']:.3g}" in sentence
    assert row["loss"] == pytest.approx(worst["loss"])


@pytest.mark.parametrize("layer", ["layer3", "layer4"])
def test_the_prediction_can_be_explained_at_either_layer(
    layer: str, tiny_lake: str, maps: pl.DataFrame, worst: dict[str, Any], open_page: Open
) -> None:
    app = open_page(tiny_lake, "loss_analysis")
    groups = {group.label: group for group in app.button_group}
    groups["Explain the loss of"].set_value("Prediction")
    groups["Grid"].set_value(layer).run()
    row = map_of(maps, worst["sample_id"], worst["predicted"], layer)
    grid = np.array(row["values"]).reshape(row["height"], -1)
    border = grid.sum() - grid[1:-1, 1:-1].sum()
    assert f"The border {'raises' if border > 0 else 'lowers'} the loss by {abs(border):.3g} nats" in answer(app)


@pytest.mark.parametrize("name", ["target", "layer"])
@pytest.mark.parametrize("value", ["", "nothing"])
def test_an_address_that_names_no_choice_shows_what_is_shown_without_it(
    name: str, value: str, tiny_lake: str, worst: dict[str, Any], open_page: Open
) -> None:
    sample = str(worst["sample_id"])
    plain = open_page(tiny_lake, "loss_analysis", sample=sample)
    found = open_page(tiny_lake, "loss_analysis", sample=sample, **{name: value})
    assert not failures(found) and answer(found) == answer(plain)
    assert worst["label"] != worst["predicted"], "so that another target would be seen"


def test_an_unlabeled_sample_has_its_prediction_explained_and_the_page_says_so(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    withheld = rows.filter(pl.col("label").is_null()).row(0, named=True)
    app = open_page(tiny_lake, "loss_analysis", sample=str(withheld["sample_id"]))
    assert answer(app).startswith(f"## Label withheld; if it is {withheld['predicted']}, ")
    assert next(g for g in app.button_group if g.label == "Explain the loss of").options == ["Prediction"]


def test_a_sure_and_right_sample_has_nothing_to_explain(tiny_lake: str, maps: pl.DataFrame, open_page: Open) -> None:
    quiet = maps.filter(pl.col("layer") == "layer3").sort("max_abs").row(0, named=True)
    assert quiet["max_abs"] < 0.02
    app = open_page(tiny_lake, "loss_analysis", sample=str(quiet["sample_id"]))
    assert answer(app).endswith("no region matters to the loss, nothing to explain.")
    assert "Grey: no cell reaches 0.02 nats." in shown(app)
    assert "Not measured: there is nothing to explain" in shown(app)


def test_a_training_sample_without_a_map_is_told_what_there_is(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    trained = rows.filter(~pl.col("out_of_sample"))["sample_id"][0]
    app = open_page(tiny_lake, "loss_analysis", sample=str(trained))
    assert "No loss map was computed beforehand" in answer(app)
    assert "This run has no model in the lake" in app.info[0].value


def test_two_samples_stand_side_by_side_on_one_scale(
    tiny_lake: str, rows: pl.DataFrame, maps: pl.DataFrame, worst: dict[str, Any], open_page: Open
) -> None:
    other = rows.filter(HELD_OUT & ~pl.col("correct")).sort("loss").row(0, named=True)
    app = open_page(tiny_lake, "loss_analysis")
    next(g for g in app.button_group if g.label == "Beside it").set_value("Another sample").run()
    next(n for n in app.number_input if n.label == "Other sample").set_value(other["sample_id"]).run()
    said = shown(app)
    for sample in (worst, other):
        assert f"**Sample {sample['sample_id']}** · run" in said
        row = map_of(maps, sample["sample_id"], sample["label"])
        assert f"from **{row['loss']:.3g}** to **{row['loss_without_red']:.3g}**" in said
    charts = [c.proto.spec for c in app.get("vega_lite_chart") if '"interpolate": "rgb"' in c.proto.spec]
    scales = [re.search(r'"domain": \[(-[\d.e-]+), 0', spec) for spec in charts[:2]]
    assert scales[0] and scales[1] and scales[0][1] == scales[1][1]


# --- pooled over a group


def share(known: pl.DataFrame) -> str:
    """What of the raised loss of all maps lies on the border: a pattern of the percentage and any interval."""
    raised = np.array(known["values"].to_list()).reshape(-1, 8, 8).clip(min=0)
    return rf"{100 * (1 - raised[:, 1:-1, 1:-1].sum() / raised.sum()):.0f}\u00a0% \(\d+ to \d+\)"


def test_errors_are_pooled_against_the_right_ones(
    tiny_lake: str, rows: pl.DataFrame, maps: pl.DataFrame, open_page: Open
) -> None:
    known = rows.filter(HELD_OUT).join(
        maps.filter(layer="layer3"), left_on=["sample_id", "label"], right_on=["sample_id", "target"]
    )
    wrong, right = known.filter(~pl.col("correct")), known.filter("correct")
    said = shown(open_page(tiny_lake, "loss_analysis")).replace("**", "")
    who = rf"of what raises the loss of misclassified samples \(n {len(wrong)}\) lies on the border"
    assert re.search(f"{share(wrong)} {who}, which is {percent(28 / 64)} of the area", said)
    assert re.search(f"of those that are right {share(right)} ", said)


def test_a_named_group_is_pooled_with_the_stored_figures(tiny_lake: str, open_page: Open) -> None:
    stored = Lake(tiny_lake).run().scan("pooled_maps").filter(layer="layer3", name="cat images called dog").collect()
    row = stored.row(0, named=True)
    app = open_page(tiny_lake, "loss_analysis")
    next(s for s in app.selectbox if s.label == "Group").set_value("cat images called dog").run()
    said = shown(app).replace("**", "")
    ends = f"{row['border_low'] * 100:.0f} to {row['border_high'] * 100:.0f}"
    assert f"{row['border_share'] * 100:.0f}\u00a0% ({ends}) of what raises the loss of cat images called dog" in said
    assert f"of all other cat images {row['others_share'] * 100:.0f}\u00a0% (" in said
    assert "no difference that chance would not make (adjusted p 0.4)" in said


def test_examples_lie_at_either_end_of_their_own_share(
    tiny_lake: str, rows: pl.DataFrame, maps: pl.DataFrame, open_page: Open
) -> None:
    wrong = rows.filter(HELD_OUT & ~pl.col("correct"))
    known = wrong.join(maps.filter(layer="layer3"), left_on=["sample_id", "label"], right_on=["sample_id", "target"])
    raised = np.array(known["values"].to_list()).reshape(-1, 8, 8).clip(min=0)
    share = 1 - raised[:, 1:-1, 1:-1].sum((1, 2)) / raised.sum((1, 2))
    order = known["sample_id"].to_numpy()[np.argsort(-share)]
    found = [tile["sample_id"] for tile in tiles(open_page(tiny_lake, "loss_analysis"))]
    assert found[:8] == order[:8].tolist() and found[8:16] == order[::-1][:8].tolist()


def test_the_matrix_shows_where_the_loss_of_a_cell_is_raised(
    tiny_lake: str, rows: pl.DataFrame, maps: pl.DataFrame, open_page: Open
) -> None:
    cats = rows.filter(HELD_OUT, label="cat").join(
        maps.filter(layer="layer3"), left_on=["sample_id", "label"], right_on=["sample_id", "target"]
    )
    called, right = cats.filter(predicted="dog"), cats.filter("correct")
    app = open_page(tiny_lake, "confusion")
    assert "Where in the image their loss is raised" in [s.value for s in app.subheader]
    said = shown(app).replace("**", "")
    assert re.search(
        rf"{share(called)} of what raises the loss of cat images called dog \(n {len(called)}\) lies", said
    )
    assert re.search(rf"of cat images that are right {share(right)} \(n {len(right)}\)", said)


def test_groups_show_where_their_loss_is_raised_where_that_was_pooled(tiny_lake: str, open_page: Open) -> None:
    assert "Where in the image its loss is raised" not in [s.value for s in open_page(tiny_lake, "clusters").subheader]


def test_a_card_says_where_its_loss_is_raised(tiny_lake: str, open_page: Open) -> None:
    pooled = Lake(tiny_lake).run().scan("pooled_maps").filter(layer="layer3").collect()
    row = pooled.filter(name="cat images called dog").row(0, named=True)
    said = f"Where the loss is raised: {percent(row['border_share'])} ({row['border_low'] * 100:.0f} to "
    assert said in shown(open_page(tiny_lake))


# --- families and proofs


def test_families_say_how_many_of_their_maps_are_errors(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    members = Lake(tiny_lake).run().scan("map_families").collect().join(rows, on="sample_id")
    wrong = number((~members["correct"]).sum())
    app = open_page(tiny_lake, "loss_analysis")
    said = shown(app).replace("**", "")
    assert (
        f"2 families of the {len(members)} held-out samples with something to explain, {percent(wrong / len(members))}"
        in said
    )
    assert f"Family 0 · {wrong} maps" in said and "errors 100.0\u00a0% (" in said


def test_a_family_leads_to_exactly_its_samples(tiny_lake: str, open_page: Open) -> None:
    members = Lake(tiny_lake).run().scan("map_families").filter(family=0).collect()
    app = open_page(tiny_lake, "samples", f="map_family.is.0")
    assert f"{len(members)} samples pass the filters" in shown(app).replace("**", "")


def test_an_address_that_leaves_the_family_empty_opens_the_first(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "loss_analysis", family="")
    assert not failures(app) and "most like the mean of family 0" in shown(app)
    (link,) = (link.proto.query_string for link in app.get("page_link") if "map_family.is." in link.proto.query_string)
    assert link.split("map_family.is.")[1].split("&")[0] == "0"


def test_proofs_tell_what_holds_and_what_was_missed(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "loss_analysis")
    label = next(e.label for e in app.expander if e.label.startswith("How reliable"))
    assert label.endswith("1 of 2 checks hold")
    table = next(d.value for d in app.dataframe if "verdict" in d.value.columns)
    assert set(table["verdict"]) == {"holds", "missed", "too few"}
    assert "0.90 (0.77 to 0.96)" in set(table["figure"]) and "at least 0.7" in set(table["bar"])


# --- files to take away


@pytest.fixture
def signed() -> SignedMap:
    values = np.array([[0.5, -0.25], [0.0, 1.0]], np.float32)
    return SignedMap(values, ("cat", None), {"loss": 2.0})


def test_the_numbers_of_a_map_are_its_cells(signed: SignedMap) -> None:
    read = pl.read_csv(io.BytesIO(to_csv(signed)))
    assert read.rows() == [(0, 0, 0.5), (0, 1, -0.25), (1, 0, 0.0), (1, 1, 1.0)]
    assert read.columns == ["row", "column", "nats"]


def test_the_picture_of_a_map_is_red_where_it_raises_and_blue_where_it_lowers(signed: SignedMap) -> None:
    image = np.full((8, 8, 3), 128, np.uint8)
    with Image.open(io.BytesIO(to_png(signed, image, limit=1.0, opacity=0.6, title="cat"))) as file:
        pixels = np.asarray(file.convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    raises, lowers = pixels[height // 2 + 60, width - 60], pixels[120, width - 60]
    assert raises[0] > raises[2] + 30 and lowers[2] > lowers[0] + 10


def test_a_map_without_a_check_says_only_what_its_cells_say(signed: SignedMap) -> None:
    assert signed.sentence() == "The border raises the loss by **1.25 nats**, the centre lowers the loss by **0 nats**."


def test_a_margin_is_named_by_its_two_classes() -> None:
    margin = SignedMap(np.ones((2, 2), np.float32), ("cat", "dog"), {})
    assert "raises the margin of cat over dog by" in margin.sentence()
