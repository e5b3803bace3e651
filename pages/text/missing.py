"""Messages for runs whose external predictions lack images, embeddings or their model.

`Run.has` tells whether a table has rows.
"""

from dataclasses import dataclass

import polars as pl

from lake.contracts.rows import SampleRow
from lake.query import queries
from lake.storage.store import Run
from pages.text.formatting import pluralize


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


UNCLASSIFIED = "no model was trained, as the images are of fewer than two classes"


def is_classified(run: Run) -> bool:
    """Return whether the run has classes to tell apart, and so predictions."""
    return len(run.classes) > 1


def say(run: Run, part: Part) -> str | None:
    """Return the message that the run lacks a part, and what to bring; None if its needs are met."""
    missing = [need for need in part.needs if not need.is_met(run)]
    if not missing:
        return None
    if not is_classified(run) and MODEL in missing:
        return f"{part.lacking}: {UNCLASSIFIED}. Label images of at least two to {part.to}."
    without, bring = (" and ".join(words) for words in ([n.name for n in missing], [n.bring for n in missing]))
    return f"{part.lacking}: its predictions were brought without {without}. Bring {bring} to {part.to}."


def say_gaps(samples: pl.LazyFrame) -> str | None:
    """Return how many samples have an embedding if others have none; None if all have, or none has."""
    total, embedded = samples.select(pl.len(), queries.EMBEDDED.sum()).collect().row(0)
    if embedded in (0, total):
        return None
    return (
        f"{embedded:,} of {pluralize(total, 'sample')} have an embedding; the others have no place on the map, no "
        "group and no similar samples."
    )


def say_no_embedding(run: Run, sample: SampleRow) -> str | None:
    """Return what a sample lacks that was brought without an embedding, as others were not; None otherwise."""
    if sample["x"] is not None or not EMBEDDINGS.is_met(run):
        return None
    return (
        f"Sample {sample['sample_id']} was brought without an embedding: it has no place on the map, no group and no "
        "similar samples."
    )


def has(run: Run, part: Part) -> bool:
    """Return whether all needs of a part are met."""
    return say(run, part) is None


def say_untrained(run: Run) -> str:
    """Return why a run has no training data."""
    if not is_classified(run):
        return f"{UNCLASSIFIED[0].upper()}{UNCLASSIFIED[1:]}."
    if MODEL.is_met(run):
        return "The model was brought as a checkpoint: how it was trained is not known here."
    return "The predictions were brought without their model: how it was trained is not known here."


def noun(run: Run) -> str:
    """Return the noun for one sample of the run."""
    return "image" if run.has("images") else "sample"
