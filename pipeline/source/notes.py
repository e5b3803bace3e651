"""What was understood of a source, what was left aside, and what is unclear and must be asked."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.source.printable import show

LONGEST = 1_000
"""Characters of a note; of more, the end is cut off."""


@dataclass(frozen=True)
class Doubt:
    """Something unclear whose answer changes numbers. A refresh asks, unless the setting is given."""

    setting: str
    """The setting of the section [dataset] that answers it, such as `class_level` or `predictions.classes`."""
    sentence: str
    """What is unclear, with values and counts."""
    suggestion: Any
    """The most likely value of the setting, as it would be written in TOML."""


@dataclass(frozen=True)
class Aside:
    """Files of one kind that are no images of the dataset, such as masks or annotations."""

    kind: str
    """In the plural: "texts and annotations"."""
    count: int
    example: str


@dataclass
class Notes:
    """Notes that a reader takes; those of several readers are added up."""

    doubts: list[Doubt] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What was understood in a way that a person may want to know, one sentence each: an assumption without doubt."""
    asides: list[Aside] = field(default_factory=list)

    def extend(self, other: "Notes") -> None:
        """Add the notes of another reader, each only once."""
        self.doubts += [doubt for doubt in other.doubts if doubt not in self.doubts]
        self.remarks += [remark for remark in other.remarks if remark not in self.remarks]
        self.asides += [aside for aside in other.asides if aside not in self.asides]

    def tell_asides(self) -> str:
        """The files left aside, with an example of each kind; empty if there are none."""
        return "; ".join(f"{aside.kind}: {aside.count:,}, such as {aside.example}" for aside in self.asides)

    def on_one_line(self) -> "Notes":
        """The notes for people: without line breaks and other unprintable characters of names and values, and cut."""
        return Notes(
            [replace(doubt, sentence=show(doubt.sentence, LONGEST)) for doubt in self.doubts],
            [show(remark, LONGEST) for remark in self.remarks],
            [replace(aside, example=show(aside.example, LONGEST)) for aside in self.asides],
        )

    def set_aside(self, kinds: Counter[str], examples: dict[str, str]) -> None:
        """Note files left aside: how many of each kind, with an example of each."""
        self.asides += [Aside(kind, count, examples[kind]) for kind, count in kinds.most_common()]
