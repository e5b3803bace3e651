"""The report of a lake's latest run, and its text as a reader sees it."""

import html
import re

from lake.storage.store import Lake
from pages.report.document import find_previous, render_report


def report_of(root: str) -> str:
    run = Lake(root).run()
    return render_report(run, find_previous(run))


def words_of(report: str) -> str:
    """The text of a report without its style and charts, on one line, with no space before punctuation."""
    bare = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]*>", " ", report, flags=re.DOTALL)
    return re.sub(r" ([.,;:)])", r"\1", re.sub(r"[ \n]+", " ", html.unescape(bare)))
