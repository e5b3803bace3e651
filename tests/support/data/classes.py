"""The classes of a drawn lake: ten alike, or from two to a thousand of uneven sizes, some under odd names.

Of three and more uneven ones the last has one sample; of more than ten one before it is only trained on, and one has no
label at all.
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
"""How many clusters are drawn at least for them all; from how many classes on there is a kind for each so many."""
CLUSTERS_OF_ONE, UNEVEN = 6, 0.5
"""Clusters of one of at most ten classes, and the power of the rank by which sizes fall."""


@dataclass(frozen=True)
class Classes:
    """Names in order, the kind of each, how many clusters it has, and the share of the samples of each cluster."""

    names: list[str]
    kinds: list[str]
    clusters: int
    shares: NDArray[np.float64] | None
    """None where all are alike."""

    @property
    def groups(self) -> dict[str, str]:
        """The kind of each by its name."""
        return dict(zip(self.names, self.kinds, strict=True))

    @property
    def single(self) -> int | None:
        """The class that has one sample."""
        return None if self.shares is None or len(self.names) < 3 else len(self.names) - 1

    @property
    def of_one_split(self) -> dict[int, str]:
        """The classes whose samples are all in one split."""
        count = len(self.names)
        return {} if self.shares is None or count < 10 else {count - 2: "train", count - 3: "unlabeled"}


def draw_classes(count: int) -> Classes:
    """So many classes: ten are alike and have plain names, any other number of them is uneven."""
    clusters = CLUSTERS_OF_ONE if count <= 10 else max(1, CLUSTERS // count)
    if count == 10:
        return Classes(NAMES, ["vehicle" if name in VEHICLES else "animal" for name in NAMES], clusters, None)
    odd = ODD[: count // 2]
    plain = [*NAMES, *(f"class {i:04}" for i in range(len(NAMES), count))]
    names = [*odd, *plain[: count - len(odd)]]
    kinds = [f"kind {i // KIND + 1}" if count >= MANY else ("animal", "vehicle")[i % 2] for i in range(count)]
    size = np.arange(1, count + 1) ** -UNEVEN
    if count >= 3:
        size[-1] = 0  # its only sample is put there
    shares = np.repeat(size / clusters, clusters)
    return Classes(names, kinds, clusters, shares / shares.sum())
