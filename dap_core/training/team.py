"""The workers that train one model together: each on its part of every batch, with the same gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, slots=True)
class Team:
    """Worker `rank` of `size`; above one worker, torch.distributed is initialised."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    """Where tensors are shared: a GPU of its own for NCCL, the CPU for gloo."""

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, its gradients averaged over the workers."""
        if self.size == 1:
            return model
        return cast(nn.Module, DistributedDataParallel(model, broadcast_buffers=False))

    def average(self, values: Tensor) -> Tensor:
        """The mean of float values [n] over the workers; any NaN stays NaN."""
        if self.size == 1:
            return values
        total = values.detach().to(self.device, copy=True)
        distributed.all_reduce(total)
        return total / self.size

    def is_any(self, flag: bool) -> bool:
        """Whether it holds for any worker; all have to ask."""
        if self.size == 1:
            return flag
        return bool(self.average(torch.tensor([float(flag)]))[0] > 0)

    def collect(self, values: list[str]) -> list[str]:
        """The texts of all workers, by rank; all have to call."""
        if self.size == 1:
            return values
        parts: list[list[str]] = [[] for _ in range(self.size)]
        distributed.all_gather_object(parts, values)
        return [value for part in parts for value in part]


SOLO = Team()
