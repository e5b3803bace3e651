"""Loss maps: equal to the closed form, to finite differences, signed, and the same bytes twice."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.explain import ExplainedModel, Explainer
from pipeline.model import load_checkpoint, normalize, resize
from pipeline.score import Scorer
from tests.drawn import CLASSES, drawn_dataset


@pytest.fixture(scope="module")
def model(drawn_folder):
    """The classifier trained on the drawn dataset."""
    (checkpoint,) = (drawn_folder / "work").glob("train-*/model.safetensors")
    return load_checkpoint(checkpoint, classes=CLASSES, dataset_id=drawn_dataset().dataset_id)[0]


@pytest.fixture(scope="module")
def batch():
    dataset = drawn_dataset(24)
    return {"sample_id": dataset.sample_id, "images_NHWC": dataset.images_NHWC, "target": np.arange(24) % 4}


@pytest.fixture(scope="module")
def maps(model, batch):
    return Explainer(model, 32)(batch)


def activations(model, batch):
    """Output of layer3 and of layer4 as the explained model sees them."""
    explained, seen = ExplainedModel(model), {}
    hooks = [
        getattr(explained, n).register_forward_hook(lambda _m, _i, o, n=n: seen.__setitem__(n, o.detach()))
        for n in ("layer3", "layer4")
    ]
    explained(normalize(torch.from_numpy(batch["images_NHWC"])))
    for hook in hooks:
        hook.remove()
    return seen


def test_maps_have_one_signed_value_a_cell(maps):
    assert maps["layer3"].shape == (24, 8, 8) and maps["layer4"].shape == (24, 4, 4)
    assert maps["layer4"].min() < 0 < maps["layer4"].max()


def test_at_the_last_layer_the_map_equals_its_closed_form(model, batch, maps):
    a_NCHW = activations(model, batch)["layer4"]
    with torch.no_grad():
        p_NK = model.forward_head(a_NCHW).softmax(1)
    target = torch.from_numpy(batch["target"])
    error_NK = p_NK - functional.one_hot(target, 4)
    expected = torch.einsum("nk,kc,nchw->nhw", error_NK, model.fc.weight.detach(), a_NCHW) / 16
    scale = expected.abs().amax((1, 2), keepdim=True)
    assert ((torch.from_numpy(maps["layer4"]) - expected).abs() / scale).max() <= 1e-4


def test_a_cell_equals_the_finite_difference_of_the_loss(model, batch, maps):
    a_NCHW = activations(model, batch)["layer3"].double()
    head = model.double()
    target = torch.from_numpy(batch["target"])

    def loss(scale: float, row: int, column: int) -> torch.Tensor:
        changed = a_NCHW.clone()
        changed[:, :, row, column] *= scale
        with torch.no_grad():
            return functional.cross_entropy(head.forward_head(head.layer4(changed)), target, reduction="none")

    try:
        step = 1e-3
        for row, column in ((2, 3), (5, 6)):
            slope = (loss(1 + step, row, column) - loss(1 - step, row, column)) / (2 * step)
            cell = torch.from_numpy(maps["layer3"][:, row, column]).double()
            large = cell.abs() > cell.abs().median()
            assert ((slope - cell).abs() / cell.abs())[large].median() <= 0.05
    finally:
        model.float()


def test_the_same_input_gives_the_same_bytes(model, batch, maps):
    again = Explainer(model, 32)(batch)
    assert again["layer3"].tobytes() == maps["layer3"].tobytes()
    assert again["layer4"].tobytes() == maps["layer4"].tobytes()


def test_a_map_depends_on_no_other_sample_of_the_batch(model, batch, maps):
    alone = Explainer(model, 32)({key: values[3:4] for key, values in batch.items()})
    assert np.allclose(alone["layer4"][0], maps["layer4"][3], rtol=0.05, atol=1e-3)


def test_images_are_scored_and_explained_at_the_asked_resolution(model, batch):
    small = batch | {"images_NHWC": resize(torch.from_numpy(batch["images_NHWC"]), 16).numpy()}
    shown, expected = Explainer(model, 16)(batch), Explainer(model, 16)(small)
    assert shown["layer3"].shape == (24, 4, 4) and shown["layer4"].shape == (24, 2, 2)
    assert (shown["layer4"] == expected["layer4"]).all()
    assert (Scorer(model, 16)(batch)["logits"] == Scorer(model, 16)(small)["logits"]).all()
    assert (Scorer(model, 16)(batch)["logits"] != Scorer(model, 32)(batch)["logits"]).any()


def test_resizing_averages_over_area():
    stripes = (torch.arange(32) % 2 * 200).to(torch.uint8).reshape(1, 1, 32, 1).expand(1, 32, 32, 3)
    assert resize(stripes, 32) is stripes
    assert resize(stripes, 16)[:, :, 1:-1].unique().tolist() == [100]
