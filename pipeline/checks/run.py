"""Run the checks of a run: its loss maps against independent computations, its lists on planted faults.

`check_methods` works on the tables of a run that is about to be published, `check_again` on a published one.
"""

import io
import json
from collections.abc import Callable

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from PIL import Image

from lake.errors import UserError
from lake.query.joined_samples import Tables
from lake.storage.damage import reading
from lake.storage.store import Run
from pipeline.checks import (
    duplicates as duplicate_checks,
)
from pipeline.checks import (
    label_issues as label_issue_checks,
)
from pipeline.checks import (
    loss_maps as loss_map_checks,
)
from pipeline.engine.progress import Progress
from pipeline.findings.label_issues import gather_evidence
from pipeline.measure.score import Scorer
from pipeline.model.published_model import StoredModel, load_model

MAPS = (loss_map_checks.SUBJECT,)
PLANTED = (label_issue_checks.SUBJECT, duplicate_checks.SUBJECT)
ImagesOf = Callable[[NDArray[np.int64]], NDArray[np.uint8]]
"""Returns the pixels of samples [N, H, W, 3], given ascending ids."""


def check_methods(
    run: Tables,
    stored: StoredModel,
    classes: list[str],
    images_of: ImagesOf,
    *,
    seed: int,
    threads: int,
    progress: Progress,
    subjects: tuple[str, ...] = MAPS + PLANTED,
) -> pl.DataFrame:
    """The table `proofs` without the column run_id, for the given subjects."""
    # Also set here: if no earlier stage ran in this process, MKL chooses the number, and the last bits differ.
    torch.set_num_threads(threads)

    def maps() -> pl.DataFrame:
        return loss_map_checks.check_run(run, stored, classes, images_of, seed=seed, progress=progress)

    def label_issues() -> pl.DataFrame:
        evidence = gather_evidence(run, run.scan("neighbors").collect(), classes)
        return label_issue_checks.check_label_issues(evidence, classes, seed=seed)

    def duplicates() -> pl.DataFrame:
        splits = run.scan("samples").select("sample_id", "split")
        rows = run.scan("embeddings").join(splits, on="sample_id").sort("sample_id").collect()
        ids = rows["sample_id"].to_numpy()
        twins = run.scan("duplicates").select("sample_id", "duplicate_id").collect()
        return duplicate_checks.check_duplicates(
            Scorer(stored.model, stored.resolution),
            images_of(ids),
            rows["embedding"].explode().to_numpy().reshape(len(rows), -1),
            rows["split"].to_numpy().astype(str),
            twins.select(pl.all().map_batches(lambda column: pl.Series(np.searchsorted(ids, column.to_numpy())))),
            seed=seed,
            progress=progress,
        )

    checks = {
        loss_map_checks.SUBJECT: maps,
        label_issue_checks.SUBJECT: label_issues,
        duplicate_checks.SUBJECT: duplicates,
    }
    return pl.concat([checks[subject]() for subject in subjects])


def check_again(run: Run, progress: Progress, subjects: tuple[str, ...]) -> pl.DataFrame:
    """The checks of a published run, computed now with the model and the images of the lake.

    Raises `UserError` if the run has no model.
    """
    if len(run.classes) < 2:
        raise UserError(
            f"No model was trained in run {run.run_id}, as its images are of fewer than two classes: "
            "there are no loss maps to check, and no lists of label issues."
        )

    def images_of(sample_id: NDArray[np.int64]) -> NDArray[np.uint8]:
        ids = pl.DataFrame({"sample_id": sample_id}).lazy()
        images = run.scan("images").select("sample_id", "png")
        pngs = images.join(ids, on="sample_id").sort("sample_id").collect()["png"]
        return np.stack([np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) for png in pngs])

    with reading(run.lake.root):
        config, stored = json.loads(run.facts["config"]), load_model(run)
        return check_methods(
            run,
            stored,
            run.classes,
            images_of,
            seed=config["seed"],
            threads=config["threads"],
            progress=progress,
            subjects=subjects,
        )
