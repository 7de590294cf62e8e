"""Reading boxes from CSV files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dap_core.datasets.csv_boxes import names_box_columns, read_csv_boxes
from dap_core.errors import SourceError


def write(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "boxes.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_lines_of_one_path_are_one_image(tmp_path: Path) -> None:
    header = "\ufeffYMin,path, label ,xmin,ymax,xmax\n"
    text = header + "1,a.jpg,cat,0,10,20\n2,b.jpg,dog,1,3,5\n\n0,a.jpg,dog,5.5,9,7\n,c.jpg,,,,\n"
    annotations = read_csv_boxes(write(tmp_path, text))
    assert [(image.key, image.class_names) for image in annotations.images] == [
        ("a.jpg", ("cat", "dog")),
        ("b.jpg", ("dog",)),
        ("c.jpg", ()),
    ]
    np.testing.assert_array_equal(annotations.images[0].boxes, [(0, 1, 20, 10), (5.5, 0, 7, 9)])
    assert (annotations.class_names, annotations.problems) == (("cat", "dog"), ())


def test_inclusive_corners_are_the_last_pixel_inside(tmp_path: Path) -> None:
    path = write(tmp_path, "path,xmin,ymin,xmax,ymax\na.jpg,0,10,63,10\n")
    assert read_csv_boxes(path, inclusive=True).images[0].boxes.tolist() == [[0, 10, 64, 11]]


def test_an_unknown_split_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, "split,path,xmin,ymin,xmax,ymax\nval,a.jpg,0,0,1,1\ntrain,b.jpg,0,0,1,1\n")
    with pytest.raises(SourceError, match="has no split 'test'; it has val, train"):
        read_csv_boxes(path, split="test")
    path.write_text("path,xmin,ymin,xmax,ymax\na.jpg,0,0,1,1\n")
    with pytest.raises(SourceError, match="has no split 'val'; it has none"):
        read_csv_boxes(path, split="val")


@pytest.mark.parametrize("column", ["label", "class", "wnid", "name"])
def test_any_of_several_columns_names_the_class(tmp_path: Path, column: str) -> None:
    path = write(tmp_path, f"filename,{column},xmin,ymin,xmax,ymax\na.jpg,cat,0,0,1,1\n")
    assert read_csv_boxes(path).class_names == ("cat",)


def test_without_such_a_column_all_boxes_are_of_one_class(tmp_path: Path) -> None:
    assert read_csv_boxes(write(tmp_path, "path,xmin,ymin,xmax,ymax\na.jpg,0,0,1,1\n")).class_names == ("object",)


def test_splits_are_chosen_and_found_in_their_folders(tmp_path: Path) -> None:
    header = "split,path,xmin,ymin,xmax,ymax\n"
    path = write(tmp_path, header + "train,n01/a.jpg,0,0,1,1\nval,n01/a.jpg,0,0,2,2\n")
    assert [image.key for image in read_csv_boxes(path, split="val").images] == ["n01/a.jpg"]
    for split in ("train", "val"):
        (tmp_path / split / "n01").mkdir(parents=True)
        (tmp_path / split / "n01" / "a.jpg").write_bytes(b"")
    annotations = read_csv_boxes(path)
    assert [image.key for image in annotations.images] == ["train/n01/a.jpg", "val/n01/a.jpg"]
    assert annotations.image_root == tmp_path


def test_sizes_and_scores_are_read_from_their_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "path,xmin,ymin,xmax,ymax,width,height,score\na.jpg,0,0,99,99,50,40,0.5\n")
    [image] = read_csv_boxes(path).images
    assert (image.size_wh, image.boxes.tolist()) == ((50, 40), [[0, 0, 50, 40]])
    assert image.scores is not None
    assert image.scores.tolist() == [0.5]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg,cat,0,0,1", "expected 6 columns, got 5"),
        ("a.jpg,cat,0,0,1,", "ymax must be a number, got ''"),
        ("a.jpg,cat,0,0,wide,1", "xmax must be a number, got 'wide'"),
        ("a.jpg,cat,0,0,nan,1", "is not finite"),
        ("a.jpg,cat,0,0,-inf,1", "is not finite"),
        ("a.jpg,cat,5,0,1,1", "is inverted"),
        ("a.jpg,cat,5,0,5,1", "has no area"),
        ("a.jpg,cat,-5,-5,-1,-1", "lies outside"),
        ("a.jpg,,0,0,1,1", "the class has no name"),
        (",cat,0,0,1,1", "no path"),
    ],
)
def test_a_line_that_cannot_be_used_is_reported_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path, f"path,label,xmin,ymin,xmax,ymax\ngood.jpg,cat,0,0,1,1\n{line}\n")
    annotations = read_csv_boxes(path)
    assert len(annotations.images[0].boxes) == 1
    [problem] = annotations.problems
    assert problem.where == "line 3"
    assert message in problem.message


def test_a_box_that_starts_below_zero_is_clipped_and_reported(tmp_path: Path) -> None:
    annotations = read_csv_boxes(write(tmp_path, "path,xmin,ymin,xmax,ymax\na.jpg,-3,0,9,9\n"))
    assert annotations.images[0].boxes.tolist() == [[0, 0, 9, 9]]
    assert "sticks out of the image by 3" in annotations.problems[0].message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"path,label\na.jpg,cat\n", "has columns path, label; expected path,xmin"),
        (b"xmin,ymin,xmax,ymax\n0,0,1,1\n", "expected path,xmin"),
        ("path,xmin,ymin,xmax,ymax\né.jpg,0,0,1,1\n".encode("latin-1"), "cannot be read as a UTF-8"),
        (b"path,xmin,ymin,xmax,ymax\na.jpg\n", "no image could be read; line 2"),
    ],
    ids=["empty", "no corners", "no path", "wrong encoding", "no line"],
)
def test_a_file_that_holds_no_boxes_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=message):
        read_csv_boxes(path)


def test_a_list_of_labels_is_told_from_a_list_of_boxes(tmp_path: Path) -> None:
    assert names_box_columns(write(tmp_path, "Path, XMin ,ymin,xmax,ymax\n"))
    for text in ("path,label\na.jpg,cat\n", "", "a.jpg,cat\n"):
        assert not names_box_columns(write(tmp_path, text))
    assert not names_box_columns(write(tmp_path, "xmin", encoding="utf-16"))
    assert not names_box_columns(tmp_path / "missing.csv")
