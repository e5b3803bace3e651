"""What the report shows in rows: classes, findings without a card, figures before and now, checks, facts, glossary."""

import re
from dataclasses import dataclass
from typing import Any

import polars as pl
from markupsafe import Markup

from lake.comparison import runs as compare
from lake.contracts.rows import FindingRow, rows_of
from lake.query import queries
from lake.query.refused import count_reasons
from lake.storage.store import Run
from pages.report.markdown import to_html
from pages.text import checks, findings
from pages.text.changes import tabulate_figures
from pages.text.formatting import number, share_with_interval
from pages.text.glossary import GLOSSARY
from pages.text.understood import list_assumed

NUMBERS_OF_A_ROW = 2
MOST_CLASSES, MOST_CONFUSIONS = 50, 20


@dataclass(frozen=True)
class Table:
    """Rows of text under titles; the first column names the row, those of `numbers` are numbers."""

    columns: dict[str, str]
    rows: list[dict[str, Any]]
    numbers: tuple[str, ...] = ()


def tabulate_classes(held_out: pl.LazyFrame) -> Table:
    """Each class with its share right, mean loss and most frequent confusion, the worst first; of many the worst."""
    confusions = queries.top_confusions(held_out).collect().unique("label", keep="first", maintain_order=True)
    most_frequent = {row["label"]: f"{row['predicted']} {row['n']:,}" for row in confusions.iter_rows(named=True)}
    rows = [
        {"label": row["label"], "n": f"{row['n']:,}", "right": share_with_interval(row["hits"], row["n"])}
        | {"loss": number(row["mean_loss"]), "called": most_frequent.get(row["label"], "none is wrong")}
        for row in queries.class_report(held_out).head(MOST_CLASSES).collect().iter_rows(named=True)
    ]
    titles = ("Class", "Samples", "Right (95 % interval)", "Mean loss (nats)", "Most often called")
    columns = dict(zip(("label", "n", "right", "loss", "called"), titles, strict=True))
    return Table(columns, rows, numbers=("n", "right", "loss"))


def tabulate_confusions(held_out: pl.LazyFrame) -> Table:
    """The most frequent confusions with their share of the label and mean loss."""
    rows = [
        {"label": row["label"], "predicted": row["predicted"], "n": f"{row['n']:,} of {row['total']:,}"}
        | {"share": share_with_interval(row["n"], row["total"]), "loss": number(row["mean_loss"])}
        for row in queries.top_confusions(held_out).head(MOST_CONFUSIONS).collect().iter_rows(named=True)
    ]
    titles = ("Given label", "Called", "Samples", "Share of the label (95 % interval)", "Mean loss (nats)")
    columns = dict(zip(("label", "predicted", "n", "share", "loss"), titles, strict=True))
    return Table(columns, rows, numbers=("n", "share", "loss"))


def tabulate_findings(finding_rows: pl.DataFrame) -> Table:
    """Findings that have no card of their own, with how large and how sure they are."""
    rows = [
        {"name": to_html(findings.title(row)), "verdict": findings.verdict(row)}
        | {"numbers": to_html("; ".join(findings.numbers(row)[:NUMBERS_OF_A_ROW]))}
        for row in rows_of(finding_rows, FindingRow)
    ]
    return Table({"name": "Group", "numbers": "Samples and lift", "verdict": "Verdict"}, rows)


def tabulate_changes(run: Run, before: Run, now: pl.LazyFrame, earlier: pl.LazyFrame) -> Table:
    """Tabulate the headline figures of both runs on the same samples; no rows if they share no sample."""
    pairs = compare.scan_pairs(now, earlier).collect()
    figures = tabulate_figures(compare.figures(run, before, pairs)) if len(pairs) else []
    titles = {"title": f"On the same {len(pairs):,} held-out samples", "before": "Before", "now": "Now"}
    columns = titles | {"interval": "Change (95 % interval)"}
    rows = [{column: getattr(figure, column) for column in columns} for figure in figures]
    return Table(columns, rows, numbers=("before", "now", "interval"))


def tabulate_refused(run: Run) -> Table:
    """Why files of the source could not be used, each reason with its count and one example; no rows if all could."""
    rows = [row | {"n": f"{row['n']:,}"} for row in count_reasons(run).to_dicts()]
    columns = {"reason": "Why", "n": "How many", "example": "For example", "detail": "Because"}
    if not any(row["detail"] for row in rows):
        del columns["detail"]
    return Table(columns, rows, numbers=("n",))


def tabulate_assumed(run: Run) -> Table:
    """What was assumed because the source was unclear; no rows if nothing was."""
    columns = {"sentence": "What was unclear", "setting": "Setting in [dataset]", "value": "Assumed"}
    return Table(columns, list_assumed(run))


def tabulate_checks(run: Run) -> dict[str, Table]:
    """Return the checks by subject, under a line that says how many hold."""
    rows = run.scan("proofs").collect().sort("subject", "claim")
    columns = {"claim": "What was measured", "n": "n", "figure": "Figure (95 % interval)"}
    columns |= {"bar": "Bar", "verdict": "Verdict"}
    return {
        checks.say_checks(part, subject): Table(
            columns,
            checks.tabulate(part).with_columns(n=pl.Series([f"{n:,}" for n in part["n"]])).to_dicts(),
            numbers=("n", "figure"),
        )
        for (subject,), part in rows.group_by("subject", maintain_order=True)
    }


def list_facts(run: Run) -> dict[str, str]:
    """Return the facts about the run: data, settings and versions."""
    facts = run.facts
    rows = {table["name"]: table["rows"] for table in facts["tables"]}
    lines = {
        "Run": run.run_id,
        "Published": f"{facts['published_at']:%Y-%m-%d %H:%M} UTC",
        "Data": f"{facts['dataset_name']} ({run.dataset_id})",
        "Preset": facts["preset"],
        "Samples scored": f"{rows['predictions']:,} of {rows['samples']:,}",
        "Checks passed before it was published": f"{facts['checks']:,}",
        "Version of latentlake": facts["code_version"],
        "Fingerprint of data, settings and code": facts["fingerprint"],
    }
    return lines | ({"Published although": facts["forced"]} if facts["forced"] else {})


def find_words(html: Markup) -> dict[str, str]:
    """Return the glossary entries of a text in alphabetical order."""
    text = re.sub("<[^>]*>", " ", html)
    words = [word for word in GLOSSARY if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)]
    return {word: GLOSSARY[word] for word in sorted(words, key=str.lower)}
