"""Clusters of two runs matched by their members: the same, split, merged, born and died; their numbers mean nothing.

Two clusters are the same where their Jaccard index is above one half beyond chance: more than half of their union is in
both, so no cluster has two such matches and every assignment finds the same ones. A cluster was split where two or more
later ones, each mostly made of it and with a tenth of it or more, together hold most of it; merged is the reverse
(Spiliopoulou et al. 2006, MONIC). "Beyond chance" takes off what clusters of these sizes share at random, so that
random groups match none.
"""

import polars as pl

from lake.contracts.clusters import METHODS
from lake.query.queries import cluster_column
from lake.statistics import wilson_interval
from lake.text.formatting import between

HALF, TENTH = 0.5, 0.1
EVENTS = ["same", "split", "merged", "born", "died"]
SCHEMA = pl.Schema(
    {"event": pl.String}
    | dict.fromkeys(("before", "now", "n_before", "n_now", "n_both"), pl.Int64)
    | dict.fromkeys(("jaccard", "low", "high"), pl.Float64)
    | {"alike": pl.Boolean}
)


def match_clusters(now: pl.LazyFrame, before: pl.LazyFrame, method: str) -> pl.DataFrame:
    """A row each pair of clusters that are the same, part of a split or of a merger; of others the closest, if any.

    The columns are event, before, now (numbers), n_before, n_now, n_both (samples of both runs), jaccard with its 95 %
    interval low and high, and alike: whether it is above one half beyond chance, as of the larger piece of a split. Of
    a born cluster `before`, of a died one `now` is the closest; null where none overlaps.
    """
    column = cluster_column(method)
    was = before.select("sample_id", before=pl.col(column))
    both = now.select("sample_id", now=pl.col(column)).join(was, on="sample_id").drop("sample_id").collect()
    cells = _overlaps(both)
    split, merged = _pieces(cells, whole="before", piece="now"), _pieces(cells, whole="now", piece="before")
    pieces = pl.concat([split, merged])
    same = cells.filter("alike").join(pieces, on=["before", "now"], how="anti")
    linked = pl.concat([same, pieces])
    born, died = (_alone(cells, both, linked, side) for side in ("now", "before"))
    parts = zip(EVENTS, (same, split, merged, born, died), strict=True)
    found = pl.concat([part.with_columns(event=pl.lit(event)) for event, part in parts], how="diagonal_relaxed")
    return _with_interval(found).select(SCHEMA.names()).cast(SCHEMA)


def count_events(found: pl.DataFrame) -> dict[str, int]:
    """How many clusters are the same, were split (counted before), merged (counted now), were born and died."""
    counted = {"same": "now", "split": "before", "merged": "now", "born": "now", "died": "before"}
    return {event: found.filter(event=event)[column].n_unique() for event, column in counted.items()}


def same_clusters(now: pl.LazyFrame, before: pl.LazyFrame) -> dict[str, dict[int, int]]:
    """By method: number before -> number now of the clusters that are the same."""
    matched = {method: match_clusters(now, before, method).filter("alike") for method in METHODS}
    return {method: dict(found.select("before", "now").iter_rows()) for method, found in matched.items()}


def say_matches(found: pl.DataFrame) -> str:
    """What became of the clusters, in one sentence with the weakest match that counts as the same."""
    counts = count_events(found)
    n_before, n_now = (
        found.filter(pl.col("event") != other)[side].n_unique() for side, other in (("before", "born"), ("now", "died"))
    )
    said = (
        f"{n_before} groups before and {n_now} now: {counts['same']} the same, {counts['split']} split, "
        f"{counts['merged']} merged, {counts['born']} born, {counts['died']} died"
    )
    same = found.filter(event="same").sort("jaccard")
    if same.is_empty():
        return f"{said}."
    weakest = same.row(0, named=True)
    return (
        f"{said}. Of the same ones the least alike are {weakest['before']} before and {weakest['now']} now: they share "
        f"{weakest['jaccard']:.0%} of their {weakest['n_before'] + weakest['n_now'] - weakest['n_both']:,} samples "
        f"({between(weakest['low'], weakest['high'], '.0%')})."
    )


def _overlaps(both: pl.DataFrame) -> pl.DataFrame:
    """Pairs of clusters with a sample in both: sizes, overlap, Jaccard index and what chance would give."""
    sizes = [both.drop_nulls(side).group_by(side).agg(pl.len().alias(f"n_{side}")) for side in ("before", "now")]
    cells = both.drop_nulls().group_by("before", "now").agg(pl.len().alias("n_both"))
    cells = cells.join(sizes[0], on="before").join(sizes[1], on="now")
    random = pl.col("n_before") * pl.col("n_now") / len(both)
    sizes_together = pl.col("n_before") + pl.col("n_now")
    jaccard = pl.col("n_both") / (sizes_together - pl.col("n_both"))
    return cells.with_columns(
        jaccard=jaccard,
        alike=_beyond_chance(jaccard, random / (sizes_together - random)) > HALF,
        share_before=pl.col("n_before") / len(both),
        share_now=pl.col("n_now") / len(both),
    ).sort("before", "now")


def _beyond_chance(value: pl.Expr, chance: pl.Expr) -> pl.Expr:
    """1 where the value is 1, 0 where it is what chance gives."""
    return pl.when(value < 1).then((value - chance) / (1 - chance)).otherwise(1.0)


def _pieces(cells: pl.DataFrame, *, whole: str, piece: str) -> pl.DataFrame:
    """The pairs of which two or more pieces, each mostly of the whole, together hold most of it."""
    inside, of_whole = pl.col("n_both") / pl.col(f"n_{piece}"), pl.col("n_both") / pl.col(f"n_{whole}")
    mostly = cells.filter(_beyond_chance(inside, pl.col(f"share_{whole}")) > HALF, of_whole >= TENTH)
    return mostly.filter(pl.len().over(whole) >= 2, of_whole.sum().over(whole) > HALF)


def _alone(cells: pl.DataFrame, both: pl.DataFrame, linked: pl.DataFrame, side: str) -> pl.DataFrame:
    """The clusters of one side that are linked to none of the other, each with the closest one."""
    sizes = both.drop_nulls(side).group_by(side).agg(pl.len().alias(f"n_{side}"))
    alone = sizes.join(linked, on=side, how="anti")
    closest = cells.sort("jaccard", "before", "now", descending=[True, False, False]).unique(
        side, keep="first", maintain_order=True
    )
    return alone.join(closest.drop(f"n_{side}"), on=side, how="left").sort(side)


def _with_interval(found: pl.DataFrame) -> pl.DataFrame:
    """With the 95 % interval of the Jaccard index, a share of the union."""
    sizes = found.select("n_both", pl.col("n_before") + pl.col("n_now") - pl.col("n_both"))
    ends = [wilson_interval(hits, n) if n else (None, None) for hits, n in sizes.iter_rows()]
    low, high = (pl.Series([pair[i] for pair in ends], dtype=pl.Float64) for i in (0, 1))
    return found.with_columns(low=low, high=high)
