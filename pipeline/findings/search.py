"""Search for groups of samples with a raised loss, test them, and rank the findings.

Only out-of-sample losses are used. A group is found on one half of the samples (one-sided permutation test of its mean
loss against random groups of equal size, Benjamini-Hochberg over everything tested) and confirmed on the other half.
A slice must also be harder than other samples of its classes, and a confusion more frequent than if the errors of its
class were spread evenly. Unlabeled samples are searched in the same way by their expected loss.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import binom

from lake.contracts.tables import make_frame
from lake.query.filters import Clause, Filters
from lake.query.queries import HELD_OUT
from lake.statistics import benjamini_hochberg
from pipeline.engine.progress import Progress
from pipeline.findings.candidate_groups import Group, all_groups, cluster_groups
from pipeline.findings.permutation import raised_p, to_matrix
from pipeline.findings.wording import Density, to_row
from pipeline.settings import Settings

CONFIRMED_BELOW = 0.05
CONFIRMING = 2000
"""Number of permutations for that: at p = 0.05 the standard error of p is 0.005."""
SAME, WITHIN = 0.5, 0.8
"""Share of the union from which two groups are one finding, and of a group from which it is part of another."""


@dataclass(frozen=True)
class Population:
    """Samples whose groups are searched, and the column `value` that measures how hard they are."""

    samples: pl.DataFrame
    groups: list[Group]
    value: str
    class_column: str
    """The column with the class of a sample: its label, or its prediction if unlabeled."""
    filters: Filters

    def halves(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Masks of the samples on which groups are found, and of those on which they are confirmed."""
        half = split_in_half(self.samples["sample_id"].to_numpy())
        return half, ~half


@dataclass(frozen=True)
class RaisedGroup:
    """A group with a raised loss, and its p-value on the half on which it was found."""

    population: Population
    group: Group
    p: float
    adjusted_p: float
    matched_p: float
    confirmed: bool | None
    """None if the other half has too few samples of the group."""


def find(
    samples: pl.DataFrame,
    density: Density,
    settings: Settings,
    progress: Progress,
    *,
    source_columns: Sequence[str] = (),
) -> pl.DataFrame:
    """The table `findings` without the column run_id, ranked: not covered by another, then confirmed, then most severe.

    `samples` is the result of `scan_samples`; `source_columns` lists its columns that come from the
    source.
    """
    findings = search(populations(samples, settings, source_columns), settings, progress)
    rows = [to_row(f.group, f.population.samples, f.population.value, density) | _tests(f) for f in findings]
    order = sorted(range(len(rows)), key=lambda i: (not findings[i].confirmed, -float(rows[i]["severity"])))  # type: ignore[arg-type]
    covered = _covered([findings[i] for i in order])
    places = sorted(range(len(order)), key=lambda place: covered[place] is not None)  # uncovered findings first
    rank = {place: number for number, place in enumerate(places, 1)}
    ranked = [
        {"finding_id": rank[p], "covered_by": rank.get(covered[p]), **rows[order[p]]}  # type: ignore[arg-type]
        for p in places
    ]
    return make_frame("findings", ranked)


def populations(samples: pl.DataFrame, settings: Settings, source_columns: Sequence[str] = ()) -> list[Population]:
    """The held-out samples and the unlabeled samples, each only if it has groups."""
    return [p for p in (labelled(samples, settings, source_columns), _unlabeled(samples, settings)) if p.groups]


def search(searched: list[Population], settings: Settings, progress: Progress) -> list[RaisedGroup]:
    """The groups with a raised loss on the first half, in no particular order."""
    with progress.task("findings", 2 * len(searched)) as task:
        p: list[NDArray[np.float64]] = []
        for population in searched:
            p.append(_p(population, population.groups, population.halves()[0], settings))
            task.advance()
        tested = [~np.isnan(values) for values in p]
        adjusted = benjamini_hochberg(np.concatenate([*(values[t] for values, t in zip(p, tested, strict=True)), []]))
        findings, start = [], 0
        for population, values, t in zip(searched, p, tested, strict=True):
            q = np.ones(len(values))
            q[t] = adjusted[start : start + t.sum()]
            start += int(t.sum())
            findings += _confirm(population, values, q, settings)
            task.advance()
    return findings


