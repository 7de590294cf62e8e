"""Jobs of kind export: a label set in the format of another tool, in a folder or a bucket."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

from dap_core.errors import DestinationError
from dap_core.exports import ExportOptions, ExportReport, export_label_set
from dap_core.label_sets import LabelSet
from dap_core.stores import LocalStore
from services.copying import Copied, copy_objects
from services.jobs.context import JobContext
from services.jobs.outcomes import Outcome
from services.jobs.records import JobState
from services.jobs.specs import ExportSpec
from services.places import local_path, open_label_set_at, refuse_inside
from services.storage import open_store


def run_export(spec: ExportSpec, context: JobContext) -> Outcome:
    """Writes the boxes of a label set for other tools.

    For a bucket all files are made in a temporary folder first. Raises LabelSetError, DestinationError when the
    destination holds something else, StoreError.
    """
    with context.in_stage(f"reading {spec.label_set}"):
        label_set = open_label_set_at(spec.label_set)
        refuse_inside(spec.out, label_set.store.uri)
    folder = local_path(spec.out)
    if folder is not None:
        with context.in_stage(f"writing {spec.format}"):
            report = _export(spec, label_set, folder)
    else:
        with tempfile.TemporaryDirectory() as made:
            with context.in_stage(f"writing {spec.format}"):
                report = _export(spec, label_set, Path(made))
            with context.in_stage(f"copying to {spec.out}"):
                _copy(Path(made), spec.out, context)
    described = {"format": spec.format, "images": spec.images, "out": spec.out}
    return Outcome(JobState.SUCCEEDED, {**described, **asdict(report)})


def _export(spec: ExportSpec, label_set: LabelSet, folder: Path) -> ExportReport:
    options = ExportOptions(
        images=spec.images, classes=spec.classes, min_score=spec.min_score, voc_flavor=spec.voc_flavor
    )
    return export_label_set(label_set, folder, spec.format, options)


def _copy(made: Path, out: str, context: JobContext) -> None:
    """Copies what was made; what an attempt before has copied is left alone."""
    source, destination = LocalStore(made), open_store(out)
    keys = {one.key for one in source.list_objects()}
    strangers = [one.key for one in destination.list_objects() if one.key not in keys]
    if strangers:
        raise DestinationError(f"{out} holds other objects, such as {strangers[0]}; give an empty place")
    context.progress.start(len(keys), parts=len(keys), part_name="file")

    def count(_: Copied) -> None:
        context.progress.add(1)
        context.report()

    copy_objects(source, destination, on_copied=count)
