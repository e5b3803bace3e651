"""Loss maps: equal to the closed form, to finite differences, signed, and the same bytes twice."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pipeline.data.dataset import Dataset
from pipeline.engine.batch_map import Batch
from pipeline.loss_maps.hirescam import ExplainedModel, Explainer, choose_maps
from pipeline.measure.score import Scorer
from pipeline.model.classifier import load_checkpoint, normalize, resize
from tests.support.data.drawn import CLASSES, drawn_dataset

TEMPERATURE = 1.6


@pytest.fixture(scope="module")
def model(drawn_folder: Path) -> Any:
    """The classifier trained on the drawn dataset."""
    (checkpoint,) = (drawn_folder / "work").glob("train-*/model.safetensors")
    return load_checkpoint(checkpoint, classes=CLASSES, dataset_id=drawn_dataset().dataset_id)[0]


@pytest.fixture(scope="module")
def batch() -> Batch:
    dataset = drawn_dataset(24)
    return {"sample_id": dataset.sample_id, "images_NHWC": dataset.images_NHWC, "target": np.arange(24) % 4}


@pytest.fixture(scope="module")
def maps(model: Any, batch: Batch) -> Batch:
    return Explainer(model, 32, TEMPERATURE)(batch)


def activations(model: Any, batch: Batch) -> dict[str, torch.Tensor]:
    """Output of layer3 and of layer4 as the explained model sees them."""
    layers = ["layer3", "layer4"]
    seen: dict[str, torch.Tensor] = {}
    explained = ExplainedModel(model, layers)
    for n, output in zip(layers, explained.outputs, strict=True):
        output.register_forward_hook(lambda _m, _i, o, n=n: seen.__setitem__(n, o.detach()))
    explained(normalize(torch.from_numpy(batch["images_NHWC"])))
    return seen


def test_maps_have_one_signed_value_a_cell(maps: Batch) -> None:
    assert maps["layer3"].shape == (24, 8, 8) and maps["layer4"].shape == (24, 4, 4)
    assert maps["layer4"].min() < 0 < maps["layer4"].max()


def test_at_the_last_layer_the_map_equals_its_closed_form(model: Any, batch: Batch, maps: Batch) -> None:
    a_NCHW = activations(model, batch)["layer4"]
    with torch.no_grad():
        p_NK = (model.forward_head(a_NCHW) / TEMPERATURE).softmax(1)
    target = torch.from_numpy(batch["target"])
    error_NK = p_NK - functional.one_hot(target, 4)
    expected = torch.einsum("nk,kc,nchw->nhw", error_NK, model.fc.weight.detach(), a_NCHW) / (16 * TEMPERATURE)
    scale = expected.abs().amax((1, 2), keepdim=True)
    assert ((torch.from_numpy(maps["layer4"]) - expected).abs() / scale).max() <= 1e-4


def test_a_cell_equals_the_finite_difference_of_the_loss(model: Any, batch: Batch, maps: Batch) -> None:
    a_NCHW = activations(model, batch)["layer3"].double()
    head = model.double()
    target = torch.from_numpy(batch["target"])

    def loss(scale: float, row: int, column: int) -> torch.Tensor:
        changed = a_NCHW.clone()
        changed[:, :, row, column] *= scale
        with torch.no_grad():
            logits = head.forward_head(head.layer4(changed))
            return functional.cross_entropy(logits / TEMPERATURE, target, reduction="none")

    try:
        step = 1e-3
        for row, column in ((2, 3), (5, 6)):
            slope = (loss(1 + step, row, column) - loss(1 - step, row, column)) / (2 * step)
            cell = torch.from_numpy(maps["layer3"][:, row, column]).double()
            large = cell.abs() > cell.abs().median()
            assert ((slope - cell).abs() / cell.abs())[large].median() <= 0.05
    finally:
        model.float()


def test_the_same_input_gives_the_same_bytes(model: Any, batch: Batch, maps: Batch) -> None:
    again = Explainer(model, 32, TEMPERATURE)(batch)
    assert again["layer3"].tobytes() == maps["layer3"].tobytes()
    assert again["layer4"].tobytes() == maps["layer4"].tobytes()


def test_a_map_depends_on_no_other_sample_of_the_batch(model: Any, batch: Batch, maps: Batch) -> None:
    alone = Explainer(model, 32, TEMPERATURE)({key: values[3:4] for key, values in batch.items()})
    assert np.allclose(alone["layer4"][0], maps["layer4"][3], rtol=0.05, atol=1e-3)


def test_images_are_scored_and_explained_at_the_asked_resolution(model: Any, batch: Batch) -> None:
    small = batch | {"images_NHWC": resize(torch.from_numpy(batch["images_NHWC"]), 16).numpy()}
    shown, expected = Explainer(model, 16, TEMPERATURE)(batch), Explainer(model, 16, TEMPERATURE)(small)
    assert shown["layer3"].shape == (24, 4, 4) and shown["layer4"].shape == (24, 2, 2)
    assert (shown["layer4"] == expected["layer4"]).all()
    assert (Scorer(model, 16)(batch)["logits"] == Scorer(model, 16)(small)["logits"]).all()
    assert (Scorer(model, 16)(batch)["logits"] != Scorer(model, 32)(batch)["logits"]).any()


def test_resizing_averages_over_area() -> None:
    stripes = (torch.arange(32) % 2 * 200).to(torch.uint8).reshape(1, 1, 32, 1).expand(1, 32, 32, 3)
    assert resize(stripes, 32) is stripes
    assert resize(stripes, 16)[:, :, 1:-1].unique().tolist() == [100]


def test_the_map_of_a_margin_is_the_difference_of_the_maps_of_two_losses(model: Any, batch: Batch) -> None:
    """log p_a - log p_b is the loss of b less that of a, and a map is linear in what it explains."""
    explainer = Explainer(model, 32, TEMPERATURE)
    target, behind = batch["target"], (batch["target"] + 1) % 4
    margin = explainer(batch | {"behind": behind})
    own, other = (explainer(batch | {"target": classes}) for classes in (target, behind))
    for layer in ("layer3", "layer4"):
        scale = np.abs(margin[layer]).max()
        assert np.abs(margin[layer] - (other[layer] - own[layer])).max() <= 1e-4 * scale


# --- which maps are computed


def predictions(
    dataset: Dataset, rows: NDArray[np.int64], predicted: NDArray[np.int64], *, fold: int | None = None
) -> pl.DataFrame:
    """Rows of the table `predictions` where class `predicted` has 0.7."""
    probabilities = np.full((len(rows), 4), 0.1)
    probabilities[np.arange(len(rows)), predicted] = 0.7
    label = dataset.label[rows]
    correct = pl.Series(label == predicted).set(pl.Series(label < 0), None)
    return pl.DataFrame(
        {
            "sample_id": dataset.sample_id[rows],
            "predicted": [CLASSES[i] for i in predicted],
            "probabilities": pl.Series(probabilities.astype(np.float32)).cast(pl.List(pl.Float32)),
            "correct": correct,
            "fold": pl.Series([fold] * len(rows), dtype=pl.Int64),
            "temperature": 1.5,
        }
    )


def test_held_out_samples_explain_their_label_and_contradicted_ones_their_prediction_too() -> None:
    dataset = drawn_dataset(400)
    test, unlabeled, train = (dataset.rows(split)[:2] for split in ("test", "unlabeled", "train"))
    rows = np.sort(np.concatenate([test, unlabeled, train]))
    predicted = np.where(dataset.label[rows] >= 0, dataset.label[rows], 2)
    wrong = [int(np.flatnonzero(rows == part[0])[0]) for part in (test, train)]  # the first of each split is wrong
    predicted[wrong] = (predicted[wrong] + 1) % 4
    chosen = choose_maps(dataset, predictions(dataset, rows, predicted))
    found = {row: set(part["target"]) for (row,), part in chosen.group_by("row")}
    label = dataset.label
    for first, second in (test, train):
        assert found[first] == {label[first], (label[first] + 1) % 4}
        assert (second in found) == (second in test)
    assert found[test[1]] == {label[test[1]]}
    assert [found[row] for row in unlabeled] == [{2}, {2}]
    losses = chosen.filter(row=int(test[0])).sort("loss")["loss"].to_list()
    assert losses == pytest.approx([-np.log(0.7), -np.log(0.1)], abs=1e-6)


def test_each_sample_is_explained_by_the_model_that_scored_it() -> None:
    dataset = drawn_dataset(400)
    rows = dataset.rows("train")[:3]
    chosen = choose_maps(dataset, predictions(dataset, rows, (dataset.label[rows] + 1) % 4, fold=2))
    assert set(chosen["fold"]) == {2} and len(chosen) == 6
