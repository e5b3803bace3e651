"""Pool the loss maps of each group and compare them with the samples that the group is part of.

A confusion or a part of a class is compared with the rest of its class, any other group with all other samples: is a
larger or a smaller share of what raises the loss on the border?
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.tables import make_frame
from lake.query.joined_samples import Tables, scan_samples
from lake.query.loss_maps import MAPPED, Maps, border_of, map_layers, scan_maps
from lake.statistics import Ratio, benjamini_hochberg
from pipeline.findings.candidate_groups import Group
from pipeline.findings.search import Population, filter_of, labelled
from pipeline.settings import Settings


@dataclass(frozen=True)
class Pooled:
    """A group, the samples it is compared with, and the filters that reproduce them."""

    name: str
    filter: str
    members: NDArray[np.int64]
    others: str
    others_filter: str
    population: NDArray[np.int64]
    """Ids of the samples selected by `others_filter`, including the group."""


def pool_maps(run: Tables, settings: Settings) -> pl.DataFrame:
    """The table `pooled_maps` without the column run_id: classes, clusters, confusions, and the slices of findings."""
    samples = scan_samples(run).collect()
    with_maps = samples.filter(MAPPED)["sample_id"].to_numpy()
    population = labelled(samples, settings, tuple(run.metadata))
    groups = list(_groups(population, set(run.scan("findings").collect()["filter"])))
    rows, p = [], []
    for layer in map_layers(run):
        maps = Maps.of(scan_maps(run, layer).collect()).of_samples(with_maps)
        for group in groups:
            inside = maps.of_samples(group.members)
            rest = maps.of_samples(np.setdiff1d(group.population, group.members))
            inside_share, rest_share = inside.border_share(), rest.border_share()
            if np.isfinite([inside_share.value, rest_share.value]).all():
                rows.append(_row(group, layer, inside, inside_share, rest_share))
                p.append(inside_share.differs_p(rest_share))
    adjusted = benjamini_hochberg(np.array(p))
    return make_frame("pooled_maps", [r | {"adjusted_p": float(q)} for r, q in zip(rows, adjusted, strict=True)])


def _groups(population: Population, finding_filters: set[str]) -> Iterator[Pooled]:
    """The slices whose filter is in `finding_filters`, and all other groups."""
    ids = population.samples["sample_id"].to_numpy()
    everything = Group("all", "held-out", np.arange(len(ids)), {})
    classes = {group.where["label"]: group for group in population.groups if group.kind == "class"}
    for group in population.groups:
        text = filter_of(group, population)
        if group.kind == "slice" and text not in finding_filters:
            continue
        of_class = group.kind != "class" and "label" in group.where
        wider = classes[group.where["label"]] if of_class else everything
        yield Pooled(
            name=group.name,
            filter=text,
            members=ids[group.rows],
            others=f"all other {group.where['label'] if of_class else 'held-out'} images",
            others_filter=filter_of(wider, population),
            population=ids[wider.rows],
        )


def _row(group: Pooled, layer: str, inside: Maps, inside_share: Ratio, rest_share: Ratio) -> dict[str, object]:
    height, width = inside.values_NHW.shape[1:]
    ends, rest_ends = inside_share.interval, rest_share.interval
    return {
        "filter": group.filter,
        "layer": layer,
        "name": group.name,
        "n": inside_share.n,
        "height": height,
        "width": width,
        "values": inside.values_NHW.mean(0).ravel().tolist(),
        "border_area": float(border_of(height, width).mean()),
        "border_share": inside_share.value,
        "border_low": ends[0],
        "border_high": ends[1],
        "others": group.others,
        "others_filter": group.others_filter,
        "others_n": rest_share.n,
        "others_share": rest_share.value,
        "others_low": rest_ends[0],
        "others_high": rest_ends[1],
    }
