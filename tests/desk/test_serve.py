"""`latentlake serve`: where it cannot listen it says so before it starts, and Ctrl+C is how it is stopped."""

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lake.errors import UsageError, UserError
from pipeline.commands.serve import ServeOptions, become_server
from tests.support.servers.browser import free_port, wait_until_up

HERE = "127.0.0.1"


class Started(Exception):
    """Instead of the server."""


@pytest.fixture(autouse=True)
def _server_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*arguments: object) -> None:
        raise Started(*arguments)

    monkeypatch.setattr(os, "execve", start)


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("nosuch.invalid", "^--host nosuch.invalid: this name cannot be resolved"),
        ("a" * 70 + ".example", "this name cannot be resolved"),
        ("192.0.2.1", "^Cannot listen on --host 192.0.2.1 .*name an address of this machine"),
        ("", "^--host is empty"),
    ],
)
def test_a_host_that_is_not_of_this_machine_is_refused_before_anything_is_said(
    host: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=sentence):
        become_server(ServeOptions(str(tmp_path), host, 0))
    assert capsys.readouterr().out == ""


def test_a_port_in_use_is_told_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((HERE, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            UserError, match=rf"^Port {port} on {HERE} is in use: choose another one with --port"
        ) as told:
            become_server(ServeOptions(str(tmp_path), HERE, port))
    assert told.value.exit_code == 1 and capsys.readouterr().out == ""


def test_a_lake_that_is_a_file_is_refused_before_anything_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lake"
    file.write_bytes(b"")
    with pytest.raises(UserError, match="is a file, but a lake must be a folder"):
        become_server(ServeOptions(str(file), HERE, 0))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("options", [{"secrets": Path("nowhere.toml")}, {"base_path": "a b"}])
def test_a_wrong_option_is_told_even_if_the_port_is_in_use(options: dict[str, Any], tmp_path: Path) -> None:
    with (
        socket.create_server((HERE, 0)) as other,
        pytest.raises(UsageError, match=r"nowhere\.toml does not exist|--base-path a b is not valid"),
    ):
        become_server(ServeOptions(str(tmp_path), HERE, other.getsockname()[1], **options))


def test_a_port_that_is_kept_from_this_user_is_told_with_those_that_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(UserError, match=r"^This user may not listen on port 80: choose 1024 or above") as told:
        become_server(ServeOptions(str(tmp_path), HERE, 80))
    assert told.value.exit_code == 1


def test_of_port_0_the_one_that_was_found_is_said_and_so_is_that_there_is_no_run(
    tmp_path: Path, tiny_lake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for lake, said in {str(tmp_path / "none"): " (it has no published run yet)", tiny_lake: ""}.items():
        with pytest.raises(Started) as started:
            become_server(ServeOptions(lake, HERE, 0))
        (option,) = (part for part in started.value.args[1] if part.startswith("--server.port="))
        port = int(option.partition("=")[2])
        assert port and f"Serving {lake}{said} at http://{HERE}:{port}/" in capsys.readouterr().out


def test_ctrl_c_ends_the_server_without_a_word_and_nothing_was_told_in_vain(tiny_lake: str, tmp_path: Path) -> None:
    port, said = free_port(), tmp_path / "said"
    command = [sys.executable, "-m", "pipeline.cli", "serve", "--lake", tiny_lake, "--port", str(port)]
    with said.open("w") as file:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
    try:
        wait_until_up(f"http://{HERE}:{port}", process)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
        assert process.wait() == 130, said.read_text()
    finally:
        process.kill()
        process.wait()
    assert said.read_text() == ""
