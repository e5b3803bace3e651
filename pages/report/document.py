"""Assembly of the report of a run: `render_report(run, before)` returns the whole file as text.

The same run gives the same bytes, so nothing in it depends on when or where it was made.
"""

from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lake.query import joined_samples, queries
from lake.query.refused import measure_refused
from lake.storage.damage import reading
from lake.storage.store import Run
from pages.charts.charts import Layered
from pages.charts.scales import color_scale
from pages.report import pictures, tables
from pages.report.cards import make_cards
from pages.report.markdown import to_html
from pages.report.tables import Table
from pages.text import findings, headline, missing
from pages.text.changes import ComparedRun, say_changes
from pages.text.formatting import column_title
from pages.text.missing import MAP, noun
from pages.text.separation import first_group, say_fidelity, say_separation
from pages.text.shared_values import say_shared_values
from pages.text.understood import ASSUMED, UNDERSTOOD

MOST_CARDS = 12
"""Maximum number of cards about the loss, and of cards about the data; the other findings are rows of a table."""


def file_name(run: Run) -> str:
    """Return the file name of the report of a run."""
    return f"latentlake-{run.run_id}.html"


def find_previous(run: Run) -> Run | None:
    """Return the previous run of the same data, which the report compares with; None if there is none."""
    previous = queries.previous_run_id(run.lake.runs(), run)
    return run.lake.run(previous) if previous else None


def render_report(run: Run, before: Run | None) -> str:
    """The report as one HTML file; `before` is the run it is compared with, if there is one."""
    with reading(run.lake.root):
        samples = joined_samples.scan_samples(run).collect()
        parts = {
            "title": run.facts["dataset_name"],
            "noun": noun(run),
            **_headline(run, samples),
            **_source(run),
            **_findings(run, samples),
            **_matrix(run, samples),
            **_projection(run, samples),
            **_changes(run, samples, before),
            "checks": tables.tabulate_checks(run),
            "facts": tables.list_facts(run),
        }
    environment = Environment(
        loader=PackageLoader("pages.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"markdown": to_html, "words_in": tables.find_words}
    return environment.get_template("report.html").render(parts)


def _headline(run: Run, samples: pl.DataFrame) -> dict[str, Any]:
    sentence = headline.say_headline(samples.lazy(), noun(run))
    calibration, finding_rows = run.metric("score", "calibration_error"), run.scan("findings").collect()
    figures = headline.headline_figures(samples.lazy(), finding_rows, calibration) if sentence else []
    answer = sentence or headline.say_no_test(run)
    refused = headline.say_refused(measure_refused(run), tested=bool(sentence))
    return {"headline": f"{answer} {refused}" if refused else answer, "figures": figures}


def _source(run: Run) -> dict[str, Any]:
    """What of the source could not be used, and how the rest was understood."""
    return {
        "refused_summary": measure_refused(run).to_words(),
        "refused": tables.tabulate_refused(run),
        "understood_title": UNDERSTOOD,
        "understood": run.facts.get("understood") or [],
        "assumed_title": ASSUMED,
        "assumed": tables.tabulate_assumed(run),
    }


def _findings(run: Run, samples: pl.DataFrame) -> dict[str, Any]:
    finding_rows = run.scan("findings").collect()
    confirmed, unconfirmed, covered = findings.by_certainty(findings.loss_findings(finding_rows))
    data_rows = findings.data_findings(finding_rows)
    has_labels = samples["label"].count() > 0
    return {
        "cards": make_cards(run, confirmed.head(MOST_CARDS), samples),
        "others": tables.tabulate_findings(pl.concat([confirmed.slice(MOST_CARDS), unconfirmed])),
        "covered": len(covered),
        "nothing_found": findings.NOTHING_FOUND if has_labels else findings.NOTHING_MEASURED,
        "data_cards": make_cards(run, data_rows.head(MOST_CARDS), samples),
        "other_data": tables.tabulate_findings(data_rows.slice(MOST_CARDS)),
        "shared_values": say_shared_values(run),
        "missing": findings.say_missing(run, data_rows),
    }


def _matrix(run: Run, samples: pl.DataFrame) -> dict[str, Any]:
    held_out = samples.lazy().filter(queries.HELD_OUT)
    n = held_out.select(pl.len()).collect().item()
    has_matrix = n and len(run.classes) <= pictures.MOST_CLASSES
    return {
        "matrix": _inline(pictures.draw_matrix(run, samples), "confusion-chart") if has_matrix else None,
        "held_out": n,
        "class_count": len(run.classes),
        "labelled_classes": held_out.select(pl.col("label").n_unique()).collect().item(),
        "classes": tables.tabulate_classes(held_out),
        "confusions": Table({}, []) if has_matrix else tables.tabulate_confusions(held_out),
    }


def _projection(run: Run, samples: pl.DataFrame) -> dict[str, Any]:
    if reason := missing.say(run, MAP):
        return {"no_map": reason, "map": None}
    grouping = first_group(run)
    scale = color_scale(samples[grouping], run.classes, run.groups)
    placed = samples.filter(queries.EMBEDDED)
    misplaced, features = len(queries.misplaced(run, grouping).collect()), queries.embedding_size(run)
    return {
        "no_map": None,
        "map": _inline(pictures.draw_map(run, samples, legend=False), "map-chart"),
        "legend": scale.legend,
        "color": column_title(grouping),
        "placed": len(placed),
        "dots": pictures.count_dots(placed),
        "gaps": missing.say_gaps(samples.lazy()),
        "separation": say_separation(run, run.scan("separation").collect(), misplaced, features),
        "fidelity": say_fidelity(run.scan("map_quality").collect(), features),
    }


def _inline(chart: Layered, name: str) -> Markup:
    """Return the chart as inline SVG, hidden from screen readers because the text around it describes it."""
    return Markup(pictures.to_svg(chart, name).replace("<svg ", '<svg aria-hidden="true" ', 1))


def _changes(run: Run, samples: pl.DataFrame, before: Run | None) -> dict[str, Any]:
    now = ComparedRun(run.run_id, samples.lazy(), run.scan("findings").collect())
    if before is None:
        return {"changes": say_changes(now, None), "changed_figures": Table({}, [])}
    earlier = joined_samples.scan_samples(before).collect().lazy()
    measured_before = ComparedRun(before.run_id, earlier, before.scan("findings").collect())
    return {
        "changes": say_changes(now, measured_before),
        "changed_figures": tables.tabulate_changes(run, before, samples.lazy(), earlier),
    }
