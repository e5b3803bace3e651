"""One sample in full: image, label, prediction, loss map, neighbours, and where to go from here."""

from html import escape

import polars as pl
import streamlit as st

from lake.contracts.rows import SampleRow, first_row, rows_of
from lake.contracts.samples import NO_CLASS
from lake.query import loss_maps, queries
from lake.query.loss_maps import FLOOR_NATS, Maps
from lake.storage.store import Run
from pages.charts import charts
from pages.charts.sample_ids import read_sample_id
from pages.text import missing
from pages.text.formatting import number, percent, plain
from pages.text.samples import guess
from pages.ui.core import data, filters
from pages.ui.core.chart_registry import show_chart
from pages.ui.core.page_errors import show_lake_errors
from pages.ui.samples.sample_original import show_original
from pages.ui.session.addresses import thumbnail
from pages.ui.session.navigation import link

LOSS, EVERY = pl.coalesce("loss", "expected_loss"), pl.lit(value=True)
SMALL_MAP, NEAREST = 120, 6
NEAREST_STYLE = "width:30%;margin:1%;aspect-ratio:1;image-rendering:pixelated;border-radius:6px"


@st.dialog("Sample", width="large")
@show_lake_errors()
def show_sample(run: Run, sample_id: int) -> None:
    """Show a sample in a dialog over the page."""
    draw_sample(run, sample_id)


def draw_sample(run: Run, sample_id: int, *, on_map: bool = False) -> None:
    """Show original, image, probabilities, loss map, nearest and facts of a sample, with links to other pages."""
    row = find_sample(run, sample_id)
    if row is None:
        st.info(f"Sample {sample_id} was not scored in this run.")
        return
    st.markdown(f"**Sample {sample_id}** · {describe(row)}")
    show_original(run, sample_id)
    left, right = st.columns([1, 2])
    with left:
        show_image(run, sample_id)
    with right:
        if missing.is_classified(run):
            show_chart(
                charts.probability_bars(queries.probabilities(run, sample_id).collect(), row["label"]),
                key=f"bars-{sample_id}",
                alt="Probability of each class",
            )
    _show_why_and_nearest(run, sample_id, row["label"] or row["predicted"])
    if no_embedding := missing.say_no_embedding(run, row):
        st.caption(no_embedding)
    with st.container(horizontal=True):
        for page, label in _targets(run, row, on_map=on_map).items():
            link(page, label, sample=sample_id)
    with st.expander("All that was measured"):
        empty = data.empty_columns(run)
        facts = [{"what": name, "value": _show(value)} for name, value in row.items() if name not in empty]
        st.dataframe(pl.DataFrame(facts), hide_index=True, height=280)


def _targets(run: Run, row: SampleRow, *, on_map: bool) -> dict[str, str]:
    """Return the pages with more about a sample and the labels of their links."""
    has_embedding = row["x"] is not None
    targets = {"similar": "Fetch similar"} if has_embedding else {}
    if data.map_layers(run):
        targets["loss_analysis"] = "Analyse its loss"
    if has_embedding and not on_map:
        targets["population_map"] = "Show on the map"
    return targets


def _show_why_and_nearest(run: Run, sample_id: int, target: str) -> None:
    """Show the signed loss map if there is one, and the nearest in latent space beside it."""
    finest = (data.map_layers(run) or [""])[0]
    rows = loss_maps.scan_map(run, sample_id, finest, target).collect()
    if rows.is_empty():
        _show_nearest(run, sample_id)
        return
    loss_map = Maps.of(rows)
    left, right = st.columns([1, 2])
    with left:
        show_chart(
            charts.signed_map(
                loss_map.mean(),
                limit=max(float(loss_map.max_abs[0]), FLOOR_NATS),
                url=thumbnail(run, sample_id),
                side=SMALL_MAP,
                grey=loss_map.max_abs[0] < FLOOR_NATS,
            ),
            width="content",
            key=f"why-{sample_id}",
            alt="What raises (red) and lowers (blue) the loss",
        )
        st.caption("Red raises the loss, blue lowers it; grey: no effect.")
    with right:
        _show_nearest(run, sample_id)


def _show_nearest(run: Run, sample_id: int) -> None:
    nearest = data.neighbors(run, sample_id).head(NEAREST)["neighbor_id"]
    if nearest.is_empty():
        return
    st.caption(f"The {len(nearest)} nearest in latent space")
    if not run.has("images"):
        st.markdown("\n".join(f"- {_name(row)}" for row in rows_of(data.samples_of(run, nearest), SampleRow)))
        return
    pictures = "".join(
        f'<img src="{escape(thumbnail(run, i))}" alt="Sample {i}" title="Sample {i}" style="{NEAREST_STYLE}">'
        for i in nearest
    )
    st.html(f"<div>{pictures}</div>")


