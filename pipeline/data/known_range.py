"""Keep the range of values of images of more than 8 bits, so that an image keeps its pixels when others are added."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.pixels.bit_depth import ValueRange, measure_range
from pipeline.pixels.image_file import Source
from pipeline.source.answers import Assumed

SETTING = "value_range"
"""What a run assumes of such images is kept under this name; it is no setting."""


@dataclass(frozen=True)
class KnownRange:
    """The range of a dataset; None if all its images have 8 bits."""

    value_range: ValueRange | None
    remarks: list[str]

    def to_assumed(self) -> list[Assumed]:
        """What the run keeps of it."""
        if self.value_range is None:
            return []
        return [Assumed(SETTING, self.value_range.to_json(), " ".join(self.remarks))]


def read_range(assumed: Iterable[Mapping[str, str]]) -> ValueRange | None:
    """The range that a run keeps, from its column `assumed`; None if all its images have 8 bits."""
    written = next((row["value"] for row in assumed if row["setting"] == SETTING), None)
    return None if written is None else ValueRange.from_json(json.loads(written))


def settle_range(sources: Sequence[Source], known: Iterable[Assumed]) -> KnownRange:
    """The range that earlier runs of the dataset assumed, extended by new kinds of numbers among its images."""
    measured, remarks = measure_range(sources)
    kept = next((one for one in known if one.setting == SETTING), None)
    if kept is None or measured is None:
        return KnownRange(measured, remarks)
    stored = ValueRange.from_json(kept.value)
    if measured.limits.keys() <= stored.limits.keys():
        return KnownRange(stored, [kept.sentence])
    return KnownRange(ValueRange({**measured.limits, **stored.limits}), remarks)
