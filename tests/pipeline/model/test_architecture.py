"""Any network of timm's: made for the size of the images, trained, explained where it has cells, saved and loaded."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from lake.errors import UsageError
from pipeline.checks.loss_maps import Subject, _activations, _closed_form, _finite_difference, check_maps
from pipeline.engine.progress import Progress
from pipeline.loss_maps.hirescam import Explainer, choose_maps, compute_loss_maps
from pipeline.measure.score import Scorer
from pipeline.model.architecture import SMALL, Architecture, architecture_of, check, map_layers, small_stem
from pipeline.model.classifier import create_model, forward, load_checkpoint, normalize, save_checkpoint
from pipeline.model.published_model import StoredModel
from pipeline.model.train import create_optimizer
from tests.support.data.drawn import CLASSES, drawn_dataset, tiny_settings

WIDTHS = {
    "resnet10t": 512,
    "test_convnext": 64,
    "test_efficientnet": 256,
    "mobilenetv3_small_050": 1024,
    "test_vit": 64,
}
LAYERS = {
    "resnet10t": ["layer3", "layer4"],
    "test_convnext": ["stages.1", "stages.2"],
    "test_efficientnet": ["blocks.2", "blocks.3"],
    "mobilenetv3_small_050": ["blocks.1", "blocks.3"],
    "test_vit": [],
}
TEMPERATURE = 1.6


def made(name: str, side: int = 32, **options: Any) -> Any:
    """A network of four classes with weights drawn by chance."""
    torch.manual_seed(0)
    return create_model(4, Architecture(name, side, **options)).eval()


def subject_of(model: Any, size: int = 24, side: int = 32) -> Subject:
    """The model on labelled drawn images, as what it is proven on."""
    dataset = drawn_dataset(size)
    label = [CLASSES[i % 4] for i in range(size)]
    samples = pl.DataFrame({"sample_id": dataset.sample_id, "label": label, "predicted": label[::-1]})
    told = samples.with_columns(correct=pl.col("label") == pl.col("predicted"), confidence=0.5)
    return Subject(StoredModel(model, side, TEMPERATURE), CLASSES, told, dataset.images_NHWC)


def parameters(model: Any) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


# --- the default


def test_the_default_model_is_the_one_it_always_was_to_the_bit() -> None:
    torch.manual_seed(3)
    expected = timm.create_model("resnet18", num_classes=4)
    expected.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(expected.conv1.weight, mode="fan_out", nonlinearity="relu")
    expected.maxpool = nn.Identity()
    expected, drawn_after = expected.to(memory_format=torch.channels_last).eval(), torch.rand(5)
    torch.manual_seed(3)
    model = create_model(4).eval()
    assert torch.equal(torch.rand(5), drawn_after)
    assert list(model.state_dict()) == list(expected.state_dict())
    assert torch.equal(parameters(model), parameters(expected))
    images = normalize(torch.from_numpy(drawn_dataset(8).images_NHWC))
    with torch.no_grad():
        assert torch.equal(forward(model, images)[1], forward(expected, images)[1])
        assert torch.equal(model(images), expected(images))


def test_what_muon_learns_of_the_default_model_is_its_convolutions(tmp_path: Path) -> None:
    model = create_model(4)
    inside, others = create_optimizer(model, tiny_settings(tmp_path)).param_groups
    assert [id(p) for p in inside["params"]] == [id(p) for p in model.parameters() if p.ndim == 4]
    assert [id(p) for p in others["params"]] == [id(p) for p in model.parameters() if p.ndim != 4]


# --- others


@pytest.mark.parametrize("name", WIDTHS)
def test_a_network_has_features_logits_and_the_layers_that_have_cells(name: str) -> None:
    model = made(name)
    check(model, [32])
    images = normalize(torch.from_numpy(drawn_dataset(4).images_NHWC))
    with torch.no_grad():
        embedding, logits = forward(model, images)
    assert embedding.shape == (4, WIDTHS[name]) and logits.shape == (4, 4)
    assert embedding.dtype == logits.dtype == torch.float32
    assert map_layers(model) == LAYERS[name]


@pytest.mark.parametrize("name", ["resnet18", "resnet10t", "test_resnet"])
def test_the_stem_of_a_resnet_keeps_the_resolution_of_small_images_only(name: str) -> None:
    small, large = made(name, SMALL), made(name, SMALL + 32)
    conv = small_stem(small)
    assert conv is not None and conv.kernel_size == (3, 3) and conv.stride == (1, 1)
    assert small_stem(large) is None and isinstance(large.maxpool, nn.MaxPool2d)
    shapes = [subject_of(m, 4, side).grids for m, side in ((small, SMALL), (large, SMALL + 32))]
    assert [list(grids.values()) for grids in shapes] == [
        ["16 x 16 cells", "8 x 8 cells"],
        ["6 x 6 cells", "3 x 3 cells"],
    ]


def test_a_network_of_another_kind_is_as_timm_has_it() -> None:
    torch.manual_seed(0)
    expected = timm.create_model("test_convnext", num_classes=4)
    assert torch.equal(parameters(made("test_convnext")), parameters(expected)) and small_stem(made("test_vit")) is None


def test_muon_learns_the_matrices_inside_a_transformer_and_adamw_the_rest(tmp_path: Path) -> None:
    model = made("test_vit")
    names = {id(p): name for name, p in model.named_parameters()}
    inside, others = (
        {names[id(p)] for p in group["params"]}
        for group in create_optimizer(model, tiny_settings(tmp_path)).param_groups
    )
    assert {"patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "blocks.0.mlp.fc1.weight"} <= inside
    assert {"pos_embed", "cls_token", "head.weight", "head.bias", "blocks.0.norm1.weight"} <= others
    assert not inside & others and len(inside | others) == len(names)


def test_images_are_shown_as_the_architecture_says() -> None:
    model = made("test_resnet", mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3))
    images = drawn_dataset(4).images_NHWC
    by_hand = (images / 255 - np.array(model.architecture.mean)) / np.array(model.architecture.std)
    with torch.no_grad():
        _, expected = forward(model, torch.from_numpy(by_hand).float().permute(0, 3, 1, 2))
    logits = Scorer(model, 32)({"sample_id": np.arange(4), "images_NHWC": images})["logits"]
    assert logits == pytest.approx(expected.numpy(), abs=0.02)


# --- maps


@pytest.mark.parametrize(("name", "side"), [("resnet10t", 32), ("regnetx_002", 64)])
def test_where_the_classifier_is_linear_over_the_mean_a_map_equals_its_closed_form(name: str, side: int) -> None:
    subject = subject_of(made(name, side), side=side)
    seen, logits = _activations(subject)
    model: Any = subject.stored.model
    coarse = subject.layers[-1]
    expected, maps = _closed_form(subject, seen[coarse], logits), subject.maps[coarse]
    by_hand = torch.einsum(
        "nk,kc,nchw->nhw",
        (logits / TEMPERATURE).softmax(1) - functional.one_hot(torch.from_numpy(subject.label), 4),
        model.get_classifier().weight.detach(),
        seen[coarse],
    ) / (maps[0].size * TEMPERATURE)
    assert expected is not None
    scale = np.abs(expected).max((1, 2), keepdims=True)
    assert (np.abs(maps - expected) / scale).max() <= 1e-4
    assert (np.abs(maps - by_hand.numpy()) / scale).max() <= 1e-4


@pytest.mark.parametrize("name", ["test_convnext", "test_efficientnet"])
def test_elsewhere_there_is_no_closed_form_and_a_cell_is_the_slope_of_the_loss(name: str) -> None:
    subject = subject_of(made(name))
    seen, logits = _activations(subject)
    assert _closed_form(subject, seen[subject.layers[-1]], logits) is None
    maps = subject.maps
    for layer in subject.layers:
        slope, cell = _finite_difference(subject, layer, seen[layer], maps[layer])
        assert np.abs(cell).max() > 0 and np.abs(slope - cell).max() <= 0.05 * np.abs(cell).max()


def test_a_model_without_cells_has_no_maps_and_no_proofs_of_them(tmp_path: Path) -> None:
    dataset, model = drawn_dataset(80), made("test_vit")
    assert Explainer(model, 32, TEMPERATURE).layers == []
    rows = np.arange(80)
    said = pl.DataFrame(
        {
            "sample_id": rows,
            "temperature": 1.0,
            "probabilities": [[0.25] * 4] * 80,
            "predicted": "bar",
            "fold": pl.Series([None] * 80, dtype=pl.Int64),
            "correct": pl.Series(dataset.label == 0),
        }
    )
    chosen, quiet = choose_maps(dataset, said), Progress(quiet=True)
    assert len(chosen) > 0
    assert compute_loss_maps({0: model}, dataset, chosen, tiny_settings(tmp_path), quiet).is_empty()
    assert check_maps(subject_of(model), pl.LazyFrame(), seed=0, progress=quiet).is_empty()


def test_layers_can_be_named(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, model="test_resnet", loss_map_layers=["layer2"])
    model = create_model(4, architecture_of(settings)).eval()
    maps = subject_of(model, 8).maps
    assert map_layers(model) == ["layer2"] and maps["layer2"].shape == (8, 16, 16)


# --- what cannot be


@pytest.mark.parametrize(
    ("name", "options", "sides", "sentence"),
    [
        ("resnet81", {}, [32], r"model = resnet81: timm has no model with that name; the closest are .*resnet\d+"),
        ("test_vit", {}, [24, 32], r"test_vit cannot process images of 24 px \(.*divisible.*\): choose other sizes"),
        ("deit_tiny_distilled_patch16_224", {}, [32], "has more than one classifier: choose another model"),
        (
            "test_resnet",
            {"layers": ("layer5",)},
            [32],
            r"test_resnet has no layer layer5: try layer\d, layer\d, layer\d",
        ),
        ("test_resnet", {"layers": ("fc",)}, [32], "the output of fc in test_resnet is not a grid of cells"),
    ],
)
def test_what_cannot_be_is_one_sentence(name: str, options: dict[str, Any], sides: list[int], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        check(made(name, **options), sides)
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)


# --- checkpoints


@pytest.mark.parametrize(
    ("name", "side"), [("test_vit", 48), ("test_resnet", 96), ("resnet10t", 32), ("convnext_atto", 32)]
)
def test_a_checkpoint_is_loaded_as_the_network_it_is(tmp_path: Path, name: str, side: int) -> None:
    model, path = made(name, side), tmp_path / "model.safetensors"
    save_checkpoint(model, path, {"classes": CLASSES, "dataset_id": "drawn"})
    loaded, facts = load_checkpoint(path, classes=CLASSES, dataset_id="drawn")
    assert (facts["architecture"], facts["side"], facts["stem"]) == (name, side, "small" if side <= SMALL else "stock")
    images = torch.rand(2, 3, side, side)
    with torch.no_grad():
        assert torch.equal(forward(model, images)[1], forward(loaded, images)[1])
    assert map_layers(loaded) == map_layers(model)


def test_a_checkpoint_from_before_models_had_names_is_a_resnet18_for_small_images(tmp_path: Path) -> None:
    model, path = made("resnet18"), tmp_path / "model.safetensors"
    save_checkpoint(model, path, {})
    facts = '{"architecture": "resnet18", "classes": ["a", "b", "c", "d"], "dataset_id": "old"}'
    with safe_open(path, framework="pt") as file:
        assert "side" in file.metadata()["facts"]
    save_file(load_file(path), path, metadata={"facts": facts})
    loaded, _ = load_checkpoint(path, classes=["a", "b", "c", "d"], dataset_id="old")
    assert torch.equal(parameters(loaded), parameters(model)) and map_layers(loaded) == ["layer3", "layer4"]
