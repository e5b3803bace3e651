"""Similar: the nearest images to one sample, several or an uploaded one, and which samples the search leaves out."""

import numpy as np
import polars as pl
import streamlit as st

from lake.contracts.rows import SampleRow, rows_of
from lake.errors import UserError
from lake.exports.spreadsheet_csv import to_spreadsheet_csv
from lake.query import queries
from lake.query.aggregates import or_zero
from lake.query.filters import Filters
from lake.search.similar import Vector
from lake.search.vectors import to_unit
from lake.storage.store import Run
from pages.charts.sample_ids import read_sample_ids
from pages.text import missing
from pages.text.formatting import number, percent, plain
from pages.text.missing import SIMILAR
from pages.ui.core import data
from pages.ui.core.differences import say_differences
from pages.ui.core.missing import show_missing
from pages.ui.loss_maps import live_explain
from pages.ui.map.projection_inset import show_on_map
from pages.ui.samples.gallery import show_paged_gallery
from pages.ui.samples.sample_panel import choose_sample, draw_sample
from pages.ui.samples.saved_sets import save_as_set, show_saved_sets
from pages.ui.session.navigation import address, page

NOT_A_COPY, OTHER_SPLIT, OTHER_LABEL = "No copies", "Other split", "Other label"
SAME_PREDICTION, HELD_OUT = "Same prediction", "Held-out"
COUNTS = [20, 50, 100]


def show_answer(seed: SampleRow | None, similar: pl.DataFrame, noun: str) -> None:
    """Show in one sentence what the nearest are; `noun` names one of them."""
    labelled = similar.drop_nulls("label")
    if labelled.is_empty():
        st.markdown(f"## None of the similar {noun}s has a label.")
        return
    top, n = labelled["label"].value_counts(sort=True).row(0)
    sentence = (
        f"**{n} of the {len(labelled)}** most similar labelled {noun}s are {plain(top)} ({percent(n / len(labelled))})"
    )
    if seed and seed["label"] and seed["label"] != top:
        sentence += f", but this one is labelled {plain(seed['label'])}"
    nearest = or_zero(similar["similarity"].max())
    st.markdown(f"## {sentence}. The nearest has a cosine similarity of {number(nearest)}.")


def show_left_out(run: Run, examples: list[int]) -> None:
    """Name the examples that have no embedding, and how many samples have one."""
    rows = rows_of(data.samples_of(run, pl.Series(examples)), SampleRow)
    for sentence in (*(missing.say_no_embedding(run, row) for row in rows), missing.say_gaps(data.samples(run))):
        if sentence:
            st.caption(sentence)


def choose_examples(run: Run, sample_id: int) -> tuple[list[int], Vector]:
    """Choose positive and negative examples; return their ids and the query vector."""
    left, right = st.columns(2)
    also = left.text_input("Also like", key="also", bind="query-params", placeholder="Samples, for example 17, 230")
    unlike = right.text_input(
        "But not like", key="unlike", bind="query-params", placeholder="Samples to move away from"
    )
    positive, negative = [sample_id, *read_sample_ids(also)], read_sample_ids(unlike)
    return [*positive, *negative], data.index(run).vector(positive, negative)


def upload_example(run: Run) -> Vector | None:
    """Return the query vector of an uploaded image; None without an upload or a model."""
    if not missing.MODEL.is_met(run):
        return None
    with st.expander("Start from an image of your own", on_change="rerun") as expander:
        if not expander.open:
            return None
        if not live_explain.is_open(run):
            st.info("This needs the training packages, pip install '.[train]', and a run whose model is in the lake.")
            return None
        file = st.file_uploader("Image", type=["png", "jpg", "jpeg", "webp"], help="Read in memory and not kept.")
        if file is None:
            return None
        try:
            image = live_explain.read_upload(file.getvalue(), run)
        except UserError as error:
            st.error(plain(str(error)))
            return None
        st.image(image, width=160, caption="As the model sees it")
        return to_unit(live_explain.embedding(run, image)[None])[0]


def choose_among(run: Run, seed: SampleRow | None, excluded: list[int]) -> np.ndarray:
    """Return a mask of the samples with an embedding, those to search by the options.

    An uploaded image has no split, label or prediction.
    """
    conditions = _against(seed) if seed else {}
    conditions[HELD_OUT] = pl.col("out_of_sample")
    if missing.has(run, missing.COPIES):
        conditions[NOT_A_COPY] = pl.col("duplicate").is_null()
    options = st.pills("Only", list(conditions), selection_mode="multi", key="similar-only", bind="query-params")
    condition = pl.all_horizontal(~pl.col("sample_id").is_in(excluded), *(conditions[option] for option in options))
    return data.samples(run).filter(queries.EMBEDDED).select(condition).collect().to_series().to_numpy()


def _against(seed: SampleRow) -> dict[str, pl.Expr]:
    """Return the options that depend on the example."""
    return {
        OTHER_SPLIT: pl.col("split").ne(seed["split"]),
        OTHER_LABEL: pl.col("label").fill_null("").ne(seed["label"] or ""),
        SAME_PREDICTION: pl.col("predicted").eq(seed["predicted"]),
    }


def show_similar(run: Run, similar: pl.DataFrame) -> None:
    """Show the similar samples, their common properties, links and downloads."""
    st.markdown(f"**{len(similar)} similar {missing.noun(run)}s**, most similar first")
    show_paged_gallery(run, similar, key="similar-gallery", caption="similarity")
    if run.has("properties"):
        measured = data.shared(run, similar["sample_id"].to_list())
        st.markdown(f"**What they share:** {say_differences(measured, others='all others')}")
    text = Filters.of(sample_id=[str(i) for i in similar["sample_id"]]).to_text()
    with st.container(horizontal=True):
        for name, label in {"population_map": "On the map", "samples": "As a table"}.items():
            st.page_link(page(name), label=label, query_params={**address(), "f": text})
        st.download_button(
            "Export as CSV",
            to_spreadsheet_csv(
                similar.select("rank", "sample_id", "similarity", "label", "predicted", "split", "loss")
            ),
            "similar.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        save_as_set(run, similar["sample_id"].to_list())


def main() -> None:
    run = data.current_run()
    st.title("Similar")
    if show_missing(run, SIMILAR):
        return
    sample_id, sample = choose_sample(run, queries.EMBEDDED)
    if sentence := missing.say_no_embedding(run, sample):
        st.markdown(f"## {sentence}")
        draw_sample(run, sample_id)
        return
    answer = st.container()
    examples, query = choose_examples(run, sample_id)
    show_left_out(run, examples)
    uploaded = upload_example(run)
    seed = sample if uploaded is None else None
    with st.container(horizontal=True, gap="large"):
        count = st.segmented_control("How many", COUNTS, default=COUNTS[0], required=True, key="similar-count")
        among = choose_among(run, seed, examples if uploaded is None else [])
    nearest = data.index(run).search(query if uploaded is None else uploaded, count, among=among)
    similar = nearest.join(data.samples_of(run, nearest["sample_id"]), on="sample_id", maintain_order="left")
    with answer:
        show_answer(seed, similar, missing.noun(run))
    if similar.is_empty():
        st.info("No sample passes the options: switch some off.")
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        if uploaded is None:
            draw_sample(run, sample_id)
        st.markdown("**Where they lie** among all samples, in grey")
        show_on_map(run, similar, chosen_id=sample_id if uploaded is None else None, key="similar-map")
    with right:
        show_similar(run, similar)
    show_saved_sets(run)


main()
