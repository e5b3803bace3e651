"""Embeddings of any scale keep their similarities; those that carry no information are named, and no row is lost."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lake.errors import UserError
from lake.text.formatting import percent
from pipeline.source.predictions.embedding_numbers import check_embeddings, read_embedding_file, read_embeddings

ROWS, D = 500, 8


def draw(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(ROWS, D))


def cosines(vectors: NDArray[Any]) -> NDArray[np.float64]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T, np.float64)


def squares_fit(vectors: NDArray[np.float32]) -> bool:
    with np.errstate(over="ignore", under="ignore"):
        total = (vectors * vectors).sum(1, dtype=np.float32)
    return bool(np.isfinite(total).all() and (total > 1e-30).all())


def test_usual_embeddings_are_kept_as_they_are_without_a_word() -> None:
    embedding = draw().astype(np.float32)
    report = check_embeddings(embedding)
    assert (report.embedding_ND == embedding).all() and report.usable_N.all() and report.informative
    assert not report.notes.remarks


@pytest.mark.parametrize("scale", [1e30, 1e-30, 1e-38, 1e200, 1e-200])
def test_extreme_scales_are_brought_to_one_that_float32_can_square(scale: float) -> None:
    vectors = draw() * scale
    stored = vectors.astype(np.float32) if 1e-40 < scale < 1e38 else vectors
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = check_embeddings(stored)
    assert squares_fit(report.embedding_ND) and report.usable_N.all() and report.informative
    assert np.allclose(cosines(report.embedding_ND), cosines(draw()), atol=1e-5)
    (remark,) = report.notes.remarks
    assert "multiplied by 2^" in remark and "similarities stay as they are" in remark


def test_a_scale_that_fits_is_exact_in_every_bit() -> None:
    embedding = (draw() * 1e30).astype(np.float32)
    ratio = check_embeddings(embedding).embedding_ND / embedding
    assert (ratio == ratio[0, 0]).all() and np.log2(ratio[0, 0]).is_integer()


def test_single_rows_of_another_scale_are_scaled_by_themselves() -> None:
    embedding = draw()
    embedding[3] *= 1e30
    embedding[4] *= 1e-30
    report = check_embeddings(embedding.astype(np.float32))
    assert squares_fit(report.embedding_ND) and report.usable_N.all()
    assert np.allclose(cosines(report.embedding_ND), cosines(draw()), atol=1e-5)
    assert (report.embedding_ND[5:] == embedding[5:].astype(np.float32)).all()
    assert report.notes.remarks[0].startswith("2 embeddings are scaled by themselves")


@pytest.mark.parametrize(
    ("embedding", "said"),
    [
        (np.ones((ROWS, D)), "All 500 embeddings are equal: no map, clusters and neighbours are computed."),
        (np.zeros((ROWS, D)), "No row has an embedding other than zeros"),
        (draw()[:, :1], "The 500 embeddings have one number each"),
        (np.full((ROWS, D), np.nan), "No row has an embedding"),
        (draw()[:, :1] * np.arange(1, D + 1), "All 500 embeddings point the same way"),
        (np.empty((ROWS, 0)), "No row has an embedding"),
        (np.empty((0, D)), "There are no embeddings"),
    ],
    ids=["equal", "zeros", "one number", "nan", "one direction", "no features", "no rows"],
)
def test_embeddings_that_carry_no_information_are_named(embedding: NDArray[Any], said: str) -> None:
    report = check_embeddings(embedding)
    assert not report.informative
    assert len(report.notes.remarks) == 1 and report.notes.remarks[0].startswith(said)


def test_two_directions_are_information() -> None:
    assert check_embeddings(np.eye(2)[np.arange(ROWS) % 2]).informative


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_equal_rows_are_counted_and_kept(share: float) -> None:
    embedding = draw()
    count = int(share * ROWS)
    embedding[:count] = embedding[0]
    report = check_embeddings(embedding)
    assert report.usable_N.all() and report.informative
    assert report.notes.remarks[0].startswith(
        f"{count:,} of 500 embeddings ({percent(share)}) are equal to another one"
    )


def test_rows_without_an_embedding_are_told_from_zeros_and_both_counted() -> None:
    embedding = draw()
    embedding[:3, 0], embedding[3, 1], embedding[4:9] = np.nan, np.inf, 0
    report = check_embeddings(embedding)
    assert (~report.usable_N).nonzero()[0].tolist() == list(range(9)) and not report.embedding_ND[:9].any()
    assert [remark.split(" ")[0] for remark in report.notes.remarks] == ["4", "5"]


def test_lists_of_another_width_and_missing_ones_are_no_embeddings() -> None:
    rows: list[Any] = draw().tolist()
    rows[0], rows[1], rows[2] = None, [1.0, 2.0], [None] * D
    report = read_embeddings(pl.Series("embedding", rows, dtype=pl.List(pl.Float64)))
    assert (~report.usable_N).nonzero()[0].tolist() == [0, 1, 2]
    assert report.embedding_ND.shape == (ROWS, D) and report.notes.remarks[0].startswith(
        "3 of 500 rows have no embedding"
    )


def test_lists_of_doubles_that_float32_cannot_hold_are_scaled_first() -> None:
    report = read_embeddings(pl.Series("embedding", (draw() * 1e100).tolist(), dtype=pl.List(pl.Float64)))
    assert report.usable_N.all() and np.allclose(cosines(report.embedding_ND), cosines(draw()), atol=1e-5)


def test_embeddings_written_as_text_are_read() -> None:
    texts = [" ".join(f"{v:.6f}" for v in row) for row in draw()]
    assert np.allclose(read_embeddings(pl.Series("embedding", texts)).embedding_ND, draw(), atol=1e-5)


def test_an_array_in_a_file_is_read_in_the_order_of_its_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", draw())
    np.savez(tmp_path / "two.npz", a=draw(), b=draw(1))
    report = read_embedding_file(tmp_path / "e.npy", ROWS)
    assert np.allclose(report.embedding_ND, draw()) and "order" in report.notes.remarks[0]
    assert np.allclose(read_embedding_file(tmp_path / "two.npz", ROWS, "b").embedding_ND, draw(1))
    with pytest.raises(UserError, match=r"2 arrays of .* may be the embeddings: name one of a, b in embedding_column"):
        read_embedding_file(tmp_path / "two.npz", ROWS)
    with pytest.raises(UserError, match="has a row of numbers for each of the 501 rows"):
        read_embedding_file(tmp_path / "e.npy", ROWS + 1)


def test_a_column_without_lists_is_refused() -> None:
    with pytest.raises(UserError, match="The column 'embedding' has type String, but embeddings are lists of numbers"):
        read_embeddings(pl.Series("embedding", ["cat", "dog"]))
