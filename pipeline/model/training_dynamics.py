"""Training dynamics: how each training sample was learnt, from the logits computed during training.

AUM: Pleiss et al. 2020. Confidence and variability: Swayamdipta et al. 2020. Forgetting: Toneva et al. 2019. Shapes: N
training samples, B of them in a batch, K classes.
"""

from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor


class Dynamics:
    """Running sums over all presentations of each sample, always augmented and at the current image size."""

    def __init__(self, size: int) -> None:
        self._sums = {name: torch.zeros(size, dtype=torch.float64) for name in ("seen", "margin", "p", "p_squared")}
        self._sums |= {name: torch.zeros(size, dtype=torch.float64) for name in ("was_right", "forgotten")}

    def add(self, rows: NDArray[np.int64], logits_BK: Tensor, label_B: Tensor) -> None:
        """Add one batch, in which each sample occurs once."""
        logits, label, sums = logits_BK.detach().double(), label_B[:, None], self._sums
        own = logits.gather(1, label)[:, 0]
        others = logits.scatter(1, label, -torch.inf).amax(1)
        p, right = (own - logits.logsumexp(1)).exp(), (own > others).double()
        sums["seen"][rows] += 1
        sums["margin"][rows] += own - others
        sums["p"][rows] += p
        sums["p_squared"][rows] += p**2
        sums["forgotten"][rows] += sums["was_right"][rows] * (1 - right)
        sums["was_right"][rows] = right

    def frame(self, sample_id: NDArray[np.int64]) -> pl.DataFrame:
        """The `dynamics` table without the column run_id: all samples that were seen at least once."""
        p, squared = pl.col("p") / pl.col("seen"), pl.col("p_squared") / pl.col("seen")
        sums = pl.DataFrame({name: values.numpy() for name, values in self._sums.items()})
        return (
            sums.with_columns(sample_id=pl.Series(sample_id))
            .filter(pl.col("seen") > 0)
            .select(
                "sample_id",
                times_seen=pl.col("seen").cast(pl.Int64),
                aum=pl.col("margin") / pl.col("seen"),
                confidence=p,
                variability=(squared - p**2).clip(0).sqrt(),
                times_forgotten=pl.col("forgotten").cast(pl.Int64),
            )
        )

    def state(self) -> dict[str, Tensor]:
        """The state needed by `load`."""
        return dict(self._sums)

    def load(self, state: dict[str, Any]) -> None:
        """Restore an earlier `state`."""
        self._sums = {name: state[name].clone() for name in self._sums}
