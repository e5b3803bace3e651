"""How far groups lie apart in latent space, and how far their map can be believed, in words."""

import polars as pl

from lake.store import Run
from pages.ui.words import percent, plain

ONLY_NEAR = "Distances between far groups mean nothing on such a map, in either view."


def first_group(run: Run) -> str:
    """What the samples are told apart by: the first grouping of the classes, else the label."""
    return next(iter(run.groups), "label")


def say_separation(run: Run, separation: pl.DataFrame, misplaced: int) -> str | None:
    """How well the first group separates; None where that was not measured.

    `misplaced` is the number of held-out samples that sit among others.
    """
    group = first_group(run)
    purity = separation.filter(grouping=group, space="embedding", measure="purity", label="")
    if purity.is_empty():
        return None
    found = purity.row(0, named=True)
    kinds = sorted(set(run.groups[group].values())) if group in run.groups else run.classes
    named = f"{' and '.join(f'{kind}s' for kind in kinds)} separate" if len(kinds) == 2 else "The groups separate"
    return (
        f"{plain(named[:1].upper() + named[1:])}: on average **{percent(found['value'])}** of the 15 nearest images in "
        f"the 512-d latent space are of the same kind ({found['low'] * 100:.1f} to {found['high'] * 100:.1f}; "
        f"by chance {percent(found['chance'])}). {misplaced:,} of {found['n']:,} held-out samples sit among the other "
        "kind."
    )


def say_fidelity(map_quality: pl.DataFrame) -> str:
    """How many near neighbours the map keeps, against the plain alternative."""
    if map_quality.is_empty():
        return ONLY_NEAR
    kept = {row["view"]: row["value"] for row in map_quality.filter(measure="neighbors_kept").iter_rows(named=True)}
    return (
        f"{ONLY_NEAR} Of the 15 nearest in 512-d, **{percent(kept['umap'])}** are among the 15 nearest on the UMAP "
        f"map, {percent(kept['pca'])} on the two principal components."
    )
