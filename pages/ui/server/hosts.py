"""Checks of host names and origins; a rejected request is answered with the setting that would allow it.

Streamlit asks an external server for the address of this machine as soon as a websocket comes from an unknown origin.
Such requests are rejected here first.
"""

import logging
import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pages.ui.session.access import LOOPBACK_HOSTS

UNNAMED = "Invalid host header: the request names no host."
NAME = re.compile(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]")


class HostNames:
    """Middleware that rejects requests to names other than `hosts` (also `*.example.org`, `*`) and foreign websockets.

    Requests from this machine to localhost are always allowed: health checks of a container, a local user.
    """

    def __init__(self, app: ASGIApp, *, hosts: tuple[str, ...]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        answer = self._refuse(HTTPConnection(scope)) or self.app
        await answer(_from_own_host(scope), receive, send)

    def _refuse(self, connection: HTTPConnection) -> Response | None:
        name = host_name(connection)
        if not (any(_matches(name, host) for host in self.hosts) or is_local(connection)):
            return PlainTextResponse(_hint(name), status_code=400)
        if connection.scope["type"] == "websocket" and not self._is_own_origin(connection):
            return _refuse_origin(connection)
        return None

    def _is_own_origin(self, connection: HTTPConnection) -> bool:
        """Return whether a websocket comes from this app or from no page; a proxy may have changed the host."""
        origin = connection.headers.get("origin")
        if origin is None:
            return True
        netloc = _netloc(origin)
        own_hosts = (*LOOPBACK_HOSTS, *(host for host in self.hosts if host != "*"))
        return netloc == connection.headers.get("host", "").lower() or any(
            _matches(_without_port(netloc), h) for h in own_hosts
        )


def host_name(connection: HTTPConnection) -> str:
    """Return the host of a request, in lower case and without its port."""
    return _without_port(connection.headers.get("host", "").lower())


def is_local(connection: HTTPConnection) -> bool:
    """Return whether a request comes from this machine to a loopback name, and not through a proxy on it."""
    forwarded = any(name == "forwarded" or name.startswith("x-forwarded") for name in connection.headers)
    return _is_loopback(connection) and host_name(connection) in LOOPBACK_HOSTS and not forwarded


def _refuse_origin(connection: HTTPConnection) -> Response:
    """Return 403 and log the reason for the operator, because browsers hide the answer to a websocket."""
    name = _without_port(_netloc(connection.headers["origin"]))
    site = name if NAME.fullmatch(name) else "another site"
    logging.getLogger("latentlake").warning(_REFUSED_ORIGIN, site)
    return PlainTextResponse("Pages of another site cannot connect to this app.", status_code=403)


def _from_own_host(scope: Scope) -> Scope:
    """Return the scope with the host of the page that a websocket comes from, which a proxy may have changed."""
    origin = HTTPConnection(scope).headers.get("origin")
    if scope["type"] != "websocket" or origin is None:
        return scope
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {**scope, "headers": [*others, (b"host", _netloc(origin).encode("latin-1"))]}


def _is_loopback(connection: HTTPConnection) -> bool:
    try:
        address = ip_address(connection.client.host if connection.client else "")
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _netloc(origin: str) -> str:
    """Return host and port of an origin in lower case; empty if it is invalid."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _without_port(host: str) -> str:
    return re.sub(r":\d+$", "", host)


def _matches(name: str, host: str) -> bool:
    return host == "*" or name == host or (host.startswith("*.") and name.endswith(host[1:]))


def _hint(name: str) -> str:
    """Return the hint for a rejected request; it repeats only valid host names, no other text of a stranger."""
    if not NAME.fullmatch(name):
        return UNNAMED
    return (
        f"Invalid host header: this app does not answer to the name {name}. Its operator can add the name to the "
        f"variable LATENTLAKE_ALLOWED_HOSTS, for example LATENTLAKE_ALLOWED_HOSTS={name} if it is not set."
    )


_REFUSED_ORIGIN = (
    "Rejected a connection from a page of %s. If a proxy in front of this app changes the host, set "
    "LATENTLAKE_ALLOWED_HOSTS to the host name in the address bar."
)
