"""Stages that are computed differently for external predictions, which are used as they are."""

import numpy as np
import polars as pl

from lake.contracts.tables import make_frame
from pipeline.checks import label_issues as label_issue_checks
from pipeline.engine.stage_cache import Frames
from pipeline.findings import label_issues
from pipeline.measure import score
from pipeline.stages.inputs import StageInputs


def score_tables(inputs: StageInputs, _: Frames | None) -> Frames:
    """The tables `predictions` and `embeddings` (of the samples that have one), and headline figures."""
    dataset = inputs.dataset
    assert dataset.external is not None
    external, embedded_N = dataset.external.at(dataset.sample_id), dataset.external.embedded(dataset.sample_id)
    count = len(dataset)
    scores = score.Scores(
        rows=np.arange(count),
        embedding_ND=external.embedding_ND,
        logits_NK=external.logits_NK,
        temperature_N=np.ones(count),
        fold_N=np.zeros(count, np.int64),
    )
    embeddings = make_frame("embeddings", [])
    if embedded_N.any():
        embeddings = score.embeddings_frame(scores, dataset).filter(pl.Series(embedded_N))
    return {
        "predictions": score.predictions_frame(scores, dataset),
        "embeddings": embeddings,
        "headline": score.headline_frame(score.headline(scores, dataset)),
    }


def check_table(inputs: StageInputs) -> Frames:
    """The table `proofs`: only label issues are checked, by flipping labels; all other checks need the model."""
    classes = inputs.dataset.classes
    evidence = label_issues.gather_evidence(inputs.tables(), inputs.frame("neighbors", "neighbors"), classes)
    return {"proofs": label_issue_checks.check_label_issues(evidence, classes, seed=inputs.settings.seed)}
