"""Label sets in the formats of other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dap_core.exports.coco import export_coco
from dap_core.exports.cvat import export_cvat
from dap_core.exports.fiftyone import export_fiftyone
from dap_core.exports.huggingface import export_huggingface
from dap_core.exports.label_studio import export_label_studio
from dap_core.exports.options import ExportFormat, ExportOptions, ExportReport
from dap_core.exports.voc import export_voc
from dap_core.exports.yolo import export_yolo
from dap_core.label_sets import LabelSet

__all__ = [
    "EXPORTERS",
    "ExportFormat",
    "ExportOptions",
    "ExportReport",
    "export_coco",
    "export_cvat",
    "export_fiftyone",
    "export_huggingface",
    "export_label_set",
    "export_label_studio",
    "export_voc",
    "export_yolo",
]

EXPORTERS: dict[ExportFormat, Callable[[LabelSet, Path, ExportOptions | None], ExportReport]] = {
    "coco": export_coco,
    "voc": export_voc,
    "yolo": export_yolo,
    "label-studio": export_label_studio,
    "fiftyone": export_fiftyone,
    "cvat": export_cvat,
    "huggingface": export_huggingface,
}


def export_label_set(
    label_set: LabelSet,
    destination: Path,
    format: ExportFormat,  # noqa: A002
    options: ExportOptions | None = None,
) -> ExportReport:
    """Writes a label set in one of the formats `EXPORTERS` into an empty or new folder and says what it holds.

    Raises ValueError for an unknown format, DestinationError when the folder is not empty or cannot be written, and
    StoreError when a referenced image is gone.
    """
    if format not in EXPORTERS:
        raise ValueError(f"format must be one of {', '.join(EXPORTERS)}, got {format!r}")
    return EXPORTERS[format](label_set, destination, options)
