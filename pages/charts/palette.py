"""One colour per class everywhere: the first group of classes warm, the second cool, so that groups show too."""

WARM = ["#f2c14e", "#d7263d", "#a9662e", "#f46036", "#9ba833", "#e57ba8"]
COOL = ["#6cc4f5", "#2f6fde", "#00a19b", "#7a5cd6", "#4a90a4", "#9d8df1"]
OTHERS = ["#8c8c8c", "#5f7a61", "#b08ea2", "#586f7c"]
DISTINCT = [color for pair in zip(WARM, COOL, strict=True) for color in pair]
"""Colours that can be told apart and from grey, for the most frequent of many values."""
SHADES = [1.0, 0.6]
"""Lightness of the colours of a family each time that it is repeated."""
CONTEXT, TEXT = "#9aa0a6", "#5d6470"
RAISES, LOWERS, NEUTRAL = "#d6453d", "#2c6fbb", "#f4f2ee"
LOSS_RAMP = ["#cfd5dd", "#f2c14e", "#f46036", "#b3123f"]  # ever darker: high losses show on white and on black
RAMP = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"]  # viridis
CHOSEN = "#ff2d95"
GOOD, BAD = "#2f6fde", "#f46036"


def class_colors(classes: list[str], groups: dict[str, dict[str, str]]) -> dict[str, str]:
    """A colour for every class."""
    grouping = next(iter(groups.values()), {})
    values = sorted({grouping.get(name, "") for name in classes})
    families = [WARM, COOL, OTHERS] if len(values) > 1 else [DISTINCT]
    colors: dict[str, str] = {}
    for position, value in enumerate(values):
        members = [name for name in classes if grouping.get(name, "") == value]
        colors |= dict(zip(members, _take(families[min(position, len(families) - 1)], len(members)), strict=True))
    return colors


def value_colors(values: list[str], classes: list[str], groups: dict[str, dict[str, str]]) -> list[str]:
    """A colour for each value of a column: classes keep theirs, two-valued groups are warm and cool."""
    colors = class_colors(classes, groups)
    others = _take([*dict.fromkeys([WARM[3], COOL[1], *COOL, *WARM, *OTHERS])], len(values))
    return [colors.get(value, other) for value, other in zip(values, others, strict=True)]


def _take(family: list[str], count: int) -> list[str]:
    """Return `count` colours of a family, which is repeated in darker shades."""
    shades = [_darken(color, shade) for shade in SHADES for color in family]
    return [shades[i % len(shades)] for i in range(count)]


def _darken(color: str, share: float) -> str:
    """Return the colour with a share of its lightness."""
    return "#" + "".join(f"{round(int(color[i : i + 2], 16) * share):02x}" for i in (1, 3, 5))
