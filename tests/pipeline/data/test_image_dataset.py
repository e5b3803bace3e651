"""Images of one's own become the same dataset from any kind of source, with classes, splits and columns."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.contracts.samples import Samples
from lake.errors import UserError
from pipeline.data.load import load_dataset
from pipeline.data.splits import assign_missing_splits
from pipeline.engine.progress import Progress
from tests.support.data.own_data import count_splits, draw_files, load, own_settings, to_table, write_folder
from tests.support.lakes.raw_tables import write_raw

NAMED = {"name": "Shapes"}


def sources(files: dict[str, tuple[bytes, str]], root: Path) -> dict[str, Path]:
    """The same images as a folder, as a parquet file and a Delta table of bytes, and as a CSV of paths."""
    table, folder = to_table(files), write_folder(root / "shapes", files)
    table.write_parquet(root / "shapes.parquet")
    write_raw(root / "table", table)
    table.select(image="name", label="label").write_csv(folder / "list.csv")
    paths = table.select(image=pl.lit("shapes/") + pl.col("name"), label="label", name="name")
    paths.write_parquet(root / "paths.parquet")
    struct = pl.struct(bytes="image", path="name")
    table.select(image=struct, label="label").write_parquet(root / "hub.parquet")
    named = {name: root / name for name in ("shapes.parquet", "table", "paths.parquet", "hub.parquet")}
    return {"folder": folder, "csv": folder / "list.csv", **named}


@pytest.mark.parametrize(
    ("setting", "value"),
    [("metadata", ["camera"]), ("group_column", "patient"), ("label_column", "class"), ("split_column", "set")],
)
def test_a_folder_has_no_columns_to_carry(setting: str, value: Any, folder: Path, tmp_path: Path) -> None:
    said = rf"^{setting} = {re.escape(repr(value))}, but .* is a folder of images, which has no columns"
    with pytest.raises(UserError, match=said):
        load(own_settings(tmp_path, folder, dataset={setting: value}))


def test_every_kind_of_source_gives_the_same_dataset(files: dict[str, tuple[bytes, str]], tmp_path: Path) -> None:
    found = {}
    for kind, source in sources(files, tmp_path).items():
        if kind == "folder":  # the list lies in it only for the CSV
            (source / "list.csv").rename(tmp_path / "list.csv")
        found[kind] = load(own_settings(tmp_path, source, dataset=NAMED))
        if kind == "folder":
            (tmp_path / "list.csv").rename(source / "list.csv")
    first = found["folder"]
    assert len(first) == len(files) and first.classes == ["bar", "disc", "ring", "square"]
    assert count_splits(first) == {"test": 24, "train": 84, "validation": 12}
    for kind, dataset in found.items():
        assert dataset.content() == first.content(), kind
        assert (dataset.dataset_id, dataset.name) == (first.dataset_id, "Shapes"), kind
        assert np.array_equal(dataset.images_NHWC, first.images_NHWC) and dataset.quarantine.is_empty(), kind
    assert Samples.is_valid(first.frame, cast=True)


def test_load_dataset_picks_the_source_that_the_settings_name(folder: Path, tmp_path: Path) -> None:
    dataset = load_dataset(own_settings(tmp_path, folder), Progress(quiet=True))
    assert dataset.name == "shapes" and dataset.dataset_id.startswith("shapes-")


def test_folders_above_the_classes_are_splits(files: dict[str, tuple[bytes, str]], tmp_path: Path) -> None:
    root, names = tmp_path / "shapes", sorted(files)
    parts = {"Train": names[:80], "val": names[80:96], "test": names[96:112], "unlabeled": names[112:]}
    for part, members in parts.items():
        write_folder(root, {name: files[name] for name in members}, below=part)
    (root / "loose.png").write_bytes(files[names[0]][0])
    (root / "test" / "loose.png").write_bytes(files[names[1]][0])
    dataset = load(own_settings(tmp_path, root))
    assert count_splits(dataset) == {"test": 16, "train": 80, "unlabeled": 10, "validation": 16}
    assert ((dataset.label == -1) == (dataset.split == "unlabeled")).all()
    split = dict(zip(dataset.source_name, dataset.split.tolist(), strict=True))
    assert split["loose.png"] == split["test/loose.png"] == "unlabeled"
    assert all(split[f"val/{name}"] == "validation" for name in parts["val"])


def test_where_only_a_split_is_missing_it_is_taken_from_the_training(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    names = sorted(files)
    write_folder(tmp_path / "shapes", {name: files[name] for name in names[:100]}, below="train")
    write_folder(tmp_path / "shapes", {name: files[name] for name in names[100:]}, below="test")
    dataset = load(own_settings(tmp_path, tmp_path / "shapes"))
    assert count_splits(dataset) == {"test": 20, "train": 90, "validation": 10}


def test_a_table_may_name_splits_and_what_cannot_be_used_is_quarantined(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    table = to_table(files)
    split: list[str | None] = ["train"] * 80 + ["valid"] * 16 + ["test"] * 16 + [None] * 4 + ["unlabelled"] * 4
    label: list[str | None] = [*table["label"]]
    label[3], label[114], split[5], split[6] = None, " ", "holdout", " TRAIN "
    image: list[bytes | None] = [*table["image"]]
    image[7] = None
    name = [*table["name"]]
    name[9] = name[8]
    changed = table.with_columns(
        split=pl.Series(split), label=pl.Series(label), image=pl.Series(image), name=pl.Series(name)
    )
    changed.write_parquet(tmp_path / "shapes.parquet")
    dataset = load(own_settings(tmp_path, tmp_path / "shapes.parquet"))
    assert count_splits(dataset) == {"test": 17, "train": 79, "unlabeled": 6, "validation": 16}
    assert dict(dataset.quarantine.select("source_name", "reason").iter_rows()) == {
        name[7]: "image missing",
        f"{name[8]} (2)": "duplicate name",
    }
    assert len(dataset) + len(dataset.quarantine) == len(table)
    split_of = dict(zip(dataset.source_name, dataset.split.tolist(), strict=True))
    assert (split_of[name[3]], split_of[name[5]]) == ("unlabeled", "test")
    assert "The splits are understood so: 'holdout' (1 row) is test." in dataset.understood
    assert "1 row without a label are unlabeled: 1 of the split train." in dataset.understood


@pytest.mark.parametrize(
    ("said", "split", "is_labelled"),
    [
        ("Train", "train", True),
        (None, "train", True),
        ("unlabeled", "unlabeled", False),
        ("Unlabelled", "unlabeled", False),
    ],
)
def test_what_is_said_to_be_unlabeled_is_whatever_label_it_has(
    said: str | None, split: str, is_labelled: bool, tmp_path: Path
) -> None:
    table = to_table(draw_files(121)).with_columns(
        split=pl.Series([said, *(["train", "validation", "test"] * 40)]),
        label=pl.when(pl.int_range(121) == 120).then(None).otherwise("label"),
    )
    table.write_parquet(tmp_path / "shapes.parquet")
    dataset = load(own_settings(tmp_path, tmp_path / "shapes.parquet"))
    assert (dataset.split[0], dataset.label[0] >= 0) == (split, is_labelled)
    assert (dataset.split[-1], dataset.label[-1]) == ("unlabeled", -1)


def test_a_class_is_one_that_a_usable_image_of_known_label_has(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    table = to_table(files)
    odd = pl.DataFrame({"name": ["a", "b"], "image": [b"no image", table["image"][0]], "label": ["broken", "withheld"]})
    split = ["train"] * 60 + ["validation"] * 30 + ["test"] * 30 + ["train", "unlabeled"]
    pl.concat([table, odd]).with_columns(split=pl.Series(split)).write_parquet(tmp_path / "shapes.parquet")
    grouping = {"groups": {"form": {"odd": ["broken"]}}}
    dataset = load(own_settings(tmp_path, tmp_path / "shapes.parquet", dataset=grouping))
    assert dataset.classes == ["bar", "disc", "ring", "square"] and set(dataset.groups["form"]) == set(dataset.classes)
    assert "No image of 1 classes can be used, such as 'broken'." in dataset.understood
    assert (dataset.split[-1], dataset.label[-1]) == ("unlabeled", -1)


def test_rows_without_a_name_are_called_by_their_number(files: dict[str, tuple[bytes, str]], tmp_path: Path) -> None:
    to_table(files).drop("name").write_parquet(tmp_path / "shapes.parquet")
    assert load(own_settings(tmp_path, tmp_path / "shapes.parquet")).source_name[:2] == ["row/0", "row/1"]


def test_columns_may_be_called_otherwise_and_more_are_carried_along(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    isos = [i + 0.5 for i in range(120)]
    more = pl.DataFrame(
        {"camera model": ["a", "b"] * 60, "iso": isos, "dark": [True, False] * 60, "empty": [None] * 120}
    )
    table = pl.concat([to_table(files).rename({"image": "picture", "label": "kind"}), more], how="horizontal")
    table.write_parquet(tmp_path / "shapes.parquet")
    own = {"image_column": "picture", "label_column": "kind", "metadata": more.columns}
    dataset = load(own_settings(tmp_path, tmp_path / "shapes.parquet", dataset=own))
    kinds = {"camera_model": "text", "iso": "number", "dark": "text", "empty": "text"}
    assert dataset.metadata_kinds == kinds
    place = [sorted(files).index(name) for name in dataset.source_name]
    assert dataset.metadata["iso"].to_list() == [isos[i] for i in place]
    assert dataset.metadata["dark"].to_list() == ["true" if i % 2 == 0 else "false" for i in place]


def test_in_a_csv_a_column_is_a_number_where_every_value_is(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "shapes", files)
    table = to_table(files).select(image="name", label="label")
    table = table.with_columns(iso=(pl.int_range(120) + 0.5).cast(pl.String), code=pl.Series(["1", "x"] * 60))
    table.with_columns(iso=pl.when(pl.col("iso") == "4.5").then(None).otherwise("iso")).write_csv(folder / "list.csv")
    dataset = load(own_settings(tmp_path, folder / "list.csv", dataset={"metadata": ["iso", "code"]}))
    assert dataset.metadata_kinds == {"iso": "number", "code": "text"} and dataset.metadata["iso"].null_count() == 1


def test_labels_are_any_unicode_or_numbers_and_classes_are_in_natural_order(tmp_path: Path) -> None:
    names = ["0", "a:b;c", "A" * 100, "Ñandú", "猫", "\U0001f600 x"]
    folder = write_folder(tmp_path / "any", draw_files(120, classes=names[::-1]))
    dataset = load(own_settings(tmp_path, folder))
    assert dataset.classes == names
    assert [dataset.classes[i] for i in dataset.label] == [name.split("/")[0] for name in dataset.source_name]
    numbers = to_table(draw_files()).with_columns(label=pl.int_range(120) % 12)
    numbers.write_parquet(tmp_path / "numbers.parquet")
    assert load(own_settings(tmp_path, tmp_path / "numbers.parquet")).classes == [str(i) for i in range(12)]


def test_a_thousand_classes_are_a_dataset_and_of_one_more_the_smallest_are_one_class(tmp_path: Path) -> None:
    data = next(iter(draw_files(1).values()))[0]
    for count in (1000, 1001):
        label = [f"class {i % count:04}" for i in range(2 * count)]
        pl.DataFrame({"image": [data] * len(label), "label": label}).write_parquet(tmp_path / f"{count}.parquet")
    settings = own_settings(tmp_path, tmp_path / "1000.parquet", dataset={"size": 8})
    dataset = load(settings)
    assert len(dataset.classes) == 1000
    assert set(dataset.label[dataset.rows("train")]) == set(range(1000))
    more = load(own_settings(tmp_path, tmp_path / "1001.parquet", dataset={"size": 8}))
    assert len(more.classes) == 1000 and more.classes[-1] == "other"
    assert (more.label == 999).sum() == 4, "two classes of two images"
    assert any("1,001" in sentence for sentence in more.understood)


def test_splits_are_stratified_seeded_and_leave_a_sample_of_every_class_to_train() -> None:
    label = np.repeat(np.arange(5), [1, 2, 3, 60, 134])
    rng = np.random.default_rng(3)
    label = rng.permutation(label)
    shares: Any = {"test_share": 0.4, "validation_share": 0.3}
    nothing: list[str | None] = [None] * len(label)
    first, again, other = (assign_missing_splits(label, nothing, nothing, **shares, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    for split in (first, other):
        assert set(label[split == "train"]) == set(range(5))
        assert split[label == 0].tolist() == ["train"]
        assert [int((split == name).sum()) for name in ("test", "validation")] == [80, 60]
        assert abs(((split == "test") & (label == 4)).sum() - 0.4 * 134) <= 3
