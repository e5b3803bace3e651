"""Loss maps on demand, also of uploaded images; the only use of the pipeline by the pages.

Requires the `train` extra and a run with its model in the lake; otherwise the pages show only stored maps.
"""

import importlib.util
import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from lake.errors import UserError
from lake.storage.store import Run
from pages.ui.core import data

if TYPE_CHECKING:
    from pipeline.loss_maps.on_demand import Explained, OnDemand


def is_open(run: Run) -> bool:
    """Return whether maps of this run can be computed on demand."""
    rows = {table["name"]: table["rows"] for table in run.facts["tables"]}
    return rows.get("models", 0) > 0 and importlib.util.find_spec("torch") is not None


def explain(run: Run, image_HWC: NDArray[np.uint8], fold: int, target: str, behind: str | None = None) -> "Explained":
    """Compute the maps of a class's loss, or of its margin over the class `behind`, with the model of a fold."""
    others = None if behind is None else run.classes.index(behind)
    return _model(run.lake.root, run.run_id, fold).explain(image_HWC, run.classes.index(target), others)


def probabilities(run: Run, image_HWC: NDArray[np.uint8]) -> pl.DataFrame:
    """Calibrated probability of every class, most probable first: label and probability."""
    values = _model(run.lake.root, run.run_id, 0).probabilities(image_HWC)
    return pl.DataFrame({"label": run.classes, "probability": values}).sort("probability", descending=True)


def embedding(run: Run, image_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The features of an image before the classifier [D]."""
    return _model(run.lake.root, run.run_id, 0).embedding(image_HWC)


def image_of(run: Run, sample_id: int) -> NDArray[np.uint8]:
    """The pixels of a sample [H, W, 3]."""
    rows = run.scan("images").filter(pl.col("sample_id") == sample_id).select("png").collect()
    return _decode(rows.item())


def read_upload(content: bytes, run: Run) -> NDArray[np.uint8]:
    """Decode an uploaded image like the images of the run's source: its central square [H, W, 3].

    Values of more than 8 bits are stretched over the range of the source. Raises `UserError` if it cannot be used.
    """
    from pipeline.data.known_range import read_range
    from pipeline.pixels.decode import Unusable, decode

    image = decode(content, _side(run.lake.root, run.run_id), value_range=read_range(run.facts.get("assumed") or []))
    if not isinstance(image, Unusable):
        return image
    if image.reason == "too many pixels":
        raise UserError(f"The image has {image.detail}: make it smaller.")
    raise UserError("The file is not a readable image: choose a PNG, JPEG or WebP file.")


@st.cache_resource(max_entries=3, show_spinner="Loading the model ...")
def _model(root: str, run_id: str, fold: int) -> "OnDemand":
    from pipeline.loss_maps.on_demand import OnDemand
    from pipeline.model.published_model import load_model

    return OnDemand(load_model(data.open_run(root, run_id), fold=fold))


@lru_cache(maxsize=16)
def _side(root: str, run_id: str) -> int:
    return int(data.open_run(root, run_id).scan("images").select("width").head(1).collect().item())


def _decode(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.array(image.convert("RGB"))
