"""The picture that is kept beside the square: whole, upright, in its aspect, bounded, and nothing else of the file."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from pipeline.pixels.decode import Decoded, Pixels, Unusable, decode, decode_all
from pipeline.pixels.display_images import Original, encode_picture, fit
from tests.support.data.pictures import GREEN, RED, SIDE, WHITE, corner, encode, noise

DISPLAY = 256


def decode_one(
    data: bytes, *, display_side: int = DISPLAY, is_new: Callable[[int, Pixels], bool] = lambda *_: True
) -> Decoded:
    (found,) = decode_all([data], SIDE, display_side=display_side, is_new=is_new, threads=1, done=lambda: None)
    assert isinstance(found, Decoded), found
    return found


def original(data: bytes, *, display_side: int = DISPLAY) -> Original:
    found = decode_one(data, display_side=display_side).original
    assert found is not None
    return found


def open_picture(data: bytes, *, display_side: int = DISPLAY) -> Image.Image:
    return Image.open(io.BytesIO(original(data, display_side=display_side).picture))


def pixels(data: bytes, **options: int) -> np.ndarray:
    return np.asarray(open_picture(data, **options).convert("RGB")).astype(int)


# --- size


@pytest.mark.parametrize(
    ("size", "shown"), [((1024, 256), (256, 64)), ((100, 250), (100, 250)), ((257, 200), (256, 199)), ((8, 5), (8, 5))]
)
def test_the_aspect_is_kept_the_longer_side_bounded_and_nothing_enlarged(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    for kind in ("PNG", "JPEG"):
        data = encode(noise(*size), kind)
        assert open_picture(data).size == shown
        found = original(data)
        assert (found.width, found.height) == size


@given(st.tuples(st.integers(1, 70_000), st.integers(1, 70_000)), st.integers(1, 4096))
def test_any_size_is_fitted(size: tuple[int, int], display_side: int) -> None:
    shown = fit(size, display_side)
    assert max(shown) == min(max(size), display_side) and min(shown) >= 1
    for length, found in zip(size, shown, strict=True):
        assert abs(found - length * max(shown) / max(size)) <= 0.5 or found == 1


def test_there_is_none_where_the_image_is_the_square_already() -> None:
    assert decode_one(encode(noise(SIDE, SIDE))).original is None
    assert decode_one(encode(noise(SIDE, SIDE), "JPEG")).original is None
    assert original(encode(noise(SIDE, SIDE + 1))).height == SIDE + 1
    assert original(encode(noise(2 * SIDE, 2 * SIDE))).width == 2 * SIDE


def test_a_side_of_none_keeps_none() -> None:
    assert decode_one(encode(noise(90, 70)), display_side=0).original is None


def test_there_is_none_of_an_image_that_is_not_new() -> None:
    asked: list[tuple[int, bytes]] = []

    def is_new(number: int, square: Pixels) -> bool:
        asked.append((number, square.tobytes()))
        return False

    data = encode(noise(90, 70))
    found = decode_one(data, is_new=is_new)
    assert found.original is None and asked == [(0, found.pixels.tobytes())]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(90, 70), (800, 600), (600, 800)])
def test_the_square_is_the_same_with_and_without_a_picture(kind: str, size: tuple[int, int]) -> None:
    data = encode(noise(*size), kind)
    expected = decode(data, SIDE)
    assert isinstance(expected, np.ndarray)
    for display_side in (0, DISPLAY, 2048):
        assert np.array_equal(decode_one(data, display_side=display_side).pixels, expected)


def test_a_large_jpeg_is_shown_in_full_detail_though_its_square_is_decoded_small() -> None:
    lines = Image.fromarray(np.tile(np.repeat([0, 255], 8), (1200, 100)).astype(np.uint8))
    found = pixels(encode(lines, "JPEG", quality=95), display_side=1600)
    assert found.shape == (1200, 1600, 3) and found[600].std() > 100
    exif = Image.Exif()
    exif[0x0112] = 6
    assert pixels(encode(lines, "JPEG", exif=exif), display_side=1600).shape == (1600, 1200, 3)


# --- what it shows


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(60, 40), (300, 200)])
def test_it_is_upright_as_exif_says(orientation: int, size: tuple[int, int]) -> None:
    """Red is at the top left, in an image wider than high, however it is stored."""
    image = corner().resize(size, Image.Resampling.NEAREST)
    undo = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF"):
        data = encode(image.transpose(undo[orientation]) if orientation in undo else image, kind, exif=exif)
        assert (original(data).width, original(data).height) == size, kind
        found = pixels(data)
        height, width = found.shape[:2]
        assert width > height
        assert abs(found[height // 4, width // 4] - RED).max() < 20
        assert abs(found[height // 4, width * 3 // 4] - GREEN).max() < 20
        assert abs(found[height * 3 // 4, width // 4] - GREEN).max() < 20


def test_what_is_transparent_is_white() -> None:
    image = Image.new("RGBA", (200, 100), (*RED, 0))
    image.paste((*GREEN, 255), (0, 0, 100, 100))
    found = pixels(encode(image))
    assert (found[:, 0] == GREEN).all() and (found[:, -1] == WHITE).all()
    palette = Image.new("P", (200, 100), 0)
    palette.putpalette([0, 0, 0, *RED])
    palette.paste(1, (0, 0, 100, 100))
    found = pixels(encode(palette, transparency=0))
    assert (found[:, 0] == RED).all() and (found[:, -1] == WHITE).all()


def test_grey_of_16_bits_is_not_washed_out() -> None:
    ramp = np.tile(np.linspace(0, 65_535, 200).astype(np.uint16), (100, 1))
    for kind in ("PNG", "TIFF"):
        found = pixels(encode(Image.fromarray(ramp), kind))
        assert found.shape == (100, 200, 3) and abs(found[50, :, 0] - ramp[0] / 257).max() < 6


def test_cmyk_has_the_colours_it_was_made_of() -> None:
    for kind in ("JPEG", "TIFF"):
        found = pixels(encode(Image.new("RGB", (200, 100), RED).convert("CMYK"), kind))
        assert found.shape == (100, 200, 3) and abs(found - RED).max() < 12


# --- how it is encoded


def test_small_ones_and_drawings_lose_nothing_and_photographs_are_jpegs() -> None:
    small, drawing, photo = noise(63, 40), corner().resize((200, 100), Image.Resampling.NEAREST), noise(200, 100)
    assert [open_picture(encode(image)).format for image in (small, drawing, photo)] == ["PNG", "PNG", "JPEG"]
    assert np.array_equal(pixels(encode(small)), np.asarray(small))
    assert np.array_equal(pixels(encode(drawing)), np.asarray(drawing))


def planted(kind: str, size: tuple[int, int]) -> bytes:
    """An image that carries where it was taken, a comment, a colour profile and what a program wrote."""
    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = "SECRET"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SECRET")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options: dict[str, dict[str, Any]] = {
        "PNG": {"pnginfo": text, "dpi": (300, 300)},
        "JPEG": {"comment": b"SECRET", "xmp": b"<x>SECRET</x>", "dpi": (300, 300)},
        "WEBP": {"xmp": b"<x>SECRET</x>"},
    }
    return encode(noise(*size), kind, exif=exif, icc_profile=profile, **options[kind])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(40, 30), (200, 100)], ids=["PNG out", "JPEG out"])
def test_nothing_but_pixels_is_kept(kind: str, size: tuple[int, int]) -> None:
    data = planted(kind, size)
    assert b"SECRET" in data
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get_ifd(0x8825) and image.info["icc_profile"]
    picture = original(data).picture
    for leak in (b"SECRET", b"Exif", b"eXIf", b"ICC", b"iCCP", b"tEXt", b"pHYs", b"http://ns.adobe"):
        assert leak not in picture, leak
    with Image.open(io.BytesIO(picture)) as image:
        assert not image.getexif() and set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_the_pixels_of_the_picture_are_the_same_every_time() -> None:
    assert encode_picture(noise(300, 200), (256, 171)) == encode_picture(noise(300, 200), (256, 171))


@pytest.mark.parametrize("size", [(90, 70), (400, 300)])
def test_a_cut_file_is_refused_for_the_same_reason_with_and_without_a_picture(size: tuple[int, int]) -> None:
    for kind in ("PNG", "JPEG", "WEBP", "GIF"):
        whole = encode(noise(*size), kind)
        for part in (0.2, 0.5, 0.9):
            data = whole[: int(len(whole) * part)]
            (found,) = decode_all(
                [data], SIDE, display_side=DISPLAY, is_new=lambda *_: True, threads=1, done=lambda: None
            )
            assert isinstance(found, Unusable) and found == decode(data, SIDE)
