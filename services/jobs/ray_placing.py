"""Where the processes of a job run that a cluster does."""

from __future__ import annotations

from services.jobs.specs import JobSpec, MineSpec
from services.jobs.training_specs import TrainFields


def has_pool(spec: JobSpec) -> bool:
    """Whether the runner of a job on a cluster only leads processes that do the work."""
    return isinstance(spec, MineSpec) or (isinstance(spec, TrainFields) and spec.workers is not None)


def place_on_ray(spec: JobSpec, address: str, *, max_labelers: int, gpus: float = 0.0) -> JobSpec:
    """The spec with its labelers or workers on a cluster, as many labelers as there is room for where it does not say.

    With `gpus`, a job that does not name a device takes CUDA.
    """
    changes: dict[str, object] = {}
    if has_pool(spec):
        changes["ray"] = address
    if isinstance(spec, MineSpec):
        changes["labelers"] = spec.labelers or max_labelers
    if gpus and getattr(spec, "device", "cpu") is None:
        changes["device"] = "cuda"
    return spec.model_copy(update=changes)
