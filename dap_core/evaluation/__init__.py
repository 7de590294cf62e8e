"""How boxes look and how good they are: statistics, the paper's sweeps, and images to look at first."""

from dap_core.evaluation.metrics import Difference, Metric, compare_overlaps, summarise_overlaps
from dap_core.evaluation.overlaps import Overlaps, measure_overlaps
from dap_core.evaluation.statistics import LabelSetStatistics, compute_statistics
from dap_core.evaluation.sweeps import SweepColumn, Sweeps, compute_sweeps
from dap_core.evaluation.triage import Suspicion, find_suspicious
from dap_core.evaluation.truth import Truth, TruthReport, map_classes, match_truth

__all__ = [
    "Difference",
    "LabelSetStatistics",
    "Metric",
    "Overlaps",
    "Suspicion",
    "SweepColumn",
    "Sweeps",
    "Truth",
    "TruthReport",
    "compare_overlaps",
    "compute_statistics",
    "compute_sweeps",
    "find_suspicious",
    "map_classes",
    "match_truth",
    "measure_overlaps",
    "summarise_overlaps",
]
