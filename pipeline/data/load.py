"""Select the dataset of a refresh: the source named in the settings, otherwise CIFAR-10."""

from pathlib import Path

from lake.storage.store import Lake
from pipeline.data.dataset import Dataset, load_cifar10
from pipeline.data.image_dataset import load_own_images
from pipeline.data.image_tables import is_table, list_paths
from pipeline.data.incoming import list_files
from pipeline.engine.progress import Progress
from pipeline.settings import Settings


def load_dataset(settings: Settings, progress: Progress) -> Dataset:
    """The dataset named by the settings, split and subsampled. Raises `UserError` if it cannot be loaded."""
    if settings.dataset is None:
        return load_cifar10(settings, progress)
    return load_own_images(settings.dataset, settings, Lake(settings.lake), progress)


def list_source(settings: Settings) -> list[list[str | int]]:
    """Path, size and modification time of every file of a custom source; equal lists mean that nothing changed.

    Empty for CIFAR-10, which never changes. Raises `UserError` if the source cannot be read.
    """
    if settings.dataset is None:
        return []
    paths = list_paths(settings.dataset)
    return [*(list_files(settings.dataset.source) if is_table(settings.dataset) else []), *map(_facts, paths)]


def _facts(path: Path) -> list[str | int]:
    try:
        status = path.stat()
        return [str(path), status.st_size, status.st_mtime_ns]
    except (OSError, ValueError):
        return [str(path), "unreadable"]
