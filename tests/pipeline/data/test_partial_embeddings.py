"""Embeddings that only some rows have, or that carry little information: published with what they allow."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lake.comparison.drift import split_drift
from lake.query.joined_samples import scan_samples
from lake.storage.store import Lake, Run
from pages.report.document import render_report
from pipeline.data.dataset import FEWEST_EMBEDDED
from pipeline.engine.progress import Progress
from pipeline.refresh.refresh import refresh
from tests.support.data.external import external_settings, external_table
from tests.support.lakes.tiny_data import lists
from tests.support.servers.apps import NAMES, Open, answer, failures, galleries, shown, tiles

QUIET = Progress(quiet=True)
ROWS = 160
Points = NDArray[np.float64]
OF_EMBEDDED = ("embeddings", "projection", "clusters", "neighbors")


def points() -> Points:
    """Embeddings [160, 8] that differ by class."""
    return np.array(external_table(ROWS)["embedding"].to_list(), dtype=float)


def with_equal_rows(share: float) -> Points:
    """Embeddings of which the first rows are equal."""
    changed = points()
    changed[: round(share * ROWS)] = changed[0]
    return changed


def with_gaps() -> list[list[float] | None]:
    """Embeddings of three rows in four; the others have none, zeros, another width, or numbers that are not finite."""
    rows: list[list[float] | None] = points().tolist()
    instead: list[list[float] | None] = [None, [0.0] * 8, [1.0], [float("nan")] * 8]
    for place, row in enumerate(range(3, ROWS, 4)):
        rows[row] = instead[place % 4]
    return rows


def with_few(count: int) -> list[list[float] | None]:
    return [row if i < count else None for i, row in enumerate(points().tolist())]


MAPPED: dict[str, Callable[[], Any]] = {
    "gaps": with_gaps,
    "a fifth equal": lambda: with_equal_rows(0.2),
    "all but five equal": lambda: with_equal_rows(1 - 5 / ROWS),
    "two directions": lambda: np.eye(8)[(points()[:, 0] > points()[:, 1]).astype(int)],
    "two numbers": lambda: points()[:, :2],
    "huge": lambda: points() * 1e30,
    "tiny": lambda: points() * 1e-30,
    "enough": lambda: with_few(FEWEST_EMBEDDED),
}
UNMAPPED: dict[str, tuple[Callable[[], Any], str]] = {
    "all equal": (lambda: with_equal_rows(1), "All 160 embeddings are equal"),
    "one number": (lambda: points()[:, :1], "have one number each"),
    "too few": (lambda: with_few(FEWEST_EMBEDDED - 1), f"Only {FEWEST_EMBEDDED - 1} of 160 samples have an embedding"),
}
OFTEN = ("gaps", "two directions", "two numbers")
"""Kinds of `MAPPED` that every run of the tests refreshes; the others are long."""
EMBEDDED = {"gaps": 120, "enough": FEWEST_EMBEDDED}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """`published(kind)` is the run of predictions with such embeddings."""

    @cache
    def refreshed_once(kind: str) -> Run:
        embedding = MAPPED[kind]() if kind in MAPPED else UNMAPPED[kind][0]()
        column = lists(embedding) if isinstance(embedding, np.ndarray) else embedding
        dtype = pl.List(pl.Float64)
        table = external_table(ROWS).drop("image").with_columns(embedding=pl.Series(column, dtype=dtype))
        root = tmp_path_factory.mktemp("embedded")
        assert refresh(external_settings(root, table), QUIET).published
        return Lake(root / "lake").run()

    return refreshed_once


def ids(run: Run, table: str) -> list[int]:
    return run.scan(table).select(pl.col("sample_id").unique().sort()).collect().to_series().to_list()


def long_unless_often(*kinds: str) -> list[Any]:
    return [kind if kind in OFTEN else pytest.param(kind, marks=pytest.mark.long) for kind in kinds]


@pytest.mark.parametrize("kind", long_unless_often(*MAPPED))
def test_a_map_clusters_and_neighbours_cover_exactly_the_samples_with_an_embedding(
    published: Callable[[str], Run], kind: str
) -> None:
    run = published(kind)
    assert run.verify() > 0
    assert len(ids(run, "predictions")) == ROWS
    embedded = ids(run, "embeddings")
    assert len(embedded) == EMBEDDED.get(kind, ROWS)
    for table in OF_EMBEDDED:
        assert ids(run, table) == embedded, table
    near = run.scan("neighbors").collect()
    assert set(near["neighbor_id"]) <= set(embedded) and near["similarity"].is_between(-1.001, 1.001).all()
    assert (near["neighbor_id"] != near["sample_id"]).all()


@pytest.mark.parametrize("kind", UNMAPPED)
def test_embeddings_that_tell_nothing_are_named_and_the_predictions_published(
    published: Callable[[str], Run], kind: str
) -> None:
    run = published(kind)
    assert run.verify() > 0
    assert len(ids(run, "predictions")) == ROWS
    assert not any(run.has(table) for table in OF_EMBEDDED)
    assert any(UNMAPPED[kind][1] in sentence for sentence in run.facts["understood"])


@pytest.mark.parametrize("kind", long_unless_often("all but five equal", "two directions"))
def test_few_directions_make_as_many_clusters_and_no_more(published: Callable[[str], Run], kind: str) -> None:
    run = published(kind)
    embeddings, clusters = run.scan("embeddings"), run.scan("clusters").filter(method="kmeans")
    rows = embeddings.join(clusters, on="sample_id").select("embedding", "cluster").collect()
    assert rows["cluster"].n_unique() == min(rows["embedding"].n_unique(), 4)
    assert (rows.group_by("embedding").agg(pl.col("cluster").n_unique())["cluster"] == 1).all()


@pytest.mark.long
def test_a_refresh_of_the_same_embeddings_publishes_nothing_new_and_repeats_every_number(
    published: Callable[[str], Run], tmp_path: Path
) -> None:
    column = pl.Series(with_equal_rows(0.2).tolist(), dtype=pl.List(pl.Float64))
    settings = external_settings(tmp_path, external_table(ROWS).drop("image").with_columns(embedding=column))
    assert refresh(settings, QUIET).published
    assert not refresh(settings, QUIET).published
    again, before = Lake(tmp_path / "lake").run(), published("a fifth equal")
    for table in ("projection", "neighbors", "clusters", "map_quality", "separation", "findings"):
        rows = [run.scan(table).drop("run_id").collect() for run in (again, before)]
        assert rows[0].equals(rows[1]), table


def test_a_sample_without_an_embedding_keeps_its_prediction_and_has_no_place_and_no_cluster(
    published: Callable[[str], Run],
) -> None:
    run = published("gaps")
    samples = scan_samples(run).collect()
    without = samples.filter(~pl.col("sample_id").is_in(ids(run, "embeddings")))
    assert len(without) == ROWS // 4 and without["confidence"].null_count() == 0
    for column in ("x", "y", "pca_x", "neighbors_kept", "cluster_kmeans", "cluster_bisecting", "cluster_hdbscan"):
        assert without[column].null_count() == len(without), column
        if column != "cluster_hdbscan":
            assert samples[column].null_count() == len(without), column
    names = external_table(ROWS)["name"].to_list()
    assert set(without["source_name"]) == set(names[3::4])
    brought = dict(zip(names, external_table(ROWS)["probabilities"], strict=True))
    published_rows = dict(run.scan("predictions").select("sample_id", "probabilities").collect().iter_rows())
    for sample_id, name in without.select("sample_id", "source_name").iter_rows():
        assert published_rows[sample_id] == pytest.approx(brought[name].to_list(), abs=1e-4)


def test_gaps_are_counted_among_what_was_understood(published: Callable[[str], Run]) -> None:
    said = " ".join(published("gaps").facts["understood"])
    assert "30 of 160 rows have no embedding" in said and "10 of 160 embeddings are all zeros" in said


def test_without_neighbours_the_probability_alone_makes_a_label_doubtful(published: Callable[[str], Run]) -> None:
    run = published("gaps")
    issues = run.scan("label_issues").filter(kind="label").collect()
    is_alone = ~pl.col("sample_id").is_in(ids(run, "embeddings"))
    alone, near = issues.filter(is_alone), issues.filter(~is_alone)
    assert len(alone) and len(near)
    assert alone.select(pl.col("neighbor_share", "likely_neighbor_share").null_count()).row(0) == (len(alone),) * 2
    assert near.select(pl.col("neighbor_share", "likely_neighbor_share").null_count()).row(0) == (0, 0)
    p = run.scan("predictions").select("sample_id", "probabilities").collect()
    for row in alone.join(p, on="sample_id").iter_rows(named=True):
        label = run.classes.index(row["label"])
        best = max(value for k, value in enumerate(row["probabilities"]) if k != label)
        assert row["score"] == pytest.approx(best - row["probabilities"][label], abs=1e-6)


# --- pages


@pytest.mark.parametrize("kind", long_unless_often("gaps", "all but five equal", "two numbers", "enough"))
def test_every_page_opens(published: Callable[[str], Run], kind: str, open_page: Open) -> None:
    root = published(kind).lake.root
    for name in NAMES:
        app = open_page(root, name)
        assert not failures(app), name
        assert "nan" not in answer(app) and "None" not in answer(app), name


def hardest(run: Run, *, embedded: bool) -> int:
    """The held-out sample of the highest loss with, or without, an embedding."""
    samples = scan_samples(run).filter(pl.col("out_of_sample"), pl.col("x").is_not_null() == embedded)
    return int(samples.sort("loss", descending=True, nulls_last=True).first().collect()["sample_id"][0])


@pytest.mark.parametrize("name", ["population_map", "clusters", "similar"])
def test_pages_of_embeddings_count_the_samples_that_have_one(
    published: Callable[[str], Run], name: str, open_page: Open
) -> None:
    counted = "120 of 160 samples have an embedding; the others have no place on the map"
    assert counted in shown(open_page(published("gaps").lake.root, name))
    assert "have an embedding" not in shown(open_page(published("two numbers").lake.root, name))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("runs", "compare")])
def test_a_deep_link_to_a_sample_without_an_embedding_opens_every_page(
    published: Callable[[str], Run], name: str, open_page: Open
) -> None:
    run = published("gaps")
    app = open_page(run.lake.root, name, sample=str(hardest(run, embedded=False)))
    assert not failures(app)


def test_similar_says_of_a_sample_without_an_embedding_that_nothing_is_similar(
    published: Callable[[str], Run], open_page: Open
) -> None:
    run = published("gaps")
    sample_id = hardest(run, embedded=False)
    said = f"Sample {sample_id} was brought without an embedding: it has no place on the map, no group and no similar"
    app = open_page(run.lake.root, "similar", sample=str(sample_id))
    assert answer(app).startswith(f"## {said}") and not galleries(app)
    with_one = open_page(run.lake.root, "similar", sample=str(hardest(run, embedded=True)), also=str(sample_id))
    assert said in shown(with_one) and "cosine similarity" in answer(with_one)


def test_similar_opens_at_the_hardest_sample_with_an_embedding_and_finds_only_such_samples(
    published: Callable[[str], Run], open_page: Open
) -> None:
    run = published("gaps")
    app = open_page(run.lake.root, "similar")
    found = [tile["sample_id"] for tile in tiles(app)]
    assert found and set(found) <= set(ids(run, "embeddings"))
    assert app.number_input[0].value == hardest(run, embedded=True)


def test_the_map_shows_and_counts_only_samples_with_a_place(published: Callable[[str], Run], open_page: Open) -> None:
    run = published("gaps")
    said = shown(open_page(run.lake.root, "population_map"))
    assert "All shown: 120 of 160 samples" in said and "120 samples, larger where" in said


def test_a_sample_without_an_embedding_is_no_noise(published: Callable[[str], Run], open_page: Open) -> None:
    run = published("gaps")
    app = open_page(run.lake.root, "clusters")
    assert not [expander.label for expander in app.expander if "noise" in expander.label]
    noise = scan_samples(run).filter(pl.col("x").is_not_null(), pl.col("cluster_hdbscan").is_null())
    count = len(noise.collect())
    app.session_state["method"] = "hdbscan"
    app.run()
    labels = [expander.label for expander in app.expander if "noise" in expander.label]
    assert [label.partition(" ")[0] for label in labels] == ([str(count)] if count else [])


def test_data_quality_counts_the_labels_that_only_the_model_contradicts(
    published: Callable[[str], Run], open_page: Open
) -> None:
    run = published("gaps")
    issues = run.scan("label_issues").filter(kind="label").select("sample_id").collect()["sample_id"]
    alone = len(set(issues) - set(ids(run, "embeddings")))
    said = f"labels, {alone} of them without an embedding, where the model alone does"
    assert said in answer(open_page(run.lake.root, "data_quality"))
    assert "model alone" not in answer(open_page(published("two numbers").lake.root, "data_quality"))


def test_the_report_counts_the_samples_on_the_map(published: Callable[[str], Run]) -> None:
    report = render_report(published("gaps"), None)
    assert "120 of 160 samples have an embedding" in report and "120 samples, larger where" in report
    assert "have an embedding" not in render_report(published("two numbers"), None)


@pytest.mark.long
def test_drift_between_splits_is_tested_on_samples_with_an_embedding_alone(tmp_path: Path) -> None:
    table = external_table(ROWS).drop("image").with_row_index("row")
    third = pl.col("row") % 3
    table = table.with_columns(
        split=pl.when(third == 0).then(pl.lit("validation")).otherwise(pl.lit("test")),
        embedding=pl.when((third > 0) | (pl.col("row") < 75)).then("embedding"),
    ).drop("row")
    assert refresh(external_settings(tmp_path, table), QUIET).published
    spaces = split_drift(Lake(tmp_path / "lake").run()).spaces
    assert spaces.select("set", "n", "n_others").rows() == [("validation", 25, 106), ("test", 106, 25)]
    rare = table.with_columns(embedding=pl.when(pl.col("split") == "test").then("embedding"))
    rare.write_parquet(tmp_path / "said.parquet")
    assert refresh(external_settings(tmp_path, rare), QUIET).published
    assert split_drift(Lake(tmp_path / "lake").run()).spaces.is_empty()
