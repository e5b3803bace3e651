"""Pairs of similar images, side by side with their difference."""

import base64
from collections.abc import Iterator
from html import escape
from itertools import product

import numpy as np
import polars as pl
import streamlit as st
from numpy.typing import NDArray

from lake.contracts.rows import DuplicateRow, rows_of
from lake.pictures import encode_png
from lake.storage.store import Run
from pages.text.formatting import number
from pages.ui.core import data
from pages.ui.loss_maps.live_explain import image_of
from pages.ui.session.addresses import thumbnail

PAIRS, SIDE = 12, 88
REACH, GREY = 2, 128
STYLE = f"width:{SIDE}px;height:{SIDE}px;image-rendering:pixelated;border-radius:6px;margin-right:4px"


class Pair(DuplicateRow):
    """A pair of similar samples, the smaller id first."""

    first: int
    second: int


def show_pairs(run: Run, copies: pl.DataFrame) -> None:
    """Show each pair once, leaks first, then by similarity, a page at a time."""
    pairs = unique_pairs(copies)
    pages = max(1, -(-len(pairs) // PAIRS))
    box, _ = st.columns([1, 6])
    page = box.number_input(f"Page of {pages:,}", 1, pages, key="pairs-page") if pages > 1 else 1
    split = dict(data.samples(run).select("sample_id", "split").collect().iter_rows())
    label = dict(data.samples(run).select("sample_id", pl.col("label").fill_null("withheld")).collect().iter_rows())
    page_pairs = rows_of(pairs.slice((int(page) - 1) * PAIRS, PAIRS), Pair)
    for start in range(0, len(page_pairs), 3):
        for column, pair in zip(st.columns(3), page_pairs[start : start + 3], strict=False):
            with column.container(border=True):
                _show_pair(run, pair, split, label)


def unique_pairs(copies: pl.DataFrame) -> pl.DataFrame:
    """Return one row per pair, leaks first, then by correlation."""
    ids = [pl.col("sample_id"), pl.col("duplicate_id")]
    sides = copies.with_columns(first=pl.min_horizontal(ids), second=pl.max_horizontal(ids))
    return sides.unique(["first", "second"], keep="first", maintain_order=True).sort(
        "leak", "correlation", "first", descending=[True, True, False]
    )


def difference(first_HWC: NDArray[np.uint8], second_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the difference of two images: grey where equal, lighter or darker where the second is.

    The second is first mirrored and shifted by up to 2 px to minimise the difference; missing pixels are grey.
    """
    aligned = min(_alignments(second_HWC), key=lambda other: float(np.nanmean(np.abs(other - first_HWC))))
    return np.nan_to_num((aligned - first_HWC) / 2 + GREY, nan=GREY).clip(0, 255).astype(np.uint8)


def _alignments(image_HWC: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
    """Yield the image and its mirror image at every shift, smallest first, with nan outside the image."""
    height, width = image_HWC.shape[:2]
    border = ((REACH, REACH), (REACH, REACH), (0, 0))
    sides = [np.pad(i.astype(np.float32), border, constant_values=np.nan) for i in (image_HWC, image_HWC[:, ::-1])]
    steps = sorted(product(range(2 * REACH + 1), repeat=2), key=lambda step: sum(abs(s - REACH) for s in step))
    for (dy, dx), side in product(steps, sides):
        yield side[dy : dy + height, dx : dx + width]


def _show_pair(run: Run, pair: Pair, split: dict[int, str], label: dict[int, str]) -> None:
    ids = [pair["first"], pair["second"]]
    delta = encode_png(difference(*(image_of(run, i) for i in ids)))
    sources = [*(thumbnail(run, i) for i in ids), f"data:image/png;base64,{base64.b64encode(delta).decode()}"]
    names = [*(f"Sample {i}" for i in ids), "Difference"]
    pictures = zip(sources, names, strict=True)
    st.html("".join(f'<img src="{escape(s)}" alt="{n}" title="{n}" style="{STYLE}">' for s, n in pictures))
    samples = " and ".join(f"{i} ({split[i]}, {label[i]})" for i in ids)
    leak = ", a leak" if pair["leak"] else ""
    st.caption(f"{samples}: {pair['tier']}{leak}, correlation {number(pair['correlation'])}")
