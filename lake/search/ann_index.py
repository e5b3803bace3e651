"""The search index of a run: a faiss index stored in the lake that proposes candidates for exact comparison.

Only large runs have one (setting `index_above`); building and using it requires the extra `search`.
Shapes: N samples, D features.
"""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake.errors import LakeError
from lake.query.joined_samples import Tables

LISTS_PROBED = 128
"""Number of inverted lists probed; more with a mask, so that about as many allowed rows are examined."""


def faiss_is_installed() -> bool:
    """Return whether an index can be built and used."""
    return importlib.util.find_spec("faiss") is not None


@dataclass(frozen=True)
class SearchIndex:
    """An inverted-file index of compressed unit-length vectors; its ids are row numbers."""

    ivf: Any

    @classmethod
    def of(cls, run: Tables, shape: tuple[int, ...]) -> "SearchIndex | None":
        """Load the index of a run's embeddings [N, D]; None if there is none or faiss is not installed.

        Raises `LakeError` if its bytes are damaged.
        """
        if not faiss_is_installed():
            return None
        parts = run.scan("search_index").sort("part").select("data").collect()["data"]
        return cls.read(parts, shape) if len(parts) else None

    @classmethod
    def read(cls, parts: Iterable[bytes], shape: tuple[int, ...]) -> "SearchIndex":
        """Deserialise the index of vectors [N, D] from its parts.

        Raises `LakeError` if they cannot be read or the index has another shape.
        """
        import faiss

        try:
            index = faiss.deserialize_index(np.frombuffer(b"".join(parts), np.uint8))
        except (RuntimeError, MemoryError):
            raise _damaged("it cannot be read") from None
        if not isinstance(index, faiss.IndexIVF) or (index.ntotal, index.d) != shape:
            raise _damaged("it does not match the run's embeddings")
        return cls(index)

    def propose(
        self, query: NDArray[np.float32], count: int, among: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Return up to `count` rows that are probably the nearest of those allowed; fewer if the lists hold fewer."""
        import faiss

        probed, selected = LISTS_PROBED, None
        if among is not None:
            selected = faiss.IDSelectorBitmap(np.packbits(among, bitorder="little"))
            probed = int(np.ceil(LISTS_PROBED / max(among.mean(), 1e-9)))
        parameters = faiss.SearchParametersIVF(nprobe=min(probed, self.ivf.nlist), sel=selected)
        _, rows = self.ivf.search(query[None], count, params=parameters)
        return np.asarray(rows[0][rows[0] >= 0])


def _damaged(reason: str) -> LakeError:
    return LakeError(f"The search index of the run is damaged ({reason}): refresh with --force to publish it again.")
