"""A source of any kind is read under its name, and one that is not read is told what it is."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.errors import UserError
from lake.storage.places import to_source
from pipeline.config.dataset import DatasetSettings, PredictionSettings
from pipeline.source.listing import Listing
from pipeline.source.understanding.read import read_source
from tests.support.data.own_data import draw_files, to_table, write_folder
from tests.support.lakes.raw_tables import write_raw

COUNT = 12


def read(source: Path, tmp_path: Path, **own: object) -> Listing:
    return read_source(DatasetSettings(source=source, **own), tmp_path / "cache", lambda _: None)  # type: ignore[arg-type]


def write_sources(root: Path) -> dict[str, Path]:
    """Kind -> the same drawn images as a source of that kind."""
    files = draw_files(COUNT)
    folder = write_folder(root / "shapes", files)
    table = to_table(files)
    table.write_parquet(root / "shapes.parquet")
    write_raw(root / "delta", table)
    text = table.drop("image").rename({"name": "image"})
    text.write_csv(folder / "list.csv")
    shutil.make_archive(str(root / "table"), "zip", folder)
    (folder / "list.csv").rename(root / "list.csv")
    shutil.make_archive(str(root / "photos"), "gztar", folder)
    (folder / "list.csv").write_text((root / "list.csv").read_text())
    (folder / "list.csv.gz").write_bytes(gzip.compress((root / "list.csv").read_bytes()))
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8), dtype=np.uint8)
    np.savez(root / "arrays.npz", train_images=pixels, train_labels=np.arange(COUNT) % 4)
    return {
        "parquet or Arrow": root / "shapes.parquet",
        "Delta table": root / "delta",
        "delimited text": folder / "list.csv",
        "archive of a folder of images": root / "photos.tar.gz",
        "NumPy arrays": root / "arrays.npz",
    }


def test_every_kind_is_called_by_its_name_and_lists_its_images_and_labels(tmp_path: Path) -> None:
    for kind, source in write_sources(tmp_path).items():
        listing = read(source, tmp_path)
        assert listing.kind == kind
        assert len(listing.images) == COUNT and not listing.refused, kind
        assert len({image.label for image in listing.images}) == 4, kind
        assert source.is_dir() or source in listing.files, kind


def test_text_in_gzip_lists_the_same_images(tmp_path: Path) -> None:
    source = write_sources(tmp_path)["delimited text"]
    plain, packed = read(source, tmp_path), read(source.with_name("list.csv.gz"), tmp_path)
    assert [image.name for image in packed.images] == [image.name for image in plain.images]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("notes.txt", "text", r"notes\.txt"),
        ("nowhere", None, r"nowhere does not exist: check source in \[dataset\]"),
        ("model.bin", "text", r"model\.bin is of a kind that is not read: it must be a folder or an archive of images"),
    ],
)
def test_what_is_not_read_is_told(name: str, content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        read(tmp_path / name, tmp_path)


def test_predictions_without_labels_are_no_source_but_a_table_beside_one(tmp_path: Path) -> None:
    np.save(tmp_path / "said.npy", np.full((COUNT, 4), 0.25))
    with pytest.raises(UserError, match=r"has numbers without labels: .*table = \".*said\.npy\""):
        read(tmp_path / "said.npy", tmp_path, predictions=PredictionSettings())


def test_an_address_is_no_path() -> None:
    assert to_source("https://host/photos.zip") == "https://host/photos.zip"
    assert to_source("photos.zip") == Path("photos.zip")


def write_list(root: Path, **columns: object) -> Path:
    """A table beside a folder of the drawn images, whose column `scan` names them without their endings."""
    for i, (data, _) in enumerate(draw_files(COUNT).values()):
        (root / "scans").mkdir(exist_ok=True)
        (root / "scans" / f"s{i}.png").write_bytes(data)
    table = pl.DataFrame({"id": range(COUNT), "scan": [f"s{i}" for i in range(COUNT)], **columns})
    table.write_csv(root / "list.csv")
    return root / "list.csv"


def test_a_column_that_names_files_is_that_of_the_images_whatever_it_is_called(tmp_path: Path) -> None:
    listing = read(write_list(tmp_path, label=["a", "b"] * 6), tmp_path)
    assert [image.image for image in listing.images] == [tmp_path / "scans" / f"s{i}.png" for i in range(COUNT)]
    assert "The images are the files that the column 'scan' names." in listing.notes.remarks
    (tmp_path / "scans" / "s3.png").unlink()
    listing = read(write_list(tmp_path, scan=["gone"] * COUNT, label=["a", "b"] * 6), tmp_path)
    assert not listing.images and len(listing.refused) == COUNT


def test_one_column_of_0_and_1_for_each_class_is_a_label(tmp_path: Path) -> None:
    columns = {name: [float(i % 3 == k) for i in range(COUNT)] for k, name in enumerate(("rust", "Healthy", "scab"))}
    listing = read(write_list(tmp_path, **columns, sex=["m", "f"] * 6), tmp_path)
    assert [image.label for image in listing.images] == ["rust", "Healthy", "scab"] * 4
    assert listing.class_names == ["rust", "Healthy", "scab"] and not listing.notes.doubts
    assert any("3 columns of 0 and 1, 'rust' to 'scab'" in remark for remark in listing.notes.remarks)
    spaced = {name: [f" {int(value)}" for value in values] for name, values in columns.items()}
    assert read(write_list(tmp_path, **spaced), tmp_path).class_names == ["rust", "Healthy", "scab"]
    columns["scab"][0] = 1.0  # two classes in a row
    assert read(write_list(tmp_path, **columns), tmp_path).notes.doubts
    two = {"male": [1, 0] * 6, "female": [0, 1] * 6}
    assert [image.label for image in read(write_list(tmp_path, **two), tmp_path).images] == ["male", "female"] * 6
    assert read(write_list(tmp_path, **two, kind=["x", "x", "y"] * 4), tmp_path).notes.doubts


def test_a_zip_without_its_suffix_is_an_archive(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "shapes", draw_files(COUNT))
    packed = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", folder))
    for name in ("content", "photos.zip.1"):
        listing = read(packed.rename(packed.with_name(name)), tmp_path)
        assert listing.kind == "archive of a folder of images" and len(listing.images) == COUNT
        packed = tmp_path / name


def write_shard(path: Path, describe: Callable[[int], dict[str, str]]) -> Path:
    with tarfile.open(path, "w") as shard:
        for number, (image, _) in enumerate(draw_files(COUNT).values()):
            for suffix, data in (("png", image), ("json", json.dumps(describe(number)).encode())):
                member = tarfile.TarInfo(f"{number:04}.{suffix}")
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))
    return path


def test_the_label_of_shards_is_a_key_that_is_called_so_or_that_the_settings_name(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a-000.tar", lambda i: {"class_name": f"c{i % 2}", "place": f"p{i % 3}"})
    found = read(shard, tmp_path)
    assert [image.label for image in found.images] == ["c0", "c1"] * (COUNT // 2)
    assert found.notes.remarks == ["The labels are those of the column 'class_name'."]
    assert [image.label for image in read(shard, tmp_path, label_column="place").images][:3] == ["p0", "p1", "p2"]
    with pytest.raises(UserError, match="has no column 'kind': its columns are class_name, place"):
        read(shard, tmp_path, label_column="kind")
    unclear = read(write_shard(tmp_path / "b-000.tar", lambda i: {"weather": f"w{i % 2}"}), tmp_path)
    assert [(doubt.setting, doubt.suggestion) for doubt in unclear.notes.doubts] == [("label_column", "weather")]
    labelled = write_shard(tmp_path / "c-000.tar", lambda i: {"label": f"l{i % 2}", "place": f"p{i % 3}"})
    assert {image.label for image in read(labelled, tmp_path).images} == {"l0", "l1"}
    assert {image.label for image in read(labelled, tmp_path, label_column="label").images} == {"l0", "l1"}
    assert {image.label for image in read(labelled, tmp_path, label_column="place").images} == {"p0", "p1", "p2"}
