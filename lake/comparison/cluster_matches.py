"""Match the clusters of two runs by their members: same, split, merged, born or died; cluster numbers are arbitrary.

Two clusters are the same if their chance-corrected Jaccard index is above one half: more than half of their union is in
both, so a cluster has at most one such match and the assignment is unique. A cluster was split if two or more later
clusters, each mostly drawn from it and holding at least a tenth of it, together hold most of it; a merger is the
reverse (Spiliopoulou et al. 2006, MONIC). The chance correction subtracts the overlap expected at random for clusters
of these sizes, so that random groups do not match.
"""

import polars as pl

from lake.contracts.clusters import METHODS
from lake.query.joined_samples import cluster_column
from lake.statistics import wilson_interval
from lake.text.formatting import between, percent

HALF, TENTH = 0.5, 0.1
EVENTS = ["same", "split", "merged", "born", "died"]
SCHEMA = pl.Schema(
    {"event": pl.String}
    | dict.fromkeys(("before", "now", "n_before", "n_now", "n_both"), pl.Int64)
    | dict.fromkeys(("jaccard", "low", "high"), pl.Float64)
    | {"alike": pl.Boolean}
)


def match_clusters(now: pl.LazyFrame, before: pl.LazyFrame, method: str) -> pl.DataFrame:
    """Return one row per matched pair of clusters (same, split or merged), and one per born or died cluster.

    The columns are event, before and now (cluster numbers), n_before, n_now and n_both (samples in both runs), jaccard
    with its 95 % interval low and high, and alike: whether the chance-corrected index is above one half, which can also
    hold for the larger piece of a split. For a born cluster `before`, and for a died one `now`, is the closest cluster;
    null if none overlaps.
    """
    column = cluster_column(method)
    earlier = before.select("sample_id", before=pl.col(column))
    memberships = now.select("sample_id", now=pl.col(column)).join(earlier, on="sample_id").drop("sample_id").collect()
    cells = _overlaps(memberships)
    split, merged = _pieces(cells, whole="before", piece="now"), _pieces(cells, whole="now", piece="before")
    pieces = pl.concat([split, merged])
    same = cells.filter("alike").join(pieces, on=["before", "now"], how="anti")
    matched = pl.concat([same, pieces])
    born, died = (_unmatched(cells, memberships, matched, side) for side in ("now", "before"))
    parts = zip(EVENTS, (same, split, merged, born, died), strict=True)
    matches = pl.concat([part.with_columns(event=pl.lit(event)) for event, part in parts], how="diagonal_relaxed")
    return _with_interval(matches).select(SCHEMA.names()).cast(SCHEMA)


def count_events(matches: pl.DataFrame) -> dict[str, int]:
    """Count the clusters that are the same, split (earlier clusters), merged (later clusters), born and died."""
    sides = {"same": "now", "split": "before", "merged": "now", "born": "now", "died": "before"}
    return {event: matches.filter(event=event)[column].n_unique() for event, column in sides.items()}


def same_clusters(now: pl.LazyFrame, before: pl.LazyFrame) -> dict[str, dict[int, int]]:
    """Return by method the mapping from earlier to current numbers of the clusters that are the same."""
    matches_by_method = {method: match_clusters(now, before, method).filter("alike") for method in METHODS}
    return {method: dict(matches.select("before", "now").iter_rows()) for method, matches in matches_by_method.items()}


def say_matches(matches: pl.DataFrame) -> str:
    """Describe what became of the clusters in one sentence, and the weakest match that counts as the same."""
    counts = count_events(matches)
    n_before, n_now = (
        matches.filter(pl.col("event") != other)[side].n_unique()
        for side, other in (("before", "born"), ("now", "died"))
    )
    summary = (
        f"{n_before} groups before and {n_now} now: {counts['same']} the same, {counts['split']} split, "
        f"{counts['merged']} merged, {counts['born']} born, {counts['died']} died"
    )
    same = matches.filter(event="same").sort("jaccard")
    if same.is_empty():
        return f"{summary}."
    weakest = same.row(0, named=True)
    if weakest["jaccard"] == 1:
        return f"{summary}. All that are the same have exactly the same samples."
    union = weakest["n_before"] + weakest["n_now"] - weakest["n_both"]
    return (
        f"{summary}. Among those that are the same, {weakest['before']} before and {weakest['now']} now differ most: "
        f"they share {percent(weakest['jaccard'], 0)} of their {union:,} samples "
        f"({between(weakest['low'] * 100, weakest['high'] * 100, '.0f')})."
    )


def _overlaps(memberships: pl.DataFrame) -> pl.DataFrame:
    """Return the overlapping pairs of clusters: sizes, overlap, Jaccard index and whether it is high beyond chance."""
    sizes = [memberships.drop_nulls(side).group_by(side).agg(pl.len().alias(f"n_{side}")) for side in ("before", "now")]
    cells = memberships.drop_nulls().group_by("before", "now").agg(pl.len().alias("n_both"))
    cells = cells.join(sizes[0], on="before").join(sizes[1], on="now")
    expected_overlap = pl.col("n_before") * pl.col("n_now") / len(memberships)
    total_size = pl.col("n_before") + pl.col("n_now")
    jaccard = pl.col("n_both") / (total_size - pl.col("n_both"))
    return cells.with_columns(
        jaccard=jaccard,
        alike=_beyond_chance(jaccard, expected_overlap / (total_size - expected_overlap)) > HALF,
        share_before=pl.col("n_before") / len(memberships),
        share_now=pl.col("n_now") / len(memberships),
    ).sort("before", "now")


def _beyond_chance(value: pl.Expr, chance: pl.Expr) -> pl.Expr:
    """Correct a value for chance: 1 stays 1, the value expected by chance becomes 0."""
    return pl.when(value < 1).then((value - chance) / (1 - chance)).otherwise(1.0)


def _pieces(cells: pl.DataFrame, *, whole: str, piece: str) -> pl.DataFrame:
    """Return the pairs of which two or more pieces, each drawn mostly from the whole, together hold most of it."""
    share_of_piece, share_of_whole = pl.col("n_both") / pl.col(f"n_{piece}"), pl.col("n_both") / pl.col(f"n_{whole}")
    candidates = cells.filter(_beyond_chance(share_of_piece, pl.col(f"share_{whole}")) > HALF, share_of_whole >= TENTH)
    return candidates.filter(pl.len().over(whole) >= 2, share_of_whole.sum().over(whole) > HALF)


def _unmatched(cells: pl.DataFrame, memberships: pl.DataFrame, matched: pl.DataFrame, side: str) -> pl.DataFrame:
    """Return the clusters of one side that have no match on the other, each with its closest cluster."""
    sizes = memberships.drop_nulls(side).group_by(side).agg(pl.len().alias(f"n_{side}"))
    unmatched = sizes.join(matched, on=side, how="anti")
    closest = cells.sort("jaccard", "before", "now", descending=[True, False, False]).unique(
        side, keep="first", maintain_order=True
    )
    return unmatched.join(closest.drop(f"n_{side}"), on=side, how="left").sort(side)


def _with_interval(matches: pl.DataFrame) -> pl.DataFrame:
    """Add the 95 % interval of the Jaccard index, a proportion of the union."""
    sizes = matches.select("n_both", pl.col("n_before") + pl.col("n_now") - pl.col("n_both"))
    ends = [wilson_interval(hits, n) if n else (None, None) for hits, n in sizes.iter_rows()]
    low, high = (pl.Series([pair[i] for pair in ends], dtype=pl.Float64) for i in (0, 1))
    return matches.with_columns(low=low, high=high)
