"""Which engines this machine has, which is fastest, and why."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal

import torch

from dap_core.classifiers import Classifier
from dap_core.engines.base import Engine
from dap_core.engines.openvino_engine import OpenvinoEngine, has_native_bfloat16
from dap_core.engines.torch_engine import TorchEngine, find_device
from dap_core.errors import InputError

EngineName = Literal["auto", "torch", "openvino"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
ENGINES = ("auto", "torch", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine with a precision on a device, and whether and why it can be had; the fastest comes first."""

    engine: str
    precision: str
    device: str
    available: bool
    reason: str


def list_engines(device: str | torch.device | None = None) -> list[EngineChoice]:
    """What there is for `device` (left out: a GPU if there is one), fastest first as measured by `dap bench mine`.

    On a GPU that is torch in float16; on a CPU OpenVINO in bfloat16 where the CPU has it, then OpenVINO in float32,
    then torch. Raises InputError when there is no such device.
    """
    where = find_device(device)
    if where.type != "cpu":
        name = torch.cuda.get_device_name(where) if where.type == "cuda" else str(where)
        return [
            EngineChoice("torch", "float16", str(where), True, f"tensor cores of {name}"),
            EngineChoice("torch", "float32", str(where), True, "the reference"),
        ]
    installed = importlib.util.find_spec("openvino") is not None
    native = installed and has_native_bfloat16()
    missing = "OpenVINO is not installed: pip install 'dap[cpu]'"
    no_bfloat16 = "this CPU has no bfloat16 instructions"
    return [
        EngineChoice("openvino", "bfloat16", "cpu", native, "fastest on this CPU" if native else no_bfloat16)
        if installed
        else EngineChoice("openvino", "bfloat16", "cpu", False, missing),
        EngineChoice("openvino", "float32", "cpu", installed, "exact to rounding" if installed else missing),
        EngineChoice("torch", "bfloat16", "cpu", native or torch_has_bfloat16(), "slower than OpenVINO"),
        EngineChoice("torch", "float32", "cpu", True, "the reference"),
    ]


def choose_engine(
    *, engine: EngineName = "auto", precision: Precision = "auto", device: str | torch.device | None = None
) -> EngineChoice:
    """The first of `list_engines` that fits what is asked for.

    Raises InputError when nothing does, with the reason, ValueError for an unknown name.
    """
    if engine not in ENGINES or precision not in PRECISIONS:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)} and precision of {', '.join(PRECISIONS)}")
    fitting = [
        choice
        for choice in list_engines(device)
        if engine in ("auto", choice.engine) and precision in ("auto", choice.precision)
    ]
    chosen = next((choice for choice in fitting if choice.available), None)
    if chosen is None:
        reasons = "; ".join(dict.fromkeys(choice.reason for choice in fitting)) or "there is no such pair here"
        raise InputError(f"engine {engine} with precision {precision} cannot be had: {reasons}")
    return chosen


def make_engine(
    classifier: Classifier,
    *,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    device: str | torch.device | None = None,
) -> Engine:
    """The engine that `choose_engine` names, loaded. Raises InputError, ValueError."""
    chosen = choose_engine(engine=engine, precision=precision, device=device)
    if chosen.engine == "openvino":
        return OpenvinoEngine(classifier, precision=chosen.precision)  # type: ignore[arg-type]
    return TorchEngine(classifier, device=device, precision=chosen.precision)  # type: ignore[arg-type]


def torch_has_bfloat16() -> bool:
    """Whether torch computes bfloat16 natively on this CPU; emulated it is slower than float32."""
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())
