"""A signed loss map: lookup or computation, description in words, and export."""

import io
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from lake.contracts.rows import LossMapRow, first_row
from lake.exports.spreadsheet_csv import to_spreadsheet_csv
from lake.query.loss_maps import FLOOR_NATS, border_and_centre, scan_map, to_cells
from lake.storage.store import Run
from pages.charts.palette import LOWERS, NEUTRAL, RAISES
from pages.text.formatting import number, plain
from pages.ui.loss_maps import live_explain

Check = Literal["loss", "loss_without_red", "loss_without_blue", "loss_without_other"]
CHECKS: dict[Check, str] = {
    "loss": "As it is",
    "loss_without_red": "Red quarter blurred",
    "loss_without_blue": "Blue quarter blurred",
    "loss_without_other": "As much elsewhere",
}
EXPORT_SIDE, BAR, MARGIN = 512, 18, 12
Target = tuple[str, str | None]
"""The class whose loss is explained, and the class its margin is over, if that is explained instead."""


@dataclass(frozen=True)
class SignedMap:
    """A map in nats with its check."""

    values_HW: NDArray[np.float32]
    target: Target
    checks: dict[str, float | None]
    """Loss, or margin, as it is and with parts of the image blurred; None if not measured."""

    @property
    def max_abs(self) -> float:
        return float(np.abs(self.values_HW).max())

    @property
    def says_nothing(self) -> bool:
        """Whether there is nothing to explain: no cell matters to the loss."""
        return self.max_abs < FLOOR_NATS

    @property
    def what(self) -> str:
        """The explained quantity: "loss", or "margin of cat over dog"."""
        return "loss" if self.target[1] is None else f"margin of {self.target[0]} over {self.target[1]}"

    def cells(self) -> pl.DataFrame:
        """Return one row per cell: row, column and value."""
        return to_cells(self.values_HW)

    def sentence(self) -> str:
        """Describe the effect of border and centre, and of blurring the red quarter, in Markdown."""
        what = plain(self.what)
        if self.says_nothing:
            return f"The model is sure of {plain(self.target[0])}: no region matters to the {what}, nothing to explain."
        border, centre = border_and_centre(self.values_HW)
        summary = f"The border {effect(border, what)}, the centre {effect(centre, what)}."
        before, without, other = (self.checks.get(c) for c in ("loss", "loss_without_red", "loss_without_other"))
        if before is None or without is None or other is None:
            return summary
        return (
            f"{summary} Blurring the red quarter takes the {what} from **{number(before)}** to "
            f"**{number(without)}**, blurring as much elsewhere to {number(other)}."
        )


def effect(nats: float, what: str = "loss") -> str:
    """ "raises the loss by 0.8 nats"."""
    return f"{'raises' if nats > 0 else 'lowers'} the {what} by **{number(abs(nats))} nats**"


def find_map(run: Run, sample_id: int, layer: str, target: Target) -> SignedMap | None:
    """Return the stored map, else compute it; None if that is impossible."""
    label, behind = target
    if behind is None:
        stored = first_row(scan_map(run, sample_id, layer, label).collect(), LossMapRow)
        if stored:
            return _of_row(stored)
    if not live_explain.is_open(run):
        return None
    fold = run.scan("predictions").filter(pl.col("sample_id") == sample_id).select("fold").collect().item()
    return compute_map(run, live_explain.image_of(run, sample_id), layer, target, fold=fold or 0)


def compute_map(run: Run, image_HWC: NDArray[np.uint8], layer: str, target: Target, *, fold: int = 0) -> SignedMap:
    """Compute the map of an image."""
    explained = live_explain.explain(run, image_HWC, fold, *target)
    checks = {name: None if math.isnan(value) else value for name, value in explained.checks[layer].items()}
    return SignedMap(explained.maps[layer], target, {"loss": explained.value, **checks})


def to_csv(signed_map: SignedMap) -> bytes:
    """Export the cells as CSV: row, column and nats, from the top left corner."""
    return to_spreadsheet_csv(signed_map.cells().rename({"value": "nats"}))


def to_png(signed_map: SignedMap, image_HWC: NDArray[np.uint8], *, limit: float, opacity: float, title: str) -> bytes:
    """Export the image and the map over it, with a title and the colour bar, as PNG."""
    under = Image.fromarray(image_HWC).resize((EXPORT_SIDE, EXPORT_SIDE), Image.Resampling.NEAREST)
    over = Image.fromarray(_colors(signed_map.values_HW, limit)).resize(under.size, Image.Resampling.NEAREST)
    sheet = Image.new("RGB", (EXPORT_SIDE + 2 * MARGIN, EXPORT_SIDE + 4 * BAR + 4 * MARGIN), "white")
    sheet.paste(Image.blend(under, over, opacity), (MARGIN, BAR + 2 * MARGIN))
    ramp = _colors(np.linspace(-limit, limit, EXPORT_SIDE, dtype=np.float32)[None], limit)
    top = EXPORT_SIDE + BAR + 3 * MARGIN
    sheet.paste(Image.fromarray(np.repeat(ramp, BAR, axis=0)), (MARGIN, top))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    draw.text((MARGIN, MARGIN), title, "black", font)
    ends = {f"-{number(limit)}": "la", "0": "ma", f"+{number(limit)} nats": "ra"}
    for place, (text, anchor) in zip((0, 0.5, 1), ends.items(), strict=True):
        draw.text((MARGIN + place * EXPORT_SIDE, top + BAR + 4), text, "black", font, anchor=anchor)
    encoded = io.BytesIO()
    sheet.save(encoded, "PNG")
    return encoded.getvalue()


def _of_row(row: LossMapRow) -> SignedMap:
    values = np.asarray(row["values"], np.float32).reshape(row["height"], row["width"])
    return SignedMap(values, (row["target"], None), {name: row[name] for name in CHECKS})


def _colors(values_HW: NDArray[np.float32], limit: float) -> NDArray[np.uint8]:
    """Return the colours of values as on the page [H, W, 3]."""
    ends = np.array([ImageColor.getrgb(color) for color in (LOWERS, NEUTRAL, RAISES)], dtype=float)
    positions = np.clip(values_HW / limit, -1, 1) + 1
    channels = [np.interp(positions, [0, 1, 2], ends[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
