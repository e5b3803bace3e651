"""Predictions are found however a table stores them; what may be something else is asked about, and never invented."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from lake.errors import UserError
from pipeline.config.dataset import PredictionSettings
from pipeline.source.predictions.prediction_columns import PredictionColumn, find_predictions

CLASSES = ["cat", "dog", "ship"]
ROWS = 30
COLUMN = "predictions.column"


def draw(classes: int = 3) -> NDArray[np.float64]:
    return np.random.default_rng(0).dirichlet(np.ones(classes), ROWS)


P = draw()


def find(columns: dict[str, Any], labels: list[str] = CLASSES, **said: Any) -> PredictionColumn:
    frame = pl.DataFrame(
        {
            "name": [f"r{i}" for i in range(ROWS)],
            "label": [labels[i % len(labels)] if labels else None for i in range(ROWS)],
        }
    )
    series = [pl.Series(name, values) for name, values in columns.items()]
    return find_predictions(frame.with_columns(series), PredictionSettings(**said), labels)


def as_lists(p: NDArray[Any], dtype: Any = pl.Float64) -> pl.Series:
    return pl.Series(p.tolist(), dtype=pl.List(dtype))


def wide(names: list[str], p: NDArray[np.float64] = P, *, text: bool = False) -> dict[str, Any]:
    return {name: pl.Series([str(v) for v in p[:, k]] if text else p[:, k]) for k, name in enumerate(names)}


def same(found: PredictionColumn, p: NDArray[np.float64] = P, within: float = 1e-6) -> bool:
    return found.numbers_NK.shape == p.shape and np.allclose(found.numbers_NK, p, atol=within) and not found.refused


# --- lists


@pytest.mark.parametrize(
    "series",
    [
        as_lists(P),
        as_lists(P, pl.Float32),
        pl.Series(P.tolist(), dtype=pl.Array(pl.Float64, 3)),
        pl.Series(P[:, None, :].tolist(), dtype=pl.List(pl.List(pl.Float64))),
        pl.Series([[str(v) for v in row] for row in P], dtype=pl.List(pl.String)),
    ],
    ids=["float64", "float32", "array", "list of one list", "lists of text"],
)
@pytest.mark.parametrize("name", ["probabilities", "softmax", "y_prob", "modelLogits", "resnet_outputs"])
def test_a_column_of_lists_is_found_by_its_name(series: pl.Series, name: str) -> None:
    found = find({name: series, "embedding": as_lists(draw(8)), "bbox": as_lists(draw(4))})
    assert same(found) and found.columns == [name] and found.class_names is None
    told = [f"The predictions are the column {name!r}."] if name != "probabilities" else []
    assert not found.notes.doubts and found.notes.remarks == told


def test_integers_in_lists_are_numbers_too() -> None:
    hard = np.eye(3, dtype=int)[np.arange(ROWS) % 3]
    assert same(find({"probabilities": as_lists(hard, pl.Int64)}), hard)


def test_lists_written_by_pandas_are_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"probs": pa.array(P.tolist(), pa.list_(pa.float64()))}), tmp_path / "p.parquet")
    assert same(find_predictions(pl.read_parquet(tmp_path / "p.parquet"), PredictionSettings(), CLASSES))


def spell(form: str, row: NDArray[np.float64]) -> str:
    numbers = [f"{v:.7f}" for v in row]
    return {
        "json": json.dumps(row.tolist()),
        "blanks": " ".join(numbers),
        "numpy": "[" + "\n ".join(numbers) + "]",
        "tensor": f"tensor([{', '.join(numbers)}], device='cuda:0', dtype=torch.float64)",
        "fastai": f"TensorBase([{', '.join(numbers)}])",
        "numpy 2": "[" + ", ".join(f"np.float32({v})" for v in numbers) + "]",
        "tuple": f"({','.join(numbers)})",
        "semicolons": ";".join(numbers),
        "commas": "; ".join(numbers).replace(".", ","),
        "commas only": " ".join(numbers).replace(".", ","),
        "exponents": " ".join(f"{v:.7e}" for v in row),
        "percent": ", ".join(f"{100 * v:.6f} %" for v in row).replace(" %", "%"),
    }[form]


@pytest.mark.parametrize(
    "form",
    [
        "json",
        "blanks",
        "numpy",
        "tensor",
        "fastai",
        "numpy 2",
        "tuple",
        "semicolons",
        "commas",
        "commas only",
        "exponents",
    ],
)
def test_lists_written_as_text_are_read(form: str) -> None:
    assert same(find({"probs": [spell(form, row) for row in P]}))


def test_lists_of_percentages_as_text_lose_their_signs_only() -> None:
    assert same(find({"probs": [spell("percent", row) for row in P]}), 100 * P, 1e-4)


def test_rows_that_do_not_fit_are_refused_with_the_reason() -> None:
    rows: list[Any] = P.tolist()
    rows[1], rows[2], rows[3] = None, [0.5, 0.5], [0.2, None, 0.8]
    texts: list[Any] = [None if row is None else json.dumps(row).replace("null", "?") for row in rows]
    texts[4], rows[4] = "", None
    for column in (pl.Series(rows, dtype=pl.List(pl.Float64)), pl.Series(texts)):
        found = find({"probs": column})
        assert {row: (why.reason, why.detail) for row, why in found.refused.items()} == {
            1: ("prediction missing", ""),
            2: ("unusable prediction", "2 numbers, others have 3"),
            4: ("prediction missing", ""),
        }
        assert np.isnan(found.numbers_NK[3, 1]) and np.allclose(found.numbers_NK[5:], P[5:])


# --- numbers with names


@pytest.mark.parametrize("form", ["struct", "json", "python", "pairs", "pairs as text"])
def test_numbers_that_are_stored_with_their_class_keep_it(form: str) -> None:
    named = [dict(zip(CLASSES, row.tolist(), strict=True)) for row in P]
    pairs = [[{"label": name, "score": number} for name, number in row.items()] for row in named]
    ranked = [pairs[0], *(sorted(row, key=lambda pair: -float(str(pair["score"]))) for row in pairs[1:])]
    values: dict[str, list[Any]] = {
        "struct": named,
        "json": [json.dumps(row) for row in named],
        "python": [str(row) for row in named],
        "pairs": ranked,
        "pairs as text": [json.dumps(row) for row in ranked],
    }
    found = find({"predictions": pl.Series(values[form])})
    assert same(found) and found.class_names == CLASSES


def test_classes_of_rows_that_are_sorted_by_score_are_in_natural_order_whatever_the_first_row() -> None:
    rows = [{CLASSES[k]: float(row[k]) for k in np.argsort(-row)} for row in P]
    pairs = [[{"label": name, "score": number} for name, number in row.items()] for row in rows]
    for values in ([json.dumps(row) for row in rows], pairs):
        found = find({"predictions": values})
        assert found.class_names == CLASSES and same(found)
    fixed = [{CLASSES[k]: float(row[k]) for k in (2, 0, 1)} for row in P]
    assert find({"predictions": [json.dumps(row) for row in fixed]}).class_names == ["ship", "cat", "dog"]


def test_the_highest_five_of_many_classes_are_gaps_and_no_zeros() -> None:
    pairs = [[{"label": f"c{(i + k) % 9}", "score": 0.2} for k in range(5)] for i in range(ROWS)]
    found = find({"predictions": pl.Series(pairs)}, [f"c{k}" for k in range(9)])
    assert np.isnan(found.numbers_NK).sum() == 4 * ROWS


# --- one column per class


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        ["prob_cat", "prob_dog", "prob_ship"],
        ["Cat_prob", "Dog_prob", "Ship_prob"],
        ["p(cat)", "p(dog)", "p(ship)"],
        ["cat", "dog", "ship"],
        ["score ship", "score cat", "score dog"],
        ["Wahrscheinlichkeit cat", "Wahrscheinlichkeit dog", "Wahrscheinlichkeit ship"],
    ],
    ids=str,
)
def test_columns_named_after_the_classes_are_found_with_their_classes(names: list[str], text: bool) -> None:
    found = find(wide(names, text=text) | {"width": [300] * ROWS, "id": list(range(ROWS))})
    order = [next(label for label in CLASSES if label in name.lower()) for name in names]
    assert same(found) and found.class_names == order and found.columns == names and not found.notes.doubts


@pytest.mark.parametrize(
    "names", [["p_0", "p_1", "p_2"], ["class1_prob", "class2_prob", "class3_prob"], ["0", "1", "2"]], ids=str
)
def test_numbered_columns_are_found_in_the_order_of_their_numbers(names: list[str]) -> None:
    found = find(dict(reversed(list(wide(names).items()))))
    assert same(found) and found.class_names is None and found.columns == names and not found.notes.doubts


def test_probabilities_name_their_classes_where_no_label_does() -> None:
    found = find({**wide(["prob_cat", "prob_dog", "prob_ship"]), "prob_x": ["a"] * ROWS}, [])
    assert found.class_names == CLASSES and same(found)
    with pytest.raises(UserError, match="No predictions were found"):
        find(wide(["time_cat", "time_dog", "time_ship"]), [])
    with pytest.raises(UserError, match="No predictions were found"):
        find(wide(["score_cat", "score_dog", "score_ship"], P + 3), [])


def test_ten_numbered_columns_are_in_natural_order() -> None:
    p, labels = draw(12), [f"kind {k}" for k in range(12)]
    names = [f"prob_{k}" for k in range(12)]
    assert find(dict(sorted(wide(names, p).items())), labels).columns == names


@pytest.mark.parametrize("column", ["prob_", "prob_cat", "prob_dog"])
def test_the_setting_names_the_prefix_or_one_of_the_columns(column: str) -> None:
    columns = wide(["prob_cat", "prob_dog", "prob_ship"]) | {"logits": as_lists(np.log(P))}
    found = find(columns, column=column)
    assert same(found) and found.class_names == CLASSES and not found.notes.doubts and not found.notes.remarks


def test_a_class_without_a_label_has_its_column_too() -> None:
    p = draw(4)
    columns = wide(["prob_cat", "prob_dog", "prob_frog", "prob_ship"], p)
    found = find(columns)
    assert same(found, p) and found.class_names == ["cat", "dog", "frog", "ship"]
    assert any("no label has" in remark for remark in found.notes.remarks)


def test_a_further_number_beside_columns_that_add_up_is_no_class() -> None:
    found = find(wide(["prob_cat", "prob_dog", "prob_ship"]) | {"prob_margin": P.max(1) - P.min(1)})
    assert same(found) and found.class_names == CLASSES


def test_a_class_whose_name_ends_another_is_told_apart() -> None:
    found = find(wide(["p_cat", "p_wildcat", "p_bobcat"]), ["bobcat", "cat", "wildcat"])
    assert same(found) and found.class_names == ["cat", "wildcat", "bobcat"]


def test_classes_in_the_settings_rename_columns_by_position_and_never_reorder_names() -> None:
    columns = wide(["prob_cat", "prob_dog", "prob_ship"])
    assert find(columns, classes=["ship", "dog", "cat"]).class_names == CLASSES
    assert find(columns, classes=["Katze", "Hund", "Schiff"], column="prob_").class_names is None


def test_rows_with_gaps_in_columns_are_missing_or_keep_the_gap() -> None:
    columns = wide(["prob_cat", "prob_dog", "prob_ship"], text=True)
    columns = {name: pl.Series([None, "" if "dog" in name else v[1], *v[2:]]) for name, v in columns.items()}
    found = find(columns)
    assert {row: why.reason for row, why in found.refused.items()} == {0: "prediction missing"}
    assert np.isnan(found.numbers_NK[1]).tolist() == [False, True, False]


# --- what is asked


def test_several_columns_are_asked_about() -> None:
    found = find({"logits": as_lists(np.log(P)), "probs": as_lists(P)})
    (doubt,) = found.notes.doubts
    assert (doubt.setting, doubt.suggestion) == (COLUMN, "probs") and "probs, logits" in doubt.sentence
    assert same(found)


def test_a_column_of_another_name_is_asked_about_if_its_width_fits() -> None:
    (doubt,) = find({"resnet50": as_lists(P), "colours": as_lists(draw(5))}).notes.doubts
    assert (doubt.setting, doubt.suggestion) == (COLUMN, "resnet50")


def test_numbered_columns_of_another_name_are_asked_about_if_there_is_one_for_each_class() -> None:
    found = find(wide(["class1", "class2", "class3"]))
    assert [(doubt.setting, doubt.suggestion) for doubt in found.notes.doubts] == [(COLUMN, "class1")]
    with pytest.raises(UserError, match="No predictions were found"):
        find(wide(["f1", "f2"], draw(2)))


def test_columns_named_as_the_classes_that_hold_only_0_and_1_may_be_labels() -> None:
    found = find(wide(CLASSES, np.eye(3)[np.arange(ROWS) % 3]))
    assert [doubt.setting for doubt in found.notes.doubts] == [COLUMN] and "labels" in found.notes.doubts[0].sentence


# --- what is not recognised


@pytest.mark.parametrize(
    "columns",
    [
        {"embedding": as_lists(draw(3))},
        {"features": as_lists(draw(3))},
        wide(["label_cat", "label_dog", "label_ship"]),
        wide(["emb_0", "emb_1", "emb_2"]),
        wide(["pixel0", "pixel1", "pixel2"]),
        wide([str(k) for k in range(9)], draw(9)),
        {"bbox": as_lists(draw(3))},
        {"date": ["2024-01-02 10:00"] * ROWS},
        {"tags": pl.Series([["a", "b"]] * ROWS)},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_what_is_no_prediction_is_not_taken_for_one(columns: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="No predictions were found in the table, whose columns are name, label, "):
        find(columns)


def test_the_embedding_column_is_no_prediction_whatever_its_name() -> None:
    assert find({"softmax": as_lists(draw(8)), "probs": as_lists(P)}, embedding_column="softmax").columns == ["probs"]


@pytest.mark.parametrize("said", [{}, {"column": "prediction"}])
@pytest.mark.parametrize("kind", ["names", "numbers"])
def test_predicted_classes_alone_are_refused_with_what_is_missing(said: dict[str, Any], kind: str) -> None:
    top = P.argmax(1)
    predicted = [CLASSES[k] for k in top] if kind == "names" else top
    with pytest.raises(UserError, match="'prediction' says only which class is predicted, but all 3 numbers") as caught:
        find({"prediction": predicted}, **said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["names", "numbers"])
def test_a_class_and_its_confidence_come_with_lines_that_convert_them(kind: str, tmp_path: Path) -> None:
    top = P.argmax(1)
    columns = {"prediction": [CLASSES[k] for k in top] if kind == "names" else top, "confidence": P.max(1)}
    with pytest.raises(UserError, match="which is an assumption") as caught:
        find(columns)
    lines = str(caught.value).splitlines()[1:]
    table = pl.DataFrame(columns)
    exec("\n".join(lines).replace("predictions.parquet", str(tmp_path / "p.parquet")), {"pl": pl, "table": table})
    found = find_predictions(
        pl.read_parquet(tmp_path / "p.parquet").select("probabilities"), PredictionSettings(), CLASSES
    )
    assert len(lines) == 3 and (found.numbers_NK.argmax(1) == top).all()
    assert np.allclose(found.numbers_NK.max(1), P.max(1)) and np.allclose(found.numbers_NK.sum(1), 1)


def test_a_confidence_of_two_classes_is_not_taken_for_the_probability_of_one() -> None:
    p = draw(2)
    columns = {"prediction": [["neg", "pos"][k] for k in p.argmax(1)], "prob": p.max(1)}
    with pytest.raises(UserError, match="says only which class is predicted"):
        find(columns, ["neg", "pos"])


@pytest.mark.parametrize("column", ["probz", "label"])
def test_a_setting_that_names_no_predictions_is_refused_with_the_reason(column: str) -> None:
    with pytest.raises(UserError, match=r"has no column 'probz'|says only which class"):
        find({"probs": as_lists(P)}, column=column)


# --- one number per row


@pytest.mark.parametrize(("name", "positive"), [("prob", None), ("y_score", None), ("prob_pos", ["pos"])])
def test_one_number_per_row_is_found_for_two_classes(name: str, positive: list[str] | None) -> None:
    p = draw(2)[:, :1]
    found = find({name: p[:, 0], "width": [300] * ROWS}, ["neg", "pos"])
    assert same(found, p) and found.class_names == positive and not found.notes.doubts


# --- files of arrays


def test_an_array_with_a_row_for_each_row_is_read_in_order(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", P)
    np.savez(tmp_path / "p.npz", probs=P, labels=np.zeros(ROWS), features=draw(8))
    for file in ("p.npy", "p.npz"):
        found = find({}, table=tmp_path / file)
        assert same(found) and "order" in found.notes.remarks[0] and not found.notes.doubts
    assert find({}, table=tmp_path / "p.npz", column="features").numbers_NK.shape == (ROWS, 8)


def test_arrays_that_do_not_fit_are_refused_and_several_that_fit_are_asked_about(tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", P[1:])
    np.savez(tmp_path / "two.npz", train=P, logits=np.log(P))
    np.save(tmp_path / "object.npy", np.array([{"a": 1}] * ROWS), allow_pickle=True)
    with pytest.raises(UserError, match=r"for each of the 30 rows of the table \(one array \[29, 3\]\)"):
        find({}, table=tmp_path / "short.npy")
    with pytest.raises(UserError, match="cannot be read"):
        find({}, table=tmp_path / "object.npy")
    with pytest.raises(UserError, match="none is called 'probs'"):
        find({}, table=tmp_path / "two.npz", column="probs")
    (doubt,) = find({}, table=tmp_path / "two.npz").notes.doubts
    assert (doubt.setting, doubt.suggestion) == (COLUMN, "logits")
