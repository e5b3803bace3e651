"""Names and values from a source, as they are shown to people."""


def show(text: str, length: int = 100) -> str:
    """A text for people on one line: cut to `length` characters, with unprintable ones escaped."""
    cut = text if len(text) <= length else text[: length - 3] + "..."
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)
