"""Finding out which format a path holds, and annotations as a source to mine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dap_core.datasets import READERS, annotations_to_source, open_source, read_annotations
from dap_core.datasets.annotation_builder import clip_corners
from dap_core.datasets.annotation_files import detect_format
from dap_core.errors import DestinationError, SourceError, StoreError
from dap_core.exports import EXPORTERS, export_label_set
from dap_core.label_sets.plan import assign_shards, freeze_plan, read_plan
from tests.export_builders import make_boxes_row, make_ugly_set
from tests.label_set_builders import make_label_set


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """The same two images in every format, in folders of its name."""
    rows = [make_boxes_row("in/a.png", [(1, 2, 30, 40), (0, 0, 9, 9)], labels=[0, 1]), make_boxes_row("b.png")]
    label_set = make_label_set(tmp_path / "labels", rows)
    for name in EXPORTERS:
        export_label_set(label_set, tmp_path / name, name)
    return tmp_path


FILES = {
    "coco": "annotations.json",
    "voc": "Annotations/b.xml",
    "yolo": "data.yaml",
    "label-studio": "tasks.json",
    "fiftyone": "labels.json",
    "cvat": "annotations.xml",
    "huggingface": "data/train-00000-of-00001.parquet",
}


@pytest.mark.parametrize("format_", EXPORTERS)
def test_the_format_of_a_folder_or_file_is_found_out(exports: Path, format_: str) -> None:
    assert detect_format(exports / format_)[0] == format_
    assert detect_format(exports / format_ / FILES[format_])[0] == format_
    assert len(read_annotations(exports / format_).images) == 2
    assert len(read_annotations(exports / format_, format_).images) == 2


def test_what_cannot_be_told_is_refused_in_one_clear_line(exports: Path) -> None:
    cases: list[tuple[Path, str]] = [(exports / "missing", "there is no"), (exports / "labels", "no annotations")]
    for name, text in (
        ("a.json", "[]"),
        ("b.json", '{"a": 1}'),
        ("c.json", ""),
        ("d.csv", "path,label\n"),
        ("e.xml", "<html/>"),
        ("g.txt", "x"),
    ):
        (exports / name).write_text(text)
        cases.append((exports / name, "holds no annotations of a known format"))
    for path, message in cases:
        with pytest.raises(SourceError, match=message) as caught:
            read_annotations(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.xml", b"<annotation>", "a.xml is no XML that can be read"),
        ("data.yaml", b"names: [", "data.yaml is no YOLO data file: while parsing"),
        ("a.parquet", b"PAR1", "a.parquet is no Parquet file that can be read"),
    ],
)
def test_why_annotations_cannot_be_read_is_said_of_a_file_and_of_its_folder(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(data)
    for path in (tmp_path / name, *([] if name == "a.parquet" else [tmp_path])):
        with pytest.raises(SourceError, match=message) as caught:
            read_annotations(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match=message):
        open_source([tmp_path / name])


def test_what_only_looks_like_annotations_is_no_obstacle(tmp_path: Path) -> None:
    """A folder and a dangling link called *.json, and a table of something else, beside folders of classes."""
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(b"")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    pq.write_table(pa.table({"text": ["no boxes"]}), tmp_path / "other.parquet")
    assert [row.labels for row in open_source([tmp_path]).rows] == [("cat",)]
    (tmp_path / "boxes.csv").write_text("path,xmin,ymin,xmax,ymax\ncat/a.png,0,0,1,1\n")
    assert detect_format(tmp_path) == ("csv", tmp_path / "boxes.csv")


def test_several_kinds_in_one_folder_have_to_be_told_apart(exports: Path) -> None:
    folder = exports / "coco"
    (folder / "boxes.csv").write_text("path,xmin,ymin,xmax,ymax\nb.png,0,0,1,1\n")
    with pytest.raises(SourceError, match=r"several kinds of annotations: annotations\.json \(coco\), boxes\.csv"):
        read_annotations(folder)
    assert len(read_annotations(folder, "csv").images) == 1
    (folder / "more.json").write_text('{"images": []}')
    with pytest.raises(SourceError, match=r"annotations\.json and more\.json; name one"):
        read_annotations(folder)
    with pytest.raises(SourceError, match=r"must hold one coco file, found annotations\.json, more\.json"):
        read_annotations(folder, "coco")


def test_options_go_to_the_reader_that_has_them(exports: Path) -> None:
    annotations = read_annotations(exports / "voc", flavor="zero-based-int")
    assert annotations.images[1].boxes.tolist() == [[2, 3, 30, 40], [1, 1, 9, 9]]
    with pytest.raises(ValueError, match="the reader of coco has no option flavor"):
        read_annotations(exports / "coco", flavor="devkit")
    with pytest.raises(ValueError, match="format must be one of coco"):
        read_annotations(exports / "coco", "tfrecord")


@pytest.mark.parametrize("format_", READERS)
def test_a_path_of_another_kind_is_refused_not_crashed_on(tmp_path: Path, format_: str) -> None:
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "noise.bin", tmp_path / "empty"):
        with pytest.raises(SourceError):
            read_annotations(path, format_)


@pytest.mark.parametrize(
    ("xyxy", "clipped", "overhang"),
    [
        ((0, 0, 60, 40), (0, 0, 60, 40), 0),
        ((-1, 2, 3, 4), (0, 2, 3, 4), 1),
        ((50, 30, 65, 42), (50, 30, 60, 40), 5),
        ((-9, -9, 99, 99), (0, 0, 60, 40), 59),
    ],
)
def test_boxes_are_clipped_to_the_image(
    xyxy: tuple[float, float, float, float], clipped: tuple[float, ...], overhang: float
) -> None:
    assert clip_corners(xyxy, (60, 40)) == (clipped, overhang)


@pytest.mark.parametrize("format_", [name for name in EXPORTERS if name != "huggingface"])
def test_annotations_are_a_source_whose_labels_are_their_classes(exports: Path, format_: str) -> None:
    source = open_source([exports / format_], label_map={"blue": "x1"})
    labels = {row.key: row.labels for row in source.rows}
    assert sorted(labels.values()) == [(), ("red", "x1")]
    assert all(source.store.get(row.key, etag=row.etag) for row in source.rows)


def test_a_class_mapped_to_nothing_is_left_out_and_equal_labels_count_once(exports: Path) -> None:
    annotations = read_annotations(exports / "coco")
    for label_map, labels in (
        ({"red": ""}, ("blue",)),
        ({"red": "cat", "blue": "cat"}, ("cat",)),
        ({"red": "", "blue": ""}, ()),
    ):
        assert annotations_to_source(annotations, label_map=label_map).rows[0].labels == labels


def test_a_mapped_class_must_be_there(exports: Path) -> None:
    with pytest.raises(SourceError, match="have no class 'green'; they have blue, red"):
        open_source([exports / "coco"], label_map={"green": "x0"})


def test_annotations_whose_images_are_nowhere_need_a_root(exports: Path) -> None:
    annotations = read_annotations(exports / "huggingface")
    with pytest.raises(SourceError, match="were not found"):
        annotations_to_source(annotations)
    source = annotations_to_source(annotations, exports / "coco" / "images")
    assert {row.key: row.size > 0 for row in source.rows} == {"in/a.png": True, "b.png": True}


def test_labels_and_annotations_exclude_one_another(exports: Path) -> None:
    with pytest.raises(SourceError, match="gives its own labels"):
        open_source([exports / "coco" / "annotations.json"], ["cat"])
    assert {row.labels for row in open_source([exports / "coco"], ["cat"]).rows} == {("cat",)}
    with pytest.raises(SourceError, match="only classes of annotations can be renamed"):
        open_source([exports / "coco" / "images"], label_map={"red": "x0"})
    with pytest.raises(DestinationError, match="lies inside the source"):
        open_source([exports / "coco"], destination=exports / "coco" / "out")


def test_problems_of_annotations_go_with_the_source(exports: Path) -> None:
    (exports / "yolo" / "labels" / "b.txt").write_text("7 0.5 0.5 1 1\n")
    [problem] = open_source([exports / "yolo"]).problems
    assert "there is no class 7" in problem.message


@pytest.mark.parametrize("format_", EXPORTERS)
def test_ugly_names_are_a_source_like_any_other(tmp_path: Path, format_: str) -> None:
    export_label_set(make_ugly_set(tmp_path / "labels"), tmp_path / "out", format_)
    annotations = read_annotations(tmp_path / "out")
    roots = {"huggingface": tmp_path / "nowhere"}
    source = annotations_to_source(annotations, roots.get(format_))
    assert [row.key for row in source.rows] == [image.key for image in annotations.images]
    assert format_ == "huggingface" or all(row.etag for row in source.rows)


@pytest.mark.real_data
def test_real_annotations_can_be_mined_with_a_renamed_class(data_dir: Path) -> None:
    source = open_source([data_dir / "kangaroo"], label_map={"kangaroo": "wallaby"})
    assert {row.labels for row in source.rows} == {("wallaby",)}
    assert np.mean([row.size > 0 for row in source.rows]) == 1


def test_names_of_an_export_are_read_back_as_keys_and_files_stay_where_they_are(tmp_path: Path) -> None:
    rows = [make_boxes_row(key, [(1, 2, 30, 40)]) for key in ("cat/a.png", "cat/b.jpg")]
    export_label_set(make_label_set(tmp_path / "labels", rows), tmp_path / "out", "voc")
    for path in (tmp_path / "out", tmp_path / "out" / "Annotations"):
        images = read_annotations(path).images
        assert [(image.key, image.original_key) for image in images] == [
            ("cat_a.jpg", "cat/a.png"),
            ("cat_b.jpg", "cat/b.jpg"),
        ]
    source = open_source([tmp_path / "out"])
    assert {row.key: row.size > 0 for row in source.rows} == {"cat_a.jpg": True, "cat_b.jpg": True}


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        (b"name,key,size\nb.png,x.png,3\n", {}),
        (b"", {}),
        (b"name,key\nb.png\nb.png,x.png\nb.png,y.png\n", {"names.csv line 2", "names.csv line 4"}),
        (b"name,key\n\xff\n", {"names.csv"}),
    ],
    ids=["of something else", "empty", "odd lines", "other encoding"],
)
def test_a_list_of_names_that_cannot_be_used_is_reported(exports: Path, data: bytes, problems: set[str]) -> None:
    (exports / "coco" / "names.csv").write_bytes(data)
    annotations = read_annotations(exports / "coco")
    assert {problem.where for problem in annotations.problems} == set(problems)
    keys = [image.original_key for image in annotations.images]
    assert keys == [None, "x.png" if len(problems) == 2 else None]


def test_names_that_no_file_can_have_are_planned_and_fail_one_by_one(tmp_path: Path) -> None:
    names = ["good.png", "x" * 300 + ".png", "nul\0.png", "half\ud800.png"]
    content = {
        "images": [{"id": index, "file_name": name} for index, name in enumerate(names)],
        "categories": [{"id": 1, "name": "half\udc00 a class"}],
        "annotations": [{"image_id": index, "category_id": 1, "bbox": [0, 0, 5, 5]} for index in range(len(names))],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    (tmp_path / "good.png").write_bytes(b"x")
    source = open_source([tmp_path / "boxes.json"])
    settings = make_label_set(tmp_path / "labels", [make_boxes_row("a.png")]).manifest.settings
    plan, data = freeze_plan(assign_shards(source.rows), settings)
    assert read_plan(data) == plan
    assert {row.labels for row in source.rows} == {("half\\udc00 a class",)}
    assert source.rows[3].key == "half\\ud800.png"
    assert source.store.get("good.png", etag=source.rows[0].etag) == b"x"
    for row in source.rows[1:]:
        with pytest.raises(StoreError):
            source.store.get(row.key, etag=row.etag)
