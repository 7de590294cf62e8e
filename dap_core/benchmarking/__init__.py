"""How fast mining and re-cutting are, as ratios within one run."""

from dap_core.benchmarking.memory import measure_peak_memory
from dap_core.benchmarking.mining import EngineSpeed, MiningSpeed, StageShares, measure_mining
from dap_core.benchmarking.recutting import RecuttingSpeed, measure_recutting
from dap_core.benchmarking.training import ReadingSpeed, StepSpeed, measure_reading, measure_steps

__all__ = [
    "EngineSpeed",
    "MiningSpeed",
    "ReadingSpeed",
    "RecuttingSpeed",
    "StageShares",
    "StepSpeed",
    "measure_mining",
    "measure_peak_memory",
    "measure_reading",
    "measure_recutting",
    "measure_steps",
]
