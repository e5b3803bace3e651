"""Images of one's own become the same dataset from any source; it keeps its id, numbers and splits as it grows."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lake.contracts.quality import Quarantine
from lake.contracts.samples import Samples
from lake.errors import UsageError, UserError
from pipeline.data import image_tables
from pipeline.data.dataset import Dataset
from pipeline.data.load import list_source, load_dataset
from pipeline.data.review_corrections import apply_verdicts
from pipeline.data.splits import assign_missing_splits
from pipeline.engine.progress import Progress
from pipeline.settings import PRESETS, load_settings
from tests.support.data.own_data import draw_files, keep, load, own_settings, to_table, write_folder
from tests.support.data.pictures import encode
from tests.support.lakes.raw_tables import write_raw

NAMED = {"name": "Shapes"}


@pytest.fixture
def files() -> dict[str, tuple[bytes, str]]:
    return draw_files()


@pytest.fixture
def folder(files: dict[str, tuple[bytes, str]], tmp_path: Path) -> Path:
    return write_folder(tmp_path / "shapes", files)


def counts(dataset: Dataset) -> dict[str, int]:
    names, count = np.unique(dataset.split, return_counts=True)
    return dict(zip(names.tolist(), count.tolist(), strict=True))


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


# --- sources


def test_a_folder_has_no_columns_to_carry(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^metadata = \['camera'\], but .* is a folder of images, which has no columns"
    ):
        load(own_settings(tmp_path, folder, dataset={"metadata": ["camera"]}))


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
    assert counts(first) == {"test": 24, "train": 84, "validation": 12}
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
    assert counts(dataset) == {"test": 16, "train": 80, "unlabeled": 10, "validation": 16}
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
    assert counts(dataset) == {"test": 20, "train": 90, "validation": 10}


def test_a_table_may_name_splits_and_what_it_names_wrongly_is_quarantined(
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
    assert counts(dataset) == {"test": 16, "train": 79, "unlabeled": 5, "validation": 16}
    assert dict(dataset.quarantine.select("source_name", "reason").iter_rows()) == {
        name[3]: "label missing",
        name[5]: "unknown split",
        name[7]: "image missing",
        f"{name[8]} (2)": "duplicate name",
    }
    assert len(dataset) + len(dataset.quarantine) == len(table)


def test_rows_without_a_name_are_called_by_their_number(files: dict[str, tuple[bytes, str]], tmp_path: Path) -> None:
    to_table(files).drop("name").write_parquet(tmp_path / "shapes.parquet")
    assert load(own_settings(tmp_path, tmp_path / "shapes.parquet")).source_name[:2] == ["row/0", "row/1"]


def test_columns_may_be_called_otherwise_and_more_are_carried_along(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    more = pl.DataFrame(
        {"camera model": ["a", "b"] * 60, "iso": range(120), "dark": [True, False] * 60, "empty": [None] * 120}
    )
    table = pl.concat([to_table(files).rename({"image": "picture", "label": "kind"}), more], how="horizontal")
    table.write_parquet(tmp_path / "shapes.parquet")
    own = {"image_column": "picture", "label_column": "kind", "metadata": more.columns}
    dataset = load(own_settings(tmp_path, tmp_path / "shapes.parquet", dataset=own))
    kinds = {"camera_model": "text", "iso": "number", "dark": "text", "empty": "text"}
    assert dataset.metadata_kinds == kinds
    place = [sorted(files).index(name) for name in dataset.source_name]
    assert dataset.metadata["iso"].to_list() == place
    assert dataset.metadata["dark"].to_list() == ["true" if i % 2 == 0 else "false" for i in place]


def test_in_a_csv_a_column_is_a_number_where_every_value_is(
    files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "shapes", files)
    table = to_table(files).select(image="name", label="label")
    table = table.with_columns(iso=pl.int_range(120).cast(pl.String), code=pl.Series(["1", "x"] * 60))
    table.with_columns(iso=pl.when(pl.col("iso") == "4").then(None).otherwise("iso")).write_csv(folder / "list.csv")
    dataset = load(own_settings(tmp_path, folder / "list.csv", dataset={"metadata": ["iso", "code"]}))
    assert dataset.metadata_kinds == {"iso": "number", "code": "text"} and dataset.metadata["iso"].null_count() == 1


def test_labels_are_any_unicode_or_numbers_and_classes_are_sorted(tmp_path: Path) -> None:
    names = ["Ñandú", "猫", "\U0001f600 x", "0", "a:b;c", "A" * 100]
    folder = write_folder(tmp_path / "any", draw_files(120, classes=names))
    dataset = load(own_settings(tmp_path, folder))
    assert dataset.classes == sorted(names)
    assert [dataset.classes[i] for i in dataset.label] == [name.split("/")[0] for name in dataset.source_name]
    numbers = to_table(draw_files()).with_columns(label=pl.int_range(120) % 3)
    numbers.write_parquet(tmp_path / "numbers.parquet")
    assert load(own_settings(tmp_path, tmp_path / "numbers.parquet")).classes == ["0", "1", "2"]


def test_a_thousand_classes_are_a_dataset_and_one_more_is_not(tmp_path: Path) -> None:
    data = next(iter(draw_files(1).values()))[0]
    for count in (1000, 1001):
        label = [f"class {i % count:04}" for i in range(2 * count)]
        pl.DataFrame({"image": [data] * len(label), "label": label}).write_parquet(tmp_path / f"{count}.parquet")
    settings = own_settings(tmp_path, tmp_path / "1000.parquet", dataset={"size": 8})
    dataset = load(settings)
    assert len(dataset.classes) == 1000
    assert set(dataset.label[dataset.rows("train")]) == set(range(1000))
    with pytest.raises(UserError, match="is 1,001: 2 to 1,000 are needed"):
        load(own_settings(tmp_path, tmp_path / "1001.parquet", dataset={"size": 8}))


# --- a source that grows


def test_a_folder_that_grows_keeps_its_id_numbers_and_splits(folder: Path, tmp_path: Path) -> None:
    settings = own_settings(tmp_path, folder)
    first = load(settings)
    keep(settings, first)
    write_folder(
        folder, {f"{label}/a{i}.png": (data, label) for i, (data, label) in enumerate(draw_files(40, seed=1).values())}
    )
    gone = folder / first.source_name[5]
    data = gone.read_bytes()
    gone.unlink()
    second = load(settings)
    assert second.dataset_id == first.dataset_id and len(second) == 159
    now = {name: (n, s) for name, n, s in zip(second.source_name, second.sample_id, second.split, strict=True)}
    for name, number, split in zip(first.source_name, first.sample_id, first.split, strict=True):
        assert name == first.source_name[5] or now[name] == (number, split)
    assert sorted(second.sample_id) == [*range(5), *range(6, 160)]
    assert counts(second) == {"test": 32, "train": 111, "validation": 16}
    keep(settings, second)
    gone.write_bytes(data)
    assert load(settings).sample_id.max() == 160


def test_what_people_left_out_keeps_its_number_and_split(folder: Path, tmp_path: Path) -> None:
    settings = own_settings(tmp_path, folder)
    first = load(settings)
    verdicts = pl.DataFrame({"sample_id": [7], "verdict": ["exclude"], "label": pl.Series([None], dtype=pl.String)})
    for _ in range(2):
        kept = apply_verdicts(load(settings), verdicts).dataset
        assert (len(kept), kept.quarantine["source_name"].to_list()) == (119, [first.source_name[7]])
        keep(settings, kept)
    again = load(settings)
    assert again.content() == first.content()
    assert again.quarantine.is_empty()


def test_of_more_images_than_wanted_those_that_are_known_stay(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "shapes", draw_files(600))
    settings = own_settings(tmp_path, folder, samples=500)
    first = load(settings)
    assert len(first) == 500
    assert counts(first) == pytest.approx({"test": 100, "train": 350, "validation": 50}, abs=2)
    assert len(load(own_settings(tmp_path, folder, samples=2000))) == 600
    keep(settings, first)
    write_folder(folder, {f"0{name}": file for name, file in draw_files(100, seed=1).items()})
    second = load(settings)
    assert set(zip(first.source_name, first.sample_id, strict=True)) <= set(
        zip(second.source_name, second.sample_id, strict=True)
    )
    assert len(second) == 500


def test_changed_pixels_are_another_sample(folder: Path, tmp_path: Path) -> None:
    settings = own_settings(tmp_path, folder)
    first = load(settings)
    keep(settings, first)
    other = next(iter(draw_files(1, seed=9).values()))[0]
    (folder / first.source_name[0]).write_bytes(other)
    second = load(settings)
    assert second.source_name[-1] == first.source_name[0] and second.sample_id[-1] == 120


def test_what_names_the_dataset_is_its_name_or_where_it_lies_and_how_it_is_split(folder: Path, tmp_path: Path) -> None:
    def id_of(**dataset: Any) -> str:
        return load(own_settings(tmp_path, dataset.pop("source", folder), dataset=dataset)).dataset_id

    moved = write_folder(tmp_path / "elsewhere" / "shapes", draw_files())
    assert id_of(name="Ä b") == id_of(name="Ä b", source=moved)
    assert id_of(name="Ä b").startswith("a-b-")
    assert id_of(groups={"form": {"round": ["disc"]}}) == id_of()
    assert len({id_of(), id_of(source=moved), id_of(size=16), id_of(test_share=0.3), id_of(name="Ä b")}) == 5


def test_the_listing_tells_when_a_file_comes_or_changes(folder: Path, tmp_path: Path) -> None:
    (folder / "list.csv").write_text("image,label\nbar/0000.png,bar\nmissing.png,bar\n")
    for source in (folder, folder / "list.csv"):
        settings = own_settings(tmp_path, source)
        before = list_source(settings)
        assert list_source(settings) == before
        (folder / "bar" / "0000.png").write_bytes(bytes(len(str(source))))
        assert list_source(settings) != before
    assert list_source(load_settings()) == []


# --- pictures for display


def wide(seed: int) -> bytes:
    """A photograph of 90 x 60 px."""
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    return encode(Image.fromarray(pixels), "JPEG")


def sizes(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Of each original, by the name of its sample, the size of the picture that is kept."""
    name = dict(zip(dataset.sample_id.tolist(), dataset.source_name, strict=True))
    found = {}
    for number, one in dataset.originals.items():
        with Image.open(io.BytesIO(one.picture)) as picture:
            found[name[number]] = picture.size
    return found


