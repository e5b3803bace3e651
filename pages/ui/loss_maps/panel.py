"""The panel of a signed loss map: image, overlay with scale, check, and downloads."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import streamlit as st
from numpy.typing import NDArray

from lake.contracts.rows import SampleRow
from lake.query.loss_maps import FLOOR_NATS
from lake.storage.store import Run
from pages.charts import charts
from pages.charts.palette import LOWERS, NEUTRAL, RAISES
from pages.text.formatting import number, plain
from pages.text.glossary import GLOSSARY
from pages.ui.core import data
from pages.ui.core.chart_registry import show_chart
from pages.ui.loss_maps.signed_map import CHECKS, SignedMap, to_csv, to_png
from pages.ui.samples.sample_panel import describe
from pages.ui.session.addresses import thumbnail

MAP_SIDE, SMALL_SIDE = 232, 200
COMMON_QUANTILE = 0.9
IMAGE_STYLE = "aspect-ratio:1;image-rendering:pixelated;border-radius:8px"


@dataclass(frozen=True)
class Look:
    """How maps are drawn: layer, opacity and scale."""

    layer: str
    opacity: float
    common_scale: bool

    def limit(self, run: Run, signed_map: SignedMap) -> float:
        """Return the limit of the colour scale in nats."""
        return _common_limit(run, self.layer) if self.common_scale else max(signed_map.max_abs, FLOOR_NATS)


@dataclass(frozen=True)
class Picture:
    """An image by its address and its pixels [H, W, 3]."""

    url: str
    image_HWC: NDArray[np.uint8]


def show_image_and_map(
    url: str, signed_map: SignedMap, limit: float, look: Look, *, key: str, side: int = MAP_SIDE
) -> None:
    """Show the image, and the map over the image at the same size; side by side in a horizontal container."""
    with st.container(width=side):
        st.markdown("**Image**")
        st.html(f'<img src="{url}" alt="The image" style="width:100%;{IMAGE_STYLE}">')
    with st.container(width=side):
        st.markdown(f"**Map of the {plain(signed_map.what)}**")
        show_chart(
            charts.signed_map(
                signed_map.cells(),
                limit=limit,
                url=url,
                opacity=look.opacity,
                side=side,
                grey=signed_map.says_nothing,
            ),
            key=f"map-{key}",
            width="content",
            alt=f"Signed map: red raises the {signed_map.what}, blue lowers it",
        )
        show_color_bar(limit, width=side, grey=signed_map.says_nothing)


def show_color_bar(limit: float, *, width: int = MAP_SIDE, grey: bool = False) -> None:
    """Show the colour scale under a map, as wide as the map."""
    if grey:
        st.caption(f"Grey: no cell reaches {FLOOR_NATS} nats.")
        return
    gradient = f"linear-gradient(to right, {LOWERS}, {NEUTRAL}, {RAISES})"
    ends = f"<span>−{number(limit)} lowers</span><span>0</span><span>raises +{number(limit)} nats</span>"
    st.html(
        f'<div style="width:{width}px"><div style="height:10px;border-radius:5px;background:{gradient}"></div>'
        f'<div style="display:flex;justify-content:space-between;font-size:12px;opacity:.8">{ends}</div></div>'
    )


def show_check(signed_map: SignedMap, *, key: str) -> None:
    """Show the loss as it is and with parts of the image blurred."""
    st.markdown(f"**Check: the {plain(signed_map.what)}, measured**", help=GLOSSARY["occlusion"])
    measured = [(text, signed_map.checks.get(name)) for name, text in CHECKS.items()]
    rows = pl.DataFrame([{"what": text, "nats": value} for text, value in measured if value is not None])
    if len(rows) < len(CHECKS):
        st.caption("Not measured: there is nothing to explain, or the run is older than the check.")
        return
    show_chart(
        charts.check_bars(rows, title=signed_map.what.capitalize()),
        key=f"check-{key}",
        alt=f"The {signed_map.what} in nats as it is and with a quarter of the image blurred",
    )


def show_panel(
    run: Run,
    picture: Picture,
    signed_map: SignedMap,
    probabilities: pl.DataFrame,
    look: Look,
    *,
    label: str | None,
    name: str,
) -> None:
    """Show the image and its map, the check, downloads, and the class probabilities (that of `label` in orange)."""
    limit = look.limit(run, signed_map)
    with st.container(horizontal=True, gap="small"):
        show_image_and_map(picture.url, signed_map, limit, look, key=name)
        with st.container(width=MAP_SIDE):
            show_check(signed_map, key=name)
            _show_export(signed_map, picture.image_HWC, limit, look, name=name)
        with st.container(width=MAP_SIDE):
            st.markdown("**Probabilities**")
            bars = charts.probability_bars(probabilities, label)
            show_chart(bars, key=f"bars-{name}", alt="Probability of each class")


def show_beside(run: Run, sample: SampleRow, signed_map: SignedMap, look: Look, limit: float, *, key: str) -> None:
    """Show one of two samples side by side: sentence, image and map, check."""
    st.markdown(f"**Sample {sample['sample_id']}** · run {run.run_id} · {describe(sample)}")
    st.markdown(signed_map.sentence())
    with st.container(horizontal=True, gap="small"):
        url = thumbnail(run, sample["sample_id"])
        show_image_and_map(url, signed_map, limit, look, key=key, side=SMALL_SIDE)
    show_check(signed_map, key=key)


def _show_export(signed_map: SignedMap, image: NDArray[np.uint8], limit: float, look: Look, *, name: str) -> None:
    """Show the downloads of the map as a picture and as numbers."""
    file = f"{name}-{look.layer}-{signed_map.what.replace(' ', '-')}"
    title = f"{name}: what raises (red) and lowers (blue) the {signed_map.what} · {signed_map.target[0]}"
    with st.container(horizontal=True):
        st.download_button(
            "Picture",
            lambda: to_png(signed_map, image, limit=limit, opacity=look.opacity, title=title),
            f"{file}.png",
            "image/png",
            key=f"png-{name}",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Numbers",
            to_csv(signed_map),
            f"{file}.csv",
            "text/csv",
            key=f"csv-{name}",
            icon=":material/download:",
            on_click="ignore",
        )


def _common_limit(run: Run, layer: str) -> float:
    """Return a limit in nats that suits most maps of the layer that have something to explain."""
    largest = data.maps(run, layer).max_abs
    loud = largest[largest >= FLOOR_NATS]
    return float(np.quantile(loud, COMMON_QUANTILE)) if len(loud) else FLOOR_NATS
