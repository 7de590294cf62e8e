"""The training loop: a plain function over batches, for any model that gives its losses by name."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NoReturn, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dap_core.engines.choice import torch_has_bfloat16
from dap_core.errors import TrainingError
from dap_core.training.order import make_generator
from dap_core.training.team import SOLO, Team
from dap_core.training.train_recipe import Precision, TrainRecipe

_NUM_NAMED = 20


class Batch(Protocol):
    """What one worker trains on in one step."""

    @property
    def step(self) -> int:
        """The number of the step, from 0."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """The keys of its images."""
        ...

    def split(self, parts: int) -> Sequence[Self]:
        """The batch in parts that are trained one after the other, for one step together."""
        ...


B = TypeVar("B", bound=Batch)
ComputeLosses = Callable[[nn.Module, B], dict[str, Tensor]]
"""The losses of a batch by name, scalars, each a mean over its images; their sum is minimised."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step did: losses are means over all workers, times are this worker's, in seconds."""

    step: int
    losses: dict[str, float]
    lr: float
    num_images: int
    """Of all workers."""
    gradient_norm: float
    """Before clipping."""
    wait_s: float
    """Waiting for the batch."""
    step_s: float
    """Everything else."""

    @property
    def loss(self) -> float:
        """The sum of the losses."""
        return sum(self.losses.values())


@dataclass(frozen=True, slots=True)
class Trainer:
    """A model in training with what its steps change: the optimizer and, for float16, the scale of the loss."""

    model: nn.Module
    recipe: TrainRecipe
    optimizer: torch.optim.SGD
    device: torch.device
    dtype: torch.dtype
    scaler: torch.amp.GradScaler
    seed: int
    team: Team = SOLO

    def run(self, batches: Iterable[B], compute_losses: ComputeLosses[B]) -> Iterator[StepReport]:
        """Trains on the batches, one step each, and reports every step when it is done.

        The random numbers of a step follow from seed, step and worker alone. Raises TrainingError naming the images
        when a loss or gradient is not finite; the model then is as it was before that step.
        """
        wrapped = self.team.wrap(self.model)
        asked = time.perf_counter()
        for batch in batches:
            began = time.perf_counter()
            torch.manual_seed(int(make_generator("step", self.seed, batch.step, self.team.rank).integers(2**62)))
            lr = self._set_lr(batch.step)
            losses = self._add_gradients(wrapped, batch, compute_losses)
            norm = self._step(batch)
            ended = time.perf_counter()
            num_images = len(batch.keys) * self.team.size
            yield StepReport(batch.step, losses, lr, num_images, norm, began - asked, ended - began)
            asked = time.perf_counter()

    def _set_lr(self, step: int) -> float:
        lr = self.recipe.compute_lr(step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        return lr

    def _add_gradients(self, model: nn.Module, batch: B, compute_losses: ComputeLosses[B]) -> dict[str, float]:
        """Runs the model forwards and backwards on each part of a batch; returns the mean losses."""
        self.optimizer.zero_grad(set_to_none=True)
        parts = batch.split(self.recipe.accumulation)
        totals: dict[str, float] = {}
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            with _sync_only_if(model, is_last), torch.autocast(self.device.type, self.dtype, self._casts):
                losses = compute_losses(model, part)
                loss = torch.stack(list(losses.values())).sum() / len(parts)
            means = self._average_losses(losses, part)
            with _sync_only_if(model, is_last):
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            for name, value in means.items():
                totals[name] = totals.get(name, 0.0) + value / len(parts)
        return totals

    def _step(self, batch: Batch) -> float:
        self.scaler.unscale_(self.optimizer)
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        limit = self.recipe.max_gradient_norm or float("inf")
        norm = float(nn.utils.clip_grad_norm_(parameters, limit))
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            self._refuse_gradient(batch)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return norm

    def _refuse_gradient(self, batch: Batch) -> NoReturn:
        """The loss is finite and the gradient is not; for float16 the scaler leaves such a step out."""
        keys = self.team.collect(list(batch.keys))
        raise TrainingError(
            f"the gradient is not finite at step {batch.step}, on the images {', '.join(keys[:_NUM_NAMED])}; look at "
            f"their boxes, or lower the learning rate ({self.recipe.compute_lr(batch.step):g})"
        )

    @property
    def _casts(self) -> bool:
        return self.dtype is not torch.float32

    def _average_losses(self, losses: dict[str, Tensor], batch: B) -> dict[str, float]:
        """The means over the workers. All of them raise TrainingError when one is not finite."""
        own = torch.stack([value.detach().float() for value in losses.values()])
        means = self.team.average(own).tolist()
        if not all(map(math.isfinite, means)):
            self._refuse(losses, batch)
        return dict(zip(losses, means, strict=True))

    def _refuse(self, losses: dict[str, Tensor], batch: B) -> NoReturn:
        named = [name for name, value in losses.items() if not torch.isfinite(value)]
        keys = self.team.collect(list(batch.keys) if named else [])
        names = list(dict.fromkeys(self.team.collect(named)))
        more = f" and {len(keys) - _NUM_NAMED} more" if len(keys) > _NUM_NAMED else ""
        raise TrainingError(
            f"the loss is not finite at step {batch.step} ({', '.join(names)}), on the images "
            f"{', '.join(keys[:_NUM_NAMED])}{more}; look at their boxes, or lower the learning rate "
            f"({self.recipe.compute_lr(batch.step):g}) or max_gradient_norm"
        )


def make_trainer(
    model: nn.Module, recipe: TrainRecipe, optimizer: torch.optim.SGD, *, device: str, seed: int, team: Team = SOLO
) -> Trainer:
    """A trainer of a model that is on `device`, in the precision of the recipe."""
    place = torch.device(device)
    dtype = choose_dtype(recipe.precision, place)
    scaler = torch.amp.GradScaler(place.type, enabled=dtype is torch.float16)
    return Trainer(model, recipe, optimizer, place, dtype, scaler, seed, team)


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The type that a precision stands for on a device; `auto` is bfloat16 where that is fast."""
    if precision != "auto":
        dtype: torch.dtype = getattr(torch, precision)
        return dtype
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if torch_has_bfloat16() else torch.float32


def _sync_only_if(model: nn.Module, wanted: bool) -> AbstractContextManager[None]:
    """Workers average their gradients only with the last part of a batch."""
    if isinstance(model, DistributedDataParallel) and not wanted:
        return model.no_sync()
    return nullcontext()