def test_the_picture_of_an_image_of_another_shape_is_kept_under_its_number(folder: Path, tmp_path: Path) -> None:
    for label in ("bar", "ring"):
        (folder / label / "wide.jpg").write_bytes(wide(1))
    assert sizes(load(own_settings(tmp_path, folder))) == {"bar/wide.jpg": (90, 60), "ring/wide.jpg": (90, 60)}
    table = pl.DataFrame({"name": ["w"], "image": [wide(1)], "label": ["bar"]})
    pl.concat([table, to_table(draw_files())]).write_parquet(tmp_path / "own.parquet")
    small = load(own_settings(tmp_path, tmp_path / "own.parquet", dataset={"display_side": 30}))
    assert sizes(small) == {"w": (30, 20)}


def test_how_large_pictures_are_changes_no_sample(folder: Path, tmp_path: Path) -> None:
    (folder / "bar" / "wide.jpg").write_bytes(wide(1))
    (folder / "bar" / "bad.jpg").write_bytes(wide(1)[:900])
    one, *others = (load(own_settings(tmp_path, folder, dataset={"display_side": side})) for side in (512, 40, 0))
    for other in others:
        assert (other.dataset_id, other.content(), other.besides()) == (one.dataset_id, one.content(), one.besides())
        assert other.quarantine.equals(one.quarantine)


