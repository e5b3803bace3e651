"""The search index: what it proposes is compared exactly, masks hold, and without it nothing is lost but time."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.contracts.stages import BY_NAME
from lake.contracts.tables import make_frame
from lake.errors import LakeError
from lake.search.ann_index import SearchIndex
from lake.search.similar import Index
from lake.search.vectors import to_unit
from lake.storage.store import Lake
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import Finished
from pipeline.measure import neighbors
from pipeline.measure.ann_index import build_index, index_table, split
from pipeline.measure.neighbors import search_neighbors
from pipeline.settings import load_settings
from pipeline.stages.inputs import StageInputs
from pipeline.stages.tables import neighbor_table
from tests.support.data.drawn import drawn_dataset
from tests.support.lakes.tiny_data import lists
from tests.support.lakes.tiny_lake import RUN_ID, run_facts, stage_all, tiny_tables
from tests.support.paths import REPOSITORY

QUIET = Progress(quiet=True)
N, D = 20_000, 64
FEW = 4000


def clustered(rng: np.random.Generator) -> np.ndarray:
    """Vectors around 200 centres, spread along 8 directions each and a little along all."""
    centre, basis = rng.normal(size=(200, D)), rng.normal(size=(200, 8, D)) / 8**0.5
    number = rng.integers(0, 200, N)
    spread = np.einsum("nk,nkd->nd", rng.normal(size=(N, 8)), basis[number])
    return to_unit(centre[number] + 0.7 * spread + 0.1 * rng.normal(size=(N, D)))


@pytest.fixture(scope="module")
def exact() -> Index:
    return Index(np.arange(N) * 3, clustered(np.random.default_rng(0)))


@pytest.fixture(scope="module")
def built(exact: Index) -> bytes:
    return build_index(exact.unit_ND)


@pytest.fixture(scope="module")
def indexed(exact: Index, built: bytes) -> Index:
    return Index(exact.sample_id, exact.unit_ND, SearchIndex.read([built], exact.unit_ND.shape))


@pytest.fixture(scope="module")
def few(exact: Index) -> Index:
    """Some of them, four of which are equal."""
    unit_ND = exact.unit_ND[:FEW].copy()
    unit_ND[[3100, 77, 3999]] = unit_ND[5]
    return Index(np.arange(FEW), unit_ND)


@pytest.fixture(scope="module")
def index_of_few(few: Index) -> bytes:
    return build_index(few.unit_ND)


@pytest.fixture(scope="module")
def queries(exact: Index) -> np.ndarray:
    """Directions between two samples that are near each other."""
    ids = exact.sample_id[np.random.default_rng(1).choice(N, 50, replace=False)]
    return np.stack([exact.vector(exact.search(exact.vector([i]), 3)["sample_id"][::2].to_list()) for i in ids])


def recall(indexed: Index, exact: Index, queries: np.ndarray, among: np.ndarray | None = None) -> float:
    """Share of the exact ten nearest that are found."""
    found = [[set(i.search(q, 10, among=among)["sample_id"]) for q in queries] for i in (indexed, exact)]
    return float(np.mean([len(a & b) / len(b) for a, b in zip(*found, strict=True)]))


def test_the_ten_nearest_are_found(indexed: Index, exact: Index, queries: np.ndarray) -> None:
    assert recall(indexed, exact, queries) >= 0.95


def test_what_is_found_has_the_similarities_and_the_order_of_exact_search(
    indexed: Index, exact: Index, queries: np.ndarray
) -> None:
    for query in queries[:10]:
        found = indexed.search(query, 50)
        everything = exact.search(query, N).filter(pl.col("sample_id").is_in(found["sample_id"].implode()))
        assert found.drop("rank").equals(everything.drop("rank"))


def test_equal_vectors_are_found_in_the_order_of_their_ids(few: Index, index_of_few: bytes) -> None:
    indexed = Index(few.sample_id, few.unit_ND, SearchIndex.read([index_of_few], few.unit_ND.shape))
    for one in (indexed, few):
        assert one.search(few.unit_ND[5], 4)["sample_id"].to_list() == [5, 77, 3100, 3999]


@pytest.mark.parametrize("share", [0.5, 0.1, 0.03, 0.01])
def test_a_mask_holds_and_as_many_are_found_under_it(
    indexed: Index, exact: Index, queries: np.ndarray, share: float
) -> None:
    among = np.random.default_rng(2).random(N) < share
    for query in queries[:5]:
        assert set(indexed.search(query, 100, among=among)["sample_id"]) <= set(exact.sample_id[among])
    assert recall(indexed, exact, queries, among) >= 0.95


def test_where_the_lists_have_too_few_everything_allowed_is_compared(
    indexed: Index, exact: Index, queries: np.ndarray
) -> None:
    assert indexed.search_index is not None
    assert len(indexed.search_index.propose(queries[0], N)) < N
    among = np.random.default_rng(3).random(N) < 0.5
    for mask in (None, among):
        assert indexed.search(queries[0], 3000, among=mask).equals(exact.search(queries[0], 3000, among=mask))


def test_no_more_are_found_than_are_allowed(indexed: Index, exact: Index, queries: np.ndarray) -> None:
    among = np.zeros(N, bool)
    assert indexed.search(queries[0], 10, among=among).is_empty()
    among[[5, 9000]] = True
    assert set(indexed.search(queries[0], 10, among=among)["sample_id"]) == {15, 27_000}
    assert len(indexed.search(queries[0], 2 * N)) == N


def test_parts_are_small_and_together_the_index(built: bytes, exact: Index) -> None:
    parts = split(built, 100_000)
    assert max(map(len, parts)) == 100_000 and len(parts) > 5
    assert b"".join(parts) == built
    assert SearchIndex.read(parts, exact.unit_ND.shape).ivf.ntotal == N


@pytest.mark.long
def test_the_same_seed_builds_the_same_bytes(built: bytes, exact: Index) -> None:
    assert build_index(exact.unit_ND) == built
    assert build_index(exact.unit_ND, seed=1) != built


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"junk" + b, lambda b: b""])
def test_damaged_bytes_are_named_in_one_sentence(built: bytes, damage: Any) -> None:
    with pytest.raises(
        LakeError, match=r"^The search index of the run is damaged .*: refresh with --force to publish it again\.$"
    ):
        SearchIndex.read([damage(built)], (N, D))


@pytest.mark.parametrize("shape", [(N + 1, D), (N, D + 1)])
def test_an_index_of_other_vectors_is_refused(built: bytes, shape: tuple[int, int]) -> None:
    with pytest.raises(LakeError, match="does not match the run's embeddings"):
        SearchIndex.read([built], shape)


# --- neighbours among what it proposes


def nearest(exact: Index, **how: Any) -> tuple[np.ndarray, np.ndarray]:
    return search_neighbors(exact.unit_ND, 15, load_settings(), QUIET, **how)


@pytest.fixture(scope="module")
def of_all(exact: Index) -> tuple[np.ndarray, np.ndarray]:
    return nearest(exact)


@pytest.mark.long
def test_neighbours_among_the_nearest_lists_are_those_of_a_search_over_all(
    indexed: Index, exact: Index, of_all: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbors, "COMPARED", 500)
    rows, similarity = nearest(exact, index=indexed.search_index)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(of_all[0], rows, strict=True)]) >= 0.95
    assert (rows != np.arange(N)[:, None]).all()
    assert similarity == pytest.approx(np.einsum("nd,nrd->nr", exact.unit_ND, exact.unit_ND[rows]), abs=1e-5)
    assert (np.diff(similarity, axis=1) <= 0).all()
    assert max(len(np.unique(row)) for row in rows) == min(len(np.unique(row)) for row in rows) == 15


@pytest.mark.long
def test_neighbours_of_some_rows_come_in_the_order_they_were_asked_for(indexed: Index, exact: Index) -> None:
    asked = np.random.default_rng(6).permutation(N)[:3000]
    everything, some = (
        nearest(exact, index=indexed.search_index),
        nearest(exact, index=indexed.search_index, rows=asked),
    )
    assert (some[0] == everything[0][asked]).mean() > 0.999
    assert some[1] == pytest.approx(everything[1][asked], abs=1e-6)


def test_where_the_lists_are_all_compared_neighbours_are_exact(
    indexed: Index, exact: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbors, "COMPARED", N)
    asked = np.arange(0, N, 40)
    expected = nearest(exact, rows=asked)
    rows, similarity = nearest(exact, index=indexed.search_index, rows=asked)
    assert (rows == expected[0]).mean() > 0.999  # but for ties
    assert similarity == pytest.approx(expected[1], abs=1e-6)


def test_exact_search_of_many_goes_in_smaller_blocks(exact: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = np.arange(250)
    at_once = nearest(exact, rows=asked)
    monkeypatch.setattr(neighbors, "SIMILARITIES", 100 * N)
    assert nearest(exact, rows=asked)[1] == pytest.approx(at_once[1], abs=1e-6)


@pytest.mark.parametrize("above", [True, False])
def test_the_stage_asks_the_index_where_there_is_one(
    above: bool, few: Index, index_of_few: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []
    for name in ("Searcher", "ListSearcher"):
        make = getattr(neighbors, name)

        def noted(*given: Any, make: Any = make, name: str = name) -> Any:
            used.append(name)
            return make(*given)

        monkeypatch.setattr(neighbors, name, noted)
    index = make_frame("search_index", [{"part": 0, "data": index_of_few}] if above else [])
    frames = {"embeddings": pl.DataFrame({"embedding": lists(few.unit_ND)}), "search_index": index}
    inputs = StageInputs(
        dataset=replace(drawn_dataset(), sample_id=few.sample_id),
        rows=np.arange(FEW),
        settings=load_settings(neighbors=15),
        progress=QUIET,
        known_id=np.zeros(0, np.int64),
        stage=BY_NAME["neighbors"],
        find=lambda _: [Finished("", Path(), frames, {})],
    )
    found = neighbor_table(inputs, None)["neighbors"]
    assert used == ["ListSearcher" if above else "Searcher"]
    same = found["neighbor_id"].to_numpy().reshape(FEW, 15) == few.sample_id[nearest(few)[0]]
    assert same.mean() > (0.95 if above else 0.9999)


# --- in the lake


def published(root: Path, index_above: int) -> Index:
    """The index of a tiny run that was published with the table the stage computes."""
    lake, tables = Lake(root), tiny_tables()
    embedding_ND = np.stack(tables["embeddings"].sort("sample_id")["embedding"].to_list()).astype(np.float32)
    computed = index_table(embedding_ND, load_settings(index_above=index_above), QUIET)
    stage_all(lake, tables | {"search_index": computed["search_index"].with_columns(run_id=pl.lit(RUN_ID))})
    lake.publish(run_facts())
    return Index.of(lake.run())


def test_a_run_above_the_limit_is_searched_with_the_index_in_the_lake(tmp_path: Path) -> None:
    index = published(tmp_path / "large", 239)
    assert index.search_index is not None and index.search_index.ivf.ntotal == 240
    plain = published(tmp_path / "small", 240)
    assert plain.search_index is None
    assert index.search(index.vector([17]), 20).equals(plain.search(plain.vector([17]), 20))


def test_without_faiss_no_index_is_built_or_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed = published(tmp_path / "with", 100)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "faiss" else find(name, *a))
    plain = Index.of(Lake(tmp_path / "with").run())
    assert plain.search_index is None
    assert plain.search(plain.vector([17]), 20).equals(indexed.search(indexed.vector([17]), 20))
    said: list[str] = []
    monkeypatch.setattr(Progress, "say", lambda self, text: said.append(text))
    assert published(tmp_path / "without", 100).search_index is None
    assert len(said) == 1 and "pip install '.[search]'" in said[0]


@pytest.mark.parametrize("order", ["torch, faiss", pytest.param("faiss, torch", marks=pytest.mark.long)])
def test_torch_and_faiss_work_in_one_process(order: str) -> None:
    program = f"""
import {order}
import numpy as np
rows = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
index = faiss.IndexFlatIP(64)
for _ in range(3):
    index.add(rows)
    product = torch.from_numpy(rows[:500]) @ torch.from_numpy(rows).T
    assert np.abs(index.search(rows[:500], 1)[0][:, 0] - product.max(1).values.numpy()).max() < 1e-3
"""
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True, timeout=120)
