"""How pages may use each column of the sample table, as declared in the contracts."""

from collections.abc import Iterator

from lake.contracts.clusters import METHODS, Clusters
from lake.contracts.columns import SAMPLE, Use, use_of
from lake.contracts.loss_maps import MapFamilies
from lake.contracts.quality import Duplicates, Triage
from lake.contracts.samples import Predictions, Projection, Properties, Samples

JOINED_CONTRACTS = (Samples, Predictions, Properties, Clusters, Projection, Triage, Duplicates, MapFamilies)
"""Contracts of the tables that `scan_samples` joins, in the order of the sections."""


def _uses() -> Iterator[tuple[str, Use]]:
    for contract in JOINED_CONTRACTS:
        column_uses = [(name, use) for name, column in contract.columns().items() if (use := use_of(column))]
        for column, use in sorted(column_uses, key=lambda row: (not row[1].shown, row[1].shown)):
            for method in METHODS if "{method}" in use.name else ("",):
                yield use.name.format(method=method) or column, use


USES = dict(_uses())
"""Column name -> use, ordered by section; within a section, the columns shown by default come first."""
DEFAULT_COLUMNS = tuple(sorted((name for name, use in USES.items() if use.shown), key=lambda name: USES[name].shown))
COLORS = [name for name, use in USES.items() if use.colors]
SIZES = [name for name, use in USES.items() if use.sizes]
NO_AXIS = {name for name, use in USES.items() if not use.axis}


def by_section(source_columns: list[str]) -> dict[str, list[str]]:
    """Return the columns by section; `source_columns` (groupings and metadata) belong to the sample section."""
    sections: dict[str, list[str]] = {}
    for name, use in USES.items():
        sections.setdefault(use.section, []).append(name)
    sections[SAMPLE] += source_columns
    return sections


def use_of_column(name: str) -> Use:
    """Return the use of a column; that of a metadata column if no contract declares it."""
    return USES.get(name, Use(SAMPLE))


def with_unit(name: str, words: str) -> str:
    """Return the words for a column with its unit, if it has one: "Loss (nats)"."""
    unit = use_of_column(name).unit
    return f"{words} ({unit})" if unit else words
