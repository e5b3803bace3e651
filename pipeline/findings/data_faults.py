"""Find faults in the data: doubtful labels, copies, leaks, splits that differ, kinds of images rare in training.

Copies are counted. All other faults are tested together on one half of the samples and confirmed on the other half.
`lift` is the ratio of the observed count to the count expected by chance.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import binom, chi2, hypergeom, poisson
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from lake.comparison.differences import PROPERTY_WORDING
from lake.contracts.quality import COPIES
from lake.contracts.tables import make_frame
from lake.query.filters import Clause, Filters
from lake.query.queries import HELD_OUT
from lake.search.vectors import to_common_scale
from lake.statistics import Z95, benjamini_hochberg
from lake.text.formatting import percent
from pipeline.engine.progress import Progress
from pipeline.findings.candidate_groups import Group, model_free_groups
from pipeline.findings.error_causes import CONFIDENT
from pipeline.findings.search import CONFIRMED_BELOW, split_in_half
from pipeline.findings.wording import EXAMPLES, two_digits
from pipeline.settings import Settings

FOLDS, GAP_SAMPLES = 5, 4000
NOTHING = 1e-6
"""Expected contradictions below this are only rounding errors of probabilities that are exactly 1."""
Row = dict[str, object]
Tested = tuple[float, Callable[[], Row]]
"""The p-value of a test on the first half, and the finding to report if it is low enough among all tests."""
Mask = NDArray[np.bool_]


def find_in_data(
    samples: pl.DataFrame, embedding_ND: NDArray[np.float32], settings: Settings, progress: Progress
) -> pl.DataFrame:
    """Findings about the data, as rows of the table `findings` with `finding_id` starting at 1.

    `samples` is the result of `scan_samples`; row i of the embedding belongs to row i of those that have one.
    """
    with progress.task("data findings", 4) as task:
        rows = list(_copies(samples))
        tested: list[Tested] = []
        for tests in (_doubtful(samples), _gaps(samples, embedding_ND, settings), _rare(samples, settings)):
            task.advance()
            tested += tests
        adjusted = benjamini_hochberg(np.array([p for p, _ in tested]))
        for (p, to_row), q in zip(tested, adjusted, strict=True):
            if q < settings.false_discovery_rate:
                rows.append(to_row() | {"p": float(p), "adjusted_p": float(q)})
        task.advance()
    return make_frame("findings", [{"finding_id": i, **row} for i, row in enumerate(rows, 1)])


def _copies(samples: pl.DataFrame) -> Iterator[Row]:
    """Copies, and leaks (copies of training images among the held-out ones): counted, as there is nothing to test."""
    leaks = samples.filter(HELD_OUT & pl.col("leak"))
    held_out = samples.filter(HELD_OUT)
    if len(leaks):
        wrong = (~leaks["correct"]).sum()
        yield _row(
            "leakage",
            "Copies of training images",
            f"{len(leaks):,} of {len(held_out):,} held-out images are in the training data too, exactly or nearly; "
            f"the model is wrong on {wrong:,} of them.",
            leaks,
            held_out,
            Filters.of(leak="true", out_of_sample="true").with_clause(Clause(column="label", op="present")),
            "Leave them out of the evaluation, or out of the training.",
        )
    copies = samples.filter(pl.col("duplicate").is_in(COPIES))
    if len(copies):
        exact = (copies["duplicate"] == "exact").sum()
        yield _row(
            "duplicate",
            "Images that occur twice",
            f"{len(copies):,} of {len(samples):,} scored images have a copy, {exact:,} of them an exact one.",
            copies,
            samples,
            Filters.of(duplicate=COPIES),
            "Keep one of each.",
        )


def _doubtful(samples: pl.DataFrame) -> Iterator[Tested]:
    """Do more confident predictions contradict the label than their confidence allows (Poisson test)?"""
    held_out = samples.filter(HELD_OUT)
    doubted = held_out.filter(pl.col("reason") == "doubtful label")
    if doubted.is_empty():
        return
    half = pl.Series(split_in_half(held_out["sample_id"].to_numpy()))
    first, second = (_contradicted_p(*_contradictions(held_out.filter(mask))) for mask in (half, ~half))
    yield first, lambda: _doubted_row(held_out, doubted) | {"confirmed": second < CONFIRMED_BELOW}


def _doubted_row(held_out: pl.DataFrame, doubted: pl.DataFrame) -> Row:
    wrong, expected = _contradictions(held_out)
    return _row(
        "mislabeled",
        "Doubtful labels",
        f"{wrong:,} predictions of at least {percent(CONFIDENT, 0)} confidence contradict the label, where that "
        f"confidence allows {expected:.0f}; for {len(doubted):,} of them the nearest samples side with the prediction.",
        doubted,
        held_out,
        Filters.of(reason="doubtful label"),
        f"Check the labels of these {len(doubted):,}.",
    ) | _lift_over(expected, wrong, chi2.ppf(0.025, 2 * wrong) / 2, chi2.ppf(0.975, 2 * wrong + 2) / 2)


def _lift_over(expected: float, *counts: float) -> Row:
    """A count and the ends of its interval, divided by the expected count; empty if that is zero."""
    return _lift(*(count / expected for count in counts)) if expected > NOTHING else {}


def _contradicted_p(wrong: int, expected: float) -> float:
    return float(poisson.sf(wrong - 1, expected))


def _contradictions(held_out: pl.DataFrame) -> tuple[int, float]:
    """Number of confident predictions that are wrong, and the number expected from their confidence."""
    sure = held_out.filter(pl.col("confidence") >= CONFIDENT)
    return int((~sure["correct"]).sum()), float((1 - sure["confidence"]).clip(0).sum())


def _gaps(samples: pl.DataFrame, embedding_ND: NDArray[np.float32], settings: Settings) -> Iterator[Tested]:
    """Can a linear classifier tell two splits apart (Lopez-Paz & Oquab 2017), on one half and again on the other?

    Held-out splits are compared by embedding. The training split, which the model has seen, is compared by image
    properties, if these were measured.
    """
    split = samples["split"].to_numpy()
    spaces = {"embedding": embedding_ND, "image properties": _scaled_properties(samples)}
    has_embedding = samples["x"].is_not_null().to_numpy()
    covered = {"embedding": has_embedding, "image properties": np.ones(len(samples), np.bool_)}
    pairs = (
        ("validation", "test", "embedding"),
        ("unlabeled", "test", "embedding"),
        ("train", "test", "image properties"),
    )
    half = split_in_half(samples["sample_id"].to_numpy())
    for a, b, space in pairs:
        if not spaces[space].shape[1]:
            continue
        inside = covered[space]
        sides = split[inside] == a, split[inside] == b
        outcomes = [_tell_apart(spaces[space], *sides, mask[inside], settings.seed) for mask in (half, ~half)]
        if all(n >= 2 * settings.min_group_size for _, n in outcomes):
            first, second = (float(binom.sf(hits - 1, n, 0.5)) for hits, n in outcomes)
            confirmed: Row = {"confirmed": second < CONFIRMED_BELOW}
            yield first, partial(_gap_row, samples, a, b, space, *outcomes[0], confirmed)


def _scaled_properties(samples: pl.DataFrame) -> NDArray[np.float32]:
    """Image properties scaled to mean 0 and standard deviation 1 [N, P]; P is 0 if there are no images."""
    properties = samples.select(*PROPERTY_WORDING)
    if properties.to_series(0).null_count():
        return np.empty((len(samples), 0), np.float32)
    return StandardScaler().fit_transform(properties.to_numpy()).astype(np.float32)


def _gap_row(samples: pl.DataFrame, a: str, b: str, space: str, hits: int, n: int, confirmed: Row) -> Row:
    share, half_width = hits / n, Z95 * math.sqrt(hits * (n - hits) / n**3)
    return (
        _row(
            "domain gap",
            f"{a.capitalize()} images differ from {b} images",
            f"A linear classifier on the {space} tells {a} from {b} images in {percent(share)} of {n:,} cases; "
            "by chance in 50 %.",
            samples.filter(pl.col("split") == a),
            samples,
            Filters.of(split=a),
            f"Find out how the {a} images were taken differently before trusting figures across the two.",
        )
        | _lift(2 * share, 2 * (share - half_width), 2 * (share + half_width))
        | confirmed
    )


def _tell_apart(points_ND: NDArray[np.float32], a: Mask, b: Mask, half: Mask, seed: int) -> tuple[int, int]:
    """Number of correct out-of-fold predictions of the side, and number of samples n, equally many from each side."""
    rng = np.random.default_rng(seed)
    sides = [np.flatnonzero(side & half) for side in (a, b)]
    size = min(GAP_SAMPLES // 2, *(len(side) for side in sides))
    if size < FOLDS:
        return 0, 0
    rows = np.concatenate([rng.choice(side, size, replace=False) for side in sides])
    side = np.repeat([0, 1], size)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    predicted = cross_val_predict(RidgeClassifier(), to_common_scale(points_ND[rows]), side, cv=folds)
    return int((predicted == side).sum()), 2 * size


def _rare(samples: pl.DataFrame, settings: Settings) -> Iterator[Tested]:
    """Classes and slices with a smaller share of the training data than of the held-out data (hypergeometric test).

    Only groups defined without a model: in latent space, samples the model was trained on lie elsewhere than unseen
    ones.
    """
    labelled = samples.filter(pl.col("label").is_not_null())
    trained = (labelled["split"] == "train").to_numpy()
    half = split_in_half(labelled["sample_id"].to_numpy())
    groups = model_free_groups(labelled, at_least=settings.min_group_size)
    if trained.all() or not trained.any() or not groups:
        return
    for group in groups:
        first, second = (_rarer_p(group, trained, mask) for mask in (half, ~half))
        confirmed: Row = {"confirmed": second < CONFIRMED_BELOW}
        yield first, partial(_rare_row, labelled, group, trained, confirmed)


def _rare_row(labelled: pl.DataFrame, group: Group, trained: Mask, confirmed: Row) -> Row:
    inside, name = np.zeros(len(labelled), bool), f"{group.name[:1].upper()}{group.name[1:]}"
    inside[group.rows] = True
    n_train, n_held_out = int((inside & trained).sum()), int((inside & ~trained).sum())
    scale = trained.sum() / (~trained).sum()
    ratio = n_held_out * scale / max(n_train, 0.5)
    spread = math.exp(Z95 * math.sqrt(1 / max(n_held_out, 0.5) + 1 / max(n_train, 0.5)))
    return (
        _row(
            "under-represented",
            f"{name}, rare in training",
            f"{name}: {n_held_out:,} of the {int((~trained).sum()):,} held-out images but only {n_train:,} of the "
            f"{int(trained.sum()):,} training images that were scored.",
            labelled.filter(pl.Series(inside & ~trained)),
            labelled.filter(pl.Series(~trained)),
            Filters(clauses=(*group.filters.clauses, *_held_out(group))),
            f"Add about {two_digits(n_held_out * scale - n_train):,} such images to the training data.",
        )
        | _lift(ratio, ratio / spread, ratio * spread)
        | confirmed
    )


def _rarer_p(group: Group, trained: Mask, half: Mask) -> float:
    """p-value for so few of the group's samples in `half` being training samples."""
    rows = group.rows[half[group.rows]]
    return float(hypergeom.cdf(trained[rows].sum(), half.sum(), (trained & half).sum(), len(rows)))


def _held_out(group: Group) -> tuple[Clause, ...]:
    label = () if "label" in group.where else (Clause(column="label", op="present"),)
    return (Clause(column="split", op="not", values=("train",)), *label)


def _row(
    kind: str, name: str, sentence: str, members: pl.DataFrame, population: pl.DataFrame, filters: Filters, action: str
) -> Row:
    """A finding that is counted, not tested."""
    loss = members["loss"].drop_nulls()
    worst = members.sort(pl.coalesce("loss", "expected_loss"), "sample_id", descending=[True, False])
    return {
        "kind": kind,
        "name": name,
        "sentence": sentence,
        "n": len(members),
        "population": len(population),
        "mean_loss": loss.mean(),
        "median_loss": loss.median(),
        "errors": None,
        "confusion": [],
        "reasons": [],
        "splits": members["split"].value_counts(sort=True, name="n").cast({"n": pl.Int64}).to_dicts(),
        "example_ids": worst["sample_id"].head(EXAMPLES).to_list(),
        "filter": filters.to_text(),
        "action": action,
    }


def _lift(value: float, low: float, high: float) -> Row:
    return {"lift": float(value), "lift_low": float(low), "lift_high": float(high)}
