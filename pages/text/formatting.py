"""Formatting of numbers, and escaping of names in Markdown."""

import re
import unicodedata

from lake.contracts.rows import LabelCount
from lake.statistics import wilson_interval
from lake.text import formatting

NO_BREAK = "\u00a0"
WORD_JOINER = "\u2060"  # has no width and keeps an address or e-mail from becoming a link, which no escape does

ISOLATE, ISOLATED = "\u2066", "\u2069"
"""Enclose text whose direction does not affect the text around it."""
RIGHT_TO_LEFT = {"R", "AL", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI"}


def percent(share: float, decimals: int = 1) -> str:
    """0.924 -> "92.4 %", never broken over two lines."""
    return formatting.percent(share, decimals).replace(" ", NO_BREAK)


PERCENT = "%.1f %%"
"""Format of a table column with shares in per cent, as in `percent`."""


def share_with_interval(hits: int, n: int) -> str:
    """ "92.4 % (91.9 to 92.9)": a share with its 95 % Wilson interval."""
    low, high = wilson_interval(hits, n)
    return f"{percent(hits / n)} ({low * 100:.1f} to {high * 100:.1f})"


def estimate(row: dict[str, float]) -> str:
    """ "0.988 (0.987–0.990)": a `value` with the ends `low` and `high` of its 95 % interval."""
    return f"{row['value']:.3f} ({row['low']:.3f}–{row['high']:.3f})"


def number(value: float) -> str:
    """Format a number to three significant digits, without an exponent; negative zero as zero."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value + 0.0:.3g}"


def column_title(column: str) -> str:
    """Return the display name of a column: "bg_lightness" -> "Background lightness"."""
    words = column.replace("bg_", "background_").replace("kmeans", "k-means").replace("_", " ")
    return words[:1].upper() + words[1:]


def pluralize(n: int, noun: str) -> str:
    """ "1 image", "1,400 images"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def mix_text(mix: list[LabelCount]) -> str:
    """ "cat 62 %, dog 31 %": the most frequent class with its share, the next if it has a hundredth."""
    total = sum(part["n"] for part in mix) or 1
    shares = [(part["label"], part["n"] / total) for part in mix[:2]]
    parts = [f"{label} {percent(share, 0)}" for i, (label, share) in enumerate(shares) if i == 0 or share >= 0.01]
    return ", ".join(parts) or "no labels"


def plain(text: str) -> str:
    """Escape untrusted text so that Markdown makes no link, image, formula, list or icon of it.

    Spaces at both ends are kept; text that runs from right to left does not affect the sentence around it.
    """
    text = re.sub(r"\s", " ", text)
    unlinked = re.sub(r":(?=[\w+/-])|www(?=\.)|[<~>-](?=[->=])|(?=@)", lambda match: match[0] + WORD_JOINER, text)
    escaped = re.sub(r"([\\`*_\[\]()<>!$#~|&])", r"\\\1", unlinked)
    escaped = re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", escaped)  # would begin a list or a heading
    escaped = re.sub(r"^ +| +$", _hard_blanks, escaped)
    return (
        f"{ISOLATE}{escaped}{ISOLATED}" if any(unicodedata.bidirectional(c) in RIGHT_TO_LEFT for c in text) else escaped
    )


def _hard_blanks(match: re.Match[str]) -> str:
    """Return as many non-breaking spaces, with a word joiner because a space beside stars would end the emphasis."""
    blanks = NO_BREAK * len(match[0])
    return f"{WORD_JOINER}{blanks}" if match.start() == 0 else f"{blanks}{WORD_JOINER}"
