"""Find duplicate images: neighbours in latent space and by spectrum propose pairs, a pixel comparison decides.

Both proposals are needed, as each misses pairs that the other finds: to a network, a modified copy of a training image
is one of hundreds of similar images of its class, while the spectrum of an image is invariant to shifts and mirroring.
Exact: the same bytes. Near: mirrored or shifted by up to 2 px, the lightness of one image has a correlation of at least
0.97 with that of the other. Similar: of at least 0.93, mostly the same photograph cropped or coloured differently; to
be inspected, not counted as a copy. A held-out sample with a copy in the training data is a leak (Barz & Denzler 2020,
ciFAIR).
"""

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.fft import rfft2  # unlike numpy's, it keeps float32

from lake.contracts.tables import make_frame
from pipeline.engine.progress import Progress

PROPOSED_BY, MAX_SHIFT, SAME, SIMILAR = 5, 2, 0.97, 0.93
FREQUENCIES, ALIKE = 8, 0.65
"""Number of lowest frequencies compared, and minimum correlation of the spectra: copies shifted by 2 px reach 0.67."""
COARSELY = 0.85
"""Minimum correlation at half the resolution."""
BLOCK, PAIRS = 2000, 200
"""Images and pairs of images processed at once; the pixels of a batch of pairs fit into the processor's cache."""
Images = NDArray[np.uint8]
Light = NDArray[np.float32]


def find_duplicates(
    sample_id: NDArray[np.int64],
    images_NHWC: Images,
    split: NDArray[np.str_],
    neighbors: pl.DataFrame,
    progress: Progress,
    *,
    rows: NDArray[np.int64] | None = None,
) -> pl.DataFrame:
    """The table `duplicates` without the column run_id: each sample with a copy or look-alike, and the closest match.

    Copies are searched for all samples, or only for those at `rows`.
    """
    latent_pairs = neighbors.filter(pl.col("rank") <= PROPOSED_BY).select("sample_id", "neighbor_id")
    if rows is None:
        rows = np.arange(len(sample_id))
    else:
        latent_pairs = latent_pairs.filter(pl.any_horizontal(pl.all().is_in(sample_id[rows].tolist())))
    near = pl.concat([latent_pairs, propose_by_spectrum(sample_id, images_NHWC, rows)])
    pairs = near.select(a=pl.min_horizontal(pl.all()), b=pl.max_horizontal(pl.all())).unique().sort("a", "b")
    a, b = (np.searchsorted(sample_id, pairs[name].to_numpy()) for name in ("a", "b"))
    correlation, exact = np.zeros(len(a)), np.zeros(len(a), bool)
    with progress.task("duplicates", len(a)) as task:
        for start in range(0, len(a), PAIRS):
            part = slice(start, start + PAIRS)
            first, second = images_NHWC[a[part]], images_NHWC[b[part]]
            correlation[part], exact[part] = likeness(first, second), (first == second).all((1, 2, 3))
            task.advance(len(a[part]))
    tier = np.where(exact, "exact", np.where(correlation >= SAME, "near", "similar"))
    duplicates = pairs.with_columns(
        pl.Series("correlation", correlation),
        pl.Series("tier", tier, dtype=pl.String),
        pl.Series("leak", ((split[a] == "train") != (split[b] == "train")) & (correlation >= SAME)),
    ).filter(pl.col("correlation") >= SIMILAR)
    sides = [
        duplicates.rename({"a": x, "b": y}) for x, y in (("sample_id", "duplicate_id"), ("duplicate_id", "sample_id"))
    ]
    return closest(pl.concat([side.select(sorted(side.columns)) for side in sides]))


def closest(pairs: pl.DataFrame) -> pl.DataFrame:
    """The first pair of each sample: leaks first, then the highest correlation."""
    ordered = pairs.sort("leak", "correlation", "duplicate_id", descending=[True, True, False])
    first = ordered.unique("sample_id", keep="first")
    return first.sort("sample_id").select(make_frame("duplicates", []).columns)


