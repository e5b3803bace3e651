"""Shards of a WebDataset are recognised, and every sample keeps its image, label, split and columns."""

import io
import json
import os
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.errors import UserError
from pipeline.pixels.decode import Unusable
from pipeline.source.archives.webdataset import find_shards, is_webdataset, list_webdataset
from pipeline.source.arrays.array_sources import to_png
from pipeline.source.listing import ListedImage, Listing
from pipeline.source.notes import Aside, Doubt


def picture(seed: int) -> bytes:
    return to_png(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8))


def write(path: Path, members: Mapping[str, bytes | str | dict[str, Any]], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            text = json.dumps(content) if isinstance(content, dict) else content
            data = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def samples(count: int, extension: str, value: Any, start: int = 0) -> dict[str, Any]:
    """Pairs of a picture and what `value` returns for its number."""
    found: dict[str, Any] = {}
    for i in range(start, start + count):
        found |= {f"{i:06}.png": picture(i), f"{i:06}.{extension}": value(i)}
    return found


def read(entry: ListedImage) -> bytes | Unusable:
    assert entry.image is not None and not isinstance(entry.image, bytes | Path)
    return entry.image.read()


def labels(listing: Listing) -> list[str | None]:
    return [entry.label for entry in listing.images]


# --- what is recognised


@pytest.mark.parametrize(
    ("extension", "value"),
    [
        ("cls", lambda i: str(i % 3)),
        ("cls", lambda i: "cat"),
        ("json", lambda i: {"label": "cat"}),
        ("json", lambda i: {"width": 16}),
        ("txt", lambda i: "a cat on a mat"),
    ],
)
def test_pairs_of_one_name_are_recognised(extension: str, value: Any, tmp_path: Path) -> None:
    assert is_webdataset([write(tmp_path / "a.tar", samples(5, extension, value))])


def test_samples_with_labels_may_lie_in_folders_of_the_shard_and_in_any_order(tmp_path: Path) -> None:
    members = {f"{part}/{name}": data for part in "ab" for name, data in samples(3, "cls", str).items()}
    shard = write(tmp_path / "a.tar", dict(sorted(members.items(), key=lambda item: item[0].rpartition(".")[2])))
    assert is_webdataset([shard])
    assert [(entry.name, entry.label) for entry in list_webdataset([shard]).images] == [
        (f"a/{part}/{i:06}.png", str(i)) for part in "ab" for i in range(3)
    ]


@pytest.mark.parametrize(
    "members",
    [
        {f"{label}/{i}.png": picture(i) for label in ("cat", "dog") for i in range(3)},
        {f"{label}/{i}.{kind}": "x" for label in ("cat", "dog") for i in range(3) for kind in ("png", "xml")},
        {f"{label}/{i}.{kind}": "x" for label in ("cat", "dog") for i in range(3) for kind in ("png", "txt")},
        {f"{label}/{i}.{kind}": "{}" for label in ("cat", "dog") for i in range(3) for kind in ("png", "json")},
        {f"{i}.{kind}": "0 0.5 0.5 0.2 0.2\n" for i in range(3) for kind in ("png", "txt")},
        {"labels.txt": "cat", **{f"{i}.png": picture(i) for i in range(3)}},
        {"a.cls": "1", "b.cls": "2"},
        {},
    ],
    ids=["folders", "VOC", "notes", "side-cars", "boxes", "list", "no images", "empty"],
)
def test_folders_of_images_and_annotations_are_none(members: dict[str, Any], tmp_path: Path) -> None:
    assert not is_webdataset([write(tmp_path / "a.tar", members)])


def test_other_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar" * 200)
    shard = write(tmp_path / "b.tar.gz", samples(3, "cls", str), "w:gz")
    assert not any(is_webdataset(paths) for paths in ([], [tmp_path / "a.tar"], [tmp_path / "c.tar"], [tmp_path]))
    with pytest.raises(UserError, match=r"is compressed: unpack it \(gunzip b\.tar\.gz\)"):
        list_webdataset([shard])


def test_shards_are_found_by_folder_pattern_and_range(tmp_path: Path) -> None:
    shards = [write(tmp_path / "data" / f"train-{i:03}.tar", {}) for i in range(3)]
    (tmp_path / "data" / "README.md").write_text("")
    assert find_shards(tmp_path) == find_shards(tmp_path / "data") == shards
    assert find_shards(tmp_path / "data" / "train-*.tar") == shards
    assert find_shards(tmp_path / "data" / "train-{001..002}.tar") == shards[1:]
    assert find_shards(shards[0]) == shards[:1] and find_shards(tmp_path / "data" / "test-*.tar") == []
    with pytest.raises(UserError, match=r"The shard .*train-003\.tar of .* does not exist"):
        find_shards(tmp_path / "data" / "train-{000..009}.tar")


# --- images, labels and splits


def test_every_sample_has_its_own_image_label_and_the_split_of_its_shard(tmp_path: Path) -> None:
    shards = [
        write(tmp_path / "train-000000.tar", samples(4, "cls", lambda i: f" {i % 2}\n")),
        write(tmp_path / "train-000001.tar", samples(4, "cls", lambda i: str(i % 2), start=4)),
        write(tmp_path / "val-000000.tar", samples(3, "cls", lambda i: "10", start=8)),
    ]
    listing = list_webdataset(shards)
    assert [entry.name for entry in listing.images][3:5] == ["train-000000/000003.png", "train-000001/000004.png"]
    assert labels(listing) == ["0", "1"] * 4 + ["10"] * 3 and not listing.refused
    assert [entry.split for entry in listing.images] == ["train"] * 8 + ["validation"] * 3
    assert {entry.row for entry in listing.images} == {-1} and listing.table.width == 0
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, listing.images * 20))
    assert found == [picture(i) for i in range(11)] * 20


