"""Check the result of a stage: numbers must be finite, and per-sample tables must not be empty."""

import polars as pl

from lake.contracts.stages import Stage
from lake.contracts.tables import ScoredSamples
from lake.errors import UserError
from pipeline.engine.stage_cache import Frames

OF_EACH_SAMPLE = frozenset({"properties", *ScoredSamples.members()}) - {"embeddings"}
"""Tables with rows for the samples; not `embeddings`, as external predictions may lack them."""
ADVICE = {
    "score": "the model's output for these images is not finite. Train with a lower learning_rate, or check the "
    "checkpoint and the settings mean and std",
    "properties": "check these images, or leave them out",
}
OTHERWISE = "report this with the output of `latentlake doctor`"


def check_result(stage: Stage, frames: Frames, *, samples: int) -> None:
    """Raises `UserError` naming the stage if its tables are invalid."""
    for table, frame in frames.items():
        if table in OF_EACH_SAMPLE and frame.is_empty() and samples > 1:
            raise UserError(
                f"The stage {stage.name} ({stage.title}) produced no rows in {table} for {samples:,} samples. "
                "Nothing was published, and finished stages are kept."
            )
        for column in frame.columns:
            wrong = frame.filter(~_is_finite(frame[column]))
            if len(wrong):
                first = f", the first for sample {wrong['sample_id'][0]}" if "sample_id" in frame.columns else ""
                raise UserError(
                    f"After the stage {stage.name} ({stage.title}), {len(wrong):,} of {len(frame):,} rows of "
                    f"{table}.{column} are not finite{first}: {ADVICE.get(stage.name, OTHERWISE)}. "
                    "Nothing was published, and finished stages are kept."
                )


def _is_finite(column: pl.Series) -> pl.Series:
    """Whether each row is null or holds only finite numbers."""
    if column.dtype.is_float():
        return column.is_finite().fill_null(value=True)
    if isinstance(column.dtype, pl.List) and column.dtype.inner is not None and column.dtype.inner.is_float():
        return column.list.eval(pl.element().is_finite()).list.all().fill_null(value=True)
    return pl.repeat(True, len(column), eager=True)
