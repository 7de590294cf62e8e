"""How boxes look and how good they are: statistics, the paper's sweeps, and images to look at first."""

from dap_core.evaluation.statistics import LabelSetStatistics, compute_statistics
from dap_core.evaluation.sweeps import SweepColumn, Sweeps, compute_sweeps
from dap_core.evaluation.triage import Suspicion, find_suspicious

__all__ = [
    "LabelSetStatistics",
    "Suspicion",
    "SweepColumn",
    "Sweeps",
    "compute_statistics",
    "compute_sweeps",
    "find_suspicious",
]
