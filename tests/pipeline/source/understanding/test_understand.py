"""What a source means from end to end: predictions and embeddings by name or order, classes, splits and groups."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings, PredictionSettings
from pipeline.data.dataset import Dataset
from pipeline.source.understanding.settle import Unclear
from pipeline.source.understanding.understand import understand
from tests.support.data.drawn import CLASSES
from tests.support.data.own_data import draw_files, load, own_settings, to_table, write_folder
from tests.support.lakes.tiny_data import lists

COUNT = 120


@pytest.fixture
def files() -> dict[str, tuple[bytes, str]]:
    return draw_files(COUNT)


def predict(label: list[str], classes: list[str], *, right: float = 0.9, seed: int = 0) -> NDArray[np.float32]:
    """Probabilities, no two rows alike, in the order of the classes; a share of the rows is right."""
    rng = np.random.default_rng(seed)
    truth = np.array([classes.index(name) for name in label])
    seen = np.where(rng.random(len(label)) < right, truth, rng.integers(0, len(classes), len(label)))
    logits = rng.normal(size=(len(label), len(classes)))
    logits[np.arange(len(label)), seen] += 10
    return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)


def probabilities(dataset: Dataset) -> dict[str, NDArray[np.float32]]:
    """Name of each sample -> its probabilities."""
    assert dataset.external is not None
    return dict(zip(dataset.source_name, np.exp(dataset.external.logits_NK), strict=True))


# --- predictions and embeddings in files of their own


def test_predictions_of_a_folder_are_joined_by_name_and_gaps_are_counted(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    names = sorted(files)
    p = predict([files[name][1] for name in names], CLASSES)
    order = np.random.default_rng(1).permutation(COUNT)[:-1]
    rows = pl.DataFrame({"file": [names[i].removesuffix(".png") for i in order], "probabilities": lists(p[order])})
    extra = pl.DataFrame({"file": ["bar/9999"], "probabilities": lists(p[:1])})
    pl.concat([rows, extra]).write_parquet(tmp_path / "said.parquet")
    folder = write_folder(tmp_path / "shapes", files)
    own = {"predictions": {"table": tmp_path / "said.parquet"}}
    dataset = load(own_settings(tmp_path, folder, dataset=own))
    found = probabilities(dataset)
    (absent,) = set(names) - found.keys()
    assert dataset.quarantine.select("source_name", "reason").rows() == [(absent, "prediction missing")]
    for i, name in enumerate(names):
        assert name == absent or found[name] == pytest.approx(p[i], abs=1e-6)
    assert any("119 of 120 images have a row" in said and "'bar/9999'" in said for said in dataset.understood)


def test_predictions_in_an_array_beside_a_folder_are_in_the_order_of_its_names(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    names = sorted(files)
    p = predict([files[name][1] for name in names], CLASSES)
    np.save(tmp_path / "said.npy", p)
    folder = write_folder(tmp_path / "shapes", files)
    own = {"predictions": {"table": tmp_path / "said.npy"}}
    found = probabilities(load(own_settings(tmp_path, folder, dataset=own)))
    assert np.stack([found[name] for name in names]) == pytest.approx(p, abs=1e-6)
    np.save(tmp_path / "said.npy", p[:-1])
    with pytest.raises(UserError, match=r"said\.npy"):
        load(own_settings(tmp_path, folder, dataset=own))


def test_embeddings_in_a_table_of_their_own_are_joined_by_name(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    table = to_table(files)
    p = predict(table["label"].to_list(), CLASSES)
    table.select("name", "label").with_columns(probabilities=lists(p)).write_parquet(tmp_path / "said.parquet")
    features = np.random.default_rng(2).normal(size=(COUNT, 5)).astype(np.float32)
    order = np.random.default_rng(3).permutation(COUNT)[:-2]
    other = pl.DataFrame({"id": table["name"][order.tolist()], "vector": lists(features[order])})
    other.write_parquet(tmp_path / "features.parquet")
    own = {"predictions": {"embedding_table": tmp_path / "features.parquet"}}
    dataset = load(own_settings(tmp_path, tmp_path / "said.parquet", dataset=own))
    assert dataset.external is not None and len(dataset) == COUNT
    found = dict(zip(dataset.source_name, dataset.external.embedding_ND, strict=True))
    left = set(order.tolist())
    for i, name in enumerate(table["name"]):
        assert found[name] == pytest.approx(features[i] if i in left else np.zeros(5), abs=1e-6)
    assert any("118 of 120 images have a row" in said for said in dataset.understood)


@pytest.mark.parametrize("own_table", [True, False])
def test_embeddings_may_be_numbered_columns(
    own_table: bool, files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    table = to_table(files).select("name", "label")
    p = predict(table["label"].to_list(), CLASSES)
    features = np.random.default_rng(2).normal(size=(COUNT, 12)).astype(np.float32)
    numbers = pl.DataFrame({f"emb_{i}": features[:, i] for i in sorted(range(12), key=str)})
    said = table.with_columns(probabilities=lists(p))
    if own_table:
        said = said.hstack(numbers)
    table.select("name").hstack(numbers).reverse().write_csv(tmp_path / "features.csv")
    said.write_parquet(tmp_path / "said.parquet")
    own: dict[str, Any] = {"predictions": {} if own_table else {"embedding_table": tmp_path / "features.csv"}}
    dataset = load(own_settings(tmp_path, tmp_path / "said.parquet", dataset=own))
    assert dataset.external is not None
    found = dict(zip(dataset.source_name, dataset.external.embedding_ND, strict=True))
    for i, name in enumerate(table["name"]):
        assert found[name] == pytest.approx(features[i], abs=1e-5)


def test_splits_that_only_the_table_of_predictions_names_are_taken_and_its_labels_are_asked_for(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    names = sorted(files)
    label = [files[name][1] for name in names]
    split = ["train", "train", "test"] * (COUNT // 3)
    rows = pl.DataFrame(
        {"file": names, "label": label, "split": split, "probabilities": lists(predict(label, CLASSES))}
    )
    rows.sample(fraction=1, shuffle=True, seed=0).write_parquet(tmp_path / "said.parquet")
    own: dict[str, Any] = {"predictions": {"table": tmp_path / "said.parquet"}}
    dataset = load(own_settings(tmp_path, write_folder(tmp_path / "shapes", files), dataset=own))
    assert dict(zip(dataset.source_name, dataset.split, strict=True)) == dict(zip(names, split, strict=True))
    dataset = load(own_settings(tmp_path, tmp_path / "shapes", dataset=own | {"split_column": ""}))
    assert set(dataset.split) == {"test"}
    flat = {name.replace("/", "_"): file for name, file in files.items()}
    rows.with_columns(pl.col("file").str.replace("/", "_")).write_parquet(tmp_path / "said.parquet")
    settings = own_settings(tmp_path, write_folder(tmp_path / "flat", flat), dataset=own)
    with pytest.raises(Unclear, match=r'a column .label.: it may be of labels, .*\n.*label_column = "label"'):
        load(settings)
    dataset = load(settings, accept=True)
    assert {name: dataset.classes[code] for name, code in zip(dataset.source_name, dataset.label, strict=True)} == {
        name: label for name, (_, label) in flat.items()
    }


@pytest.mark.parametrize("key", ["name", "number"])
def test_rows_of_two_tables_are_not_joined_by_their_numbers(
    key: str, files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    table = to_table(files)
    table.drop("name").write_parquet(tmp_path / "shapes.parquet")
    p = predict(table["label"].to_list(), CLASSES)
    keys = table["name"] if key == "name" else pl.Series(range(COUNT))
    pl.DataFrame({"key": keys, "probabilities": lists(p)}).reverse().write_parquet(tmp_path / "said.parquet")
    own = {"predictions": {"table": tmp_path / "said.parquet"}}
    with pytest.raises(UserError, match=r"The rows of .*shapes\.parquet have no names, by which .*said\.parquet"):
        load(own_settings(tmp_path, tmp_path / "shapes.parquet", dataset=own))


@pytest.mark.parametrize("column", ["name", "image", "Filename"])
def test_rows_of_predictions_alone_are_called_by_their_column_of_names(
    column: str, files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    table = to_table(files).drop("image")
    p = predict(table["label"].to_list(), CLASSES)
    table.rename({"name": column}).with_columns(probabilities=lists(p)).write_parquet(tmp_path / "said.parquet")
    dataset = load(own_settings(tmp_path, tmp_path / "said.parquet", dataset={"predictions": {}}))
    assert sorted(dataset.source_name) == table["name"].to_list() and not dataset.pictured


# --- classes


def test_the_labels_tell_in_which_order_the_classes_of_the_predictions_are(tmp_path: Path) -> None:
    label = [str(i % 12) for i in range(360)]
    written = sorted(set(label))
    assert written[:4] == ["0", "1", "10", "11"]
    for order in (written, sorted(written, key=int)):
        table = pl.DataFrame({"name": [f"n{i}" for i in range(360)], "label": [int(name) for name in label]})
        table.with_columns(probabilities=lists(predict(label, order, right=1))).write_parquet(tmp_path / "said.parquet")
        dataset = load(own_settings(tmp_path, tmp_path / "said.parquet", dataset={"predictions": {}}))
        assert dataset.classes == order and dataset.external is not None
        assert (dataset.external.logits_NK.argmax(1) == dataset.label).all()
        assert any("have the classes in" in said and "100" in said for said in dataset.understood)


def test_an_order_that_the_labels_cannot_tell_is_asked_about_and_the_setting_answers(tmp_path: Path) -> None:
    label = [str(i % 12) for i in range(360)]
    table = pl.DataFrame({"name": [f"n{i}" for i in range(360)], "label": label})
    noise = np.random.default_rng(0).dirichlet(np.ones(12), 360)
    table.with_columns(probabilities=lists(noise)).write_parquet(tmp_path / "said.parquet")
    with pytest.raises(Unclear, match="order of the classes") as raised:
        load(own_settings(tmp_path, tmp_path / "said.parquet", dataset={"predictions": {}}))
    assert "[dataset.predictions]  classes = [" in str(raised.value)
    own = {"predictions": {"classes": sorted(set(label))}}
    assert load(own_settings(tmp_path, tmp_path / "said.parquet", dataset=own)).classes == sorted(set(label))


# --- splits, groups and columns


def test_of_a_test_split_without_labels_none_is_used_and_one_is_drawn(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    is_test = pl.int_range(COUNT) % 3 == 0
    table = to_table(files).with_columns(
        split=pl.when(is_test).then(pl.lit("test")).otherwise(pl.lit("train")),
        label=pl.when(is_test).then(None).otherwise("label"),
    )
    table.write_parquet(tmp_path / "shapes.parquet")
    dataset = load(own_settings(tmp_path, tmp_path / "shapes.parquet"))
    split = dict(zip(dataset.source_name, dataset.split.tolist(), strict=True))
    assert {split[name] for name in table.filter(is_test)["name"]} == {"unlabeled"}
    assert [int((dataset.split == name).sum()) for name in ("train", "validation", "test")] == [56, 8, 16]
    assert any("a test split is drawn" in said for said in dataset.understood)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_images_of_a_group_are_in_one_split(kind: str, files: dict[str, tuple[bytes, str]], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "shapes", files)
    table = to_table(files).with_columns(patient=pl.int_range(COUNT) // 6)
    if kind == "parquet":
        table.write_parquet(folder / "list.parquet")
    else:
        table.drop("image").rename({"name": "image"}).write_csv(folder / "list.csv")
    source = folder / f"list.{kind}"
    with pytest.raises(Unclear, match="120 images have 20 values of the column 'patient'") as raised:
        load(own_settings(tmp_path, source))
    assert '[dataset]  group_column = "patient"' in str(raised.value)
    patient = dict(zip(table["name"], table["patient"], strict=True))
    for column, together in (("patient", True), ("", False)):
        dataset = load(own_settings(tmp_path, source, dataset={"group_column": column}))
        splits: dict[int, set[str]] = {}
        for name, split in zip(dataset.source_name, dataset.split.tolist(), strict=True):
            splits.setdefault(patient[name], set()).add(split)
        assert all(len(found) == 1 for found in splits.values()) is together
        assert {"train", "validation", "test"} == set(dataset.split)


@pytest.mark.parametrize(("written", "named"), [("Camera", "camera"), (" camera", "camera"), ("camera", "CAMERA")])
def test_a_column_is_found_whatever_its_case_and_this_is_said(
    written: str, named: str, files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    table = to_table(files).with_columns(pl.Series(written, ["front", "rear"] * 60))
    table.write_parquet(tmp_path / "shapes.parquet")
    own: dict[str, Any] = {"metadata": [named], "label_column": "Label"}
    dataset = load(own_settings(tmp_path, tmp_path / "shapes.parquet", dataset=own))
    assert dataset.metadata[named].to_list() == table[written].to_list()
    assert f"The column {written!r} is taken for {named!r}." in dataset.understood
    assert "The column 'label' is taken for 'Label'." in dataset.understood


def test_rows_that_name_the_same_image_are_refused_before_they_are_counted_and_other_labels_are_told(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    write_folder(tmp_path, files)
    names = sorted(files)
    label = [files[name][1] for name in names]
    again = pl.DataFrame({"file": names[:2], "label": [label[0], "another"]})
    table = pl.concat([pl.DataFrame({"file": names, "label": label}), again])
    table.write_csv(tmp_path / "list.csv")
    own = DatasetSettings(source=tmp_path / "list.csv")
    understanding = understand(own, tmp_path / "cache", lambda _: None)
    assert [image.label for image in understanding.listing.images] == label and "another" not in understanding.classes
    assert [(name, why.reason) for name, why in understanding.listing.refused] == [
        (name, "duplicate name") for name in names[:2]
    ]
    said = f"2 images have several rows, of which the first counts; the labels of 1 differ, such as {label[1]!r} and "
    assert f"{said}'another' of {names[1]!r}." in understanding.listing.notes.remarks


def test_probabilities_that_name_their_classes_tell_what_cannot_be_the_labels(tmp_path: Path) -> None:
    label = [CLASSES[i % len(CLASSES)] for i in range(COUNT)]
    p = predict(label, CLASSES)
    wide = pl.DataFrame(
        {"camera": ["A", "B"] * (COUNT // 2)} | {f"prob_{name}": p[:, k] for k, name in enumerate(CLASSES)}
    )
    own = DatasetSettings(source=tmp_path / "said.csv", predictions=PredictionSettings())
    for table, found in ((wide, None), (wide.with_columns(shape=pl.Series(label)), "shape")):
        table.write_csv(tmp_path / "said.csv")
        understanding = understand(own, tmp_path / "cache", lambda _: None)
        assert [doubt.suggestion for doubt in understanding.listing.notes.doubts] == ([found] if found else [])
        assert understanding.classes == CLASSES and len(understanding.listing.images) == COUNT
        assert [image.label for image in understanding.listing.images] == (label if found else [None] * COUNT)
