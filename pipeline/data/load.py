"""Select the dataset of a refresh: the source named in the settings, otherwise CIFAR-10."""

from pathlib import Path

from lake.storage.store import Lake
from pipeline.data.dataset import Dataset, load_cifar10
from pipeline.data.image_dataset import load_own_images
from pipeline.engine.progress import Progress
from pipeline.settings import Settings
from pipeline.source.understanding.read import read_source


def load_dataset(settings: Settings, progress: Progress, *, accept: bool = False) -> Dataset:
    """The dataset named by the settings, split and subsampled; `accept` takes suggestions for what is unclear.

    Raises `UserError` if it cannot be loaded.
    """
    if settings.dataset is None:
        return load_cifar10(settings, progress)
    return load_own_images(settings.dataset, settings, Lake(settings.lake), progress, accept=accept)


def list_source(settings: Settings) -> list[list[str | int]]:
    """Path, size and modification time of every file of a custom source; equal lists mean that nothing changed.

    Empty for CIFAR-10, which never changes. Raises `UserError` if the source cannot be read.
    """
    if settings.dataset is None:
        return []
    listing = read_source(settings.dataset, settings.cache_dir, lambda _: None)
    pictures = [image.image for image in listing.images if isinstance(image.image, Path)]
    tables = settings.dataset.predictions
    others = [file for file in (tables.table, tables.embedding_table) if file] if tables else []
    return [file_facts(path) for path in dict.fromkeys([*listing.files, *others, *pictures])]


def file_facts(path: Path) -> list[str | int]:
    """Path, size and modification time in ns of a file; that it is unreadable if it is."""
    try:
        status = path.stat()
        return [str(path), status.st_size, status.st_mtime_ns]
    except (OSError, ValueError):
        return [str(path), "unreadable"]
