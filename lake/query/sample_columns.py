"""What pages may do with each column of the table of samples, as the contracts of its tables say."""

from collections.abc import Iterator

from lake.contracts.clusters import METHODS, Clusters
from lake.contracts.columns import SAMPLE, Use, use_of
from lake.contracts.loss_maps import MapFamilies
from lake.contracts.quality import Duplicates, Triage
from lake.contracts.samples import Predictions, Projection, Properties, Samples

JOINED = (Samples, Predictions, Properties, Clusters, Projection, Triage, Duplicates, MapFamilies)
"""The tables that `lake.query.queries.scan_samples` joins, in the order of the sections."""


def _uses() -> Iterator[tuple[str, Use]]:
    for contract in JOINED:
        declared = [(name, use) for name, column in contract.columns().items() if (use := use_of(column))]
        for column, use in sorted(declared, key=lambda row: (not row[1].shown, row[1].shown)):
            for method in METHODS if "{method}" in use.name else ("",):
                yield use.name.format(method=method) or column, use


USES = dict(_uses())
"""The columns by name: by section, and of each section those first that the table shows before a reader chooses."""
SHOWN = tuple(sorted((name for name, use in USES.items() if use.shown), key=lambda name: USES[name].shown))
COLORS = [name for name, use in USES.items() if use.colors]
SIZES = [name for name, use in USES.items() if use.sizes]
NO_AXIS = {name for name, use in USES.items() if not use.axis}


def by_section(carried: list[str]) -> dict[str, list[str]]:
    """Every column by what it is about; groupings and columns of the source, which are `carried`, are of the sample."""
    sections: dict[str, list[str]] = {}
    for name, use in USES.items():
        sections.setdefault(use.section, []).append(name)
    sections[SAMPLE] += carried
    return sections


def use_of_column(name: str) -> Use:
    """The use of a column; of one that no contract declares that of a column of the source."""
    return USES.get(name, Use(SAMPLE))


def with_unit(name: str, words: str) -> str:
    """ "Loss (nats)": a column in words, with its unit if it has one."""
    unit = use_of_column(name).unit
    return f"{words} ({unit})" if unit else words
