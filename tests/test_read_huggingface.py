"""Reading Hugging Face Parquet files, ours and those that `datasets` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dap_core.datasets import AnnotatedImage, Problem
from dap_core.datasets.huggingface import read_huggingface
from dap_core.errors import SourceError
from tests.export_builders import encode_plain


def make_row(**fields: Any) -> dict[str, Any]:
    """One row: an image of 60 x 40 pixels with one box."""
    objects = {"bbox": [[10.0, 20.0, 30.0, 15.0]], "category": [1]}
    image = {"bytes": encode_plain((60, 40)), "path": "in/a.png"}
    return {"image": image, "width": 60, "height": 40, "objects": objects, **fields}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def test_what_datasets_writes_is_read_with_its_class_names(tmp_path: Path) -> None:
    item = {
        "bbox": datasets.List(datasets.Value("float32"), length=4),
        "category": datasets.ClassLabel(names=["cat", "dog"]),
    }
    features = datasets.Features({"image": datasets.Image(), "objects": datasets.List(item)})
    row = {"image": make_row()["image"], "objects": [{"bbox": [10, 20, 30, 15], "category": 1}]}
    empty = {"image": {"bytes": encode_plain((30, 20)), "path": "b.png"}, "objects": []}
    datasets.Dataset.from_list([row, empty], features=features).to_parquet(str(tmp_path / "train.parquet"))
    annotations = read_huggingface(tmp_path)
    first, second = annotations.images
    assert (first.key, first.size_wh, first.class_names) == ("in/a.png", (60, 40), ("dog",))
    np.testing.assert_array_equal(first.boxes, [(10, 20, 40, 35)])
    assert (second.key, second.size_wh, len(second.boxes)) == ("b.png", (30, 20), 0)
    assert (annotations.class_names, annotations.problems) == (("cat", "dog"), ())


def test_without_features_classes_are_what_the_column_holds(tmp_path: Path) -> None:
    objects = {"bbox": [[10.0, 20.0, 40.0, 35.0]], "label": ["cat"], "score": [0.5]}
    path = write(tmp_path / "a.parquet", make_row(objects=objects, key="k.png"))
    [image] = read_huggingface(path, box_format="xyxy").images
    assert (image.key, image.class_names, image.boxes.tolist()) == ("k.png", ("cat",), [[10, 20, 40, 35]])
    assert image.scores is not None
    assert image.scores.tolist() == [0.5]


def test_sizes_come_from_the_image_where_no_column_gives_them(tmp_path: Path) -> None:
    row = make_row()
    path = write(tmp_path / "a.parquet", {"image": row["image"], "objects": row["objects"]})
    assert read_huggingface(path).images[0].size_wh == (60, 40)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ({"bbox": [[1.0, 2.0, 3.0]], "category": [0]}, "bbox must be 4 numbers"),
        ({"bbox": [None], "category": [0]}, "bbox is missing"),
        ({"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": [None]}, "category is missing"),
        ({"bbox": [[1.0, 2.0, 0.0, 4.0]], "category": [0]}, "has no area"),
        ({"bbox": [[1.0, 2.0, float("nan"), 4.0]], "category": [0]}, "is not finite"),
        ({"bbox": [[90.0, 2.0, 3.0, 4.0]], "category": [0]}, "lies outside"),
        ({"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": [0, 1]}, "the lists of objects differ in length"),
    ],
    ids=str,
)
def test_a_box_that_cannot_be_used_is_reported(tmp_path: Path, objects: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "a.parquet", make_row(objects=objects))
    annotations = read_huggingface(path)
    assert len(annotations.images[0].boxes) == 0
    [problem] = annotations.problems
    assert "a.parquet row 1" in problem.where
    assert message in problem.message


@pytest.mark.parametrize("sizes", [{}, {"width": 60, "height": 40}], ids=["no sizes", "sizes"])
def test_an_image_column_may_be_text_or_bytes(tmp_path: Path, sizes: dict[str, int]) -> None:
    objects = make_row()["objects"]
    write(tmp_path / "a.parquet", {"image": "in/a.png", "objects": objects, **sizes})
    write(tmp_path / "b.parquet", {"image": encode_plain((60, 40)), "objects": objects, **sizes})
    write(tmp_path / "c.parquet", {"image": 7, "objects": objects, **sizes})
    annotations = read_huggingface(tmp_path)
    assert [image.key for image in annotations.images] == ["in/a.png", "b.parquet row 1", "c.parquet row 1"]
    assert annotations.images[1].size_wh == (60, 40)
    assert annotations.problems == ()


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ({"bbox": 3.0, "category": [1]}, "bbox of objects must be a list, got float"),
        ({"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": 1}, "category of objects must be a list, got int"),
        ("boxes", "objects must be an object, got str"),
        ([1, 2], "an object must be an object, got int"),
    ],
)
def test_objects_of_another_form_are_reported(tmp_path: Path, objects: object, message: str) -> None:
    [image], problems = read_objects(write(tmp_path / "a.parquet", make_row(objects=objects)))
    assert (len(image.boxes), [problem.message for problem in problems]) == (0, [message])


def read_objects(path: Path) -> tuple[tuple[AnnotatedImage, ...], tuple[Problem, ...]]:
    annotations = read_huggingface(path)
    return annotations.images, annotations.problems


def test_broken_files_and_equal_keys_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", make_row(), make_row())
    (tmp_path / "b.parquet").write_bytes(b"PAR1 but no more")
    write(tmp_path / "c.parquet", {"text": "no boxes"})
    broken = make_row(image={"bytes": b"no image", "path": "c.png"})
    write(tmp_path / "d.parquet", {"image": broken["image"], "objects": broken["objects"]})
    annotations = read_huggingface(tmp_path)
    assert [image.key for image in annotations.images] == ["in/a.png", "c.png"]
    messages = {problem.where: problem.message for problem in annotations.problems}
    assert "was given before" in messages["a.parquet row 2"]
    assert "is no Parquet file" in messages["b.parquet"]
    assert "has no column objects, only text" in messages["c.parquet"]
    assert "is broken or none" in messages["d.parquet row 1"]


def test_nothing_to_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no Parquet file"):
        read_huggingface(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(SourceError, match="no image could be read"):
        read_huggingface(tmp_path)
