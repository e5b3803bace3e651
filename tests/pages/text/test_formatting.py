"""Names of any kind stand in a sentence as they are: no markup, list, icon or link is made of them."""

import html
import re

import pytest
from markdown_it import MarkdownIt

from pages.report.markdown import to_html
from pages.text.formatting import ISOLATE, ISOLATED, NO_BREAK, WORD_JOINER, mix_text, number, plain, pluralize
from tests.support.data.classes import ODD

INVISIBLE = re.compile(f"[{WORD_JOINER}{ISOLATE}{ISOLATED}]")
NAMES = [*ODD, "1. item", "12) item", "+ item", "- item", "=", "www.example.org", "a@b.org", "a\nb", "x::y:z"]


def visible(rendered: str) -> str:
    return html.unescape(INVISIBLE.sub("", rendered)).replace(NO_BREAK, " ")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_literally_in_its_sentence(name: str) -> None:
    sentence = f"It is called **{plain(name)}**, says it."
    expected = f"It is called <strong>{name}</strong>, says it.".replace("\n", " ")
    assert visible(MarkdownIt("gfm-like", {"linkify": False}).renderInline(sentence)) == expected
    assert visible(to_html(sentence)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_name_at_the_start_is_a_paragraph(name: str) -> None:
    rendered = MarkdownIt("commonmark").render(f"{plain(name)} is hard")
    assert visible(rendered) == f"<p>{name} is hard</p>\n".replace("a\nb", "a b")


@pytest.mark.parametrize("name", [":smile:", ":material/home:", ":red[no]", "a -> b", "https://example.org"])
def test_streamlits_own_marks_are_broken(name: str) -> None:
    assert not re.search(r":[\w/+-]|->", plain(name))


def test_text_from_right_to_left_does_not_turn_the_sentence() -> None:
    assert plain("חתול") == f"{ISOLATE}חתול{ISOLATED}"
    assert ISOLATE not in plain("猫 and Ἑλληνικά")


def test_numbers_have_three_digits_on_either_side_of_0() -> None:
    said = {1234.6: "1,235", -1234.6: "-1,235", 999.6: "1e+03", 12.34: "12.3", -0.01234: "-0.0123", -0.0: "0"}
    assert {value: number(value) for value in said} == said


def test_one_is_not_plural() -> None:
    assert [pluralize(n, "image") for n in (0, 1, 2, 1400)] == ["0 images", "1 image", "2 images", "1,400 images"]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([("cat", 99), ("dog", 1)], "cat 99\u00a0%, dog 1\u00a0%"),
        ([("cat", 991), ("dog", 9)], "cat 99\u00a0%"),
        ([("cat", 2), ("dog", 1), ("ship", 1)], "cat 50\u00a0%, dog 25\u00a0%"),
        ([("cat", 7)], "cat 100\u00a0%"),
        ([], "no labels"),
    ],
)
def test_a_mix_is_said_by_its_two_most_frequent_classes(counts: list[tuple[str, int]], said: str) -> None:
    assert mix_text([{"label": label, "n": n} for label, n in counts]) == said
