"""Which values of images of more than 8 bits are shown as black and white: measured once over a data set.

Unsigned integers of at most 16 bits are scaled from 0 to the full scale of the depth that is used: 12 bits in 16-bit
files are common. Other numbers have no full scale: the range of all but the 0.1 percent lowest and highest is taken.
The range is kept with the data set, so that an image keeps its pixels when others are added.
"""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lake.text.formatting import percent
from pipeline.pixels.deep_pixels import FULL_16_BIT, KINDS, DeepValues, Kind, find_kind, full_scale, read_values
from pipeline.pixels.image_file import Source, open_image, open_source, read, refuse_size, without_warnings
from pipeline.pixels.tiff_bands import refuse_bands
from pipeline.pixels.unusable import Unusable

SAMPLE = 500
"""Most images whose values are read to measure a range; also most that are neither files nor in memory."""
HEADERS = 10_000
"""Most images whose header is read to find those of more than 8 bits."""
PIXELS = 4096
"""About as many values of each image count for the range of numbers without a full scale."""
FRAMES = 8
"""Most frames of an image that are looked at for one that is not blank."""
PERCENTILES = (0.1, 99.9)
PLACEHOLDERS = (-9999.0, -32768.0)
"""Stand for missing values if they are below all others."""
GAP = 2**14
"""If all values but 65,535 are at most this, 65,535 stands for a missing or saturated value."""
STRIP = 2**20
"""Most values that are scaled at once."""
NAMES = {
    "unsigned": "16-bit integers",
    "integer": "signed or 32-bit integers",
    "float": "floats",
}
Limits = tuple[float, float]


@dataclass(frozen=True)
class ValueRange:
    """The values shown as black and as white, for each kind of numbers that the data set has."""

    limits: Mapping[Kind, Limits]

    def to_json(self) -> dict[str, list[float]]:
        """Kind of numbers -> [low, high]."""
        return {kind: list(self.limits[kind]) for kind in KINDS if kind in self.limits}

    @classmethod
    def from_json(cls, written: Mapping[str, Sequence[float]]) -> "ValueRange":
        """What `to_json` returned."""
        return cls({kind: (written[kind][0], written[kind][1]) for kind in KINDS if kind in written})


def measure_range(sources: Sequence[Source], *, sample: int = SAMPLE) -> tuple[ValueRange | None, list[str]]:
    """The range of the images of more than 8 bits, and a sentence on each kind; None if there are none.

    Headers of at most 10,000 images are read, then the values of at most `sample` of those of each kind, both spread
    evenly; the same images give the same range. Unreadable images are passed over.
    """
    with without_warnings():
        return _measure(sources, sample)


def paint(deep: DeepValues, limits: Limits | None) -> Image.Image:
    """The values as an RGB image: `limits` become black and white, what is missing black, what is transparent white.

    Without limits, unsigned values are scaled from 0-65,535, others from their own minimum and maximum.
    """
    values = _scale_alone(deep.values) if limits is None else _scale(deep, *limits)
    rgb = np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else values
    if deep.alpha is not None:
        rgb = (255 + (rgb.astype(np.float32) - 255) * deep.alpha[..., None]).round().astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(rgb))


def spread(count: int, most: int, seed: int = 0) -> list[int]:
    """All indices below `count`, or `most` of them spread evenly: one from each of as many equal stretches, at random.

    A fixed step could hit only every second folder or class.
    """
    if count <= most:
        return list(range(count))
    starts = np.arange(most) * (count / most)
    return [int(i) for i in (starts + np.random.default_rng(seed).random(most) * (count / most))]


def _measure(sources: Sequence[Source], sample: int) -> tuple[ValueRange | None, list[str]]:
    looked_at = spread(len(sources), HEADERS if _are_at_hand(sources) else sample)
    kinds = {index: kind for index in looked_at if (kind := _find_kind(sources[index])) != "unreadable"}
    limits: dict[Kind, Limits] = {}
    remarks = []
    for kind in KINDS:
        of_kind = [index for index, its in kinds.items() if its == kind]
        pool = _Pool()
        for place in spread(len(of_kind), sample):
            pool.add(kind, sources[of_kind[place]])
        if pool.images:
            limits[kind], sentence = _judge_unsigned(pool) if kind == "unsigned" else _judge_range(pool)
            remarks.append(f"{_count(len(of_kind), len(kinds))} {NAMES[kind]} {sentence}")
    counts = Counter(kinds.values())
    if limits and counts["8 bits"]:
        remarks.append(f"{_count(counts['8 bits'], len(kinds))} 8 bits and stay as they are.")
    if len(limits) > 1:
        remarks.append(
            "The data set mixes kinds of numbers, which are scaled differently: check that this is intended."
        )
    return (ValueRange(limits) if limits else None), remarks


