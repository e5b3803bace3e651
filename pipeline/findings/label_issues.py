"""Find labels that are likely wrong: the model and the neighbours of a sample agree on another class.

Candidates come from confident learning (Northcutt et al. 2021): a sample is assigned to a class if its probability
reaches the mean probability of the samples with that label, and it is a candidate if that class is not its label.
Candidates are ranked by how far another class is ahead of the label. An image is ambiguous if two classes are both
likely.
Only out-of-sample probabilities are used. Shapes: N samples, K classes, R neighbours.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.contracts.tables import make_frame
from lake.query.aggregates import or_zero
from lake.query.joined_samples import Tables

BOTH_LIKELY = 0.25
"""Mean of probability and neighbour share from which a class counts as likely."""

Matrix = NDArray[np.float64]
Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """The labels of samples, and the evidence for each class from the model and the neighbours in latent space."""

    sample_id: NDArray[np.int64]
    label: Classes
    p_NK: Matrix
    """Calibrated probabilities from a model that never saw the sample."""
    near_NR: NDArray[np.int64]
    """Rows of `neighbor_label` for the neighbours of each sample; -1 for none."""
    neighbor_label: Classes
    """Label of every sample that can be a neighbour, -1 if withheld; the rows `own` are the samples themselves."""
    own: NDArray[np.int64]

    def relabelled(self, label: Classes) -> "Evidence":
        """The same samples with other labels."""
        neighbor_label = self.neighbor_label.copy()
        neighbor_label[self.own] = label
        return replace(self, label=label, neighbor_label=neighbor_label)

    @cached_property
    def vote_NK(self) -> Matrix:  # noqa: N802
        """Share of each class among the labelled neighbours; 0 if there are none."""
        labels_NR = np.where(self.near_NR >= 0, self.neighbor_label[self.near_NR], -1)
        votes = np.stack([(labels_NR == k).sum(1) for k in range(self.p_NK.shape[1])], axis=1)
        return np.asarray(votes / votes.sum(1, keepdims=True).clip(1))

    @cached_property
    def has_neighbors_N(self) -> NDArray[np.bool_]:  # noqa: N802
        """Whether each sample has neighbours, which one without an embedding has not."""
        return np.asarray((self.near_NR >= 0).any(1))

    @cached_property
    def support_NK(self) -> Matrix:  # noqa: N802
        """Mean of probability and neighbour share; the probability alone for a sample without neighbours."""
        return np.where(self.has_neighbors_N[:, None], (self.p_NK + self.vote_NK) / 2, self.p_NK)

    @cached_property
    def score_NK(self) -> Matrix:  # noqa: N802
        """How far the best other class would be ahead, -1 to 1, if each class in turn were the label."""
        best, second = np.sort(self.support_NK, axis=1)[:, :-3:-1].T[:, :, None]
        return np.asarray(np.where(self.support_NK == best, second, best) - self.support_NK)

    @cached_property
    def score(self) -> Matrix:
        """How far the best other class is ahead of the label [N]."""
        return _at(self.score_NK, self.label)

    @cached_property
    def confident_class(self) -> Classes:
        """The class whose probability reaches its threshold [N], the most probable of several; -1 for none."""
        own = _at(self.p_NK, self.label)
        by_class = [own[self.label == k] for k in range(self.p_NK.shape[1])]
        threshold_K = np.array([values.mean() if len(values) else np.inf for values in by_class])
        reached = np.where(self.p_NK >= threshold_K, self.p_NK, -1.0)
        return np.where(reached.max(1) >= 0, reached.argmax(1), -1)

    def candidates(self) -> NDArray[np.int64]:
        """Rows whose label is likely wrong, most doubtful first."""
        rows = np.flatnonzero((self.confident_class >= 0) & (self.confident_class != self.label) & (self.score > 0))
        return rows[np.argsort(-self.score[rows], kind="stable")]

    def expected_precision(self, rows: NDArray[np.int64]) -> Matrix:
        """Expected precision of the list down to each candidate, given the probabilities of the model.

        It is 1 minus the share of candidates that would arise if each label were drawn from the sample's probabilities:
        these are contradictions without a wrong label.
        """
        classes = np.arange(self.p_NK.shape[1])
        contradicts = (
            (self.confident_class[:, None] >= 0) & (self.confident_class[:, None] != classes) & (self.score_NK > 0)
        )
        by_chance = _weight_above(self.score_NK[contradicts], self.p_NK[contradicts], self.score[rows])
        return np.asarray((1 - by_chance / np.arange(1, len(rows) + 1)).clip(0, 1))


def gather_evidence(run: Tables, neighbors: pl.DataFrame, classes: list[str]) -> Evidence:
    """The evidence for every labelled sample with out-of-sample probabilities.

    `neighbors` contains rows of the table `neighbors`.
    """
    number = {name: i for i, name in enumerate(classes)}
    labels = run.scan("samples").select("sample_id", "label")
    scored = run.scan("predictions").select("sample_id", "probabilities", "out_of_sample").join(labels, on="sample_id")
    everything = scored.sort("sample_id").collect()
    label = everything["label"].replace_strict(number, default=-1, return_dtype=pl.Int64).to_numpy()
    own = np.flatnonzero(everything["out_of_sample"].to_numpy() & (label >= 0))
    ids = everything["sample_id"].to_numpy()
    wide = neighbors.sort("sample_id", "rank").group_by("sample_id", maintain_order=True).agg("neighbor_id")
    near = pl.DataFrame({"sample_id": ids[own]}).join(wide, on="sample_id", how="left", maintain_order="left")
    return Evidence(
        sample_id=ids[own],
        label=label[own],
        p_NK=np.array(everything["probabilities"].to_list(), dtype=float)[own],
        near_NR=_rows_of(near["neighbor_id"], ids),
        neighbor_label=label,
        own=own,
    )


def find_label_issues(evidence: Evidence, dynamics: pl.DataFrame, classes: list[str]) -> pl.DataFrame:
    """The table `label_issues` without the column run_id."""
    wrong = evidence.candidates()
    doubtful = _rows(evidence, "label", wrong, evidence.confident_class[wrong], classes)
    doubtful = doubtful.with_columns(expected_precision=pl.Series(evidence.expected_precision(wrong), dtype=pl.Float64))
    issues = pl.concat([doubtful, _ambiguous(evidence, wrong, classes)], how="diagonal")
    with_dynamics = issues.join(dynamics.select("sample_id", "aum"), on="sample_id", how="left", maintain_order="left")
    return with_dynamics.select(make_frame("label_issues", []).columns)


def _ambiguous(evidence: Evidence, wrong: NDArray[np.int64], classes: list[str]) -> pl.DataFrame:
    """Samples whose label and another class are both likely, closest scores first."""
    others = evidence.support_NK.copy()
    np.put_along_axis(others, evidence.label[:, None], -1.0, axis=1)
    both = np.minimum(_at(evidence.support_NK, evidence.label), others.max(1)) >= BOTH_LIKELY
    rows = np.setdiff1d(np.flatnonzero(both), wrong)
    rows = rows[np.argsort(np.abs(evidence.score[rows]), kind="stable")]
    return _rows(evidence, "ambiguous", rows, others[rows].argmax(1), classes)


def _rows(evidence: Evidence, kind: str, rows: NDArray[np.int64], likely: Classes, classes: list[str]) -> pl.DataFrame:
    """The evidence for the given rows, in their order."""
    names, label = np.array(classes), evidence.label[rows]
    p_NK, vote_NK, has_neighbors = evidence.p_NK[rows], evidence.vote_NK[rows], evidence.has_neighbors_N[rows]
    return pl.DataFrame(
        {
            "sample_id": evidence.sample_id[rows],
            "kind": pl.repeat(kind, len(rows), eager=True),
            "rank": np.arange(1, len(rows) + 1),
            "label": names[label].tolist(),
            "likely": names[likely].tolist(),
            "score": evidence.score[rows],
            "self_confidence": _at(p_NK, label),
            "likely_confidence": _at(p_NK, likely),
            "neighbor_share": _where(has_neighbors, _at(vote_NK, label)),
            "likely_neighbor_share": _where(has_neighbors, _at(vote_NK, likely)),
        },
        schema_overrides={"label": pl.String, "likely": pl.String},
    )


def _at(values_NK: Matrix, classes: Classes) -> Matrix:
    """The value of the given class in each row [N]."""
    return np.asarray(np.take_along_axis(values_NK, classes[:, None], 1)[:, 0])


def _where(valid: NDArray[np.bool_], values: Matrix) -> pl.Series:
    """The values, null where they are not valid."""
    return pl.Series(values, dtype=pl.Float64).set(pl.Series(~valid), None)


def _rows_of(lists: pl.Series, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions in the ascending `ids` of lists of ids, as a matrix padded with -1."""
    width = int(or_zero(lists.list.len().max()))
    if not width:
        return np.empty((len(lists), 0), np.int64)
    padded = lists.fill_null([]).list.concat(pl.Series([[-1] * width])).list.head(width)
    values = padded.explode().to_numpy().reshape(len(lists), width)
    return np.where(values >= 0, np.searchsorted(ids, values), -1)


def _weight_above(score: Matrix, weight: Matrix, at: Matrix) -> Matrix:
    """Sum of the weights whose score is at least each value of `at`."""
    order = np.argsort(score)
    below = np.concatenate([[0.0], weight[order].cumsum()])
    return np.asarray(below[-1] - below[np.searchsorted(score[order], at)])
