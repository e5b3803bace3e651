"""Middleware around every request: allowed host names, the login, and security headers.

Without a valid cookie only the shell of the pages is served, in which the frame shows the button to log in: no
image, download, upload or route that is added later.
"""

import json
import logging

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lake.errors import UsageError, UserError
from pages.ui.internals.streamlit_internals import (
    StreamlitAuthError,
    cookie_content,
    is_authlib_installed,
    validate_auth_credentials,
)
from pages.ui.server.hosts import HostNames
from pages.ui.server.shell import ProbesAtRoot
from pages.ui.session.access import Visitor, find_visitor, is_on_loopback, list_hosts, login
from pages.ui.session.base_path import below_base
from pages.ui.session.navigation import ENTRIES

LOGIN_PATHS = {"/auth/login", "/auth/logout", "/oauth2callback"}
OPERATOR_PATHS = {"/healthz", "/readyz", "/metrics"}
"""These routes check access themselves."""
SHELL_PATHS = {"/", "/index.html", "/favicon.png", "/manifest.json"} | {f"/{entry.name}" for entry in ENTRIES}
PROBES = {"/_stcore/health", "/_stcore/host-config"}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'self'",
}


def middleware() -> list[Middleware]:
    """Return the middleware of the app; exits with a one-line message if the settings are invalid."""
    try:
        _check_login()
        hosts = list_hosts()
    except (UserError, StreamlitAuthError) as error:
        raise SystemExit(f"latentlake: {' '.join(str(error).split())}") from None
    return [Middleware(HostNames, hosts=hosts), Middleware(ProbesAtRoot), Middleware(Guard)]


class Guard:
    """Middleware that enforces a configured login and adds security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the websocket carries the cookie itself, and the frame asks who it is
            await self.app(scope, receive, send)
            return
        answer = _refuse(HTTPConnection(scope)) or self.app

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), below_base(scope["path"]))
            await send(message)

        await answer(scope, receive, send_with_headers)


def visitor_of(connection: HTTPConnection) -> Visitor | None:
    """Return the user of the signed cookie of a request; None if it is missing, forged, expired or of another app."""
    settings = login()
    if settings is None:
        return None
    content = cookie_content(connection.cookies)
    claims = json.loads(content) if content else {}
    return find_visitor(claims) if claims.get("origin") == settings.origin else None


def may_read(connection: HTTPConnection) -> bool:
    """Return whether a request may read the contents of the lake."""
    if login() is None:
        return True
    visitor = visitor_of(connection)
    return visitor is not None and visitor.allowed


def _refuse(connection: HTTPConnection) -> Response | None:
    try:
        if _is_open(below_base(connection.scope["path"])) or may_read(connection):
            return None
    except UserError:
        return PlainTextResponse("The login of this app is misconfigured.", status_code=503)
    return PlainTextResponse("Log in first.", status_code=401, headers={"Cache-Control": "no-store"})


def _is_open(path: str) -> bool:
    """Return whether a path is open to everybody: only what logging in requires."""
    if path in LOGIN_PATHS | OPERATOR_PATHS | PROBES or path.startswith("/static/"):
        return True
    return (path.rstrip("/") or "/") in SHELL_PATHS


def _add_headers(headers: MutableHeaders, path: str) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    if path == "/auth/logout":
        headers["Clear-Site-Data"] = '"cache"'  # thumbnails are cached for ever, but not for the next user


def _check_login() -> None:
    settings = login()
    if settings is None:
        if not is_on_loopback():
            logging.getLogger("latentlake").warning(_OPEN_WARNING)
        return
    if not is_authlib_installed():
        raise UsageError("A login needs the package Authlib: pip install '.[login]'.")
    for provider in settings.providers:
        validate_auth_credentials(provider)


_OPEN_WARNING = (
    "Warning: everybody who reaches this address can read the lake and add reviews: the app listens beyond loopback "
    "and no login is configured (docs/security.md)."
)
