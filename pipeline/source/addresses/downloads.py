"""Download a file from http, https or an object store, within limits of size and time."""

import http.client
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from lake.errors import first_line

WEB = ("http", "https")
STORES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "hf": "huggingface_hub",
}
"""Object stores, and the package of each."""
SCHEMES = (*WEB, *STORES)
CHUNK = 2**18
SAFE = "/%:@!$&'()*+,;=~-._"
"""What stays as it is in a path or query; all else is written with %."""
AGENT = "latentlake"
PAGE = (b"<!doctype html", b"<html")
"""How a page begins that stands where a file was expected, such as one to sign in."""


@dataclass(frozen=True)
class Limits:
    """How much, in bytes, and how long, in seconds, a download may take."""

    size: int
    idle_s: float
    """For the connection, and between two pieces."""
    total_s: float


@dataclass(frozen=True)
class Answer:
    """What the server says of a file: its version, if it tells one, and its name, without folders."""

    version: str | None
    name: str


class Unchanged(Exception):
    """The version that is known is still the one at the address."""


class NotReachable(Exception):
    """A file that cannot be downloaded: a stable reason, and a detail for people, without the address.

    `connected` says whether the host answered at all.
    """

    def __init__(self, reason: str, detail: str, *, connected: bool = True) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.connected = reason, detail, connected


def find_package(scheme: str) -> str | None:
    """The package that a scheme needs and that is not installed; None if it can be read."""
    if scheme not in STORES:
        return None
    import fsspec  # slow to import, and few sources need it

    try:
        fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError):
        return STORES[scheme]
    return None


def download(
    url: str, file: BinaryIO, limits: Limits, known: str | None, started: Callable[[int | None], None]
) -> Answer:
    """Write the content of an address to a file; `started` is called with its size, if it is told.

    Raises `Unchanged` if its version is `known`, and `NotReachable` if it is not reachable or exceeds a limit.
    """
    scheme = urlsplit(url).scheme.lower()
    if scheme in WEB:
        return _from_web(url, file, limits, known, started)
    if scheme in STORES:
        return _from_store(url, file, limits, known, started)
    raise NotReachable("not reachable", f"{scheme[:20]}:// is not read")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to the web only."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if (scheme := urlsplit(newurl).scheme.lower()) not in WEB:
            fp.close()
            raise NotReachable("not reachable", f"a redirect to {scheme[:20]}://, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        target = headers.get("location") or headers.get("uri") or ""
        if (scheme := urlsplit(target).scheme.lower()) not in ("", *WEB):
            fp.close()
            raise NotReachable("not reachable", f"a redirect to {scheme[:20]}://, which is not followed")
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> urllib.request.OpenerDirector:
    """An opener for the web alone: neither files nor FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _from_web(
    url: str, file: BinaryIO, limits: Limits, known: str | None, started: Callable[[int | None], None]
) -> Answer:
    ends = time.monotonic() + limits.total_s
    with _reaching():
        request = urllib.request.Request(_quoted(url), headers={"User-Agent": AGENT, **_conditions(known)})
        with _opener().open(request, timeout=limits.idle_s) as response:
            size = response.length
            _check_size(size, limits, file)
            started(size)
            got = _copy(response.read1, file, limits, ends)
            if size is not None and got != size:
                raise NotReachable("truncated", f"{got:,} of {size:,} bytes")
            return Answer(_version(response.headers), _name(response.headers.get_filename() or response.url))


def _from_store(
    url: str, file: BinaryIO, limits: Limits, known: str | None, started: Callable[[int | None], None]
) -> Answer:
    ends = time.monotonic() + limits.total_s
    if package := find_package(urlsplit(url).scheme.lower()):
        raise NotReachable("not reachable", f"the package {package} is not installed")
    import fsspec  # slow to import, and few sources need it

    try:
        store, path = fsspec.url_to_fs(url)
        info = store.info(path)
        version = f"store {store.ukey(path)}"
        if known == version:
            raise Unchanged
        size = info.get("size")
        _check_size(size, limits, file)
        started(size)
        with store.open(path, "rb") as stream:
            got = _copy(stream.read, file, limits, ends)
    except (NotReachable, Unchanged):
        raise
    except FileNotFoundError:
        raise NotReachable("not reachable", "not found") from None
    except Exception as error:  # every store raises its own
        raise NotReachable("not reachable", first_line(error), connected=False) from None
    if size is not None and got != size:
        raise NotReachable("truncated", f"{got:,} of {size:,} bytes")
    return Answer(version, _name(url))


def _copy(read: Callable[[int], bytes], file: BinaryIO, limits: Limits, ends: float) -> int:
    """Copy a stream, and return its length in bytes."""
    got = 0
    while data := read(CHUNK):
        if not got and data[:100].lstrip().lower().startswith(PAGE):
            raise NotReachable("a web page", "the address leads to a web page, not to a file")
        got += len(data)
        if got > limits.size:
            raise NotReachable("too many bytes", f"more than {limits.size:,} bytes, the most that are read")
        if time.monotonic() > ends:
            raise NotReachable("not reachable", f"it took more than {limits.total_s:,.0f} s", connected=False)
        file.write(data)
    return got


def _check_size(size: int | None, limits: Limits, file: BinaryIO) -> None:
    if size is None:
        return
    if size > limits.size:
        raise NotReachable("too many bytes", f"{size:,} bytes, at most {limits.size:,} are read")
    free = shutil.disk_usage(file.fileno()).free
    if size > free:
        raise NotReachable("too many bytes", f"{size:,} bytes, but {free:,} are free on the disk of the cache")


def _name(written: str) -> str:
    """The last part of an address or path, without what no file is called."""
    name = unquote(PurePosixPath(urlsplit(written).path).name).replace("/", "_").replace("\0", "").lstrip(".")
    return name[-100:] or "download"


def _conditions(known: str | None) -> dict[str, str]:
    """Headers that ask for a file only if its version is another one."""
    header, _, value = (known or "").partition(": ")
    asked = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
    return {asked[header]: value} if header in asked and value else {}


def _version(headers: Message) -> str | None:
    return next((f"{name}: {headers[name]}" for name in ("ETag", "Last-Modified") if headers[name]), None)


def _quoted(url: str) -> str:
    """An address with blanks and letters beyond ASCII as the web writes them."""
    parts = urlsplit(url)
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    return urlunsplit((parts.scheme, host, quote(parts.path, SAFE), quote(parts.query, SAFE + "?"), ""))


@contextmanager
def _reaching() -> Iterator[None]:
    """Convert everything that can go wrong on the web."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.NOT_MODIFIED:
            raise Unchanged from None
        raise NotReachable("not reachable", f"{error.code} {error.reason}".strip()) from None
    except urllib.error.URLError as error:
        raise NotReachable("not reachable", _cause(error.reason), connected=False) from None
    except http.client.IncompleteRead as error:
        raise NotReachable("truncated", first_line(error)) from None
    except (http.client.HTTPException, ValueError) as error:
        raise NotReachable("not reachable", f"no valid answer or address ({type(error).__name__})") from None
    except OSError as error:
        if isinstance(error, TimeoutError | ConnectionError | ssl.SSLError):
            raise NotReachable("not reachable", _cause(error), connected=False) from None
        raise


def _cause(reason: str | BaseException) -> str:
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return first_line(reason)
