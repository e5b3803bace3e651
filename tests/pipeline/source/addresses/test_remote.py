"""Images and sources by address, from a server on this machine that also misbehaves."""

import hashlib
import importlib
import importlib.util
import io
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings
from pipeline.pixels.decode import Unusable
from pipeline.source.addresses.downloads import Limits
from pipeline.source.addresses.remote import RemoteImage, fetch, is_address, list_remote
from pipeline.source.understanding.read import read_source

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
SMALL = Limits(100_000, idle_s=0.3, total_s=0.6)


class Handler(BaseHTTPRequestHandler):
    """One address for each way to answer."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked[self.path] += 1
        self.close_connection = True
        if path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", path.removeprefix("/to/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/silent.png":
            self.server.over.wait(30)
        elif path in ("/drip.png", "/endless.png"):
            self._without_end(b"x" if path == "/drip.png" else b"x" * 50_000)
        elif path == "/cut.png":
            self._answer(PNG, length=len(PNG) + 10)
        elif path == "/chunk.png":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\n12345\r\nff\r\nends here")
        elif path == "/garbage.png":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
        elif path == "/hang-up.png":
            pass
        elif path == "/download":
            self._answer(b"PK3", name="../a/photos.ZIP")
        elif path == "/huge.png":
            self._answer(b"", length=10**15)
        elif path in self.server.files:
            self._file(self.server.files[path])
        else:
            self.send_error(404)

    def _file(self, content: bytes) -> None:
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        if self.headers.get("If-None-Match") == tag:
            self.send_response(304)
            self.end_headers()
        else:
            self._answer(content, tag=tag)

    def _answer(self, content: bytes, length: int | None = None, tag: str = "", name: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        if tag:
            self.send_header("ETag", tag)
        if name:
            self.send_header("Content-Disposition", f'attachment; filename="{name}"')
        self.end_headers()
        self.wfile.write(content)

    def _without_end(self, piece: bytes) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while not self.server.over.wait(0.05 if len(piece) == 1 else 0):
                self.wfile.write(piece)
        except OSError:  # the client has left
            return

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.over = threading.Event()
        self.asked: Counter[str] = Counter()
        self.files = {"/a.png": PNG, "/ä b.png": PNG, "/%C3%A4%20b.png": PNG, "/photos.zip": b"PK1"}
        self.files["/page.zip"] = b"\n<!DOCTYPE html><title>Sign in</title>"
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock" and path.name != ".lock"]


def refusal(url: str, cache: Path, limits: Limits | None = None) -> str:
    with pytest.raises(UserError) as refused:
        fetch(url, cache, lambda said: None, limits)
    sentence = str(refused.value)
    assert "\n" not in sentence and sentence.endswith(".") and not files(cache)
    return sentence


# --- what is an address


@pytest.mark.parametrize(
    "text",
    ["https://host/1.jpg", " http://host/a b.jpg ", "HTTPS://host/1", "s3://bucket/1.jpg", "gs://b/1", "hf://d/1"],
)
def test_addresses_that_are_read(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cat/1.jpg",
        "/cat/1.jpg",
        "file:///etc/passwd",
        "ftp://host/1",
        "https:/host/1",
        "http://",
        "data:image/png;x",
        "C:\\cat\\1.jpg",
        "C:/cat/1.jpg",
        "http://[1",
        "memory://a",
        "javascript://x",
        "https",
    ],
)
def test_other_texts_are_none(text: str, tmp_path: Path) -> None:
    assert not is_address(text)
    result = RemoteImage(text, tmp_path).read()
    assert isinstance(result, Unusable) and result.reason == "not reachable"


# --- images


def test_an_image_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        assert RemoteImage(f"{server.url}/a.png", tmp_path).read() == PNG
    assert server.asked == {"/a.png": 1} and len(files(tmp_path)) == 1
    assert RemoteImage(f"{server.url}/a.png?size=2", tmp_path).read() == PNG
    assert server.asked["/a.png?size=2"] == 1


def test_letters_and_blanks_of_an_address_are_written_as_the_web_does(server: Server, tmp_path: Path) -> None:
    for path in ("/ä b.png", "/%C3%A4%20b.png"):
        assert RemoteImage(server.url + path, tmp_path).read() == PNG
    assert set(server.asked) == {"/%C3%A4%20b.png"}


def test_a_redirect_within_the_web_is_followed(server: Server, tmp_path: Path) -> None:
    assert RemoteImage(f"{server.url}/to/{server.url}/a.png", tmp_path).read() == PNG
    assert RemoteImage(f"{server.url}/to//a.png", tmp_path).read() == PNG


@pytest.mark.parametrize(
    ("path", "reason", "detail"),
    [
        ("/missing.png", "not reachable", "404 Not Found"),
        ("/to/file:///etc/hostname", "not reachable", "a redirect to file://, which is not followed"),
        ("/to/ftp://127.0.0.1/1.png", "not reachable", "a redirect to ftp://, which is not followed"),
        ("/silent.png", "not reachable", "no answer in time"),
        ("/drip.png", "not reachable", "it took more than 1 s"),
        ("/endless.png", "too many bytes", "more than 100,000 bytes, the most that are read"),
        ("/huge.png", "too many bytes", "1,000,000,000,000,000 bytes, at most 100,000 are read"),
        ("/cut.png", "truncated", "10,248 of 10,258 bytes"),
        ("/chunk.png", "truncated", ""),
        ("/garbage.png", "not reachable", "no valid answer or address (BadStatusLine)"),
        ("/hang-up.png", "not reachable", "no valid answer or address (RemoteDisconnected)"),
        ("/page.zip", "a web page", "the address leads to a web page, not to a file"),
    ],
)
def test_an_image_that_cannot_be_had_is_unusable_and_not_kept(
    path: str, reason: str, detail: str, server: Server, tmp_path: Path
) -> None:
    result = RemoteImage(server.url + path, tmp_path, SMALL).read()
    assert isinstance(result, Unusable) and result.reason == reason and detail in result.detail
    assert not files(tmp_path)


def test_a_circle_of_redirects_ends(server: Server, tmp_path: Path) -> None:
    server.files.clear()
    result = RemoteImage(f"{server.url}/to//to//missing", tmp_path).read()
    assert result == Unusable("not reachable", "404 Not Found")


def test_a_host_that_cannot_be_reached_is_left_alone_after_some_images(server: Server, tmp_path: Path) -> None:
    images = list_remote([f"{server.url}/hang-up.png"] * 3 + [f"{server.url}/missing.png"] * 20, tmp_path)
    assert {image.read() == Unusable("not reachable", "404 Not Found") for image in images} == {False, True}
    assert server.asked["/missing.png"] == 20
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    results = [image.read() for image in list_remote([f"http://127.0.0.1:{port}/{i}.png" for i in range(12)], tmp_path)]
    assert results[:10] == [Unusable("not reachable", "Connection refused")] * 10
    assert results[10:] == [Unusable("not reachable", "the host could not be reached 10 times in a row")] * 2
    assert list_remote([f"{server.url}/a.png"], tmp_path)[0].read() == PNG


@pytest.mark.parametrize(
    ("scheme", "package"),
    [
        pytest.param(
            scheme, package, marks=pytest.mark.skipif(importlib.util.find_spec(package) is not None, reason="is")
        )
        for scheme, package in (("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs"))
    ],
)
def test_the_package_of_an_object_store_that_is_missing_is_said(scheme: str, package: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{scheme}:// need the package {package}: install it \(pip install {package}"):
        list_remote([f"{scheme}://bucket/1.png"], tmp_path)
    with pytest.raises(UserError, match=package):
        fetch(f"{scheme}://bucket/photos.zip", tmp_path, lambda said: None)
    result = RemoteImage(f"{scheme}://bucket/1.png", tmp_path).read()
    assert result == Unusable("not reachable", f"the package {package} is not installed")


@pytest.fixture
def store() -> Iterator[dict[str, bytes]]:
    """An object store in memory, under a scheme that is read."""
    registry = importlib.import_module("fsspec.registry")
    memory = importlib.import_module("fsspec.implementations.memory")
    content = {"bucket/1.png": PNG}

    class Store(memory.MemoryFileSystem):  # type: ignore[name-defined]
        protocol = "abfss"
        store: dict[str, object] = {}  # noqa: RUF012 (its own, apart from that of other tests)

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return "/" + path.removeprefix("abfss://").lstrip("/")

    before = dict(registry._registry)
    registry.register_implementation("abfss", Store, clobber=True)
    filesystem = Store()
    for name, data in content.items():
        filesystem.pipe_file(f"abfss://{name}", data)
    yield content
    Store.store.clear()
    registry._registry.clear()
    registry._registry.update(before)


def test_an_object_store_is_read_through_fsspec(store: dict[str, bytes], tmp_path: Path) -> None:
    assert list_remote(["abfss://bucket/1.png"], tmp_path)[0].read() == PNG
    missing, large = (RemoteImage(f"abfss://bucket/{n}.png", tmp_path / "b", Limits(9, 1, 1)) for n in (2, 1))
    assert missing.read() == Unusable("not reachable", "not found")
    assert large.read() == Unusable("too many bytes", "10,248 bytes, at most 9 are read")
    said = list[str]()
    paths = {fetch("abfss://bucket/1.png", tmp_path, said.append) for _ in range(2)}
    assert [path.read_bytes() for path in paths] == [PNG]
    assert said == ["Downloading 1.png (0.0 MB).", "1.png has not changed at its address since it was downloaded."]


# --- sources


def test_a_source_is_downloaded_again_only_if_it_has_changed(server: Server, tmp_path: Path) -> None:
    said, url = list[str](), f"{server.url}/photos.zip?key=secret"
    path = fetch(url, tmp_path, said.append)
    assert path.name == "photos.zip" and path.read_bytes() == b"PK1"
    assert fetch(url, tmp_path, said.append) == path
    server.files["/photos.zip"] = b"PK22"
    assert fetch(url, tmp_path, said.append) == path and path.read_bytes() == b"PK22"
    assert said == [
        "Downloading photos.zip (0.0 MB).",
        "photos.zip has not changed at its address since it was downloaded.",
        "Downloading photos.zip (0.0 MB).",
    ]
    assert len(files(tmp_path)) == 2  # with its version


def test_an_earlier_download_is_used_and_said_if_the_address_is_gone(server: Server, tmp_path: Path) -> None:
    said, url = list[str](), f"{server.url}/photos.zip?key=secret"
    path = fetch(url, tmp_path, said.append)
    (path.parent / ".partial-killed").write_bytes(b"P")
    del server.files["/photos.zip"]
    assert fetch(url, tmp_path, said.append) == path and path.read_bytes() == b"PK1"
    assert "/photos.zip is not reachable (404 Not Found): the download of 20" in said[-1] and "secret" not in said[-1]
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_paths_of_a_table_at_an_address_are_relative_to_it(name: str, server: Server, tmp_path: Path) -> None:
    rows = pl.DataFrame({"file": ["a.png", "photos\\b c.png", "gone.png"], "label": ["cat", "dog", "cat"]})
    file = io.BytesIO()
    rows.write_csv(file) if name.endswith("csv") else rows.write_parquet(file)
    server.files = {f"/data/{name}": file.getvalue(), "/data/a.png": PNG, "/data/photos/b%20c.png": PNG}
    own = DatasetSettings(source=f"{server.url}/data/{name}?version=2")
    (tmp_path / "sources" / "gone.png").parent.mkdir()
    (tmp_path / "sources" / "gone.png").write_bytes(PNG)
    listing = read_source(own, tmp_path, lambda _: None)
    assert [image.name for image in listing.images] == rows["file"].to_list() and not listing.notes.doubts
    read = [image.image.read() for image in listing.images if isinstance(image.image, RemoteImage)]
    assert read[:2] == [PNG, PNG] and isinstance(read[2], Unusable) and "404" in read[2].detail


def test_a_source_is_called_as_the_server_says_where_the_address_does_not(server: Server, tmp_path: Path) -> None:
    for way in ("/download?id=3", f"/to/{server.url}/download"):
        path = fetch(server.url + way, tmp_path, lambda said: None)
        assert path.name == "photos.ZIP" and path.read_bytes() == b"PK3" and path.is_relative_to(tmp_path / "sources")
    redirected = fetch(f"{server.url}/to//photos.zip?x", tmp_path, lambda said: None)
    assert redirected.name == "photos.zip" and redirected.read_bytes() == b"PK1"
    server.files["/photos.zip"] = b"PK9"
    again = fetch(f"{server.url}/to//photos.zip?x", tmp_path, lambda said: None)
    assert again == redirected and again.read_bytes() == b"PK9"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/missing.zip?key=secret", "/missing.zip cannot be read (not reachable: 404 Not Found): check the address"),
        ("/huge.png", "1,000,000,000,000,000 bytes, at most 68,719,476,736 are read): download it yourself"),
        ("/page.zip", "leads to a web page, not to a file): name the address of the file itself"),
        ("/cut.png", "(truncated: 10,248 of 10,258 bytes)"),
    ],
)
def test_a_source_that_cannot_be_had_is_one_sentence(path: str, said: str, server: Server, tmp_path: Path) -> None:
    sentence = refusal(server.url + path, tmp_path)
    assert said in sentence and "secret" not in sentence


def test_a_source_of_another_kind_or_of_an_unknown_host_is_one_sentence(tmp_path: Path) -> None:
    assert "no address that can be read: it begins with one of http, https" in refusal("file:///a.zip", tmp_path)
    sentence = refusal("http://user:secret@127.0.0.1:9/a.zip", tmp_path)
    assert "http://127.0.0.1:9/a.zip cannot be read" in sentence and "secret" not in sentence
