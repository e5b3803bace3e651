"""Which kind of archive a file is, by its content, and what to do with kinds that are not unpacked here."""

from pathlib import Path

from lake.errors import UserError

READ = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
UNREAD = (".7z", ".rar", ".tar.zst", ".tzst", ".tar.lz4", ".tar.z", ".zip.001", ".z01", ".7z.001")
SUFFIXES = READ + UNREAD
MAGIC = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"PK\x07\x08": "split zip",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
    b"\x28\xb5\x2f\xfd": "zstd",
}
COMMANDS = {
    "7z": "7z x {name}",
    "rar": "unrar x {name}",
    "zstd": "tar --zstd -xf {name}",
    "split zip": "zip -s 0 {name} --out whole.zip",
}
PARTS = {".001": "7z x {name}", ".z01": "zip -s 0 {stem}.zip --out whole.zip"}
TAR_MARK = slice(257, 262)


def find_kind(archive: Path) -> str:
    """The kind of an archive that can be read: zip, tar, gzip, bzip2 or xz, of which the last three hold a tar.

    Raises `UserError` if it is another kind or no archive, or cannot be read.
    """
    try:
        if not archive.is_file():
            raise UserError(f"The archive {archive} does not exist: check source in [dataset].")
        with archive.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise UserError(f"The archive {archive} cannot be read ({error.strerror}): check the file.") from None
    if part := PARTS.get(archive.suffix.lower()):
        raise UserError(_by_hand(archive, "one part of several", part))
    kind = next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)
    if kind in COMMANDS:
        raise UserError(_by_hand(archive, f"of the kind {kind}", COMMANDS[kind]))
    if kind:
        return kind
    if start[TAR_MARK] == b"ustar" or (archive.suffix.lower() == ".tar" and len(start) == 512 and _sums_up(start)):
        return "tar"
    raise UserError(f"{archive} is {_what(start)}, not an archive: download or copy it again.")


def _by_hand(archive: Path, kind: str, command: str) -> str:
    command = command.format(name=archive.name, stem=archive.stem)
    return f"The archive {archive} is {kind}, which is not read: unpack it ({command}), and name the folder as source."


def _what(start: bytes) -> str:
    if not start:
        return "an empty file"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "a web page"
    return "damaged or another kind of file"


def _sums_up(header: bytes) -> bool:
    """Whether the first header has the right checksum, as before the mark was invented, or is that of an empty tar."""
    if not header.strip(b"\0"):
        return True
    try:
        written = int(header[148:156].strip(b" \0") or b"0", 8)
    except ValueError:
        return False
    return written == sum(header[:148]) + 8 * ord(" ") + sum(header[156:])
