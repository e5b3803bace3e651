"""Cards of findings and groups say what the rows say, and their links lead to exactly their samples."""

import re
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from lake.contracts.tables import DATA_KINDS
from lake.query.filters import Clause, Filters
from lake.storage.store import Lake
from pages.text.findings import hardest
from tests.support.data.scalars import mean, number
from tests.support.servers.apps import HELD_OUT, Open, failures, galleries, percent, shown, tiles


@pytest.fixture(scope="module")
def findings(tiny_lake: str) -> list[dict[str, Any]]:
    return Lake(tiny_lake).run().scan("findings").sort("finding_id").collect().to_dicts()


def test_every_number_of_a_card_is_computed_again_from_the_rows(
    tiny_lake: str, rows: pl.DataFrame, findings: list[dict[str, Any]], open_page: Open
) -> None:
    held_out = rows.filter(HELD_OUT)
    captions = [c.value for c in open_page(tiny_lake).caption if c.value.startswith("n ")]
    assert len(captions) == len(findings)
    for finding, caption in zip(findings, captions, strict=True):
        group = Filters.from_text(finding["filter"]).apply(held_out.lazy()).collect()
        wrong = group.filter(~pl.col("correct"))
        low, high = binomtest(len(wrong), len(group)).proportion_ci(method="wilson")
        assert f"n {len(group)} of {len(held_out)} " in caption
        assert f"lift {mean(group['loss']) / mean(held_out['loss']):.1f} (" in caption
        rate = f"wrong {percent(len(wrong) / len(group))} ({low * 100:.0f} to {high * 100:.0f})"
        assert (rate in caption) == (finding["kind"] != "confusion")
        for label, predicted, n in wrong.group_by("label", "predicted").len().sort("len").tail(2).iter_rows():
            assert f"{label} called {predicted} {n}" in caption


def test_a_card_shows_its_hardest_samples_and_says_what_to_do(
    tiny_lake: str, rows: pl.DataFrame, findings: list[dict[str, Any]], open_page: Open
) -> None:
    app = open_page(tiny_lake)
    first = Filters.from_text(findings[0]["filter"]).apply(rows.filter(HELD_OUT).lazy()).collect()
    highest = first.sort("loss", descending=True)["sample_id"].head(8).to_list()
    assert [tile["sample_id"] for tile in tiles(app)[:8]] == highest
    assert "Do: Collect about 120 more cat images" in shown(app).replace("*", "")


def test_the_hardest_of_unlabeled_samples_are_those_of_the_highest_expected_loss() -> None:
    expected = [0.1, 0.9, 0.5, 2.0]
    samples = pl.LazyFrame({"sample_id": range(4), "label": [None, None, None, "cat"], "expected_loss": expected})
    of_unlabeled = Filters(clauses=(Clause(column="label", op="null"),)).to_text()
    found = hardest(samples.with_columns(loss=pl.lit(None, pl.Float64)), of_unlabeled)
    assert found["sample_id"].to_list() == [1, 2, 0]


def test_links_of_a_card_carry_its_filter(tiny_lake: str, findings: list[dict[str, Any]], open_page: Open) -> None:
    links = [link.proto.query_string for link in open_page(tiny_lake).get("page_link")]
    filters = [parse_qs(query)["f"][0] for query in links if "f=" in query]
    assert filters == [finding["filter"] for finding in findings for _ in range(4)]


def test_faults_of_the_data_that_were_not_found_are_named(tiny_lake: str, open_page: Open) -> None:
    said = shown(open_page(tiny_lake))
    (line,) = re.findall(r"Looked for and not found: (.*)\.", said)
    assert len(line.split(", ")) == len(DATA_KINDS)


# --- groups


def test_groups_say_how_stable_they_are(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "clusters")
    table = app.dataframe[0].value
    words = dict(zip(table["cluster"], table["stability"], strict=True))
    assert words == {0: "stable 0.90", 1: "fair 0.70", 2: "doubtful 0.50", 3: "doubtful 0.30"}
    assert (
        "silhouette 0.60 · halves of the samples agree 0.90 · agrees with Bisecting k-means 0.55 · unclustered"
        in shown(app)
    )


def test_groups_compare_two_of_them_by_their_properties(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "clusters")
    app.selectbox(key=str(app.selectbox[-1].key))
    said = next(m.value for m in app.markdown if " against " in m.value and m.value.startswith("**Group"))
    first, second = map(int, re.findall(r"Group (\d)", said))
    run = Lake(tiny_lake).run()
    members = run.scan("clusters").filter(method="kmeans").join(run.scan("properties"), on="sample_id").collect()
    found = re.findall(r"(light|dark) background \(median L\* (\d+), there (\d+)\)", said)
    medians = [number(members.filter(cluster=i)["bg_lightness"].median()) for i in (first, second)]
    if found:
        assert [int(value) for value in found[0][1:]] == [round(value) for value in medians]
        assert (found[0][0] == "light") == (medians[0] > medians[1])
    table = app.dataframe[-1].value.set_index("property")
    assert table.loc["Background lightness", ["here", "others"]].to_list() == pytest.approx(medians)


@pytest.mark.parametrize(("tab", "farthest"), [(0, False), (1, True)])
def test_galleries_of_a_group_start_at_its_centre_or_its_edge(
    tab: int, farthest: bool, tiny_lake: str, open_page: Open
) -> None:
    app = open_page(tiny_lake, "clusters")
    cluster = int(app.subheader[0].value.split()[1].rstrip(":"))
    members = Lake(tiny_lake).run().scan("clusters").filter(method="kmeans", cluster=cluster).collect()
    expected = members.sort("distance", descending=farthest)["sample_id"].head(24).to_list()
    assert [tile["sample_id"] for tile in galleries(app)[tab]] == expected


def test_noise_is_counted_and_belongs_to_no_group(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "clusters")
    app.button_group[0].set_value("hdbscan").run()
    noise = Lake(tiny_lake).run().scan("clusters").filter(method="hdbscan").collect()["cluster"].null_count()
    assert f"{noise} samples are in no group: HDBSCAN calls them noise" in [e.label for e in app.expander]


def test_a_confused_pair_is_set_apart_from_the_right_ones_of_its_class(
    tiny_lake: str, rows: pl.DataFrame, open_page: Open
) -> None:
    app = open_page(tiny_lake, "confusion")
    assert "What sets them apart from cat images that are right" in [s.value for s in app.subheader]
    run = Lake(tiny_lake).run()
    cats = rows.filter(HELD_OUT & (pl.col("label") == "cat")).join(run.scan("properties").collect(), on="sample_id")
    table = app.dataframe[-1].value.set_index("property")
    for column, predicted in (("here", "dog"), ("others", "cat")):
        expected = np.median(cats.filter(predicted=predicted)["contrast"])
        assert table.loc["Contrast", column] == pytest.approx(expected)


# --- a link to one finding


def test_the_finding_of_a_link_comes_first_and_only_once(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, finding="2")
    titles = [text.value for text in app.markdown if re.match(r"\*\*\d+ · ", text.value)]
    assert [title.split(" ")[0] for title in titles] == ["**2", "**1"]
    assert app.subheader[0].value == "The finding of this link"


@pytest.mark.parametrize("asked", ["0", "99", "-1", "x", "<b>", "²", "9" * 400])
def test_a_finding_nobody_has_is_answered_in_words(asked: str, tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, finding=asked)
    assert not failures(app)
    assert app.info[0].value == "This run has no finding of that number: these are all it has."
