"""Label Studio: tasks with predictions to correct, and the labelling configuration that fits them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from dap_core.exports.destinations import open_destination
from dap_core.exports.export_run import ExportedBox, ExportedImage, ExportRun
from dap_core.exports.json_lists import JsonItems
from dap_core.exports.options import ExportOptions, ExportReport
from dap_core.label_sets import LabelSet

IMAGE_TAG, LABEL_TAG = "image", "label"
_LOCAL_FILES = "/data/local-files/?d="


def export_label_studio(label_set: LabelSet, destination: Path, options: ExportOptions | None = None) -> ExportReport:
    """Writes `tasks.json` with one task and prediction per image, `label_config.xml`, and `images/`.

    Image URLs are those of Label Studio's local storage, relative to this folder as document root, or to the source of
    the label set when no images are written. Raises as `export_coco` does.
    """
    options = options or ExportOptions()
    with (
        open_destination(destination, label_set) as folder,
        (folder / "tasks.json").open("w", encoding="utf-8") as file,
    ):
        run = ExportRun(label_set, folder, options, classes="used")
        (folder / "label_config.xml").write_text(make_label_config(run.categories.names), encoding="utf-8")
        prefix = "" if options.images == "none" else "images/"
        version = f"{label_set.manifest.settings.recipe.name} {label_set.sha256[:12]}"
        file.write("[")
        tasks = JsonItems(file)
        for image in run.images(folder / "images"):
            tasks.add(_describe_task(image, prefix, version))
        file.write("]\n")
    return run.report("thresholds")


def make_label_config(names: list[str]) -> str:
    """The labelling interface of a Label Studio project: one image, rectangles of these classes."""
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in names)
    return (
        f'<View>\n  <Image name="{IMAGE_TAG}" value="${IMAGE_TAG}"/>\n'
        f'  <RectangleLabels name="{LABEL_TAG}" toName="{IMAGE_TAG}">\n{labels}  </RectangleLabels>\n</View>\n'
    )


def _describe_task(image: ExportedImage, prefix: str, version: str) -> dict[str, Any]:
    results = [_describe_box(box, image, number) for number, box in enumerate(image.boxes, 1)]
    score = max((box.score for box in image.boxes), default=0.0)
    prediction = {"model_version": version, "score": round(score, 6), "result": results}
    return {"data": {IMAGE_TAG: _LOCAL_FILES + quote(prefix + image.name)}, "predictions": [prediction]}


def _describe_box(box: ExportedBox, image: ExportedImage, number: int) -> dict[str, Any]:
    width, height = image.size_wh
    x1, y1, x2, y2 = map(float, box.xyxy)
    return {
        "id": f"{image.number}-{number}",
        "type": "rectanglelabels",
        "from_name": LABEL_TAG,
        "to_name": IMAGE_TAG,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": round(box.score, 6),
        "value": {
            "x": round(100 * x1 / width, 6),
            "y": round(100 * y1 / height, 6),
            "width": round(100 * (x2 - x1) / width, 6),
            "height": round(100 * (y2 - y1) / height, 6),
            "rotation": 0,
            "rectanglelabels": [box.category.name],
        },
    }
