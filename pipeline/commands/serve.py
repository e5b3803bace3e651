"""Implementation of `latentlake serve`: replace this process by the server of the pages."""

import errno
import os
import re
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from lake.errors import UsageError, UserError
from lake.storage.places import to_path
from lake.storage.roots import check_folder
from lake.storage.store import Lake

BASE_PATH = re.compile(r"([\w~-][\w.~-]*(/[\w~-][\w.~-]*)*)?", re.ASCII)
LAUNCHER = Path(__file__).parents[2] / "pages" / "ui" / "server" / "launch.py"


@dataclass(frozen=True)
class ServeOptions:
    """The command-line options; `base_path` is the prefix that a proxy puts before every path, such as `/lake`."""

    lake: str
    host: str
    port: int
    base_path: str = ""
    read_only: bool = False
    secrets: Path | None = None

    @property
    def base(self) -> str:
        """The base path without surrounding slashes, perhaps empty. Raises `UsageError` if it is invalid."""
        base = self.base_path.strip("/")
        if not BASE_PATH.fullmatch(base):
            raise UsageError(f"--base-path {self.base_path} is not valid: give a path such as /lake or /team/lake.")
        return base

    @property
    def address(self) -> str:
        """The URL of the pages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/{self.base}"


def become_server(options: ServeOptions) -> None:
    """Print the URL of the pages and replace this process by their server, which then receives its signals.

    Python's option -P keeps modules in the working folder, such as a user's own `pages`, away from the server. Raises
    `UsageError` if the secrets file, the base path or the host cannot be used, and `UserError` if the lake is a file or
    the port is not free.
    """
    check_folder(options.lake)
    flags = _flags(options)
    options = replace(options, port=_find_port(options.host, options.port))
    command = [sys.executable, "-P", str(LAUNCHER), *flags, f"--server.port={options.port}"]
    empty = " (it has no published run yet)" if _is_empty(options.lake) else ""
    typer.echo(f"Serving {options.lake}{empty} at {options.address} (Ctrl+C stops it)")
    sys.stdout.flush()
    os.execve(sys.executable, command, os.environ | _variables(options))


def _find_port(host: str, port: int) -> int:
    """The port, or a free one for 0, after checking that this machine can listen on it."""
    if not host.strip():
        raise UsageError("--host is empty: name an address of this machine, or omit the option for loopback.")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (socket.gaierror, UnicodeError):
            raise UsageError(
                f"--host {host}: this name cannot be resolved. To listen on all addresses, use 0.0.0.0."
            ) from None
        except OSError as error:
            raise _explain(error, host, port) from None
        return int(probe.getsockname()[1])


def _explain(error: OSError, host: str, port: int) -> UserError:
    """Why the server cannot listen there."""
    if error.errno == errno.EADDRINUSE:
        return UserError(f"Port {port} on {host} is in use: choose another one with --port, or 0 for any free port.")
    if error.errno == errno.EACCES:
        return UserError(f"This user may not listen on port {port}: choose 1024 or above with --port.")
    return UsageError(
        f"Cannot listen on --host {host} ({error.strerror}): name an address of this machine, or 0.0.0.0 for all."
    )


def _is_empty(root: str) -> bool:
    """Whether a local lake has no published run; unreadable and remote lakes are left to the pages."""
    try:
        return "://" not in root and Lake(root).runs().is_empty()
    except UserError:
        return False


def _flags(options: ServeOptions) -> list[str]:
    """Streamlit's flags except the port, which is looked for once all other options are known to be valid."""
    flags = [
        f"--server.address={options.host}",
        f"--server.baseUrlPath={options.base}",
        "--server.headless=true",
    ]
    return flags if options.secrets is None else [*flags, f"--secrets.files={_existing_file(options.secrets)}"]


def _variables(options: ServeOptions) -> dict[str, str]:
    lake = {"LATENTLAKE_LAKE": _absolute(options.lake)}
    return lake | {"LATENTLAKE_READ_ONLY": "1"} if options.read_only else lake


def _existing_file(path: Path) -> Path:
    try:
        file = to_path(path)
    except ValueError as error:
        raise UsageError(f"The secrets file {path} cannot be read: {error}.") from None
    if not file.is_file():
        raise UsageError(f"The secrets file {path} does not exist: check --secrets.")
    return file.absolute()


def _absolute(root: str) -> str:
    return root if "://" in root else str(Path(root).absolute())
