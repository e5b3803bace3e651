"""Network architecture: any timm model by name, with a stem for small images where it has the stem of a ResNet.

Shapes: N images, C channels, H x W cells of a layer, K classes.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from lake.errors import UsageError, UserError, first_line
from pipeline.settings import Settings

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
"""Per-channel mean and standard deviation of CIFAR-10, the defaults."""
SMALL = 64
"""Images up to this side in pixels count as small: the stock stem of a ResNet would leave them at most 2 cells."""
LAYERS = 2
"""Number of last stages whose outputs loss maps explain by default."""
FIXED: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {})
"""Further options tried, besides `img_size`, for a network with a fixed input size."""


@dataclass(frozen=True)
class Architecture:
    """A model without its weights: everything needed to build it again."""

    name: str = "resnet18"
    side: int = 32
    """Side in pixels of the images it is built for."""
    stem: Literal["", "small", "stock"] = ""
    """The stem for small images, timm's own, or the one that suits the side."""
    layers: tuple[str, ...] = ()
    """Layers that loss maps explain, finest first; the last stages if empty."""
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    """Per-channel mean and standard deviation (0-1) used to normalise the images."""

    @property
    def has_small_stem(self) -> bool:
        """Whether the stem keeps the resolution, provided the network has one that can."""
        return self.stem == "small" or (not self.stem and self.side <= SMALL)

    @property
    def has_fixed_size(self) -> bool:
        """Whether the network has a fixed input size."""
        config = timm.models.get_pretrained_cfg(self.name)
        return bool(config and config.fixed_input_size)

    def facts(self) -> dict[str, Any]:
        """The architecture as stored in a checkpoint."""
        stem = "small" if self.has_small_stem else "stock"
        return {"architecture": self.name, "side": self.side, "stem": stem, "mean": self.mean, "std": self.std}

    @classmethod
    def of_facts(cls, facts: dict[str, Any], layers: Iterable[str]) -> "Architecture":
        """The architecture stored in a checkpoint; a missing stem, as in older versions, means the small one.

        Raises `KeyError` if the checkpoint does not store one.
        """
        name, side, stem = facts["architecture"], facts.get("side", cls.side), facts.get("stem", "small")
        mean, std = (tuple(facts.get(key, default)) for key, default in (("mean", MEAN), ("std", STD)))
        return cls(name, side, stem, tuple(layers), mean, std)


def architecture_of(settings: Settings) -> Architecture:
    """The architecture named by the settings, for images of the size at which they are scored."""
    return Architecture(
        settings.model,
        settings.resolution,
        layers=tuple(settings.loss_map_layers),
        mean=settings.mean,
        std=settings.std,
    )


def build(architecture: Architecture, num_classes: int, *, pretrained: bool) -> Any:
    """A timm network; for small images, a stem with a stride of 2 and a max pool is changed to keep the resolution.

    Raises `UsageError` for a name unknown to timm, and `UserError` if published weights cannot be downloaded.
    """
    _check_name(architecture.name)
    model = _published(architecture, num_classes) if pretrained else _create(architecture, num_classes)
    if architecture.has_small_stem:
        _keep_resolution(model, pretrained=pretrained)
    return model


def small_stem(model: Any) -> nn.Conv2d | None:
    """The first convolution of a model whose stem was changed to keep the resolution, otherwise None."""
    first = _first_convolution(model)
    return first if first is not None and isinstance(model.maxpool, nn.Identity) else None


def map_layers(model: Any) -> list[str]:
    """Layers explained by loss maps, finest first: the configured ones, otherwise the last two spatial stages.

    Empty if no stage outputs [N, C, H, W] with more than one cell, as with tokens or channels-last outputs.

    Raises `UsageError` naming a configured layer that does not exist or has no such output.
    """
    architecture: Architecture = model.architecture
    stages = [info.get("module", "") for info in getattr(model, "feature_info", None) or []]
    wanted = list(architecture.layers) or stages
    modules = dict(model.named_modules())
    if absent := [name for name in architecture.layers if name not in modules]:
        near = get_close_matches(absent[0], modules, n=3, cutoff=0.3) or stages
        raise UsageError(f"loss_map_layers: {architecture.name} has no layer {absent[0]}: try {', '.join(near)}.")
    shapes = _output_shapes(model, {name: modules[name] for name in wanted if name in modules}, architecture.side)
    spatial = [name for name in shapes if _has_cells(shapes[name])]
    if flat := [name for name in architecture.layers if name not in spatial]:
        raise UsageError(
            f"loss_map_layers: the output of {flat[0]} in {architecture.name} is not a grid of cells: name a "
            "layer whose output is images x channels x height x width, or none to have layers chosen automatically."
        )
    return spatial if architecture.layers else spatial[-LAYERS:]


