"""Formatting of numbers in the sentences that commands and pages show."""

import datetime as dt


def p_value(p: float) -> str:
    """Format a p value to two significant digits, without an exponent: "p < 0.001" or "p 0.012"."""
    return "p < 0.001" if p < 0.001 else f"p {p:.2g}"


def percent(share: float, decimals: int = 1) -> str:
    """Format a share: "92.4 %"."""
    return f"{share * 100:.{decimals}f} %"


def between(low: float, high: float, form: str = ".2f") -> str:
    """Format an interval: "0.10 to 0.31"."""
    return f"{low:{form}} to {high:{form}}"


def say_age(age: dt.timedelta) -> str:
    """Format an age in whole units, the largest with a value of at least two: "1 minute", "47 hours", "2 days".

    A negative age counts as zero.
    """
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 120:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 48 * 60 else f"{minutes // 60 // 24} days"
