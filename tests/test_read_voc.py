"""Reading VOC folders: conventions, layouts, and every kind of bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dap_core.datasets.voc import VocFlavor, read_voc
from dap_core.errors import SourceError

SIZE = "<size><width>100</width><height>80</height><depth>3</depth></size>"


def make_object(
    name: str = "cat", corners: tuple[object, ...] = (11, 21, 30, 40), *, extra: str = "", tags: bool = True
) -> str:
    """One <object>; corners are written as they are given."""
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=False)
    box = f"<bndbox>{''.join(f'<{tag}>{side}</{tag}>' for tag, side in sides)}</bndbox>" if tags else ""
    return f"<object><name>{name}</name>{extra}{box}</object>"


def write_voc(folder: Path, name: str = "a", *objects: str, filename: str | None = None, size: str = SIZE) -> Path:
    """One XML file of a folder."""
    path = folder / "Annotations" / f"{name}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = f"<filename>{name}.jpg</filename>" if filename is None else filename
    path.write_text(f"<annotation>{file}{size}{''.join(objects)}</annotation>", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("flavor", "expected"),
    [
        (None, (10, 20, 30, 40)),
        ("devkit", (10, 20, 30, 40)),
        ("plus-one", (10, 20, 29, 39)),
        ("zero-based-int", (11, 21, 30, 40)),
        ("zero-based-float", (11, 21, 30, 40)),
    ],
)
def test_corners_become_half_open_from_zero(
    tmp_path: Path, flavor: VocFlavor | None, expected: tuple[float, ...]
) -> None:
    [image] = read_voc(write_voc(tmp_path, "a", make_object()), flavor=flavor).images
    assert (image.key, image.size_wh, image.class_names) == ("a.jpg", (100, 80), ("cat",))
    np.testing.assert_array_equal(image.boxes, [expected])


def test_our_own_files_say_their_flavour_and_can_be_overruled(tmp_path: Path) -> None:
    source = "<source><annotation>dap zero-based-int</annotation></source>"
    write_voc(tmp_path, "a", make_object(), source)
    assert read_voc(tmp_path).images[0].boxes.tolist() == [[11, 21, 30, 40]]
    assert read_voc(tmp_path, flavor="plus-one").images[0].boxes.tolist() == [[10, 20, 29, 39]]


def test_difficult_boxes_are_to_be_ignored_and_parts_are_no_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    objects = (make_object(extra="<difficult>1</difficult>"), make_object(extra=f"<difficult>0</difficult>{part}"))
    annotations = read_voc(write_voc(tmp_path, "a", *objects))
    assert annotations.images[0].ignored.tolist() == [True, False]
    assert annotations.problems == ()


@pytest.mark.parametrize(
    ("filename", "image", "key"),
    [
        (None, "JPEGImages/a.jpg", "a.jpg"),
        (None, "images/a.jpg", "a.jpg"),
        ("<filename>a</filename>", "JPEGImages/a.JPEG", "a.JPEG"),
        ("<filename>%s</filename>", "JPEGImages/a.JPEG", "a.JPEG"),
        ("<filename>other.png</filename>", "images/a.png", "a.png"),
        ("", "images/a.png", "a.png"),
        ("<filename>sub\\b.jpg</filename>", "images/sub/b.jpg", "sub/b.jpg"),
    ],
    ids=["devkit", "images", "no suffix", "placeholder", "renamed", "left out", "backslash"],
)
def test_the_image_is_found_however_the_file_names_it(
    tmp_path: Path, filename: str | None, image: str, key: str
) -> None:
    write_voc(tmp_path, "a", make_object(), filename=filename)
    (tmp_path / image).parent.mkdir(parents=True)
    (tmp_path / image).write_bytes(b"")
    annotations = read_voc(tmp_path)
    assert [item.key for item in annotations.images] == [key]
    assert annotations.image_root == tmp_path / image.split("/")[0]


def test_folders_of_classes_as_imagenet_has_them(tmp_path: Path) -> None:
    for wnid in ("n01", "n02"):
        (tmp_path / "Annotations" / wnid).mkdir(parents=True)
        write_voc(tmp_path, f"{wnid}/{wnid}_5", make_object(wnid), filename=f"<filename>{wnid}_5</filename>")
        (tmp_path / "images" / wnid).mkdir(parents=True)
        (tmp_path / "images" / wnid / f"{wnid}_5.JPEG").write_bytes(b"")
    annotations = read_voc(tmp_path)
    assert [image.key for image in annotations.images] == ["n01/n01_5.JPEG", "n02/n02_5.JPEG"]
    assert (annotations.class_names, annotations.image_root) == (("n01", "n02"), tmp_path / "images")


def test_without_images_keys_are_what_the_files_say(tmp_path: Path) -> None:
    annotations = read_voc(write_voc(tmp_path, "a", filename="<filename>b.png</filename>"))
    assert ([image.key for image in annotations.images], annotations.image_root) == (["b.png"], None)
    assert annotations.images[0].boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (make_object(corners=("x", 2, 3, 4)), "<xmin> must be a number, got 'x'"),
        (make_object(corners=("nan", 2, 3, 4)), "is not finite"),
        (make_object(corners=(5, 5, "inf", 9)), "is not finite"),
        (make_object(corners=(1, 2, 3)), "<ymax> is missing"),
        (make_object(tags=False), "<bndbox> is missing"),
        ("<object>" + make_object()[len("<object><name>cat</name>") :], "<name> is missing"),
        (make_object("  "), "<name> is missing"),
        (make_object(corners=(30, 40, 10, 20)), "is inverted"),
        (make_object(corners=(30, 40, 29, 50)), "has no area"),
        (make_object(corners=(130, 20, 150, 40)), "lies outside the image"),
    ],
)
def test_a_box_that_cannot_be_used_is_reported_and_the_rest_is_read(tmp_path: Path, item: str, message: str) -> None:
    annotations = read_voc(write_voc(tmp_path, "a", make_object(), item))
    assert len(annotations.images[0].boxes) == 1
    [problem] = annotations.problems
    assert problem.where == "a.xml object 2"
    assert message in problem.message


@pytest.mark.parametrize(
    ("text", "ignored"),
    [("0", False), ("", False), ("Unspecified", False), ("false", False), ("1", True), (" TRUE ", True), ("yes", True)],
)
def test_difficult_boxes_are_to_be_ignored_however_it_is_written(tmp_path: Path, text: str, ignored: bool) -> None:
    item = make_object(extra=f"<difficult>{text}</difficult>")
    annotations = read_voc(write_voc(tmp_path, "a", item))
    assert (annotations.images[0].ignored.tolist(), annotations.problems) == ([ignored], ())


def test_a_difficulty_that_nobody_understands_is_reported_and_the_box_counts(tmp_path: Path) -> None:
    annotations = read_voc(write_voc(tmp_path, "a", make_object(extra="<difficult>perhaps</difficult>")))
    assert annotations.images[0].ignored.tolist() == [False]
    assert annotations.problems[0].message == "<difficult> must be 0 or 1, got 'perhaps'; taken as 0"


def test_a_box_that_sticks_out_is_clipped_and_reported(tmp_path: Path) -> None:
    annotations = read_voc(write_voc(tmp_path, "a", make_object(corners=(0, 5, 150, 80))))
    np.testing.assert_array_equal(annotations.images[0].boxes, [(0, 4, 100, 80)])
    assert "sticks out of the image of 100x80 pixels by 50; clipped" in annotations.problems[0].message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"<annotation><object>", "is no XML"),
        (b"\xff\xfe\x00garbage", "is no XML"),
        ("<annotation>\xe9</annotation>".encode("latin-1"), "is no XML"),
        (b"<?xml version='1.0' encoding='no-such'?><annotation/>", "is no XML"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>&b;</annotation>", "is no XML"),
        (b"<html/>", "expected the element <annotation>, got <html>"),
    ],
    ids=["empty", "malformed", "binary", "wrong encoding", "unknown encoding", "entities", "other"],
)
def test_a_broken_file_is_reported_and_the_rest_is_read(tmp_path: Path, data: bytes, message: str) -> None:
    write_voc(tmp_path, "good", make_object())
    (tmp_path / "Annotations" / "bad.xml").write_bytes(data)
    annotations = read_voc(tmp_path)
    assert [image.key for image in annotations.images] == ["good.jpg"]
    [problem] = annotations.problems
    assert problem.where == "bad.xml"
    assert message in problem.message


def test_another_encoding_that_the_file_declares_is_read(tmp_path: Path) -> None:
    write_voc(tmp_path, "a")
    text = f"<?xml version='1.0' encoding='latin-1'?><annotation>{make_object('é')}</annotation>"
    (tmp_path / "Annotations" / "a.xml").write_bytes(text.encode("latin-1"))
    assert read_voc(tmp_path).class_names == ("é",)


@pytest.mark.parametrize(
    "size", ["<size><width>0</width><height>0</height></size>", "<size><width>9</width></size>"], ids=["zero", "half"]
)
def test_a_size_that_is_none_is_reported_and_boxes_are_kept(tmp_path: Path, size: str) -> None:
    annotations = read_voc(write_voc(tmp_path, "a", make_object(corners=(1, 1, 900, 900)), size=size))
    assert (annotations.images[0].size_wh, len(annotations.images[0].boxes)) == (None, 1)
    assert len(annotations.problems) == 1


def test_an_image_annotated_twice_counts_once(tmp_path: Path) -> None:
    write_voc(tmp_path, "a", make_object("cat"))
    write_voc(tmp_path, "b", make_object("dog"), filename="<filename>a.jpg</filename>")
    annotations = read_voc(tmp_path)
    assert [image.class_names for image in annotations.images] == [("cat",)]
    assert (annotations.problems[0].where, "was given before" in annotations.problems[0].message) == ("b.xml", True)


def test_a_folder_without_any_usable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no XML file"):
        read_voc(tmp_path)
    (tmp_path / "a.xml").write_text("<annotation>")
    with pytest.raises(SourceError, match=r"no image could be read; a\.xml: is no XML"):
        read_voc(tmp_path)
    with pytest.raises(ValueError, match="flavor must be one of"):
        read_voc(tmp_path, flavor="other")


@pytest.mark.real_data
def test_164_real_files_of_kangaroos_are_read(data_dir: Path) -> None:
    annotations = read_voc(data_dir / "kangaroo")
    assert (len(annotations.images), annotations.class_names, annotations.problems) == (164, ("kangaroo",), ())
    assert annotations.image_root == data_dir / "kangaroo" / "images"
    np.testing.assert_array_equal(annotations.images[0].boxes[0], (232, 88, 386, 262))
