"""Colours of values: none is given twice where a legend holds them all, groups of classes stay warm and cool."""

import pytest

from pages.charts.palette import COOL, WARM, class_colors, value_colors
from pages.charts.scales import MOST_VALUES

CLASSES = [f"class {i:02}" for i in range(24)]
GROUPS = {"superclass": {name: ("animal", "vehicle")[i % 2] for i, name in enumerate(CLASSES)}}


@pytest.mark.parametrize("count", [2, 4, 16, 17, MOST_VALUES])
def test_no_two_values_of_a_legend_have_one_colour(count: int) -> None:
    colors = value_colors([f"group {i}" for i in range(count)], CLASSES, GROUPS)
    assert len(set(colors)) == count


@pytest.mark.parametrize("groups", [GROUPS, {}], ids=["grouped", "not grouped"])
def test_no_two_of_24_classes_have_one_colour(groups: dict[str, dict[str, str]]) -> None:
    colors = class_colors(CLASSES, groups)
    assert len(set(colors.values())) == len(CLASSES)
    assert colors == dict(zip(CLASSES, value_colors(CLASSES, CLASSES, groups), strict=True))


def test_the_colours_of_a_family_are_used_before_darker_ones() -> None:
    colors = class_colors(CLASSES, GROUPS)
    assert [colors[name] for name in CLASSES[:12:2]] == WARM
    assert [colors[name] for name in CLASSES[1:12:2]] == COOL
    assert (WARM[0], colors[CLASSES[12]]) == ("#f2c14e", "#91742f")