def test_names_repeat_across_shards_without_harm(tmp_path: Path) -> None:
    shards = [write(tmp_path / part / "000.tar", samples(2, "cls", str)) for part in ("test", "train")]
    listing = list_webdataset(shards)
    names = ["test/000/000000.png", "test/000/000001.png", "train/000/000000.png", "train/000/000001.png"]
    assert [entry.name for entry in listing.images] == names
    assert [entry.split for entry in listing.images] == ["test", "test", "train", "train"]


def test_a_shard_of_no_split_beside_others_is_asked_about(tmp_path: Path) -> None:
    shards = [write(tmp_path / f"{name}-000.tar", samples(2, "cls", str)) for name in ("extra", "test", "train")]
    listing = list_webdataset(shards)
    assert listing.notes.doubts == [
        Doubt("splits", "The shards 'extra' name no split, as others do: which one is it?", {"extra": "train"})
    ]
    answered = list_webdataset(shards, {"extra": "unlabeled"})
    assert not answered.notes.doubts and answered.images[0].split == "unlabeled"
    assert list_webdataset(shards[:1]).images[0].split is None and not list_webdataset(shards[:1]).notes.doubts


@pytest.mark.parametrize("key", ["label", "class", "cls"])
def test_the_label_is_a_key_of_the_json_and_other_scalars_are_columns(key: str, tmp_path: Path) -> None:
    def describe(i: int) -> dict[str, Any]:
        mixed = i if i % 2 else "odd"
        some = {} if i == 1 else {"iso": 100 * i}
        return {key: ["cat", "dog"][i % 2], "blur": i / 4, "flip": i > 1, "mixed": mixed, "box": [1, 2], **some}

    listing = list_webdataset([write(tmp_path / "a.tar", samples(4, "json", describe))])
    assert labels(listing) == ["cat", "dog", "cat", "dog"] and [entry.row for entry in listing.images] == [0, 1, 2, 3]
    assert listing.table.to_dict(as_series=False) == {
        "blur": [0.0, 0.25, 0.5, 0.75],
        "flip": [False, False, True, True],
        "mixed": ["odd", "1", "odd", "3"],
        "iso": [0, None, 200, 300],
    }
    assert listing.table.schema["iso"] == pl.Int64


def test_the_cls_comes_before_the_json_and_the_json_before_the_text(tmp_path: Path) -> None:
    both: dict[str, Any] = {"0.png": picture(0), "0.cls": "a", "0.json": {"label": "b"}, "0.txt": "c"}
    listing = list_webdataset([write(tmp_path / "a.tar", both)])
    assert labels(listing) == ["a"] and listing.table.to_dict(as_series=False) == {"label": ["b"], "txt": ["c"]}
    assert labels(list_webdataset([write(tmp_path / "b.tar", {**both, "0.cls": ""})])) == [None]


def test_integers_of_a_json_stay_exact(tmp_path: Path) -> None:
    ids = [10**16 + 1, 2**70]
    shard = write(tmp_path / "a.tar", samples(2, "json", lambda i: {"label": i, "id": ids[0], "key": ids[i]}))
    listing = list_webdataset([shard])
    assert listing.table["id"].to_list() == [ids[0]] * 2 and listing.table["key"].to_list() == [str(n) for n in ids]
    assert labels(listing) == ["0", "1"]


def test_texts_are_labels_unless_they_are_captions(tmp_path: Path) -> None:
    listing = list_webdataset([write(tmp_path / "a.tar", samples(30, "txt", lambda i: f"{['cat', 'dog'][i % 2]}\n"))])
    assert labels(listing) == ["cat", "dog"] * 15 and listing.table.width == 0
    captions = list_webdataset([write(tmp_path / "b.tar", samples(30, "txt", lambda i: f"picture {i} of a cat"))])
    assert labels(captions) == [None] * 30 and captions.table["txt"][7] == "picture 7 of a cat"
    assert "The .txt of the samples are captions, not labels: they are the column txt." in captions.notes.remarks
    assert "30 of 30 samples have no label." in captions.notes.remarks


