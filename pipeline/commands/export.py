"""Export of `latentlake export`: the report of a run, one of its charts, or the rows of its samples.

The file suffix selects the format: `report.html`, `confusion.svg`, `map.png`, `samples.parquet`, `samples.csv`.
`pages.report` is imported inside functions: it is the only part of the pages that the pipeline depends on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.contracts.samples import OF_CLASSES
from lake.errors import UsageError
from lake.exports.rows_to_bytes import KINDS, to_bytes
from lake.exports.spreadsheet_csv import count_formulas
from lake.query import joined_samples
from lake.query.filters import Clause, Filters
from lake.storage.damage import reading
from lake.storage.store import Run
from pipeline.commands.output_file import check_free, check_place, write_file

REPORT, PICTURES = (".html",), (".svg", ".png")
ROWS = tuple(f".{kind}" for kind in KINDS)


@dataclass(frozen=True)
class ExportedFile:
    """The file that was written, and its content in words."""

    path: Path
    description: str
    size: int

    def to_sentence(self) -> str:
        """Path, content and size of the file as a sentence."""
        return f"{self.path}: {self.description}, {max(1, round(self.size / 1000)):,} kB"


def export(run: Run, path: Path | None, *, condition: str | None = None, force: bool = False) -> ExportedFile:
    """Write the format given by the suffix of the path; without a path, the report under its default name.

    `condition` is an expression of `lake.query.expressions` that filters the rows. Raises `UserError` and writes
    nothing if the file exists and `force` is not given, if the suffix is unknown, or if the condition cannot be parsed.
    """
    path = _default_path(run) if path is None else path
    check_place(path)
    make, description = _find_writer(run, path, condition)
    check_free(path, force=force)
    content = make()
    write_file(path, content)
    return ExportedFile(path, description, len(content))


def _default_path(run: Run) -> Path:
    from pages.report.document import file_name

    return Path(file_name(run))


def _find_writer(run: Run, path: Path, condition: str | None) -> tuple[Callable[[], bytes], str]:
    """A function that makes the content, and a description of the content."""
    ending = path.suffix.lower()
    if path.name.lower() in (*REPORT, *PICTURES, *ROWS):
        raise UsageError(f"{path} is an extension without a file name: put a name before it.")
    if ending in ROWS:
        rows = _select_rows(run, condition)
        none = "" if condition is None or len(rows) else f", because none matches the filter {condition}"
        formulas = _warn_of_formulas(rows) if ending == ".csv" else ""
        description = f"{len(rows):,} samples of run {run.run_id}{none}{formulas}"
        return lambda: to_bytes(rows, ending.removeprefix(".")), description
    if condition is not None:
        raise UsageError(f"--filter selects rows, but {path.name} has none: name a file that ends in .csv or .parquet.")
    if ending in REPORT:
        return lambda: _write_report(run), f"the report of run {run.run_id}"
    if ending in PICTURES:
        return _find_chart(run, path), f"the chart {path.stem} of run {run.run_id}"
    endings = ", ".join((*REPORT, *PICTURES, *ROWS))
    raise UsageError(f"{path.name} must end in one of {endings}: the extension determines what is exported.")


def _warn_of_formulas(rows: pl.DataFrame) -> str:
    """Say that the file, whose values are exact for programs, should not be opened in a spreadsheet; or nothing."""
    count = count_formulas(rows)
    if not count:
        return ""
    texts = "1 text of which begins" if count == 1 else f"{count:,} texts of which begin"
    return f" ({texts} like a formula: for Excel, download the CSV of the page Samples instead)"


def _write_report(run: Run) -> bytes:
    from pages.report.document import find_previous, render_report

    return render_report(run, find_previous(run)).encode()


def _find_chart(run: Run, path: Path) -> Callable[[], bytes]:
    from pages.report.pictures import CHARTS, render_chart

    if path.stem not in CHARTS:
        raise UsageError(f"There is no chart {path.stem}: the charts are {' and '.join(CHARTS)}, as in map.svg.")
    return lambda: render_chart(run, path.stem, png=path.suffix.lower() == ".png")


def _select_rows(run: Run, condition: str | None) -> pl.DataFrame:
    samples = joined_samples.scan_samples(run)
    if len(run.classes) < 2:
        samples = samples.drop(OF_CLASSES, strict=False)
    clauses = () if condition is None else (Clause.where(condition),)
    with reading(run.lake.root):
        return Filters(clauses=clauses).checked(samples.collect_schema()).apply(samples).collect()
