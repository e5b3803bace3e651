"""Numbers inside the sentences of the lake, as commands and pages show them."""

import datetime as dt


def p_value(p: float) -> str:
    """ "p < 0.001", or "p 0.012": two significant digits, without an exponent."""
    return "p < 0.001" if p < 0.001 else f"p {p:.2g}"


def between(low: float, high: float, form: str = ".2f") -> str:
    """ "0.10 to 0.31": the ends of an interval."""
    return f"{low:{form}} to {high:{form}}"


def say_age(age: dt.timedelta) -> str:
    """ "1 minute", "47 hours", "2 days": whole units, of the largest of which there are two; none of a negative age."""
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 120:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 48 * 60 else f"{minutes // 60 // 24} days"
