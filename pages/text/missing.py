"""What a run lacks whose predictions were brought without images, embeddings or their model: why, and what to bring.

Whether something is there is `Run.has`; the words for what is not are here.
"""

from dataclasses import dataclass

from lake.storage.store import Run


@dataclass(frozen=True)
class Need:
    """Something that predictions may be brought without; there where any of the tables has rows."""

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
    """Something that a run shows, and what for."""

    lacking: str
    """The beginning of the sentence that it is not there."""
    needs: tuple[Need, ...]
    to: str
    """What becomes possible."""


MAP = Part("This run has no map", (EMBEDDINGS,), "see one")
GROUPS = Part("This run has no groups", (EMBEDDINGS,), "see them")
SIMILAR = Part("No sample of this run can be called similar to another", (EMBEDDINGS,), "fetch similar ones")
LOSS_MAPS = Part("This run has no loss maps", (MODEL, IMAGES), "see them")
COPIES = Part("Copies were not looked for in this run", (IMAGES, EMBEDDINGS), "find them")


def say(run: Run, part: Part) -> str | None:
    """That the run lacks it, why, and what to bring; None where nothing that it needs is missing."""
    missing = [need for need in part.needs if not need.is_met(run)]
    if not missing:
        return None
    without, bring = (" and ".join(words) for words in ([n.name for n in missing], [n.bring for n in missing]))
    return f"{part.lacking}: its predictions were brought without {without}. Bring {bring} to {part.to}."


def has(run: Run, part: Part) -> bool:
    """Whether nothing that the part needs is missing."""
    return say(run, part) is None


def say_untrained(run: Run) -> str:
    """Why nothing is known of the training of a run that has none."""
    if MODEL.is_met(run):
        return "The model was brought as a checkpoint: how it was trained is not known here."
    return "The predictions were brought without their model: how it was trained is not known here."


def noun(run: Run) -> str:
    """What one sample of the run is called."""
    return "image" if run.has("images") else "sample"
