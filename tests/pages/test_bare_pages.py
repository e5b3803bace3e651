"""Every page, the report and the commands on runs whose predictions were brought without images or embeddings."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import structlog
from typer.testing import CliRunner

from lake.errors import UserError
from lake.query.joined_samples import scan_samples
from lake.storage.store import Lake
from pages.report.document import render_report
from pages.report.pictures import render_chart
from pages.text import missing
from pages.text.claims import find_claims
from pages.text.missing import COPIES, GROUPS, LOSS_MAPS, MAP, SIMILAR
from pages.ui.core import data
from pages.ui.map import projection_offers
from pipeline.cli import app as commands
from pipeline.commands.compare import summarise
from tests.support.lakes.bare_run import bare_tables, build_bare_lake
from tests.support.lakes.tiny_data import dataset_id_of
from tests.support.lakes.tiny_lake import RUN_ID, build_tiny_lake, run_facts, stage_all
from tests.support.servers.apps import NAMES, Open, answer, failures, galleries, shown, tiles

SECOND = "20260102-000000-bbbbbb"
KINDS = {
    "predictions alone": (False, False),
    "embeddings": (False, True),
    "images": (True, False),
    "both": (True, True),
}
PLACES = ("x", "pca_x", "neighbors_kept", "cluster_kmeans", "cluster_hdbscan")
PROPERTIES = ("bg_lightness", "contrast", "object_hue")
NEEDS_EMBEDDINGS = {"population_map": MAP, "clusters": GROUPS, "similar": SIMILAR}
SAMPLES = 80


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By kind the root of a lake with a run, and but for both with another of the same data and other predictions."""
    roots = {kind: str(tmp_path_factory.mktemp("bare") / "lake") for kind in KINDS}
    for kind, (images, embeddings) in KINDS.items():
        lake = build_bare_lake(roots[kind], images=images, embeddings=embeddings)
        if kind == "both":
            continue
        tables = bare_tables(images=images, embeddings=embeddings, run_id=SECOND)
        tables["predictions"] = tables["predictions"].with_columns(loss=pl.col("loss") / 2)
        tables["findings"] = tables["findings"].head(1)
        stage_all(lake, {name: frame for name, frame in tables.items() if name not in ("images", "properties")})
        lake.publish(run_facts(run_id=SECOND, dataset_id=dataset_id_of(SAMPLES, 0), samples=SAMPLES))
    return roots


