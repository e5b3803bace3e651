"""Classes of a synthetic lake: ten alike, or two to a thousand of uneven sizes, some with odd names.

With three or more uneven classes, the last has a single sample; with more than ten, one class has only training samples
and another only unlabeled ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NAMES = ["airplane", "automobile", "bird", "cat", "dog", "deer", "frog", "horse", "ship", "truck"]
ODD = [
    "<b>bold</b> & <img src=x>",
    "**stars** _and_ [a link](https://example.org)",
    "قطة صغيرة",
    "חתול, כלב",
    "👩‍🚀🏽 emoji 🏳️‍🌈",
    'it\'s "quoted"',
    "a,b;c.d~e",
    "  blanks around  ",
    ":smile: :material/home: :red[no]",
    "$x^2$ and `code`",
    "# 1. heading",
    "50 % -> 100 %",
    "&lt;escaped&gt;",
    "猫と犬",
    "Ἑλληνικά " * 4 + "very long " * 16,
    "- dash | pipe \\ slash",
    "null",
    "a/b?c=d#e",
    "combining e\u0301 n\u0303 \u200bzero width",
    "1",
]
VEHICLES = ("airplane", "automobile", "ship", "truck")
CLUSTERS, MANY, KIND = 60, 100, 50
"""Minimum number of clusters in total; the number of classes from which kinds are numbered; classes per kind."""
CLUSTERS_OF_ONE, UNEVEN = 6, 0.5
"""Clusters per class for up to ten classes, and the exponent by which sizes fall with rank."""


@dataclass(frozen=True)
class Classes:
    """Names and kinds of the classes, the number of clusters of each, and the share of samples of each cluster."""

    names: list[str]
    kinds: list[str]
    clusters: int
    shares: NDArray[np.float64] | None
    """None if all classes are alike."""

    @property
    def groups(self) -> dict[str, str]:
        """Class name -> kind."""
        return dict(zip(self.names, self.kinds, strict=True))

    @property
    def single(self) -> int | None:
        """Index of the class with a single sample."""
        return None if self.shares is None or len(self.names) < 3 else len(self.names) - 1

    @property
    def of_one_split(self) -> dict[int, str]:
        """Class index -> split, for classes with all samples in one split."""
        count = len(self.names)
        return {} if self.shares is None or count < 10 else {count - 2: "train", count - 3: "unlabeled"}


def draw_classes(count: int) -> Classes:
    """Draw `count` classes: ten are alike and have plain names, any other number is uneven."""
    clusters = CLUSTERS_OF_ONE if count <= 10 else max(1, CLUSTERS // count)
    if count == 10:
        return Classes(NAMES, ["vehicle" if name in VEHICLES else "animal" for name in NAMES], clusters, None)
    odd = ODD[: count // 2]
    plain = [*NAMES, *(f"class {i:04}" for i in range(len(NAMES), count))]
    names = [*odd, *plain[: count - len(odd)]]
    kinds = [f"kind {i // KIND + 1}" if count >= MANY else ("animal", "vehicle")[i % 2] for i in range(count)]
    size = np.arange(1, count + 1) ** -UNEVEN
    if count >= 3:
        size[-1] = 0  # its only sample is placed there
    shares = np.repeat(size / clusters, clusters)
    return Classes(names, kinds, clusters, shares / shares.sum())
