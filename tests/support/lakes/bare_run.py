"""A lake with a run of external predictions: no model, and optionally no images or embeddings.

`build_bare_lake(root, images=..., embeddings=...)` publishes it from the tables of the tiny lake, without any rows that
need what is missing.
"""

import polars as pl

from lake.contracts.stages import Need, tables_that_need
from lake.storage.store import Lake
from tests.support.lakes.tiny_data import dataset_id_of
from tests.support.lakes.tiny_lake import RUN_ID, run_facts, stage_all, tiny_tables

STAGES = {"score", "findings"}
NO_DIFFERENCE = "no measured property differs enough to be named"
"""Description of a group if no property was measured."""


def build_bare_lake(
    root: str, *, images: bool, embeddings: bool, run_id: str = RUN_ID, samples: int = 80, seed: int = 0
) -> Lake:
    """Publish a run of predictions, with or without images and embeddings, in the lake at `root`."""
    lake = Lake(root)
    stage_all(lake, bare_tables(images=images, embeddings=embeddings, run_id=run_id, samples=samples, seed=seed))
    lake.publish(run_facts(run_id=run_id, dataset_id=dataset_id_of(samples, seed), samples=samples, seed=seed))
    return lake


def bare_tables(
    *, images: bool, embeddings: bool, run_id: str = RUN_ID, samples: int = 80, seed: int = 0
) -> dict[str, pl.DataFrame]:
    """Every table of the run except `runs`, by name, in staging order."""
    tables = tiny_tables(run_id=run_id, samples=samples, seed=seed)
    lacks: dict[Need, bool] = {"model": True, "images": not images, "embeddings": not embeddings}
    missing = tables_that_need(need for need, lacking in lacks.items() if lacking)
    missing |= set() if images else {"images"}
    missing |= set() if embeddings else {"embeddings", "cluster_summaries"}
    bare = {name: frame.clear() if name in missing else frame for name, frame in tables.items()}
    bare["proofs"] = bare["proofs"].filter(subject="label issues")
    bare["metrics"] = bare["metrics"].filter(pl.col("stage").is_in(STAGES))
    if not images:
        bare["cluster_summaries"] = bare["cluster_summaries"].with_columns(description=pl.lit(NO_DIFFERENCE))
    return bare if embeddings else bare | _without_neighbors(bare)


def _without_neighbors(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """High losses, label issues and findings as the model alone can describe them."""
    shares = pl.lit(None, pl.Float64)
    nothing_near = dict.fromkeys(("near_own", "near_other", "more_images"), pl.lit(None, pl.Int64))
    return {
        "triage": tables["triage"].with_columns(
            reason=pl.lit("unsure"), label_share=shares, predicted_share=shares, similarity=shares
        ),
        "label_issues": tables["label_issues"].with_columns(neighbor_share=0.0, likely_neighbor_share=0.0),
        "findings": tables["findings"].with_columns(
            **nothing_near, more_label=pl.lit(None, pl.String), action=pl.lit("Look at the hardest ones first.")
        ),
    }
