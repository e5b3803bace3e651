"""How far groups lie apart in latent space, and how far their map can be believed, in words."""

import polars as pl

from lake.contracts.rows import SeparationRow, first_row
from lake.storage.store import Run
from pages.text import missing
from pages.text.words import counted, percent, plain

ONLY_NEAR = "Distances between far groups mean nothing on such a map, in either view."


def first_group(run: Run) -> str:
    """What the samples are told apart by: the first grouping of the classes, else the label."""
    return next(iter(run.groups), "label")


def say_kinds(run: Run) -> str:
    """ "Animals and vehicles separate": the kinds of the first group where there are two."""
    kinds = _kinds(run, first_group(run))
    named = " and ".join(f"{kind}s" for kind in kinds) if len(kinds) == 2 else "The groups"
    return plain(f"{named[:1].upper()}{named[1:]} separate")


def say_other(run: Run, grouping: str) -> str:
    """What is not of a sample's own kind: "the other kind" of two."""
    return "the other kind" if len(_kinds(run, grouping)) == 2 else "another kind"


def _kinds(run: Run, grouping: str) -> list[str]:
    return sorted(set(run.groups[grouping].values())) if grouping in run.groups else run.classes


def find_purity(separation: pl.DataFrame, group: str) -> SeparationRow | None:
    """How many of the 15 nearest are of the same kind; None where not measured."""
    rows = separation.filter(grouping=group, space="embedding", measure="purity", label="")
    return first_row(rows, SeparationRow)


def say_purity(purity: SeparationRow, features: int, noun: str = "image") -> str:
    """The share with its interval, and what chance gives; `features` is the length of an embedding.

    `noun` is what one sample is called.
    """
    return (
        f"on average **{percent(purity['value'])}** of the 15 nearest {noun}s in the {features:,}-d latent space "
        f"are of the same kind ({say_ends(purity)})"
    )


def say_ends(purity: SeparationRow) -> str:
    """The interval of the share in hundredths, and what chance gives where that was measured."""
    ends = f"{purity['low'] * 100:.1f} to {purity['high'] * 100:.1f}"
    return ends if purity["chance"] is None else f"{ends}; by chance {percent(purity['chance'])}"


def say_separation(run: Run, separation: pl.DataFrame, misplaced: int, features: int) -> str | None:
    """How well the first group separates; None where that was not measured.

    `misplaced` is the number of held-out samples that sit among others, `features` the length of an embedding.
    """
    purity = find_purity(separation, first_group(run))
    if purity is None:
        return None
    return (
        f"{say_kinds(run)}: {say_purity(purity, features, missing.noun(run))}. {misplaced:,} of "
        f"{counted(purity['n'], 'held-out sample')} "
        f"{'sits' if misplaced == 1 else 'sit'} among {say_other(run, first_group(run))}."
    )


def say_fidelity(map_quality: pl.DataFrame, features: int) -> str:
    """How many near neighbours of embeddings of that length the map keeps, against the plain alternative."""
    if map_quality.is_empty():
        return ONLY_NEAR
    kept = {row["view"]: row["value"] for row in map_quality.filter(measure="neighbors_kept").iter_rows(named=True)}
    return (
        f"{ONLY_NEAR} Of the 15 nearest in {features:,}-d, **{percent(kept['umap'])}** are among the 15 nearest on the "
        f"UMAP map, {percent(kept['pca'])} on the two principal components."
    )
