"""Why: which regions of an image raise its loss and which lower it, for one sample and pooled over a group."""

import numpy as np
import polars as pl
import streamlit as st
from numpy.typing import NDArray

from lake import queries
from lake.contracts import LAYERS
from lake.store import Run
from pages.ui import charts, data, filters
from pages.ui.palette import LOWERS, NEUTRAL, RAISES
from pages.ui.routes import thumbnail
from pages.ui.sample_panel import choose_sample, show_image
from pages.ui.words import number

FLOOR_NATS = 0.02
MAP_SIDE = 280


def to_cells(values: list[float], height: int, width: int) -> pl.DataFrame:
    """A stored map as one row a cell."""
    row, column = np.divmod(np.arange(height * width), width)
    return pl.DataFrame({"row": row, "column": column, "value": pl.Series(values, dtype=pl.Float64)})


def border_and_centre(cells: pl.DataFrame) -> tuple[float, float]:
    """Sum of the map on its outermost cells and on all others, in nats."""
    edge = (pl.col("row").is_in([0, cells["row"].max()])) | (pl.col("column").is_in([0, cells["column"].max()]))
    inside: NDArray[np.bool_] = cells.select(edge).to_series().to_numpy()
    values = cells["value"].to_numpy()
    return float(values[inside].sum()), float(values[~inside].sum())


def effect(nats: float) -> str:
    """ "raises the loss by 0.8 nats"."""
    return f"{'raises' if nats > 0 else 'lowers'} the loss by **{number(abs(nats))} nats**"


def show_color_bar(limit: float) -> None:
    """The scale under a map, from what lowers to what raises the loss, as wide as the map."""
    gradient = f"linear-gradient(to right, {LOWERS}, {NEUTRAL}, {RAISES})"
    ends = f"<span>−{number(limit)}</span><span>0</span><span>+{number(limit)} nats</span>"
    st.html(
        f'<div style="width:{MAP_SIDE}px"><div style="height:10px;border-radius:5px;background:{gradient}"></div>'
        f'<div style="display:flex;justify-content:space-between;font-size:12px;opacity:.8">{ends}</div></div>'
    )


def show_sample_map(run: Run, sample_id: int, sample: dict[str, object], layer: str, opacity: float) -> None:
    """Sentence, image, signed overlay and probabilities of one sample."""
    found = queries.loss_map(run, sample_id, layer).collect()
    if found.is_empty():
        st.info("Loss maps are computed for held-out samples; this one was used for training. Choose another below.")
        return
    row = found.row(0, named=True)
    cells = to_cells(row["values"], row["height"], row["width"])
    border, centre = border_and_centre(cells)
    given = "given label" if sample["label"] else "predicted class, as its label is withheld"
    if row["max_abs"] < FLOOR_NATS:
        st.markdown("##### Confident and right: no region matters to the loss, there is nothing to explain.")
    else:
        st.markdown(f"##### The border {effect(border)}, the centre {effect(centre)}.")
    left, middle, right = st.columns(3, gap="medium")
    left.markdown(f"**Image** · {sample['label'] or 'label withheld'}, predicted {sample['predicted']}")
    with left.container(width=MAP_SIDE):
        show_image(run, sample_id)
    middle.markdown(f"**Loss map** · {row['target']} ({given})")
    middle.altair_chart(
        charts.signed_map(
            cells, limit=max(row["max_abs"], FLOOR_NATS), url=thumbnail(run, sample_id), opacity=opacity, side=MAP_SIDE
        ),
        key="why-map",
        width="content",
        alt="Signed loss map: red raises the loss, blue lowers it",
    )
    with middle:
        show_color_bar(max(row["max_abs"], FLOOR_NATS))
    right.markdown("**Probabilities**")
    right.altair_chart(
        charts.probability_bars(queries.probabilities(run, sample_id).collect(), sample["label"]),
        key="why-bars",
        alt="Probability of each class",
    )
    st.caption(
        "Red regions raise the loss, blue ones lower it; sums over cells are first-order effects in nats (HiResCAM on "
        "the cross-entropy). Each cell sees a wide part of the image, so edges are soft."
    )


def show_pooled(run: Run, layer: str) -> None:
    """Mean signed maps of the errors and of the right ones that pass the filters."""
    held_out = filters.filtered(run).filter(queries.HELD_OUT)
    parts = {
        "Wrong": queries.mean_loss_map(run, held_out.filter(~pl.col("correct")), layer).collect(),
        "Right": queries.mean_loss_map(run, held_out.filter(pl.col("correct")), layer).collect(),
    }
    columns = st.columns([1, 1, 1])
    for column, (title, cells) in zip(columns, parts.items(), strict=False):
        with column:
            if cells.is_empty():
                st.caption(f"{title}: no samples pass the filters.")
                continue
            border, centre = border_and_centre(cells)
            st.markdown(f"**{title}: mean of {cells['n'][0]:,} maps**")
            limit = max(float(cells["value"].abs().max() or 0), 1e-6)  # type: ignore[arg-type]
            st.altair_chart(
                charts.signed_map(cells, limit=limit, side=MAP_SIDE),
                width="content",
                key=f"pooled-{title}",
                alt=f"Mean loss map, {title}",
            )
            show_color_bar(limit)
            st.caption(f"Border {effect(border)}, centre {effect(centre)}. Each map has its own scale.")


def pick_layer(run: Run) -> str:
    """The layer whose maps are shown, named by the cells it has."""
    cells = {row["layer"]: row for row in queries.map_sizes(run).collect().iter_rows(named=True)}

    def grid(layer: str) -> str:
        number = layer.removeprefix("layer")
        return f"{cells[layer]['height']} x {cells[layer]['width']} cells (layer {number})"

    picked = st.segmented_control(
        "Grid", sorted(cells), default=LAYERS[0], required=True, format_func=grid, key="layer"
    )
    return picked or LAYERS[0]


def main() -> None:
    run = data.current_run()
    st.title("Why")
    sample_id, sample = choose_sample(run)
    first, second = st.columns([2, 1])
    with first:
        layer = pick_layer(run)
    opacity = second.slider("Opacity of the map", 0.0, 1.0, 0.6, 0.05, key="opacity")
    show_sample_map(run, sample_id, sample, layer, opacity)
    st.subheader("Pooled over the samples that pass the filters")
    show_pooled(run, layer)


main()
