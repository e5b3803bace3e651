"""The charts of each page as SVG files: all of them, whole, and with their images inside."""

import io
import json
import re
import threading
import xml.etree.ElementTree as ET
import zipfile

import altair as alt
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from lake.storage.store import Lake
from pages.report import pictures
from pages.report.document import find_previous, render_report
from pages.ui.core import data
from pages.ui.frame import chart_files
from pages.ui.internals.streamlit_internals import altair_settings
from pages.ui.server.routes import read_image
from pages.ui.session.addresses import thumbnail
from tests.support.servers.apps import NAMES, Open, failures


def files_of(app: AppTest) -> dict[str, str]:
    """The files of the charts that the page drew."""
    with zipfile.ZipFile(io.BytesIO(chart_files.to_zip(app.session_state["charts"]))) as folder:
        return {name: folder.read(name).decode() for name in folder.namelist()}


WITH_IMAGES = ("loss_analysis", "similar")
"""Pages whose charts have images in them."""


@pytest.mark.parametrize("page_name", NAMES)
def test_a_page_hands_out_each_of_its_charts(page_name: str, tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, page_name)
    drawn = [chart for chart in app.get("vega_lite_chart") if "histogram-" not in str(chart.key)]  # of a table
    offered = [button.label for button in app.sidebar.download_button]
    assert offered == (["Charts of this page (SVG)"] if drawn else [])
    files = files_of(app)
    assert len(files) == len(drawn)
    for svg in files.values():
        marks = [e for e in ET.fromstring(svg).iter() if e.tag.endswith(("}path", "}image"))]
        assert len(marks) > 1
    addresses = [address for svg in files.values() for address in re.findall(r'href="([^"]*)"', svg)]
    assert bool(addresses) == (page_name in WITH_IMAGES), addresses
    assert all(address.startswith("data:") for address in addresses)


def test_the_charts_of_the_page_before_are_not_among_them(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "population_map")
    assert files_of(app)
    assert not files_of(app.switch_page("../../samples.py").run())


def _fragment_that_ran_twice() -> None:
    import altair
    import polars
    import streamlit

    from pages.ui.core import chart_registry

    drawn = chart_registry.start_page()
    for key in ("map-chart-0", "map-chart-1"):
        chart_registry.start_again()
        frame = polars.DataFrame({"x": [1, 2]})
        chart_registry.show_chart(altair.Chart(frame).mark_point().encode(x="x:Q"), key=key, alt="A map")
    streamlit.session_state["names"] = list(drawn)


def test_what_a_fragment_drew_before_is_not_among_them() -> None:
    app = AppTest.from_function(_fragment_that_ran_twice).run()
    assert not failures(app)
    assert app.session_state["names"] == ["map-chart-1"]


def test_images_are_inside_a_file(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "population_map", show="images")
    ((name, svg),) = files_of(app).items()
    images = app.session_state["charts"][name.removesuffix(".svg")].layer[2].data
    assert svg.count("data:image/png;base64,") == len(images) > 10


def test_an_image_is_what_its_address_serves(tiny_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTLAKE_LAKE", tiny_lake)
    run = Lake(tiny_lake).run()
    png = run.scan("images").filter(pl.col("sample_id") == 3).select("png").collect().item()
    assert read_image(thumbnail(run, 3)) == png
    assert read_image("/thumbnails/nothing/3.png") is None
    assert read_image("/elsewhere.png") is None


def test_more_marks_than_altair_takes_by_itself_are_all_in_the_file() -> None:
    frame = pl.DataFrame({"x": range(6000)})
    svg = io.BytesIO(chart_files.to_zip({"many": alt.Chart(frame).mark_point().encode(x="x:Q")}))
    assert zipfile.ZipFile(svg).read("many.svg").count(b"<path") > 6000


def test_a_report_waits_until_streamlit_has_put_the_settings_of_altair_back(
    tiny_lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTLAKE_LAKE", tiny_lake)
    run = Lake(tiny_lake).run()
    made: list[bytes] = []
    data._report.clear()
    alt.data_transformers.register("elsewhere", lambda *_: {"name": "elsewhere"})
    with altair_settings, alt.data_transformers.enable("elsewhere"):
        thread = threading.Thread(target=lambda: made.append(data.report(run)))
        thread.start()
        thread.join(2)
        assert not made
    thread.join()
    assert made == [render_report(run, find_previous(run)).encode()]


def test_charts_under_long_names_have_files_that_any_system_can_write() -> None:
    chart = alt.Chart(pl.DataFrame({"x": [1, 2]})).mark_point().encode(x="x:Q")
    long = "Ἑλληνικά/" * 40
    with zipfile.ZipFile(io.BytesIO(chart_files.to_zip({f"{long}a": chart, f"{long}b": chart}))) as folder:
        names = folder.namelist()
    assert len(set(names)) == 2
    assert all(len(name.encode()) < 255 and "/" not in name for name in names)


def test_control_characters_in_names_are_replaced_and_backslashes_are_not() -> None:
    odd = [f"a{chr(code)}b" for code in (*range(32), *range(127, 160), 0xFFFE, 0xFFFF)]
    names = [*odd, r"\u001b", "\\", "\\\x1b", "🐈"]
    chart = alt.Chart(pl.DataFrame({"name": names, "n": 1})).mark_bar().encode(x="n", y="name")
    spec = pictures.to_spec(chart, text="black")
    kept = [row["name"] for rows in json.loads(spec)["datasets"].values() for row in rows]
    forbidden = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
    assert kept == [forbidden.sub("\ufffd", name) for name in names]
    assert "a\ufffdb" in pictures.render_svg(spec)  # vl-convert aborts the process where one is left
    assert pictures.to_png(chart).startswith(b"\x89PNG")