@pytest.fixture(params=[kind for kind in KINDS if kind != "both"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(lakes: dict[str, str], kind: str) -> str:
    return lakes[kind]


def test_such_a_run_passes_every_check(root: str) -> None:
    assert Lake(root).run().verify() > 0


@pytest.mark.parametrize("name", NAMES)
def test_every_page_answers_in_a_sentence_and_draws_nothing_that_is_missing(
    root: str, kind: str, name: str, open_page: Open
) -> None:
    app = open_page(root, name)
    assert not failures(app)
    assert answer(app).endswith(".") and "nan" not in answer(app) and "None" not in answer(app)
    images, embeddings = KINDS[kind]
    assert all(tile["src"] if images else tile["src"] is None and tile["name"] for tile in tiles(app))
    offered = {option for box in app.selectbox for option in box.options}
    assert ("Background lightness" in offered) == images
    assert ("X" in offered) == embeddings
    assert "checks passed" in shown(app), "the footer stands below every page"


@pytest.mark.parametrize(("name", "part"), NEEDS_EMBEDDINGS.items())
def test_a_page_of_embeddings_says_only_that_there_are_none_and_what_to_bring(
    lakes: dict[str, str], name: str, part: missing.Part, open_page: Open
) -> None:
    app = open_page(lakes["images"], name)
    assert answer(app) == f"## {part.lacking}: its predictions were brought without embeddings. " + (
        f"Bring a column of embeddings to {part.to}."
    )
    assert not galleries(app) and not app.main.dataframe and not app.get("vega_lite_chart")
    assert "brought without" not in answer(open_page(lakes["embeddings"], name))


def test_why_names_everything_that_loss_maps_need(lakes: dict[str, str], open_page: Open) -> None:
    said = {kind: answer(open_page(root, "loss_analysis")) for kind, root in lakes.items()}
    assert "without their model and images. Bring the model as a checkpoint and the images" in said["embeddings"]
    assert said["images"].endswith("without their model. Bring the model as a checkpoint to see them.")


def test_a_run_with_a_model_lacks_nothing(tiny_lake: str) -> None:
    run = Lake(tiny_lake).run()
    assert [missing.say(run, part) for part in (MAP, GROUPS, SIMILAR, LOSS_MAPS, COPIES)] == [None] * 5
    assert missing.noun(run) == "image" and not data.empty_columns(run)


def test_columns_that_are_empty_everywhere_are_offered_nowhere(root: str, kind: str) -> None:
    images, embeddings = KINDS[kind]
    run = Lake(root).run()
    empty = data.empty_columns(run)
    assert {column in empty for column in PLACES} == {not embeddings}
    assert {column in empty for column in PROPERTIES} == {not images}
    assert ("leak" in empty) == (not (images and embeddings))
    assert "map_family" in empty and not empty & {"label", "predicted", "loss", "split", "reason"}
    assert not empty & set(projection_offers.color_columns(run))


def test_the_tour_claims_only_what_the_run_can_show(lakes: dict[str, str], open_page: Open) -> None:
    pages = {}
    for kind, root in lakes.items():
        run = Lake(root).run()
        claims = find_claims(run, scan_samples(run))
        pages[kind] = [claim.page for claim in claims]
        assert not any("Not measured" in claim.sentence for claim in claims)
        for step, claim in enumerate(claims, 1):
            app = open_page(root, claim.page, tour=str(step), **claim.query)
            assert not failures(app) and f"{step} of {len(claims)}" in shown(app)
    assert pages["predictions alone"] == pages["images"] == ["samples", "confusion"]
    assert pages["embeddings"] == ["population_map", "population_map", "confusion", "similar"]
    assert pages["both"] == ["population_map", "population_map", "confusion", "clusters", "similar"]


def test_cards_of_findings_lead_only_to_pages_that_show_them(lakes: dict[str, str], open_page: Open) -> None:
    links = {
        kind: [link.proto.label for link in open_page(root).get("page_link") if "f=" in link.proto.query_string]
        for kind, root in lakes.items()
    }
    assert set(links["images"]) == {"In the matrix", "As a table", "Take the tour"}
    assert set(links["embeddings"]) == {"On the map", "In the matrix", "As a table"}


def test_faults_that_could_not_be_looked_for_are_not_said_to_be_absent(lakes: dict[str, str], open_page: Open) -> None:
    said = {kind: shown(open_page(root)) for kind, root in lakes.items()}
    assert "images that occur twice" in said["both"]
    assert "splits that differ" in said["images"] and "images that occur twice" not in said["images"]
    assert "splits that differ" not in said["predictions alone"]
    (line,) = (line for line in said["predictions alone"].split("\n") if line.startswith("Looked for"))
    assert "image" not in line


def test_without_images_a_tile_is_known_by_what_the_source_calls_it(lakes: dict[str, str], open_page: Open) -> None:
    run = Lake(lakes["predictions alone"]).run()
    names = dict(scan_samples(run).select("sample_id", "source_name").collect().iter_rows())
    found = tiles(open_page(lakes["predictions alone"], "confusion"))
    assert found and all(tile["name"] == names[tile["sample_id"]] for tile in found)


def test_without_neighbours_nothing_is_said_of_them(lakes: dict[str, str], open_page: Open) -> None:
    for name in ("data_quality", "overview", "confusion", "samples"):
        said = shown(open_page(lakes["images"], name))
        words = said[: said.index("What the words mean")] if "What the words mean" in said else said
        assert "neighbours;" not in words and "model and neighbours" not in words.lower()
    app = open_page(lakes["images"], "data_quality")
    assert answer(app).startswith("## The model alone contradicts")
    assert app.dataframe and all("neighbor_share" not in table.value.columns for table in app.dataframe)
    assert missing.say(Lake(lakes["images"]).run(), COPIES) in [info.value for info in app.info]


def test_a_null_cluster_is_no_noise_where_nothing_was_clustered(lakes: dict[str, str], open_page: Open) -> None:
    assert "noise" not in shown(open_page(lakes["predictions alone"], "clusters")).split("## ")[1].split("\n")[0]
    app = open_page(lakes["predictions alone"], "compare")
    (parts,) = [group.options for group in app.button_group if "Cost" in group.options]
    assert parts == ["Samples", "Losses", "Findings", "Drift", "Cost"]


@pytest.mark.parametrize("part", ["Samples", "Losses", "Map", "Groups", "Findings", "Drift", "Cost"])
def test_two_such_runs_are_compared_part_by_part(root: str, part: str, open_page: Open) -> None:
    app = open_page(root, "compare", part=part, against=RUN_ID)
    assert not failures(app)
    assert answer(app).startswith("## No measurable difference: of 40 samples")
    assert "0 of 0" not in shown(app)


@pytest.mark.long
def test_a_run_that_has_all_is_compared_with_one_that_has_not(tmp_path: Path, open_page: Open) -> None:
    root = str(tmp_path / "lake")
    build_tiny_lake(root, samples=SAMPLES)
    lake = Lake(root)
    tables = bare_tables(images=True, embeddings=False, run_id=SECOND)
    stage_all(lake, {name: frame for name, frame in tables.items() if name not in ("images", "properties")})
    lake.publish(run_facts(run_id=SECOND, dataset_id=dataset_id_of(SAMPLES, 0), samples=SAMPLES))
    for now, before in ((SECOND, RUN_ID), (RUN_ID, SECOND)):
        app = open_page(root, "compare", run=now, against=before, part="Groups")
        assert not failures(app) and answer(app).startswith("## No measurable difference")
        found = summarise(lake.run(now), lake.run(before))
        assert "map" not in found and found["clusters"] == {}


@pytest.mark.long
def test_a_map_that_showed_images_forgets_them_on_a_run_without(tmp_path: Path, open_page: Open) -> None:
    root = str(tmp_path / "lake")
    build_bare_lake(root, images=False, embeddings=True)
    build_tiny_lake(root, run_id=SECOND, samples=SAMPLES, seed=1)
    app = open_page(root, "population_map", run=SECOND, show="images", size="contrast", color="bg_lightness")
    assert app.session_state["map-state"].show == "images"
    app.query_params["run"] = RUN_ID
    for name in ("show", "size", "color"):
        del app.query_params[name]
    app.run()
    state = app.session_state["map-state"]
    assert not failures(app) and (state.show, state.size, state.color) == ("dots", "loss", "superclass")


def test_an_address_for_what_the_run_lacks_is_refused_in_words(lakes: dict[str, str], open_page: Open) -> None:
    query = {"show": "images", "size": "contrast", "color": "bg_chroma"}
    app = open_page(lakes["embeddings"], "population_map", **query)
    assert not failures(app) and "was ignored" in app.toast[0].value
    app = open_page(lakes["predictions alone"], "samples", columns="label,contrast", sort="-x", pivot="label,contrast")
    assert not failures(app) and "Left out, as this run has nothing like it" in app.toast[0].value


def test_a_filter_by_an_empty_column_is_refused_in_words_and_leaves_every_sample(
    lakes: dict[str, str], open_page: Open
) -> None:
    app = open_page(lakes["images"], f="cluster_kmeans.is.1;label.is.cat")
    assert "cluster_kmeans is empty in this run." in app.toast[0].value.replace("\\", "")
    assert "**Filters** · 18 of 80 samples" in shown(app)


def test_a_group_has_only_galleries_that_show_a_sample(lakes: dict[str, str], open_page: Open) -> None:
    tabs = {
        text: [tab.label for tab in open_page(lakes["embeddings"], "clusters", f=text).tabs]
        for text in ("", "label.present", "label.null")
    }
    assert tabs[""] == ["Most typical", "Farthest", "Highest loss", "Unlabeled"]
    assert tabs["label.present"] == ["Most typical", "Farthest", "Highest loss"]
    assert tabs["label.null"] == ["Most typical", "Farthest", "Unlabeled"]


def test_losses_by_two_columns_begin_with_columns_that_the_run_has(root: str, kind: str, open_page: Open) -> None:
    app = open_page(root, "samples")
    app.toggle(key="pivot-on").set_value(True).run()
    assert not failures(app)
    sides = [app.selectbox(key=f"pivot-{side}").value for side in ("down", "across")]
    assert sides == ["label", "bg_lightness" if KINDS[kind][0] else "confidence"]


def test_a_deep_link_to_a_sample_opens_every_page(lakes: dict[str, str], open_page: Open) -> None:
    for name in NAMES:
        app = open_page(lakes["predictions alone"], name, sample="44", f="label.is.cat")
        assert not failures(app), name


def test_the_report_names_what_is_missing_and_shows_no_broken_image(root: str, kind: str) -> None:
    images, embeddings = KINDS[kind]
    lake = Lake(root)
    report = render_report(lake.run(), lake.run(RUN_ID))
    assert ("This run has no map: its predictions were brought without embeddings." in report) == (not embeddings)
    assert report.count('<div class="chart') == 1 + embeddings
    assert ('<img src="data:image/png' in report) == images and 'src="None"' not in report
    assert ("<code>test/" in report) == (not images)
    assert ("new images" in report) == images
    assert ("nearest images" in report) == (images and embeddings)


def command(*arguments: str) -> str:
    """What a command prints that ends well."""
    done: Any = CliRunner().invoke(commands, arguments)
    structlog.reset_defaults()  # the command has set up a log to a stream that is closed by now
    assert done.exit_code == 0, done.output
    return str(done.output)


def test_the_commands_work_on_it(root: str, kind: str, tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        return command(*arguments, "--lake", root)

    assert "84.4 % right of 32" in said("status")
    assert SECOND in said("runs")
    assert "No measurable difference" in said("compare", RUN_ID, SECOND)
    assert "0 of 0" not in said("compare", RUN_ID, SECOND)
    assert "the report" in said("export", str(tmp_path / "report.html"))
    assert "80 samples" in said("export", str(tmp_path / "rows.csv"))
    assert "the chart" in said("export", str(tmp_path / "confusion.svg"))


def test_a_map_that_is_not_there_is_not_exported(lakes: dict[str, str]) -> None:
    with pytest.raises(UserError, match="This run has no map"):
        render_chart(Lake(lakes["images"]).run(), "map", png=False)


def test_a_run_without_labels_of_the_test_split_has_a_status(tmp_path: Path) -> None:
    tables = bare_tables(images=False, embeddings=False)
    unlabelled = tables["samples"]["split"] == "test"
    tables["samples"] = tables["samples"].filter(~unlabelled)
    keep = tables["samples"].select("sample_id")
    for name in ("predictions", "triage", "label_issues"):
        tables[name] = tables[name].join(keep, on="sample_id", how="semi")
    lake = Lake(tmp_path / "lake")
    stage_all(lake, tables)
    lake.publish(run_facts(dataset_id=dataset_id_of(SAMPLES, 0)))
    assert "no labelled samples" in command("status", "--lake", str(tmp_path / "lake"))