def show_image(run: Run, sample_id: int) -> None:
    """Show the image as wide as its column with sharp pixels, or the name in the source if there are no images."""
    if not run.has("images"):
        row = find_sample(run, sample_id)
        st.caption(f"In the source  \n**{plain(row['source_name'])}**" if row else "")
        return
    style = "width:100%;aspect-ratio:1;image-rendering:pixelated;border-radius:8px"
    st.html(f'<img src="{escape(thumbnail(run, sample_id))}" alt="Sample {sample_id}" style="{style}">')


def _name(row: SampleRow) -> str:
    """Describe a sample in a list, in Markdown: number, label and name in the source."""
    what = row["label"] or guess(row["predicted"])
    return f"{row['sample_id']}: {plain(what)} · {plain(row['source_name'])}"


def find_sample(run: Run, sample_id: int) -> SampleRow | None:
    """Return the sample's row of `scan_samples`; None if it was not scored."""
    return first_row(data.samples_of(run, pl.Series([sample_id])), SampleRow)


def describe(row: SampleRow) -> str:
    """Describe label, prediction and loss of a sample in Markdown."""
    if row["predicted"] == NO_CLASS:
        return "no label, and no model to predict one"
    prediction = f"predicted {plain(row['predicted'])} ({percent(row['confidence'])})"
    if row["label"] is None or row["loss"] is None:
        return f"label withheld, {prediction}, expected loss {number(row['expected_loss'])} nats"
    verdict = "right" if row["correct"] else "wrong"
    in_sample = "" if row["out_of_sample"] else " (in-sample)"
    return f"{plain(row['label'])}, {prediction}: {verdict}, loss {number(row['loss'])} nats{in_sample}"


def _show(value: object) -> str:
    if value is None:
        return "–"
    return number(value) if isinstance(value, float) else str(value)


def choose_sample(run: Run, among: pl.Expr = EVERY) -> tuple[int, SampleRow]:
    """Choose a sample: that of the URL, else the highest held-out loss that passes the filters, with controls.

    The controls lead to samples of `among`. Stops the page with a message if there is none.
    """
    candidates = filters.filtered(run).filter(pl.col("out_of_sample"), among)
    candidates = candidates.select("sample_id", loss=LOSS.fill_null(-1.0))
    count, first = pl.collect_all([candidates.select(pl.len()), _first(candidates)])
    if first.is_empty():
        st.info("No held-out sample passes the filters: loosen them in the sidebar.")
        st.stop()
    requested = read_sample_id(st.query_params.get("sample", ""))
    sample_id = int(first["sample_id"][0]) if requested is None else requested
    place, before, after = _find_place(candidates, sample_id)
    previous, number_box, following, caption = st.columns([1, 2, 1, 5], vertical_alignment="bottom")
    if previous.button("", icon=":material/chevron_left:", disabled=before is None, help="Previous by loss"):
        _open(before)
    if following.button("", icon=":material/chevron_right:", disabled=after is None, help="Next by loss"):
        _open(after)
    entered = number_box.number_input("Sample", min_value=0, value=sample_id, key=f"sample-number-{sample_id}")
    if entered != sample_id:
        _open(entered)
    order = " by loss, highest first" if data.has_labels(run) else ""
    summary = f"{place + 1:,} of {count.item():,}{order}" if place is not None else "not among the filtered"
    caption.caption(summary)
    row = find_sample(run, sample_id)
    if row is None:
        st.warning(f"Sample {sample_id} was not scored in this run: type another number.")
        st.stop()
    return sample_id, row


def _first(candidates: pl.LazyFrame, *, last: bool = False) -> pl.LazyFrame:
    """Return the first sample by descending loss and ascending id, or the last in this order."""
    return candidates.sort("loss", "sample_id", descending=[not last, last]).head(1)


def _find_place(candidates: pl.LazyFrame, sample_id: int) -> tuple[int | None, int | None, int | None]:
    """Return position, previous and next of a sample by loss; if it is not listed, only the first sample as next."""
    sample = candidates.filter(pl.col("sample_id") == sample_id).collect()
    if sample.is_empty():
        return None, None, int(_first(candidates).collect()["sample_id"][0])
    loss, tied = sample["loss"][0], pl.col("loss") == sample["loss"][0]
    earlier = candidates.filter((pl.col("loss") > loss) | (tied & (pl.col("sample_id") < sample_id)))
    later = candidates.filter((pl.col("loss") < loss) | (tied & (pl.col("sample_id") > sample_id)))
    count, before, after = pl.collect_all([earlier.select(pl.len()), _first(earlier, last=True), _first(later)])
    return count.item(), *(int(row["sample_id"][0]) if len(row) else None for row in (before, after))


def _open(sample_id: int | None) -> None:
    st.query_params["sample"] = str(sample_id)
    st.rerun()
