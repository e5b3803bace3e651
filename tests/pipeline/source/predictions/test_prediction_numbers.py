"""What numbers of predictions mean is decided over the whole table: taken and said, asked, or refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lake.errors import UserError
from pipeline.config.dataset import PredictionSettings
from pipeline.pixels.decode import Unusable
from pipeline.source.predictions.number_sums import LEAST
from pipeline.source.predictions.prediction_numbers import Converted, to_logits

CLASSES = ["cat", "dog", "ship"]
LOGITS, NORMALIZE, POSITIVE = "predictions.logits", "predictions.normalize", "predictions.positive"
Floats = NDArray[np.float64]


def convert(numbers: Any, classes: list[str] = CLASSES, positive: str | None = None, **said: Any) -> Converted:
    return to_logits(np.asarray(numbers, np.float32), PredictionSettings(**said), classes, positive=positive)


def draw_logits(
    rows: int = 500, classes: int = 3, signal: float = 3, seed: int = 0
) -> tuple[Floats, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, rows)
    return rng.normal(0, 1.3, (rows, classes)) + signal * rng.random((rows, 1)) * np.eye(classes)[true], true


def softmax(logits: Any) -> Floats:
    p = np.exp(np.asarray(logits, np.float64))
    return np.asarray(p / p.sum(1, keepdims=True))


def sigmoid(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)))


def asked(converted: Converted) -> list[tuple[str, Any]]:
    return [(doubt.setting, doubt.suggestion) for doubt in converted.notes.doubts]


# --- taken and said


@pytest.mark.parametrize("precision", [np.float32, np.float16])
def test_probabilities_are_taken_without_a_word_in_either_precision(precision: type) -> None:
    p = softmax(draw_logits()[0])
    found = convert(p.astype(precision))
    assert not found.refused and not found.notes.doubts and not found.notes.remarks
    assert np.allclose(softmax(found.logits_NK), p, atol=2e-3)


def test_probabilities_in_bfloat16_are_taken() -> None:
    p = softmax(draw_logits()[0]).astype(np.float32)
    cut = (p.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32) * np.float32(1)
    assert np.abs(cut.sum(1) - 1).max() > 1e-3
    found = convert(cut)
    assert not found.refused and not found.notes.doubts


@pytest.mark.parametrize(("classes", "decimals"), [(20, 2), (3, 1), (100, 3), (10, 2)])
def test_rounded_probabilities_are_all_kept_and_divided_by_their_sum(classes: int, decimals: int) -> None:
    p = softmax(draw_logits(2000, classes, signal=8)[0]).round(decimals)
    assert (np.abs(p.sum(1) - 1) > 1e-2).any() or decimals == 3
    found = convert(p, [f"c{k}" for k in range(classes)])
    assert not found.refused and not found.notes.doubts
    (remark,) = found.notes.remarks
    assert f"rounded to {decimals} decimals" in remark
    assert (found.logits_NK.argmax(1) == p.argmax(1)).all()
    assert np.allclose(softmax(found.logits_NK).sum(1), 1)


@pytest.mark.parametrize("decimals", [None, 0, 1])
def test_percentages_are_divided_by_100_even_if_they_are_rounded(decimals: int | None) -> None:
    percent = softmax(draw_logits()[0]) * 100
    found = convert(percent if decimals is None else percent.round(decimals))
    assert not found.refused and not found.notes.doubts
    assert "percentages" in found.notes.remarks[0]
    assert len(found.notes.remarks) == (1 if decimals is None else 2)
    assert np.allclose(softmax(found.logits_NK) * 100, percent, atol=2)


def test_log_probabilities_are_themselves_even_where_a_probability_was_0() -> None:
    p = softmax(draw_logits()[0])
    p[4] = [1, 0, 0]
    with np.errstate(divide="ignore"):
        found = convert(np.log(p))
    assert not found.refused and not found.notes.doubts
    assert "logarithms" in found.notes.remarks[0]
    assert np.allclose(softmax(found.logits_NK), p, atol=1e-6)
    assert found.logits_NK[4, 1] == pytest.approx(np.log(LEAST))


def test_one_hot_predictions_are_taken_with_what_they_cannot_tell() -> None:
    found = convert(np.eye(3)[draw_logits()[1]])
    assert not found.refused and not found.notes.doubts
    assert "calibration mean nothing" in found.notes.remarks[0]


def test_a_probability_of_zero_costs_a_finite_loss() -> None:
    found = convert([[1.0, 0.0]] * 3 + [[0.25, 0.75]], ["a", "b"])
    assert found.logits_NK[0] == pytest.approx([0, np.log(LEAST)])


def test_a_few_rows_unlike_the_others_are_refused_with_the_reason_of_each() -> None:
    p = softmax(draw_logits(1000)[0])
    p[3], p[5], p[7], p[9] = [0.2, 0.3, 0.4], [-0.1, 0.6, 0.5], [0, 0, 0], [0.2, np.nan, 0.8]
    settings = PredictionSettings()
    found = to_logits(p.astype(np.float32), settings, CLASSES, refused={1: Unusable("prediction missing")})
    assert {row: (why.reason, why.detail) for row, why in found.refused.items()} == {
        1: ("prediction missing", ""),
        3: ("unusable prediction", "not probabilities: they add up to 0.9"),
        5: ("unusable prediction", "not probabilities: one is below 0"),
        7: ("unusable prediction", "all numbers are 0"),
        9: ("unusable prediction", "a number is missing or not finite"),
    }
    assert not found.notes.doubts


# --- asked


def test_logits_are_asked_about_with_the_share_and_an_example() -> None:
    logits, _ = draw_logits()
    found = convert(logits)
    assert asked(found) == [(LOGITS, True)]
    assert "100 % of 500 rows" in found.notes.doubts[0].sentence and "row 1: " in found.notes.doubts[0].sentence
    said = convert(logits, logits=True)
    assert not said.notes.doubts and not said.notes.remarks and not said.refused
    assert np.allclose(softmax(said.logits_NK), softmax(logits), atol=1e-6)
    assert (said.logits_NK == found.logits_NK).all()


@pytest.mark.parametrize("said", [None, False])
def test_sigmoids_are_asked_about_and_all_kept_if_divided_by_their_sum(said: bool | None) -> None:
    logits, _ = draw_logits(6000, 2, signal=6)
    p = sigmoid(logits)
    assert 0 < (np.abs(p.sum(1) - 1) < 0.01).sum() < 3000
    found = convert(p, ["a", "b"], logits=said)
    assert asked(found) == [(NORMALIZE, True)]
    assert "sigmoids" in found.notes.doubts[0].sentence and "by chance" in found.notes.doubts[0].sentence
    kept = convert(p, ["a", "b"], logits=said, normalize=True)
    assert not kept.refused and not kept.notes.doubts
    assert (kept.logits_NK.argmax(1) == p.astype(np.float32).argmax(1)).all()


def test_sigmoids_rounded_to_two_decimals_are_no_rounded_probabilities() -> None:
    p = sigmoid(draw_logits(1000, 100, signal=4)[0] - 4.5).round(2)
    assert asked(convert(p, [f"c{k}" for k in range(100)])) == [(NORMALIZE, True)]


def test_sums_around_1_that_no_rounding_explains_are_asked_about() -> None:
    rng = np.random.default_rng(0)
    off = (softmax(draw_logits()[0]) * rng.uniform(0.93, 1.06, (500, 1))).astype(np.float16)
    found = convert(off)
    assert asked(found) == [(NORMALIZE, True)] and "0.93" in found.notes.doubts[0].sentence
    assert "though nearly" in found.notes.doubts[0].sentence


def test_rounding_that_changes_no_sum_is_not_worth_a_remark() -> None:
    assert not convert(softmax(draw_logits()[0]).round(4)).notes.remarks


def test_votes_are_asked_about_with_their_sum() -> None:
    votes = np.random.default_rng(0).multinomial(500, [0.5, 0.3, 0.2], 200)
    found = convert(votes)
    assert asked(found) == [(NORMALIZE, True)] and "but to 500, as counts or votes do" in found.notes.doubts[0].sentence
    assert np.allclose(softmax(convert(votes, normalize=True).logits_NK), votes / 500)


def test_positive_scores_may_be_either_and_the_question_says_so() -> None:
    found = convert(np.random.default_rng(0).uniform(1, 30, (200, 3)))
    assert asked(found) == [(NORMALIZE, True)] and "logits = true" in found.notes.doubts[0].sentence


# --- contradictions


@pytest.mark.parametrize("scale", [1, 100])
def test_probabilities_that_are_said_to_be_logits_are_refused(scale: int) -> None:
    with pytest.raises(UserError, match=r"logits = true, but .* 500 of 500 rows, as row 1: .* set logits = false"):
        convert(softmax(draw_logits()[0]) * scale, logits=True)


def test_logits_said_of_numbers_between_0_and_1_are_believed_with_a_remark() -> None:
    similarities = np.random.default_rng(0).uniform(0.1, 0.35, (300, 3))
    found = convert(similarities, logits=True)
    assert not found.notes.doubts and "hardly differ" in found.notes.remarks[0]


def test_two_kinds_of_numbers_in_a_table_are_refused_whatever_is_said() -> None:
    logits, _ = draw_logits()
    mixed = np.where(np.arange(500)[:, None] < 120, softmax(logits), logits)
    for said in (None, True):
        with pytest.raises(UserError, match=r"mix two kinds .* 120 of 500 rows .* row 1: .* below 0"):
            convert(mixed, logits=said)
    with pytest.raises(UserError, match=r"of 500 rows have unusable predictions.*below 0.*or set logits = true"):
        convert(mixed, logits=False)


def test_logits_that_are_said_to_be_none_are_refused_with_reason_example_and_setting() -> None:
    with pytest.raises(
        UserError, match=r"of 500 rows have unusable .* as row 1 \(not probab.*below 0\).*logits = true"
    ):
        convert(draw_logits(signal=0)[0], logits=False)
    with pytest.raises(UserError, match=r"normalize = true, but .* below 0, as in row 1: .* set logits = true"):
        convert(draw_logits()[0], normalize=True)
    with pytest.raises(UserError, match="contradict"):
        convert(draw_logits()[0], normalize=True, logits=True)


def test_sums_that_are_off_are_refused_one_by_one_if_nothing_may_be_divided() -> None:
    p = softmax(draw_logits()[0])
    p[:100] *= 0.5
    found = convert(p, normalize=False)
    assert sorted(found.refused) == list(range(100)) and found.refused[0].detail.endswith("they add up to 0.5")
    p[:300] = 0.6 * softmax(draw_logits()[0])[:300]
    with pytest.raises(UserError, match=r"300 of 500 rows .*\(300 times\) as row 1 .*normalize = true"):
        convert(p, normalize=False)


def test_rows_without_a_prediction_do_not_count_as_unusable() -> None:
    p = softmax(draw_logits()[0]).astype(np.float32)
    without = {row: Unusable("prediction missing") for row in range(400)}
    p[:400] = np.nan
    assert len(to_logits(p, PredictionSettings(), CLASSES, refused=without).refused) == 400


def test_rows_of_the_likeliest_classes_alone_are_refused_without_a_setting_that_would_not_help() -> None:
    p = softmax(draw_logits()[0]).astype(np.float32)
    p[p < np.sort(p, axis=1)[:, -2:-1]] = np.nan
    with pytest.raises(UserError, match=r"store the numbers of all classes in every row, .* the likeliest\.$"):
        to_logits(p, PredictionSettings(), CLASSES)


# --- one number per row


def test_one_probability_per_row_belongs_to_the_class_that_is_named() -> None:
    p = sigmoid(draw_logits(200, 1)[0])
    for positive, column in (("pos", 1), ("neg", 0)):
        for found in (
            convert(p, ["neg", "pos"], positive=positive),
            to_logits(p.astype(np.float32), PredictionSettings(positive=positive), ["neg", "pos"]),
        ):
            assert not found.notes.doubts and not found.refused
            assert np.allclose(softmax(found.logits_NK)[:, column], p[:, 0], atol=1e-6)


def test_whose_probability_it_is_is_asked_if_nothing_says_it() -> None:
    found = convert(sigmoid(draw_logits(200, 1)[0]), ["neg", "pos"])
    assert asked(found) == [(POSITIVE, "pos")] and "'neg' or of 'pos'" in found.notes.doubts[0].sentence


def test_one_logit_or_percentage_per_row_is_recognised() -> None:
    logits = draw_logits(200, 1)[0]
    found = convert(logits, ["neg", "pos"], positive="pos")
    assert asked(found) == [(LOGITS, True)]
    said = convert(logits, ["neg", "pos"], positive="pos", logits=True)
    assert np.allclose(softmax(said.logits_NK)[:, 1], sigmoid(logits)[:, 0], atol=1e-6)
    percent = convert(100 * sigmoid(logits), ["neg", "pos"], positive="pos")
    assert not percent.notes.doubts and "percentages" in percent.notes.remarks[0]
    assert np.allclose(softmax(percent.logits_NK)[:, 1], sigmoid(logits)[:, 0], atol=1e-6)


def test_one_number_per_row_is_refused_where_it_cannot_be_right() -> None:
    p = sigmoid(draw_logits(200, 1)[0])
    with pytest.raises(UserError, match="there are 3: bring one number for each class"):
        convert(p, CLASSES)
    with pytest.raises(UserError, match="positive = 'Pos' is none of the classes 'neg' and 'pos'"):
        to_logits(p, PredictionSettings(positive="Pos"), ["neg", "pos"])
    with pytest.raises(UserError, match="logits = true, but all 200 predictions lie between 0 and 1"):
        convert(p, ["neg", "pos"], positive="pos", logits=True)
    with pytest.raises(UserError, match="of 200 rows have unusable predictions"):
        convert(draw_logits(200, 1)[0] - 2, ["neg", "pos"], positive="pos", logits=False)


# --- whatever comes


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 4).flatmap(lambda k: st.lists(st.lists(st.floats(width=32), min_size=k, max_size=k), max_size=9)),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, True, False]),
)
def test_whatever_the_numbers_each_row_is_finite_or_refused(rows: Any, logits: Any, normalize: Any) -> None:
    width = len(rows[0]) if rows else 2
    said = PredictionSettings(logits=logits, normalize=normalize)
    try:
        found = to_logits(np.array(rows, np.float32).reshape(len(rows), width), said, ["a", "b"])
    except UserError:
        return
    usable = [i for i in range(len(rows)) if i not in found.refused]
    kept = found.logits_NK[usable].astype(np.float64)
    p = softmax((kept - kept.max(1, keepdims=True)).clip(-700))
    assert np.isfinite(found.logits_NK).all() and p.sum(1) == pytest.approx(np.ones(len(usable)))
