"""A model that was trained elsewhere: read in the order of the dataset's classes, or refused in one sentence."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lake.errors import UsageError, UserError
from pipeline.model.architecture import Architecture, architecture_of
from pipeline.model.classifier import create_model, forward, save_checkpoint
from pipeline.model.external_checkpoint import find_file, hash_file, load_external_model
from pipeline.settings import Settings
from tests.support.data.drawn import CLASSES, tiny_settings

IMAGES = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    return create_model(4, Architecture("test_resnet")).eval()


@pytest.fixture
def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.contiguous() for name, value in model.state_dict().items()}


@pytest.fixture
def file(weights: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    save_file(weights, tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors"


def settings_for(path: Path, **changes: object) -> Settings:
    return tiny_settings(path.parent, **{"model": "test_resnet", "checkpoint": path} | changes)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return forward(model, IMAGES)[1]


def test_an_external_model_says_what_it_said(file: Path, model: Any) -> None:
    assert torch.equal(logits(load_external_model(CLASSES, settings_for(file))), logits(model))


def test_outputs_are_put_into_the_order_of_the_datasets_classes(file: Path, model: Any) -> None:
    order = ["square", "bar", "ring", "disc"]
    loaded = load_external_model(CLASSES, settings_for(file, checkpoint_classes=order))
    expected = logits(model)[:, [order.index(name) for name in CLASSES]]
    assert torch.allclose(logits(loaded), expected, atol=1e-6)


def test_a_checkpoint_of_ours_says_its_classes_itself(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "ours.safetensors"
    save_checkpoint(model, path, {"classes": CLASSES[::-1]})
    assert torch.allclose(logits(load_external_model(CLASSES, settings_for(path))), logits(model).flip(1), atol=1e-6)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_a_pickle_is_read_only_where_it_is_allowed(
    weights: dict[str, torch.Tensor], model: Any, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"own{suffix}"
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in weights.items()}}, path)
    with pytest.raises(UsageError, match=r"is a pickle.*convert it to .safetensors, or set allow_pickle = true"):
        load_external_model(CLASSES, settings_for(path))
    assert torch.equal(logits(load_external_model(CLASSES, settings_for(path, allow_pickle=True))), logits(model))


class Leaves:
    """What a pickle could do on being read: leave a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._folder),)


def test_a_pickle_that_holds_more_than_weights_is_refused_and_does_nothing(tmp_path: Path) -> None:
    path, folder = tmp_path / "own.pt", tmp_path / "left"
    torch.save({"state_dict": Leaves(folder)}, path)
    with pytest.raises(UserError, match=r"is refused: it is damaged or holds more than weights"):
        load_external_model(CLASSES, settings_for(path, allow_pickle=True))
    assert not folder.exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02]", b"hello"], ids=["empty", "cut short", "text"])
def test_a_file_that_is_no_pickle_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"own\.pt cannot be read \(.+\): it is damaged or not a file of weights\.$"):
        load_external_model(CLASSES, settings_for(path, allow_pickle=True))


def test_the_stem_is_that_of_the_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    stock = create_model(4, Architecture("resnet18", stem="stock")).eval()
    path = tmp_path / "stock.safetensors"
    save_file({name: value.contiguous() for name, value in stock.state_dict().items()}, path)
    loaded = load_external_model(CLASSES, settings_for(path, model="resnet18"))
    assert torch.equal(logits(loaded), logits(stock)) and loaded.architecture.facts()["stem"] == "stock"


def damaged(file: Path, weights: dict[str, torch.Tensor]) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def not_weights(file: Path, weights: dict[str, torch.Tensor]) -> None:
    file.write_text("hello")


def lacking(file: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file({name: value for name, value in weights.items() if not name.startswith("layer4")}, file)


def having_more(file: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights | {"neck.weight": torch.zeros(2)}, file)


def of_five_classes(file: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights | {"fc.weight": torch.zeros(5, 96), "fc.bias": torch.zeros(5)}, file)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (damaged, "cannot be read .*: it is damaged or not a file of weights"),
        (not_weights, "cannot be read .*: it is damaged or not a file of weights"),
        (lacking, r"does not fit test_resnet: it lacks layer4\.0\..* and \d+ more"),
        (having_more, r"does not fit test_resnet: it also has neck\.weight"),
        (of_five_classes, r"does not fit test_resnet: fc\.bias is 5, expected 4|fc\.weight is 5 x 96, expected 4 x 96"),
    ],
)
def test_weights_that_do_not_fit_are_one_sentence(
    file: Path, weights: dict[str, torch.Tensor], change: Callable[[Path, dict[str, torch.Tensor]], None], sentence: str
) -> None:
    change(file, weights)
    with pytest.raises(UserError, match=sentence) as caught:
        load_external_model(CLASSES, settings_for(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        (
            {"checkpoint_classes": ["bar", "disc", "ring"]},
            UserError,
            "has 3 classes and the dataset has 4; .* square: list",
        ),
        ({"checkpoint_classes": ["bar", "disc", "ring", "cube"]}, UserError, "they differ in cube, square: list those"),
        ({"model": "test_convnext"}, UserError, "does not fit test_convnext: it lacks .*Check the setting model"),
        ({"folds": 2}, UsageError, "set folds = 0, or remove checkpoint"),
    ],
)
def test_settings_that_contradict_the_file_are_one_sentence(
    file: Path, changes: dict[str, object], kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        load_external_model(CLASSES, settings_for(file, **changes))


def test_a_checkpoint_of_ours_of_another_model_is_named(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "ours.safetensors"
    save_checkpoint(model, path, {"classes": CLASSES})
    with pytest.raises(
        UserError, match="holds a test_resnet, but the setting model is resnet18: set model = test_resnet"
    ):
        load_external_model(CLASSES, settings_for(path, model="resnet18"))


def test_a_file_that_is_not_there_is_named_and_none_is_asked_for_without_the_setting(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.safetensors does not exist: check the setting checkpoint"):
        find_file(settings_for(tmp_path / "none.safetensors"))
    assert find_file(tiny_settings(tmp_path)) is None


def test_another_content_is_another_hash(file: Path, weights: dict[str, torch.Tensor]) -> None:
    before = hash_file(file)
    having_more(file, weights)
    assert hash_file(file) != before


def test_a_checkpoint_of_ours_says_how_images_are_shown_to_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path, mean = tmp_path / "ours.safetensors", (0.5, 0.4, 0.3)
    save_checkpoint(create_model(4, Architecture("test_resnet", mean=mean)), path, {"classes": CLASSES})
    assert load_external_model(CLASSES, settings_for(path)).architecture.mean == mean
    other = settings_for(path, checkpoint=None, mean=mean)
    assert architecture_of(other).mean == mean
