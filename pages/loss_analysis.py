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
from pages.text.formatting import plain
from pages.text.glossary import GLOSSARY
from pages.text.missing import LOSS_MAPS
from pages.ui.core import data, filters
from pages.ui.core.missing import show_missing
from pages.ui.loss_maps import live_explain, pooled
from pages.ui.loss_maps.checks import show_checks
from pages.ui.loss_maps.families import show_families
from pages.ui.loss_maps.panel import Look, Picture, show_beside, show_panel
from pages.ui.loss_maps.pooled import Comparison
from pages.ui.loss_maps.signed_map import SignedMap, Target, compute_map, find_map
from pages.ui.samples.sample_panel import choose_sample, describe, find_sample
from pages.ui.session.addresses import thumbnail

LABEL, PREDICTION, MARGIN = "Given label", "Prediction", "Margin of two classes"
NOTHING, OTHER_SAMPLE, OTHER_RUN = "Nothing", "Another sample", "Another run"
SELECTION = "The samples that pass the filters"


def choose_look(run: Run) -> Look:
    """Choose layer, scale and opacity."""
    layer = _pick_layer(run)
    common = st.segmented_control(
        "Scale", ["This image", "Common"], default="This image", required=True, key="scale", bind="query-params"
    )
    opacity = st.slider("Opacity", 0.0, 1.0, 0.6, 0.05, key="opacity", bind="query-params", width=140)
    return Look(layer, opacity, common == "Common")


def _pick_layer(run: Run) -> str:
    """Choose the layer whose maps are shown, labelled by its number of cells."""
    cells = {row["layer"]: row for row in loss_maps.map_sizes(run).collect().iter_rows(named=True)}
    layers = data.map_layers(run)

    def grid(layer: str) -> str:
        return f"{cells[layer]['height']} x {cells[layer]['width']} cells (layer {layer.removeprefix('layer')})"

    layer_name = st.segmented_control(
        "Grid", layers, default=layers[0], required=True, format_func=grid, key="layer", bind="query-params"
    )
    return layer_name or layers[0]  # None if the URL has an empty value


def choose_target(run: Run, sample: SampleRow) -> Target:
    """Choose the class whose loss is explained, or the two classes of a margin."""
    label_choice = [] if sample["label"] is None else [LABEL]
    choices = [*label_choice, PREDICTION, *([MARGIN] if live_explain.is_open(run) else [])]
    explained = st.segmented_control(
        "Explain the loss of", choices, default=choices[0], required=True, key="target", bind="query-params"
    )
    explained = explained or choices[0]
    if explained != MARGIN:
        return _class_of(sample, of_label=explained == LABEL), None
    predicted = sample["predicted"]
    ahead = st.selectbox(
        "Margin of", run.classes, index=run.classes.index(predicted), key="ahead", width=150, bind="query-params"
    )
    ahead = ahead or predicted
    others = [name for name in run.classes if name != ahead]
    likely = others.index(sample["label"]) if sample["label"] in others else 0
    behind = st.selectbox("over", others, index=likely, key="behind", width=150, bind="query-params")
    return ahead, behind or others[likely]


def show_sample(
    run: Run, sample: SampleRow, signed_map: SignedMap, look: Look, target: Target, beside: tuple[Run, SampleRow] | None
) -> None:
    """Show the panel of one sample, or two side by side."""
    if beside is None:
        sample_id = sample["sample_id"]
        picture = Picture(thumbnail(run, sample_id), live_explain.image_of(run, sample_id))
        bars = queries.probabilities(run, sample_id).collect()
        show_panel(run, picture, signed_map, bars, look, label=sample["label"], name=f"sample-{sample_id}")
    else:
        _show_two(run, (run, sample, signed_map), beside, look, target)
    st.caption(
        f"Red regions raise the {signed_map.what}, blue ones lower it; sums over cells are first-order effects in nats "
        "(HiResCAM). Border: the outermost cells. Each cell sees a wide part of the image, so edges are soft."
    )


def say(sample: SampleRow, signed_map: SignedMap) -> str:
    """Return the sentence of the map; for a sample without a label, with the class that it assumes."""
    sentence = signed_map.sentence()
    if sample["label"] is None and signed_map.target[1] is None:
        return f"Label withheld; if it is {plain(signed_map.target[0])}, {sentence[0].lower()}{sentence[1:]}"
    return sentence


def _why_missing(run: Run) -> str:
    """Return which maps exist, and how to get others."""
    available = "Maps are in the lake for held-out samples, and for training samples that the model contradicts."
    if any(table["name"] == "models" and table["rows"] for table in run.facts["tables"]):
        return f"{available} Others are computed if the training packages are installed: pip install '.[train]'."
    return f"{available} This run has no model in the lake, so no other can be computed."


