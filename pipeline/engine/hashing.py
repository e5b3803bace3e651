"""Short hashes of JSON facts and of samples."""

import hashlib
import json
from typing import Any


def hash_facts(facts: Any) -> str:
    """A short hash of any JSON-serialisable value; equal values have equal hashes."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def hash_samples(classes: list[str], groups: dict[str, dict[str, str]], columns: list[list[Any]]) -> str:
    """Hash of samples, given as columns: ids, class indices, pixel hashes joined with names, and splits."""
    return hashlib.sha256(json.dumps([classes, groups, *columns]).encode()).hexdigest()[:16]
