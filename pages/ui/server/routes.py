"""Images over HTTP, cached for ever by the browser because images of a dataset and pictures of a run never change.

Thumbnails are read a thousand at a time, so that a gallery costs one read of the lake; originals one by one.
"""

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlsplit

import polars as pl
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from lake.errors import LakeError, UserError
from lake.query.filters import Filters
from lake.storage.damage import reading
from lake.storage.partitions import RUN_ID
from lake.storage.store import Lake, default_root
from pages.charts import projection_layers
from pages.charts.projection_state import MapState
from pages.ui.core import data
from pages.ui.map import projection_offers
from pages.ui.server import health, shell
from pages.ui.session import telemetry
from pages.ui.session.base_path import base

BLOCK, LARGEST_ID = 1000, 2**63 - 1
IMAGES = ("pictures", "thumbnails", "originals")
PNG = b"\x89PNG"
FOREVER = "private, max-age=31536000, immutable"


def read_image(address: str) -> bytes | None:
    """Return the image at a URL of this server; None if there is none."""
    parts = urlsplit(address)
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/{parts.path}",
        "query_string": parts.query.encode(),
        "headers": [],
    }
    for route in ROUTES:
        match, child_scope = route.matches(scope)
        if match is Match.FULL:
            response = route.endpoint(Request({**scope, **child_scope}))
            return response.body if response.status_code == 200 else None
    return None


def list_routes() -> list[Route]:
    """Return the routes below the base path; those of health checks also at the root."""
    below = [Route(f"{base()}{route.path}", route.endpoint) for route in (*shell.ROUTES, *ROUTES)]
    return [*below, *health.ROUTES] if base() else below


def serve_picture(request: Request) -> Response:
    """Return the picture under the dots of the map for the given parameters; 404 if the run cannot answer them."""
    try:
        with reading(default_root()):
            run = data.open_run(default_root(), request.path_params["run_id"])
            samples = data.samples(run).collect()
            state, rejected = projection_offers.read_state(request.query_params, run)
            filters = Filters.from_text(request.query_params.get("f", "")).checked(samples.schema)
            png = _draw(default_root(), run.run_id, filters, state)
    except UserError:
        return Response("no such picture", status_code=404)
    if rejected:
        return Response("no such picture", status_code=404)
    return Response(png, media_type="image/png", headers={"Cache-Control": FOREVER})


@lru_cache(maxsize=64)
def _draw(root: str, run_id: str, filters: Filters, state: MapState) -> bytes:
    """Draw the picture; cached for other readers of the same view."""
    run = data.open_run(root, run_id)
    return projection_layers.draw(
        data.samples(run).collect(), filters, state, data.color_scale(run, state.color, state.colored)
    )


def serve_thumbnail(request: Request) -> Response:
    """Return the PNG of one sample, or 404."""
    return _serve_image(request, _read_thumbnail, absent="no such sample")


def serve_original(request: Request) -> Response:
    """Return the original picture of one sample, PNG or JPEG; 404 if none was kept."""
    return _serve_image(request, _read_original, absent="no original of such a sample")


def _serve_image(request: Request, read: Callable[[str, str, int], bytes | None], *, absent: str) -> Response:
    dataset_id, sample_id = request.path_params["dataset_id"], request.path_params["sample_id"]
    if not RUN_ID.fullmatch(dataset_id):
        return Response("no such dataset", status_code=404)
    if sample_id > LARGEST_ID:
        return Response(absent, status_code=404)
    try:
        image = read(default_root(), dataset_id, sample_id)
    except LakeError as error:
        telemetry.count_error(error)
        return Response("the lake cannot be read", status_code=503)
    if image is None:
        return Response(absent, status_code=404)
    kind = "image/png" if image.startswith(PNG) else "image/jpeg"
    return Response(image, media_type=kind, headers={"Cache-Control": FOREVER})


def _read_thumbnail(root: str, dataset_id: str, sample_id: int) -> bytes | None:
    """Return a thumbnail from its block, or on its own if it was added after the block was read."""
    block = _read_block(root, dataset_id, sample_id // BLOCK)
    return block.get(sample_id) or _read_images(root, dataset_id, sample_id, sample_id).get(sample_id)


def _read_original(root: str, dataset_id: str, sample_id: int) -> bytes | None:
    return _read_images(root, dataset_id, sample_id, sample_id, column="original").get(sample_id)


@lru_cache(maxsize=128)
def _read_block(root: str, dataset_id: str, block: int) -> dict[int, bytes]:
    return _read_images(root, dataset_id, block * BLOCK, (block + 1) * BLOCK - 1)


def _read_images(root: str, dataset_id: str, first: int, last: int, *, column: str = "png") -> dict[int, bytes]:
    in_range = pl.col("sample_id").is_between(first, last)
    with telemetry.query("images"), reading(root):
        rows = Lake(root).staged("images", dataset_id).filter(in_range).select("sample_id", column).collect()
    return dict(rows.iter_rows())


def _no_such_address(request: Request) -> Response:  # noqa: ARG001
    return Response("no such address", status_code=404)


# Without the last routes Streamlit would answer any other address here with the app's own page.
ROUTES = [
    *health.ROUTES,
    Route("/pictures/{run_id}.png", serve_picture),
    Route("/thumbnails/{dataset_id}/{sample_id:int}.png", serve_thumbnail),
    Route("/originals/{dataset_id}/{sample_id:int}", serve_original),
    *(Route(f"/{name}", _no_such_address) for name in IMAGES),
    *(Route(f"/{name}/{{rest:path}}", _no_such_address) for name in (*IMAGES, *health.NAMES)),
]
