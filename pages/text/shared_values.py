"""Values of a column in training and in test, in words."""

import json

from lake.query.leaks.shared_values import FEWEST, Part, SharedValues, find_shared_values
from lake.storage.store import Run
from pages.text.formatting import percent, plain, pluralize
from pages.text.missing import noun


def say_shared_values(run: Run) -> list[str]:
    """Return a sentence in Markdown for each column of the run that is worth one; empty if there is none."""
    group_column = _group_column(run)
    found = find_shared_values(run, group_column=group_column)
    return [say(one, noun(run), is_grouped=group_column is not None) for one in found]


def _group_column(run: Run) -> str | None:
    """The column of groups that the settings name, or that the refresh assumed."""
    given = (json.loads(run.facts["config"]).get("dataset") or {}).get("group_column")
    assumed = [json.loads(row["value"]) for row in run.facts["assumed"] or [] if row["setting"] == "group_column"]
    return given or next(iter(assumed), None) or None


def say(shared: SharedValues, noun: str = "image", *, is_grouped: bool = False) -> str:
    """Return how many values lie in training and test, and what accuracy is on the others, with what to do.

    `is_grouped` is whether the splits were drawn by a group column already.
    """
    column, values, seen = f"**{plain(shared.column)}**", shared.values, shared.seen.values
    if not seen:
        return f"No value of {column} lies in train and test."
    subject = f"All {values:,} values" if seen == values else f"{seen:,} of the {values:,} values"
    known = f"{subject} of {column} in the test split lie in train too"
    if shared.difference is None:
        return f"{known}: {_say_unmeasured(shared, noun)}{_advise(shared, is_grouped=is_grouped)}"
    assert shared.low is not None and shared.high is not None
    ends = f"{shared.low * 100:.1f} to {shared.high * 100:.1f}"
    measured = (
        f"{known}: the model is right on **{_share(shared.seen)}** of {pluralize(shared.seen.n, noun)} with these "
        f"values and on **{_share(shared.unseen)}** of {pluralize(shared.unseen.n, noun)} with unseen ones, a "
        f"difference of {shared.difference * 100:.1f} points (95 % interval {ends})"
    )
    if not shared.is_easier:
        return f"{measured}, which may be chance."
    return f"{measured}: rely on the second for new values.{_advise(shared, is_grouped=is_grouped)}"


def _share(part: Part) -> str:
    return percent(part.hits / part.n)


def _say_unmeasured(shared: SharedValues, noun: str) -> str:
    if not shared.unseen.n:
        return "accuracy on unseen values cannot be measured, and may be far lower."
    few = min((shared.unseen.n, "unseen"), (shared.seen.n, "seen"))
    return (
        f"accuracy on unseen values cannot be compared, as only {pluralize(few[0], f'test {noun}')} of {few[1]} values "
        f"{'is' if few[0] == 1 else 'are'} there ({FEWEST} are needed)."
    )


def _advise(shared: SharedValues, *, is_grouped: bool) -> str:
    if is_grouped or not shared.can_group:
        return ""
    return f' Set group_column = "{plain(shared.column)}" in [dataset] to keep the images of a value in one split.'
