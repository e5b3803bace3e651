"""Similar: the nearest images in the 512-d latent space, whatever their label or split."""

import polars as pl
import streamlit as st

from lake import queries
from lake.store import Run
from pages.ui import data
from pages.ui.gallery import show_gallery
from pages.ui.sample_panel import choose_sample, draw_sample
from pages.ui.words import number, percent


def show_answer(seed: dict[str, object], found: pl.DataFrame) -> None:
    """What the neighbours are, in one sentence."""
    labelled = found.drop_nulls("label")
    if labelled.is_empty():
        st.markdown("##### None of the similar images has a label.")
        return
    top, n = labelled["label"].value_counts(sort=True).row(0)
    sentence = f"**{n} of the {len(labelled)}** most similar labelled images are {top} ({percent(n / len(labelled))})"
    if seed["label"] and seed["label"] != top:
        sentence += f", but this one is labelled {seed['label']}"
    nearest = float(found["similarity"].max() or 0)  # type: ignore[arg-type]
    st.markdown(f"##### {sentence}. The nearest has a cosine similarity of {number(nearest)}.")


def narrow(seed: dict[str, object], found: pl.DataFrame) -> pl.DataFrame:
    """The neighbours that pass the options."""
    options = st.pills(
        "Only",
        ["Other split", "Other label", "Same prediction", "Held-out"],
        selection_mode="multi",
        key="similar-only",
    )
    conditions = {
        "Other split": pl.col("split") != seed["split"],
        "Other label": pl.col("label") != (seed["label"] or ""),
        "Same prediction": pl.col("predicted") == seed["predicted"],
        "Held-out": pl.col("out_of_sample"),
    }
    return found.filter([conditions[name] for name in options]) if options else found


def show_neighbors(run: Run, sample_id: int, seed: dict[str, object]) -> None:
    """Answer, options and gallery."""
    found = queries.similar(run, data.samples(run), sample_id).collect()
    show_answer(seed, found)
    left, right = st.columns([2, 3], gap="large")
    with left:
        draw_sample(run, sample_id)
    with right:
        shown = narrow(seed, found)
        st.markdown(f"**{len(shown)} similar images**, most similar first")
        show_gallery(run, shown, key="similar-gallery", caption="similarity")


def main() -> None:
    run = data.current_run()
    st.title("Similar")
    sample_id, seed = choose_sample(run)
    show_neighbors(run, sample_id, seed)


main()
