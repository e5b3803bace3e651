"""The classifier: creation, device, forward pass and checkpoints.

Shapes: N images, H x W pixels, C channels, K classes, D features (512 for a ResNet18).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from lake.errors import UserError
from pipeline.model.architecture import Architecture, build

DEFAULT = Architecture()


def create_model(num_classes: int, architecture: Architecture = DEFAULT, *, pretrained: bool = False) -> Any:
    """An untrained network with its `architecture` attached; by default a ResNet18 for small images.

    For 32 px images, its layers have 32, 16, 8 and 4 px: timm's stock stem (7x7, stride 2, max pool) would leave a
    single final cell and no loss map. Raises the errors of `pipeline.model.architecture.build`.
    """
    model = build(architecture, num_classes, pretrained=pretrained)
    model.architecture = architecture
    return model.to(memory_format=torch.channels_last)


def choose_device(name: str) -> torch.device:
    """The device of that name; for "auto", the first available of CUDA, MPS and CPU.

    Raises `UserError` if the machine has no such device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, is_available in available.items() if is_available))
    if not available[name]:
        names = ", ".join(device for device, is_available in available.items() if is_available)
        raise UserError(f"device = {name} is not available on this machine: choose auto or one of {names}.")
    return torch.device(name)


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's weights."""
    return next(model.parameters()).device


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has native bfloat16 instructions; emulation is far slower than float32."""
    native = {"cpu": _cpu_has_bfloat16, "cuda": torch.cuda.is_bf16_supported}
    return device.type in native and native[device.type]()


def autocast(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 if the device supports it natively, otherwise float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device))


def resize(images_NHWC: Tensor, side: int) -> Tensor:
    """Resize uint8 [N, H, W, 3] to uint8 [N, side, side, 3], antialiased when shrinking."""
    if images_NHWC.shape[1:3] == (side, side):
        return images_NHWC
    images = images_NHWC.permute(0, 3, 1, 2).float()
    sized = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    return sized.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def normalize(images_NHWC: Tensor, architecture: Architecture = DEFAULT) -> Tensor:
    """Normalise uint8 [N, H, W, 3] to the model input: float32 [N, 3, H, W] in channels-last memory format.

    By default to zero mean and unit variance over CIFAR-10.
    """
    mean, std = (torch.tensor(values, device=images_NHWC.device) for values in (architecture.mean, architecture.std))
    return ((images_NHWC.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def forward(model: Any, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings [N, D] before the classifier and logits [N, K], both float32."""
    with autocast(images_NCHW.device):
        embedding = model.forward_head(model.forward_features(images_NCHW), pre_logits=True)
        logits = model.get_classifier()(embedding)
    return embedding.float(), logits.float()


def save_checkpoint(model: Any, path: Path, facts: dict[str, Any]) -> None:
    """Save weights as safetensors with `facts` (dataset, classes, config, versions) as metadata, atomically."""
    partial = path.with_suffix(".part")
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, partial, metadata={"facts": json.dumps(model.architecture.facts() | facts)})
    partial.replace(path)


def load_checkpoint(
    path: Path, *, classes: list[str], dataset_id: str, layers: Sequence[str] = ()
) -> tuple[Any, dict[str, Any]]:
    """The model and its facts; `layers` are those that loss maps explain, found automatically if empty.

    Raises `UserError` if the file is damaged, does not match its own facts, or belongs to other classes or data.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
        for name, expected in {"classes": classes, "dataset_id": dataset_id}.items():
            if facts[name] != expected:
                raise UserError(
                    f"The checkpoint {path} has {name} {facts[name]}, expected {expected}: "
                    "delete it and refresh again, or use the settings it was trained with."
                )
        model = create_model(len(classes), Architecture.of_facts(facts, layers))
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise UserError(f"The checkpoint {path} cannot be loaded ({error}): delete it and refresh again.") from error
    return model.eval(), facts


def _cpu_has_bfloat16() -> bool:
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.cpu._is_avx512_bf16_supported()
