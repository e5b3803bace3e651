"""What tools and people write for no value."""

MISSING = frozenset(
    {"", "none", "nil", "null", "(null)", "na", "n/a", "n.a.", "<na>", "#na", "#n/a", "#n/a n/a", "nat"}
) | {"nan", "-nan", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "-", "--", "?", "\\n"}
"""In lower case."""
