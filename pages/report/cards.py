"""Findings with their hardest samples as images inside the file."""

import io
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup
from PIL import Image

from lake.contracts.rows import FindingRow, rows_of
from lake.storage.store import Run
from pages.report.markdown import to_html
from pages.report.pictures import as_data
from pages.text import findings
from pages.text.samples import Tile, describe

LARGEST_SIDE = 64
"""Size of an image in pixels; larger ones are scaled down, so that the file stays small."""


@dataclass(frozen=True)
class Card:
    """A finding in the report."""

    title: Markup
    verdict: str
    sentence: str
    numbers: list[Markup]
    evidence: Markup | None
    action: str
    filter: str
    tiles: list[tuple[Tile, str | None]]
    """Each hard sample with the data URL of its image, if it has one."""


def make_cards(run: Run, finding_rows: pl.DataFrame, samples: pl.DataFrame) -> list[Card]:
    """A card for each of the findings, in order."""
    rows = rows_of(finding_rows, FindingRow)
    hardest = [findings.hardest(samples.lazy(), row["filter"]) for row in rows]
    pooled = run.scan("pooled_maps").collect()
    images = _read_images(run, {sample for part in hardest for sample in part["sample_id"]})
    return [_make_card(row, part, pooled, images) for row, part in zip(rows, hardest, strict=True)]


def _make_card(row: FindingRow, hardest: pl.DataFrame, pooled: pl.DataFrame, images: dict[int, str]) -> Card:
    evidence = findings.evidence(pooled, row)
    tiles = [describe(sample) for sample in hardest.iter_rows(named=True)]
    return Card(
        title=to_html(findings.title(row)),
        verdict=findings.verdict(row),
        sentence=row["sentence"],
        numbers=[to_html(text) for text in findings.numbers(row)],
        evidence=to_html(evidence) if evidence else None,
        action=row["action"],
        filter=row["filter"],
        tiles=[(tile, images.get(tile.sample_id)) for tile in tiles],
    )


def _read_images(run: Run, sample_ids: set[int]) -> dict[int, str]:
    """Return sample -> data URL of its image, in one read of the lake; empty if the run has no images."""
    rows = run.scan("images").filter(pl.col("sample_id").is_in(sorted(sample_ids))).select("sample_id", "png").collect()
    return {sample: as_data(_small(png)) for sample, png in rows.iter_rows()}


def _small(png: bytes) -> bytes:
    """Return the image scaled down to at most `LARGEST_SIDE` pixels."""
    image = Image.open(io.BytesIO(png))
    if max(image.size) <= LARGEST_SIDE:
        return png
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
