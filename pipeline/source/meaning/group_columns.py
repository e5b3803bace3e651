"""Ask whether images with the same value of a column, such as those of a patient, must stay in one split.

`lake.query.leaks.suspected_groups` says which columns look like that.
"""

from collections.abc import Sequence

import polars as pl

from lake.query.leaks.suspected_groups import (
    BY_LABELS,
    LEAST_GROUPS,
    GroupSuspect,
    as_text,
    shared_groups,
    suspect_groups,
)
from pipeline.source.notes import Doubt, Notes


def ask_for_groups(
    suspects: Sequence[GroupSuspect], columns: dict[str, pl.Series], splits: Sequence[str | None]
) -> Notes:
    """A doubt of the setting `group_column` if the test split must be drawn, suggesting the likeliest column.

    If the source names a test split, a remark counts the values of each suspect that lie in several splits. `splits`
    has the settled split of each row, None where it is not named.
    """
    by_name = [suspect for suspect in suspects if suspect.rank < BY_LABELS]
    askable = [suspect for suspect in suspects if suspect.values >= LEAST_GROUPS]
    if "test" in splits:
        return Notes(remarks=_tell_shared(by_name, columns, pl.Series(splits, dtype=pl.String)))
    if askable:
        return Notes(doubts=[_ask(*askable)])
    return Notes(
        remarks=[
            f"The column {suspect.column!r} has only {suspect.values:,} values, which would lie in several splits: "
            "name it as group_column if the images of a value belong together."
            for suspect in by_name
        ]
    )


def tell_groups_in_names(names: Sequence[str], labels: Sequence[str | None]) -> str | None:
    """A remark if file names such as benign/p00_3.png begin like those of other images, always of the same label."""
    beginnings = pl.Series(names, dtype=pl.String).str.extract(r"([^/]+?)[-_. ]+[A-Za-z]{0,6}\d+(?:\.[^./]*)?$")
    found = suspect_groups({"": beginnings}, labels, images=len(names))
    if not found:
        return None
    example = beginnings.drop_nulls().mode().sort()[0]
    return (
        f"The names of {found[0].images:,} images have {found[0].values:,} beginnings such as {example!r}, each with "
        "only one label: if the images of one belong together, list the images in a table and name its group_column."
    )


def _ask(best: GroupSuspect, *others: GroupSuspect) -> Doubt:
    also = f" (or {', '.join(repr(other.column) for other in others[:3])})" if others else ""
    alike = ", each with only one label," if best.rank == BY_LABELS else ""
    return Doubt(
        "group_column",
        f"{best.images:,} images have {best.values:,} values of the column {best.column!r}{also}:{alike} if the images "
        'of a value belong together, they must stay in one split; "" draws the splits image by image.',
        best.column,
    )


def _tell_shared(suspects: list[GroupSuspect], columns: dict[str, pl.Series], splits: pl.Series) -> list[str]:
    """A remark for each suspect with values in several splits."""
    shared = {suspect: len(shared_groups(as_text(columns[suspect.column]), splits)) for suspect in suspects}
    return [
        f"{count:,} of {suspect.values:,} values of the column {suspect.column!r} have images in more than one split: "
        "if the images of a value belong together, the test is too easy."
        for suspect, count in shared.items()
        if count
    ]
