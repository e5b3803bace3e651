"""The embeddings of a run at unit length as a file that is mapped into memory: pages share it, and it can be dropped.

Of many samples they are more than a process should hold. The file is a copy for readers, made from the lake and named
after what it is made of; anybody may delete it. Shapes: N samples, D features.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lake.store import Run

ROWS_AT_ONCE = 20_000
KEPT = 2
"""Files, the last used: each is 2 KiB a sample at 512 features."""


def default_folder() -> Path:
    """Where readers keep their copies: `LATENTLAKE_CACHE_DIR`, else the user's cache."""
    return Path(os.environ.get("LATENTLAKE_CACHE_DIR", Path.home() / ".cache" / "latentlake")) / "vectors"


def map_vectors(run: Run, folder: Path) -> NDArray[np.float32]:
    """The embeddings [N, D] at unit length in the order of their ids, read only; the file is written where it is not.

    Raises `OSError` where it cannot be.
    """
    file = folder / f"{_name(run)}.npy"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as partial:
            part = Path(partial.name)
        try:
            _write(run, part)
            part.rename(file)
        finally:
            part.unlink(missing_ok=True)
    file.touch()
    for old in sorted(folder.glob("*.npy"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
    mapped: NDArray[np.float32] = np.load(file, mmap_mode="r")
    return mapped


def to_unit(vectors_ND: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors of length 1; zeros stay zeros."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors_ND, vectors_ND, dtype=np.float64))[:, None].clip(1e-12)
    return np.divide(vectors_ND, length, dtype=np.float32, casting="same_kind")


def _name(run: Run) -> str:
    """A name that no other contents have: of the run and of the files that hold its embeddings."""
    digests = [row["sha256"] for row in run.facts["digests"] or [] if row["table"] == "embeddings"]
    return hashlib.sha256(json.dumps([run.lake.root, run.run_id, digests]).encode()).hexdigest()[:32]


def _write(run: Run, file: Path) -> None:
    """Part by part, each row where its id belongs, so that memory does not grow with the samples."""
    rows = run.scan("embeddings").select("sample_id", "embedding")
    sample_id = rows.select("sample_id").collect().to_series().sort().to_numpy()
    features = rows.head(1).collect()["embedding"].list.len().item()
    shape = (len(sample_id), features)
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    for part in rows.collect_batches(chunk_size=ROWS_AT_ONCE):
        place = np.searchsorted(sample_id, part["sample_id"].to_numpy())
        mapped[place] = to_unit(part["embedding"].explode().to_numpy().reshape(-1, features))
    mapped.flush()
