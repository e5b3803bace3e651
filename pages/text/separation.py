"""Separation of groups in latent space and fidelity of the map, in words."""

import polars as pl

from lake.contracts.rows import SeparationRow, first_row
from lake.storage.store import Run
from pages.text import missing
from pages.text.formatting import percent, plain, pluralize

ONLY_NEAR = "Distances between far groups mean nothing on such a map, in either view."


def first_group(run: Run) -> str:
    """Return the first grouping of the classes, else "label"."""
    return next(iter(run.groups), "label")


def say_kinds(run: Run) -> str:
    """Return "Animals and vehicles separate": the values of the first grouping if there are two."""
    kinds = _kinds(run, first_group(run))
    subject = " and ".join(f"{kind}s" for kind in kinds) if len(kinds) == 2 else "The groups"
    return plain(f"{subject[:1].upper()}{subject[1:]} separate")


def say_other(run: Run, grouping: str) -> str:
    """Return the words for other values of a grouping: "the other kind" if there are two."""
    return "the other kind" if len(_kinds(run, grouping)) == 2 else "another kind"


def _kinds(run: Run, grouping: str) -> list[str]:
    return sorted(set(run.groups[grouping].values())) if grouping in run.groups else run.classes


def find_purity(separation: pl.DataFrame, grouping: str) -> SeparationRow | None:
    """Return the share of the 15 nearest of the same kind; None if not measured."""
    rows = separation.filter(grouping=grouping, space="embedding", measure="purity", label="")
    return first_row(rows, SeparationRow)


def say_purity(purity: SeparationRow, features: int, noun: str = "image") -> str:
    """Describe the share with its interval and the value by chance; `features` is the length of an embedding.

    `noun` is what one sample is called.
    """
    return (
        f"on average **{percent(purity['value'])}** of the 15 nearest {noun}s in the {features:,}-d latent space "
        f"are of the same kind ({say_ends(purity)})"
    )


def say_ends(purity: SeparationRow) -> str:
    """Return the interval of the share in per cent, with the value by chance if it was measured."""
    ends = f"{purity['low'] * 100:.1f} to {purity['high'] * 100:.1f}"
    return ends if purity["chance"] is None else f"{ends}; by chance {percent(purity['chance'])}"


def say_separation(run: Run, separation: pl.DataFrame, misplaced: int, features: int) -> str | None:
    """Describe how well the first grouping separates; None if not measured.

    `misplaced` is the number of held-out samples that sit among others, `features` the length of an embedding.
    """
    purity = find_purity(separation, first_group(run))
    if purity is None:
        return None
    return (
        f"{say_kinds(run)}: {say_purity(purity, features, missing.noun(run))}. {misplaced:,} of "
        f"{pluralize(purity['n'], 'held-out sample')} "
        f"{'sits' if misplaced == 1 else 'sit'} among {say_other(run, first_group(run))}."
    )


def say_fidelity(map_quality: pl.DataFrame, features: int) -> str:
    """Describe how many near neighbours the map keeps, compared with principal components."""
    if map_quality.is_empty():
        return ONLY_NEAR
    shares = {row["view"]: row["value"] for row in map_quality.filter(measure="neighbors_kept").iter_rows(named=True)}
    return (
        f"{ONLY_NEAR} Of the 15 nearest in {features:,}-d, **{percent(shares['umap'])}** are among the 15 nearest on "
        f"the UMAP map, {percent(shares['pca'])} on the two principal components."
    )