def choose_beside(run: Run, sample: SampleRow) -> tuple[Run, SampleRow] | None:
    """Choose another sample or run to show beside the sample; None for nothing."""
    others = data.other_runs(run)
    choices = [NOTHING, OTHER_SAMPLE, *([OTHER_RUN] if others else [])]
    choice = st.segmented_control(
        "Beside it", choices, default=NOTHING, required=True, key="beside", bind="query-params"
    )
    other_run, sample_id = run, sample["sample_id"]
    if choice == OTHER_SAMPLE:
        sample_id = int(
            st.number_input(
                "Other sample", min_value=0, value=sample_id + 1, key="other", width=150, bind="query-params"
            )
        )
    elif choice == OTHER_RUN:
        other_run = data.open_run(run.lake.root, st.selectbox("Run", others, key="beside-run", width=260))
    else:
        return None
    other_sample = find_sample(other_run, sample_id)
    if other_sample is None:
        st.caption("That sample was not scored in that run: choose another.")
        return None
    return other_run, other_sample


def _show_two(
    run: Run, first: tuple[Run, SampleRow, SignedMap], beside: tuple[Run, SampleRow], look: Look, target: Target
) -> None:
    """Show two samples, or one in two runs, on the same scale."""
    other_run, other = beside
    other_target = (
        target if other["sample_id"] == first[1]["sample_id"] or target[1] else _same_kind(first[1], other, target)
    )
    layer = _layer_beside(run, other_run, look.layer)
    second = find_map(other_run, other["sample_id"], layer, other_target) if layer else None
    if second is None:
        st.info(_why_missing(other_run))
        return
    limit = max(look.limit(run, m) for m in (first[2], second))
    parts = ((run, first[1], first[2]), (other_run, other, second))
    for i, (column, (map_run, sample, signed_map)) in enumerate(zip(st.columns(2, gap="large"), parts, strict=True)):
        with column.container(border=True):
            show_beside(map_run, sample, signed_map, look, limit, key=f"beside-{i}")


def _layer_beside(run: Run, other_run: Run, layer: str) -> str | None:
    """Return the layer of the other run with the same name, else the same rank by cell count; None if it has none."""
    layers, other_layers = data.map_layers(run), data.map_layers(other_run)
    return (
        layer
        if layer in other_layers
        else (other_layers[min(layers.index(layer), len(other_layers) - 1)] if other_layers else None)
    )


def _same_kind(sample: SampleRow, other: SampleRow, target: Target) -> Target:
    """Return the other sample's label or prediction, whichever of them the target is for the sample."""
    return _class_of(other, of_label=target[0] == sample["label"]), None


def _class_of(sample: SampleRow, *, of_label: bool) -> str:
    """Return the label; the prediction if the label is withheld or not `of_label`."""
    label = sample["label"] if of_label else None
    return sample["predicted"] if label is None else label


def show_group(run: Run, layer: str) -> None:
    """Show the mean map of a group, compared with other samples."""
    st.subheader("Pooled over a group", help=GLOSSARY["pooled"])
    rows = {row["name"]: row for row in rows_of(pooled.groups(run, layer), PooledMapRow)}
    title = st.selectbox("Group", [SELECTION, *rows], key="pooled-group")
    pooled.show_pooled(
        run, _selection(run) if title == SELECTION else pooled.of_group(run, rows[title]), layer, key="why"
    )


def _selection(run: Run) -> Comparison:
    """Return the samples that pass the filters and the rest; if all pass, the errors and the right ones."""
    everything = data.samples(run).filter(loss_maps.MAPPED)
    inside = filters.filtered(run).filter(loss_maps.MAPPED)
    names = "the samples that pass the filters", "the other held-out samples"
    if inside.select(pl.len()).collect().item() == everything.select(pl.len()).collect().item():
        inside, names = everything.filter(~pl.col("correct")), ("misclassified samples", "those that are right")
    inside_ids, all_ids = (
        frame.select("sample_id").collect()["sample_id"].to_numpy() for frame in (inside, everything)
    )
    return Comparison(names[0], inside_ids, names[1], np.setdiff1d(all_ids, inside_ids, assume_unique=True))


def show_upload(run: Run, look: Look) -> None:
    """Show the map of an uploaded image."""
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
        probabilities = live_explain.probabilities(run, image)
        label = st.selectbox("Explain the loss if it is", probabilities["label"].to_list(), key="upload-label")
        signed_map = compute_map(run, image, look.layer, (label, None))
        st.markdown(signed_map.sentence())
        url = f"data:image/png;base64,{base64.b64encode(encode_png(image)).decode()}"
        show_panel(run, Picture(url, image), signed_map, probabilities, look, label=label, name="upload")


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
    signed_map = find_map(run, sample_id, look.layer, target)
    if signed_map is None:
        answer.markdown("## No loss map was computed beforehand for this sample.")
        st.info(_why_missing(run))
    else:
        answer.markdown(f"## {say(sample, signed_map)}")
        answer.caption(f"Sample {sample_id}: {describe(sample)}")
        show_sample(run, sample, signed_map, look, target, beside)
    show_checks(run, "loss maps")
    show_upload(run, look)
    show_group(run, look.layer)
    st.subheader("Families of maps")
    show_families(run)


main()
