"""Which parts of a backbone are not trained, and BatchNorm that stays as it is (paper, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from dap_core.detectors.config import DetectorConfig
from dap_core.detectors.stages import list_stage_parameters


def freeze_parameters(body: nn.Module, places: Mapping[int, int], config: DetectorConfig) -> None:
    """Turns off gradients of the parts of a backbone that `config` freezes; `places` maps stride to stage."""
    frozen = list(body.parameters()) if config.freeze_backbone else []
    if config.frozen_stages and not config.freeze_backbone:
        last_stride = 2 ** (config.frozen_stages + 1)
        inside = [places[stride] for stride in places if stride <= last_stride]
        frozen = list_stage_parameters(body, max(inside)) if inside else []
    if config.frozen_batch_norm:
        frozen += [parameter for norm in _list_batch_norms(body) for parameter in norm.parameters(recurse=False)]
    for parameter in frozen:
        parameter.requires_grad_(False)


def fix_statistics(body: nn.Module) -> None:
    """Keeps the statistics of every BatchNorm whose scale and bias are not trained."""
    for norm in _list_batch_norms(body):
        if norm.weight is None or not norm.weight.requires_grad:
            norm.eval()


def _list_batch_norms(body: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in body.modules() if isinstance(module, nn.BatchNorm2d)]
