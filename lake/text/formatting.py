"""Numbers inside the sentences of the lake, as commands and pages show them."""


def p_value(p: float) -> str:
    """ "p < .001", or "p .012": two significant digits, without an exponent."""
    return "p < .001" if p < 0.001 else f"p {p:.2g}".replace("0.", ".", 1)


def between(low: float, high: float, form: str = ".2f") -> str:
    """ "0.10 to 0.31": the ends of an interval."""
    return f"{low:{form}} to {high:{form}}"
