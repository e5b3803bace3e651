"""Findings in words: order, verdict, numbers and hardest samples."""

import polars as pl

from lake.comparison.runs import SIGNIFICANT
from lake.contracts.rows import FindingRow, PooledMapRow, ReasonCount, first_row
from lake.contracts.tables import DATA_KINDS, LOSS_KINDS
from lake.query.filters import Filters
from lake.statistics import wilson_interval
from lake.storage.store import Run
from lake.text.formatting import p_value
from pages.text import missing
from pages.text.formatting import percent, plain
from pages.text.missing import COPIES

EXAMPLES, CONFUSIONS = 8, 3
NOTHING_FOUND = "No group of samples has a loss above chance: there is nothing to report."
NOTHING_MEASURED = "No sample has a label: no loss is measured, so there are no findings about it."
NAMES = {
    "mislabeled": "doubtful labels",
    "leakage": "held-out images that were trained on",
    "duplicate": "images that occur twice",
    "domain gap": "splits that differ",
    "under-represented": "kinds of samples that are rare in training",
}


def loss_findings(findings: pl.DataFrame) -> pl.DataFrame:
    """Return the findings about the loss, worst first."""
    return findings.filter(pl.col("kind").is_in(LOSS_KINDS)).sort("finding_id")


def data_findings(findings: pl.DataFrame) -> pl.DataFrame:
    """Return the findings about the data, in order."""
    return findings.filter(pl.col("kind").is_in(DATA_KINDS)).sort("finding_id")


def by_certainty(findings: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return the confirmed findings, the unconfirmed ones, and those that a worse finding covers."""
    uncovered = findings.filter(pl.col("covered_by").is_null())
    is_confirmed = pl.col("confirmed").fill_null(value=False)
    return (
        uncovered.filter(is_confirmed),
        uncovered.filter(~is_confirmed),
        findings.filter(pl.col("covered_by").is_not_null()),
    )


def title(finding: FindingRow) -> str:
    """Return the name, after the rank if the finding has one."""
    rank = f"{finding['finding_id']} · " if finding["kind"] in LOSS_KINDS else ""
    return f"{rank}{plain(finding['name'])}"


def verdict(finding: FindingRow) -> str:
    """Return the verdict: counted, confirmed, not confirmed or not enough evidence."""
    if finding["p"] is None:
        return "counted"
    if finding["confirmed"] is None:
        return "not enough evidence"
    return "confirmed" if finding["confirmed"] else "not confirmed"


def numbers(finding: FindingRow) -> list[str]:
    """n, lift, error rate with their intervals, the p values, confusions and reasons with their counts."""
    n = finding["n"]
    parts = [f"n {n:,} of {finding['population']:,}"]
    if finding["lift"] is not None:
        parts.append(f"lift {finding['lift']:.1f} ({finding['lift_low']:.1f} to {finding['lift_high']:.1f})")
    if finding["errors"] is not None and finding["kind"] != "confusion":
        low, high = wilson_interval(finding["errors"], n)
        parts.append(f"wrong {percent(finding['errors'] / n)} ({low * 100:.0f} to {high * 100:.0f})")
    if finding["adjusted_p"] is not None:
        parts.append(f"adjusted {p_value(finding['adjusted_p'])}")
    if finding["class_matched_p"] is not None:
        parts.append(f"harder than its classes {p_value(finding['class_matched_p'])}")
    confusions = finding["confusion"][:CONFUSIONS]
    parts += [plain(f"{cell['label']} called {cell['predicted']} {cell['n']:,}") for cell in confusions]
    return parts + _reasons(finding["reasons"])


def evidence(pooled_maps: pl.DataFrame, finding: FindingRow) -> str | None:
    """Describe the finest loss maps of a finding in one sentence; None if there are none."""
    finest = pooled_maps.filter(filter=finding["filter"]).sort(-pl.col("height") * pl.col("width"), "layer")
    row = first_row(finest, PooledMapRow)
    if row is None:
        return None
    own_share = _share(row["border_share"], row["border_low"], row["border_high"])
    other_share = _share(row["others_share"], row["others_low"], row["others_high"])
    difference = "no clear difference" if row["adjusted_p"] >= SIGNIFICANT else "a difference"
    return (
        f"Where the loss is raised: {own_share} on the border, of {plain(row['others'])} {other_share}; "
        f"{difference}, adjusted {p_value(row['adjusted_p'])}."
    )


def _share(value: float, low: float, high: float) -> str:
    return f"{percent(value)} ({low * 100:.0f} to {high * 100:.0f})"


def hardest(samples: pl.LazyFrame, filter_text: str) -> pl.DataFrame:
    """Return the samples of a finding with the highest loss; for unlabeled samples the expected loss."""
    members = Filters.from_text(filter_text).apply(samples)
    loss = pl.coalesce("loss", "expected_loss")
    return members.sort(loss, "sample_id", descending=[True, False]).head(EXAMPLES).collect()


def say_missing(run: Run, finding_rows: pl.DataFrame) -> str | None:
    """Return which faults of the data were searched for and not found; None if all were found."""
    was_tested = {
        "mislabeled": missing.is_classified(run),
        "under-represented": missing.is_classified(run),
        "leakage": missing.has(run, COPIES) and missing.is_classified(run),
        "duplicate": missing.has(run, COPIES),
        "domain gap": missing.is_classified(run) and (run.has("properties") or run.has("embeddings")),
    }
    not_found = [NAMES[kind] for kind in DATA_KINDS if was_tested.get(kind, True) and kind not in finding_rows["kind"]]
    return f"Looked for and not found: {', '.join(not_found)}." if not_found else None


def _reasons(reasons: list[ReasonCount]) -> list[str]:
    if not reasons:
        return []
    parts = ", ".join(f"{reason['reason']} {reason['n']:,}" for reason in reasons)
    return [f"why the {sum(reason['n'] for reason in reasons):,} losses above 0.69: {parts}"]
