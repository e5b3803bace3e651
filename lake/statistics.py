"""Confidence intervals and significance tests.

They use scipy where possible; it is imported on first use, because the import takes longer than many pages do. The
others are implemented here because scipy lacks them or they are needed by the thousand; tests compare them with scipy.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
FLIPS_AT_ONCE = 256
RESAMPLED_AT_ONCE, RESAMPLED_UP_TO, DRAWN_AT_ONCE = 100, 50_000, 100_000
"""Numbers of values. Up to `RESAMPLED_AT_ONCE`, drawing all resamples at once is faster than scipy's set-up, which
matters for a thousand classes; above `RESAMPLED_UP_TO`, the mean is normal to the digits shown; `DRAWN_AT_ONCE` is the
size of a batch of resamples."""
Statistic = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Maps the row indices [B, N] of resamples to the values [B] of the statistic."""


def wilson_interval(hits: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of a proportion; (0, 1) if n is 0 (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def proportion_difference_interval(hits: float, n: float, other_hits: float, other_n: float) -> tuple[float, float]:
    """Return the 95 % interval of the first proportion minus the other, of independent samples (Newcombe 1998).

    Counts need not be whole, such as those of an effective sample size. It is (-1, 1) if either n is 0.
    """
    if not (n and other_n):
        return -1.0, 1.0
    share, other = hits / n, other_hits / other_n
    low, high = wilson_interval(hits, n)
    other_low, other_high = wilson_interval(other_hits, other_n)
    difference = share - other
    return (
        max(-1.0, difference - math.hypot(share - low, other_high - other)),
        min(1.0, difference + math.hypot(high - share, other - other_low)),
    )


def effective_size(hits: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    """Return the number of independent samples that say as much of a proportion as these clusters do.

    `hits` and `sizes` [C] are the successes and samples of each cluster. It is at most the number of samples, and
    smaller if the clusters differ by more than chance (design effect; Kish 1965) or are few (Student's t); 0 for one
    cluster, which does not show how far others would differ.
    """
    from scipy.stats import t

    n, count = float(sizes.sum()), len(sizes)
    if count < 2:
        return 0.0
    share = float(hits.sum()) / n
    chance = share * (1 - share) / n
    effect = pooled_ratio(hits, sizes).error ** 2 / chance if chance > 0 else 1.0
    return n / max(1.0, effect) * (Z95 / float(t.ppf(0.975, count - 1))) ** 2


def mcnemar_p(fixed: int, broken: int) -> float:
    """Return the two-sided exact p that as many were fixed as broken; 1 if nothing changed (McNemar 1947; scipy)."""
    from scipy.stats import binomtest

    return float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0


def paired_difference_interval(fixed: int, broken: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the change of a proportion over n pairs, adding half a pair to each cell.

    Agresti & Min 2005.
    """
    up, down, pairs = fixed + 0.5, broken + 0.5, n + 2
    change = (up - down) / pairs
    half = Z95 * math.sqrt(up + down - (up - down) ** 2 / pairs) / pairs
    return max(-1.0, change - half), min(1.0, change + half)


def sign_flip_p(differences: NDArray[np.float64], *, flips: int = 4999, seed: int = 0) -> float:
    """Return the two-sided p that the mean of paired differences is 0, by random sign flips (Fisher 1935)."""
    n, observed = len(differences), abs(float(differences.sum()))
    if observed == 0:
        return 1.0
    rng, hits = np.random.default_rng(seed), 0
    for start in range(0, flips, FLIPS_AT_ONCE):
        rows = min(FLIPS_AT_ONCE, flips - start)
        bits = np.frombuffer(rng.bytes(rows * -(-n // 8)), np.uint8).reshape(rows, -1)
        positive = np.unpackbits(bits, axis=1, count=n).astype(np.float32) @ differences.astype(np.float32)
        hits += int((abs(2 * positive - float(differences.sum())) >= observed * (1 - 1e-6)).sum())
    return (1 + hits) / (1 + flips)


def bootstrap_mean_interval(
    values: NDArray[np.float64], *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % bootstrap percentile interval of the mean; (nan, nan) if there are no values.

    Above `RESAMPLED_UP_TO` values, it uses the normal approximation.
    """
    if len(values) == 0:
        return math.nan, math.nan
    if len(values) > RESAMPLED_UP_TO:
        mean, half = float(values.mean()), Z95 * float(values.std()) / math.sqrt(len(values))
        return mean - half, mean + half
    return bootstrap_interval(lambda rows_BN: values[rows_BN].mean(1), len(values), resamples=resamples, seed=seed)


def bootstrap_interval(statistic: Statistic, n: int, *, resamples: int, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap percentile interval of a statistic of n rows, n >= 1 (Efron 1979; scipy)."""
    rng = np.random.default_rng(seed)
    if n <= RESAMPLED_AT_ONCE:
        low, high = np.quantile(statistic(rng.integers(0, n, (resamples, n))), [0.025, 0.975])
        return float(low), float(high)
    from scipy.stats import bootstrap

    result = bootstrap(
        (np.arange(n),),
        lambda rows_BN, **_: statistic(rows_BN),
        vectorized=True,
        n_resamples=resamples,
        method="percentile",
        batch=max(1, DRAWN_AT_ONCE // n),
        rng=rng,
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p values (q) adjusted to control the false discovery rate (Benjamini & Hochberg 1995; scipy).

    Raises `ValueError` if a p is not in [0, 1].
    """
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p))


def calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_], *, bins: int = 15) -> float:
    """Return the expected calibration error over equal-mass bins (0-1; 0 is perfect; Nguyen & O'Connor 2015)."""
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, max(1, len(order))))
    gaps = [len(part) * abs(confidence[part].mean() - correct[part].mean()) for part in parts if len(part)]
    return float(sum(gaps) / max(1, len(order)))


@dataclass(frozen=True)
class Ratio:
    """A ratio of two sums over n samples with its standard error; nan if it cannot be estimated."""

    n: int
    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        return self.value - Z95 * self.error, self.value + Z95 * self.error

    def differs_p(self, other: "Ratio") -> float:
        """Return the two-sided p that both ratios are equal; 1 if either is unknown."""
        error = math.hypot(self.error, other.error)
        return math.erfc(abs(self.value - other.value) / error / math.sqrt(2)) if error > 0 else 1.0


def pooled_ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> Ratio:
    """Return the sum of `part` over the sum of `whole`, for randomly drawn samples.

    Ratio estimator; Cochran 1977, ch. 6.
    """
    n, total = len(whole), float(whole.sum())
    if n < 2 or total <= 0:
        return Ratio(n, math.nan, math.nan)
    value = float(part.sum()) / total
    error = math.sqrt(n * float((part - value * whole).var(ddof=1))) / total
    return Ratio(n, value, error)
