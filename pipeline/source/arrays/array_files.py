"""Arrays of `.npz` and IDX files, mapped into memory where they are not compressed; nothing is ever unpickled."""

import gzip
import io
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lake.errors import UserError, first_line

MAX_LOADED = 4 * 2**30
"""Bytes of the compressed arrays of a file together; larger ones must be stored without compression."""
LOCAL_HEADER = struct.Struct("<26xHH")
"""Where the header before a member of a zip says how long its name and its extra field are."""
UBYTE = 8
"""The type of 8-bit integers in an IDX file."""
MAX_DIMENSIONS = 4
_DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, RuntimeError, OverflowError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, SyntaxError),
)
"""What NumPy and the packages below it raise on damaged files."""


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a `.npz` by name. Raises `UserError` if it is damaged, too large, or holds Python objects."""
    try:
        with zipfile.ZipFile(path) as opened:
            members = [member for member in opened.infolist() if member.filename.endswith(".npy")]
            packed = sum(member.file_size for member in members if member.compress_type != zipfile.ZIP_STORED)
            if packed > MAX_LOADED:
                raise UserError(
                    f"The compressed arrays of {path} take {packed:,} bytes, at most {MAX_LOADED:,} are loaded: save "
                    "them without compression (np.savez instead of np.savez_compressed), so that they can be mapped."
                )
            return {member.filename.removesuffix(".npy"): _read_member(path, opened, member) for member in members}
    except FileNotFoundError:
        raise UserError(f"The dataset {path} does not exist: check source in [dataset].") from None
    except _DAMAGE as error:
        raise UserError(f"The arrays of {path} cannot be read ({first_line(error)}): save the file again.") from None


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of an IDX file, also with gzip. Raises `UserError` if it is damaged or not of 8 bits."""
    try:
        packed = path.suffix.lower() == ".gz"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            shape = _read_idx_shape(path, file)
            size = math.prod(shape)
            if packed:
                return _load_idx(path, file, shape, size)  # type: ignore[arg-type]
            start = file.tell()
        if path.stat().st_size != start + size or not size:
            raise UserError(_idx_damage(path, path.stat().st_size - start, shape))
        return np.memmap(path, np.uint8, "r", start, tuple(shape))
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"{path} cannot be read ({first_line(error)}): download it again.") from None


def _read_idx_shape(path: Path, file: IO[bytes] | gzip.GzipFile) -> list[int]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or not 1 <= magic[3] <= MAX_DIMENSIONS:
        raise UserError(f"{path} does not begin as an IDX file does: download it again.")
    if magic[2] != UBYTE:
        raise UserError(f"{path} holds numbers of the type {magic[2]:#04x}, but images and labels are bytes (0x08).")
    return list(struct.unpack(f">{magic[3]}I", file.read(4 * magic[3])))


def _load_idx(path: Path, file: gzip.GzipFile, shape: list[int], size: int) -> NDArray[np.uint8]:
    if size > MAX_LOADED:
        raise UserError(
            f"{path} holds {size:,} bytes, at most {MAX_LOADED:,} are loaded: unpack it (gunzip {path.name})."
        )
    data = file.read(size + 1)
    if len(data) != size:
        raise UserError(_idx_damage(path, len(data), shape))
    return np.frombuffer(data, np.uint8).reshape(shape)


def _idx_damage(path: Path, found: int, shape: list[int]) -> str:
    return f"{path} is damaged: its header names the shape {shape}, but {found:,} bytes follow; download it again."


def _read_member(path: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, mapped if it is stored without compression."""
    with opened.open(member) as file:
        start = io.BytesIO(file.read(2**16))
    shape, in_columns, dtype = _read_header(start)
    count = math.prod(map(int, shape))
    if dtype.hasobject:
        name = member.filename.removesuffix(".npy")
        raise UserError(
            f"The array {name} of {path} holds Python objects, which could run a program: "
            "save it with a type of numbers or text, such as labels.astype(str)."
        )
    if member.compress_type == zipfile.ZIP_STORED and count and dtype.itemsize:
        if start.tell() + count * dtype.itemsize != member.file_size:
            raise ValueError(f"{member.filename} has another size than its header says")
        offset = _data_offset(path, member) + start.tell()
        return np.memmap(path, dtype, "r", offset, shape, "F" if in_columns else "C")
    if count * dtype.itemsize > member.file_size:
        raise ValueError(f"{member.filename} is shorter than its header says")
    with opened.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it is stored by columns, and type."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version[0]}.{version[1]} of the format")
    return readers[version](file)


def _data_offset(path: Path, member: zipfile.ZipInfo) -> int:
    """Where the content of a member begins in the file."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return member.header_offset + LOCAL_HEADER.size + name + extra
