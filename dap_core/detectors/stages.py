"""The feature maps of a classifier's backbone at the end of each stage, for a pyramid to stand on.

The networks are copies of the classifier's: same weights, no classification layer. The last stage ends in the map
that class activation maps are drawn on.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, fx, nn

from dap_core.backbones import TimmBackbone, TorchvisionBackbone
from dap_core.classifiers import Classifier
from dap_core.errors import ClassifierError
from dap_core.feature_grids import measure_feature_grid

_PROBE_SIDE = 256


class TimmStages(nn.Module):
    """The last map of every stride of a timm network: images [B, 3, H, W] to a tuple of maps [B, C, H/s, W/s]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        network.reset_classifier(0)  # type: ignore[operator]
        shapes = [_stride_of(value) for value in self._run(_make_probe())]
        self.kept = tuple(index for index, stride in enumerate(shapes) if stride not in shapes[index + 1 :])

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps of normalised images, lowest stride first."""
        maps = self._run(images)
        return tuple(maps[index] for index in self.kept)

    def _run(self, images: Tensor) -> list[Tensor]:
        last, maps = self.network.forward_intermediates(images)  # type: ignore[operator]
        return [*maps, last]


class _Stage(nn.Module):
    def __init__(self, stages: nn.Module, index: int) -> None:
        super().__init__()
        self.stages, self.index = stages, index

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.stages(images)[self.index]
        return output


def make_stages(classifier: Classifier) -> tuple[nn.Module, dict[int, int], dict[int, Tensor]]:
    """The backbone with an output at the end of each stage, and for each stride its place and map of a probe.

    Raises ClassifierError when the inner maps of the network cannot be had.
    """
    backbone = classifier.backbone
    with torch.no_grad():
        expected = backbone(_make_probe())
        if isinstance(backbone, TimmBackbone):
            stages = _make_timm_stages(backbone, classifier.name)
        elif isinstance(backbone, TorchvisionBackbone):
            stages = _make_traced_stages(backbone.extractor)
        else:
            stages = _make_traced_stages(fx.symbolic_trace(backbone))
        maps = stages.eval()(_make_probe())
    if (
        not maps
        or maps[-1].shape != expected.shape
        or not torch.allclose(maps[-1], expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    ):
        raise ClassifierError(f"{classifier.name}: the last of its inner maps is not the one its classifier looks at")
    return stages, {_stride_of(value): index for index, value in enumerate(maps)}, dict(enumerate(maps))


def measure_origins(stages: nn.Module, places: dict[int, int], strides: tuple[int, ...]) -> tuple[float, ...]:
    """The pixel on which cell 0 of each pyramid level is centred.

    A level above the backbone's last stride keeps every other cell, from the first on. Raises ClassifierError for a
    network whose cells are not where its strides say.
    """
    origins: list[float] = []
    for stride in strides:
        if stride in places:
            grid = measure_feature_grid(_Stage(stages, places[stride]))
            if grid.stride != stride:
                raise ClassifierError(f"the map of stride {stride} has its cells {grid.stride} px apart")
            origins.append(grid.origin_xy[0])
        else:
            origins.append(origins[-1])
    return tuple(origins)


def list_stage_parameters(stages: nn.Module, index: int) -> list[nn.Parameter]:
    """The parameters that the map at `index` is computed from."""
    parameters = list(stages.parameters())
    output = stages.eval()(_make_probe())[index].sum()
    gradients = torch.autograd.grad(output, parameters, allow_unused=True)
    return [parameter for parameter, gradient in zip(parameters, gradients, strict=True) if gradient is not None]


def _make_timm_stages(backbone: TimmBackbone, name: str) -> nn.Module:
    if not hasattr(backbone.network, "forward_intermediates"):
        raise ClassifierError(
            f"timm gives no inner maps of {name}, so no pyramid can stand on it; take another network"
        )
    return TimmStages(copy.deepcopy(backbone.network))


def _make_traced_stages(traced: fx.GraphModule) -> fx.GraphModule:
    """A traced network that gives the last map of every stride through which all that follows depends on the image."""
    strides = _find_strides(traced)
    ends = {strides[node]: node for node in _find_cuts(traced.graph) if node in strides}
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.graph_copy(traced.graph, copies)
    graph.output(tuple(copies[ends[stride]] for stride in sorted(ends)))
    return copy.deepcopy(fx.GraphModule(traced, graph, "Stages"))


def _find_cuts(graph: fx.Graph) -> Iterator[fx.Node]:
    """The nodes that every path from the image to the output runs through, in order."""
    place = {node: index for index, node in enumerate(graph.nodes)}
    reach = 0
    for node, following in pairwise(graph.nodes):
        reach = max([reach, *(place[user] for user in node.users)])
        if reach <= place[following]:
            yield node


def _find_strides(traced: fx.GraphModule) -> dict[fx.Node, int]:
    """The stride of every node that gives a map whose size divides that of the probe."""
    strides: dict[fx.Node, int] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, node: fx.Node) -> object:
            value = super().run_node(node)
            is_map = node.op != "placeholder" and isinstance(value, Tensor) and value.ndim == 4
            if is_map and _stride_of(value) * value.shape[-1] == _PROBE_SIDE:  # not where padding was added
                strides[node] = _stride_of(value)
            return value

    Recorder(traced).run(_make_probe())
    return strides


def _stride_of(value: Tensor) -> int:
    return round(_PROBE_SIDE / value.shape[-1])


def _make_probe() -> Tensor:
    return torch.randn(1, 3, _PROBE_SIDE, _PROBE_SIDE, generator=torch.Generator().manual_seed(0))
