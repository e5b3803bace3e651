"""Build the search index of a large run: a faiss inverted file with product quantisation.

`lake.search.ann_index` reads it. Shapes: N samples, D features.
"""

import numpy as np
from numpy.typing import NDArray

from lake.contracts.tables import make_frame
from lake.search.ann_index import faiss_is_installed
from lake.search.vectors import to_unit
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import Frames
from pipeline.settings import Settings

LISTS_PER_ROOT = 4
TRAINED_ON_PER_CENTRE = 40
"""Training vectors per centre; faiss warns below 39."""
ITERATIONS = 10
"""k-means iterations for the list centres, which take most of the build time."""
BYTES_PER_VECTOR, NUMBERS_PER_BYTE = 64, 4
"""Maximum code size in bytes, and minimum number of features per byte."""
BLOCK = 2**16
PART_BYTES = 64 * 2**20


def index_table(embedding_ND: NDArray[np.float32], settings: Settings, progress: Progress) -> Frames:
    """The table `search_index` without the column run_id; empty if exact search is fast enough or faiss is missing."""
    parts: list[bytes] = []
    if len(embedding_ND) > settings.index_above:
        if faiss_is_installed():
            unit_ND = to_unit(embedding_ND)
            parts = split(build_index(unit_ND, seed=settings.seed, threads=settings.threads, progress=progress))
        else:
            progress.say(
                "index: skipped, similar samples are found by exact search; to build it, pip install '.[search]'"
            )
    return {"search_index": make_frame("search_index", [{"part": i, "data": part} for i, part in enumerate(parts)])}


def build_index(
    unit_ND: NDArray[np.float32], *, seed: int = 0, threads: int = 1, progress: Progress | None = None
) -> bytes:
    """The serialised index of unit-length vectors, in row order; deterministic for a given seed.

    k-means on a subset of the vectors yields about 4 sqrt(N) lists. Each vector is stored as its residual to the centre
    of its list, quantised to at most 64 bytes (Jegou et al. 2011, Product quantization for nearest neighbor search).
    """
    import faiss

    faiss.omp_set_num_threads(threads)
    count, features = unit_ND.shape
    lists = max(1, min(round(LISTS_PER_ROOT * count**0.5), count // TRAINED_ON_PER_CENTRE))
    rows = np.random.default_rng(seed).choice(count, min(count, lists * TRAINED_ON_PER_CENTRE), replace=False)
    bits = int(np.clip(np.log2(len(rows) / TRAINED_ON_PER_CENTRE), 1, 8))
    shape = (features, lists, _bytes_of(features), bits)
    index = faiss.IndexIVFPQ(faiss.IndexFlatIP(features), *shape, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = index.pq.cp.seed = seed
    index.cp.niter, index.pq.cp.max_points_per_centroid = ITERATIONS, TRAINED_ON_PER_CENTRE
    index.train(unit_ND[np.sort(rows)])
    with (progress or Progress(quiet=True)).task("index", count) as task:
        for start in range(0, count, BLOCK):
            index.add(unit_ND[start : start + BLOCK])
            task.advance(min(BLOCK, count - start))
    return faiss.serialize_index(index).tobytes()


def split(data: bytes, part_bytes: int = PART_BYTES) -> list[bytes]:
    """The bytes, split into parts small enough for every Parquet reader."""
    return [data[start : start + part_bytes] for start in range(0, len(data), part_bytes)]


def _bytes_of(features: int) -> int:
    """Code size in bytes: the number of equally long sub-vectors that a vector is split into."""
    most = min(BYTES_PER_VECTOR, max(1, features // NUMBERS_PER_BYTE))
    return max(parts for parts in range(1, most + 1) if features % parts == 0)
