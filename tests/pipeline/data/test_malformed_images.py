"""500 malformed inputs: no crash; every file is a sample, in quarantine or left aside, and all add up."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.dataset import DatasetSettings
from pipeline.data.dataset import Dataset
from pipeline.source.folders import list_folder
from tests.support.data.own_data import draw_files, load, own_settings, to_table, write_folder
from tests.support.data.pictures import encode, png_header

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "ICO", "PPM", "AVIF", "JPEG2000")
MODES = ("RGB", "L", "RGBA", "LA", "P", "1", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "F", "PA", "RGBX")
MALFORMED = 500
ANY_SHARE = {"max_refused": 1}
REASONS = {
    "zero bytes",
    "not an image",
    "truncated",
    "damaged image",
    "too many pixels",
    "too many bytes",
    "not a file",
    "missing file",
    "unreadable file",
    "unreadable folder",
    "symbolic link loop",
}


def variants() -> Iterator[tuple[str, bytes]]:
    """Every mode in every format that can hold it, with EXIF, several frames and odd sizes."""
    drawn = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8))
    for mode in MODES:
        for kind in FORMATS:
            try:
                yield f"{mode}.{kind}", encode(_convert(drawn, mode), kind)
            except (OSError, ValueError, KeyError, SystemError):
                continue  # the format has no such mode
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"turned{orientation}.jpg", encode(drawn, "JPEG", exif=exif)
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        yield f"frames.{kind}", encode(drawn, kind, save_all=True, append_images=[drawn.rotate(90)])
    for size in ((1, 1), (1, 999), (999, 1)):
        yield f"size{size}.png", encode(drawn.resize(size))
    for width, height in ((0, 0), (2**31 - 1, 2**31 - 1), (60_000, 60_000), (20_000, 3000)):
        yield f"claims{width}.png", png_header(width, height)
        yield f"claims{width}.bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, *_signed(width, height))
    bad_exif = b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 40
    yield "exif.jpg", encode(drawn, "JPEG", exif=bad_exif)


def _signed(width: int, height: int) -> tuple[int, ...]:
    return (width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode == "LAB":
        return Image.new("LAB", image.size, (120, 30, 30))
    if mode in ("LA", "PA"):
        return image.convert("RGBA").convert(mode)
    return image.convert(mode)


def damaged(whole: list[tuple[str, bytes]], count: int) -> Iterator[tuple[str, bytes]]:
    """Cut short, with flipped bits, with a run of zeros, with bytes in front, or random, under any suffix."""
    rng = np.random.default_rng(7)
    for i in range(count):
        name, data = whole[int(rng.integers(len(whole)))]
        changed = bytearray(data)
        at = int(rng.integers(len(changed)))
        match i % 5:
            case 0:
                del changed[at:]
            case 1:
                for place in rng.integers(0, len(changed), 1 + i % 40):
                    changed[place] ^= 1 << int(rng.integers(8))
            case 2:
                changed[at : at + 200] = bytes(len(changed[at : at + 200]))
            case 3:
                changed[:0] = rng.bytes(1 + i % 9)
            case _:
                changed = bytearray(rng.bytes(at))
        suffix = (".png", ".jpg", ".gif", "", ".txt", ".webp")[int(rng.integers(6))]
        yield f"damaged{i:03}-{name}{suffix}", bytes(changed)


def write_odd_names(folder: Path) -> int:
    """What is no file, or has an odd name; how many files and refused folders that is."""
    (folder / "zero.png").write_bytes(b"")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "back").symlink_to("..")
    (folder / "x.png").mkdir()
    (folder / "x.png" / "inside.txt").write_text("text")
    os.mkfifo(folder / "pipe.png")
    with open(os.fsencode(folder) + b"/\xff\xfe.png", "wb") as file:  # noqa: PTH123 - its name is no UTF-8
        file.write(next(iter(draw_files(1).values()))[0])
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "locked.png").write_bytes(next(iter(draw_files(1).values()))[0])
    (folder / "locked.png").chmod(0)
    return 8


@pytest.fixture(scope="module")
def inputs() -> list[tuple[str, bytes]]:
    whole = list(variants())
    assert len(whole) > 80
    return [*whole, *damaged(whole, MALFORMED - len(whole))]


def _assert_told(dataset: Dataset, seen: int) -> None:
    assert len(dataset) + len(dataset.quarantine) == seen
    assert set(dataset.quarantine["reason"]) <= REASONS
    assert dataset.quarantine["source_name"].is_unique().all()
    assert len(set(dataset.source_name)) == len(dataset)


def test_a_folder_with_500_malformed_files_is_a_dataset_and_a_quarantine(
    inputs: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "own", draw_files(120))
    for name, data in inputs:
        (folder / "disc" / name).write_bytes(data)
    seen = 120 + len(inputs) + write_odd_names(folder / "ring")
    dataset = load(own_settings(tmp_path, folder, dataset=ANY_SHARE))
    asides = sum(aside.count for aside in list_folder(folder, DatasetSettings(source=folder)).notes.asides)
    assert 0 < asides < 100
    _assert_told(dataset, seen - asides)
    reasons = dict(dataset.quarantine.select("source_name", "reason").iter_rows())
    assert len(inputs) == MALFORMED and len(reasons) > 200
    assert {"truncated", "damaged image", "not an image", "too many pixels", "zero bytes"} <= set(reasons.values())
    assert {name: reasons[f"ring/{name}"] for name in ("zero.png", "loop.png", "gone.png", "back", "pipe.png")} == {
        "zero.png": "zero bytes",
        "loop.png": "symbolic link loop",
        "gone.png": "missing file",
        "back": "symbolic link loop",
        "pipe.png": "not a file",
    }
    assert r"ring/\xff\xfe.png" in dataset.source_name and "ring/x.png/inside.txt" not in reasons
    assert ("ring/locked.png" in dataset.source_name) == (os.geteuid() == 0)
    without = load(own_settings(tmp_path, folder, dataset=ANY_SHARE | {"display_side": 0}))
    assert without.content() == dataset.content() and without.quarantine.equals(dataset.quarantine)


def test_a_table_with_500_malformed_images_is_a_dataset_and_a_quarantine(
    inputs: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    table = to_table(draw_files(120) | {name: (data, "disc") for name, data in inputs})
    table.write_parquet(tmp_path / "own.parquet")
    _assert_told(load(own_settings(tmp_path, tmp_path / "own.parquet", dataset=ANY_SHARE)), len(table))
