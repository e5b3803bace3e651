"""The app in this process through Streamlit's `AppTest`, and what is read off its pages."""

import json
from collections.abc import Callable
from typing import Any

import polars as pl
from streamlit.testing.v1 import AppTest

from pages.ui.navigation import ENTRIES
from tests.support.paths import REPOSITORY

FRAME = REPOSITORY / "pages" / "ui" / "frame.py"  # what `streamlit_app.app` serves
NAMES = [entry.name for entry in ENTRIES]
VEHICLES = ["ship", "truck"]
HELD_OUT = pl.col("out_of_sample") & pl.col("label").is_not_null()
Open = Callable[..., AppTest]


def answer(app: AppTest) -> str:
    """The one sentence under the title, without its stars."""
    return next(m.value for m in app.main.markdown if m.value.startswith("## ")).replace("**", "")


def shown(app: AppTest) -> str:
    """Everything the app says in words."""
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
