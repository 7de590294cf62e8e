"""Images with drawn boxes as a job names them: official layouts, in folders and in buckets, and parts of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dap_core.errors import SourceError
from dap_core.stores import LocalStore, Store
from services.annotated_data import open_annotated
from services.jobs.specs import DataFields
from tests.builders import encode_image, make_pixels
from tests.s3_servers import S3Server

VOC_XML = """<annotation><filename>{name}.jpg</filename>
<size><width>60</width><height>40</height><depth>3</depth></size>
<object><name>{label}</name><difficult>0</difficult>
<bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>25</ymax></bndbox></object></annotation>"""
JPEG = encode_image(make_pixels(60, 40), "JPEG")


def write_devkit(store: Store) -> None:
    """Two years of VOC, each with an image for training and one for testing."""
    for year in (2007, 2012):
        for number, (part, label) in enumerate([("trainval", "cat"), ("test", "dog")]):
            name = f"{year}_{number:06d}"
            xml = VOC_XML.format(name=name, label=label)
            store.put(f"VOC{year}/Annotations/{name}.xml", xml.encode())
            store.put(f"VOC{year}/JPEGImages/{name}.jpg", JPEG)
            store.put(f"VOC{year}/ImageSets/Main/{part}.txt", f"{name}\n".encode())


def write_coco(store: Store) -> None:
    """COCO's layout: annotations/instances_train2017.json and train2017/."""
    images = [{"id": number, "file_name": f"{number:012d}.jpg", "width": 60, "height": 40} for number in range(3)]
    boxes = [
        {"id": n, "image_id": n % 3, "category_id": 7 + n % 2, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}
        for n in range(4)
    ]
    categories = [{"id": 7, "name": "cat"}, {"id": 8, "name": "dog"}]
    content = {"images": images, "annotations": boxes, "categories": categories}
    store.put("annotations/instances_train2017.json", json.dumps(content).encode())
    for image in images:
        store.put(f"train2017/{image['file_name']}", JPEG)


@pytest.fixture(params=["folder", "moto", "juicefs"])
def make_place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Store], None]], str]:
    """Writes a data set, and gives the place it is in."""

    def make(write: Callable[[Store], None]) -> str:
        if request.param == "folder":
            write(LocalStore(tmp_path / "data"))
            return str(tmp_path / "data")
        server: S3Server = request.getfixturevalue("servers")[request.param]
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        store = server.make_store(f"drawn-{write.__name__.replace('_', '-')}")
        write(store)
        return store.uri

    return make


def test_years_of_voc_in_their_layout(make_place):
    place = make_place(write_devkit)
    data = open_annotated(DataFields(data=place, years=("2007", "2012")))
    keys = [image.key for image in data.annotations.images]
    assert keys == ["VOC2007/JPEGImages/2007_000000.jpg", "VOC2012/JPEGImages/2012_000000.jpg"]
    assert data.annotations.images[0].boxes.tolist() == [[10, 5, 30, 25]]
    assert [data.store.get(key) for key in keys] == [JPEG, JPEG]
    test = open_annotated(DataFields(data=place, years=("2007",), split="test"))
    assert [image.class_names for image in test.annotations.images] == [("dog",)]
    assert test.identity != data.identity


def test_coco_in_its_layout(make_place):
    place = make_place(write_coco)
    data = open_annotated(DataFields(data=f"{place}/annotations/instances_train2017.json"))
    assert data.annotations.class_names == ("cat", "dog")
    assert [len(image.boxes) for image in data.annotations.images] == [2, 1, 1]
    assert data.store.get(data.annotations.images[2].key) == JPEG


def test_parts_of_it_by_lists_shots_and_names(tmp_path: Path):
    write_coco(LocalStore(tmp_path / "data"))
    place = str(tmp_path / "data" / "annotations" / "instances_train2017.json")
    (tmp_path / "keys.txt").write_text("000000000001.jpg\n\n000000000002.jpg\n")
    listed = open_annotated(DataFields(data=place, images_from=str(tmp_path / "keys.txt")))
    left = open_annotated(DataFields(data=place, leave_out=str(tmp_path / "keys.txt")))
    assert [[image.key for image in one.annotations.images] for one in (listed, left)] == [
        ["000000000001.jpg", "000000000002.jpg"],
        ["000000000000.jpg"],
    ]
    renamed = open_annotated(DataFields(data=place, class_map={"cat": "tabby", "dog": ""}))
    assert renamed.annotations.all_class_names == ("tabby",)
    assert [len(image.boxes) for image in renamed.annotations.images] == [1, 0, 1]
    shots = open_annotated(DataFields(data=place, shots=1, shot_seed=5))
    assert shots.shots is not None
    assert [image.key for image in shots.annotations.images] == list(shots.shots.keys)


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("nobody.jpg\n", "1 listed images are not in the annotations, such as nobody.jpg; a key there is 0"),
        ("", "empty"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path: Path, listed: str, message: str):
    write_coco(LocalStore(tmp_path / "data"))
    (tmp_path / "keys.txt").write_text(listed)
    place = str(tmp_path / "data" / "annotations" / "instances_train2017.json")
    with pytest.raises(SourceError, match=message):
        open_annotated(DataFields(data=place, images_from=str(tmp_path / "keys.txt")))


def test_annotations_whose_images_are_nowhere_are_refused(
    servers: dict[str, S3Server], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", servers["moto"].url)
    store = servers["moto"].make_store("no-images")
    write_coco(store)
    for info in list(store.list_objects("train2017/")):
        store.delete(info.key)
    with pytest.raises(SourceError, match=r"the images of .* were not found beside it"):
        open_annotated(DataFields(data=f"{store.uri}/annotations/instances_train2017.json"))
