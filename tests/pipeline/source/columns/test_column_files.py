"""Tables in parquet and Arrow files or of Delta are read whole, with splits and names, or refused in a sentence."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lake.errors import UserError
from pipeline.source.columns.column_files import ColumnTable, is_column_source, judge_source, reading, scan_columns


def write(path: Path, rows: Iterable[int], **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({"number": pl.Series(list(rows), dtype=pl.Int64)}).with_columns(**columns)
    frame.write_parquet(path)
    return path


def write_stream(path: Path, table: pa.Table, rows: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


def hub(root: Path) -> Path:
    write(root / "data" / "train-00000-of-00002.parquet", range(3))
    write(root / "data" / "train-00001-of-00002.parquet", range(3, 5))
    write(root / "data" / "test-00000-of-00001.parquet", range(5, 7))
    (root / "README.md").write_text("# a dataset\n")
    return root


def splits(table: ColumnTable) -> dict[int, str | None]:
    frame = table.frame.collect()
    return dict(frame.select("number", "__split__").iter_rows())


# --- files


@pytest.mark.parametrize("name", ["a.parquet", "A.PARQUET", "a.pq", "a.parquet.gzip", "photos.v2.parquet"])
def test_a_parquet_file_is_recognised_by_its_suffix(name: str, tmp_path: Path) -> None:
    source = write(tmp_path / name, range(4))
    table = scan_columns(source)
    assert is_column_source(source) and (table.files, table.folder) == ([source], tmp_path)
    frame = table.frame.collect()
    assert frame["number"].to_list() == [0, 1, 2, 3] and frame["__row__"].to_list() == [f"row/{i}" for i in range(4)]
    assert "__split__" not in frame.columns and not table.notes.remarks


@pytest.mark.parametrize("name", ["a.csv", "a.zip", "a", "a.gz", "parquet"])
def test_other_files_are_no_columns(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    assert not is_column_source(tmp_path / name)


@pytest.mark.parametrize("suffix", ["arrow", "feather", "ipc", "ARROW"])
def test_arrow_files_and_streams_are_told_by_their_content(suffix: str, tmp_path: Path) -> None:
    table = pa.table({"number": list(range(5)), "other": ["x"] * 5})
    stream = write_stream(tmp_path / f"stream.{suffix}", table)
    pl.from_arrow(table).write_ipc(tmp_path / f"file.{suffix}")  # type: ignore[union-attr]
    for source in (stream, tmp_path / f"file.{suffix}"):
        frame = scan_columns(source).frame
        assert frame.select("number").collect()["number"].to_list() == [0, 1, 2, 3, 4]
        assert frame.filter(pl.col("number") > 2).select("number", "__row__").collect().rows() == [
            (3, "row/3"),
            (4, "row/4"),
        ]
        assert frame.head(3).collect().shape == (3, 3)


def test_a_saved_dataset_has_its_splits_and_class_names_and_no_cached_files(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    info = {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}
    for split, rows in (("train", [0, 1, 2]), ("test", [3, 4])):
        table = pa.table({"number": rows, "label": [row % 2 for row in rows]})
        write_stream(tmp_path / split / "data-00000-of-00001.arrow", table)
        write_stream(tmp_path / split / ".cache-0a1b2c.arrow", table)
        (tmp_path / split / "dataset_info.json").write_text(json.dumps(info))
        (tmp_path / split / "state.json").write_text("{}")
    write_stream(tmp_path / "train" / "cache-0a1b2c3d4e5f.arrow", pa.table({"number": [9]}))
    table_ = scan_columns(tmp_path)
    assert splits(table_) == {0: "train", 1: "train", 2: "train", 3: "test", 4: "test"}
    assert table_.class_names == {"label": ["cat", "dog"]}


def test_a_delta_table_is_read_as_its_log_says(tmp_path: Path) -> None:
    source = tmp_path / "my photos"
    write_deltalake(str(tmp_path / "plain"), pl.DataFrame({"number": [9]}).to_arrow())
    write_deltalake(str(tmp_path / "plain"), pl.DataFrame({"number": [1, 2]}).to_arrow(), mode="overwrite")
    (tmp_path / "plain").rename(source)
    assert is_column_source(source)
    assert scan_columns(source).frame.collect().rows() == [("row/0", 1), ("row/1", 2)]
    with pytest.raises(UserError, match="is a Delta table, whose log says which of its files are valid: set source"):
        scan_columns(source / "*.parquet")
    with pytest.raises(UserError, match="my photos is a Delta table"):
        scan_columns(tmp_path)


# --- shards


def test_the_shards_of_a_hub_are_one_table_with_the_splits_of_their_names(tmp_path: Path) -> None:
    truth = dict.fromkeys(range(5), "train") | dict.fromkeys((5, 6), "test")
    root = hub(tmp_path / "ds")
    for source in (root, root / "data", root / "data" / "*.parquet"):
        table = scan_columns(source)
        assert is_column_source(source) and len(table.files) == 3
        assert splits(table) == truth
        assert (
            table.notes.remarks == ["The names of the files are taken for splits: test, train."]
            and not table.notes.doubts
        )
        names = dict(table.frame.select("number", "__row__").collect().iter_rows())
        assert (names[0], names[4], names[5]) == ("train/0", "train/4", "test/0")


def test_the_names_of_rows_stay_when_another_split_grows(tmp_path: Path) -> None:
    root = hub(tmp_path / "ds")
    before = dict(scan_columns(root).frame.select("number", "__row__").collect().iter_rows())
    write(root / "data" / "test-00000-of-00001.parquet", [5, 6, 7])
    after = dict(scan_columns(root).frame.select("number", "__row__").collect().iter_rows())
    assert before.items() <= after.items() and after[7] == "test/2"


def test_shards_are_in_natural_order(tmp_path: Path) -> None:
    for i in (10, 2, 1):
        write(tmp_path / f"part-{i}.parquet", [i])
    assert scan_columns(tmp_path).frame.collect()["number"].to_list() == [1, 2, 10]


@pytest.mark.parametrize("parent", ["", "default"])
def test_folders_name_the_split_of_numbered_files(parent: str, tmp_path: Path) -> None:
    write(tmp_path / parent / "train" / "0000.parquet", [0])
    write(tmp_path / parent / "validation" / "0000.parquet", [1])
    write(tmp_path / parent / "test" / "0000.parquet", [2])
    assert splits(scan_columns(tmp_path)) == {0: "train", 1: "validation", 2: "test"}


@pytest.mark.parametrize("names", [["train"], ["test"], ["a", "b"], ["train", "train2"]])
def test_fewer_than_two_splits_say_nothing(names: list[str], tmp_path: Path) -> None:
    for i, name in enumerate(names):
        write(tmp_path / f"{name}.parquet", [i])
    table = scan_columns(tmp_path)
    assert "__split__" not in table.frame.collect_schema() and not table.notes.remarks


def test_a_split_column_counts_more_than_names(tmp_path: Path) -> None:
    root = hub(tmp_path / "ds")
    for file in (root / "data").iterdir():
        pl.read_parquet(file).with_columns(Split=pl.lit("val")).write_parquet(file)
    table = scan_columns(root)
    assert "__split__" not in table.frame.collect_schema() and not table.notes.remarks


def test_an_unknown_name_beside_splits_is_asked_about_unless_the_setting_answers(tmp_path: Path) -> None:
    root = hub(tmp_path / "ds")
    write(root / "data" / "extra-00000-of-00001.parquet", [7])
    (doubt,) = scan_columns(root).notes.doubts
    assert (doubt.setting, doubt.suggestion) == ("splits", {"extra": "train"})
    table = scan_columns(root, {"extra": "unlabeled"})
    assert not table.notes.doubts and splits(table)[7] == "unlabeled"


def test_one_shard_of_many_is_read_and_said(tmp_path: Path) -> None:
    table = scan_columns(hub(tmp_path / "ds") / "data" / "train-00000-of-00002.parquet")
    assert table.frame.collect()["number"].to_list() == [0, 1, 2]
    assert table.notes.remarks == ["train-00000-of-00002.parquet is one shard of 2: the others are not read."]


def test_missing_shards_are_said(tmp_path: Path) -> None:
    root = hub(tmp_path / "ds")
    (root / "data" / "train-00001-of-00002.parquet").unlink()
    assert scan_columns(root).notes.remarks[0] == "Only 1 of the 2 shards of data/train are there."


def test_folders_of_hive_are_columns(tmp_path: Path) -> None:
    write(tmp_path / "split=train" / "label=3" / "part-0.parquet", [0])
    write(tmp_path / "split=test" / "label=__HIVE_DEFAULT_PARTITION__" / "part-0.parquet", [1])
    write(tmp_path / "split=test" / "label=10" / "part-0.parquet", [2])
    frame = scan_columns(tmp_path).frame.collect().sort("number")
    assert frame.select("split", "label").rows() == [("train", 3), ("test", None), ("test", 10)]
    assert "__split__" not in frame.columns


def test_the_value_of_a_hive_folder_with_leading_zeros_is_text(tmp_path: Path) -> None:
    write(tmp_path / "id=007" / "part-0.parquet", [0])
    write(tmp_path / "id=a%2Fb" / "part-0.parquet", [1])
    assert scan_columns(tmp_path).frame.collect()["id"].to_list() == ["007", "a/b"]


def test_configurations_of_a_data_set_are_never_read_as_one(tmp_path: Path) -> None:
    for name in ("full", "small"):
        write(tmp_path / name / "train-00000-of-00001.parquet", [0])
        write(tmp_path / name / "test-00000-of-00001.parquet", [1])
    with pytest.raises(UserError, match=r"lie in 2 folders, such as .*full and .*small, which may be configurations"):
        scan_columns(tmp_path)
    assert splits(scan_columns(tmp_path / "full")) == {0: "train", 1: "test"}


def test_a_pattern_that_matches_nothing_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train-\*\.parquet has no parquet or Arrow file"):
        scan_columns(tmp_path / "train-*.parquet")
    with pytest.raises(UserError, match=r"a\.parquet does not exist: check source"):
        scan_columns(tmp_path / "a.parquet")


def test_brackets_in_the_name_of_a_file_are_no_pattern(tmp_path: Path) -> None:
    source = write(tmp_path / "photos [1]*.parquet", [1])
    write(tmp_path / "photos 1.parquet", [2])
    assert scan_columns(source).frame.collect()["number"].to_list() == [1]


def test_hidden_and_temporary_files_are_no_shards(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [1])
    (tmp_path / "._a.parquet").write_bytes(b"junk")
    write(tmp_path / "_temporary" / "0" / "b.parquet", [2])
    write(tmp_path / ".cache" / "c.parquet", [3])
    for source in (tmp_path, tmp_path / "*.parquet"):
        assert scan_columns(source).frame.collect()["number"].to_list() == [1]


def test_parquet_beside_arrow_is_asked_about(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [1])
    write_stream(tmp_path / "b.arrow", pa.table({"number": [1]}))
    with pytest.raises(UserError, match=r"both parquet and Arrow files, such as a\.parquet and b\.arrow"):
        scan_columns(tmp_path)


# --- schemas


def test_widths_of_integers_missing_types_and_kinds_of_text_are_united(tmp_path: Path) -> None:
    one = {"number": pl.Series([1], dtype=pl.Int32), "a": [None], "c": pl.Series(["x"], dtype=pl.Categorical)}
    pl.DataFrame(one).write_parquet(tmp_path / "0.parquet")
    pl.DataFrame({"c": ["y"], "a": [{"b": 2}], "number": [2**40]}).write_parquet(tmp_path / "1.parquet")
    frame = scan_columns(tmp_path).frame.select("number", "a", "c").collect()
    assert frame.rows() == [(1, None, "x"), (2**40, {"b": 2}, "y")]


def test_paths_without_bytes_in_one_shard_are_united_with_bytes_in_another(tmp_path: Path) -> None:
    pl.DataFrame({"image": [{"bytes": None, "path": "a.png"}]}).write_parquet(tmp_path / "0.parquet")
    pl.DataFrame({"image": [{"bytes": b"x", "path": None}]}).write_parquet(tmp_path / "1.parquet")
    images = scan_columns(tmp_path).frame.collect()["image"].to_list()
    assert images == [{"bytes": None, "path": "a.png"}, {"bytes": b"x", "path": None}]


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pl.Series("number", ["1"]), "has String in the column 'number', but 0.parquet has Int64"),
        (pl.Series("number", [1.5]), "has Float64 in the column 'number', but 0.parquet has Int64"),
        (pl.Series("other", [1]), "the column 'other', but"),
    ],
)
def test_other_differences_name_the_file(column: pl.Series, says: str, tmp_path: Path) -> None:
    write(tmp_path / "0.parquet", [1])
    pl.DataFrame([column]).write_parquet(tmp_path / "1.parquet")
    with pytest.raises(UserError, match=rf"The files of the table differ: .*1\.parquet .*{says}"):
        scan_columns(tmp_path)


def test_a_test_split_may_lack_the_labels_but_a_single_shard_may_not(tmp_path: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002"):
        write(tmp_path / f"{name}.parquet", [0], label=pl.lit("cat"))
    write(tmp_path / "test-00000-of-00001.parquet", [1])
    table = scan_columns(tmp_path)
    assert set(table.frame.select("__split__", "label").collect().rows()) == {("train", "cat"), ("test", None)}
    assert "The files of the split test have no column 'label'." in table.notes.remarks
    write(tmp_path / "train-00001-of-00002.parquet", [0])
    with pytest.raises(UserError, match=r"train-00001-of-00002.parquet has no column 'label'"):
        scan_columns(tmp_path)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3)])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_bytes_of_every_kind_are_bytes(kind: pa.DataType, suffix: str, tmp_path: Path) -> None:
    table = pa.table({"image": pa.array([b"abc", None], kind)})
    if suffix == "arrow":
        write_stream(tmp_path / "a.arrow", table)
    else:
        pa.parquet.write_table(table, tmp_path / "a.parquet")
    column = scan_columns(tmp_path / f"a.{suffix}").frame.collect()["image"]
    assert column.dtype == pl.Binary and column.to_list() == [b"abc", None]


# --- damage


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize("content", [b"", b"PAR1junk", b"<!DOCTYPE html><html></html>", b"ARROW1\0\0junk"])
def test_a_damaged_file_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"The dataset .*{name} cannot be read \(.*\): check the file"):
        scan_columns(tmp_path / name)


def test_damage_below_the_schema_is_named_too(tmp_path: Path) -> None:
    source = write_stream(tmp_path / "a.arrow", pa.table({"text": ["x" * 10_000] * 4}))
    source.write_bytes(source.read_bytes()[:-30_000])
    with pytest.raises(UserError, match=r"a\.arrow cannot be read"), reading(source):
        scan_columns(source).frame.collect()


def test_a_pointer_of_git_lfs_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(UserError, match="only a pointer to a file of Git LFS: run git lfs pull"):
        scan_columns(tmp_path / "a.parquet")


# --- which sources are tables


def test_a_folder_of_images_with_a_table_beside_is_no_table_and_why_is_said(tmp_path: Path) -> None:
    write(tmp_path / "embeddings.parquet", [1])
    assert judge_source(tmp_path) == (True, "")
    (tmp_path / "cat").mkdir()
    for i in range(3):
        (tmp_path / "cat" / f"{i}.jpg").write_bytes(b"")
    is_columns, why = judge_source(tmp_path)
    assert not is_columns and "more of them than parquet or Arrow files such as embeddings.parquet" in why


def test_a_few_illustrations_beside_a_table_of_images_are_left_aside(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train.parquet", [1], image=pl.lit(b"png"))
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"")
    assert judge_source(tmp_path) == (True, "3 image files beside 1 parquet or Arrow files are left aside.")


def test_folders_without_tables_are_none(tmp_path: Path) -> None:
    assert not is_column_source(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    assert judge_source(tmp_path) == (False, "")
    assert not is_column_source(tmp_path / "*.png")
    assert is_column_source(tmp_path / "*.parquet")  # what is meant is plain, although nothing matches


# --- class names


def test_the_classes_in_the_metadata_come_with_the_table(tmp_path: Path) -> None:
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    table = pa.table({"label": [0, 1]}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    write_stream(tmp_path / "b.arrow", table)
    for name in ("a.parquet", "b.arrow"):
        assert scan_columns(tmp_path / name).class_names == {"label": ["cat", "dog"]}


def test_shards_that_name_the_classes_differently_are_refused(tmp_path: Path) -> None:
    for i, names in enumerate((["cat", "dog"], ["dog", "cat"])):
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = pa.table({"label": [0, 1]}).replace_schema_metadata(metadata)
        pa.parquet.write_table(table, tmp_path / f"{i}.parquet")
    with pytest.raises(UserError, match="name the classes of 'label' differently"):
        scan_columns(tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_the_order_of_a_dictionary_counts_only_if_it_is_ordered(kind: str, tmp_path: Path) -> None:
    codes = pa.array([0, 1, 0], pa.int8())
    ordered = pa.DictionaryArray.from_arrays(codes, ["small", "medium", "large"], ordered=True)
    table = pa.table({"size": ordered, "label": pa.array(["dog", "cat", "dog"]).dictionary_encode()})
    if kind == "parquet":
        pa.parquet.write_table(table, tmp_path / "a.parquet")
    else:
        write_stream(tmp_path / "a.arrow", table)
    read = scan_columns(tmp_path / f"a.{kind}")
    assert read.class_names == {"size": ["small", "medium", "large"]}
    assert read.frame.collect()["size"].cast(pl.String).to_list() == ["small", "medium", "small"]


def test_ordered_dictionaries_that_disagree_name_no_classes(tmp_path: Path) -> None:
    for i, names in enumerate((["a", "b"], ["b", "a"], ["b", "a"])):
        column = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), names, ordered=True)
        pa.parquet.write_table(pa.table({"label": column}), tmp_path / f"{i}.parquet")
    assert scan_columns(tmp_path).class_names == {}
    assert scan_columns(tmp_path).frame.collect()["label"].cast(pl.String).to_list() == ["a", "b", "b", "a", "b", "a"]


def test_a_class_label_within_a_struct_is_a_column_of_its_own(tmp_path: Path) -> None:
    features = {"label": {"fine": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}
    table = pa.table({"label": [{"fine": 1, "coarse": 0}]}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    read = scan_columns(tmp_path / "a.parquet")
    assert read.class_names == {"label.fine": ["cat", "dog"]}
    assert read.frame.collect()["label.fine"].to_list() == [1]
