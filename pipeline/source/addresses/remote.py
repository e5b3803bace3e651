"""Images and whole sources by address: http, https, and object stores through fsspec, kept in a cache on disk.

An image is downloaded once and then taken from the cache. A source is asked for anew at every refresh, and downloaded
if it has changed. Only the schemes in `SCHEMES` are read, also after a redirect.
"""

import hashlib
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from filelock import FileLock

from lake.errors import UserError
from pipeline.pixels.decode import MAX_BYTES, Unusable, read_file
from pipeline.source.addresses.downloads import SCHEMES, Answer, Limits, NotReachable, Unchanged, download, find_package

GIB = 2**30
IMAGE_LIMITS = Limits(MAX_BYTES, idle_s=20, total_s=120)
SOURCE_LIMITS = Limits(64 * GIB, idle_s=60, total_s=6 * 3600)
SOURCES = "sources"
"""The folder of the cache that holds downloaded sources, each in a folder of its own."""
PARTIAL, KEPT = ".partial-", ".kept"
"""Files being downloaded, and the note of the name and version of a download that is kept."""
MAX_FAILURES = 10
"""After this many images in a row that a host did not deliver for want of a connection, it is not asked again."""


@dataclass
class Hosts:
    """How often in a row each host could not be reached; shared by the images of a listing."""

    failures: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, host: str, *, connected: bool) -> None:
        """Note whether a host answered at all."""
        with self.lock:
            self.failures[host] = 0 if connected else self.failures[host] + 1


@dataclass(frozen=True)
class RemoteImage:
    """An image by address, which is kept in `cache` under the hash of the address."""

    url: str
    cache: Path
    limits: Limits = IMAGE_LIMITS
    hosts: Hosts = field(default_factory=Hosts, compare=False, repr=False)

    def read(self) -> bytes | Unusable:
        """The encoded image, from the cache if it is there."""
        if not is_address(self.url):
            return Unusable("not reachable", f"not an address with one of {', '.join(SCHEMES)}")
        key = hashlib.sha256(self.url.encode("utf-8", "surrogatepass")).hexdigest()
        path = self.cache / "images" / key[:2] / key
        if path.is_file():
            return read_file(path)
        host = _host(self.url)
        if self.hosts.failures[host] >= MAX_FAILURES:
            return Unusable("not reachable", f"the host could not be reached {MAX_FAILURES:,} times in a row")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _save(self.url, path.parent, lambda _: key, self.limits)
        except NotReachable as error:
            self.hosts.note(host, connected=error.connected)
            return Unusable(error.reason, error.detail)
        except OSError as error:
            return Unusable("unreadable file", f"the cache: {error.strerror}")
        self.hosts.note(host, connected=True)
        return read_file(path)


def is_address(text: str) -> bool:
    """Whether a text is an address that can be read here, such as `https://host/1.jpg` or `s3://bucket/1.jpg`."""
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        return False
    return parts.scheme.lower() in SCHEMES and bool(parts.netloc) and "://" in text


def beside(url: str, path: str) -> str:
    """The address of a file whose path is relative to that of a file at an address; others stay as they are."""
    path = path.strip().replace("\\", "/").removeprefix("./")
    if is_address(path) or not path or path.startswith("/") or ":" in path.split("/")[0]:
        return path
    parts = urlsplit(url.strip())
    return f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}/{path}"


def is_downloaded(folder: Path, cache: Path) -> bool:
    """Whether a folder is one in which `fetch` keeps a file, where no other file belongs to it."""
    return folder.parent == cache / SOURCES


def list_remote(urls: Iterable[str], cache: Path) -> list[RemoteImage]:
    """The images at addresses; they share what is learnt about their hosts.

    Raises `UserError` if the package for an object store is not installed.
    """
    hosts = Hosts()
    images = [RemoteImage(url.strip(), cache, hosts=hosts) for url in urls]
    for scheme in sorted({urlsplit(image.url).scheme.lower() for image in images}):
        _check_package(scheme)
    return images


def fetch(url: str, cache: Path, say: Callable[[str], None], limits: Limits | None = None) -> Path:
    """The file at an address, in `cache` under the name that the server gives it; downloaded again only if it changed.

    If the address cannot be reached, an earlier download is used, and this is said. Raises `UserError` if there is
    none, or if the file is too large or a web page.
    """
    url, limits = url.strip(), limits or SOURCE_LIMITS
    if not is_address(url):
        raise UserError(f"{_shown(url)} is no address that can be read: it begins with one of {', '.join(SCHEMES)}.")
    _check_package(urlsplit(url).scheme.lower())
    folder = cache / SOURCES / hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    kept: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            kept, known = _read_kept(folder)
            for left in folder.glob(f"{PARTIAL}*"):  # by a download that was killed
                left.unlink()
            answer = _save(
                url, folder, lambda answer: answer.name, limits, known, lambda size: say(_starting(url, size))
            )
            path = folder / answer.name
            (folder / KEPT).write_text(f"{answer.name}\n{answer.version or ''}")
            if kept and kept != path:
                kept.unlink(missing_ok=True)
            return path
    except Unchanged:
        if kept is None:
            raise UserError(f"{_shown(url)} answers as if it had been downloaded before: try again.") from None
        say(f"{kept.name} has not changed at its address since it was downloaded.")
    except NotReachable as error:
        if kept is None or error.reason != "not reachable":
            raise UserError(
                f"{_shown(url)} cannot be read ({error.reason}: {error.detail}): {_advice(error)}."
            ) from None
        when = datetime.fromtimestamp(kept.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
        say(f"{_shown(url)} is not reachable ({error.detail}): the download of {when} is used.")
    except OSError as error:
        raise UserError(f"{_shown(url)} cannot be kept in {folder} ({error.strerror}): free some space.") from None
    return kept


def _read_kept(folder: Path) -> tuple[Path | None, str | None]:
    """The file of an earlier download and its version, if it told one."""
    note = folder / KEPT
    name, _, version = note.read_text().partition("\n") if note.exists() else ("", "", "")
    path = folder / name
    return (path, version or None) if name and path.is_file() else (None, None)


def _save(
    url: str,
    folder: Path,
    name: Callable[[Answer], str],
    limits: Limits,
    known: str | None = None,
    started: Callable[[int | None], None] = lambda _: None,
) -> Answer:
    """Download to a file in a folder, called by what the server says; it appears when it is complete."""
    handle, partial = tempfile.mkstemp(dir=folder, prefix=PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            answer = download(url, file, limits, known, started)
        Path(partial).replace(folder / name(answer))
    finally:
        Path(partial).unlink(missing_ok=True)
    return answer


def _check_package(scheme: str) -> None:
    if package := find_package(scheme):
        raise UserError(f"Addresses {scheme}:// need the package {package}: install it (pip install {package}).")


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _shown(url: str) -> str:
    """An address without what may be secret: user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "The address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:200]


def _starting(url: str, size: int | None) -> str:
    name = PurePosixPath(urlsplit(url).path).name or _shown(url)
    return f"Downloading {name} ({size / 1e6:,.1f} MB)." if size is not None else f"Downloading {name}."


def _advice(error: NotReachable) -> str:
    if error.reason == "too many bytes":
        return "download it yourself, and name the file as source"
    if error.reason == "a web page":
        return "name the address of the file itself (on a hub with resolve instead of blob)"
    return "check the address and the connection, or download it yourself and name the file as source"
