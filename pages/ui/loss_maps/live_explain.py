"""The one door to the pipeline: a loss map that was not computed beforehand, and images that are in no lake.

Open where the `train` extra is installed and the run's model is in the lake; without it the pages show what is there.
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
    """Whether maps of this run can be computed now."""
    rows = {table["name"]: table["rows"] for table in run.facts["tables"]}
    return rows.get("models", 0) > 0 and importlib.util.find_spec("torch") is not None


def explain(run: Run, image_HWC: NDArray[np.uint8], fold: int, target: str, behind: str | None = None) -> "Explained":
    """The maps of a class's loss, or of its margin over the class `behind`, by the model of a fold."""
    others = None if behind is None else run.classes.index(behind)
    return _model(run.lake.root, run.run_id, fold).explain(image_HWC, run.classes.index(target), others)


def probabilities(run: Run, image_HWC: NDArray[np.uint8]) -> pl.DataFrame:
    """Calibrated probability of every class, most probable first: label and probability."""
    found = _model(run.lake.root, run.run_id, 0).probabilities(image_HWC)
    return pl.DataFrame({"label": run.classes, "probability": found}).sort("probability", descending=True)


def embedding(run: Run, image_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The features of an image before the classifier [D]."""
    return _model(run.lake.root, run.run_id, 0).embedding(image_HWC)


def image_of(run: Run, sample_id: int) -> NDArray[np.uint8]:
    """The pixels of a sample [H, W, 3]."""
    found = run.scan("images").filter(pl.col("sample_id") == sample_id).select("png").collect()
    return _decode(found.item())


def read_upload(content: bytes, run: Run) -> NDArray[np.uint8]:
    """A reader's image as an image of the run's source becomes a sample: the middle of it, square [H, W, 3].

    Raises `UserError` with what is wrong with the file.
    """
    from pipeline.data.decode import Unusable, decode

    found = decode(content, _side(run.lake.root, run.run_id))
    if not isinstance(found, Unusable):
        return found
    if found.reason == "too many pixels":
        raise UserError(f"The image has {found.detail}: make it smaller.")
    raise UserError("The file is no image that can be read: choose a PNG, JPEG or WebP file.")


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
