"""How the source of a run was understood: the titles of these lists, and what was assumed."""

import json
from collections.abc import Mapping
from typing import Any

from lake.storage.store import Run

UNDERSTOOD = "How the source was understood"
ASSUMED = "Assumed, because it was unclear"
MEASURED = "value_range"
"""What the run keeps of images of more than 8 bits is measured, and among what was understood."""


def list_assumed(run: Run) -> list[dict[str, str]]:
    """Return sentence, setting and value (as JSON) of each suggestion taken that the settings do not repeat."""
    own = json.loads(run.facts["config"]).get("dataset") or {}
    rows = [row for row in run.facts.get("assumed") or [] if row["setting"] != MEASURED and not _is_set(own, row)]
    return [{name: row[name] for name in ("sentence", "setting", "value")} for row in rows]


def _is_set(own: Mapping[str, Any], row: Mapping[str, str]) -> bool:
    """Whether the section [dataset] of the settings says the same."""
    value: Any = own
    for name in row["setting"].split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value is not None and bool(value == json.loads(row["value"]))
