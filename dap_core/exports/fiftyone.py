"""FiftyOne: `data/` and `labels.json`, a FiftyOneImageDetectionDataset."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from dap_core.exports.destinations import open_destination
from dap_core.exports.export_run import ExportedBox, ExportRun
from dap_core.exports.json_lists import JsonItems
from dap_core.exports.options import ExportOptions, ExportReport
from dap_core.label_sets import LabelSet


def export_fiftyone(label_set: LabelSet, destination: Path, options: ExportOptions | None = None) -> ExportReport:
    """Writes `labels.json`, boxes relative to the image under the key without its suffix, and `data/`.

    The score is the confidence, the threshold an attribute. Raises as `export_coco` does.
    """
    with (
        open_destination(destination, label_set) as folder,
        (folder / "labels.json").open("w", encoding="utf-8") as file,
    ):
        run = ExportRun(label_set, folder, options or ExportOptions(), classes="used", by_stem=True)
        file.write(f'{{"classes": {json.dumps(run.categories.names)},\n"labels": {{')
        labels = JsonItems(file)
        for image in run.images(folder / "data"):
            boxes = [_describe_box(box, image.size_wh) for box in image.boxes]
            labels.add(boxes, key=str(PurePosixPath(image.name).with_suffix("")))
        file.write("}}\n")
    return run.report()


def _describe_box(box: ExportedBox, size_wh: tuple[int, int]) -> dict[str, Any]:
    x1, y1, x2, y2 = map(float, box.xyxy)
    width, height = size_wh
    relative = (x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height)
    return {
        "label": box.category.number,
        "bounding_box": [round(value, 8) for value in relative],
        "confidence": round(box.score, 6),
        "attributes": {"threshold": round(box.threshold, 6)},
    }
