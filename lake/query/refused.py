"""What of the source of a run could not be used: how much, and each reason with its count and one example."""

import json
from dataclasses import dataclass

import polars as pl

from lake.contracts.quality import LEFT_OUT
from lake.storage.store import Run
from lake.text.formatting import percent

MAX_REFUSED = 0.02
"""Limit of runs without the setting `max_refused`."""
STAGE, USABLE = "data", "usable"
"""The metric that counts what could be used, also where the setting `samples` took only some of it."""
LEAST_SHOWN = 0.0005
"""Smaller shares would read 0.0 %."""


@dataclass(frozen=True)
class Refused:
    """How many images of the source could not be used, and how many could; rows, if there are no images."""

    count: int
    usable: int | None
    """None if it is not known, because the run took only some of them and did not record how many there were."""
    max_share: float
    """The setting `max_refused`: a larger share is part of the answer."""
    noun: str

    @property
    def share(self) -> float | None:
        """Share of all images that could not be used, between 0 and 1; None if it is not known."""
        if self.usable is None:
            return None
        total = self.count + self.usable
        return self.count / total if total else 0.0

    @property
    def is_large(self) -> bool:
        """Whether the share is above the limit."""
        return self.share is not None and self.share > self.max_share

    def to_words(self) -> str:
        """ "412 of 2,000 images (20.6 %) could not be used", without the share if it is not known."""
        if self.usable is None or self.share is None:
            return f"{self.count:,} {self.noun}{'' if self.count == 1 else 's'} could not be used"
        share = percent(self.share) if self.share >= LEAST_SHOWN or not self.count else "less than 0.1 %"
        total = self.count + self.usable
        return f"{self.count:,} of {total:,} {self.noun}{'' if total == 1 else 's'} ({share}) could not be used"

    def to_warning(self, *, tested: bool = True) -> str | None:
        """The sentence beside the accuracy, if there is one; None unless the share is large."""
        if not self.is_large:
            return None
        return f"{self.to_words()}: accuracy is of the others." if tested else f"{self.to_words()}."


def measure_refused(run: Run) -> Refused:
    """Count what could not be used of the source of a run; samples that people left out could be used."""
    reasons = run.scan("quarantine").select(is_left_out=pl.col("reason") == LEFT_OUT).collect()["is_left_out"]
    left_out = int(reasons.sum())
    config = json.loads(run.facts["config"])
    return Refused(
        count=len(reasons) - left_out,
        usable=_count_usable(run, config, left_out),
        max_share=float((config.get("dataset") or {}).get("max_refused", MAX_REFUSED)),
        noun="image" if run.has("images") else "row",
    )


def _count_usable(run: Run, config: dict[str, object], left_out: int) -> int | None:
    """The recorded number; of older runs that of the samples, unless they were cut to the setting `samples`."""
    recorded = run.metric(STAGE, USABLE)
    if recorded is not None:
        return int(recorded)
    known = next(table["rows"] for table in run.facts["tables"] if table["name"] == "samples") + left_out
    limit = config.get("samples")
    return None if isinstance(limit, int) and known >= limit else known


def count_reasons(run: Run) -> pl.DataFrame:
    """Return reason, n, and example and detail of the first entry by name; the most frequent reason first."""
    unusable = run.scan("quarantine").filter(pl.col("reason") != LEFT_OUT).sort("source_name")
    counted = unusable.group_by("reason", maintain_order=True).agg(
        n=pl.len().cast(pl.Int64), example=pl.col("source_name").first(), detail=pl.col("detail").first()
    )
    return counted.sort("n", "reason", descending=[True, False]).collect()


def tell_reasons(reasons: pl.DataFrame) -> list[str]:
    """Return one line for each reason: "300 truncated, such as cat/a.png (cut after 12 bytes)"."""
    return [
        f"{row['n']:,} {row['reason']}, such as {row['example']}" + (f" ({row['detail']})" if row["detail"] else "")
        for row in reasons.iter_rows(named=True)
    ]
