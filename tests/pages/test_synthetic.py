"""A drawn lake keeps the contracts whatever its size, is the same for the same numbers, and every page can read it."""

from pathlib import Path

import polars as pl
import pytest

from lake.query import joined_samples
from lake.storage.store import Lake
from tests.support.data.classes import ODD
from tests.support.data.scalars import number
from tests.support.lakes import synthetic
from tests.support.servers.apps import NAMES, Open, failures

SAMPLES, PART = 6000, 2500


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake that was drawn in three parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "PART", PART)
        return synthetic.build_synthetic_lake(str(tmp_path_factory.mktemp("drawn") / "lake"), SAMPLES, features=16)


def test_all_parts_are_published_and_keep_their_contracts(drawn: Lake) -> None:
    run = drawn.run()
    assert run.verify() > 0
    rows = joined_samples.scan_samples(run).collect()
    assert rows["sample_id"].to_list() == list(range(SAMPLES))
    assert run.scan("images").select(pl.len()).collect().item() == SAMPLES


def test_clusters_lie_apart_and_some_are_taken_for_another_class(drawn: Lake) -> None:
    rows = joined_samples.scan_samples(drawn.run()).filter(pl.col("label").is_not_null()).collect()
    within = rows.group_by("cluster_kmeans").agg(pl.col("x", "y").std()).select(pl.mean_horizontal("x", "y").mean())
    assert within.item() < 0.2 * number(rows["x"].std())
    wrong = rows.group_by("cluster_kmeans").agg(wrong=1 - pl.col("correct").mean()).sort("wrong")["wrong"]
    least, most = wrong.tail(len(synthetic.CLASSES)).min(), wrong.head(-len(synthetic.CLASSES)).max()
    assert number(least) > 0.25 > 0.15 > number(most)


@pytest.mark.long
def test_the_same_numbers_give_the_same_rows(drawn: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "PART", PART)
    again = synthetic.build_synthetic_lake(str(tmp_path), SAMPLES, features=16)
    for name in ("predictions", "embeddings", "neighbors", "properties"):
        one, other = (
            lake.run().scan(name).sort(pl.all().exclude(pl.List(pl.Float32))).collect() for lake in (drawn, again)
        )
        assert one.equals(other)


@pytest.mark.long
@pytest.mark.parametrize("classes", [2, 12, 300])
def test_any_number_of_uneven_classes_is_drawn(classes: int, tmp_path: Path) -> None:
    run = synthetic.build_synthetic_lake(str(tmp_path), 1500, classes=classes, features=8).run()
    assert run.verify() > 0
    assert len(set(run.classes)) == classes == len(run.groups["superclass"])
    assert set(run.classes) & set(ODD)
    counted = dict(run.scan("samples").collect()["label"].drop_nulls().value_counts().iter_rows())
    assert counted[run.classes[0]] > 1.2 * counted[run.classes[1]]
    if classes > 10:
        labelled = run.scan("samples").filter(pl.col("label").is_not_null()).collect()
        assert labelled.filter(pl.col("label") == run.classes[-1])["split"].to_list() == ["test"]
        assert set(labelled.filter(pl.col("label") == run.classes[-2])["split"]) <= {"train"}
        assert run.classes[-3] not in counted


@pytest.mark.parametrize("page_name", NAMES)
def test_every_page_reads_it(page_name: str, drawn: Lake, open_page: Open) -> None:
    app = open_page(drawn.root, page_name)
    assert not failures(app)
