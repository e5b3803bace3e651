"""Similar: equal to brute force in float64 up to ties, led by examples for and against, narrowed before counting."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from lake.comparison.differences import measure, notable
from lake.query.joined_samples import scan_samples
from lake.query.reviews import saved_sets, scan_reviews
from lake.search.similar import Index
from lake.search.vectors import to_unit
from lake.storage.store import Lake, Run
from tests.support.servers.apps import HELD_OUT, Open, answer, galleries, shown, tiles


@pytest.fixture(scope="module")
def run(tiny_lake: str) -> Run:
    return Lake(tiny_lake).run()


@pytest.fixture(scope="module")
def index(run: Run) -> Index:
    return Index.of(run)


def brute_force(embedding_ND: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Cosine similarity of every row in float64."""
    rows = embedding_ND.astype(np.float64)
    return rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 40))
@settings(max_examples=60)
def test_the_nearest_are_those_of_brute_force_in_float64_up_to_ties(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    embedding = rng.integers(-2, 3, (60, 5)).astype(np.float32) + 0.5  # coarse, so that there are ties
    index = Index(np.arange(60) * 7, to_unit(embedding))
    found = index.search(index.vector([21]), count)
    exact = brute_force(embedding, embedding[3].astype(np.float64))
    best = np.sort(exact)[::-1][:count]
    assert exact[found["sample_id"].to_numpy() // 7] == pytest.approx(best, abs=1e-6)
    assert found["similarity"].to_numpy() == pytest.approx(best, abs=1e-6)
    assert found["rank"].to_list() == list(range(1, count + 1))


def test_the_index_agrees_with_the_stored_neighbours(run: Run, index: Index) -> None:
    stored = run.scan("neighbors").filter(pl.col("sample_id") == 17).sort("rank").collect()
    among = index.sample_id != 17
    found = index.search(index.vector([17]), len(stored), among=among)
    assert found["similarity"].to_numpy() == pytest.approx(stored["similarity"].to_numpy(), abs=1e-5)


def test_several_examples_are_their_mean_and_others_are_moved_away_from(index: Index) -> None:
    unit = dict(zip(index.sample_id.tolist(), index.unit_ND, strict=True))
    expected = (unit[3] + unit[8]) / 2 - unit[20]
    assert index.vector([3, 8], [20]) == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)
    assert index.vector([3, 8], [20]) @ unit[20] < index.vector([3, 8]) @ unit[20]


def test_samples_that_are_not_there_are_left_out(index: Index) -> None:
    assert index.vector([3, 10**9]) == pytest.approx(index.vector([3]))
    assert (index.vector([10**9]) == 0).all()


def test_only_allowed_samples_are_found_and_no_more_than_there_are(index: Index) -> None:
    among = index.sample_id % 50 == 0
    found = index.search(index.vector([1]), 100, among=among)
    assert set(found["sample_id"]) == set(index.sample_id[among])
    assert index.search(index.vector([1]), 5, among=np.zeros(len(among), bool)).is_empty()


# --- the page


def worst(rows: pl.DataFrame) -> dict[str, Any]:
    return rows.filter(HELD_OUT).sort("loss", descending=True).row(0, named=True)


def test_options_narrow_before_the_nearest_are_counted(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    app = open_page(tiny_lake, "similar")
    pills = next(g for g in app.button_group if g.label == "Only")
    pills.set_value(["Other split", "Held-out"]).run()
    found = {tile["sample_id"] for tile in tiles(app)}
    split = dict(rows.select("sample_id", "split").iter_rows())
    seed = worst(rows)
    assert len(found) == 20 and seed["sample_id"] not in found
    assert {split[i] for i in found} <= {"validation", "test", "unlabeled"} - {seed["split"]}


def test_no_copies_leaves_copies_out(
    tiny_lake: str, rows: pl.DataFrame, run: Run, index: Index, open_page: Open
) -> None:
    copies = set(run.scan("duplicates").collect()["sample_id"])
    seed = worst(rows)["sample_id"]
    among_all = index.search(index.vector([seed]), 100, among=index.sample_id != seed)
    assert copies & set(among_all["sample_id"]), "or there would be none to leave out"
    app = open_page(tiny_lake, "similar")
    next(g for g in app.button_group if g.label == "How many").set_value(100)
    next(g for g in app.button_group if g.label == "Only").set_value(["No copies"]).run()
    assert "**100 similar images**" in shown(app)
    link = next(p.proto.query_string for p in app.get("page_link") if "sample_id.is." in p.proto.query_string)
    assert not copies & {int(part) for part in link.split("sample_id.is.")[1].split("&")[0].split("%2C")}


def test_examples_for_and_against_change_what_is_found(
    tiny_lake: str, rows: pl.DataFrame, index: Index, open_page: Open
) -> None:
    seed = worst(rows)["sample_id"]
    ships = rows.filter(pl.col("label") == "ship")["sample_id"].head(2).to_list()
    app = open_page(tiny_lake, "similar")
    app.text_input(key="also").set_value(f"{ships[0]}, {ships[1]}")
    app.text_input(key="unlike").set_value(str(seed + 1)).run()
    among = ~np.isin(index.sample_id, [seed, *ships, seed + 1])
    expected = index.search(index.vector([seed, *ships], [seed + 1]), 20, among=among)
    assert [tile["sample_id"] for tile in tiles(app)] == expected["sample_id"].to_list()


def test_no_example_is_among_the_found_whether_for_or_against(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    seed = worst(rows)
    alike = rows.filter(pl.col("predicted") == seed["predicted"])["sample_id"].to_list()
    also, unlike = [sample for sample in alike if sample != seed["sample_id"]][:2]
    app = open_page(tiny_lake, "similar", also=str(also), unlike=str(unlike))
    next(g for g in app.button_group if g.label == "How many").set_value(100)
    next(g for g in app.button_group if g.label == "Only").set_value(["Same prediction"]).run()
    assert len(alike) - 3 < 100 and f"**{len(alike) - 3} similar images**" in shown(app)


def test_what_they_share_is_measured_against_all_others(
    tiny_lake: str, rows: pl.DataFrame, run: Run, index: Index, open_page: Open
) -> None:
    seed = worst(rows)["sample_id"]
    found = index.search(index.vector([seed]), 20, among=index.sample_id != seed)
    samples = scan_samples(run).collect()
    inside = samples["sample_id"].is_in(found["sample_id"].implode()).to_numpy()
    said = shown(open_page(tiny_lake, "similar"))
    (line,) = [text for text in said.splitlines() if text.startswith("**What they share:**")]
    clauses = notable(measure(samples, [inside]))
    said_of = [f"{row['here']:.0f}" for row in clauses.iter_rows(named=True) if abs(row["here"]) >= 10]
    assert said_of and [value for value in said_of if value not in line] == []


def test_the_sentence_and_the_gallery_speak_of_the_same_samples(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, "similar")
    found = [tile["sample_id"] for tile in galleries(app)[0]]
    labels = rows.filter(pl.col("sample_id").is_in(found))["label"].drop_nulls()
    top, n = labels.value_counts(sort=True).row(0)
    assert f"{n} of the {len(labels)} most similar labelled images are {top}" in answer(app)


# --- saved sets


def click(app: AppTest, key: str) -> AppTest:
    return next(button for button in app.button if button.key == key).click().run()


def links(app: AppTest, label: str) -> list[str]:
    return [link.proto.query_string for link in app.get("page_link") if link.proto.label == label]


def test_what_was_found_is_saved_under_a_name_opened_and_taken_back(lake_copy: Path, open_page: Open) -> None:
    app = open_page(str(lake_copy), "similar")
    found = [tile["sample_id"] for tile in tiles(app)]
    app.text_input(key="set-name").set_value("odd ones")
    app.text_input(key="reviewer").set_value("Ada").run()
    app = click(app, "set-save")
    (kept,) = saved_sets(scan_reviews(Lake(lake_copy), "tiny-240-0")).collect().iter_rows(named=True)
    assert (kept["name"], kept["sample_ids"], kept["saved_by"]) == ("odd ones", found, ["Ada"])
    assert "**odd ones** · 20 samples · by Ada" in shown(open_page(str(lake_copy), "similar"))
    (again,) = links(app, "More like these")
    assert f"sample={found[0]}&also={found[1]}%2C+{found[2]}" in again
    app.text_input(key="drop-by-odd ones").set_value("Bob").run()
    click(app, "drop-odd ones")
    assert "odd ones" not in shown(open_page(str(lake_copy), "similar"))


def test_a_set_without_a_name_is_refused(lake_copy: Path, open_page: Open) -> None:
    app = click(open_page(str(lake_copy), "similar"), "set-save")
    assert "needs a name" in app.error[0].value


def test_the_map_beside_shows_the_found_in_colour_and_rings_the_one_asked_about(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, "similar")
    chart = next(c.proto for c in app.get("vega_lite_chart") if json.loads(c.proto.spec).get("height") == 300)
    frames = [pl.read_ipc_stream(dataset.data.data) for dataset in chart.datasets]
    dots = next(frame for frame in frames if "superclass" in frame.columns)
    assert set(dots["sample_id"]) == {tile["sample_id"] for tile in tiles(app)}
    assert any(frame.columns == ["sample_id", "at_x", "at_y"] and len(frame) == 1 for frame in frames)