@dataclass
class _Pool:
    """The values of the images of a kind that were read."""

    images: int = 0
    top: int = 0
    """The highest unsigned value other than 65,535."""
    saturated: bool = False
    """Whether 65,535 occurs."""
    numbers: list[NDArray[np.float64]] = field(default_factory=list)
    seen: int = 0
    missing: int = 0

    def add(self, kind: Kind, source: Source) -> None:
        deep = _read(source)
        if deep is None:
            return
        self.images += 1
        valid = deep.values[deep.valid]
        if kind == "unsigned":
            self.saturated |= bool((valid == FULL_16_BIT).any())
            self.top = max(self.top, int(valid.max(initial=0, where=valid != FULL_16_BIT)))
            return
        step = max(1, deep.values.size // PIXELS)
        some = deep.valid.reshape(-1)[::step]
        self.numbers.append(deep.values.reshape(-1)[::step][some].astype(np.float64))
        self.seen += len(some)
        self.missing += int((~some).sum())


def _judge_unsigned(pool: _Pool) -> tuple[Limits, str]:
    left_out = pool.saturated and 255 < pool.top <= GAP
    top = FULL_16_BIT if pool.saturated and not left_out else pool.top
    high = full_scale(top)
    apart = f" apart from {FULL_16_BIT:,}" if left_out else ""
    return (0.0, float(high)), (
        f"with values up to {top:,}{apart}: they are taken as {high.bit_length()} bits, 0 is shown black and {high:,} "
        "white."
    )


def _judge_range(pool: _Pool) -> tuple[Limits, str]:
    numbers = np.concatenate(pool.numbers)
    placeholders = []
    for value in sorted(PLACEHOLDERS):
        others = numbers[numbers != value]
        if len(others) < len(numbers) and (len(others) == 0 or others.min() > value):
            placeholders.append(f"{value:.0f}")
            numbers = others
    missing = pool.seen - len(numbers)
    low, high = (float(limit) for limit in np.percentile(numbers, PERCENTILES)) if len(numbers) else (0.0, 1.0)
    if low == high and len(numbers):
        low, high = float(numbers.min()), float(numbers.max())
    kinds = [*(["NaN, infinite or declared as missing"] if pool.missing else []), *placeholders]
    rest = f"; no data ({', '.join(kinds)}), {percent(missing / pool.seen)} of the values, are black" if missing else ""
    span = f" from {numbers.min():,.6g} to {numbers.max():,.6g}" if len(numbers) else " that are all missing"
    return (low, high), f"with values{span}: {low:,.6g} is shown black and {high:,.6g} white{rest}."


def _read(source: Source) -> DeepValues | None:
    """The values of the first frame that has any but one; None if the image cannot be read."""
    data = read(source)
    if isinstance(data, Unusable):
        return None
    try:
        with open_image(io.BytesIO(data)) as image:
            first = None
            for frame in range(FRAMES):
                try:
                    image.seek(frame)
                except EOFError:
                    break
                if refuse_size(image) or refuse_bands(image) or find_kind(image) is None:
                    break
                deep = read_values(image, data)
                first = first or deep
                valid = deep.values[deep.valid]
                if len(valid) and valid.min() < valid.max():
                    return deep
            return first
    except Exception:  # told when it is decoded
        return None


def _find_kind(source: Source) -> str:
    file = open_source(source)
    if isinstance(file, Unusable):
        return "unreadable"
    with file:
        try:
            with open_image(file) as image:
                return "unreadable" if refuse_size(image) or refuse_bands(image) else find_kind(image) or "8 bits"
        except Exception:  # told when it is decoded
            return "unreadable"


def _are_at_hand(sources: Sequence[Source]) -> bool:
    """Whether headers can be read without fetching or unpacking the images."""
    return all(isinstance(source, bytes | Path) for source in sources)


def _scale(deep: DeepValues, low: float, high: float) -> NDArray[np.uint8]:
    scaled = np.empty(deep.values.shape, np.uint8)
    rows = max(1, STRIP // scaled[:1].size)
    for top in range(0, len(scaled), rows):  # in strips, as floats take eight times the memory
        strip = slice(top, top + rows)
        valid = deep.valid[strip] if scaled.ndim == 2 else deep.valid[strip, :, None]
        numbers = np.where(valid, deep.values[strip], low).astype(np.float64)
        shares = np.clip((numbers - low) / max(high - low, 1e-12), 0, 1)
        shares = np.where(valid, 1 - shares, 0) if deep.white_is_zero else shares
        scaled[strip] = (shares * 255).round()
    return scaled


def _scale_alone(values: NDArray[Any]) -> NDArray[np.uint8]:
    numbers = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
    low, high = numbers.min(), numbers.max()
    if values.dtype.kind in "iu" and low >= 0 and high <= FULL_16_BIT:
        low, high = 0, FULL_16_BIT
    return ((numbers - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8)


def _count(count: int, total: int) -> str:
    return f"{count:,} of {total:,} images looked at {'has' if count == 1 else 'have'}"
