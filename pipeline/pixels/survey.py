"""What the images of a source look like, from the headers of a sample: formats, depths, sizes, and what is lost.

Used to describe a source before it is read, and to suggest the side of the square that every image becomes. An image is
cropped to its central square, so a panorama shows little of itself, and resized, so a small one is enlarged.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from pipeline.pixels.bit_depth import spread
from pipeline.pixels.deep_pixels import find_kind
from pipeline.pixels.image_file import Source, explain_error, open_image, open_source, refuse_size, without_warnings
from pipeline.pixels.tiff_bands import refuse_bands
from pipeline.pixels.unusable import Unusable

PANORAMA = 0.1
"""An image whose central square shows less than this share of it is a panorama."""
ENLARGED = 4
"""An image that is enlarged more than this shows no detail."""
CHEAP = 512
"""Longest side in pixels of images that are decoded to see whether they are blank."""
LOWEST, HIGHEST, STEP = 16, 64, 8
"""Sides that are suggested: training on two cores takes hours above."""
DEPTHS = {"unsigned": "16-bit", "integer": "signed or 32-bit", "float": "float"}
COLOURS = {"1": "black and white", "P": "palette", "PA": "palette", "L": "grey", "LA": "grey", "La": "grey"}


@dataclass(frozen=True)
class Survey:
    """Counts over the `looked_at` images of the sample; sides of those that can be read, in pixels [N]."""

    total: int
    """Images of the source."""
    looked_at: int
    formats: Mapping[str, int]
    """Name of the format -> images, most common first."""
    depths: Mapping[str, int]
    """Colours and bits, such as "8-bit colour" -> images, most common first."""
    short_N: NDArray[np.int64]
    long_N: NDArray[np.int64]
    blank: int
    """Images of a single colour among the `checked` ones."""
    checked: int
    """Images small enough to be decoded."""
    unreadable: Mapping[str, int]
    """Reason -> images, most common first."""
    examples: Mapping[str, tuple[int, str]]
    """Reason -> index in the source and detail of the first such image."""

    def sentences(self, side: int) -> list[str]:
        """The survey in sentences, for images that become squares of `side` pixels."""
        said = []
        if len(self.long_N):
            said.append(self._tell_kinds())
            said.append(self._tell_sizes())
            said += _tell_lost(find_losses(np.stack([self.long_N, self.short_N], 1), side), len(self.long_N), side)
        if self.blank:
            said.append(f"{self.blank:,} of {self.checked:,} small images are of a single colour.")
        said += [self._tell_unreadable(reason) for reason in self.unreadable]
        return said or ["The source has no images."]

    def _tell_kinds(self) -> str:
        of = (
            f"{self.total:,} images" if self.looked_at == self.total else f"{self.looked_at:,} of {self.total:,} images"
        )
        return f"Headers of {of}: {_list(self.formats)}; {_list(self.depths)}."

    def _tell_sizes(self) -> str:
        low, middle, high = (round(float(v)) for v in np.percentile(self.long_N, (0, 50, 100)))
        aspect_N = self.long_N / self.short_N
        shape = (
            "all square"
            if (aspect_N == 1).all()
            else (
                f"the longer side is {np.median(aspect_N):.2g} times the shorter one in the median, "
                f"{aspect_N.max():,.3g} times at most"
            )
        )
        if low == high:
            return f"The longer side of all is {low:,} px; {shape}."
        return f"The longer side is {low:,} to {high:,} px, {middle:,} px in the median; {shape}."

    def _tell_unreadable(self, reason: str) -> str:
        count, (_, detail) = self.unreadable[reason], self.examples[reason]
        return f"{count:,} of {self.looked_at:,} cannot be read ({reason}{f': {detail}' if detail else ''})."


@dataclass(frozen=True)
class Losses:
    """Which images lose most of their picture, or have little to show [N]."""

    panorama_N: NDArray[np.bool_]
    """The central square shows less than a tenth of the picture."""
    enlarged_N: NDArray[np.bool_]
    """Enlarged more than four times; includes those of a single pixel."""
    single_pixel_N: NDArray[np.bool_]


@dataclass
class _Tally:
    """Counts while the images are looked at."""

    formats: Counter[str] = field(default_factory=Counter)
    depths: Counter[str] = field(default_factory=Counter)
    sides: list[tuple[int, int]] = field(default_factory=list)
    blank: int = 0
    checked: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    examples: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, source: Source, index: int) -> None:
        why = self._look(source)
        if why:
            self.unreadable[why.reason] += 1
            self.examples.setdefault(why.reason, (index, why.detail))

    def _look(self, source: Source) -> Unusable | None:
        """Count an image, or return why it cannot be read."""
        file = open_source(source)
        if isinstance(file, Unusable):
            return file
        with file:
            if not file.read(1):
                return Unusable("zero bytes")
            file.seek(0)
            try:
                with open_image(file) as image:
                    why = refuse_size(image) or refuse_bands(image)
                    if why is None:
                        self._count(image)
                    return why
            except Exception as error:
                return explain_error(error, file)

    def _count(self, image: ImageFile) -> None:
        kind, depth, long = image.format or "", _describe(image), max(image.size)
        if long <= CHEAP:
            image.load()
            self.checked += 1
            self.blank += _is_blank(image)
        self.formats[kind] += 1
        self.depths[depth] += 1
        self.sides.append((long, min(image.size)))


def survey_images(sources: Sequence[Source], *, sample: int = 500, seed: int = 0) -> Survey:
    """Look at the headers of at most `sample` images, spread evenly; small ones are decoded. Never raises."""
    chosen = spread(len(sources), sample, seed)
    tally = _Tally()
    with without_warnings():
        for index in chosen:
            tally.add(sources[index], index)
    sides = np.array(tally.sides, np.int64).reshape(-1, 2)
    return Survey(
        total=len(sources),
        looked_at=len(chosen),
        formats=dict(tally.formats.most_common()),
        depths=dict(tally.depths.most_common()),
        short_N=sides[:, 1],
        long_N=sides[:, 0],
        blank=tally.blank,
        checked=tally.checked,
        unreadable=dict(tally.unreadable.most_common()),
        examples=tally.examples,
    )


def suggest_size(survey: Survey) -> tuple[int, str]:
    """The side of the square that suits the images, 16 to 64 px and a multiple of 8, and the reason in a sentence."""
    if not len(survey.short_N):
        return 32, "No image could be read: 32 px is the default."
    short = round(float(np.median(survey.short_N)))
    side = min(HIGHEST, max(LOWEST, -(-short // STEP) * STEP))
    if short > HIGHEST:
        return side, (
            f"The shorter side is {short:,} px in the median: {side} px trains fast without a GPU; 96 px shows more "
            "detail and takes more than twice as long."
        )
    return side, f"The shorter side is {short:,} px in the median: {side} px keeps all of its detail."


def find_losses(size_N2: ArrayLike, side: int) -> Losses:
    """Which images lose most when they become squares of `side` pixels, from their widths and heights [N, 2]."""
    sizes = np.asarray(size_N2, np.int64).reshape(-1, 2)
    long_N, short_N = sizes.max(1), sizes.min(1)
    return Losses(short_N < PANORAMA * long_N, short_N * ENLARGED < side, long_N == 1)


def count_crops(size_N2: ArrayLike, side: int) -> list[str]:
    """A sentence for each loss that any of the images has, from their widths and heights [N, 2]."""
    losses = find_losses(size_N2, side)
    return _tell_lost(losses, len(losses.panorama_N), side)


def _tell_lost(losses: Losses, total: int, side: int) -> list[str]:
    told = {
        "more than ten times as long as wide or high: the central square shows less than a tenth of the picture": (
            losses.panorama_N
        ),
        f"enlarged more than {ENLARGED} times to {side} px": losses.enlarged_N & ~losses.single_pixel_N,
        "of a single pixel": losses.single_pixel_N,
    }
    counts = {words: int(which.sum()) for words, which in told.items()}
    return [f"{n:,} of {total:,} images {'is' if n == 1 else 'are'} {words}." for words, n in counts.items() if n]


def _describe(image: ImageFile) -> str:
    """Colours and bits of an image that is not loaded."""
    if kind := find_kind(image):
        return f"{DEPTHS[kind]} {'grey' if image.mode.startswith(('I', 'F')) else 'colour'}"
    colours = "CMYK" if image.mode == "CMYK" else COLOURS.get(image.mode, "colour")
    clear = " with transparency" if image.has_transparency_data else ""
    return f"{'' if image.mode == '1' else '8-bit '}{colours}{clear}"


def _is_blank(image: Image.Image) -> bool:
    return bool((values := np.asarray(image)).size) and bool((values == values[0, 0]).all())


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
