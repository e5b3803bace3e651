"""On-disk cache of finished stages, keyed by a fingerprint of inputs, settings and code.

A repeated or interrupted refresh reuses what it already computed and redoes only what changed.
"""

import importlib.metadata
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil

from lake.errors import LakeError, first_line
from lake.storage.disks import find_reason, is_about
from pipeline.engine.code_hash import hash_code
from pipeline.engine.hashing import hash_facts
from pipeline.engine.polling import watching
from pipeline.engine.progress import Progress
from pipeline.settings import Settings

PACKAGES = (
    "torch",
    "timm",
    "scikit-learn",
    "hdbscan",
    "umap-learn",
    "grad-cam",
    "polars",
    "deltalake",
    "numpy",
)
Frames = dict[str, pl.DataFrame]
KEY_RULE = "2_"
"""Prefix of all keys. Keys with another prefix cannot tell whether the code is unchanged."""
CHECKPOINT = "model.safetensors"
"""File that a training leaves in its folder."""


@dataclass(frozen=True)
class Finished:
    """The tables of a stage, the files it left, and its cost.

    `value_key` and `fit_id` let `pipeline.stages.reuse` take over samples; empty for a stage that is computed as a
    whole.
    """

    fingerprint: str
    folder: Path
    frames: Frames
    cost: dict[str, float]
    value_key: str = ""
    fit_id: str = ""


class Workspace:
    """One folder per stage and fingerprint. Folders are complete or absent, as each is renamed when finished.

    With `stores=False`, stages are computed alongside the process that stores them, and nothing is written.
    """

    def __init__(self, root: Path, settings: Settings, progress: Progress, *, stores: bool = True) -> None:
        self._root, self._settings, self._progress, self._stores = root, settings, progress, stores

    def key(
        self,
        name: str,
        *,
        settings: tuple[str, ...],
        code: tuple[Callable[..., object], ...],
        facts: Sequence[str],
    ) -> str:
        """Hash of everything a stage is computed from, prefixed with the key rule."""
        values = {key: self._settings.model_dump(mode="json")[key] for key in settings}
        return KEY_RULE + hash_facts([name, values, [hash_code(function) for function in code], list(facts)])

    def find(
        self, name: str, fingerprint: str, compute: Callable[[Path], Frames], *, value_key: str = "", fit_id: str = ""
    ) -> Finished:
        """The cached result of the stage under this fingerprint, otherwise the result of `compute(folder)`.

        Raises `LakeError` if the result cannot be written.
        """
        folder = self._root / f"{name}-{fingerprint}"
        if cached := self._read(name, folder):
            frames, cost = cached
            return Finished(fingerprint, folder, frames, cost | {"reused": 1.0}, value_key, fit_id)
        if not self._stores:
            return Finished(fingerprint, folder, compute(_partial(folder)), {}, value_key, fit_id)
        try:
            frames, cost = self._compute(name, folder, compute)
        except OSError as error:
            if not is_about(error, self._root):
                raise
            reason = find_reason(error, self._root) or error.strerror or error
            raise LakeError(
                f"The stage {name} could not be written to {self._root} ({reason}). Finished stages "
                "and published runs are untouched. Free some space or fix the permissions, then refresh again."
            ) from error
        return Finished(fingerprint, folder, frames, cost, value_key, fit_id)

    def _read(self, name: str, folder: Path) -> tuple[Frames, dict[str, float]] | None:
        """The tables and cost of a finished stage; None if it did not finish or its files are damaged."""
        if not (folder / "cost.json").exists():
            return None
        try:
            cost = json.loads((folder / "cost.json").read_text(encoding="utf-8"))
            frames = {path.stem: pl.read_parquet(path, glob=False) for path in sorted(folder.glob("*.parquet"))}
        except (OSError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            self._progress.say(f"{name}: the earlier result is damaged ({first_line(error)}) and is computed again")
            return None
        self._progress.say(f"{name}: unchanged, earlier result reused")
        return frames, cost

    def _compute(self, name: str, folder: Path, compute: Callable[[Path], Frames]) -> tuple[Frames, dict[str, float]]:
        self._progress.check_time()
        self._progress.say(f"{name} ...")
        partial = _partial(folder)
        partial.mkdir(parents=True, exist_ok=True)
        with measure_cost() as cost:
            frames = compute(partial)
        for table, frame in frames.items():
            _write(frame, partial / f"{table}.parquet")
        (partial / "cost.json").write_text(json.dumps(cost), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        self._progress.say(f"{name}: {cost['seconds']:.1f} s, peak {cost['peak_memory_mib']:,.0f} MiB")
        return frames, cost


def _write(frame: pl.DataFrame, file: Path) -> None:
    try:
        frame.write_parquet(file)
    except pl.exceptions.ComputeError as error:  # polars reports a full disk this way
        if find_reason(error, file) is None:
            raise
        raise OSError(str(error)) from error


def _partial(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.part")


def package_versions() -> dict[str, str]:
    """Versions of the packages used in the computation, stored with every run and checkpoint."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


@contextmanager
def measure_cost() -> Iterator[dict[str, float]]:
    """Seconds and peak resident memory in MiB of this process and its children, filled in when the block ends."""
    cost: dict[str, float] = {"reused": 0.0}
    peak, started = [_resident_mib()], time.perf_counter()
    try:
        with watching(lambda: peak.append(_resident_mib()), every=0.1):
            yield cost
    finally:
        cost |= {"seconds": time.perf_counter() - started, "peak_memory_mib": max(peak)}


def _resident_mib() -> float:
    process = psutil.Process()
    total = process.memory_info().rss
    for child in process.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20
