"""Images of more than 8 bits, of many bands and of several pages: nothing comes out black, washed out or made up."""

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from pipeline.pixels.bit_depth import ValueRange, measure_range, spread
from pipeline.pixels.decode import Decoded, Unusable, decode, decode_all, tell_remarks
from pipeline.pixels.deep_pixels import read_values
from pipeline.pixels.image_file import open_image
from tests.support.data.pictures import GREEN, RED, encode

SIDE = 16
RNG = np.random.default_rng(0)


def tiff(array: np.ndarray, *, order: Literal["<", ">"] = "<", deflate: bool = False, **changed: Any) -> bytes:
    """A TIFF of one strip of an array [H, W] or [H, W, bands]; `changed` are further tags, such as _338=(0,)."""
    array = array if array.ndim == 3 else array[..., None]
    height, width, bands = array.shape
    stored = array.astype(array.dtype.newbyteorder(order)).tobytes()
    stored = zlib.compress(stored) if deflate else stored
    tags: dict[int, tuple[int, ...] | bytes] = {
        256: (width,), 257: (height,), 258: (array.dtype.itemsize * 8,) * bands, 259: (8 if deflate else 1,),
        262: (2 if bands >= 3 else 1,), 277: (bands,), 278: (height,), 279: (len(stored),),
        339: ({"u": 1, "i": 2, "f": 3}[array.dtype.kind],) * bands,
    }  # fmt: skip
    tags |= {int(name[1:]): value for name, value in changed.items()}
    after = 8 + 2 + 12 * (len(tags) + 1) + 4
    tags[273] = (0,)
    entries, extra = b"", b""
    packed = {
        tag: value if isinstance(value, bytes) else struct.pack(f"{order}{len(value)}I", *value)
        for tag, value in tags.items()
    }
    packed[273] = struct.pack(f"{order}I", after + sum(len(value) for value in packed.values() if len(value) > 4))
    for tag in sorted(tags):
        value, kind = packed[tag], 2 if isinstance(tags[tag], bytes) else 4
        count = len(value) if kind == 2 else len(value) // 4
        inline = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(f"{order}I", after + len(extra))
        extra += value if len(value) > 4 else b""
        entries += struct.pack(f"{order}HHI", tag, kind, count) + inline
    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return header + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + extra + stored


