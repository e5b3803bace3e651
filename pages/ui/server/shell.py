"""The HTML page that browsers load at the URL of each page, and redirects to it.

Streamlit's client detects the path that a proxy keeps or strips by requesting `_stcore/health` below the page's own URL
first. Here the page contains the answer: every page lies one level below the app, so the app is at `./`.
"""

import re
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pages.ui.internals.streamlit_internals import get_static_dir
from pages.ui.session.base_path import base, below_base
from pages.ui.session.navigation import ENTRIES

START, *OTHERS = (entry.name for entry in ENTRIES)
PROBE = re.compile(rf"(?:/(?:{'|'.join((START, *OTHERS))}))?(/_stcore/(?:health|host-config))")
MODULE_TAG = '<script type="module"'
BACKEND_SCRIPT = '<script>window.__streamlit = { BACKEND_BASE_URL: new URL("./", location.href).href }</script>'


class ProbesAtRoot:
    """Middleware that answers Streamlit's probes below a page, and at the root next to a base path."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        probe = PROBE.fullmatch(below_base(scope["path"])) if scope["type"] == "http" else None
        await self.app({**scope, "path": base() + probe[1]} if probe else scope, receive, send)


def serve_shell(request: Request) -> Response:  # noqa: ARG001
    """Return Streamlit's page with the URL of the app."""
    return HTMLResponse(_shell(), headers={"Cache-Control": "no-cache"})


@cache
def _shell() -> str:
    return (Path(get_static_dir()) / "index.html").read_text().replace(MODULE_TAG, BACKEND_SCRIPT + MODULE_TAG, 1)


def _lead_to(location: str, request: Request) -> Response:
    """Return a redirect relative to the requested URL, which a proxy may have changed."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{location}{query}", headers={"Cache-Control": "no-cache"})


def _lead_to_start(request: Request) -> Response:
    return _lead_to("../" if request.url.path.endswith("/") else "./", request)


def _without_slash(request: Request) -> Response:
    return _lead_to(f"../{request.url.path.rstrip('/').rpartition('/')[2]}", request)


ROUTES = [
    Route("/", serve_shell),
    *(Route(f"/{START}{slash}", _lead_to_start) for slash in ("", "/")),
    *(Route(f"/{name}", serve_shell) for name in OTHERS),
    *(Route(f"/{name}/", _without_slash) for name in OTHERS),
]
