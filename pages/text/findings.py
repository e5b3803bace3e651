"""Findings in words: which stand for themselves, how sure they are, their numbers, their hardest samples."""

import polars as pl

from lake.comparison.runs import SIGNIFICANT
from lake.contracts.rows import FindingRow, PooledMapRow, ReasonCount, first_row
from lake.contracts.tables import DATA_KINDS, LOSS_KINDS
from lake.query.filters import Filters
from lake.statistics import wilson_interval
from lake.storage.store import Run
from lake.text.formatting import p_value
from pages.text import missing
from pages.text.missing import COPIES
from pages.text.words import percent, plain

EXAMPLES, CONFUSIONS = 8, 3
NOTHING_FOUND = "No group of samples has a loss above chance: there is nothing to report."
NAMES = {
    "mislabeled": "doubtful labels",
    "leakage": "held-out images that were trained on",
    "duplicate": "images that are there twice",
    "domain gap": "splits that differ",
    "under-represented": "kinds of samples that are rare in training",
}


def loss_findings(findings: pl.DataFrame) -> pl.DataFrame:
    """Those about the loss, worst first."""
    return findings.filter(pl.col("kind").is_in(LOSS_KINDS)).sort("finding_id")


def data_findings(findings: pl.DataFrame) -> pl.DataFrame:
    """Those about the data, in order."""
    return findings.filter(pl.col("kind").is_in(DATA_KINDS)).sort("finding_id")


def by_certainty(findings: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The confirmed ones that stand for themselves, the others that do, and those that a worse one covers."""
    standing = findings.filter(pl.col("covered_by").is_null())
    sure = pl.col("confirmed").fill_null(value=False)
    return standing.filter(sure), standing.filter(~sure), findings.filter(pl.col("covered_by").is_not_null())


def title(finding: FindingRow) -> str:
    """Its name, after its rank where it has one."""
    rank = f"{finding['finding_id']} · " if finding["kind"] in LOSS_KINDS else ""
    return f"{rank}{plain(finding['name'])}"


def verdict(finding: FindingRow) -> str:
    """How sure it is: counted, confirmed, not confirmed, not enough evidence."""
    if finding["p"] is None:
        return "counted"
    if finding["confirmed"] is None:
        return "not enough evidence"
    return "confirmed" if finding["confirmed"] else "not confirmed"


def numbers(finding: FindingRow) -> list[str]:
    """n, lift, error rate with their intervals, the p values, confusions and reasons with their counts."""
    n = finding["n"]
    said = [f"n {n:,} of {finding['population']:,}"]
    if finding["lift"] is not None:
        said.append(f"lift {finding['lift']:.1f} ({finding['lift_low']:.1f} to {finding['lift_high']:.1f})")
    if finding["errors"] is not None and finding["kind"] != "confusion":
        low, high = wilson_interval(finding["errors"], n)
        said.append(f"wrong {percent(finding['errors'] / n)} ({low * 100:.0f} to {high * 100:.0f})")
    if finding["adjusted_p"] is not None:
        said.append(f"adjusted {p_value(finding['adjusted_p'])}")
    if finding["class_matched_p"] is not None:
        said.append(f"harder than its classes {p_value(finding['class_matched_p'])}")
    confusions = finding["confusion"][:CONFUSIONS]
    said += [plain(f"{cell['label']} called {cell['predicted']} {cell['n']:,}") for cell in confusions]
    return said + _reasons(finding["reasons"])


def evidence(pooled_maps: pl.DataFrame, finding: FindingRow) -> str | None:
    """What the finest loss maps of a finding say, in one sentence; None where there are none."""
    found = pooled_maps.filter(filter=finding["filter"]).sort(-pl.col("height") * pl.col("width"), "layer")
    row = first_row(found, PooledMapRow)
    if row is None:
        return None
    here = _share(row["border_share"], row["border_low"], row["border_high"])
    there = _share(row["others_share"], row["others_low"], row["others_high"])
    clear = "no clear difference" if row["adjusted_p"] >= SIGNIFICANT else "a difference"
    return (
        f"Where the loss is raised: {here} on the border, of {plain(row['others'])} {there}; "
        f"{clear}, adjusted {p_value(row['adjusted_p'])}."
    )


def _share(value: float, low: float, high: float) -> str:
    return f"{percent(value)} ({low * 100:.0f} to {high * 100:.0f})"


def hardest(samples: pl.LazyFrame, where: str) -> pl.DataFrame:
    """The samples of highest loss that pass the filter of a finding; of unlabeled ones of the highest expected loss."""
    group = Filters.from_text(where).apply(samples)
    loss = pl.coalesce("loss", "expected_loss")
    return group.sort(loss, "sample_id", descending=[True, False]).head(EXAMPLES).collect()


def say_missing(run: Run, found: pl.DataFrame) -> str | None:
    """Which faults of the data were looked for and not found; None where there are no such."""
    looked_for = {
        "leakage": missing.has(run, COPIES),
        "duplicate": missing.has(run, COPIES),
        "domain gap": run.has("properties") or run.has("embeddings"),
    }
    absent = [NAMES[kind] for kind in DATA_KINDS if looked_for.get(kind, True) and kind not in found["kind"]]
    return f"Looked for and not found: {', '.join(absent)}." if absent else None


def _reasons(reasons: list[ReasonCount]) -> list[str]:
    if not reasons:
        return []
    parts = ", ".join(f"{reason['reason']} {reason['n']:,}" for reason in reasons)
    return [f"why the {sum(reason['n'] for reason in reasons):,} losses above 0.69: {parts}"]
