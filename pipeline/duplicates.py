"""Images that are in the data twice: neighbours in latent space propose, pixels decide.

Exact: the same bytes. Near: the lightness of one, mirrored or shifted by up to 2 px, correlates with that of the other
by .97 or more. A held-out sample whose copy was trained on is a leak (Barz & Denzler 2020, ciFAIR).
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts import make_frame
from pipeline.progress import Progress

PROPOSED_BY, MAX_SHIFT, SAME = 5, 2, 0.97
GRID, COARSELY = 8, 0.75
BLOCK = 2000
Images = NDArray[np.uint8]


def find_duplicates(
    sample_id: NDArray[np.int64],
    images_NHWC: Images,
    split: NDArray[np.str_],
    neighbors: pl.DataFrame,
    progress: Progress,
) -> pl.DataFrame:
    """The table `duplicates` but for its run_id: each sample that has a copy, with the copy most like it."""
    near = neighbors.filter(pl.col("rank") <= PROPOSED_BY).select("sample_id", "neighbor_id")
    pairs = near.select(a=pl.min_horizontal(pl.all()), b=pl.max_horizontal(pl.all())).unique().sort("a", "b")
    a, b = (np.searchsorted(sample_id, pairs[name].to_numpy()) for name in ("a", "b"))
    correlation = np.zeros(len(a))
    with progress.task("duplicates", len(a)) as task:
        for start in range(0, len(a), BLOCK):
            part = slice(start, start + BLOCK)
            correlation[part] = likeness(images_NHWC[a[part]], images_NHWC[b[part]])
            task.advance(len(a[part]))
    exact = (images_NHWC[a] == images_NHWC[b]).all((1, 2, 3)) if len(a) else np.zeros(0, bool)
    found = pairs.with_columns(
        pl.Series("correlation", correlation),
        pl.Series("tier", np.where(exact, "exact", "near"), dtype=pl.String),
        pl.Series("leak", (split[a] == "train") != (split[b] == "train")),
    ).filter(pl.col("correlation") >= SAME)
    sides = [found.rename({"a": x, "b": y}) for x, y in (("sample_id", "duplicate_id"), ("duplicate_id", "sample_id"))]
    both = pl.concat([side.select(sorted(side.columns)) for side in sides])
    closest = both.sort("leak", "correlation", "duplicate_id", descending=[True, True, False]).unique(
        "sample_id", keep="first"
    )
    return closest.sort("sample_id").select(make_frame("duplicates", []).columns)


def likeness(first_NHWC: Images, second_NHWC: Images) -> NDArray[np.float64]:
    """Largest correlation [N] of the lightness of two images over a mirror image and shifts; -1 to 1.

    Shifted images are compared where they overlap; a plain one correlates with nothing. Pairs whose coarse pictures
    do not correlate by .75 are not shifted: what is given for them is the coarse one, which is below that.
    """
    first, second = (images.astype(np.float32).mean(3) for images in (first_NHWC, second_NHWC))
    coarse = np.maximum(*(_correlate(_coarse(first), _coarse(other)) for other in (second, second[:, :, ::-1])))
    close = coarse >= COARSELY
    coarse[close] = _best_shift(first[close], second[close])
    return np.asarray(coarse)


def _coarse(images_NHW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of squares of an eighth of each side."""
    height, width = (side // GRID * GRID for side in images_NHW.shape[1:])
    squares = images_NHW[:, :height, :width].reshape(-1, GRID, height // GRID, GRID, width // GRID)
    return np.asarray(squares.mean((2, 4)))


def _best_shift(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    best = np.full(len(first), -1.0)
    for other in (second, second[:, :, ::-1]):
        for dy in range(-MAX_SHIFT, MAX_SHIFT + 1):
            for dx in range(-MAX_SHIFT, MAX_SHIFT + 1):
                best = np.maximum(best, _correlate(_shift(first, dy, dx), _shift(other, -dy, -dx)))
    return best


def _shift(images_NHW: NDArray[np.float32], dy: int, dx: int) -> NDArray[np.float32]:
    """The part of the images that is left when they move by so many pixels."""
    height, width = images_NHW.shape[1:]
    return images_NHW[:, max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]


def _correlate(a_NHW: NDArray[np.float32], b_NHW: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = (images - images.mean((1, 2), keepdims=True) for images in (a_NHW, b_NHW))
    product = (a * b).sum((1, 2)).astype(np.float64)
    return np.asarray(product / np.sqrt((a**2).sum((1, 2)) * (b**2).sum((1, 2))).clip(1e-6))
