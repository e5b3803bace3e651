"""Unpack an archive of images (zip, or tar with gzip, bzip2, xz or without compression) once, into the cache.

Only regular files are written, below one folder. What leaves the folder, links, encryption, damage, bombs and a full
disk are refused in one sentence, before anything of the archive is taken for its content.
"""

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, BinaryIO

from filelock import FileLock

from lake.errors import UserError, first_line
from pipeline.source.archives.kinds import MAGIC, SUFFIXES, find_kind
from pipeline.source.archives.zip_names import find_encoding

SYSTEM = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "thumbs.db", "desktop.ini"}
CHUNK = 2**20
MAX_HEADER = 16 * 2**20
"""A header of a tar, such as a long name, has at most this many bytes."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold, to tell a bomb from a dataset."""

    total: int = 512 * 2**30
    """Bytes of all files together."""
    ratio: int = 200
    """Bytes of all files for each byte of the archive; only counts above `harmless` bytes."""
    harmless: int = 2**30
    files: int = 5_000_000
    spare: int = 256 * 2**20
    """Bytes that must stay free on the disk."""


@dataclass(frozen=True)
class _Member:
    """A file of an archive: its name as written, its size in bytes, and how to open it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether a file is named like an archive, including kinds that cannot be unpacked here."""
    return path.name.lower().endswith(SUFFIXES)


def is_unnamed_archive(path: Path) -> bool:
    """Whether a file begins as a zip does, whatever it is called, as a download may be: content, photos.zip.1."""
    try:
        with path.open("rb") as file:
            return MAGIC.get(file.read(4)) == "zip"
    except OSError:
        return False


def unpack(archive: Path, cache: Path, progress_say: Callable[[str], None], limits: Limits | None = None) -> Path:
    """The folder in `cache` that holds the files of an archive, except hidden ones; unpacked if it is not there yet.

    The folder is named after path, size and modification time of the archive. It appears when it is complete, and
    replaces that of an earlier state. Raises `UserError` if the archive cannot or must not be unpacked.
    """
    kind = find_kind(archive)
    before = archive.stat()
    place = hashlib.sha256(os.fsencode(archive.resolve())).hexdigest()[:16]
    home = cache / "archives" / place
    folder = home / f"{before.st_size}-{before.st_mtime_ns}"
    with _writing(archive):
        home.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_suffix(".lock")):
        if folder.is_dir():
            return folder
        with _writing(archive):
            for left in home.iterdir():
                shutil.rmtree(left)
            partial = home / "partial"
            partial.mkdir()
            progress_say(f"Unpacking {archive.name} ({before.st_size / 1e6:,.1f} MB).")
            try:
                files = _Unpacking(archive, partial, limits or Limits()).run(kind, progress_say)
                _check_unchanged(archive, before)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    progress_say(f"Unpacked {archive.name}: {files:,} files.")
    return folder


