"""The search index of a run: a faiss index in the lake that proposes rows to be compared exactly.

Only large runs have one (`index_above`), and only where the `search` extra is installed can it be built and used.
Shapes: N samples, D features.
"""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake.errors import LakeError
from lake.query.queries import Tables

LISTS_PROBED = 128
"""Of the index's lists; more where a mask thins them out, so that as many allowed rows are looked at."""


def faiss_is_installed() -> bool:
    """Whether an index can be built and used."""
    return importlib.util.find_spec("faiss") is not None


@dataclass(frozen=True)
class SearchIndex:
    """An inverted file of compressed vectors at unit length; its ids are rows."""

    ivf: Any

    @classmethod
    def of(cls, run: Tables, shape: tuple[int, ...]) -> "SearchIndex | None":
        """That of a run's embeddings [N, D]; None where there is none or faiss is not installed.

        Raises `LakeError` where its bytes are damaged.
        """
        if not faiss_is_installed():
            return None
        parts = run.scan("search_index").sort("part").select("data").collect()["data"]
        return cls.read(parts, shape) if len(parts) else None

    @classmethod
    def read(cls, parts: Iterable[bytes], shape: tuple[int, ...]) -> "SearchIndex":
        """The index of vectors [N, D] that was serialised and cut into parts.

        Raises `LakeError` where they are not that.
        """
        import faiss

        try:
            index = faiss.deserialize_index(np.frombuffer(b"".join(parts), np.uint8))
        except (RuntimeError, MemoryError):
            raise _damaged("it cannot be read") from None
        if not isinstance(index, faiss.IndexIVF) or (index.ntotal, index.d) != shape:
            raise _damaged("it is not of the run's embeddings")
        return cls(index)

    def propose(
        self, query: NDArray[np.float32], count: int, among: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Up to `count` rows that are probably the nearest of those allowed; fewer where the lists have no more."""
        import faiss

        probed, selected = LISTS_PROBED, None
        if among is not None:
            selected = faiss.IDSelectorBitmap(np.packbits(among, bitorder="little"))
            probed = int(np.ceil(LISTS_PROBED / max(among.mean(), 1e-9)))
        parameters = faiss.SearchParametersIVF(nprobe=min(probed, self.ivf.nlist), sel=selected)
        _, rows = self.ivf.search(query[None], count, params=parameters)
        return np.asarray(rows[0][rows[0] >= 0])


def _damaged(reason: str) -> LakeError:
    return LakeError(f"The search index of the run is damaged ({reason}): a refresh with --force publishes it anew.")
