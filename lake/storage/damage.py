"""Translation of I/O errors: a damaged lake, a failing machine, or neither and therefore a bug."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError

from lake.errors import LakeError, RetryLater, first_line
from lake.storage.disks import find_reason, is_about
from lake.storage.roots import damage_message, find_file_as_table

FORMAT = re.compile(
    r"parquet|out[- ]of[- ]spec|\bIPC\b|ARROW:|magic bytes|os error|\bI/?O error|decompress|zstd|thrift|utf-?8|"
    r"object.store|Generic \w+ error|mismatch for column|did not find column",
    flags=re.IGNORECASE,
)
"""Messages of polars for unreadable files, which it never uses for an invalid query."""
QUERY = (
    pl.exceptions.ColumnNotFoundError,
    pl.exceptions.DuplicateError,
    pl.exceptions.ShapeError,
    pl.exceptions.StructFieldNotFoundError,
    pl.exceptions.OutOfBoundsError,
)
UNREACHED = re.compile(
    r"\b(401|403|Unauthorized|Forbidden|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|credentials?|timed? ?out|"
    r"connect|dns|error sending request|NoSuchBucket|Unknown scheme|No suitable object store)\b",
    flags=re.IGNORECASE,
)


@contextmanager
def reading(root: str) -> Iterator[None]:
    """Convert errors from reading a damaged lake to `LakeError`; scans are lazy, so `collect` belongs inside.

    Other errors, such as those of an invalid query, are raised unchanged.
    polars 2.1 panics on a truncated parquet file, and a panic is not an `Exception`.
    """
    try:
        yield
    except (OSError, DeltaError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if (sentence := explain_read(error, root)) is None:
            raise
        raise LakeError(sentence) from error


@contextmanager
def writing(root: str) -> Iterator[None]:
    """Convert errors from writing to the lake to `LakeError`, and commit conflicts to `RetryLater`."""
    try:
        yield
    except CommitFailedError as error:
        raise RetryLater(
            f"Another refresh was writing the same rows of the lake {root} ({first_line(error)}): refresh again."
        ) from error
    except (OSError, DeltaError) as error:
        if (sentence := explain_write(error, root)) is None:
            raise
        raise LakeError(sentence) from error


def explain_read(error: BaseException, root: str) -> str | None:
    """Return the message for an error raised while reading the lake; None if the lake did not cause it."""
    if not _is_of_the_lake(error, root):
        return None
    if reason := find_reason(error, root, "read"):
        return f"The lake {root} cannot be read: {reason}. Fix this, or name another folder with --lake."
    if "://" in root and UNREACHED.search(str(error)):
        return f"The lake {root} cannot be reached ({first_line(error)}): check address, network and credentials."
    return damage_message(root, _find_damage(error, root))


def explain_write(error: BaseException, root: str) -> str | None:
    """Return the message for an error raised while writing the lake; None if the lake did not cause it."""
    if isinstance(error, SchemaMismatchError) or not _is_of_the_lake(error, root):
        return None
    return (
        f"The lake {root} cannot be written to ({find_reason(error, root) or first_line(error)}). Published "
        "runs are untouched. Free some space or fix the permissions, then refresh again."
    )


def _find_damage(error: BaseException, root: str) -> str:
    if name := find_file_as_table(root):
        return f"{name} is a file, but a table must be a folder"
    if isinstance(error, pl.exceptions.PanicException):
        return "a file is truncated or damaged"
    return first_line(error)


def _is_of_the_lake(error: BaseException, root: str) -> bool:
    if isinstance(error, DeltaError | pl.exceptions.PanicException):
        return True
    if isinstance(error, OSError):
        return is_about(error, root)
    return not isinstance(error, QUERY) and FORMAT.search(first_line(error)) is not None