class TarReader:
    """The regular files and links of a tar, one by one; unlike `tarfile`, a cut or damaged tar does not just end early.

    `stream` is the uncompressed tar. Raises `tarfile.ReadError` if it ends without its end mark.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._last = stream, b""
        self.tar = tarfile.open(fileobj=self, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115 (see `close`)

    def read(self, size: int = -1) -> bytes:
        """The next bytes, for `tarfile`; headers are read in one piece and must not fill the memory."""
        if not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self._last = self._stream.read(size)
        return self._last

    def seek(self, position: int) -> int:
        """Move to a position of the uncompressed tar, in bytes."""
        return self._stream.seek(position)

    def tell(self) -> int:
        """The position in the uncompressed tar, in bytes."""
        return self._stream.tell()

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        while (member := self.tar.next()) is not None:
            yield member
            self.tar.members = []  # a million headers take gigabytes
        if len(self._last) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it ends without the end mark of a tar")
        if self._last.strip(b"\0"):
            raise tarfile.ReadError("a header is damaged")

    def read_rest(self) -> None:
        """Read what follows the end mark, so that a compressed stream compares its checksum."""
        for _ in range(MAX_HEADER // CHUNK):
            if not self._stream.read(CHUNK):
                return
        raise tarfile.ReadError("more follows after the end mark of the tar")

    def close(self) -> None:
        """Close the tar; the stream stays open."""
        self.tar.close()


class _Unpacking:
    """The unpacking of one archive into an empty folder; counts what it writes."""

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self.archive, self.folder, self.limits = archive, folder, limits
        self.size = archive.stat().st_size
        self.total = self.files = 0
        self.inner: list[str] = []

    def run(self, kind: str, say: Callable[[str], None]) -> int:
        """Write every file that is not hidden, and return their number."""
        with reading(self.archive):
            for member in self._zip_members(say) if kind == "zip" else self._tar_members(kind):
                self._check_total(self.total + member.size, self.files + 1)
                self._check_space(member.size)
                self.total += member.size
                if name := self._name(member.name):
                    self._write(member, self.folder / name)
                    self.inner += [member.name] if name.lower().endswith(SUFFIXES) else []
                    self.files += 1
        if len(self.inner) == self.files:
            raise UserError(self._nothing_inside())
        return self.files

    def _nothing_inside(self) -> str:
        if not self.files:
            return f"The archive {self.archive} holds no files: check whether it was packed completely."
        names = ", ".join(self.inner[:3])
        return (
            f"The archive {self.archive} only holds other archives ({names}): unpack it, and name one of these "
            "or a folder into which they are all unpacked as source."
        )

    def _zip_members(self, say: Callable[[str], None]) -> Iterator[_Member]:
        encoding = find_encoding(self.archive)
        if encoding:
            say(
                f"The names of the files in {self.archive.name} are read as {encoding}; "
                "if they look wrong, unpack it yourself."
            )
        with zipfile.ZipFile(self.archive, metadata_encoding=encoding) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            if encrypted := next((member.filename for member in members if member.flag_bits & 1), None):
                raise UserError(
                    f"The archive {self.archive} is encrypted ({encrypted}): unpack it with its password, "
                    "and name the folder as source."
                )
            total = sum(member.file_size for member in members)
            self._check_total(total, len(members))
            self._check_space(total)
            for member in members:
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise UserError(self._link(member.filename))
                name = member.filename.replace("\\", "/")
                yield _Member(name, member.file_size, lambda member=member: opened.open(member))  # type: ignore[misc]

    def _tar_members(self, kind: str) -> Iterator[_Member]:
        self._check_space(self.size)
        with _decompress(self.archive, kind) as stream, closing(TarReader(stream)) as reader:
            for member in reader:
                if member.issym():
                    raise UserError(self._link(member.name))
                if member.islnk():
                    yield self._hard_link(member)
                elif member.isreg():
                    yield _Member(member.name, member.size, lambda member=member: _extract(reader, member))  # type: ignore[misc]
                elif not member.isdir():
                    raise UserError(f"The archive {self.archive} holds a device or pipe ({member.name}): leave it out.")
            if kind != "tar":
                reader.read_rest()

    def _hard_link(self, member: tarfile.TarInfo) -> _Member:
        """A file that was packed before under another name."""
        name = self._name(member.linkname)
        path = self.folder / (name or "")
        if not name or not path.is_file():
            raise UserError(self._link(member.name))
        return _Member(member.name, path.stat().st_size, lambda: path.open("rb"))

    def _link(self, name: str) -> str:
        return (
            f"The archive {self.archive} holds a link ({name}), which could lead anywhere: pack the files themselves "
            "(tar --dereference, or zip without -y)."
        )

    def _name(self, written: str) -> str | None:
        """The path of a member below the folder; None if it is hidden or belongs to a system."""
        parts = PurePosixPath(written).parts
        if ".." in parts or written.startswith("/") or PureWindowsPath(written).is_absolute():
            raise UserError(
                f"The archive {self.archive} would write outside its folder ({written[:80]}): "
                "pack it again from within the folder of images."
            )
        if not parts or any(part.startswith(".") or part.lower() in SYSTEM for part in parts):
            return None
        return "/".join(parts)

    def _check_total(self, total: int, files: int) -> None:
        limits = self.limits
        by_hand = "unpack it yourself, and name the folder as source"
        if total > limits.total:
            raise UserError(
                f"The archive {self.archive} holds more than {limits.total:,} bytes, the most that is unpacked: "
                f"{by_hand}."
            )
        if total > max(limits.ratio * self.size, limits.harmless):
            raise UserError(
                f"The archive {self.archive} grows to more than {limits.ratio:,} times its {self.size:,} bytes, as "
                f"archives do that are made to fill a disk: if you trust it, {by_hand}."
            )
        if files > limits.files:
            raise UserError(
                f"The archive {self.archive} holds more than {limits.files:,} files, the most that are unpacked: "
                f"{by_hand}."
            )

    def _check_space(self, size: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if size > free - self.limits.spare:
            raise UserError(
                f"{self.archive} needs {size:,} bytes to be unpacked in {self.folder.parent}, but {free:,} are free, "
                f"of which {self.limits.spare:,} are kept: free some space, or unpack it elsewhere and name the folder."
            )

    def _write(self, member: _Member, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as packed, path.open("wb") as file:
            shutil.copyfileobj(packed, file, CHUNK)


def _extract(reader: TarReader, member: tarfile.TarInfo) -> IO[bytes]:
    stream = reader.tar.extractfile(member)
    if stream is None:
        raise tarfile.ReadError(f"{member.name} has no content")
    return stream


def _decompress(archive: Path, kind: str) -> BinaryIO:
    """The uncompressed tar as a stream."""
    openers = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open, "tar": open}
    return openers[kind](archive, "rb")  # type: ignore[operator]


def _check_unchanged(archive: Path, before: os.stat_result) -> None:
    after = archive.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise UserError(
            f"The archive {archive} changed while it was unpacked: try again when it is written completely."
        )


@contextmanager
def _writing(archive: Path) -> Iterator[None]:
    """Convert errors of the file system into `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The archive {archive} cannot be unpacked ({error.strerror or first_line(error)}: {error.filename})."
        ) from None


@contextmanager
def reading(archive: Path) -> Iterator[None]:
    """Convert errors of a cut or damaged archive into `UserError`."""
    try:
        yield
    except EOFError:
        raise UserError(f"The archive {archive} is cut off: download or copy it again.") from None
    except NotImplementedError as error:
        raise UserError(
            f"The archive {archive} cannot be unpacked ({first_line(error)}): unpack it, and name the folder as source."
        ) from None
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"The archive {archive} is damaged or cut off ({first_line(error)}): download or copy it again."
        ) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise UserError(f"The archive {archive} is damaged ({first_line(error)}): download or copy it again.") from None
    except (RuntimeError, ValueError) as error:  # what zipfile raises on odd headers
        raise UserError(f"The archive {archive} is damaged ({first_line(error)}): download or copy it again.") from None
