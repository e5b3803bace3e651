"""The stages of a refresh in execution order: the tables each writes, what it needs and which stages it reads.

`pipeline.stages.graph` defines how each is computed. The runner skips stages whose needs a run lacks, validation
derives which tables must then be empty, Dagster the dependencies of its assets and the page Runs the stage titles.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Need = Literal["images", "embeddings", "model", "classes"]
"""What a run may lack: external predictions have no model and may have no embeddings or images; images of
fewer than two classes have neither a model nor classes."""


@dataclass(frozen=True)
class Stage:
    """A stage with its output tables and inputs."""

    name: str
    title: str
    tables: tuple[str, ...]
    needs: frozenset[Need] = frozenset()
    reads: tuple[str, ...] = ()
    """Earlier stages whose output it reads."""

    @property
    def covers_embedded(self) -> bool:
        """Whether it covers only the samples with an embedding: external predictions may give some of them none."""
        return self.needs == {"embeddings"}


SAMPLE_STAGES = ("properties", "score", "neighbors", "projection", "clusters", "duplicates")
"""Stages whose tables are joined into the sample table."""
_IMAGES: frozenset[Need] = frozenset({"images"})
_EMBEDDINGS: frozenset[Need] = frozenset({"embeddings"})
_MODEL: frozenset[Need] = frozenset({"model"})
_CLASSES: frozenset[Need] = frozenset({"classes"})

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
    Stage("label_issues", "Label issues", ("label_issues",), _CLASSES, ("train", *SAMPLE_STAGES)),
    Stage("loss_maps", "Loss maps", ("loss_maps",), _MODEL, ("train", "folds", "score")),
    Stage("map_families", "Families of loss maps", ("map_families",), _MODEL, ("loss_maps", *SAMPLE_STAGES)),
    Stage(
        "findings", "Findings", ("triage", "cluster_summaries", "findings"), reads=("cluster_quality", *SAMPLE_STAGES)
    ),
    Stage(
        "pooled_maps",
        "Pooled loss maps",
        ("pooled_maps",),
        _MODEL,
        ("loss_maps", "map_families", "findings", *SAMPLE_STAGES),
    ),
    Stage(
        "checks",
        "Checks of the methods",
        ("proofs",),
        _CLASSES,
        ("train", "loss_maps", "map_families", "findings", *SAMPLE_STAGES),
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
"""Stage names used before version 0.2 -> current names."""
BY_NAME = {stage.name: stage for stage in STAGES}


def tables_that_need(needs: Iterable[Need]) -> set[str]:
    """Return the tables that are empty in a run that lacks any of `needs`."""
    lacking = set(needs)
    return {table for stage in STAGES if not lacking.isdisjoint(stage.needs) for table in stage.tables}


def title_of(name: str) -> str:
    """Return the display title of a refresh step: a stage, a fold training, or a step before or after the stages."""
    if name.startswith("fold-"):
        return f"Training, fold {name.removeprefix('fold-')}"
    other_titles = {"data": "Reading the data", "write": "Writing to the lake"}
    return BY_NAME[name].title if name in BY_NAME else other_titles.get(name, name)
