"""A study as a graph of jobs; what several arms share is one job, and so is what several studies in one place share.

The id of a job is a hash of all it asks for, the ids of the jobs it builds on among them, so it is done once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.jobs.kinds import make_spec
from services.jobs.specs import JobSpec

ROOT = "{root}"
"""Stands for the root in the places that are hashed."""
_HEAVY = ("train-classifier", "mine", "pretrain")
"""Kinds that are few and long, and take all cores of a laptop."""


@dataclass(frozen=True, slots=True)
class Step:
    """One job of a study."""

    id: str
    spec: JobSpec
    needs: tuple[str, ...]
    """Ids of the jobs that have to be done before."""
    name: str
    """For people."""
    cores: int
    """Threads it computes with, whatever else there is: the last bits of a result depend on their number."""


class StepPlanner:
    """Makes steps below one root, each of them once."""

    def __init__(self, root: str, *, heavy_cores: int = 2) -> None:
        """`root` is a folder or `s3://bucket/prefix`."""
        self._root, self._heavy_cores = root.rstrip("/"), heavy_cores
        self.all: dict[str, Step] = {}

    def add(
        self, kind: str, fields: Mapping[str, Any], name: str, needs: tuple[str, ...] = (), data: str = "", **outs: str
    ) -> str:
        """The id of the job that does this.

        `data` names what lies in the places it reads, such as by a sha256; `outs` are fields that name places of its
        own, below its folder.
        """
        asked = {"kind": kind, **fields}
        digest = hashlib.sha256(json.dumps([asked, data, sorted(outs.items())], sort_keys=True).encode()).hexdigest()
        step = f"{kind}-{digest[:16]}"
        if step not in self.all:
            places = {field: f"{self.place(step)}{'/' if rest else ''}{rest}" for field, rest in outs.items()}
            values = json.loads(json.dumps({**asked, **places}).replace(ROOT, json.dumps(self._root)[1:-1]))
            cores = self._heavy_cores if kind in _HEAVY else 1
            self.all[step] = Step(step, make_spec(values, name), needs, name, cores)
        return step

    @staticmethod
    def place(step: str) -> str:
        """Where a job puts what it makes; stays the same when the root is another."""
        kind, _, digest = step.rpartition("-")
        return f"{ROOT}/{kind}/{digest}"

    def find_place(self, step: str) -> str:
        """The place of a job as others read it."""
        return self.place(step).replace(ROOT, self._root)