def propose_by_spectrum(sample_id: NDArray[np.int64], images_NHWC: Images, rows: NDArray[np.int64]) -> pl.DataFrame:
    """For each image at `rows`, the images with the most similar spectra: sample_id and neighbor_id."""
    unit = torch.from_numpy(spectra(images_NHWC))
    count = min(PROPOSED_BY, len(unit) - 1)
    pairs = [np.zeros((2, 0), np.int64)]
    for start in range(0, len(rows), BLOCK):
        own = torch.from_numpy(rows[start : start + BLOCK])
        correlation = unit[own] @ unit.T
        correlation[torch.arange(len(own)), own] = -1
        best = correlation.topk(count, dim=1)
        place, column = torch.nonzero(best.values >= ALIKE, as_tuple=True)
        pairs.append(torch.stack([own[place], best.indices[place, column]]).numpy())
    first, second = np.concatenate(pairs, axis=1)
    return pl.DataFrame({"sample_id": sample_id[first], "neighbor_id": sample_id[second]})


def spectra(images_NHWC: Images) -> NDArray[np.float32]:
    """Low frequencies of the lightness, without phase, as rows of mean 0 and length 1 [N, features].

    A shift changes only the phase, and mirroring swaps two frequencies, which are summed; both hold except at the
    border, which a Hann window fades out. The mean over all images is subtracted.
    """
    blocks = [images_NHWC[start : start + BLOCK] for start in range(0, len(images_NHWC), BLOCK)]
    features = np.concatenate([_log_spectra(_lightness(block)) for block in blocks])
    centred = features - features.mean(1, keepdims=True)
    centred -= centred.mean(0)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True).clip(1e-6))


def _log_spectra(light: Light) -> NDArray[np.float32]:
    """Log magnitudes [N, features] of the low frequencies of the lightness [N, H, W], mirrored ones summed."""
    height, width = light.shape[1:]
    window = (np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]).astype(np.float32)
    size = np.abs(rfft2((light - light.mean((1, 2), keepdims=True)) * window))
    reach = min(FREQUENCIES, height // 2 - 1, width // 2 - 1)
    low = size[:, range(-reach, reach + 1), : reach + 1]
    return np.asarray(np.log1p(low + low[:, ::-1])[:, reach:].reshape(len(light), -1))


def likeness(first_NHWC: Images, second_NHWC: Images) -> NDArray[np.float64]:
    """Largest correlation [N] of the lightness of two images over mirroring and shifts; -1 to 1.

    Shifted images are compared where they overlap; a uniform image correlates with nothing. Pairs with a correlation
    below 0.85 at half the resolution are not compared at full resolution; the value at half the resolution is returned.
    """
    first, second = _lightness(first_NHWC), _lightness(second_NHWC)
    best = _best_shift(_halve(first), _halve(second), MAX_SHIFT // 2)
    close = best >= COARSELY
    best[close] = _best_shift(first[close], second[close], MAX_SHIFT)
    return best


def _lightness(images_NHWC: Images) -> Light:
    """Mean of red, green and blue [N, H, W]."""
    red, green, blue = (images_NHWC[..., channel] for channel in range(3))
    return np.asarray((red.astype(np.uint16) + green + blue) / np.float32(3))


def _halve(images_NHW: Light) -> Light:
    """Means over blocks of 2 x 2 pixels."""
    height, width = (side // 2 * 2 for side in images_NHW.shape[1:])
    squares = images_NHW[:, :height, :width].reshape(-1, height // 2, 2, width // 2, 2)
    return np.asarray(squares.mean((2, 4)))


def _best_shift(first: Light, second: Light, reach: int) -> NDArray[np.float64]:
    """Largest correlation [N] over shifts of up to `reach` pixels in each direction, mirrored and not."""
    best = np.full(len(first), -1.0)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            one = _centre(_shift(first, dy, dx))
            for other in (second, second[:, :, ::-1]):
                best = np.maximum(best, _correlate(*one, *_centre(_shift(other, -dy, -dx))))
    return best


def _shift(images_NHW: Light, dy: int, dx: int) -> Light:
    """The part of the images that remains in view after a shift of `dy` and `dx` pixels."""
    height, width = images_NHW.shape[1:]
    return images_NHW[:, max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]


def _centre(images_NHW: Light) -> tuple[Light, Light]:
    """The images minus their means, and the sums of squares of the result [N]."""
    centred = images_NHW - images_NHW.mean((1, 2), keepdims=True)
    return centred, (centred**2).sum((1, 2))


def _correlate(a_NHW: Light, squares_of_a: Light, b_NHW: Light, squares_of_b: Light) -> NDArray[np.float64]:
    product = (a_NHW * b_NHW).sum((1, 2)).astype(np.float64)
    return np.asarray(product / np.sqrt(squares_of_a * squares_of_b).clip(1e-6))