def test_of_samples_that_the_lake_has_no_picture_is_made_again(folder: Path, tmp_path: Path) -> None:
    settings = own_settings(tmp_path, folder)
    (folder / "bar" / "wide.jpg").write_bytes(wide(1))
    keep(settings, load(settings))
    assert sizes(load(settings)) == {}
    (folder / "bar" / "wide.jpg").write_bytes(wide(2))  # other pixels: another sample
    (folder / "ring" / "copy.jpg").write_bytes(wide(1))
    found = load(settings)
    assert set(sizes(found)) == {"bar/wide.jpg", "ring/copy.jpg"} and min(found.originals) == 121


# --- splits


def test_splits_are_stratified_seeded_and_leave_a_sample_of_every_class_to_train() -> None:
    label = np.repeat(np.arange(5), [1, 2, 3, 60, 134])
    rng = np.random.default_rng(3)
    label = rng.permutation(label)
    shares = {"test_share": 0.4, "validation_share": 0.3}
    nothing: list[str | None] = [None] * len(label)
    first, again, other = (assign_missing_splits(label, nothing, nothing, **shares, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    for split in (first, other):
        assert set(label[split == "train"]) == set(range(5))
        assert split[label == 0].tolist() == ["train"]
        assert [int((split == name).sum()) for name in ("test", "validation")] == [80, 60]
        assert abs(((split == "test") & (label == 4)).sum() - 0.4 * 134) <= 3


# --- groupings and errors


def test_classes_that_a_grouping_does_not_name_are_other(folder: Path, tmp_path: Path) -> None:
    dataset = load(own_settings(tmp_path, folder, dataset={"groups": {"form": {"round": ["disc", "ring"]}}}))
    assert dataset.groups == {"form": {"bar": "other", "disc": "round", "ring": "round", "square": "other"}}
    assert dataset.frame["groups"][0].to_list()[0]["name"] == "form"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"groups": {"form": {"round": ["disk"]}}}, r"\[dataset\.groups\.form\] names 'disk', which is not a class"),
        ({"groups": {"loss": {"round": ["disc"]}}}, "'loss' is already a column"),
        ({"label_column": "kind"}, "has no column 'kind': its columns are name, image, label"),
        ({"split_column": "part"}, "has no column 'part'"),
        ({"metadata": ["iso"]}, "has no column 'iso'"),
        ({"metadata": ["label"]}, "'label' is already a column of the samples"),
        ({"label_column": "image"}, "has type Binary, not text"),
        ({"image_column": "row"}, "images are encoded bytes or paths"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    own: dict[str, Any], message: str, files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    to_table(files).with_row_index("row").select("name", "image", "label", "row").write_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match=message):
        load(own_settings(tmp_path, tmp_path / "a.parquet", dataset=own))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pl.lit(None, pl.String).alias("label"), r"'label missing', as for .*png \(its split is test\)"),
        (pl.lit("1").alias("split"), r"'unknown split', as for .*png \(1\)"),
        (pl.lit("same.png").alias("name"), r"'duplicate name', as for same\.png \(2\)"),
    ],
)
def test_of_rows_that_cannot_be_used_the_commonest_reason_is_told(
    column: pl.Expr, said: str, files: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    to_table(files).with_columns(split=pl.lit("test")).with_columns(column).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match=rf"that cannot be used: .* reason \(\d+ of them\) is {said}\. Fix these"):
        load(own_settings(tmp_path, tmp_path / "a.parquet"))


