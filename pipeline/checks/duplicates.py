"""Check the list of copies: training images, changed or not, are planted in the test split and must be found.

Precision is over all pairs reported for a planted image: a pair is correct if it names the original image, or an image
that is itself known to be a copy of the original.
"""

import io
from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from lake.contracts.quality import COPIES
from lake.contracts.tables import make_frame
from lake.search.vectors import to_unit
from pipeline.checks.row import Row, share
from pipeline.engine.progress import Progress
from pipeline.measure.duplicates import PROPOSED_BY, find_duplicates
from pipeline.measure.score import Scorer

SUBJECT = "duplicates"
PLANTED, JPEG_QUALITY, BATCH = 200, 75, 500
Images = NDArray[np.uint8]


def _same(image_HWC: Images) -> Images:
    return image_HWC


def _mirrored(image_HWC: Images) -> Images:
    return image_HWC[:, ::-1]


def _shifted(image_HWC: Images) -> Images:
    """Shifted by 2 px to the lower right; the border is repeated."""
    return np.pad(image_HWC, ((2, 0), (2, 0), (0, 0)), mode="edge")[: len(image_HWC), : image_HWC.shape[1]]


def _compressed(image_HWC: Images) -> Images:
    buffer = io.BytesIO()
    Image.fromarray(image_HWC).save(buffer, "JPEG", quality=JPEG_QUALITY)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


CHANGES: dict[str, tuple[Callable[[Images], Images], str, float]] = {
    "exact": (_same, "Exact copies", 0.98),
    "mirrored": (_mirrored, "Mirror images", 0.95),
    "shifted": (_shifted, "Copies shifted by 2 px", 0.95),
    "compressed": (_compressed, f"Copies compressed as JPEG of quality {JPEG_QUALITY}", 0.95),
}
"""By name: the change, its description, and the share that must be found."""


def check_duplicates(
    scorer: Scorer,
    images_NHWC: Images,
    embedding_ND: NDArray[np.float32],
    split: NDArray[np.str_],
    known_pairs: pl.DataFrame,
    *,
    seed: int,
    progress: Progress,
) -> pl.DataFrame:
    """Rows of the table `proofs` without the column run_id; empty if there are no training images.

    Row i of each array belongs to sample i. `known_pairs` lists the copies among the rows:
    sample_id and duplicate_id as row numbers.
    """
    rng = np.random.default_rng([seed, 13])
    trained = np.flatnonzero(split == "train")
    if not len(trained):
        return make_frame("proofs", [])
    origin = np.sort(rng.choice(trained, min(PLANTED, len(trained)), replace=False))
    changed = np.concatenate([[change(image) for image in images_NHWC[origin]] for change, _, _ in CHANGES.values()])
    places = np.arange(len(images_NHWC), len(images_NHWC) + len(changed))
    duplicates = find_duplicates(
        np.arange(len(images_NHWC) + len(changed)),
        np.concatenate([images_NHWC, changed]),
        np.concatenate([split, np.full(len(changed), "test")]),
        _nearest(places, _embed(scorer, changed), embedding_ND),
        progress,
        rows=places,
    )
    copies = duplicates.filter(pl.col("tier").is_in(COPIES), pl.col("sample_id") >= len(images_NHWC))
    pairs = copies.select("sample_id", "duplicate_id")
    match_of = {row - len(images_NHWC): match for row, match in pairs.iter_rows()}
    twins = set(known_pairs.select("sample_id", "duplicate_id").iter_rows())
    origins = {row: int(origin[row % len(origin)]) for row in match_of}
    right = {row for row, match in match_of.items() if match == origins[row] or (match, origins[row]) in twins}
    rows: list[Row] = []
    for i, (name, (_, description, bar)) in enumerate(CHANGES.items()):
        hits = sum(i * len(origin) <= row < (i + 1) * len(origin) for row in right)
        claim = f"{description} of training images among the test images: share that is found"
        rows.append(share(f"recall, {name}", claim, hits, len(origin), bar))
    claim = "Pairs named of such images: share that is right"
    rows.append(share("precision", claim, len(right), len(match_of), 0.9))
    return make_frame("proofs", [{"subject": SUBJECT, **row} for row in rows])


def _embed(scorer: Scorer, images_NHWC: Images) -> NDArray[np.float32]:
    batches = [images_NHWC[start : start + BATCH] for start in range(0, len(images_NHWC), BATCH)]
    return np.concatenate([scorer({"sample_id": np.zeros(1), "images_NHWC": batch})["embedding"] for batch in batches])


def _nearest(
    places: NDArray[np.int64], planted_MD: NDArray[np.float32], embedding_ND: NDArray[np.float32]
) -> pl.DataFrame:
    """The nearest neighbours of each planted image in latent space, in the format of the table `neighbors`."""
    planted, unit = to_unit(planted_MD), to_unit(embedding_ND)
    count = min(PROPOSED_BY, len(unit) - 1)
    nearest = np.argpartition(-(planted @ unit.T), count, axis=1)[:, :count]
    ids = {"sample_id": np.repeat(places, count), "neighbor_id": nearest.ravel()}
    return pl.DataFrame(ids | {"rank": np.tile(np.arange(1, count + 1), len(places))})
