"""Networks that OpenVINO has converted, kept in a folder of the user's: converting takes seconds, reading does not.

What is kept is found by all that it depends on: weights, structure, versions. It can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn
from torch.fx import GraphModule

from dap_core.checkpoints import hash_tensors

_LIBRARIES = ("torch", "torchvision", "timm")
_KNOWN = (*_LIBRARIES, "dap_core")
MAX_KEPT = 8
"""Networks in the cache, each as large as its weights; those that were not used for the longest time make room."""
_log = logging.getLogger(__name__)


def read_or_convert(openvino: Any, network: nn.Module, convert: Callable[[], Any]) -> Any:
    """The network as an `openvino.Model`, read from the cache, else made by `convert` and kept there.

    A network with layers of other packages is always converted, as nobody can tell when their code changes. A cache
    that cannot be read or written, or a damaged file in it, costs no more than the conversion.
    """
    key = make_key(network)
    if key is None:
        return convert()
    path = find_cache_dir() / f"{key}.xml"
    if path.exists():
        try:
            model = openvino.Core().read_model(path)
            path.touch()
            return model
        except (OSError, RuntimeError) as error:
            _log.debug("%s is damaged: %s", path, error)
    model = convert()
    try:
        _keep(openvino, model, path)
    except (OSError, RuntimeError) as error:
        _log.debug("%s cannot be kept: %s", path, error)
    return model


def find_cache_dir() -> Path:
    """The folder: `dap/openvino` where the user's caches are, by the XDG convention."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dap" / "openvino"


def make_key(network: nn.Module) -> str | None:
    """A hash of all that the conversion depends on; None when a layer comes from a package that is not known."""
    digest = hashlib.sha256(f"{hash_tensors(network.state_dict())}\n{network!r}\n".encode())
    for module in network.modules():
        kind = type(module)
        if kind.__module__.partition(".")[0] not in _KNOWN:
            return None
        digest.update(f"{kind.__module__}.{kind.__qualname__}\n".encode())
        if kind.__module__.startswith("dap_core"):  # whose version stays while its code changes
            digest.update(inspect.getsource(kind).encode())
        if isinstance(module, GraphModule):
            digest.update(module.code.encode())
    for package in (*_LIBRARIES, "openvino"):
        digest.update(f"{package} {version(package)}\n".encode())
    return digest.hexdigest()[:32]


def _keep(openvino: Any, model: Any, path: Path) -> None:
    """Weights first, then what points to them, so that a reader never sees one without the other."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        openvino.save_model(model, made, compress_to_fp16=False)
        made.with_suffix(".bin").replace(path.with_suffix(".bin"))
        made.replace(path)
    for old in sorted(path.parent.glob("*.xml"), key=lambda one: -one.stat().st_mtime)[MAX_KEPT:]:
        for file in (old, old.with_suffix(".bin")):
            file.unlink(missing_ok=True)