def test_too_few_images_or_classes_are_refused(tmp_path: Path) -> None:
    few = write_folder(tmp_path / "few", draw_files(99))
    (few / "notes.txt").write_text("no image")
    sentence = (
        r"has 99 usable images, and 1 that cannot be used: at least 100 are needed\. "
        r"The most common reason \(1 of them\) is 'not an image', as for notes\.txt \(not one of .*\)\. "
        r"Fix these images, or add others\."
    )
    with pytest.raises(UserError, match=sentence):
        load(own_settings(tmp_path, few))
    (few / "notes.txt").unlink()
    with pytest.raises(UserError, match="has 99 usable images: at least 100 are needed"):
        load(own_settings(tmp_path, few))
    one = write_folder(tmp_path / "one", draw_files(100, classes=["disc"]))
    with pytest.raises(UserError, match=r"is 1 \('disc'\): 2 to 1,000 are needed"):
        load(own_settings(tmp_path, one))
    none = write_folder(tmp_path / "none", draw_files(100), below="unlabeled")
    with pytest.raises(UserError, match=r"number of classes in the dataset .* is 0"):
        load(own_settings(tmp_path, none))
    test = write_folder(tmp_path / "test", draw_files(100), below="test")
    with pytest.raises(UserError, match="has no labelled image in the split train"):
        load(own_settings(tmp_path, test))