def png_16(array: np.ndarray, colour_type: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = array.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def ramp(top: float, dtype: Any = np.uint16, low: float = 0) -> np.ndarray:
    return np.tile(np.linspace(low, top, SIDE), (SIDE, 1)).astype(dtype)


def grey_png(top: int) -> bytes:
    return encode(Image.fromarray(ramp(top)))


def pixels(data: bytes, value_range: ValueRange | None = None) -> np.ndarray:
    found = decode(data, SIDE, value_range=value_range)
    assert isinstance(found, np.ndarray), found
    return found.astype(int)


def decoded(data: bytes, value_range: ValueRange | None = None) -> Decoded | Unusable:
    (found,) = decode_all(
        [data], SIDE, display_side=0, is_new=lambda *_: True, threads=1, done=lambda: None, value_range=value_range
    )
    return found


def limits(sources: list[Any], kind: Any) -> tuple[float, float]:
    found, _ = measure_range(sources)
    assert found
    return found.limits[kind]


def values(data: bytes) -> np.ndarray:
    with open_image(io.BytesIO(data)) as image:
        return read_values(image, data).values


# --- unsigned integers


def test_twelve_bits_in_files_of_16_bits_fill_the_range_from_black_to_white() -> None:
    data = grey_png(4000)
    value_range, remarks = measure_range([data] * 3)
    assert value_range and value_range.limits == {"unsigned": (0, 4095)}
    assert pixels(data).max() < 20, "the counter-example: scaled from 65,535 it is nearly black"
    assert abs(pixels(data, value_range)[0, :, 0] - ramp(4000)[0] / 4095 * 255).max() <= 1
    assert remarks == [
        "3 of 3 images looked at have 16-bit integers with values up to 4,000: they are taken as 12 bits, 0 is shown "
        "black and 4,095 white."
    ]


@pytest.mark.parametrize(
    ("top", "high"),
    [(0, 65_535), (200, 255), (1000, 1023), (4095, 4095), (4096, 4095), (4097, 16_383), (16_383, 16_383),
     (20_000, 65_535), (65_535, 65_535)],
)  # fmt: skip
def test_the_highest_value_of_the_data_set_tells_the_depth(top: int, high: int) -> None:
    assert limits([grey_png(top // 2), grey_png(top)], "unsigned") == (0, high)


def test_the_depth_is_that_of_the_data_set_and_not_of_each_image() -> None:
    value_range, _ = measure_range([grey_png(60_000), grey_png(3000)])
    assert pixels(grey_png(3000), value_range).max() == round(3000 / 257)


def test_a_stray_65535_does_not_make_twelve_bits_black() -> None:
    marked = ramp(4000)
    marked[0] = 65_535
    data = encode(Image.fromarray(marked))
    assert limits([data], "unsigned") == (0, 4095)
    assert "apart from 65,535" in measure_range([data])[1][0]
    bilevel = np.where(ramp(100) > 50, 65_535, 0).astype(np.uint16)
    assert limits([encode(Image.fromarray(bilevel))], "unsigned") == (0, 65_535)


def test_images_of_8_bits_are_left_as_they_are_and_counted() -> None:
    small = encode(Image.fromarray(ramp(255, np.uint8)))
    assert measure_range([small] * 5) == (None, [])
    assert measure_range([]) == measure_range([b"", b"text"]) == (None, [])
    value_range, remarks = measure_range([small, small, grey_png(4000)])
    assert (pixels(small, value_range)[0, :, 0] == ramp(255, np.uint8)[0]).all()
    assert remarks[1:] == ["2 of 3 images looked at have 8 bits and stay as they are."]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_other_modes_are_not_touched_by_a_range(mode: str) -> None:
    data = encode(Image.new("RGB", (SIDE, SIDE), RED).convert(mode), "TIFF")
    assert (pixels(data, ValueRange({"unsigned": (0, 4095)})) == pixels(data)).all()
    assert measure_range([data]) == (None, [])


# --- colour of 16 bits

COLOUR = RNG.integers(0, 4096, (SIDE, SIDE, 3)).astype(np.uint16)
COLOUR_FILES = {
    "PNG": png_16(COLOUR, 2),
    "TIFF": tiff(COLOUR),
    "big-endian TIFF": tiff(COLOUR, order=">"),
    "compressed TIFF": tiff(COLOUR, deflate=True),
    "big-endian compressed TIFF": tiff(COLOUR, deflate=True, order=">"),
    "PPM": b"P6 16 16 65535\n" + COLOUR.astype(">u2").tobytes(),
}


@pytest.mark.parametrize("kind", COLOUR_FILES)
def test_colour_of_16_bits_keeps_all_its_bits(kind: str) -> None:
    data = COLOUR_FILES[kind]
    assert (values(data) == COLOUR).all()
    value_range, _ = measure_range([data])
    assert value_range and value_range.limits == {"unsigned": (0, 4095)}
    assert abs(pixels(data, value_range) - COLOUR / 4095 * 255).max() <= 0.51


@pytest.mark.parametrize("order", ["<", ">"])
def test_colour_that_uses_all_16_bits_is_the_same_with_and_without_a_range(order: Literal["<", ">"]) -> None:
    data = tiff(np.stack([ramp(65_535)] * 3, -1), order=order)
    assert limits([data], "unsigned") == (0, 65_535)
    assert (pixels(data, measure_range([data])[0]) == pixels(data)).all()


def test_transparency_of_16_bits_is_white() -> None:
    alpha = np.where(np.arange(SIDE) < 8, 0, 4095).astype(np.uint16) * np.ones((SIDE, 1), np.uint16)
    colour = np.full((SIDE, SIDE, 3), 1000, np.uint16)
    grey = np.stack([colour[..., 0], alpha], -1)
    both = np.concatenate([colour, alpha[..., None]], -1)
    multiplied = np.concatenate([colour * (alpha > 0)[..., None], alpha[..., None]], -1).astype(np.uint16)
    clear = colour.copy()
    clear[:, :8] = 4000, 0, 0
    trns = struct.pack(">I", 6) + b"tRNS" + struct.pack(">HHH", 4000, 0, 0)
    coloured = png_16(clear, 2)
    at = coloured.index(b"IDAT") - 4
    coloured = coloured[:at] + trns + struct.pack(">I", zlib.crc32(trns[4:])) + coloured[at:]
    for data in (png_16(grey, 4), png_16(both, 6), tiff(both, _338=(2,)), tiff(multiplied, _338=(1,)), coloured):
        found = pixels(data, ValueRange({"unsigned": (0, 4095)}))
        assert (found[:, :8] == 255).all() and (found[:, 8:] == round(1000 / 4095 * 255)).all()


# --- signed integers and floats


def test_signed_values_are_scaled_by_the_range_of_all_images() -> None:
    scans = [tiff(ramp(top, np.int16, low=-1000)) for top in (200, 3000)]
    low, high = limits(scans, "integer")
    assert -1000 <= low < -990 and 2900 < high <= 3000
    value_range, remarks = measure_range(scans)
    dim, bright = (pixels(scan, value_range).max() for scan in scans)
    assert bright == 255 and abs(dim - 255 * 1200 / 4000) <= 3, "the same value is equally bright in both"
    assert "signed or 32-bit integers with values from -1,000 to 3,000" in remarks[0]


def test_unsigned_values_of_32_bits_do_not_become_negative() -> None:
    data = tiff(np.where(ramp(1) > 0.5, 2**32 - 2, 2**31 - 5).astype(np.uint32))
    assert limits([data], "integer") == (2**31 - 5, 2**32 - 2)
    found = pixels(data, measure_range([data])[0])
    assert found[0, 0, 0] == 0 and found[0, -1, 0] == 255


@pytest.mark.parametrize("missing", [np.nan, -9999, -np.inf, np.inf, -3.4e38])
def test_missing_floats_are_black_and_do_not_stretch_the_range(missing: float) -> None:
    array = ramp(3, np.float32, low=-2)
    array[:2] = missing
    data = tiff(array)
    value_range, remarks = measure_range([data])
    assert value_range and value_range.limits["float"] == pytest.approx((-2, 3), abs=0.05)
    found = pixels(data, value_range)
    assert (found[0] == 0).all() and found[5, 0, 0] == 0 and found[5, -1, 0] == 255
    assert "no data" in remarks[0] and "12.5 % of the values, are black" in remarks[0]


def test_a_value_declared_as_missing_is_black_even_if_it_is_high() -> None:
    for dtype, declared, kind in (
        (np.float32, 7.5, "float"),
        (np.uint16, 50_000, "unsigned"),
        (np.int16, 777, "integer"),
    ):
        array = ramp(500, dtype)
        array[:2] = declared
        data = tiff(array, _42113=f"{declared}\0".encode())
        value_range, _ = measure_range([data])
        assert value_range and value_range.limits[kind][1] <= 511 + 512  # type: ignore[index]
        assert (pixels(data, value_range)[0] == 0).all() and pixels(data, value_range)[5, -1, 0] > 100


def test_minus_9999_among_lower_values_is_a_value() -> None:
    array = ramp(0, np.float32, low=-20_000)
    array[:8] = -9999
    _, remarks = measure_range([tiff(array)])
    assert "-20,000 to 0" in remarks[0] and "no data" not in remarks[0]


def test_an_outlier_does_not_darken_the_others() -> None:
    array = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    array[0, 0] = 1e6
    assert limits([tiff(array)], "float")[1] < 1.01


def test_images_without_any_value_are_black() -> None:
    data = tiff(np.full((SIDE, SIDE), np.nan, np.float32))
    assert (pixels(data, measure_range([data])[0]) == 0).all()
    flat = tiff(np.full((SIDE, SIDE), 5, np.float32))
    assert (pixels(flat, measure_range([flat])[0]) == 0).all()


def test_a_large_value_is_dark_where_white_is_zero() -> None:
    data = tiff(ramp(4000), _262=(0,))
    found = pixels(data, measure_range([data])[0])
    assert found[0, 0, 0] == 255 and found[0, -1, 0] < 10


def test_kinds_of_numbers_have_a_range_each_and_the_mix_is_said() -> None:
    value_range, remarks = measure_range([grey_png(4000), tiff(ramp(1, np.float32))])
    assert value_range and set(value_range.limits) == {"unsigned", "float"}
    assert "mixes kinds of numbers" in remarks[-1]


def test_a_range_is_written_as_json_and_read_again() -> None:
    value_range = ValueRange({"unsigned": (0, 4095), "float": (-1.5, 2)})
    written = json.loads(json.dumps(value_range.to_json()))
    assert written == {"unsigned": [0, 4095], "float": [-1.5, 2]} and ValueRange.from_json(written) == value_range


def test_a_sample_is_spread_evenly_and_does_not_follow_a_period() -> None:
    found = spread(10_000, 100)
    assert len(set(found)) == 100 and all(i * 100 <= index < (i + 1) * 100 for i, index in enumerate(found))
    assert 20 < sum(index % 2 for index in found) < 80
    assert spread(3, 5) == [0, 1, 2] and spread(10_000, 100) == found


def test_files_and_members_of_archives_are_read_like_bytes(tmp_path: Path) -> None:
    class Member:
        def __init__(self, content: bytes | Unusable) -> None:
            self.content = content

        def read(self) -> bytes | Unusable:
            return self.content

    (tmp_path / "a.png").write_bytes(grey_png(4000))
    sources: list[Any] = [tmp_path / "a.png", Member(grey_png(4000)), Member(Unusable("missing file")), tmp_path / "no"]
    value_range, _ = measure_range(sources)
    found = list(
        decode_all(
            sources, SIDE, display_side=0, is_new=lambda *_: True, threads=2, done=lambda: None, value_range=value_range
        )
    )
    assert [one.reason if isinstance(one, Unusable) else int(one.pixels.max()) for one in found] == [
        249, 249, "missing file", "missing file",
    ]  # fmt: skip


# --- bands

FOUR = np.concatenate([np.full((SIDE, SIDE, 3), RED, np.uint8), np.full((SIDE, SIDE, 1), 60, np.uint8)], -1)


@pytest.mark.parametrize("tags", [{"_338": (0,)}, {}])
def test_a_fourth_band_without_a_meaning_is_left_out_and_said(tags: dict[str, Any]) -> None:
    found = decoded(tiff(FOUR, **tags))
    assert isinstance(found, Decoded) and (found.pixels == RED).all()
    (sentence,) = tell_remarks(dict.fromkeys(found.remarks, 2))
    assert sentence.startswith("2 images with a further band")
    deep = decoded(tiff(FOUR.astype(np.uint16) * 16, **tags), ValueRange({"unsigned": (0, 4095)}))
    assert isinstance(deep, Decoded) and abs(deep.pixels.astype(int) - RED).max() <= 1 and deep.remarks


def test_a_fourth_band_that_is_transparency_is_used_as_such() -> None:
    found = decoded(tiff(FOUR, _338=(2,)))
    assert isinstance(found, Decoded) and found.pixels.min() > 190 and not found.remarks


def test_more_bands_than_a_picture_has_are_refused_with_the_way_out(caplog: pytest.LogCaptureFixture) -> None:
    many = np.zeros((SIDE, SIDE, 13), np.uint16)
    planes: dict[str, Any] = {"_284": (2,), "_262": (1,), "_338": (0,) * 12, "_273": (8,) * 13}
    for data in (
        tiff(many, _338=(0,) * 10),
        tiff(many, _262=(1,), _338=(0,) * 12),
        tiff(many[..., :4], _262=(1,)),
        tiff(many[..., :2].astype(np.uint8), _338=(0,)),
        tiff(FOUR[..., [0, 1, 2, 3, 3]], _338=(0, 0)),
        tiff(many.astype(np.float32)),
        tiff(many.astype(np.uint8), **planes),
    ):
        found = decode(data, SIDE)
        assert isinstance(found, Unusable) and found.reason == "too many bands" and "gdal_translate" in found.detail
    assert isinstance(found := decode(tiff(many), SIDE), Unusable) and found.detail.startswith("13 bands of 16 bits")
    assert not caplog.records, "Pillow would print a line for each file"


@pytest.mark.parametrize("dtype", [np.float64, np.int8, np.uint64])
def test_numbers_that_pillow_misreads_or_does_not_know_are_refused(dtype: Any) -> None:
    found = decode(tiff(ramp(100, dtype)), SIDE)
    assert isinstance(found, Unusable) and found.reason == "unsupported bit depth" and "save it as" in found.detail


def test_deep_colour_in_separate_planes_is_refused_rather_than_misread() -> None:
    found = decode(tiff(COLOUR, _284=(2,)), SIDE)
    assert isinstance(found, Unusable) and found.reason == "unsupported bit depth"


# --- pages and frames


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_the_first_frame_that_is_not_blank_is_shown(kind: str) -> None:
    blank = Image.new("RGB", (SIDE, SIDE), GREEN)
    drawn = blank.copy()
    drawn.paste(RED, (0, 0, 8, SIDE))
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decoded(encode(blank, kind, save_all=True, append_images=[blank, drawn], **options))
    assert isinstance(found, Decoded) and abs(found.pixels[:, :8].astype(int) - RED).max() < 8
    assert tell_remarks(dict.fromkeys(found.remarks, 1)) == [
        "1 image whose first frame is blank: the first that is not is shown."
    ]
    kept = decoded(encode(drawn, kind, save_all=True, append_images=[drawn.rotate(180)], **options))
    assert isinstance(kept, Decoded) and (abs(kept.pixels[:, :8].astype(int) - RED).max() < 8) and not kept.remarks


def test_a_deep_page_after_a_blank_one_is_measured_and_shown() -> None:
    blank, drawn = Image.fromarray(np.zeros((SIDE, SIDE), np.uint16)), Image.fromarray(ramp(4000))
    data = encode(blank, "TIFF", save_all=True, append_images=[drawn])
    value_range, _ = measure_range([data])
    assert value_range and value_range.limits == {"unsigned": (0, 4095)}
    assert pixels(data, value_range).max() == 249


def test_an_image_tells_its_full_size_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = decoded(encode(Image.new("RGB", (40, 20), RED), "JPEG", exif=exif))
    assert isinstance(found, Decoded) and found.size == (20, 40)


# --- formats that are not read


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "pointer to a file of Git LFS"),
        (b"<!DOCTYPE html><html>404</html>", "web page: download"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG: convert"),
        (bytes(128) + b"DICM" + bytes(200), "DICOM: convert"),
        (b"\xff\x0a" + bytes(200), "JPEG XL: convert"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(200), "JPEG XL: convert"),
        (b"\x93NUMPY" + bytes(200), "NumPy array: convert"),
        (b"II*\0" + b"\xff" * 60, "not one of PNG"),
    ],
)
def test_formats_that_people_bring_are_told_what_to_do(data: bytes, words: str) -> None:
    found = decode(data, SIDE)
    assert isinstance(found, Unusable) and found.reason == "not an image" and words in found.detail
