"""CVAT for images 1.1: `annotations.xml`, `labels.json` for a new task, and `images/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from dap_core.exports.destinations import open_destination
from dap_core.exports.export_run import ExportedBox, ExportedImage, ExportRun
from dap_core.exports.file_names import clean_key
from dap_core.exports.options import ExportOptions, ExportReport
from dap_core.label_sets import LabelSet

_ATTRIBUTES = ("score", "threshold")


def export_cvat(label_set: LabelSet, destination: Path, options: ExportOptions | None = None) -> ExportReport:
    """Writes `annotations.xml` with boxes marked as automatic, score and threshold as attributes, corners to 1/100 px.

    `labels.json` is for the raw label editor of a new task. CVAT finds images by their names without the suffix, so no
    two share one. Raises as `export_coco` does.
    """
    with (
        open_destination(destination, label_set) as folder,
        (folder / "annotations.xml").open("w", encoding="utf-8") as file,
    ):
        run = ExportRun(
            label_set, folder, options or ExportOptions(), classes="used", name_rule=clean_key, by_stem=True
        )
        labels = [{"name": name, "attributes": _list_attributes()} for name in run.categories.names]
        (folder / "labels.json").write_text(json.dumps(labels, indent=1), encoding="utf-8")
        _write_head(file, run.categories.names)
        for image in run.images(folder / "images"):
            _write_image(file, image)
        file.write("</annotations>\n")
    return run.report()


def _list_attributes() -> list[dict[str, object]]:
    return [{"name": name, "mutable": False, "input_type": "text", "values": [""]} for name in _ATTRIBUTES]


def _write_head(file: TextIO, names: list[str]) -> None:
    file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
    file.write("  <meta><task><mode>annotation</mode><labels>\n")
    attributes = "".join(
        f"<attribute><name>{name}</name><mutable>False</mutable><input_type>text</input_type>"
        "<default_value></default_value><values></values></attribute>"
        for name in _ATTRIBUTES
    )
    file.writelines(
        f"    <label><name>{escape(name)}</name><attributes>{attributes}</attributes></label>\n" for name in names
    )
    file.write("  </labels></task></meta>\n")


def _write_image(file: TextIO, image: ExportedImage) -> None:
    width, height = image.size_wh
    name = quoteattr(image.name)
    file.write(f'  <image id="{image.number - 1}" name={name} width="{width}" height="{height}">\n')
    for box in image.boxes:
        _write_box(file, box)
    file.write("  </image>\n")


def _write_box(file: TextIO, box: ExportedBox) -> None:
    sides = zip(("xtl", "ytl", "xbr", "ybr"), map(float, box.xyxy), strict=True)
    corners = " ".join(f'{name}="{side:.2f}"' for name, side in sides)
    file.write(
        f'    <box label={quoteattr(box.category.name)} source="auto" occluded="0" {corners} z_order="0">'
        f'<attribute name="score">{box.score:.6f}</attribute>'
        f'<attribute name="threshold">{box.threshold:.6f}</attribute></box>\n'
    )
