"""axe-core in an open page: accessibility violations in what we draw, excluding what Streamlit draws itself."""

import hashlib
import io
import re
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path

from playwright.sync_api import Locator, Page

from lake.atomic_files import write_whole
from pipeline.settings import load_settings

VERSION = "4.14.1"
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
"""SHA-256 of `axe.min.js` in the npm package."""
NOT_OURS = [
    '[data-testid="stSidebarNav"]',  # Streamlit's navigation has groups between its list and the items
    '[class*="_brush"]',  # Vega-Lite draws the brush of a selection and accepts no description for it
    ".stDataFrameGlideDataEditor",  # the canvas of a table has its own grid for screen readers
]
RUN = """async excluded => {
  const found = await axe.run({exclude: excluded.map(one => [one])}, {resultTypes: ["violations"]});
  return found.violations
    .filter(rule => ["serious", "critical"].includes(rule.impact))
    .flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`));
}"""


def violations(page: Page) -> list[str]:
    """Serious and critical violations, one line per element."""
    page.evaluate(_source())
    found: list[str] = page.evaluate(RUN, NOT_OURS)
    return found


@cache
def _source() -> str:
    """axe-core from the user's cache, fetched once with the npm client."""
    cached = load_settings().cache_dir / f"axe-core-{VERSION}.js"
    if not cached.exists():
        write_whole(cached, _fetch)
    script = cached.read_bytes()
    assert hashlib.sha256(script).hexdigest() == SHA256, f"{cached} is damaged: delete it"
    return script.decode()


def _fetch(file: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", f"axe-core@{VERSION}"], cwd=folder, check=True, capture_output=True)
        with tarfile.open(fileobj=io.BytesIO(next(Path(folder).glob("*.tgz")).read_bytes())) as package:
            script = package.extractfile("package/axe.min.js")
            assert script is not None
            file.write_bytes(script.read())


def contrast(element: Locator) -> float:
    """WCAG contrast ratio of an element's text to its own background, 1 to 21."""
    script = "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
    low, high = sorted(_luminance(color) for color in element.evaluate(script))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    channels = [int(value) / 255 for value in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
