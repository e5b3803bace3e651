"""Parsing of sample numbers in untrusted text: user input and URLs."""

import re

DIGITS = 15  # no number of a sample has more, and the browser reads them without rounding


def read_sample_id(text: str) -> int | None:
    """Parse a sample number; None if the text is not a valid one."""
    return int(text) if re.fullmatch(rf"[0-9]{{1,{DIGITS}}}", text) else None


def read_sample_ids(text: str) -> list[int]:
    """Return every sample number in the text, in order: "17, 230" -> [17, 230]."""
    return [int(part) for part in re.findall(rf"[0-9]{{1,{DIGITS}}}", text)]
