"""Measure image properties in CIELAB (sRGB, D65), for the background ring and the central object.

The ring is a border of 3 px of 32 and the object the central 16 x 16 of 32, both scaled with the image; this is a
proxy, and the pages say so. Contrast, plainness, edges and sharpness are of colour, not only of lightness: red on a
green of the same lightness is a strong edge.
Conversion: IEC 61966-2-1 and CIE 15:2004.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.engine.batch_map import Batch, cut, map_batches
from pipeline.engine.progress import Progress
from pipeline.settings import Settings

BLOCK = 5000
RING_SHARE, OBJECT_SHARE = 3 / 32, 16 / 32
MIN_CHROMA_FOR_HUE = 10.0
EDGE_GRADIENT = 12.0

_SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
    np.float32,
)
_WHITE_D65 = np.array([0.95047, 1.0, 1.08883], np.float32)


def srgb_to_lab(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """L* (0-100), a* and b* [N, H, W, 3] of 8-bit sRGB images."""
    value = np.arange(256, dtype=np.float32) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)
    xyz = linear[images_NHWC] @ _SRGB_TO_XYZ.T / _WHITE_D65
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def compute_properties(
    images_NHWC: NDArray[np.uint8], settings: Settings, progress: Progress, *, rows: NDArray[np.int64] | None = None
) -> pl.DataFrame:
    """The columns of `properties` without its keys, one row for each image at `rows` (all by default)."""
    image_rows = np.arange(len(images_NHWC)) if rows is None else rows
    batches = cut(lambda part: {"images_NHWC": images_NHWC[image_rows[part]]}, len(image_rows), BLOCK)
    columns = map_batches("properties", Meter, (), batches, count=len(image_rows), settings=settings, progress=progress)
    return pl.DataFrame(columns).with_columns(pl.col("object_hue").fill_nan(None))


class Meter:
    """The properties of a batch of images by name, [N] each; an undefined hue is NaN."""

    def __call__(self, batch: Batch) -> Batch:
        return _measure(srgb_to_lab(batch["images_NHWC"]))


def _measure(lab_NHWC: NDArray[np.float32]) -> Batch:
    lightness = lab_NHWC[..., 0]
    ring, centre = _regions(*lightness.shape[1:])
    chroma = np.hypot(lab_NHWC[..., 1], lab_NHWC[..., 2])
    bg_lightness = np.median(lightness[:, ring], axis=1)
    object_lightness = np.median(lightness[:, centre], axis=1)
    object_chroma = chroma[:, centre].mean(1)
    hue = np.degrees(np.arctan2(lab_NHWC[:, centre, 2].sum(1), lab_NHWC[:, centre, 1].sum(1))) % 360
    down, across = np.gradient(lab_NHWC, axis=(1, 2))
    gradient = np.sqrt((down**2 + across**2).sum(-1))
    columns = {
        "bg_lightness": bg_lightness.clip(0, 100),
        "bg_plainness": _spread(lab_NHWC[:, ring]),
        "bg_chroma": chroma[:, ring].mean(1),
        "object_lightness": object_lightness.clip(0, 100),
        "shade": object_lightness - bg_lightness,
        "object_chroma": object_chroma,
        "object_hue": np.where(object_chroma > MIN_CHROMA_FOR_HUE, hue, np.nan),
        "contrast": _spread(lab_NHWC.reshape(len(lab_NHWC), -1, 3)),
        "sharpness": _laplacian(lab_NHWC).var((1, 2)).sum(-1),
        "edge_density": (gradient > EDGE_GRADIENT).mean((1, 2)),
    }
    return {name: values.astype(np.float64) for name, values in columns.items()}


def _regions(height: int, width: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks [H, W] of the border ring and the central object."""
    row, column = np.arange(height)[:, None], np.arange(width)[None, :]
    edge = np.minimum(np.minimum(row, height - 1 - row) / height, np.minimum(column, width - 1 - column) / width)
    return edge < RING_SHARE, edge >= (1 - OBJECT_SHARE) / 2


def _spread(lab_NPC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root mean square distance of the colours [N, P, 3] of P pixels from their mean; of greys, the deviation of L*."""
    return np.sqrt(lab_NPC.var(1).sum(-1))


def _laplacian(lab_NHWC: NDArray[np.float32]) -> NDArray[np.float32]:
    inner = lab_NHWC[:, 1:-1, 1:-1]
    around = lab_NHWC[:, :-2, 1:-1] + lab_NHWC[:, 2:, 1:-1]
    around = around + lab_NHWC[:, 1:-1, :-2] + lab_NHWC[:, 1:-1, 2:]
    return around - 4 * inner
