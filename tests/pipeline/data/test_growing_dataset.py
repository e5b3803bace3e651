"""A dataset of one's own keeps its id, numbers, splits and pictures as its source grows."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pipeline.data.dataset import Dataset
from pipeline.data.load import list_source
from pipeline.data.review_corrections import apply_verdicts
from pipeline.settings import load_settings
from tests.support.data.own_data import count_splits, draw_files, keep, load, own_settings, to_table, write_folder
from tests.support.data.pictures import encode

NAMED = {"name": "Shapes"}


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
    assert count_splits(second) == {"test": 32, "train": 111, "validation": 16}
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
    assert count_splits(first) == pytest.approx({"test": 100, "train": 350, "validation": 50}, abs=2)
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
