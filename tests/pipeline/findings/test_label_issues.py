"""Label issues: planted flips come first, clean labels and chance stay silent, evidence is computed by hand."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.checks.label_issues import area_under_curve, check_label_issues, flip
from pipeline.findings.label_issues import Evidence, find_label_issues, gather_evidence
from tests.support.data.scalars import mean
from tests.support.lakes.staged import staged
from tests.support.lakes.tiny_data import CLASSES as TINY

CLASSES = ["a", "b", "c", "d"]
NO_DYNAMICS = pl.DataFrame(schema={"sample_id": pl.Int64, "aum": pl.Float64})


def drawn(n: int = 2000, *, sure: float = 4.0, seed: int = 0) -> tuple[Evidence, np.ndarray]:
    """Samples whose labels are drawn from honest probabilities, with ten neighbours of mostly their class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n)
    logits = rng.normal(0, 1, (n, 4)) + sure * np.eye(4)[truth]
    p_NK = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    label = (p_NK.cumsum(1) > rng.random((n, 1))).argmax(1)
    alike = [rng.permutation(np.flatnonzero(truth == k)) for k in range(4)]
    near = np.stack([rng.choice(alike[k], 10) for k in truth])
    return Evidence(np.arange(n) * 2, label, p_NK, near, label.copy(), np.arange(n)), label


