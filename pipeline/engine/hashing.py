"""Short hashes of facts and samples: equal means equal."""

import hashlib
import json
from typing import Any


def hash_facts(facts: Any) -> str:
    """A short hash of anything JSON can hold; equal facts have equal hashes."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def hash_samples(classes: list[str], groups: dict[str, dict[str, str]], columns: list[list[Any]]) -> str:
    """Hash of samples by their ids, class indexes, hashes of pixels with names, and splits, a list each."""
    return hashlib.sha256(json.dumps([classes, groups, *columns]).encode()).hexdigest()[:16]
