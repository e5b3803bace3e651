"""Which host names and origins are answered; everybody else is told which setting names them.

Streamlit asks a server elsewhere for the address of this machine as soon as a websocket comes from an origin it does
not know. Such requests end here.
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
    """Refuses requests under other names than `hosts` (`*.example.org` and `*` too), and websockets of other sites.

    This machine may always ask for itself as localhost: a container's health check, somebody before its screen.
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
        """Whether a websocket comes from a page of this app, or from no page; a proxy may have changed the host."""
        origin = connection.headers.get("origin")
        if origin is None:
            return True
        place = _place(origin)
        known = (*LOOPBACK_HOSTS, *(host for host in self.hosts if host != "*"))
        return place == connection.headers.get("host", "").lower() or any(_matches(_bare(place), h) for h in known)


def host_name(connection: HTTPConnection) -> str:
    """The host that a request asks for, in lower case and without its port."""
    return _bare(connection.headers.get("host", "").lower())


def is_local(connection: HTTPConnection) -> bool:
    """Whether this machine asks for itself under a name of loopback, and not a proxy on it for somebody else."""
    forwarded = any(name == "forwarded" or name.startswith("x-forwarded") for name in connection.headers)
    return _is_loopback(connection) and host_name(connection) in LOOPBACK_HOSTS and not forwarded


def _refuse_origin(connection: HTTPConnection) -> Response:
    """403, and why for whoever runs the app: nobody sees what a websocket is answered with."""
    name = _bare(_place(connection.headers["origin"]))
    said = name if NAME.fullmatch(name) else "another site"
    logging.getLogger("latentlake").warning(_OTHER_SITE, said)
    return PlainTextResponse("Pages of another site cannot connect to this app.", status_code=403)


def _from_own_host(scope: Scope) -> Scope:
    """A websocket that may connect, under the host of its page, which a proxy may have changed."""
    origin = HTTPConnection(scope).headers.get("origin")
    if scope["type"] != "websocket" or origin is None:
        return scope
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {**scope, "headers": [*others, (b"host", _place(origin).encode("latin-1"))]}


def _is_loopback(connection: HTTPConnection) -> bool:
    try:
        address = ip_address(connection.client.host if connection.client else "")
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _place(origin: str) -> str:
    """Host and port of an origin in lower case; empty where it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _bare(host: str) -> str:
    return re.sub(r":\d+$", "", host)


def _matches(name: str, host: str) -> bool:
    return host == "*" or name == host or (host.startswith("*.") and name.endswith(host[1:]))


def _hint(name: str) -> str:
    """What to do, with the name only where it is one: nothing else that a stranger wrote is sent back."""
    if not NAME.fullmatch(name):
        return UNNAMED
    return (
        f"Invalid host header: this app does not answer to the name {name}. Whoever runs it adds the name to those of "
        f"the variable LATENTLAKE_ALLOWED_HOSTS, for example LATENTLAKE_ALLOWED_HOSTS={name} where it has none."
    )


_OTHER_SITE = (
    "Refused a page of %s that wants to connect. Where a proxy before this app changes the host, name what people type "
    "in LATENTLAKE_ALLOWED_HOSTS."
)
