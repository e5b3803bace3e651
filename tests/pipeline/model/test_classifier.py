"""The classifier: resolution, stem, device, and checkpoints that are what they say or are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lake.errors import UserError
from pipeline.model.classifier import choose_device, create_model, load_checkpoint, save_checkpoint
from pipeline.model.whitening import whiten_stem
from tests.support.data.drawn import CLASSES

FACTS = {"classes": CLASSES, "dataset_id": "drawn-1", "packages": {"torch": "2"}, "config": {"seed": 0}}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_checkpoint(create_model(4), path, FACTS)
    return path


def load(path: Path, **expected: Any) -> tuple[Any, dict[str, Any]]:
    return load_checkpoint(path, **{"classes": CLASSES, "dataset_id": "drawn-1"} | expected)


def test_a_checkpoint_comes_back_with_its_facts(tmp_path: Path) -> None:
    model, path = create_model(4), tmp_path / "model.safetensors"
    save_checkpoint(model, path, FACTS)
    loaded, facts = load(path)
    assert facts.items() >= FACTS.items()
    pairs = zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_damaged_checkpoint_is_refused(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot be loaded"):
        load(checkpoint)


@pytest.mark.parametrize(
    ("expected", "sentence"),
    [
        ({"dataset_id": "drawn-2"}, r"has dataset_id drawn-1, expected drawn-2: delete it"),
        ({"classes": ["cat", "dog"]}, r"has classes \['bar', .*expected \['cat', 'dog'\]"),
    ],
)
def test_a_checkpoint_of_other_data_is_refused(checkpoint: Path, expected: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load(checkpoint, **expected)


def test_a_checkpoint_whose_weights_are_not_those_of_its_architecture_is_refused(checkpoint: Path) -> None:
    with safe_open(checkpoint, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"]) | {"architecture": "resnet34"}
    save_file(load_file(checkpoint), checkpoint, metadata={"facts": json.dumps(facts)})
    with pytest.raises(UserError, match="cannot be loaded"):
        load(checkpoint)


def test_a_checkpoint_without_facts_is_refused(checkpoint: Path) -> None:
    save_file(load_file(checkpoint), checkpoint)
    with pytest.raises(UserError, match="cannot be loaded"):
        load(checkpoint)


def test_the_classifier_keeps_the_resolution_of_small_images() -> None:
    model = create_model(10)
    x = torch.zeros(1, 3, 32, 32)
    x = model.layer1(model.maxpool(model.act1(model.bn1(model.conv1(x)))))
    sizes = [x.shape[-1]]
    for layer in (model.layer2, model.layer3, model.layer4):
        x = layer(x)
        sizes.append(x.shape[-1])
    assert sizes == [32, 16, 8, 4]


def test_a_whitened_stem_sees_directions_that_do_not_vary_together() -> None:
    torch.manual_seed(0)
    smooth = torch.nn.functional.avg_pool2d(torch.randn(64, 3, 36, 36), 5, stride=1)
    images = (smooth - smooth.mean()) / smooth.std()
    conv = create_model(4).conv1.requires_grad_(requires_grad=False)
    norm = float(conv.weight.norm())
    whiten_stem(conv, images)
    seen = torch.nn.functional.conv2d(images, conv.weight).transpose(0, 1).flatten(1)[:27]
    covariance = torch.cov(seen)
    shared = covariance - torch.diag(covariance.diagonal())
    assert shared.abs().max() < 0.01 * covariance.diagonal().max()
    assert torch.equal(conv.weight[27:54], -conv.weight[:27])
    assert float(conv.weight.norm()) == pytest.approx(norm, rel=0.1)


def test_a_device_that_is_not_there_is_named() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    absent = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(
        UserError, match=rf"device = {absent} is not available on this machine: choose auto or one of .*cpu"
    ):
        choose_device(absent)


def test_published_weights_that_cannot_be_fetched_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    sentence = r"timm's published weights of resnet18 cannot be downloaded \(.*\): .* refresh without --pretrained"
    with pytest.raises(UserError, match=sentence):
        create_model(10, pretrained=True)
