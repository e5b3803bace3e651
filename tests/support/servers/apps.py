"""Run the app in this process through Streamlit's `AppTest`, and read what its pages show."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import polars as pl
import pytest
from altair.utils import schemapi
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest

from pages.ui.session.navigation import ENTRIES
from tests.support.paths import REPOSITORY

FRAME = REPOSITORY / "pages" / "ui" / "frame" / "frame.py"  # the page that `streamlit_app.app` serves
NAMES = [entry.name for entry in ENTRIES]
VEHICLES = ["ship", "truck"]
HELD_OUT = pl.col("out_of_sample") & pl.col("label").is_not_null()
Open = Callable[..., AppTest]


@contextmanager
def without_repeats() -> Iterator[None]:
    """Do once what each `AppTest` repeats, to save time.

    This covers the search of installed packages for components, the compilation of a script, altair's hash of each
    schema, and its validation of chart parts equal to ones that were valid.
    """
    scripts = ScriptCache()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        for module in ("app_test", "local_script_runner"):
            patch.setattr(f"streamlit.testing.v1.{module}.ScriptCache", lambda: scripts)
        patch.setattr(schemapi._FromDict, "hash_schema", staticmethod(_once_each(schemapi._FromDict.hash_schema)))
        patch.setattr(schemapi, "_get_errors_from_spec", _errors_of_new(schemapi._get_errors_from_spec))
        yield


def _once_each(compute: Callable[..., int]) -> Callable[..., int]:
    known: dict[int, tuple[Any, int]] = {}

    def find(schema: Any) -> int:
        if id(schema) not in known:
            known[id(schema)] = schema, compute(schema)  # kept alive, so that its id is not reused
        return known[id(schema)][1]

    return find


def _errors_of_new(check: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    right: dict[tuple[int, bytes], Any] = {}

    def errors(spec: Any, schema: Any, rootschema: Any = None) -> list[Any]:
        text = json.dumps(spec, sort_keys=True, default=repr)
        key = id(schema), hashlib.sha256(text.encode()).digest()
        found = [] if key in right else check(spec, schema, rootschema)
        if not found:
            right[key] = schema  # kept alive, so that its id is not reused
        return found

    return errors


def answer(app: AppTest) -> str:
    """The sentence under the title, without asterisks."""
    return next(m.value for m in app.main.markdown if m.value.startswith("## ")).replace("**", "")


def failures(app: AppTest) -> list[str]:
    """Error messages of a page, including unexpected exceptions."""
    return [str(element.value) for element in (*app.exception, *app.error)]


def shown(app: AppTest) -> str:
    """All text the app shows."""
    kinds = (app.title, app.markdown, app.caption, app.error, app.info, app.warning, app.toast, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def tiles(app: AppTest) -> list[dict[str, Any]]:
    """Every tile of every gallery."""
    return [tile for gallery in galleries(app) for tile in gallery]


def galleries(app: AppTest) -> list[list[dict[str, Any]]]:
    """The tiles of each gallery, in order."""
    found = [json.loads(part.proto.json) for part in app.get("bidi_component")]
    return [part["items"] for part in found if "items" in part]


def percent(share: float) -> str:
    return f"{share * 100:.1f}\u00a0%"
