"""Routes for operators: `/healthz` (the process is alive), `/readyz` (it can serve) and `/metrics`.

If a login is configured, details require a login, the token, or a request from this machine.
"""

import datetime as dt
import hmac

import anyio
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Info, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from lake.errors import UserError
from lake.storage.store import Run, default_root
from pages.ui.core import data
from pages.ui.server.guard import may_read
from pages.ui.server.hosts import is_local
from pages.ui.session import telemetry
from pages.ui.session.access import access, login

SECONDS_TO_ANSWER = 3
NO_STORE = {"Cache-Control": "no-store"}
REASONS = {
    "empty": "The lake has no published run yet.",
    "unreadable": "The lake cannot be read.",
    "slow": f"The lake did not answer within {SECONDS_TO_ANSWER} s.",
}


async def serve_healthz(request: Request) -> Response:  # noqa: ARG001
    """Return 200 while the process answers, without reading the lake."""
    return PlainTextResponse("ok", headers=NO_STORE)


async def serve_readyz(request: Request) -> Response:
    """Return 200 with the latest run, or 503 with the reason; strangers get "ok" or one word."""
    latest = await _open_latest()
    trusted = _is_trusted(request)
    if isinstance(latest, str):
        return PlainTextResponse(REASONS[latest] if trusted else latest, status_code=503, headers=NO_STORE)
    if not trusted:
        return PlainTextResponse("ok", headers=NO_STORE)
    published = latest.facts["published_at"]
    summary = {
        "run_id": latest.run_id,
        "published_at": published.isoformat(),
        "age_hours": round(_age(latest) / 3600, 2),
    }
    return JSONResponse(summary, headers=NO_STORE)


async def serve_metrics(request: Request) -> Response:
    """Return all metrics in the format of Prometheus; 401 for strangers."""
    if not _is_trusted(request):
        return PlainTextResponse(
            "A token is needed.", status_code=401, headers={"WWW-Authenticate": "Bearer"} | NO_STORE
        )
    text = generate_latest(telemetry.REGISTRY) + generate_latest(_describe(await _open_latest()))
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST} | NO_STORE)


async def _open_latest() -> Run | str:
    """Return the latest run, or the key of `REASONS` if it cannot be opened."""
    with anyio.move_on_after(SECONDS_TO_ANSWER):
        try:
            run = await anyio.to_thread.run_sync(data.read_latest, default_root(), abandon_on_cancel=True)
        except UserError as error:
            telemetry.count_error(error)
            return "unreadable"
        return run or "empty"
    return "slow"


def _describe(latest: Run | str) -> CollectorRegistry:
    """Return gauges of the latest run; only `latentlake_ready` if it cannot be opened."""
    registry = CollectorRegistry()
    ready = Gauge("latentlake_ready", "Whether the latest run can be read.", registry=registry)
    if isinstance(latest, str):
        return registry
    ready.set(1)
    Info("latentlake_run", "The latest run.", registry=registry).info(
        {"run_id": latest.run_id, "preset": latest.facts["preset"], "dataset_id": latest.dataset_id}
    )
    Gauge("latentlake_data_age_seconds", "Since the latest run was published.", registry=registry).set(_age(latest))
    versions = Gauge("latentlake_table_version", "Version that the run pins.", ["table"], registry=registry)
    rows = Gauge("latentlake_table_rows", "Rows of the run.", ["table"], registry=registry)
    for table in latest.facts["tables"]:
        versions.labels(table["name"]).set(table["version"])
        rows.labels(table["name"]).set(table["rows"])
    return registry


def _age(run: Run) -> float:
    return (dt.datetime.now(dt.UTC) - run.facts["published_at"]).total_seconds()


def _is_trusted(request: Request) -> bool:
    """Return whether a request may get details: by the token if one is set, else by login or from this machine."""
    token = access().metrics_token
    if token is not None:
        authorization = request.headers.get("authorization", "").encode()
        expected = f"Bearer {token.get_secret_value()}".encode()
        return hmac.compare_digest(authorization, expected) or (login() is not None and may_read(request))
    return may_read(request) or is_local(request)


ROUTES = [
    Route("/healthz", serve_healthz),
    Route("/readyz", serve_readyz),
    Route("/metrics", serve_metrics),
]
NAMES = [route.path.strip("/") for route in ROUTES]
