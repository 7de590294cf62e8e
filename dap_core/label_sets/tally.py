"""What a run has seen of its images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from dap_core.label_sets.schema import Failure, LabelSetRow


@dataclass
class Tally:
    """Images labelled, those of them whose given label is the classifier's first choice, and failures by type."""

    num_ok: int = 0
    num_agreeing: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """By type of failure one key with its message."""

    def add(self, item: LabelSetRow | Failure) -> None:
        """Counts one image."""
        if isinstance(item, LabelSetRow):
            self.num_ok += 1
            self.num_agreeing += item.top1 in item.labels
        else:
            self.failures[item.error_type] += 1
            self.examples.setdefault(item.error_type, f"{item.key}: {item.message}")

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain JSON values."""
        return {**self.__dict__, "failures": dict(self.failures)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Tally:
        """The counts that `to_dict` wrote."""
        return cls(**{**values, "failures": Counter(values["failures"])})

    def merge(self, other: Tally) -> None:
        """Adds what another one counted."""
        self.num_ok += other.num_ok
        self.num_agreeing += other.num_agreeing
        self.failures.update(other.failures)
        self.examples = {**other.examples, **self.examples}
