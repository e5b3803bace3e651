"""timm's ResNet18 with a stem for small images, where it runs, and how it is saved.

Shapes: N images, H x W pixels, C channels, K classes, D = 512 features.
"""

import json
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from lake.errors import UserError

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
ARCHITECTURE = "resnet18"


def create_model(num_classes: int, *, pretrained: bool = False) -> Any:
    """ResNet18 whose stem keeps the resolution: its layers see 32, 16, 8 and 4 px for a 32 px image.

    timm's stock stem (7x7, stride 2, max pool) would leave one final cell and no map of the loss; of published
    weights the stem keeps the middle 3x3. Raises `UserError` where those cannot be fetched.
    """
    model: Any = (
        _published_model(num_classes) if pretrained else timm.create_model(ARCHITECTURE, num_classes=num_classes)
    )
    stock = model.conv1.weight.detach()
    model.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    if pretrained:
        model.conv1.weight.data.copy_(stock[:, :, 2:5, 2:5])
    model.maxpool = nn.Identity()
    return model.to(memory_format=torch.channels_last)


def choose_device(name: str) -> torch.device:
    """The device of that name; for "auto" the first of CUDA, MPS and CPU that is there.

    Raises `UserError` where the machine has no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, found in there.items() if found))
    if not there[name]:
        found = ", ".join(device for device, is_there in there.items() if is_there)
        raise UserError(f"device = {name} is not on this machine: choose auto or one of {found}.")
    return torch.device(name)


def device_of(model: nn.Module) -> torch.device:
    """Where the weights of the model are."""
    return next(model.parameters()).device


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the device multiplies it natively, float32 elsewhere."""
    native = {"cpu": _cpu_has_bfloat16, "cuda": torch.cuda.is_bf16_supported}
    enabled = device.type in native and native[device.type]()
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def resize(images_NHWC: Tensor, side: int) -> Tensor:
    """uint8 [N, H, W, 3] -> uint8 [N, side, side, 3], averaged over area where they shrink."""
    if images_NHWC.shape[1:3] == (side, side):
        return images_NHWC
    images = images_NHWC.permute(0, 3, 1, 2).float()
    sized = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    return sized.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def normalize(images_NHWC: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in channels-last memory, zero mean and unit variance."""
    mean, std = (torch.tensor(values, device=images_NHWC.device) for values in (MEAN, STD))
    return ((images_NHWC.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def forward(model: Any, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings [N, D] before the classifier and logits [N, K], both float32."""
    with autocast(images_NCHW.device):
        embedding = model.forward_head(model.forward_features(images_NCHW), pre_logits=True)
        logits = model.get_classifier()(embedding)
    return embedding.float(), logits.float()


def save_checkpoint(model: nn.Module, path: Path, facts: dict[str, Any]) -> None:
    """Weights as safetensors with `facts` (dataset, classes, config, versions) as metadata; complete or absent."""
    partial = path.with_suffix(".part")
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, partial, metadata={"facts": json.dumps({"architecture": ARCHITECTURE} | facts)})
    partial.replace(path)


def load_checkpoint(path: Path, *, classes: list[str], dataset_id: str) -> tuple[nn.Module, dict[str, Any]]:
    """The model and its facts.

    Raises `UserError` where the file is damaged, of another architecture, or trained on other classes or data.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
        for name, wanted in {"architecture": ARCHITECTURE, "classes": classes, "dataset_id": dataset_id}.items():
            if facts[name] != wanted:
                raise UserError(
                    f"The checkpoint {path} has {name} {facts[name]}, expected {wanted}: "
                    "delete it and refresh again, or name the settings it was trained with."
                )
        model = create_model(len(classes))
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise UserError(f"The checkpoint {path} cannot be loaded ({error}): delete it and refresh again.") from error
    return model.eval(), facts


def _published_model(num_classes: int) -> Any:
    try:
        return timm.create_model(ARCHITECTURE, pretrained=True, num_classes=num_classes)
    except Exception as error:  # the hub's client raises its HTTP library's errors as well as its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"timm's published weights of {ARCHITECTURE} cannot be fetched ({reason}): "
            "check the network, or refresh without --pretrained."
        ) from error


def _cpu_has_bfloat16() -> bool:
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.cpu._is_avx512_bf16_supported()
