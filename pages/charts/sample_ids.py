"""Sample numbers in what people type and addresses hold, which is not to be trusted."""

import re

DIGITS = 15  # no number of a sample has more, and the browser reads them without rounding


def read_sample_id(text: str) -> int | None:
    """The number that the text is; None where it is none that a sample could have."""
    return int(text) if re.fullmatch(rf"[0-9]{{1,{DIGITS}}}", text) else None


def read_sample_ids(text: str) -> list[int]:
    """Every number in the text, in order: "17, 230" -> [17, 230]."""
    return [int(part) for part in re.findall(rf"[0-9]{{1,{DIGITS}}}", text)]
