"""The command in a process of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.browser import free_port, wait_until_up
from tests.support.paths import REPOSITORY


def latentlake(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | environment, capture_output=True, text=True, check=False
    )


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[str, Path]]:
    """`latentlake serve` on a free port until the block ends: its address, and the file with what it says."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        command = [sys.executable, "-m", "pipeline.cli", "serve", "--port", str(port), *arguments]
        with said.open("w") as file:
            process = subprocess.Popen(command, cwd=REPOSITORY, stdout=file, stderr=file)
        try:
            wait_until_up(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}", said
        finally:
            process.terminate()
            process.wait()