def split_in_half(sample_id: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A mask of about half the samples that depends only on their ids."""
    return np.array([hashlib.blake2b(str(i).encode(), digest_size=1).digest()[0] < 128 for i in sample_id])


def labelled(samples: pl.DataFrame, settings: Settings, source_columns: Sequence[str] = ()) -> Population:
    """The held-out samples, and all of their groups that are large enough to be tested."""
    held_out = samples.filter(HELD_OUT)
    groups = all_groups(held_out, at_least=settings.min_group_size, source_columns=source_columns)
    filters = Filters.of(out_of_sample="true").with_clause(Clause(column="label", op="present"))
    return Population(held_out, groups, "loss", "label", filters)


def _unlabeled(samples: pl.DataFrame, settings: Settings) -> Population:
    unlabeled = samples.filter(pl.col("label").is_null())
    rows = unlabeled.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    groups = [
        Group("unlabeled", f"unlabeled images in {g.name}", g.rows, g.where)
        for g in cluster_groups(rows)
        if len(g.rows) >= settings.min_group_size
    ]
    filters = Filters(clauses=(Clause(column="label", op="null"),))
    return Population(unlabeled, groups, "expected_loss", "predicted", filters)


def _p(
    population: Population, groups: list[Group], sample_mask: NDArray[np.bool_], settings: Settings
) -> NDArray[np.float64]:
    """p-value of each group among the chosen samples; NaN if these contain too few of its samples."""
    kinds = np.array([group.kind for group in groups])
    members = to_matrix([group.rows for group in groups], len(sample_mask))[:, sample_mask]
    p = _raised(population, members, sample_mask, settings)
    slices = np.flatnonzero(kinds == "slice")
    if len(slices):
        p[slices] = np.maximum(p[slices], _raised(population, members[slices], sample_mask, settings, matched=True))
    for i in np.flatnonzero(kinds == "confusion"):
        p[i] = max(p[i], _more_than_even_p(groups[i], population.samples.filter(pl.Series(sample_mask))))
    return np.where(members.sum(1) >= settings.min_group_size, p, np.nan)


def _raised(
    population: Population,
    members: csr_array,
    sample_mask: NDArray[np.bool_],
    settings: Settings,
    *,
    matched: bool = False,
) -> NDArray[np.float64]:
    class_rank = population.samples[population.class_column].rank("dense").cast(pl.Int64).to_numpy()
    return raised_p(
        population.samples[population.value].to_numpy()[sample_mask],
        members,
        permutations=settings.permutations,
        seed=settings.seed,
        within=class_rank[sample_mask] if matched else None,
        threads=settings.threads,
    )


def _more_than_even_p(group: Group, samples: pl.DataFrame) -> float:
    """Binomial p-value of the errors of a class falling on this prediction no more often than on each other class."""
    classes = set(samples["label"]) | set(samples["predicted"])
    wrong = samples.filter(pl.col("label") == group.where["label"], ~pl.col("correct"))
    observed = len(wrong.filter(pl.col("predicted") == group.where["predicted"]))
    return float(binom.sf(observed - 1, len(wrong), 1 / max(1, len(classes) - 1)))


def _confirm(
    population: Population, p: NDArray[np.float64], adjusted: NDArray[np.float64], settings: Settings
) -> list[RaisedGroup]:
    """The groups found, tested on the other half and against other samples of their classes."""
    significant = adjusted < settings.false_discovery_rate
    groups = list(compress(population.groups, significant))
    if not groups:
        return []
    fewer = settings.model_copy(update={"permutations": min(settings.permutations, CONFIRMING)})
    confirming_p = _p(population, groups, population.halves()[1], fewer)
    everywhere = np.ones(len(population.samples), bool)
    members = to_matrix([group.rows for group in groups], len(everywhere))
    matched = _raised(population, members, everywhere, fewer, matched=True)
    return [
        RaisedGroup(population, group, float(a), float(b), float(c), None if np.isnan(d) else bool(d < CONFIRMED_BELOW))
        for group, a, b, c, d in zip(groups, p[significant], adjusted[significant], matched, confirming_p, strict=True)
    ]


def filter_of(group: Group, population: Population) -> str:
    """The filter that reproduces the group among all samples, as in the address of a page."""
    return Filters(clauses=_first_of_each_column((*group.filters.clauses, *population.filters.clauses))).to_text()


def _tests(finding: RaisedGroup) -> dict[str, object]:
    return {
        "p": finding.p,
        "adjusted_p": finding.adjusted_p,
        "class_matched_p": None if finding.group.kind == "class" else finding.matched_p,
        "confirmed": finding.confirmed,
        "filter": filter_of(finding.group, finding.population),
    }


def _first_of_each_column(clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
    """The clauses, keeping only the first one on each column."""
    first = {clause.column: clause for clause in reversed(clauses)}
    return tuple(clause for clause in clauses if first[clause.column] is clause)


def _covered(findings: list[RaisedGroup]) -> list[int | None]:
    """For each finding, the index of a worse one about the same samples; None if it stands for itself."""
    members = [set(f.population.samples["sample_id"].gather(f.group.rows).to_list()) for f in findings]
    covered: list[int | None] = []
    for i, finding in enumerate(findings):
        standing = [j for j in range(i) if covered[j] is None]
        covered.append(
            next((j for j in standing if _says_the_same(finding, members[i], findings[j], members[j])), None)
        )
    return covered


def _says_the_same(finding: RaisedGroup, members: set[int], worse: RaisedGroup, its_members: set[int]) -> bool:
    shared = len(members & its_members)
    no_harder = finding.group.kind == worse.group.kind or finding.matched_p >= CONFIRMED_BELOW
    return shared >= SAME * len(members | its_members) or (no_harder and shared >= WITHIN * len(members))