# --- names of classes


@pytest.mark.parametrize("below", ["", "train"])
def test_integer_labels_get_the_names_beside_the_shards(below: str, tmp_path: Path) -> None:
    shard = write(tmp_path / below / "0.tar", samples(4, "cls", lambda i: str(2 - i % 3)))
    (tmp_path / "classnames.txt").write_text("tench\ngreat white shark\ncock\n")
    listing = list_webdataset([shard])
    assert listing.class_names == ["tench", "great white shark", "cock"]
    assert labels(listing) == ["cock", "great white shark", "tench", "cock"]
    assert "The names of the 3 classes are those of classnames.txt." in listing.notes.remarks


def test_names_of_a_dataset_info_are_used_too(tmp_path: Path) -> None:
    shard = write(tmp_path / "0.tar", samples(2, "cls", str))
    info = {"features": {"image": {"_type": "Image"}, "cls": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    assert labels(list_webdataset([shard])) == ["cat", "dog"]


def test_names_that_do_not_fit_the_numbers_are_not_used(tmp_path: Path) -> None:
    shard = write(tmp_path / "0.tar", samples(2, "cls", lambda i: str(i + 1)))
    (tmp_path / "classnames.txt").write_text("cat\ndog\n")
    listing = list_webdataset([shard])
    assert labels(listing) == ["1", "2"] and listing.class_names is None
    assert any("has 2 names, which count from 0, but there is a label 2" in remark for remark in listing.notes.remarks)
    texts = list_webdataset([write(tmp_path / "1.tar", samples(2, "cls", lambda i: "cat"))])
    assert labels(texts) == ["cat", "cat"] and texts.class_names is None


# --- what is refused


def test_samples_that_are_not_whole_are_refused_alone(tmp_path: Path) -> None:
    good: dict[str, Any] = {"0.png": picture(0), "0.cls": "1"}
    bad: dict[str, Any] = {
        "a.cls": "1",
        **{"b.png": picture(1), "b.jpg": picture(1), "b.cls": "1"},
        **{"c.png": picture(2), "c.json": "{no json"},
        **{"d.png": picture(3), "d.json": {"label": [1, 2]}},
        **{"e.png": picture(4), "e.cls": b"\xff\xfe\xfa"},
        **{"f.png": picture(5), "f.txt": "x" * (2**20 + 1)},
        "._0.png": b"hidden",
    }
    listing = list_webdataset([write(tmp_path / "a.tar", {**good, **bad})])
    assert [entry.name for entry in listing.images] == ["a/0.png"]
    assert {name: why.reason for name, why in listing.refused} == {
        "a/a": "image missing",
        "a/b": "several images",
        "a/c": "damaged annotation",
        "a/d": "several labels",
        "a/e": "damaged annotation",
        "a/f": "too many bytes",
    }


def test_further_images_of_a_sample_are_set_aside(tmp_path: Path) -> None:
    members: dict[str, Any] = {
        "0.jpg": picture(0),
        "0.seg.png": picture(1),
        "0.cls": "1",
        "1.input.png": picture(2),
        "1.cls": "0",
    }
    listing = list_webdataset([write(tmp_path / "a.tar", members)])
    assert [entry.name for entry in listing.images] == ["a/0.jpg", "a/1.input.png"]
    assert read(listing.images[0]) == picture(0) and read(listing.images[1]) == picture(2)
    assert listing.notes.asides == [Aside("further images of a sample", 1, "a/0.seg.png")]


def test_a_shard_that_was_cut_is_refused_whole(tmp_path: Path) -> None:
    shard = write(tmp_path / "a.tar", samples(3, "cls", str))
    whole = shard.read_bytes()
    for cut in (5 * 512, len(whole.rstrip(b"\0")) // 512 * 512 + 512):
        shard.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"a\.tar is damaged or cut off"):
            list_webdataset([shard])


def test_a_shard_that_changes_or_goes_after_it_was_listed_gives_no_wrong_image(tmp_path: Path) -> None:
    shard = write(tmp_path / "a.tar", samples(3, "cls", str))
    listing = list_webdataset([shard])
    write(shard, samples(3, "cls", str, start=5))
    os.utime(shard, ns=(1, 1))
    assert read(listing.images[0]) == Unusable("unreadable file", "a.tar has changed since it was listed")
    shard.unlink()
    assert read(listing.images[0]) == Unusable("unreadable file", "a.tar: No such file or directory")
