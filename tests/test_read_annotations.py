"""Finding out which format a path holds, and annotations as a source to mine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dap_core.datasets import READERS, annotations_to_source, open_source, read_annotations
from dap_core.datasets.annotation_builder import clip_corners
from dap_core.datasets.annotation_files import detect_format
from dap_core.errors import DestinationError, SourceError
from dap_core.exports import EXPORTERS, export_label_set
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
        ("f.xml", "<"),
        ("g.txt", "x"),
    ):
        (exports / name).write_text(text)
        cases.append((exports / name, "holds no annotations of a known format"))
    for path, message in cases:
        with pytest.raises(SourceError, match=message) as caught:
            read_annotations(path)
        assert "\n" not in str(caught.value)


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
