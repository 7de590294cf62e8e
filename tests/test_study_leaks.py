"""Images that occur in two parts are found, left out for every arm, and reported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from services.annotated_data import open_annotated
from services.jobs.specs import DataFields
from services.studies.leaks import LeakFinder, LeakReport, load_or_find, write_leave_out
from services.studies.study import Downstream, Training
from tests.label_set_builders import make_block_cam, make_label_set, make_row


def make_photo(seed: int) -> np.ndarray:
    cells = np.random.default_rng(seed).integers(0, 255, (7, 9, 3), dtype=np.uint8)
    return cv2.resize(cells, (128, 96), interpolation=cv2.INTER_CUBIC)


def encode(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def make_part(folder: Path, images: Mapping[str, bytes]) -> DataFields:
    """Images with a box each, as COCO annotations."""
    (folder / "images").mkdir(parents=True)
    for key, data in images.items():
        (folder / "images" / key).write_bytes(data)
    listed = [{"id": n, "file_name": key, "width": 128, "height": 96} for n, key in enumerate(images, 1)]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [8, 8, 64, 48]} for n in range(1, len(images) + 1)]
    drawn = {"images": listed, "annotations": boxes, "categories": [{"id": 1, "name": "patch"}]}
    (folder / "annotations.json").write_text(json.dumps(drawn))
    return DataFields(data=str(folder / "annotations.json"), shots=None)


@pytest.fixture
def labels(tmp_path: Path) -> str:
    """A label set of four photographs, 0 to 3."""
    cam = make_block_cam((10, 10, 40, 30))
    rows = [make_row(f"{seed}.png", [cam], image=encode(make_photo(seed))) for seed in range(4)]
    return make_label_set(tmp_path / "labels", rows).store.uri


@pytest.fixture
def data(tmp_path: Path) -> Downstream:
    """Of the test part `small.jpg` is photograph 0, `mirrored.png` is in validation, `trained.png` in training."""
    small = encode(cv2.resize(make_photo(0), (64, 48), interpolation=cv2.INTER_AREA), ".jpg")
    test = {"small.jpg": small, "mirrored.png": encode(make_photo(10)[:, ::-1].copy())}
    test |= {"trained.png": encode(make_photo(20)), "own.png": encode(make_photo(30)), "broken.png": b"no image"}
    return Downstream(
        name="patches",
        train=make_part(tmp_path / "train", {"a.png": encode(make_photo(20)), "b.png": encode(make_photo(21))}),
        validation=make_part(tmp_path / "val", {"c.png": encode(make_photo(10)), "d.png": encode(make_photo(21))}),
        test=make_part(tmp_path / "test", test),
        shots=(1,),
        steps=(1,),
        finetuning=Training(recipe="finetune-laptop"),
    )


def find(labels: str, data: Downstream) -> LeakReport:
    return LeakFinder().find([labels], [], (data,))


def test_copies_are_found_wherever_they_are(labels: str, data: Downstream) -> None:
    report = find(labels, data)
    found = {(leak.part, leak.key, leak.seen_key) for leak in report.leaks}
    assert found == {
        ("test", "small.jpg", "0.png"),
        ("test", "mirrored.png", "c.png"),
        ("test", "trained.png", "a.png"),
        ("validation", "d.png", "b.png"),
    }
    assert report.num_unreadable == 1
    assert report.list_keys("patches", "test") == ["mirrored.png", "small.jpg", "trained.png"]


def test_what_is_left_out_is_not_measured_on(labels: str, data: Downstream, tmp_path: Path) -> None:
    files = write_leave_out(str(tmp_path / "root"), find(labels, data), (data,))
    assert files.keys() == {"patches/test", "patches/validation"}
    place = files["patches/test"].replace("{root}", str(tmp_path / "root"))
    left = open_annotated(data.test.model_copy(update={"leave_out": place})).annotations.images
    assert sorted(image.key for image in left) == ["broken.png", "own.png"]


def test_the_list_of_a_part_without_copies_is_not_there(labels: str, data: Downstream, tmp_path: Path) -> None:
    assert write_leave_out(str(tmp_path), LeakReport((), {}, 0), (data,)) == {}


def test_what_was_found_is_kept_until_something_else_is_asked(
    labels: str, data: Downstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_or_find(str(tmp_path / "root"), [labels], [], (data,))
    calls: list[int] = []
    whole = LeakFinder.find
    monkeypatch.setattr(LeakFinder, "find", lambda *args: calls.append(1) or whole(*args))
    assert load_or_find(str(tmp_path / "root"), [labels], [], (data,)) == first
    assert not calls
    load_or_find(str(tmp_path / "root"), [labels], [data.train], (data,))
    assert calls
