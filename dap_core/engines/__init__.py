"""How the backbone runs: the engines behind one small interface."""

from dap_core.engines.base import Canvases, Engine
from dap_core.engines.choice import EngineChoice, EngineName, Precision, choose_engine, list_engines, make_engine
from dap_core.engines.openvino_engine import OpenvinoEngine
from dap_core.engines.torch_engine import TorchEngine

__all__ = [
    "Canvases",
    "Engine",
    "EngineChoice",
    "EngineName",
    "OpenvinoEngine",
    "Precision",
    "TorchEngine",
    "choose_engine",
    "list_engines",
    "make_engine",
]
