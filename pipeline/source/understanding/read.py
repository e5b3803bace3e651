"""Read a source of any kind, as it is named in the settings, into a listing; nothing is decoded."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.source.addresses.explain_source import explain_source
from pipeline.source.addresses.remote import fetch
from pipeline.source.archives.sample_columns import take_labels
from pipeline.source.archives.unpack import is_archive, is_unnamed_archive, unpack
from pipeline.source.archives.webdataset import find_shards, is_webdataset, list_webdataset
from pipeline.source.arrays.array_sources import explain_other, is_idx, list_idx, list_npz
from pipeline.source.columns.column_files import judge_source
from pipeline.source.columns.tables import list_table
from pipeline.source.folders import list_folder, list_paths
from pipeline.source.listing import Listing
from pipeline.source.predictions.number_lists import ARRAY_FILES
from pipeline.source.text.csv_files import is_text_table
from pipeline.source.understanding.listed_labels import label_by_tables

Say = Callable[[str], None]


def read_source(own: DatasetSettings, cache: Path, say: Say) -> Listing:
    """Everything that the source names. Downloads and unpacked archives are kept in `cache`.

    Raises `UserError` if it cannot be read, or is of a kind that is not read.
    """
    if isinstance(own.source, str):
        return _at(fetch(own.source, cache, say), own, cache, say)
    return _at(own.source, own, cache, say)


def _at(source: Path, own: DatasetSettings, cache: Path, say: Say) -> Listing:
    """The listing of a source on this machine."""
    shards = find_shards(source)
    if shards and is_webdataset(shards):
        return _called(take_labels(list_webdataset(shards, own.splits), own), "WebDataset shards", shards)
    if is_archive(source) and source.is_file():
        return _at_archive(source, own, cache, say)
    if source.suffix.lower() == ".npz":
        return _called(list_npz(source), "NumPy arrays", [source])
    if is_idx(source):
        return _called(list_idx(source), "IDX files", sorted(source.iterdir()))
    if is_text_table(source):
        return list_table(source, own, cache)
    if explain_other(source) is None and source.suffix not in ARRAY_FILES and is_unnamed_archive(source):
        return _at_archive(source, own, cache, say)
    is_table, why = judge_source(source)
    listing = list_table(source, own, cache) if is_table else _list_folder(source, own, cache)
    if why:
        listing.notes.remarks.append(why)
    return listing


def _at_archive(source: Path, own: DatasetSettings, cache: Path, say: Say) -> Listing:
    listing = _at(unpack(source, cache, say), own, cache, say)
    return _called(listing, f"archive of a {listing.kind}", [source])


def _list_folder(source: Path, own: DatasetSettings, cache: Path) -> Listing:
    if source.is_dir():
        listing = replace(list_folder(source, own), files=list_paths(source))
        return label_by_tables(listing, source, own, cache)
    if own.predictions and source.suffix in ARRAY_FILES:
        raise UserError(
            f"{source} has numbers without labels: set source in [dataset] to the table or folder of what was "
            f'predicted, and table = "{source}" in [dataset.predictions].'
        )
    if reason := explain_other(source) or explain_source(str(source)):
        raise UserError(reason)
    if not source.exists():
        raise UserError(f"The dataset {source} does not exist: check source in [dataset].")
    raise UserError(
        f"The dataset {source} is of a kind that is not read: it must be a folder or an archive of images, a table "
        "(CSV, parquet, Arrow, Delta), WebDataset shards or .npz arrays."
    )


def _called(listing: Listing, kind: str, files: list[Path]) -> Listing:
    return replace(listing, kind=kind, files=files)
