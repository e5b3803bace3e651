"""Conversion of the Markdown of `pages.text` to HTML: only emphasis and escapes."""

from markdown_it import MarkdownIt
from markupsafe import Markup

# "zero" knows no link, image or HTML: what is not emphasis or an escape stays text.
_MARKDOWN = MarkdownIt("zero").enable(["emphasis", "balance_pairs", "fragments_join", "escape"])


def to_html(text: str) -> Markup:
    """One sentence as HTML inside a paragraph."""
    return Markup(_MARKDOWN.renderInline(text))
