"""The stages of a refresh in the order they run: the tables each makes, what it needs, and which others it reads.

Declared once: `pipeline.stages.graph` says how each is computed, the runner leaves out what a run lacks, validation
knows which tables are empty then, Dagster takes its dependencies from here, and the page Runs its words.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Need = Literal["images", "embeddings", "model"]
"""What a run may lack: predictions from elsewhere come without a model, perhaps without embeddings or images."""


@dataclass(frozen=True)
class Stage:
    """What a stage makes, of what."""

    name: str
    title: str
    tables: tuple[str, ...]
    needs: frozenset[Need] = frozenset()
    reads: tuple[str, ...] = ()
    """The earlier stages it reads."""


MEASURED = ("properties", "score", "neighbors", "projection", "clusters", "duplicates")
"""Stages whose tables are joined into the table of samples."""
_IMAGES: frozenset[Need] = frozenset({"images"})
_EMBEDDINGS: frozenset[Need] = frozenset({"embeddings"})
_MODEL: frozenset[Need] = frozenset({"model"})

STAGES = (
    Stage("properties", "Image properties", ("properties",), _IMAGES),
    Stage("train", "Training", ("training", "dynamics", "models"), _MODEL),
    Stage("folds", "Training of the folds", (), _MODEL),
    Stage("score", "Predictions and embeddings", ("predictions", "embeddings"), reads=("train", "folds")),
    Stage("search_index", "Search index", ("search_index",), _EMBEDDINGS, ("score",)),
    Stage("neighbors", "Neighbours", ("neighbors",), _EMBEDDINGS, ("score", "search_index")),
    Stage(
        "projection", "Projection to two dimensions", ("projection", "map_quality"), _EMBEDDINGS, ("score", "neighbors")
    ),
    Stage("separation", "Separation of classes", ("separation",), _EMBEDDINGS, ("score", "neighbors", "projection")),
    Stage("clusters", "Clusters", ("clusters",), _EMBEDDINGS, ("projection",)),
    Stage("cluster_quality", "Quality of clusters", ("cluster_quality",), _EMBEDDINGS, ("projection", "clusters")),
    Stage("duplicates", "Duplicates", ("duplicates",), _IMAGES | _EMBEDDINGS, ("neighbors",)),
    Stage("label_issues", "Label issues", ("label_issues",), reads=("train", *MEASURED)),
    Stage("loss_maps", "Loss maps", ("loss_maps",), _MODEL, ("train", "folds", "score")),
    Stage("map_families", "Families of loss maps", ("map_families",), _MODEL, ("loss_maps", *MEASURED)),
    Stage("findings", "Findings", ("triage", "cluster_summaries", "findings"), reads=("cluster_quality", *MEASURED)),
    Stage(
        "pooled_maps",
        "Pooled loss maps",
        ("pooled_maps",),
        _MODEL,
        ("loss_maps", "map_families", "findings", *MEASURED),
    ),
    Stage(
        "checks",
        "Checks of the methods",
        ("proofs",),
        reads=("train", "loss_maps", "map_families", "findings", *MEASURED),
    ),
)
RENAMED = {
    "index": "search_index",
    "project": "projection",
    "separate": "separation",
    "cluster": "clusters",
    "assess": "cluster_quality",
    "copies": "duplicates",
    "doubt": "label_issues",
    "explain": "loss_maps",
    "families": "map_families",
    "describe": "findings",
    "pool": "pooled_maps",
    "prove": "checks",
}
"""What stages were called in runs of versions before 0.2, with their names of today."""
BY_NAME = {stage.name: stage for stage in STAGES}


def tables_that_need(needs: Iterable[Need]) -> set[str]:
    """The tables that have no rows in a run that lacks one of these."""
    lacking = set(needs)
    return {table for stage in STAGES if not lacking.isdisjoint(stage.needs) for table in stage.tables}


def title_of(name: str) -> str:
    """What pages call a step of a refresh: a stage, one of the trainings of folds, or what surrounds the stages."""
    if name.startswith("fold-"):
        return f"Training, fold {name.removeprefix('fold-')}"
    around = {"data": "Reading the data", "write": "Writing to the lake"}
    return BY_NAME[name].title if name in BY_NAME else around.get(name, name)
