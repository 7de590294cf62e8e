"""Batch normalisation folded into the convolution before it: the same function with half the passes over memory."""

from __future__ import annotations

import copy

import torch
from timm.layers import BatchNormAct2d
from torch import fx, nn

_PROBE_HW = (96, 128)


def fold_normalisation(backbone: nn.Module) -> nn.Module:
    """A copy of an inference backbone ([B, 3, H, W] -> [B, C, h, w]) whose convolutions normalise.

    A BatchNorm2d that alone takes a convolution's output disappears into its weights (computed in float64); what
    timm's kind has after it, an activation, stays. A network that cannot be traced, or that comes out different by more
    than rounding, is copied as it is.
    """
    plain = copy.deepcopy(backbone).eval()
    try:
        graph = _Tracer().trace(plain)
    except Exception:  # noqa: BLE001 - tracing runs the network's own Python, which may raise anything on a stand-in
        return plain
    folded = fx.GraphModule(copy.deepcopy(plain), graph)
    for conv, target in _find_pairs(folded):
        norm = folded.get_submodule(target)
        assert isinstance(norm, nn.BatchNorm2d)
        _fold(conv, norm)
        folded.set_submodule(
            target, nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()
        )
    probe = torch.rand(1, 3, *_PROBE_HW, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = plain(probe), folded(probe)
    return folded if torch.allclose(expected, found, rtol=1e-3, atol=1e-4 * float(expected.abs().max())) else plain


class _Tracer(fx.Tracer):
    """Sees convolutions and normalisation of any library as one step."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, nn.Conv2d | nn.BatchNorm2d) or super().is_leaf_module(module, qualified_name)


def _find_pairs(network: fx.GraphModule) -> list[tuple[nn.Conv2d, str]]:
    """Each convolution whose output only a BatchNorm2d takes, and where that one is."""
    modules = dict(network.named_modules())
    calls = [node for node in network.graph.nodes if node.op == "call_module"]
    uses = {target: sum(node.target == target for node in calls) for target in {node.target for node in calls}}
    pairs = []
    for node in calls:
        before = node.args[0]
        if not isinstance(modules[node.target], nn.BatchNorm2d) or before.op != "call_module" or len(before.users) > 1:
            continue
        conv = modules[before.target]
        if isinstance(conv, nn.Conv2d) and uses[before.target] == uses[node.target] == 1:
            pairs.append((conv, node.target))
    return pairs


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance, gain, shift, bias = (
        None if value is None else value.detach().double()
        for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias, conv.bias)
    )
    assert mean is not None
    assert variance is not None
    scale = (variance + norm.eps).rsqrt() * (1 if gain is None else gain)
    offset = (0 if bias is None else bias) - mean
    conv.weight = nn.Parameter(
        (conv.weight.detach().double() * scale[:, None, None, None]).float(), requires_grad=False
    )
    conv.bias = nn.Parameter((offset * scale + (0 if shift is None else shift)).float(), requires_grad=False)
