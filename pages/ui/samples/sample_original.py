"""The original picture of a sample, with a frame around the square that the model saw."""

from dataclasses import dataclass
from html import escape

import streamlit as st

from lake.storage.store import Run
from pages.text.formatting import NO_BREAK
from pages.ui.core import data
from pages.ui.session.addresses import original

FEW_PIXELS = 64
"""Smaller pictures are shown with sharp pixels, and less tall."""
TALLEST, TALLEST_OF_FEW = 280, 120
"""Maximum heights on the page in pixels."""
FRAME = "outline:2px solid #fff;outline-offset:-2px;box-shadow:inset 0 0 0 4px #0009"


@dataclass(frozen=True)
class Shape:
    """Width and height of an original in pixels, and the side length of the square image made from it."""

    width: int
    height: int
    side: int

    @property
    def is_cut(self) -> bool:
        return self.width != self.height

    @property
    def has_few_pixels(self) -> bool:
        return max(self.width, self.height) < FEW_PIXELS

    def sentence(self) -> str:
        """Describe how the image was cut and scaled."""
        original_size, seen_part = _pixels(self.width, self.height), "the framed square" if self.is_cut else "all of it"
        return f"It came with {original_size}. The model saw {seen_part}, scaled to {_pixels(self.side, self.side)}."


def show_original(run: Run, sample_id: int) -> None:
    """Show the original picture and how it was cut; nothing if no original was kept."""
    shape = _find_shape(run, sample_id)
    if shape is not None:
        st.html(_draw(escape(original(run, sample_id)), sample_id, shape))
        st.caption(shape.sentence())


def _find_shape(run: Run, sample_id: int) -> Shape | None:
    size = data.image_size(run, sample_id)
    if size is None or size["original_width"] is None or size["original_height"] is None:
        return None
    return Shape(size["original_width"], size["original_height"], int(size["width"] or 0))


def _pixels(width: int, height: int) -> str:
    """ "4,032 x 3,024 px", never broken over two lines."""
    return f"{width:,} x {height:,} px".replace(" ", NO_BREAK)


def _draw(url: str, sample_id: int, shape: Shape) -> str:
    """Return the HTML of the picture with its aspect ratio, limited in height, and the frame over it."""
    tallest, rendering = (TALLEST_OF_FEW, "pixelated") if shape.has_few_pixels else (TALLEST, "auto")
    box = f"position:relative;width:min(100%, {tallest * shape.width / shape.height:.0f}px)"
    image = f"display:block;width:100%;aspect-ratio:{shape.width}/{shape.height};image-rendering:{rendering}"
    left, top = ((1 - min(shape.width, shape.height) / length) / 2 for length in (shape.width, shape.height))
    place = f"left:{left:.2%};right:{left:.2%};top:{top:.2%};bottom:{top:.2%}"
    frame = f'<div style="position:absolute;{place};{FRAME}"></div>' if shape.is_cut else ""
    return f'<div style="{box}"><img src="{url}" alt="Sample {sample_id} as it came" style="{image}">{frame}</div>'
