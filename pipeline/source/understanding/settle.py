"""Ask about what is unclear in a source, or take the answers that an earlier run assumed or a person accepts."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lake.errors import UsageError, UserError
from lake.storage.store import Lake
from pipeline.config.dataset import DatasetSettings
from pipeline.source.answers import Assumed, ask, is_given, to_answers, to_toml, with_answers, without_answers
from pipeline.source.errors import NoColumn
from pipeline.source.understanding.read import Say
from pipeline.source.understanding.summary import summarize_briefly
from pipeline.source.understanding.understand import Understanding, understand

MOST_ROUNDS = 5
"""An answer may raise another doubt, such as the order of classes once the column of labels is known."""


@dataclass(frozen=True)
class Settled:
    """A source without doubts, and what was assumed for that."""

    understanding: Understanding
    assumed: list[Assumed]


class Unclear(UsageError):
    """A source with doubts that nothing answers."""

    status = "unclear data"


def settle(
    own: DatasetSettings, known: Iterable[Assumed], cache: Path, say: Say, *, accept: bool, where: str
) -> Settled:
    """Understand a source with the answers of earlier runs and say it; with `accept`, every suggestion is taken.

    `where` names the file in which a person would answer. Raises `Unclear` with all doubts that are left.
    """
    assumed = [one for one in known if not _is_answered(own, one)]
    for _ in range(MOST_ROUNDS):
        try:
            understanding = understand(with_answers(own, assumed), cache, say)
        except UserError as error:
            raise _tell_assumed(error, own, assumed) from None
        doubts = understanding.listing.notes.doubts
        if not doubts or not accept:
            break
        for doubt in doubts:
            say(f"Assumed: {doubt.sentence}")
        assumed += [Assumed(doubt.setting, doubt.suggestion, doubt.sentence) for doubt in doubts]
    for heading, text in summarize_briefly(understanding):
        say(f"{heading.capitalize()}: {text}")
    if not doubts:
        return Settled(understanding, assumed)
    raise Unclear(str(ask(str(own.source), doubts, where=where)))


def _tell_assumed(error: UserError, own: DatasetSettings, assumed: list[Assumed]) -> UserError:
    """The error, with what to set if it is about an answer that an earlier run assumed and that does not fit any more.

    A column that is gone is not asked about again: it may have been lost.
    """
    for one in assumed:
        *parents, last = one.setting.split(".")
        lacking = isinstance(error, NoColumn) and one.value == error.column
        if not is_given(own, one.setting) and (lacking or re.search(rf"\b{last}\b", str(error))):
            error.args = (
                f"{error} An earlier run assumed {last} = {to_toml(one.value)}, as nothing is set: if the data have "
                f"changed on purpose, set {last} in [{'.'.join(['dataset', *parents])}].",
            )
            break
    return error


def _is_answered(own: DatasetSettings, one: Assumed) -> bool:
    """Whether the settings answer otherwise what was assumed; tables such as `labels` are extended.

    An equal answer is still kept as assumed, as the id of the dataset is without it; see `dataset_id.find_id`.
    """
    is_other = is_given(own, one.setting) and without_answers(own, [one]) == own
    return is_other and not isinstance(one.value, dict)


def read_assumed(lake: Lake, dataset_id: str) -> list[Assumed]:
    """What the last published run of a dataset assumed; empty if there is none."""
    rows = lake.runs().filter(dataset_id=dataset_id).head(1)["assumed"].to_list()
    return to_answers((rows[0] if rows else None) or [])


def to_rows(assumed: Iterable[Assumed]) -> list[dict[str, str]]:
    """The answers as the column `assumed` of `runs` holds them."""
    return [{"setting": one.setting, "value": json.dumps(one.value), "sentence": one.sentence} for one in assumed]
