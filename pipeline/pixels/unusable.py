"""Why a file or row is not a sample."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Unusable:
    """Why a file is not a sample: a `reason` that is stable across versions, and a `detail` for people."""

    reason: str
    detail: str = ""
