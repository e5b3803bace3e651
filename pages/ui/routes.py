"""Thumbnails over HTTP, cached for ever by the browser: an image of a dataset never changes.

Images are read a thousand at a time, so that a gallery costs one read of the lake.
"""

from functools import lru_cache

import polars as pl
import streamlit as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lake.errors import LakeError
from lake.store import RUN_ID, Lake, Run, default_root, reading

BLOCK = 1000
FOREVER = "private, max-age=31536000, immutable"


def thumbnail(run: Run, sample_id: int) -> str:
    """The address of a sample's image, under the server's base path."""
    return f"{thumbnail_folder(run)}{sample_id}.png"


def thumbnail_folder(run: Run) -> str:
    """The address that the images of the run's dataset share, up to the number of the sample."""
    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    return (f"/{base}" if base else "") + f"/thumbnails/{run.dataset_id}/"


def serve_thumbnail(request: Request) -> Response:
    """The PNG of one sample, or 404."""
    dataset_id, sample_id = request.path_params["dataset_id"], request.path_params["sample_id"]
    if not RUN_ID.fullmatch(dataset_id):
        return Response("no such dataset", status_code=404)
    try:
        png = _read_block(default_root(), dataset_id, sample_id // BLOCK).get(sample_id)
    except LakeError:
        return Response("the lake cannot be read", status_code=503)
    if png is None:
        return Response("no such sample", status_code=404)
    return Response(png, media_type="image/png", headers={"Cache-Control": FOREVER})


@lru_cache(maxsize=128)
def _read_block(root: str, dataset_id: str, block: int) -> dict[int, bytes]:
    wanted = pl.col("sample_id").is_between(block * BLOCK, (block + 1) * BLOCK - 1)
    with reading(root):
        rows = Lake(root).staged("images", dataset_id).filter(wanted).select("sample_id", "png").collect()
    return dict(rows.iter_rows())


def _no_such_image(request: Request) -> Response:  # noqa: ARG001
    return Response("no such image", status_code=404)


# Without the second route Streamlit would answer any other address here with the app's own page.
ROUTES = [
    Route("/thumbnails/{dataset_id}/{sample_id:int}.png", serve_thumbnail),
    Route("/thumbnails/{rest:path}", _no_such_image),
]
