"""Each rule by which an image file becomes pixels, on a planted image, and each reason why one does not."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.pixels.decode import MAX_PIXELS, Unusable, decode, decode_all, read_file
from tests.support.data.pictures import GREEN, RED, SIDE, WHITE, corner, encode, png_header


def pixels(data: bytes, side: int = SIDE) -> np.ndarray:
    found = decode(data, side)
    assert isinstance(found, np.ndarray), found
    assert found.shape == (side, side, 3) and found.dtype == np.uint8
    return found.astype(int)


def reason(data: bytes) -> str:
    found = decode(data, SIDE)
    assert isinstance(found, Unusable)
    return found.reason


# --- rules


def test_an_image_of_the_right_size_keeps_its_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert np.array_equal(pixels(encode(Image.fromarray(image))), image)


def test_the_shorter_side_is_scaled_and_the_longer_one_cut_at_both_ends() -> None:
    wide = Image.new("RGB", (200, 50), RED)
    wide.paste(GREEN, (75, 0, 125, 50))
    assert (pixels(encode(wide))[:, 2:-2] == GREEN).all()
    assert (pixels(encode(wide.transpose(Image.Transpose.ROTATE_90)))[2:-2] == GREEN).all()
    assert (pixels(encode(Image.new("RGB", (1, 3000), RED))) == RED).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = corner().transpose(undo[orientation]) if orientation in undo else corner()
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        found = pixels(encode(stored, kind, exif=exif))
        assert abs(found[8, 8] - RED).max() < 20 and abs(found[8, 24] - GREEN).max() < 20, kind
        assert abs(found[24, 8] - GREEN).max() < 20, kind


def test_what_is_transparent_is_white() -> None:
    image = Image.new("RGBA", (SIDE, SIDE), (*RED, 0))
    image.paste((*GREEN, 255), (0, 0, 16, SIDE))
    found = pixels(encode(image))
    assert (found[:, :16] == GREEN).all() and (found[:, 16:] == WHITE).all()
    half = pixels(encode(Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 128))))
    assert abs(half - 127).max() <= 1
    palette = Image.new("P", (SIDE, SIDE), 0)
    palette.putpalette([0, 0, 0, *RED])
    palette.paste(1, (0, 0, 16, SIDE))
    found = pixels(encode(palette, transparency=0))
    assert (found[:, :16] == RED).all() and (found[:, 16:] == WHITE).all()
    grey = Image.new("LA", (SIDE, SIDE), (0, 0))
    assert (pixels(encode(grey)) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_grey_of_16_bits_is_not_washed_out(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65_535, SIDE).astype(np.uint16), (SIDE, 1))
    found = pixels(encode(Image.fromarray(ramp), kind))
    assert abs(found[0, :, 0] - ramp[0] / 257).max() <= 1
    dark = np.full((SIDE, SIDE), 2570, np.uint16)
    assert (pixels(encode(Image.fromarray(dark), kind)) == 10).all()


def test_grey_of_floats_is_stretched() -> None:
    ramp = np.tile(np.linspace(-2, 3, SIDE).astype(np.float32), (SIDE, 1))
    found = pixels(encode(Image.fromarray(ramp), "TIFF"))
    assert (found[0, 0] == 0).all() and (found[0, -1] == 255).all() and (np.diff(found[0, :, 0]) > 0).all()
    assert (pixels(encode(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF")) == 0).all()
    without = ramp.copy()
    without[5, :2] = np.inf, -np.inf
    stretched = pixels(encode(Image.fromarray(without), "TIFF"))
    assert (stretched[6] == found[6]).all() and (stretched[5, :2] == 102).all(), "of what is infinite 0 is taken"


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_colours_become_rgb(mode: str) -> None:
    image = Image.new("RGB", (SIDE, SIDE), (255, 255, 255)).convert(mode)
    assert (pixels(encode(image, "TIFF")) >= 250).all()


def test_a_jpeg_in_cmyk_has_the_colours_it_was_made_of() -> None:
    found = pixels(encode(Image.new("RGB", (SIDE, SIDE), RED).convert("CMYK"), "JPEG", quality=95))
    assert abs(found - RED).max() < 12


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (SIDE, SIDE), color) for color in (RED, GREEN)]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        assert abs(pixels(data) - RED).max() < 8, kind


def test_a_large_jpeg_looks_like_the_same_image_as_png() -> None:
    large = corner().resize((1600, 1200), Image.Resampling.NEAREST)
    assert abs(pixels(encode(large, "JPEG", quality=95)) - pixels(encode(large))).mean() < 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM"])
def test_every_known_format_is_read(kind: str) -> None:
    assert abs(pixels(encode(Image.new("RGB", (40, 40), RED), kind)) - RED).mean() < 8


# --- reasons


def test_each_fault_has_its_reason() -> None:
    whole = encode(corner().resize((200, 200)), "JPEG")
    assert reason(b"") == "zero bytes"
    assert reason(b"hello") == reason(whole[:1]) == reason(b"%!PS-Adobe-3.0 EPSF-3.0\n") == "not an image"
    assert reason(whole[:10]) == reason(whole[: len(whole) // 2]) == "truncated"
    assert reason(encode(corner())[:-40]) in ("truncated", "damaged image")
    assert reason(encode(corner())[:12]) == reason(b"\xff\xd8\xffjunk") == "damaged image"


@pytest.mark.parametrize("size", [(10_000, MAX_PIXELS // 10_000 + 1), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_that_claims_too_many_pixels_is_not_decoded(size: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reason(png_header(*size)) == "too many pixels"


def test_what_is_no_file_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    found = {name: read_file(tmp_path / name) for name in ("loop", "folder.png", "pipe.png", "gone.png", "a\0b")}
    assert {name: why.reason for name, why in found.items() if isinstance(why, Unusable)} == {
        "loop": "symbolic link loop",
        "folder.png": "not a file",
        "pipe.png": "not a file",
        "gone.png": "missing file",
        "a\0b": "missing file",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "a.png").chmod(0)
    assert read_file(tmp_path / "a.png") == Unusable("unreadable file", "Permission denied")


def test_several_are_decoded_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (SIDE, SIDE), RED)))
    steps: list[int] = []
    sources: list[bytes | Path] = [
        tmp_path / "a.png",
        b"",
        encode(Image.new("RGB", (SIDE, SIDE), GREEN)),
        tmp_path / "gone.png",
    ]
    found = list(
        decode_all(sources, SIDE, display_side=0, is_new=lambda *_: True, threads=3, done=lambda: steps.append(1))
    )
    said = [one.reason if isinstance(one, Unusable) else tuple(int(v) for v in one.pixels[0, 0]) for one in found]
    assert said == [RED, "zero bytes", GREEN, "missing file"] and len(steps) == 4
