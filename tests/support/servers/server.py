"""Start `latentlake serve` like a user: in its own process, in a folder of theirs."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import REPOSITORY
from tests.support.servers.browser import free_port, wait_until_up

COMMAND = [sys.executable, "-m", "pipeline.cli"]


@contextmanager
def serve_from(
    folder: Path, *options: str, command: Sequence[str] = COMMAND, said: Path = Path(os.devnull), **environment: str
) -> Iterator[str]:
    """Run the server in the folder until the block ends; yields its address, and writes its output to `said`."""
    port = free_port()
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment
    with said.open("w") as file:
        process = subprocess.Popen(
            [*command, "serve", f"--port={port}", *options], cwd=folder, env=variables, stdout=file, stderr=file
        )
    try:
        wait_until_up(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
