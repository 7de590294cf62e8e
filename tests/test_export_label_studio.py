"""Label Studio exports, read by its own converter and by the rules of its import."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from defusedxml.ElementTree import fromstring
from label_studio_converter import Converter

from dap_core.exports import ExportOptions, export_label_studio
from tests.export_builders import expect_names, make_boxes_row, make_ugly_set, read_names
from tests.label_set_builders import make_label_set


def test_its_converter_reads_every_box_to_a_thousandth_of_a_pixel(tmp_path: Path) -> None:
    label_set = make_ugly_set(tmp_path / "labels")
    export_label_studio(label_set, tmp_path / "out")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    for number, task in enumerate(tasks, 1):  # as if somebody had accepted every prediction
        task["id"] = number
        task["annotations"] = [{"id": number, "completed_by": {}, **task["predictions"][0]}]
    (tmp_path / "accepted.json").write_text(json.dumps(tasks))
    converter = Converter(str(tmp_path / "out" / "label_config.xml"), None, download_resources=False)
    converter.convert_to_coco(str(tmp_path / "accepted.json"), str(tmp_path / "coco"), is_dir=False)
    coco = json.loads((tmp_path / "coco" / "result.json").read_text())
    names = {item["id"]: item["name"] for item in coco["categories"]}
    assert sorted(names.values()) == sorted(expect_names(label_set))
    urls = {item["id"]: item["file_name"] for item in coco["images"]}
    names_by_key = {key: name for name, key in read_names(tmp_path / "out").items()}
    for row in label_set.rows():
        url = f"/data/local-files/?d=images/{names_by_key.get(row.key, row.key)}"
        found = [item for item in coco["annotations"] if unquote(urls[item["image_id"]]) == url]
        boxes = np.array([item["bbox"] for item in found]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        order = np.lexsort(boxes.T), np.lexsort(row.boxes.boxes.T)
        assert np.abs(boxes[order[0]] - row.boxes.boxes[order[1]]).max(initial=0) <= 0.001
        assert sorted(names[item["category_id"]] for item in found) == sorted(
            expect_names(label_set)[label] for label in row.boxes.labels
        )


def test_predictions_fit_the_labelling_configuration(tmp_path: Path) -> None:
    label_set = make_ugly_set(tmp_path / "labels")
    export_label_studio(label_set, tmp_path / "out")
    config = fromstring((tmp_path / "out" / "label_config.xml").read_text(encoding="utf-8"))
    rectangles = config.find("RectangleLabels")
    assert rectangles is not None
    names = {item.get("value") for item in rectangles}
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    results = [item for task in tasks for item in task["predictions"][0]["result"]]
    assert len({item["id"] for item in results}) == len(results) == label_set.manifest.counts.num_boxes
    for item in results:
        assert (item["from_name"], item["to_name"]) == (rectangles.get("name"), rectangles.get("toName"))
        assert set(item["value"]["rectanglelabels"]) <= names
        assert 0 <= item["value"]["x"] <= item["value"]["x"] + item["value"]["width"] <= 100 + 1e-5
    assert all(f"${name}" == config.find("Image").get("value") for name in tasks[0]["data"])


def test_urls_lead_to_the_copied_file_or_to_the_source(tmp_path: Path) -> None:
    label_set = make_label_set(tmp_path / "labels", [make_boxes_row("a b/#1 é%.png")])
    for images, expected in (("copy", "images/a b/#1 é%.png"), ("none", "a b/#1 é%.png")):
        export_label_studio(label_set, tmp_path / images, ExportOptions(images=images))
        [task] = json.loads((tmp_path / images / "tasks.json").read_text())
        assert "#" not in task["data"]["image"]
        assert unquote(task["data"]["image"]) == f"/data/local-files/?d={expected}"
    assert (tmp_path / "copy" / "images" / "a b" / "#1 é%.png").is_file()
