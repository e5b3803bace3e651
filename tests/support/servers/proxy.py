"""A reverse proxy on loopback, including websockets, that keeps or strips the path prefix."""

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Rule:
    """Requests below `prefix`, such as `/lake/`, are forwarded to the address `to`; everything else is not found."""

    to: str
    prefix: str
    strip: bool

    def rewrite(self, head: bytes) -> bytes | None:
        """The head of a request as the app receives it; None for a path outside the prefix."""
        first, *fields = head.decode("latin-1").splitlines()
        method, path, version = first.split(" ")
        if not path.startswith(self.prefix):
            return None
        if self.strip:
            path = f"/{path.removeprefix(self.prefix)}"
        if not any(field.lower().startswith("upgrade:") for field in fields):
            fields = [field for field in fields if not field.lower().startswith("connection:")] + ["Connection: close"]
        return "\r\n".join([f"{method} {path} {version}", *fields, "", ""]).encode("latin-1")


@contextmanager
def run_proxy(to: str, prefix: str, *, strip: bool) -> Iterator[str]:
    """Run the proxy on a free port until the block ends; yields its address with the prefix."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.rule = Rule(to, prefix, strip)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}{prefix}"
        server.shutdown()


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    rule: Rule

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore browsers that disconnect."""


class _Handler(StreamRequestHandler):
    """One request of a connection, or its websocket until either side closes it."""

    server: _Server
    wbufsize = 0

    def handle(self) -> None:
        lines = list(takewhile(lambda line: line not in (b"\r\n", b""), iter(self.rfile.readline, None)))
        head = self.server.rule.rewrite(b"".join(lines)) if lines else None
        if head is None:
            self.wfile.write(NOT_FOUND if lines else b"")
            return
        place = urlsplit(self.server.rule.to)
        with socket.create_connection((str(place.hostname), place.port)) as app, app.makefile("rwb", 0) as wire:
            wire.write(head)
            threading.Thread(target=self._send, args=(app,), daemon=True).start()
            shutil.copyfileobj(wire, self.wfile)

    def _send(self, app: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while part := self.rfile.read1(65536):
                app.sendall(part)
            app.shutdown(socket.SHUT_WR)
