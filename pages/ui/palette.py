"""One colour per class everywhere: the first group of classes warm, the second cool, so that groups show too."""

WARM = ["#f2c14e", "#d7263d", "#a9662e", "#f46036", "#9ba833", "#e57ba8"]
COOL = ["#6cc4f5", "#2f6fde", "#00a19b", "#7a5cd6", "#4a90a4", "#9d8df1"]
OTHERS = ["#8c8c8c", "#5f7a61", "#b08ea2", "#586f7c"]
DISTINCT = [color for pair in zip(WARM, COOL, strict=True) for color in pair]
"""Colours that can be told apart and from grey, for the most frequent of many values."""
CONTEXT, TEXT = "#9aa0a6", "#5d6470"
RAISES, LOWERS, NEUTRAL = "#d6453d", "#2c6fbb", "#f4f2ee"
LOSS_RAMP = ["#cfd5dd", "#f2c14e", "#f46036", "#b3123f"]  # ever darker: high losses show on white and on black
RAMP = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"]  # viridis
CHOSEN = "#ff2d95"
GOOD, BAD = "#2f6fde", "#f46036"


def class_colors(classes: list[str], groups: dict[str, dict[str, str]]) -> dict[str, str]:
    """A colour for every class."""
    grouping = next(iter(groups.values()), {})
    families = [WARM, COOL, OTHERS]
    values = sorted({grouping.get(name, "") for name in classes})
    colors = {}
    for position, value in enumerate(values):
        family = families[min(position, len(families) - 1)]
        members = [name for name in classes if grouping.get(name, "") == value]
        colors |= {name: family[i % len(family)] for i, name in enumerate(members)}
    return colors


def value_colors(values: list[str], classes: list[str], groups: dict[str, dict[str, str]]) -> list[str]:
    """A colour for each value of a column: classes keep theirs, two-valued groups are warm and cool."""
    known = class_colors(classes, groups)
    fallback = [WARM[3], COOL[1], *COOL, *WARM, *OTHERS]
    return [known.get(value, fallback[i % len(fallback)]) for i, value in enumerate(values)]
