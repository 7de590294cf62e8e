"""Reading and hashing network weights. Pickles are opened only as far as `weights_only` can read them."""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dap_core.errors import ClassifierError

_WRAPPERS = ("state_dict", "model", "model_state_dict")
# what torch.load raises on a file that is cut off or has changed bytes
_DAMAGED = (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AssertionError, struct.error)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors`, `.pth`, `.pt` or `.bin` file by name, on the CPU.

    A dictionary wrapped as `state_dict` or `model` is unwrapped and a `module.` prefix is dropped.
    Raises ClassifierError when the file is missing, of another kind, damaged, or a pickle that holds
    more than tensors.
    """
    if not path.is_file():
        raise ClassifierError(f"weights file {path} does not exist")
    if path.suffix == ".safetensors":
        tensors = _read_safetensors(path)
    elif path.suffix in (".pth", ".pt", ".bin"):
        tensors = _read_torch_file(path)
    else:
        raise ClassifierError(f"weights file {path} must end in .safetensors, .pth, .pt or .bin")
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """The sha256 of names, types, shapes and values: the same whatever file the weights came in."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {list(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copies `tensors` into `network`; raises ClassifierError naming what is missing, unknown or misshapen.

    The batch counters of BatchNorm may be missing, as in files older than PyTorch 0.4.1.
    """
    wanted = network.state_dict()
    missing = sorted(name for name in wanted.keys() - tensors.keys() if not name.endswith("num_batches_tracked"))
    unknown = sorted(tensors.keys() - wanted.keys())
    misshapen = [
        f"{name} is {list(tensors[name].shape)}, expected {list(wanted[name].shape)}"
        for name in wanted.keys() & tensors.keys()
        if tensors[name].shape != wanted[name].shape
    ]
    problems = [
        f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for kind, names in (("missing", missing), ("unknown", unknown), ("misshapen", misshapen))
        if names
    ]
    if problems:
        raise ClassifierError(f"{source} does not fit the network: tensors {'; '.join(problems)}")
    network.load_state_dict(dict(tensors))


def rename_in_order(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """`tensors` under the names of `network`, matched by position.

    For weights saved under another naming of the same layers. Raises ClassifierError unless every shape agrees.
    """
    wanted = network.state_dict()
    shapes_agree = [value.shape for value in wanted.values()] == [value.shape for value in tensors.values()]
    if not shapes_agree:
        raise ClassifierError(f"{source} does not hold the {len(wanted)} tensors of the network in its order")
    return dict(zip(wanted, tensors.values(), strict=True))


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ClassifierError(f"weights file {path} cannot be read: {error}") from error


def _read_torch_file(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ClassifierError(
            f"weights file {path} is refused: it holds more than tensors, and unpickling it could run code; "
            "save a plain state_dict or use .safetensors"
        ) from error
    except _DAMAGED as error:
        raise ClassifierError(f"weights file {path} cannot be read: {error}") from error
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ClassifierError(f"weights file {path} holds no dictionary of tensors")
    return {str(name): value for name, value in content.items()}
