"""How the backbone runs: the engines behind one small interface."""

from dap_core.engines.base import Canvases, Engine
from dap_core.engines.torch_engine import TorchEngine

__all__ = ["Canvases", "Engine", "TorchEngine"]