def test_flipped_labels_come_first_with_their_true_class() -> None:
    evidence, label = drawn(sure=9)
    rows = np.random.default_rng(1).choice(len(label), 60, replace=False)
    planted = evidence.relabelled(flip(label, rows, 4, None, np.random.default_rng(2)))
    found = find_label_issues(planted, NO_DYNAMICS, CLASSES).filter(kind="label")
    first = found.head(50)
    hit = np.isin(first["sample_id"].to_numpy() // 2, rows)
    assert hit.mean() > 0.9
    true_class = [CLASSES[label[i // 2]] for i in first["sample_id"].to_numpy()[hit]]
    assert (first["likely"].to_numpy()[hit] == np.array(true_class)).mean() > 0.95
    assert found["rank"].to_list() == list(range(1, len(found) + 1))
    assert found["score"].is_sorted(descending=True)


def test_where_labels_follow_the_probabilities_no_precision_is_promised() -> None:
    """Honest labels contradict the model now and then; the list may name them, but says they are chance."""
    promised: list[float] = []
    for seed in range(10):
        evidence, _ = drawn(6000, sure=3, seed=seed)
        found = find_label_issues(evidence, NO_DYNAMICS, CLASSES).filter(kind="label")
        promised.append(mean(found["expected_precision"].tail(len(found) // 2)))
    assert np.mean(promised) < 0.1


def test_the_promised_precision_is_about_what_is_measured() -> None:
    evidence, label = drawn(6000, sure=6)
    rows = np.random.default_rng(3).choice(len(label), 300, replace=False)
    planted = evidence.relabelled(flip(label, rows, 4, None, np.random.default_rng(4)))
    found = find_label_issues(planted, NO_DYNAMICS, CLASSES).filter(kind="label")
    hit = np.isin(found["sample_id"].to_numpy() // 2, rows)
    assert found["expected_precision"][-1] == pytest.approx(hit.mean(), abs=0.1)


def test_clean_and_sure_samples_are_not_listed() -> None:
    evidence, _ = drawn(sure=30)
    assert find_label_issues(evidence, NO_DYNAMICS, CLASSES).is_empty()


def test_evidence_is_counted_as_by_hand() -> None:
    p_NK = np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.05, 0.9, 0.05], [0.45, 0.5, 0.05]])
    label = np.array([0, 1, 0, 0])
    given = np.array([0, 1, 0, 0, 1, -1])
    near = np.array([[4, 5], [4, -1], [1, 4], [0, 4]])
    evidence = Evidence(np.array([10, 20, 30, 40]), label, p_NK, near, given, np.arange(4))
    assert evidence.vote_NK.tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 0], [0.5, 0.5, 0]]
    assert evidence.score == pytest.approx([0.525 - 0.45, 0.05 - 0.9, 0.95 - 0.025, 0.5 - 0.475])
    assert evidence.confident_class.tolist() == [
        0,
        1,
        1,
        -1,
    ]  # thresholds: mean 0.47 of those given 0, 0.8 of those given 1
    by_chance = [
        0.05 + 0.05,
        0.05 + 0.1 + 0.1 + 0.05 + 0.05,
    ]  # of what contradicts what is said, as far ahead as 0.925 and 0.075
    assert evidence.expected_precision(np.array([2, 0])) == pytest.approx([1 - by_chance[0], 1 - by_chance[1] / 2])
    found = find_label_issues(evidence, pl.DataFrame({"sample_id": [30], "aum": [-1.5]}), ["a", "b", "c"])
    assert found.filter(kind="label").select("sample_id", "label", "likely", "aum").rows() == [(30, "a", "b", -1.5)]
    assert set(found.filter(kind="ambiguous")["sample_id"]) == {10, 40}
    assert found.filter(kind="ambiguous")["expected_precision"].null_count() == 2


def test_of_the_ambiguous_the_most_even_comes_first_whichever_class_is_ahead() -> None:
    p_NK = np.array([[0.65, 0.35], [0.52, 0.48], [0.55, 0.45], [0.49, 0.51]])
    label, nobody = np.zeros(4, int), np.empty((4, 0), int)
    evidence = Evidence(np.array([10, 20, 30, 40]), label, p_NK, nobody, label, np.arange(4))
    found = find_label_issues(evidence, NO_DYNAMICS, ["a", "b"])
    assert found.select("kind", "sample_id").rows() == [("ambiguous", i) for i in (40, 20, 30, 10)]


def test_only_labels_the_model_was_not_trained_on_are_judged() -> None:
    run, samples = staged()
    evidence = gather_evidence(run, run.frames["neighbors"], TINY)
    assert evidence.sample_id.tolist() == samples["sample_id"].to_list()
    row = samples.row(5, named=True)
    near = (
        run.frames["neighbors"]
        .filter(sample_id=row["sample_id"])
        .join(run.frames["samples"], left_on="neighbor_id", right_on="sample_id")
    )
    labels = near["label"].drop_nulls()
    expected = [(labels == name).sum() / len(labels) for name in TINY]
    assert evidence.vote_NK[5].tolist() == pytest.approx(expected)


def test_confused_cats_of_the_tiny_lake_are_listed_as_dogs() -> None:
    run, _ = staged()
    found = find_label_issues(gather_evidence(run, run.frames["neighbors"], TINY), NO_DYNAMICS, TINY)
    issues = found.filter(kind="label")
    assert set(issues["label"]) == {"cat"} and set(issues["likely"]) == {"dog"}


# --- proofs


def test_the_area_under_the_curve_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 6, 200).astype(float), rng.random(200) < 0.2
    assert area_under_curve(score, positive) == pytest.approx(roc_auc_score(positive, score))


def test_flips_change_every_chosen_label_and_no_other() -> None:
    label, rng = np.arange(40) % 4, np.random.default_rng(0)
    rows = np.array([3, 8, 21])
    any_class = flip(label, rows, 4, None, rng)
    assert (any_class[rows] != label[rows]).all() and (np.delete(any_class, rows) == np.delete(label, rows)).all()
    pair = flip(label, np.array([0, 1, 4]), 4, (0, 1), rng)
    assert pair[[0, 1, 4]].tolist() == [1, 0, 1]


def test_planted_flips_are_found_where_the_evidence_is_good_and_not_where_it_is_noise() -> None:
    good = {r["proof"]: r for r in check_label_issues(drawn(3000, sure=8)[0], CLASSES, seed=0).iter_rows(named=True)}
    assert all(row["holds"] for row in good.values()), good
    assert good["AUROC, uniform"]["low"] <= good["AUROC, uniform"]["value"] <= good["AUROC, uniform"]["high"]
    noise, label = drawn(3000, sure=0)
    random = Evidence(noise.sample_id, label, np.full((3000, 4), 0.25), noise.near_NR, noise.neighbor_label, noise.own)
    bad = {r["proof"]: r for r in check_label_issues(random, CLASSES, seed=0).iter_rows(named=True)}
    assert not bad["AUROC, uniform"]["holds"] and not bad["precision, uniform"]["holds"]


def test_where_no_two_classes_are_mistaken_for_each_other_none_are_flipped_to_each_other() -> None:
    evidence, label = drawn(600)
    perfect = Evidence(
        evidence.sample_id, label, np.eye(4)[label], evidence.near_NR, evidence.neighbor_label, evidence.own
    )
    proofs = check_label_issues(perfect, CLASSES, seed=0)["proof"].to_list()
    assert proofs == ["AUROC, uniform", "precision, uniform", "recall, uniform"]
