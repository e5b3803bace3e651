"""Messages for runs whose external predictions lack images, embeddings or their model.

`Run.has` tells whether a table has rows.
"""

from dataclasses import dataclass

from lake.storage.store import Run


@dataclass(frozen=True)
class Need:
    """Something that external predictions may lack; a run has it if any of the tables has rows."""

    name: str
    tables: tuple[str, ...]
    bring: str

    def is_met(self, run: Run) -> bool:
        return any(run.has(table) for table in self.tables)


EMBEDDINGS = Need("embeddings", ("embeddings",), "a column of embeddings")
IMAGES = Need("images", ("images",), "the images")
MODEL = Need("their model", ("models", "training"), "the model as a checkpoint")


@dataclass(frozen=True)
class Part:
    """A part of a page with its needs and its message."""

    lacking: str
    """Beginning of the message if it is missing."""
    needs: tuple[Need, ...]
    to: str
    """What the reader could do with it."""


MAP = Part("This run has no map", (EMBEDDINGS,), "see one")
GROUPS = Part("This run has no groups", (EMBEDDINGS,), "see them")
SIMILAR = Part("No sample of this run can be called similar to another", (EMBEDDINGS,), "fetch similar ones")
LOSS_MAPS = Part("This run has no loss maps", (MODEL, IMAGES), "see them")
COPIES = Part("Copies were not looked for in this run", (IMAGES, EMBEDDINGS), "find them")


def say(run: Run, part: Part) -> str | None:
    """Return the message that the run lacks a part, and what to bring; None if its needs are met."""
    missing = [need for need in part.needs if not need.is_met(run)]
    if not missing:
        return None
    without, bring = (" and ".join(words) for words in ([n.name for n in missing], [n.bring for n in missing]))
    return f"{part.lacking}: its predictions were brought without {without}. Bring {bring} to {part.to}."


def has(run: Run, part: Part) -> bool:
    """Return whether all needs of a part are met."""
    return say(run, part) is None


def say_untrained(run: Run) -> str:
    """Return why a run has no training data."""
    if MODEL.is_met(run):
        return "The model was brought as a checkpoint: how it was trained is not known here."
    return "The predictions were brought without their model: how it was trained is not known here."


def noun(run: Run) -> str:
    """Return the noun for one sample of the run."""
    return "image" if run.has("images") else "sample"
