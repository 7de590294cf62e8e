"""Reading YOLO folders: layouts, line formats, and every kind of bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dap_core.datasets.yolo import read_yolo
from dap_core.errors import SourceError
from tests.builders import encode_image, make_exif, make_smooth_pixels
from tests.export_builders import encode_plain


def write_yolo(
    root: Path,
    lines: dict[str, str | bytes | None],
    *,
    config: str = "train: images\nval: images\nnames: [cat, dog]\n",
    images: str = "images",
    labels: str = "labels",
) -> Path:
    """A YOLO folder of images of 100 x 80 pixels with these label files; None leaves one out."""
    root.mkdir(exist_ok=True)
    (root / "data.yaml").write_text(config, encoding="utf-8")
    for name, text in lines.items():
        image, label = root / images / name, (root / labels / name).with_suffix(".txt")
        image.parent.mkdir(parents=True, exist_ok=True)
        label.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(encode_plain((100, 80)))
        if text is not None:
            label.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def test_boxes_are_scaled_by_the_size_of_the_image(tmp_path: Path) -> None:
    lines = {"in/a.jpg": "1 0.5 0.5 0.5 0.25\n0 0.1 0.1 0.2 0.2 0.75\n", "b.jpg": "", "c.jpg": None}
    annotations = read_yolo(write_yolo(tmp_path, lines))
    assert annotations.problems == ()
    images = {image.key: image for image in annotations.images}
    np.testing.assert_allclose(images["in/a.jpg"].boxes, [(25, 30, 75, 50), (0, 0, 20, 16)], atol=1e-5)
    assert (images["in/a.jpg"].class_names, images["in/a.jpg"].size_wh) == (("dog", "cat"), (100, 80))
    assert images["in/a.jpg"].scores is not None
    assert images["in/a.jpg"].scores.tolist() == [1.0, 0.75]
    assert len(images["b.jpg"].boxes) == len(images["c.jpg"].boxes) == 0
    assert (annotations.class_names, annotations.image_root) == (("cat", "dog"), tmp_path / "images")


def test_an_outline_counts_as_the_box_around_it(tmp_path: Path) -> None:
    annotations = read_yolo(write_yolo(tmp_path, {"a.jpg": "0 0.1 0.2 0.5 0.1 0.4 0.8\n"}))
    np.testing.assert_allclose(annotations.images[0].boxes, [(10, 8, 50, 64)], atol=1e-5)


def test_sizes_are_those_of_the_upright_image(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a.jpg": "0 0.5 0.5 1 1\n"})
    data = encode_image(Image.fromarray(make_smooth_pixels(100, 80)), "JPEG", exif=make_exif(6))
    (tmp_path / "images" / "a.jpg").write_bytes(data)
    [image] = read_yolo(tmp_path).images
    assert (image.size_wh, image.boxes.tolist()) == ((80, 100), [[0, 0, 80, 100]])


@pytest.mark.parametrize(
    ("config", "images", "labels", "key"),
    [
        ("train: images/train\nval: images/val\n", "images/train", "labels/train", "train/a.jpg"),
        ("path: .\ntrain: images/train\n", "images/train", "labels/train", "train/a.jpg"),
        ("path: ../elsewhere\ntrain: images\n", "images", "labels", "a.jpg"),
        ("train: ../train/images\n", "train/images", "train/labels", "train/images/a.jpg"),
        ("train: [images/one, images/two]\n", "images/one", "labels/one", "one/a.jpg"),
        ("train: flat\n", "flat", "flat", "flat/a.jpg"),
        ("train: images/images\n", "images/images", "images/labels", "images/a.jpg"),
    ],
    ids=["splits", "path", "path gone", "roboflow", "list", "flat", "images twice"],
)
def test_labels_are_found_in_the_layouts_in_use(
    tmp_path: Path, config: str, images: str, labels: str, key: str
) -> None:
    write_yolo(
        tmp_path,
        {"a.jpg": "1 0.5 0.5 1 1\n"},
        config=config + "names: {0: cat, 1: dog}\n",
        images=images,
        labels=labels,
    )
    annotations = read_yolo(tmp_path)
    assert [(image.key, image.class_names) for image in annotations.images] == [(key, ("dog",))]
    assert annotations.image_root is not None
    assert (annotations.image_root / key).is_file()


def test_a_text_file_may_list_the_images_of_a_split(tmp_path: Path) -> None:
    config = "train: train.txt\nval: val.txt\nnames: [cat]\n"
    write_yolo(tmp_path, {"a.jpg": "0 0.5 0.5 1 1\n", "b.jpg": ""}, config=config)
    (tmp_path / "train.txt").write_text("./images/a.jpg\n\n")
    (tmp_path / "val.txt").write_text("images/b.jpg\nimages/gone.jpg\n")
    assert [image.key for image in read_yolo(tmp_path, split="train").images] == ["a.jpg"]
    annotations = read_yolo(tmp_path)
    assert [image.key for image in annotations.images] == ["a.jpg", "b.jpg"]
    assert "gone.jpg cannot be read" in annotations.problems[0].message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.5", "expected class, cx, cy, w, h, got 4 values"),
        ("0 0.5 0.5 0.5 0.5 0.9 0.1 0.1", "got 8 values"),
        ("2 0.5 0.5 0.5 0.5", "there is no class 2"),
        ("0.5 0.5 0.5 0.5 0.5", "there is no class 0.5"),
        ("cat 0.5 0.5 0.5 0.5", "must be a number, got 'cat'"),
        ("0 nan 0.5 0.5 0.5", "is not finite"),
        ("0 0.5 0.5 inf 0.5", "is not finite"),
        ("0 0.5 0.5 0 0.5", "has no area"),
        ("0 0.5 0.5 -0.1 0.5", "is inverted"),
        ("0 2.5 0.5 0.1 0.5", "lies outside the image"),
        ("0 0.5 0.5 0.5 0.5 nan", "the score is nan"),
    ],
)
def test_a_line_that_cannot_be_used_is_reported_and_the_rest_is_read(tmp_path: Path, line: str, message: str) -> None:
    annotations = read_yolo(write_yolo(tmp_path, {"a.jpg": f"0 0.5 0.5 1 1\n{line}\n"}))
    assert len(annotations.images[0].boxes) == 1
    [problem] = annotations.problems
    assert problem.where == "labels/a.txt line 2"
    assert message in problem.message


def test_pixels_instead_of_fractions_are_reported_not_guessed(tmp_path: Path) -> None:
    annotations = read_yolo(write_yolo(tmp_path, {"a.jpg": "0 50 40 20 20\n"}))
    assert (len(annotations.images[0].boxes), len(annotations.problems)) == (0, 1)


def test_a_label_file_in_another_encoding_is_reported(tmp_path: Path) -> None:
    annotations = read_yolo(write_yolo(tmp_path, {"a.jpg": "0 0.5 0.5 1 1\n".encode("utf-16")}))
    assert (annotations.problems[0].where, len(annotations.images)) == ("labels/a.txt", 1)


def test_a_broken_image_is_reported_with_what_is_wrong(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a.jpg": "0 0.5 0.5 1 1\n", "b.jpg": "0 0.5 0.5 1 1\n", "c.jpg": ""})
    (tmp_path / "images" / "b.jpg").write_bytes(b"no image")
    (tmp_path / "images" / "c.jpg").write_bytes(b"")
    annotations = read_yolo(tmp_path)
    assert [image.key for image in annotations.images] == ["a.jpg"]
    assert [problem.where for problem in annotations.problems] == ["images/b.jpg", "images/c.jpg"]


def test_label_files_without_an_image_and_with_two_are_reported(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a.jpg": "0 0.5 0.5 1 1\n", "a.png": None})
    (tmp_path / "labels" / "lost.txt").write_text("0 0.5 0.5 1 1\n")
    annotations = read_yolo(tmp_path)
    assert [(problem.where, problem.message) for problem in annotations.problems] == [
        ("labels/a.txt", "belongs to both a.jpg and a.png; both got its boxes"),
        ("labels/lost.txt", "there is no image of this label file"),
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "holds no YAML file with class names"),
        ("train: images\n", "holds no YAML file with class names"),
        ("names: [cat]\ntrain: nowhere\n", "train: nowhere is not there"),
        ("names: [cat]\n", "leads to no image"),
        ("names: cat\ntrain: images\n", "must give names as a list or by number, got str"),
        ("names: {cat: 0}\ntrain: images\n", "must give names as a list or by number"),
    ],
    ids=["empty", "no names", "nowhere", "no split", "one name", "names turned round"],
)
def test_a_folder_without_a_usable_yaml_file_is_refused(tmp_path: Path, config: str, message: str) -> None:
    write_yolo(tmp_path, {"a.jpg": ""}, config=config)
    with pytest.raises(SourceError, match=message):
        read_yolo(tmp_path)


@pytest.mark.parametrize("text", ["names: [", "- a\n- b\n", "names: !!python/object:os.system []\n"])
def test_a_broken_yaml_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(SourceError, match="is no YOLO data file") as caught:
        read_yolo(tmp_path / "data.yaml")
    assert "\n" not in str(caught.value)


def test_of_two_yaml_files_one_has_to_be_named(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a.jpg": ""})
    (tmp_path / "other.yml").write_text("names: [x]\n")
    with pytest.raises(SourceError, match=r"holds data\.yaml, other\.yml; name one"):
        read_yolo(tmp_path)
    assert len(read_yolo(tmp_path / "data.yaml").images) == 1


def test_an_unknown_split_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no split 'test'; it has train, val"):
        read_yolo(write_yolo(tmp_path, {"a.jpg": ""}), split="test")


def test_names_too_long_for_any_file_are_not_there(tmp_path: Path) -> None:
    long = "x" * 300
    write_yolo(
        tmp_path, {"a.jpg": "0 0.5 0.5 1 1\n"}, config=f"path: {long}\ntrain: images\nval: {long}\nnames: [cat]\n"
    )
    annotations = read_yolo(tmp_path)
    assert len(annotations.images) == 1
    assert [(problem.where, problem.message) for problem in annotations.problems] == [("val", f"{long} is not there")]
    (tmp_path / "data.yaml").write_text("train: train.txt\nnames: [cat]\n")
    (tmp_path / "train.txt").write_text(f"images/a.jpg\nimages/{long}.jpg\n")
    assert len(read_yolo(tmp_path).images) == 1


def test_without_images_those_that_were_exported_give_the_sizes(tmp_path: Path) -> None:
    write_yolo(tmp_path / "source", {"in/a.JPEG": None, "b.png": None, "b.jpg": None}, images=".")
    for name in ("in/a", "b", "gone"):
        (tmp_path / "out" / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / "labels" / f"{name}.txt").write_text("1 0.5 0.5 0.5 0.25\n")
    (tmp_path / "out" / "data.yaml").write_text("train: images\nval: images\nnames: [cat, dog]\n")
    with pytest.raises(SourceError, match="images is not there"):
        read_yolo(tmp_path / "out")
    annotations = read_yolo(tmp_path / "out", image_root=tmp_path / "source")
    assert [(image.key, image.size_wh) for image in annotations.images] == [("in/a.JPEG", (100, 80))]
    assert {problem.where: problem.message for problem in annotations.problems} == {
        "b": f"{tmp_path / 'source'} has several images of this name: b.jpg, b.png",
        "gone": f"{tmp_path / 'source'} has no image of this name",
    }
    assert annotations.image_root == tmp_path / "source"


@pytest.mark.real_data
def test_coco128_is_read(data_dir: Path) -> None:
    annotations = read_yolo(data_dir / "coco128", split="train")
    assert (len(annotations.images), len(annotations.class_names)) == (128, 80)
    assert annotations.image_root == data_dir / "coco128" / "images"
    assert all((image.boxes >= 0).all() for image in annotations.images)
    assert read_yolo(data_dir / "coco128" / "config.yaml", split="val").problems == ()
