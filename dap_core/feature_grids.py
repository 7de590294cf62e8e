"""Where the cells of a network's last feature map lie in its input.

The position depends on every stride and padding on the way: with torchvision's ResNets cell i is
centred on input pixel 32 i, with TensorFlow's "same" padding on 32 i + 31. It is measured on the network
itself, so no architecture needs a table.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dap_core.errors import ClassifierError
from dap_core.types import FeatureGrid

_PROBE_LONG_SIDE = 1024
_PROBE_SHORT_SIDE = 96
_KEPT = (nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Upsample)
_NORMALISATIONS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)  # timm's subclasses carry an activation inside


def measure_feature_grid(backbone: nn.Module) -> FeatureGrid:
    """The feature grid of a backbone ([B, 3, H, W] -> [B, C, h, w]), measured to 1/8 px.

    A copy of the network is made linear and unweighted - every kernel the same positive constant,
    normalisation and activation left out, maxima turned into means - so that the output for a ramp
    divided by the output for ones is the centre of each cell's receptive field.

    Raises ClassifierError when the centres are not evenly spaced, that is when the network is not made
    of convolutions and pooling only.
    """
    linear = _make_linear(backbone)
    (origin_x, stride_x), (origin_y, stride_y) = (_measure_axis(linear, axis) for axis in ("x", "y"))
    if stride_x != stride_y:
        raise ClassifierError(f"the network's strides differ: {stride_x} px across, {stride_y} px down")
    return FeatureGrid((origin_x, origin_y), stride_x)


def _measure_axis(linear: nn.Module, axis: str) -> tuple[float, int]:
    ramp = 1 + torch.arange(_PROBE_LONG_SIDE) / _PROBE_LONG_SIDE  # positive, so that a ReLU changes nothing
    shape = (3, _PROBE_SHORT_SIDE, _PROBE_LONG_SIDE) if axis == "x" else (3, _PROBE_LONG_SIDE, _PROBE_SHORT_SIDE)
    values = ramp if axis == "x" else ramp[:, None]
    with torch.inference_mode():
        ones, ramps = linear(torch.stack([torch.ones(shape), values.expand(shape)])).sum(dim=1).double()
    across = 0 if axis == "x" else 1
    centres = (ramps.sum(across) / ones.sum(across) - 1) * _PROBE_LONG_SIDE
    middle = len(centres) // 2
    pitches = centres[middle - 2 : middle + 3].diff()  # far from the border, where padding has no weight
    if not torch.isfinite(pitches).all() or (pitches - pitches.mean()).abs().max() > 0.1 or pitches.mean() < 1:
        raise ClassifierError(
            "the position of the network's feature cells cannot be measured: they are not evenly spaced"
        )
    stride = round(pitches.mean().item())
    origin = centres[middle].item() - stride * middle
    return round(origin * 8) / 8, stride


def _make_linear(backbone: nn.Module) -> nn.Module:
    linear = copy.deepcopy(backbone).float().cpu().eval()
    for module in linear.modules():
        if isinstance(module, nn.Conv2d):
            with torch.no_grad():
                module.weight.fill_(1 / module.weight[0].numel())
                if module.bias is not None:
                    module.bias.zero_()
            module.register_forward_hook(_open_gate)
        elif isinstance(module, nn.MaxPool2d):
            module.register_forward_hook(_mean_like_maximum(module))
        elif isinstance(module, _NORMALISATIONS) or _is_pointwise(module):
            setattr(module, "inplace", False)  # noqa: B010 - an activation would write into what is passed on
            module.register_forward_hook(_skip_pointwise)
    return linear


def _is_pointwise(module: nn.Module) -> bool:
    return not any(module.children()) and not isinstance(module, _KEPT)


def _open_gate(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Squeeze-and-excitation gates see one pooled cell; here they let everything through."""
    return torch.ones_like(output) if inputs[0].shape[-2:] == (1, 1) else output


def _skip_pointwise(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return inputs[0] if inputs and isinstance(output, Tensor) and inputs[0].shape == output.shape else output


def _mean_like_maximum(pool: nn.MaxPool2d) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    mean = nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)
    return lambda _module, inputs, _output: mean(inputs[0])
