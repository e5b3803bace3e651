"""moto's S3 server on loopback in its own process; it honours If-None-Match and If-Match, as S3 does."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.servers.browser import free_port, request, wait_until_up

BUCKET = "lakes"


@contextmanager
def serve_s3() -> Iterator[dict[str, str]]:
    """Run a server with an empty bucket until the block ends; yields environment variables for it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_up(address, process, path="/")
            status, _, _ = request(f"{address}/{BUCKET}", method="PUT")
            assert status == 200
            yield environment(address)
        finally:
            process.terminate()


def environment(address: str) -> dict[str, str]:
    """Environment variables an S3 client needs to reach a server that accepts any key."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "anybody",
        "AWS_SECRET_ACCESS_KEY": "anything",
        "AWS_REGION": "us-east-1",
    }
