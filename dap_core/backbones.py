"""Splitting a classification network into the part that makes its last feature map and its linear layer."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from dap_core.errors import ClassifierError

_PROBE_SIZES = ((160, 224), (256, 192))


class TimmBackbone(nn.Module):
    """The feature map of a timm network: images [B, 3, H, W] to features [B, C, h, w]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Features of normalised images."""
        features: Tensor = self.network.forward_features(images)  # type: ignore[operator]
        return features


class TorchvisionBackbone(nn.Module):
    """The output of one graph node of a torchvision network; what comes after it is not run."""

    def __init__(self, network: nn.Module, node: str) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.extractor = create_feature_extractor(network, {node: "features"}, suppress_diff_warning=True)

    def forward(self, images: Tensor) -> Tensor:
        """Features of normalised images."""
        features: Tensor = self.extractor(images)["features"]
        return features


def split_timm_network(network: nn.Module, name: str) -> tuple[nn.Module, nn.Linear]:
    """The backbone and last linear layer of a timm network; raises ClassifierError for another form."""
    linear = network.get_classifier()  # type: ignore[operator]
    if not isinstance(linear, nn.Linear):
        raise _refusal(name, f"its classifier is {type(linear).__name__}, not one linear layer")
    backbone = TimmBackbone(network)
    _check_form(network, backbone, linear, name)
    return backbone, linear


def split_torchvision_network(network: nn.Module, name: str) -> tuple[nn.Module, nn.Linear]:
    """The backbone and last linear layer of a torchvision network; raises ClassifierError for another form."""
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise _refusal(name, "it has no linear layer")
    node = _find_pooled_node(network, linears[-1], name)
    backbone = TorchvisionBackbone(network, node)
    _check_form(network, backbone, linears[-1], name)
    return backbone, linears[-1]


def _find_pooled_node(network: nn.Module, linear: nn.Linear, name: str) -> str:
    """The last graph node whose spatial mean is the input of the linear layer."""
    pooled: list[Tensor] = []
    images = _make_probe(_PROBE_SIZES[0])
    handle = linear.register_forward_pre_hook(lambda _module, inputs: pooled.append(inputs[0].detach().clone()))
    try:
        nodes = get_graph_node_names(network, suppress_diff_warning=True)[1]
        with torch.inference_mode():
            network(images)
            outputs = create_feature_extractor(network, nodes, suppress_diff_warning=True)(images)
    except (RuntimeError, TypeError, ValueError, AssertionError, torch.fx.proxy.TraceError) as error:
        raise _refusal(name, f"its layers cannot be traced ({error})") from error
    finally:
        handle.remove()
    maps = {node: value for node, value in outputs.items() if isinstance(value, Tensor) and _is_map(value)}
    matches: list[str] = [node for node, value in maps.items() if _same(value.mean((2, 3)), pooled[0])]
    if not matches:
        raise _refusal(
            name, f"after its last feature map come {', '.join(_list_layers_after_last_map(network, images))}"
        )
    return matches[-1]


def _list_layers_after_last_map(network: nn.Module, images: Tensor) -> list[str]:
    """The types of the layers that run after the last one that gives a feature map."""
    layers: list[str] = []

    def note(module: nn.Module, _inputs: object, output: object) -> None:
        layers.append(type(module).__name__)
        if isinstance(output, Tensor) and _is_map(output):
            layers.clear()

    leaves = [module for module in network.modules() if not any(module.children())]
    handles = [module.register_forward_hook(note) for module in leaves]
    with torch.inference_mode():
        network(images)
    for handle in handles:
        handle.remove()
    return layers


def _check_form(network: nn.Module, backbone: nn.Module, linear: nn.Linear, name: str) -> None:
    for size_hw in _PROBE_SIZES:
        images = _make_probe(size_hw)
        with torch.inference_mode():
            try:
                expected, features = network.eval()(images), backbone(images)
            except (RuntimeError, AssertionError, ValueError) as error:
                raise _refusal(name, f"it takes no image of {size_hw[1]}x{size_hw[0]} pixels ({error})") from error
            if not _is_map(features) or features.shape[1] != linear.in_features:
                raise _refusal(
                    name, f"its last features have shape {list(features.shape)}, not [B, {linear.in_features}, h, w]"
                )
            if not _same(linear(features.mean((2, 3))), expected):
                raise _refusal(name, "its output differs from the linear layer on the mean of its last feature map")


def _is_map(value: Tensor) -> bool:
    return value.ndim == 4 and value.shape[2] > 1 and value.shape[3] > 1


def _make_probe(size_hw: tuple[int, int]) -> Tensor:
    return torch.randn(1, 3, *size_hw, generator=torch.Generator().manual_seed(0))


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


def _refusal(name: str, reason: str) -> ClassifierError:
    return ClassifierError(f"{name} does not end in global average pooling and one linear layer: {reason}")
