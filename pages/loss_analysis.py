"""Why: which regions of an image raise its loss and which lower it, for one sample, beside another, and pooled."""

import base64

import numpy as np
import polars as pl
import streamlit as st

from lake.contracts.rows import PooledMapRow, SampleRow, rows_of
from lake.errors import UserError
from lake.pictures import encode_png
from lake.query import loss_maps, queries
from lake.storage.store import Run
from pages.text.claims import NO_MAPS
from pages.text.missing import LOSS_MAPS
from pages.text.words import GLOSSARY, plain
from pages.ui.core import data, filters
from pages.ui.core.missing import show_missing
from pages.ui.loss_maps import live_explain, pooled
from pages.ui.loss_maps.checks import show_proofs
from pages.ui.loss_maps.families import show_families
from pages.ui.loss_maps.panel import Look, Picture, show_beside, show_panel
from pages.ui.loss_maps.pooled import Comparison
from pages.ui.loss_maps.signed_map import SignedMap, Target, compute_map, find_map
from pages.ui.samples.sample_panel import choose_sample, describe, find_sample
from pages.ui.session.addresses import thumbnail

GIVEN, SAID, MARGIN = "Given label", "Prediction", "Margin of two classes"
NOBODY, ANOTHER, OTHER_RUN = "Nothing", "Another sample", "Another run"
SELECTION = "The samples that pass the filters"


def choose_look(run: Run) -> Look:
    """Layer, scale and opacity."""
    layer = _pick_layer(run)
    common = st.segmented_control(
        "Scale", ["This image", "Common"], default="This image", required=True, key="scale", bind="query-params"
    )
    shade = st.slider("Opacity", 0.0, 1.0, 0.6, 0.05, key="opacity", bind="query-params", width=140)
    return Look(layer, shade, common == "Common")


def _pick_layer(run: Run) -> str:
    """The layer whose maps are shown, named by the cells it has."""
    cells = {row["layer"]: row for row in loss_maps.map_sizes(run).collect().iter_rows(named=True)}
    layers = data.map_layers(run)

    def grid(layer: str) -> str:
        return f"{cells[layer]['height']} x {cells[layer]['width']} cells (layer {layer.removeprefix('layer')})"

    chosen = st.segmented_control(
        "Grid", layers, default=layers[0], required=True, format_func=grid, key="layer", bind="query-params"
    )
    return chosen or layers[0]  # an address whose value is empty gives none


def choose_target(run: Run, sample: SampleRow) -> Target:
    """The class whose loss is explained; of a margin, the class it is over too."""
    given = [] if sample["label"] is None else [GIVEN]
    choices = [*given, SAID, *([MARGIN] if live_explain.is_open(run) else [])]
    chosen = st.segmented_control(
        "Explain the loss of", choices, default=choices[0], required=True, key="target", bind="query-params"
    )
    chosen = chosen or choices[0]
    if chosen != MARGIN:
        return _class_of(sample, given=chosen == GIVEN), None
    said = sample["predicted"]
    ahead = st.selectbox(
        "Margin of", run.classes, index=run.classes.index(said), key="ahead", width=150, bind="query-params"
    )
    ahead = ahead or said
    others = [name for name in run.classes if name != ahead]
    likely = others.index(sample["label"]) if sample["label"] in others else 0
    behind = st.selectbox("over", others, index=likely, key="behind", width=150, bind="query-params")
    return ahead, behind or others[likely]


def show_sample(
    run: Run, sample: SampleRow, shown: SignedMap, look: Look, target: Target, beside: tuple[Run, SampleRow] | None
) -> None:
    """The panel of one sample, or two side by side."""
    if beside is None:
        sample_id = sample["sample_id"]
        picture = Picture(thumbnail(run, sample_id), live_explain.image_of(run, sample_id))
        bars = queries.probabilities(run, sample_id).collect()
        show_panel(run, picture, shown, bars, look, label=sample["label"], name=f"sample-{sample_id}")
    else:
        _show_two(run, (run, sample, shown), beside, look, target)
    st.caption(
        f"Red regions raise the {shown.what}, blue ones lower it; sums over cells are first-order effects in nats "
        "(HiResCAM). Border: the outermost cells. Each cell sees a wide part of the image, so edges are soft."
    )


def say(sample: SampleRow, shown: SignedMap) -> str:
    """The sentence of the map; of a sample without a label for which class it holds."""
    said = shown.sentence()
    if sample["label"] is None and shown.target[1] is None:
        return f"Label withheld; if it is {plain(shown.target[0])}, {said[0].lower()}{said[1:]}"
    return said


def _why_missing(run: Run) -> str:
    """What is there, and how the rest can be had."""
    there = "Maps are in the lake for held-out samples, and for training samples that the model contradicts."
    if any(table["name"] == "models" and table["rows"] for table in run.facts["tables"]):
        return f"{there} Any other is computed here where the training packages are installed: pip install '.[train]'."
    return f"{there} This run has no model in the lake, so no other can be computed."


