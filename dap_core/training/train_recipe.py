"""What a training run is made with, apart from its data: typed records of every value."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dap_core.detectors import ARCHITECTURES, Architecture, Transferred
from dap_core.training.augment import AugmentConfig

Schedule = Literal["steps", "cosine"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Trainable = Literal["auto", "heads", "upper", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecipe:
    """SGD with momentum, a linear warm-up, then steps or a cosine of the learning rate.

    Raises ValueError for values that make no training.
    """

    name: str
    source: str
    """Where the values come from."""
    batch_size: int
    """Images of a step, of all workers together."""
    num_steps: int
    lr: float
    schedule: Schedule = "steps"
    milestones: tuple[int, ...] = ()
    """Steps after which the learning rate is a tenth; of schedule `steps`."""
    warmup_steps: int = 1_000
    momentum: float = 0.9
    weight_decay: float = 1e-4
    max_gradient_norm: float | None = None
    accumulation: int = 1
    """Parts that a batch is trained in, one after the other, where it does not fit into memory at once."""
    precision: Precision = "auto"
    """Of the network; `auto` is bfloat16 where the hardware has it, else float32."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_steps", "accumulation"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, got {getattr(self, name)}")
        if not self.lr > 0:
            raise ValueError(f"lr is above 0, got {self.lr}")
        for name in ("warmup_steps", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is 0 or more, got {getattr(self, name)}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is 0 to below 1, got {self.momentum}")
        if self.max_gradient_norm is not None and not self.max_gradient_norm > 0:
            raise ValueError(f"max_gradient_norm is above 0 or none, got {self.max_gradient_norm}")
        if any(step < 1 for step in self.milestones):
            raise ValueError(f"milestones are 1 or more, got {', '.join(map(str, self.milestones))}")
        if self.batch_size % self.accumulation:
            raise ValueError(f"a batch of {self.batch_size} cannot be trained in {self.accumulation} equal parts")

    def compute_lr(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.schedule == "cosine":
            return float(self.lr * warm * 0.5 * (1 + math.cos(math.pi * step / self.num_steps)))
        return float(self.lr * warm * 0.1 ** sum(step >= milestone for milestone in self.milestones))

    def to_dict(self) -> dict[str, Any]:
        """All values as plain JSON ones."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in _flatten(asdict(self))}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRecipe(TrainRecipe):
    """Training of a detector: pre-training on pseudo boxes, fine-tuning on drawn ones."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    architecture: Architecture = "faster_rcnn"
    """Where the run does not start from a detector."""
    full_size: bool = True
    """Whether the detector has the sizes of the paper, or those that suit a few cores (`DetectorConfig`)."""
    trainable: Trainable = "all"
    """`heads`: all but the backbone (table 3); `upper`: those and the stages from stride 16 on; `all`: what
    `frozen_stages` leaves. `auto` follows the data (`choose_regime`)."""
    class_agnostic: bool | Literal["auto"] = False
    """One class for all boxes; `auto` follows the data (`choose_regime`)."""
    transferred: Transferred | Literal["auto"] = "all"
    """What is taken over from a pre-trained detector: `all` but the last layers, or `localisation` alone, without the
    layers that tell classes apart; `auto` follows what it was trained on (`resolve_transferred`)."""
    frozen_stages: int = 1
    """Stages of the backbone that `all` leaves as they are; 1 is the stem and the first stage (section 4.1)."""
    frozen_batch_norm: bool = True
    """Section 4.1."""

    def __post_init__(self) -> None:
        super(DetectorRecipe, self).__post_init__()
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture is one of {', '.join(ARCHITECTURES)}, got {self.architecture!r}")
        if self.frozen_stages < 0:
            raise ValueError(f"frozen_stages is 0 or more, got {self.frozen_stages}")
        if not self.augment.short_sides or min(self.augment.short_sides) < 1:
            raise ValueError(f"augment.short_sides are one or more sizes in pixels, got {self.augment.short_sides}")


def _flatten(values: dict[str, Any]) -> list[tuple[str, Any]]:
    """Records inside a record as names with a dot."""
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            flat += [(f"{name}.{inner}", one) for inner, one in _flatten(value)]
        else:
            flat.append((name, value))
    return flat