@pytest.mark.parametrize("name", ["missing", "text.txt", "bad.parquet", "bad.csv", "empty.csv"])
def test_a_source_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    for file in ("text.txt", "bad.parquet", "empty.csv"):
        (tmp_path / file).write_text("")
    (tmp_path / "bad.csv").write_bytes(b'image,label\n\xff\xfe,"\n')
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        load(own_settings(tmp_path, tmp_path / name))


def test_settings_of_a_dataset_are_described_checked_and_scale_the_schedule(tmp_path: Path) -> None:
    own = load_settings(dataset={"source": tmp_path}).dataset
    assert own is not None and all(part.description for part in type(own).model_fields.values())
    for wrong in (
        {"source": tmp_path, "colour": 1},
        {"source": tmp_path, "size": 4},
        {"source": tmp_path, "test_share": 0.6, "validation_share": 0.4},
        {"source": tmp_path, "groups": {"form": {"a": ["x"], "b": ["x"]}}},
        {"source": tmp_path, "groups": {"a form": {"a": ["x"]}}},
    ):
        with pytest.raises(UsageError, match="dataset"):
            load_settings(dataset=wrong)
    plain = [phase["resolution"] for phase in PRESETS["quick"]["phases"]]
    assert [p.resolution for p in load_settings(dataset={"source": tmp_path}).phases] == plain == [12, 16, 24]
    double = load_settings(dataset={"source": tmp_path, "size": 64})
    assert [p.resolution for p in double.phases] == [24, 32, 48] and double.side == 64
    chosen = load_settings(dataset={"source": tmp_path, "size": 64}, phases=[{"resolution": 40, "epochs": 1}])
    assert chosen.resolution == 40


def test_the_quarantine_keeps_its_contract(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("no image")
    frame = load(own_settings(tmp_path, folder)).quarantine.with_columns(dataset_id=pl.lit("shapes"))
    assert len(Quarantine.validate(frame, cast=True)) == 1


@pytest.mark.parametrize(
    ("label", "said", "placed"),
    [
        ("cat", "Train", ("cat", "train")),
        ("cat", None, ("cat", None)),
        ("cat", "unlabeled", (None, "unlabeled")),
        (None, "unlabeled", (None, "unlabeled")),
        (None, None, (None, "unlabeled")),
    ],
)
def test_what_is_said_to_be_unlabeled_is_whatever_label_it_has(
    label: str | None, said: str | None, placed: tuple[str | None, str | None]
) -> None:
    found = image_tables._place("a.png", None, label, said, 0)
    assert isinstance(found, image_tables.ListedImage) and (found.label, found.split) == placed
