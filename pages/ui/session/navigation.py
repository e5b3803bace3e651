"""The pages with their groups and URLs; links between them keep run and filters."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

FOLDER = Path(__file__).parents[2]


@dataclass(frozen=True)
class Entry:
    """A page of the app."""

    name: str
    title: str
    icon: str
    group: str

    @property
    def path(self) -> str:
        """The path below the server's address; the first page has none."""
        return "" if self is ENTRIES[0] else self.name


ENTRIES = [
    Entry("overview", "Overview", ":material/summarize:", "Read"),
    Entry("population_map", "Population map", ":material/bubble_chart:", "Read"),
    Entry("confusion", "Where it fails", ":material/grid_view:", "Read"),
    Entry("clusters", "Groups", ":material/workspaces:", "Read"),
    Entry("loss_analysis", "Why", ":material/gradient:", "Read"),
    Entry("similar", "Similar", ":material/image_search:", "Explore"),
    Entry("samples", "Samples", ":material/table_rows:", "Explore"),
    Entry("data_quality", "Data quality", ":material/fact_check:", "Explore"),
    Entry("runs", "Runs", ":material/history:", "Explore"),
    Entry("compare", "Compare", ":material/compare_arrows:", "Explore"),
]


def page(name: str) -> st.Page:
    """Return the page of a name, to link or switch to."""
    entry = next(e for e in ENTRIES if e.name == name)
    return st.Page(FOLDER / f"{name}.py", title=entry.title, icon=entry.icon, url_path=name, default=not entry.path)


def grouped_pages() -> dict[str, list[st.Page]]:
    """Return every page by group, in order."""
    groups: dict[str, list[st.Page]] = {}
    for entry in ENTRIES:
        groups.setdefault(entry.group, []).append(page(entry.name))
    return groups


def address(**extra: str | int) -> dict[str, str]:
    """Return the query parameters that reproduce this session: run, filters and `extra`."""
    parameters = {"run": st.session_state["run_id"], "f": st.session_state.get("filters", "")}
    return {k: str(v) for k, v in {**parameters, **extra}.items() if v != ""}


def url(name: str, **extra: str | int) -> str:
    """Return a relative URL of another page that keeps the run and the filters, for a cell of a table."""
    return f"./{name}?{urlencode(address(**extra))}"


def link(name: str, label: str, *, icon: str | None = None, **extra: str | int) -> None:
    """Show a link to another page that keeps the run and the filters."""
    st.page_link(page(name), label=label, icon=icon, query_params=address(**extra))
