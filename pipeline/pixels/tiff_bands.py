"""What the bands of a TIFF mean: grey, colour, transparency, or more than a picture can show.

A band without a declared meaning beside colour is left out; of other surplus bands it is unknown which to show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import PREFIXES, ImageFileDirectory_v2

from pipeline.pixels.unusable import Unusable

BITS, PHOTOMETRIC, BANDS, PLANES, EXTRA, FORMAT = 258, 262, 277, 284, 338, 339
COLOURS = {2: 3, 5: 4, 6: 3, 8: 3}
"""Number of bands of each photometric interpretation that is not grey or palette."""
ALPHA = {1, 2, 999}
"""Values of ExtraSamples that mean transparency; 999 is written by Corel Draw."""
NUMBERS = {1: "unsigned integers", 2: "signed integers", 3: "floats", 5: "complex integers", 6: "complex numbers"}
MOST_BANDS, DEPTHS = 10_000, {8, 10, 12, 14, 16, 24, 32, 64, 128}
"""A header that declares something else is damaged."""
KEEP_THREE = "keep the three to show, for instance with gdal_translate -b 3 -b 2 -b 1 in.tif out.tif"


@dataclass(frozen=True)
class _Layout:
    """`surplus` counts the bands besides grey or colour, of which the first is transparency if `has_alpha`."""

    bands: int
    bits: int
    surplus: int
    has_alpha: bool
    number: int
    in_planes: bool


def refuse_bands(image: Image.Image) -> Unusable | None:
    """The reason not to show an image whose values Pillow would misread, or of whose bands it would choose some."""
    layout = _layout_of(image)
    return _judge(layout) if layout else None


def drops_a_band(image: Image.Image) -> bool:
    """Whether the image has a fourth band without a declared meaning, which is not shown."""
    layout = _layout_of(image)
    return layout is not None and layout.surplus == 1 and not layout.has_alpha


def explain_tiff(file: BinaryIO) -> Unusable | None:
    """Why a TIFF is of a kind that Pillow does not know; None if the file is no TIFF or its header is damaged."""
    file.seek(0)
    header = file.read(16)
    if not header.startswith(tuple(PREFIXES)):
        return None
    try:
        tags = ImageFileDirectory_v2(header if header[2] == 43 else header[:8])
        file.seek(tags.next)
        tags.load(file)
        layout = _read_layout(tags)
    except Exception:  # a damaged header raises all kinds of errors
        return None
    if not 1 <= layout.bands <= MOST_BANDS or layout.bits not in DEPTHS:
        return None
    kind = f"{layout.bits}-bit {NUMBERS.get(layout.number, 'numbers')}"
    several = "" if layout.bands == 1 else f"{layout.bands} bands of "
    if why := _judge(layout):
        return why
    if layout.bits == 8 and layout.number == 1:  # another reason, such as damage
        return None
    return Unusable(
        "unsupported bit depth", f"{several}{kind}: save it as 16-bit unsigned integers, or grey of 32-bit floats"
    )


def _layout_of(image: Image.Image) -> _Layout | None:
    tags = getattr(image, "tag_v2", None) if image.format == "TIFF" else None
    return None if tags is None else _read_layout(tags)


def _read_layout(tags: Mapping[int, Any]) -> _Layout:
    base = COLOURS.get(tags.get(PHOTOMETRIC, 0), 1)
    bands, bits, extra = int(tags.get(BANDS, 1)), tags.get(BITS, (1,)), tags.get(EXTRA, ())
    return _Layout(
        bands=bands,
        bits=int(max(bits)),
        surplus=max(0, bands - base),
        has_alpha=bool(extra) and extra[0] in ALPHA,
        number=int(max(tags.get(FORMAT, (1,)))),
        in_planes=bands > 1 and tags.get(PLANES, 1) == 2,
    )


def _judge(layout: _Layout) -> Unusable | None:
    grey = layout.bands - layout.surplus == 1
    if layout.surplus > 1 or (layout.surplus == 1 and grey and not layout.has_alpha):
        return Unusable("too many bands", f"{layout.bands} bands of {layout.bits} bits: {KEEP_THREE}")
    if layout.number == 2 and layout.bits == 8:
        return Unusable("unsupported bit depth", "8-bit signed integers: save it as 16-bit signed integers")
    if layout.in_planes and layout.bits > 8:
        return Unusable("unsupported bit depth", f"{layout.bits}-bit colour in separate planes: save it interleaved")
    return None
