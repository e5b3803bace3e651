"""The tour: six claims whose numbers the rows agree to, told on the page that shows them."""

import polars as pl
import pytest

from lake.query import joined_samples
from lake.storage.store import Lake
from pages.text.claims import Claim, find_claims
from tests.support.servers.apps import HELD_OUT, Open, failures, percent, shown

STEPS = range(1, 7)


@pytest.fixture(scope="module")
def told(tiny_lake: str) -> list[Claim]:
    run = Lake(tiny_lake).run()
    return find_claims(run, joined_samples.scan_samples(run))


def test_there_are_six_claims_each_with_a_page_of_its_own_to_look_at(told: list[Claim]) -> None:
    assert [claim.page for claim in told] == [
        "population_map",
        "population_map",
        "confusion",
        "clusters",
        "similar",
        "loss_analysis",
    ]
    assert all(claim.sentence.endswith(".") and claim.look.endswith(".") for claim in told)


def test_what_shares_their_kind_is_said_beside_chance(told: list[Claim], tiny_lake: str) -> None:
    stored = Lake(tiny_lake).run().scan("separation").filter(space="embedding", measure="purity", label="").collect()
    kinds = stored.filter(grouping="superclass").row(0, named=True)
    assert told[0].title == "Animals and vehicles separate"
    assert told[0].sentence.startswith(f"On average **{percent(kinds['value'])}** of the 15 nearest images")
    assert f"by chance {percent(kinds['chance'])}" in told[0].sentence
    assert f"{kinds['n']} held-out samples" in told[0].evidence
    labels = stored.filter(grouping="label").row(0, named=True)
    assert f"{percent(labels['value'])} of the 15 images most similar" in told[4].sentence


def test_the_hardest_class_is_that_of_the_highest_mean_loss(told: list[Claim], rows: pl.DataFrame) -> None:
    held_out = rows.filter(HELD_OUT)
    label, loss, n = held_out.group_by("label").agg(pl.col("loss").mean(), pl.len()).sort("loss").row(-1)
    assert told[1].title == f"The hardest class is {label}"
    assert f"The {n} held-out {label} images" in told[1].sentence
    assert f"{loss:.3g} nats" in told[1].sentence
    assert f"{loss / held_out['loss'].mean():.1f} times that of all {len(held_out)}" in told[1].sentence
    assert told[1].query == {"f": f"label.is.{label};out_of_sample.is.true"}


def test_the_confusion_is_counted_and_carries_the_test_of_its_finding(
    told: list[Claim], rows: pl.DataFrame, tiny_lake: str
) -> None:
    cats = rows.filter(HELD_OUT, pl.col("label") == "cat")
    dogs = cats.filter(pl.col("predicted") == "dog").height
    assert told[2].title == "It is called dog"
    assert told[2].sentence.startswith(f"{percent(dogs / len(cats))} (")
    assert f"of the {len(cats)} cat images are called dog: {dogs}," in told[2].sentence
    finding = Lake(tiny_lake).run().scan("findings").filter(kind="confusion").collect().row(0, named=True)
    assert finding["confirmed"]
    assert f"adjusted p {finding['adjusted_p']:.2g}" in told[2].evidence
    assert "found again on the half of the samples that was held back" in told[2].evidence


@pytest.mark.parametrize(
    ("ships", "words"), [(1, "more than any other class"), (0, "as many as another class")], ids=["one more", "equal"]
)
def test_a_confusion_is_the_most_frequent_unless_another_class_is_called_as_often(
    ships: int, words: str, tiny_lake: str
) -> None:
    run = Lake(tiny_lake).run()
    samples = joined_samples.scan_samples(run).collect()
    wrong = samples.filter(HELD_OUT, label="cat", correct=False)["sample_id"]
    half = (len(wrong) - 1) // 2
    called = dict(zip(wrong, ["ship"] * (half + ships) + ["truck"] * half + ["dog"] * len(wrong), strict=False))
    predicted = pl.col("sample_id").replace_strict(called, default=pl.col("predicted")).alias("predicted")
    (claim,) = (c for c in find_claims(run, samples.lazy().with_columns(predicted)) if c.page == "confusion")
    assert claim.sentence.endswith(f" are called ship: {half + ships}, {words}.")


def test_a_light_background_is_named_where_a_group_has_one_and_denied_where_none_has(
    tiny_lake: str, told: list[Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told[3].sentence.startswith("0 of 4 groups")
    assert told[3].sentence.endswith("None has a light background.")
    run = Lake(tiny_lake).run()
    described = run.scan("cluster_summaries").with_columns(
        description=pl.when(pl.col("cluster") == 2)
        .then(pl.lit("clearly light background (median L* 88, others 53), more edges"))
        .when(pl.col("cluster") == 1)
        .then(pl.lit("somewhat light background (median L* 70, others 53)"))
        .otherwise("description")
    )
    scan = run.scan
    monkeypatch.setattr(run, "scan", lambda name: described if name == "cluster_summaries" else scan(name))
    sentence = find_claims(run, joined_samples.scan_samples(run))[3].sentence
    assert sentence.startswith("2 of 4 groups differ")
    assert r"Group 2, mostly ship: clearly light background \(median L\* 88, others 53\)" in sentence
    assert "None has" not in sentence


def test_the_nearest_of_the_example_are_counted(told: list[Claim], rows: pl.DataFrame, tiny_lake: str) -> None:
    story = rows.filter(HELD_OUT, pl.col("label") == "cat", pl.col("predicted") == "dog").sort("loss", descending=True)
    example = story["sample_id"][0]
    near = Lake(tiny_lake).run().scan("neighbors").filter(pl.col("sample_id") == example, pl.col("rank") <= 15)
    labels = near.collect().join(rows, left_on="neighbor_id", right_on="sample_id")["label"].drop_nulls()
    top, n = labels.value_counts(sort=True).row(0)
    assert f"Of the {len(labels)} labelled ones nearest to sample {example}, {n} are {top}." in told[4].sentence
    assert told[4].query == told[5].query == {"sample": str(example)}


def test_what_was_not_measured_is_not_claimed(told: list[Claim]) -> None:
    assert told[5].sentence == "Not measured in this run: refresh to measure it."
    assert told[5].evidence == ""


@pytest.mark.parametrize("step", STEPS)
def test_each_step_is_told_on_its_page_and_leads_on(
    step: int, tiny_lake: str, told: list[Claim], open_page: Open
) -> None:
    claim = told[step - 1]
    app = open_page(tiny_lake, claim.page, tour=str(step), **claim.query)
    assert not failures(app)
    assert f"**{step} of 6 · {claim.title}.**" in shown(app)
    links = [link.proto.label for link in app.get("page_link")]
    assert ("Back" in links) == (step > 1)
    assert any(label.startswith("Next: ") for label in links) == (step < 6)
    assert "End the tour" in links


@pytest.mark.parametrize("asked", ["0", "7", "-1", "x", "²", "1" * 400, "1.0", "<b>", "3"])
def test_a_step_that_the_page_does_not_tell_is_not_shown(asked: str, tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "samples", tour=asked)
    assert not failures(app)
    assert " of 6 ·" not in shown(app)


def test_the_overview_offers_the_tour(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake)
    assert "New here? 6 claims" in shown(app)
    (start,) = [link.proto for link in app.get("page_link") if link.proto.label == "Take the tour"]
    assert "tour=1" in start.query_string
