"""FiftyOne exports, held against the documented layout of FiftyOneImageDetectionDataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dap_core.exports import export_fiftyone
from tests.export_builders import expect_names, make_ugly_set, read_names


def test_every_image_is_found_by_its_name_without_suffix_and_every_box_within(tmp_path: Path) -> None:
    label_set = make_ugly_set(tmp_path / "labels")
    export_fiftyone(label_set, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "labels.json").read_text())
    data = tmp_path / "out" / "data"
    files = {file.relative_to(data).with_suffix("").as_posix(): file for file in data.rglob("*") if file.is_file()}
    assert files.keys() == content["labels"].keys()
    assert content["classes"] == expect_names(label_set)
    keys, rows = read_names(tmp_path / "out"), {row.key: row for row in label_set.rows()}
    for stem, items in content["labels"].items():
        name = files[stem].relative_to(data).as_posix()
        row = rows[keys.get(name, name)]
        boxes = np.array([item["bounding_box"] for item in items]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        assert np.abs(boxes * (*row.size_wh, *row.size_wh) - row.boxes.boxes).max(initial=0) <= 1e-5
        assert [item["label"] for item in items] == row.boxes.labels.tolist()
        assert [item["confidence"] for item in items] == np.round(row.boxes.scores, 6).tolist()
        assert all(item["attributes"] == {"threshold": 0.2} for item in items)
    assert content["labels"]["n01/nothing"] == []