def check(model: Any, sides: list[int]) -> None:
    """Raises `UsageError` if the model cannot process images of these sides, or is not features and one classifier."""
    name, classifier = model.architecture.name, model.get_classifier()
    if not isinstance(classifier, nn.Module):
        raise UsageError(f"The model {name} has more than one classifier: choose another model.")
    for side in sides:
        try:
            with _evaluating(model):
                embedding = model.forward_head(model.forward_features(_blank(model, side)), pre_logits=True)
                logits = classifier(embedding)
        except (RuntimeError, AssertionError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise UsageError(
                f"The model {name} cannot process images of {side} px ({first_line(error)}): "
                "choose other sizes in phases, or another model."
            ) from error
        if embedding.ndim != 2 or logits.ndim != 2:
            raise UsageError(
                f"The model {name} does not consist of features and a single classifier: choose another model."
            )
    map_layers(model)


def _check_name(name: str) -> None:
    if timm.is_model(name):
        return
    near = get_close_matches(name, timm.list_models(), n=3, cutoff=0.3)
    raise UsageError(f"model = {name}: timm has no model with that name; the closest are {', '.join(near) or 'none'}.")


def _create(architecture: Architecture, num_classes: int, **options: Any) -> Any:
    """Create the network, for images of the given side if it has a fixed input size."""
    tried = [{"img_size": architecture.side} | more for more in FIXED] if architecture.has_fixed_size else []
    for sized in tried:
        try:
            return timm.create_model(architecture.name, num_classes=num_classes, **sized, **options)
        except TypeError as error:
            if not any(option in str(error) for option in sized):
                raise
        except (AssertionError, ValueError, RuntimeError, ZeroDivisionError) as error:
            raise UsageError(
                f"The model {architecture.name} cannot be built for images of {architecture.side} px ({error}): "
                "choose another size in phases, or another model."
            ) from error
    return timm.create_model(architecture.name, num_classes=num_classes, **options)


def _published(architecture: Architecture, num_classes: int) -> Any:
    try:
        return _create(architecture, num_classes, pretrained=True)
    except UsageError:
        raise
    except Exception as error:  # the hub's client raises errors of its HTTP library as well as its own
        raise UserError(
            f"timm's published weights of {architecture.name} cannot be downloaded ({first_line(error)}): "
            "check the network, or refresh without --pretrained."
        ) from error


def _first_convolution(model: Any) -> nn.Conv2d | None:
    """The first convolution of a stem like that of timm's ResNets: one or more convolutions and a max pool."""
    stem = getattr(model, "conv1", None)
    first = stem[0] if isinstance(stem, nn.Sequential) and len(stem) else stem
    return first if isinstance(first, nn.Conv2d) and hasattr(model, "maxpool") else None


def _keep_resolution(model: Any, *, pretrained: bool) -> None:
    """Make the stem keep the resolution: stride 1 and no max pool; a 7 x 7 convolution becomes 3 x 3.

    With published weights, the central 3 x 3 is kept. Stems of other kinds are left unchanged.
    """
    first = _first_convolution(model)
    if first is None or first.stride != (2, 2) or not any(isinstance(m, nn.MaxPool2d) for m in model.maxpool.modules()):
        return
    if first is model.conv1:
        stock = first.weight.detach()
        model.conv1 = nn.Conv2d(stock.shape[1], len(stock), kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
        if pretrained:
            edge = (stock.shape[-1] - 3) // 2
            model.conv1.weight.data.copy_(stock[:, :, edge : edge + 3, edge : edge + 3])
    else:
        first.stride = (1, 1)
    model.maxpool = nn.Identity()


def _has_cells(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[2] == shape[3] > 1


def _output_shapes(model: Any, modules: dict[str, nn.Module], side: int) -> dict[str, tuple[int, ...]]:
    """Output shape of each module for one image, in execution order."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, output: Any) -> None:
        shapes[name] = tuple(output.shape) if isinstance(output, Tensor) else ()

    hooks = [
        module.register_forward_hook(lambda _m, _i, output, name=name: note(name, output))
        for name, module in modules.items()
    ]
    try:
        with _evaluating(model):
            model(_blank(model, side))
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _blank(model: nn.Module, side: int) -> Tensor:
    return torch.zeros(1, 3, side, side, device=next(model.parameters()).device)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluate without gradients and without updating batch statistics."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