def choose_beside(run: Run, sample: SampleRow) -> tuple[Run, SampleRow] | None:
    """What the reader wants to see beside the sample."""
    others = data.other_runs(run)
    choices = [NOBODY, ANOTHER, *([OTHER_RUN] if others else [])]
    chosen = st.segmented_control(
        "Beside it", choices, default=NOBODY, required=True, key="beside", bind="query-params"
    )
    there, sample_id = run, sample["sample_id"]
    if chosen == ANOTHER:
        sample_id = int(
            st.number_input(
                "Other sample", min_value=0, value=sample_id + 1, key="other", width=150, bind="query-params"
            )
        )
    elif chosen == OTHER_RUN:
        there = data.open_run(run.lake.root, st.selectbox("Run", others, key="beside-run", width=260))
    else:
        return None
    found = find_sample(there, sample_id)
    if found is None:
        st.caption("That sample was not scored there: choose another.")
        return None
    return there, found


def _show_two(
    run: Run, first: tuple[Run, SampleRow, SignedMap], beside: tuple[Run, SampleRow], look: Look, target: Target
) -> None:
    """Two samples, or one in two runs, on one scale."""
    other_run, other = beside
    asked = target if other["sample_id"] == first[1]["sample_id"] or target[1] else _same_kind(first[1], other, target)
    layer = _layer_beside(run, other_run, look.layer)
    second = find_map(other_run, other["sample_id"], layer, asked) if layer else None
    if second is None:
        st.info(_why_missing(other_run))
        return
    limit = max(look.limit(run, m) for m in (first[2], second))
    parts = ((run, first[1], first[2]), (other_run, other, second))
    for i, (column, (there, sample, shown)) in enumerate(zip(st.columns(2, gap="large"), parts, strict=True)):
        with column.container(border=True):
            show_beside(there, sample, shown, look, limit, key=f"beside-{i}")


def _layer_beside(run: Run, other_run: Run, layer: str) -> str | None:
    """The layer of the other run to set beside: of that name, else at that place, finest first; None if it has none."""
    here, there = data.map_layers(run), data.map_layers(other_run)
    return layer if layer in there else (there[min(here.index(layer), len(there) - 1)] if there else None)


def _same_kind(sample: SampleRow, other: SampleRow, target: Target) -> Target:
    """The other sample's label or prediction, whichever the target is of the sample."""
    return _class_of(other, given=target[0] == sample["label"]), None


def _class_of(sample: SampleRow, *, given: bool) -> str:
    """The label; the prediction where the label is withheld or not asked for."""
    label = sample["label"] if given else None
    return sample["predicted"] if label is None else label


def show_group(run: Run, layer: str) -> None:
    """The maps of a group as one, against the samples it is a part of."""
    st.subheader("Pooled over a group", help=GLOSSARY["pooled"])
    rows = {row["name"]: row for row in rows_of(pooled.groups(run, layer), PooledMapRow)}
    chosen = st.selectbox("Group", [SELECTION, *rows], key="pooled-group")
    pooled.show_pooled(
        run, _selection(run) if chosen == SELECTION else pooled.of_group(run, rows[chosen]), layer, key="why"
    )


def _selection(run: Run) -> Comparison:
    """What passes the filters against the rest; where all pass, the errors against the right ones."""
    everything = data.samples(run).filter(loss_maps.MAPPED)
    inside = filters.filtered(run).filter(loss_maps.MAPPED)
    names = "the samples that pass the filters", "the other held-out samples"
    if inside.select(pl.len()).collect().item() == everything.select(pl.len()).collect().item():
        inside, names = everything.filter(~pl.col("correct")), ("misclassified samples", "those that are right")
    here, whole = (frame.select("sample_id").collect()["sample_id"].to_numpy() for frame in (inside, everything))
    return Comparison(names[0], here, names[1], np.setdiff1d(whole, here, assume_unique=True))


def show_upload(run: Run, look: Look) -> None:
    """The map of an image that is in no lake."""
    with st.expander("Explain an image of your own", on_change="rerun") as expander:
        if not expander.open:
            return
        if not live_explain.is_open(run):
            st.info(_why_missing(run))
            return
        file = st.file_uploader(
            "Image", type=["png", "jpg", "jpeg", "webp"], key="upload", help="It is read in memory and not kept."
        )
        if file is None:
            return
        try:
            image = live_explain.read_upload(file.getvalue(), run)
        except UserError as error:
            st.error(plain(str(error)))
            return
        found = live_explain.probabilities(run, image)
        label = st.selectbox("Explain the loss if it is", found["label"].to_list(), key="upload-label")
        shown = compute_map(run, image, look.layer, (label, None))
        st.markdown(shown.sentence())
        url = f"data:image/png;base64,{base64.b64encode(encode_png(image)).decode()}"
        show_panel(run, Picture(url, image), shown, found, look, label=label, name="upload")


def main() -> None:
    run = data.current_run()
    st.title("Why")
    if show_missing(run, LOSS_MAPS):
        return
    if not data.map_layers(run):
        st.markdown(f"## {NO_MAPS}")
        return
    sample_id, sample = choose_sample(run)
    answer = st.container()
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        target, look = choose_target(run, sample), choose_look(run)
        beside = choose_beside(run, sample)
    shown = find_map(run, sample_id, look.layer, target)
    if shown is None:
        answer.markdown("## No loss map was computed beforehand for this sample.")
        st.info(_why_missing(run))
    else:
        answer.markdown(f"## {say(sample, shown)}")
        answer.caption(f"Sample {sample_id}: {describe(sample)}")
        show_sample(run, sample, shown, look, target, beside)
    show_proofs(run, "loss maps")
    show_upload(run, look)
    show_group(run, look.layer)
    st.subheader("Families of maps")
    show_families(run)


main()
