"""timm's ResNet18 with a stem for small images, and how it is saved.

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

from lake.errors import UserError

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)


def create_model(num_classes: int) -> nn.Module:
    """ResNet18 whose stem keeps the resolution: its layers see 32, 16, 8 and 4 px for a 32 px image.

    timm's stock stem (7x7, stride 2, max pool) would leave one final cell and no map of the loss.
    """
    model: nn.Module = timm.create_model("resnet18", pretrained=False, num_classes=num_classes)
    model.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return model.to(memory_format=torch.channels_last)


def normalize(images_NHWC: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in channels-last memory, zero mean and unit variance."""
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    return ((images_NHWC.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def autocast() -> torch.autocast:
    """bfloat16 where the CPU multiplies it natively, float32 elsewhere."""
    native = torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.cpu._is_avx512_bf16_supported()
    return torch.autocast("cpu", torch.bfloat16, enabled=native)


def forward(model: Any, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings [N, D] before the classifier and logits [N, K], both float32."""
    with autocast():
        embedding = model.forward_head(model.forward_features(images_NCHW), pre_logits=True)
        logits = model.get_classifier()(embedding)
    return embedding.float(), logits.float()


def save_checkpoint(model: nn.Module, path: Path, facts: dict[str, Any]) -> None:
    """Weights as safetensors with `facts` (config, data id, versions, temperature) as metadata."""
    partial = path.with_suffix(".part")
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, partial, metadata={"facts": json.dumps(facts)})
    partial.replace(path)


def load_checkpoint(path: Path, num_classes: int) -> tuple[nn.Module, dict[str, Any]]:
    """The model and its facts; `UserError` where the file is damaged or of another architecture."""
    model = create_model(num_classes)
    try:
        model.load_state_dict(load_file(path))
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
    except (OSError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"The checkpoint {path} cannot be loaded ({error}): delete it and refresh again.") from error
    return model.eval(), facts
