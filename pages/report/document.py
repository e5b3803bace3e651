"""The report of a run put together: `render_report(run, before)` is the whole file as text.

The same run gives the same bytes, so nothing in it depends on when or where it was made.
"""

from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lake.query import queries
from lake.storage.damage import reading
from lake.storage.store import Run
from pages.charts.charts import Layered
from pages.charts.scales import color_scale
from pages.report import pictures, tables
from pages.report.cards import make_cards
from pages.report.markdown import to_html
from pages.report.tables import Table
from pages.text import findings, headline, missing
from pages.text.changes import Measured, say_changes
from pages.text.missing import MAP, noun
from pages.text.separation import first_group, say_fidelity, say_separation
from pages.text.words import name

MOST_CARDS = 12
"""About the loss, and as many about the data; the rest of them are rows of a table, so that the file stays small."""


def file_name(run: Run) -> str:
    """What the report of a run is called."""
    return f"latentlake-{run.run_id}.html"


def find_previous(run: Run) -> Run | None:
    """The run of the same data that the report compares with."""
    previous = queries.previous_run_id(run.lake.runs(), run)
    return run.lake.run(previous) if previous else None


def render_report(run: Run, before: Run | None) -> str:
    """The report as one HTML file; `before` is the run it is compared with, if there is one."""
    with reading(run.lake.root):
        samples = queries.scan_samples(run).collect()
        parts = {
            "title": run.facts["dataset_name"],
            "noun": noun(run),
            **_headline(run, samples),
            **_findings(run, samples),
            **_matrix(run, samples),
            **_map(run, samples),
            **_changes(run, samples, before),
            "proofs": tables.tabulate_proofs(run),
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
    calibration, found = run.metric("score", "calibration_error"), run.scan("findings").collect()
    figures = headline.headline_figures(samples.lazy(), found, calibration) if sentence else []
    return {"headline": sentence or headline.NO_TEST, "figures": figures}


def _findings(run: Run, samples: pl.DataFrame) -> dict[str, Any]:
    found = run.scan("findings").collect()
    confirmed, open_, covered = findings.by_certainty(findings.loss_findings(found))
    of_data = findings.data_findings(found)
    return {
        "cards": make_cards(run, confirmed.head(MOST_CARDS), samples),
        "others": tables.tabulate_findings(pl.concat([confirmed.slice(MOST_CARDS), open_])),
        "covered": len(covered),
        "nothing_found": findings.NOTHING_FOUND,
        "data_cards": make_cards(run, of_data.head(MOST_CARDS), samples),
        "other_data": tables.tabulate_findings(of_data.slice(MOST_CARDS)),
        "missing": findings.say_missing(run, of_data),
    }


def _matrix(run: Run, samples: pl.DataFrame) -> dict[str, Any]:
    held_out = samples.lazy().filter(queries.HELD_OUT)
    n = held_out.select(pl.len()).collect().item()
    drawn = n and len(run.classes) <= pictures.MOST_CLASSES
    return {
        "matrix": _inline(pictures.draw_matrix(run, samples), "confusion-chart") if drawn else None,
        "held_out": n,
        "class_count": len(run.classes),
        "found_classes": held_out.select(pl.col("label").n_unique()).collect().item(),
        "classes": tables.tabulate_classes(held_out),
        "confusions": Table({}, []) if drawn else tables.tabulate_confusions(held_out),
    }


def _map(run: Run, samples: pl.DataFrame) -> dict[str, Any]:
    if said := missing.say(run, MAP):
        return {"no_map": said, "map": None}
    group = first_group(run)
    scale = color_scale(samples[group], run.classes, run.groups)
    away, features = len(queries.misplaced(run, group).collect()), queries.embedding_size(run)
    return {
        "no_map": None,
        "map": _inline(pictures.draw_map(run, samples, legend=False), "map-chart"),
        "legend": scale.legend,
        "color": name(group),
        "placed": len(samples),
        "dots": pictures.count_dots(samples),
        "separation": say_separation(run, run.scan("separation").collect(), away, features),
        "fidelity": say_fidelity(run.scan("map_quality").collect(), features),
    }


def _inline(chart: Layered, name: str) -> Markup:
    """The chart inside the page, silent: what stands around it says it to a screen reader."""
    return Markup(pictures.to_svg(chart, name).replace("<svg ", '<svg aria-hidden="true" ', 1))


def _changes(run: Run, samples: pl.DataFrame, before: Run | None) -> dict[str, Any]:
    now = Measured(run.run_id, samples.lazy(), run.scan("findings").collect())
    if before is None:
        return {"changes": say_changes(now, None), "changed_figures": Table({}, [])}
    earlier = queries.scan_samples(before).collect().lazy()
    then = Measured(before.run_id, earlier, before.scan("findings").collect())
    return {
        "changes": say_changes(now, then),
        "changed_figures": tables.tabulate_changes(run, before, samples.lazy(), earlier),
    }
