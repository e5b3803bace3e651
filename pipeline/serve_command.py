"""`latentlake serve`: this process becomes the server of the pages."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import typer

from lake.errors import UsageError
from lake.places import to_path

BASE_PATH = re.compile(r"([\w~-][\w.~-]*(/[\w~-][\w.~-]*)*)?", re.ASCII)
LAUNCHER = Path(__file__).parents[1] / "pages" / "ui" / "launch.py"


@dataclass(frozen=True)
class Asked:
    """What the command line says; `base_path` is what a proxy keeps before every path, such as `/lake`."""

    lake: str
    host: str
    port: int
    base_path: str = ""
    read_only: bool = False
    secrets: Path | None = None

    @property
    def base(self) -> str:
        """The base path without slashes around it, empty where there is none; `UsageError` where it is none."""
        base = self.base_path.strip("/")
        if not BASE_PATH.fullmatch(base):
            raise UsageError(f"--base-path {self.base_path} cannot be used: it is a path such as /lake or /team/lake.")
        return base

    @property
    def address(self) -> str:
        """Where the pages are."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/{self.base}"


def become_server(asked: Asked) -> None:
    """Say where the pages are and replace this process by their server, which takes its signals.

    Python's option -P keeps modules beside the person, such as a `pages` of their own, away from the server. Raises
    `UsageError` where the file of secrets or the base path cannot be used.
    """
    command = [sys.executable, "-P", str(LAUNCHER), *_flags(asked)]
    typer.echo(f"Serving {asked.lake} at {asked.address} (Ctrl+C stops it)")
    sys.stdout.flush()
    os.execve(sys.executable, command, os.environ | _variables(asked))


def _flags(asked: Asked) -> list[str]:
    flags = [
        f"--server.port={asked.port}",
        f"--server.address={asked.host}",
        f"--server.baseUrlPath={asked.base}",
        "--server.headless=true",
    ]
    return flags if asked.secrets is None else [*flags, f"--secrets.files={_existing_file(asked.secrets)}"]


def _variables(asked: Asked) -> dict[str, str]:
    lake = {"LATENTLAKE_LAKE": _absolute(asked.lake)}
    return lake | {"LATENTLAKE_READ_ONLY": "1"} if asked.read_only else lake


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
