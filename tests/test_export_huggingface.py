"""Hugging Face exports, read by `datasets`."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
import yaml

from dap_core.exports import ExportOptions, export_huggingface
from tests.export_builders import encode_plain, expect_names, make_boxes_row, make_ugly_set
from tests.label_set_builders import make_label_set


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def test_datasets_gives_images_and_named_classes(tmp_path: Path) -> None:
    label_set = make_ugly_set(tmp_path / "labels")
    export_huggingface(label_set, tmp_path / "out")
    data = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert isinstance(data.features["image"], datasets.Image)
    classes = data.features["objects"]["category"].feature
    assert isinstance(classes, datasets.ClassLabel)
    assert classes.names == expect_names(label_set)
    rows = {row.key: row for row in label_set.rows()}
    assert sorted(data["key"]) == sorted(rows)
    for item in data:
        row = rows[item["key"]]
        assert item["image"].size == row.size_wh == (item["width"], item["height"])
        boxes = np.array(item["objects"]["bbox"]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        assert np.abs(boxes - row.boxes.boxes).max(initial=0) <= 1e-5
        assert item["objects"]["category"] == row.boxes.labels.tolist()
        np.testing.assert_allclose(item["objects"]["score"], row.boxes.scores)


def test_many_images_are_spread_over_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dap_core.exports.huggingface.ROWS_PER_FILE", 2)
    label_set = make_label_set(tmp_path / "labels", [make_boxes_row(f"{index}.png") for index in range(5)])
    export_huggingface(label_set, tmp_path / "out")
    assert [file.name for file in sorted((tmp_path / "out" / "data").iterdir())] == [
        f"train-{number:05d}-of-00003.parquet" for number in range(3)
    ]
    data = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert data["key"] == [f"{index}.png" for index in range(5)]


def test_linked_images_are_opened_at_their_source(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    path = tmp_path / "images" / "a.png"
    path.write_bytes(encode_plain((60, 40)))
    etag = f"{path.stat().st_size}-{path.stat().st_mtime_ns}"
    label_set = make_label_set(
        tmp_path / "labels", [make_boxes_row("a.png", etag=etag)], source=str(tmp_path / "images")
    )
    export_huggingface(label_set, tmp_path / "out", ExportOptions(images="link"))
    data = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert data[0]["image"].size == (60, 40)
    assert data.cast_column("image", datasets.Image(decode=False))[0]["image"]["bytes"] is None


def test_without_images_there_is_no_such_column(tmp_path: Path) -> None:
    label_set = make_label_set(tmp_path / "labels", [make_boxes_row("a.png", [(0, 0, 9, 9)])])
    export_huggingface(label_set, tmp_path / "out", ExportOptions(images="none"))
    data = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert data.column_names == ["key", "width", "height", "objects"]


def test_the_card_says_the_same_as_the_files(tmp_path: Path) -> None:
    label_set = make_ugly_set(tmp_path / "labels")
    export_huggingface(label_set, tmp_path / "out")
    head = yaml.safe_load((tmp_path / "out" / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    features = datasets.Features._from_yaml_list(head["dataset_info"]["features"])
    stored = datasets.Features.from_arrow_schema(
        datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"].data.schema
    )
    assert features == stored
    assert head["size_categories"] == ["n<1K"]
