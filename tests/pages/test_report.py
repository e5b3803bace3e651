"""The report says what the rows say, and is one file that asks nobody for anything."""

import base64
import html
import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from scipy.stats import binomtest

from lake.pictures import encode_png
from lake.query import joined_samples
from lake.query.filters import Filters
from lake.storage.store import Lake
from pages.charts.projection_layers import DOTS_OVER_DENSITY
from pages.report import pictures
from pages.report.document import MOST_CARDS
from pages.text.glossary import GLOSSARY
from tests.support.data.scalars import mean, number
from tests.support.lakes.changed_run import EARLIER, LATER
from tests.support.lakes.hostile_run import LINK, SCRIPT, build_hostile_lake
from tests.support.lakes.tiny_data import CLASSES, dataset_id_of
from tests.support.lakes.tiny_lake import RUN_ID, build_tiny_lake, run_facts, stage_all, tiny_tables
from tests.support.servers.apps import HELD_OUT, percent
from tests.support.servers.reports import report_of, words_of

MOST_BYTES = 5_000_000


@pytest.fixture(scope="module")
def report(tiny_lake: str) -> str:
    return report_of(tiny_lake)


@pytest.fixture(scope="module")
def words(report: str) -> str:
    return words_of(report)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a run whose classes are called scripts, links and images."""
    root = str(tmp_path_factory.mktemp("hostile") / "lake")
    build_hostile_lake(root)
    return report_of(root)


def publish(root: Path, *, classes: list[str] = CLASSES, **changed: pl.DataFrame) -> str:
    """A lake with one run of which some tables are others; returns its root."""
    lake, tables = Lake(root), tiny_tables(samples=40)
    stage_all(lake, tables | changed)
    lake.publish(run_facts(dataset_id=dataset_id_of(40, 0), samples=40) | {"classes": classes})
    return str(root)


# --- what it says


def test_every_number_of_the_headline_is_computed_again_from_the_rows(words: str, rows: pl.DataFrame) -> None:
    test = rows.filter(split="test")
    low, high = binomtest(test["correct"].sum(), len(test)).proportion_ci(method="wilson")
    right = f"{percent(mean(test['correct']))} ({low * 100:.1f} to {high * 100:.1f})"
    wrong = test.filter(~pl.col("correct"))
    label, n_wrong = wrong["label"].value_counts().sort("count").row(-1)
    called, n_called = wrong.filter(label=label)["predicted"].value_counts().sort("count").row(-1)
    assert f"The model is right on {right} of {len(test)} new images." in words
    assert f"It fails most on {label}: {n_wrong} of {len(test.filter(label=label))} are wrong" in words
    assert f"and {percent(n_called / n_wrong)} of those are called {called}." in words


def test_the_five_figures_are_computed_again_from_the_rows(tiny_lake: str, report: str, rows: pl.DataFrame) -> None:
    pairs = re.findall(r"<dt>(.*?)</dt><dd><strong>(.*?)</strong><span class=\"quiet\">(.*?)</span>", report)
    said = {title: (value, below) for title, value, below in pairs}
    test, findings = rows.filter(split="test"), Lake(tiny_lake).run().scan("findings").collect()
    loss, error = mean(test["loss"]), number(test["loss"].std()) / np.sqrt(len(test))
    low, high = map(float, said["Mean loss (nats)"][1].split(" to "))
    order = test.sort("confidence", maintain_order=True)
    parts = np.array_split(np.arange(len(order)), 15)
    gaps = [abs(mean(order[part]["confidence"]) - mean(order[part]["correct"])) * len(part) for part in parts]
    assert said["Accuracy, test"][0] == percent(mean(test["correct"]))
    assert said["Mean loss (nats)"][0] == f"{loss:.3g}"
    assert [low, high] == pytest.approx([loss - 1.96 * error, loss + 1.96 * error], rel=0.1)
    assert said["Calibration error"][0] == percent(sum(gaps) / len(order))
    assert said["Samples scored"][0] == f"{len(rows)}"
    assert said["Findings confirmed"] == (f"{findings['confirmed'].sum()}", "0 open")


def test_findings_are_there_in_order_with_sentence_numbers_and_action(
    tiny_lake: str, words: str, rows: pl.DataFrame
) -> None:
    held_out, place = rows.filter(HELD_OUT), 0
    for finding in Lake(tiny_lake).run().scan("findings").sort("finding_id").collect().iter_rows(named=True):
        group = Filters.from_text(finding["filter"]).apply(held_out.lazy()).collect()
        lift = mean(group["loss"]) / mean(held_out["loss"])
        start = words.index(f"{finding['finding_id']} · {finding['name']} confirmed")
        assert start > place
        place = start
        card = words[start : words.index(f"Filter: {finding['filter']}", start)]
        assert finding["sentence"] in card
        assert f"n {len(group)} of {len(held_out)} " in card
        assert f"lift {lift:.1f} (" in card
        assert f"Do: {finding['action']}" in card


def test_the_images_of_a_finding_are_those_of_its_hardest_samples(
    tiny_lake: str, report: str, rows: pl.DataFrame
) -> None:
    run = Lake(tiny_lake).run()
    (finding,) = run.scan("findings").filter(finding_id=1).collect().to_dicts()
    group = Filters.from_text(finding["filter"]).apply(rows.filter(HELD_OUT).lazy()).collect()
    hardest = group.sort("loss", descending=True).head(8)
    card = report[report.index("<article>") : report.index("</article>")]
    shown = re.findall(r'<img src="data:image/png;base64,(.*?)" alt="Sample (\d+)"', card)
    images = dict(run.scan("images").select("sample_id", "png").collect().iter_rows())
    assert [int(sample) for _, sample in shown] == hardest["sample_id"].to_list()
    assert [base64.b64decode(png) for png, _ in shown] == [images[sample] for sample in hardest["sample_id"]]
    assert f"loss {hardest['loss'][0]:.3g}" in card


def test_the_table_of_classes_counts_what_each_is_called(report: str, rows: pl.DataFrame) -> None:
    table = re.search(r"<caption>By class.*?</table>", report, re.DOTALL)
    assert table
    found = re.findall(r'<th scope="row">(\w+)</th>(.*?)</tr>', table[0], re.DOTALL)
    held_out = rows.filter(HELD_OUT)
    assert {label for label, _ in found} == set(held_out["label"])
    for label, cells in found:
        part = held_out.filter(label=label)
        wrong = part.filter(~pl.col("correct"))["predicted"].value_counts().sort("count", "predicted")
        values = [html.unescape(value) for value in re.findall(r"<td[^>]*>(.*?)</td>", cells)]
        assert values[0] == f"{len(part)}"
        assert values[1].startswith(percent(mean(part["correct"])))
        assert values[2] == f"{mean(part['loss']):.3g}"
        if wrong.is_empty():
            assert values[3] == "none is wrong"
        else:
            top = wrong.filter(pl.col("count") == wrong["count"].max())
            assert values[3] in {f"{name} {n}" for name, n in top.iter_rows()}


def test_what_changed_is_said_with_both_runs_on_the_same_samples(changed_lake: str) -> None:
    words = words_of(report_of(changed_lake))
    sides = [Lake(changed_lake).run(name).scan("predictions").collect() for name in (LATER, EARLIER)]
    labelled = Lake(changed_lake).run().scan("samples").collect().drop_nulls("label")
    now, before = (side.filter("out_of_sample").join(labelled, on="sample_id", how="semi") for side in sides)
    fixed = (now["correct"] & ~before["correct"]).sum()
    assert f"Since {EARLIER}: " in words
    assert f"of {len(now)} samples that neither run was trained on, {fixed} were fixed and 3 newly broken" in words
    assert "No longer found: cat → dog." in words
    assert f"Share right {percent(mean(before['correct']))} {percent(mean(now['correct']))} " in words
    assert f"Mean loss {mean(before['loss']):.3g} {mean(now['loss']):.3g} " in words


def test_a_first_run_says_that_it_is_the_first(words: str) -> None:
    assert "This is the first run of this data." in words
    assert "On the same" not in words


def test_a_run_without_findings_says_so(tmp_path: Path) -> None:
    none = tiny_tables(samples=40)["findings"].clear()
    words = words_of(report_of(publish(tmp_path / "lake", findings=none)))
    assert "No group of samples has a loss above chance: there is nothing to report." in words
    assert "Findings confirmed 0 0 open" in words


def test_a_run_without_labels_says_what_cannot_be_said(tmp_path: Path) -> None:
    tables = tiny_tables(samples=40)
    nothing: dict[str, Any] = {
        "samples": tables["samples"].with_columns(label=pl.lit(None, pl.String)),
        "predictions": tables["predictions"].with_columns(
            loss=pl.lit(None, pl.Float64), correct=pl.lit(None, pl.Boolean)
        ),
        "findings": tables["findings"].clear(),
        "separation": tables["separation"].clear(),
        "map_quality": tables["map_quality"].clear(),
        "proofs": tables["proofs"].clear(),
    }
    report = report_of(publish(tmp_path / "lake", **nothing))
    assert "This run has no labelled test samples." in report
    assert "No labelled image was held out" in report
    assert "The checks of the lists and maps of this run were not measured." in report
    assert report.count('<div class="chart') == 1, "the map needs no labels"


def test_findings_that_are_not_confirmed_are_rows_and_not_cards(tmp_path: Path) -> None:
    unsure = tiny_tables(samples=40)["findings"].with_columns(confirmed=pl.lit(False))
    report = report_of(publish(tmp_path / "lake", findings=unsure))
    assert "<article>" not in report
    assert "No finding is confirmed." in report
    assert "1 · cat" in report and report.count("not confirmed</td>") == len(unsure)


def test_the_checks_of_every_subject_stand_with_figure_bar_and_verdict(words: str) -> None:
    assert "How reliable are these loss maps? 1 of 2 checks hold" in words
    assert "Share of errors 40 0.90 (0.77 to 0.96) at least 0.7 holds" in words
    assert "Share of mosaics 4 – at least 0.7 too few" in words


def test_the_run_is_named_with_its_data_and_checks(tiny_lake: str, words: str) -> None:
    facts = Lake(tiny_lake).run().facts
    for said in (f"Run {RUN_ID}", "Preset smoke", "Data Tiny drawings (tiny-240-0)", facts["fingerprint"]):
        assert said in words
    assert f"Checks passed before it was published {facts['checks']}" in words
    assert "Statements about loss use held-out samples only." in words


def test_the_words_that_are_used_are_explained_and_no_others(report: str) -> None:
    explained = html.unescape(report[report.index('<dl class="words">') :])
    text = words_of(report[: report.index("<footer>")]).lower()
    for word, meaning in GLOSSARY.items():
        assert (f"<dd>{meaning}</dd>" in explained) == bool(
            re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", text)
        ), word
    assert "<dt>loss</dt>" in explained


def test_the_same_run_gives_the_same_bytes(tiny_lake: str, report: str) -> None:
    assert report_of(tiny_lake) == report


# --- that it is safe


def test_names_that_are_markup_are_shown_as_they_are(hostile: str) -> None:
    assert "<script" not in hostile.lower()
    assert not re.search(r"<a [^>]*href=\"(?!#)", hostile)
    words = words_of(hostile)
    assert f"It fails most on {SCRIPT}: " in words
    assert f"· {SCRIPT} confirmed {SCRIPT}: " in words
    assert f"{SCRIPT} called {LINK}".replace("://", ":\u2060//") in words


# --- that it is one file


def test_headings_are_in_order_and_charts_have_words_beside_them(report: str) -> None:
    assert '<html lang="en">' in report
    levels = [int(level) for level in re.findall(r"<h([1-6])", report)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    figures = re.findall(r"<figure>(.*?)</figure>", report, re.DOTALL)
    assert len(figures) == 2
    assert all('role="img" aria-label="' in figure and "<figcaption>" in figure for figure in figures)
    images = re.findall(r"<img [^>]*>", report)
    assert images and all('alt="' in image for image in images)


def test_ids_are_unique_across_charts(report: str) -> None:
    ids = re.findall(r' id="([^"]*)"', report)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]*)\)", report))
    assert used and used <= set(ids)


def test_of_more_findings_than_fit_the_worst_are_cards_and_the_rest_are_rows(tmp_path: Path) -> None:
    worst = tiny_tables(samples=40)["findings"].head(1)
    many = pl.concat([worst.with_columns(finding_id=pl.lit(i, pl.Int64)) for i in range(1, MOST_CARDS + 4)])
    report = report_of(publish(tmp_path / "lake", findings=many))
    name = html.escape(worst["name"][0])
    assert [int(rank) for rank in re.findall(rf"<h3>(\d+) · {name}", report)] == list(range(1, MOST_CARDS + 1))
    rows = re.findall(rf'<th scope="row">(\d+) · {name}</th>', report)
    assert [int(rank) for rank in rows] == list(range(MOST_CARDS + 1, MOST_CARDS + 4))


def test_of_very_many_classes_there_is_a_table_and_no_matrix(tmp_path: Path) -> None:
    classes = [*CLASSES, *(f"class {i}" for i in range(pictures.MOST_CLASSES))]
    report = report_of(publish(tmp_path / "lake", classes=classes))
    assert f"The confusion matrix of {len(classes)} classes is too large for a page" in report
    assert report.count('<div class="chart') == 1
    assert "<caption>By class" in report


def test_large_images_are_made_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 128, 96, 3), np.uint8)
    png = pl.Series([encode_png(image) for image in noise])
    images = tiny_tables(samples=40)["images"].with_columns(png=png, width=96, height=128)
    report = report_of(publish(tmp_path / "lake", images=images))
    shown = re.findall(r'<img src="data:image/png;base64,(.*?)"', report)
    sizes = {Image.open(io.BytesIO(base64.b64decode(png))).size for png in shown}
    assert sizes == {(48, 64)}
    assert len(report.encode()) < MOST_BYTES


def test_of_many_samples_the_map_is_their_density_and_the_highest_dots(tiny_lake: str) -> None:
    run = Lake(tiny_lake).run()
    few, rng = joined_samples.scan_samples(run).collect(), np.random.default_rng(0)
    many = pl.concat([few] * 250, rechunk=True).with_columns(sample_id=pl.int_range(pl.len(), dtype=pl.Int64))
    spread = many.with_columns(pl.col(axis) + pl.Series(rng.normal(0, 0.5, len(many))) for axis in ("x", "y"))
    svg = pictures.to_svg(pictures.draw_map(run, spread), "map")
    assert len(spread) == 60_000
    assert "data:image/png;base64," in svg
    assert svg.count("<path aria-label") == 0
    (dots,) = re.findall(r'class="mark-symbol role-mark view_\w+"[^>]*>(.*?)</g>', svg)
    assert dots.count("<path") == DOTS_OVER_DENSITY == pictures.count_dots(spread)
    assert len(svg) < MOST_BYTES / 3


def test_the_smallest_lake_has_a_report(tmp_path: Path) -> None:
    root = str(tmp_path / "lake")
    build_tiny_lake(root, samples=40)
    assert len(report_of(root).encode()) < MOST_BYTES
