"""The label set: Parquet shards, plans, failures and a manifest in an object store.

Written by `runner.run_plan` with a `labeling.ShardLabeler` or a `recutting.ShardRecutter`, read by `open_label_set`.
"""

from dap_core.label_sets.manifest import Counts, Manifest
from dap_core.label_sets.plan import PlanRow
from dap_core.label_sets.reader import LabelSet, open_label_set
from dap_core.label_sets.schema import Failure, LabelSetRow
from dap_core.label_sets.verify import verify_label_set

__all__ = [
    "Counts",
    "Failure",
    "LabelSet",
    "LabelSetRow",
    "Manifest",
    "PlanRow",
    "open_label_set",
    "verify_label_set",
]
