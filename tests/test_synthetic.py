"""The synthetic set: exact boxes, classes that need shape and texture, and nothing a centred box would find."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dap_core.boxes import compute_iou
from dap_core.class_lists import read_classes
from dap_core.datasets import (
    Annotations,
    Scene,
    SceneKind,
    make_synthetic_classes,
    make_synthetic_set,
    open_source,
    read_annotations,
    render_scene,
)
from dap_core.datasets.synthetic_classes import MAX_CLASSES, list_class_looks, list_distractor_looks
from dap_core.datasets.synthetic_scenes import LARGEST_SIZE, LEAST_SIZE, LEAST_VISIBLE, SCENE_KINDS, compose_scene
from dap_core.errors import DestinationError
from dap_core.evaluation.metrics import compute_floors, compute_metrics
from dap_core.evaluation.overlaps import Overlaps, center_boxes
from dap_core.images import decode_image
from dap_core.stores import LocalStore
from dap_core.types import FloatArray

SIZE_WH = (224, 160)
NUM_SCENES = 400


@pytest.fixture(scope="module", params=SCENE_KINDS)
def scenes(request: pytest.FixtureRequest) -> list[Scene]:
    """The first scenes of a seed, of either kind."""
    return [render_scene(5, index, kind=request.param) for index in range(NUM_SCENES)]


@pytest.fixture(scope="module", params=SCENE_KINDS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Annotations]:
    """A small set of either kind and where it is."""
    folder = tmp_path_factory.mktemp(request.param) / "set"
    return folder, make_synthetic_set(folder, num_images=24, seed=1, kind=request.param)


def measure_box(scenes: list[Scene], box: FloatArray) -> Overlaps:
    """How the same box overlaps every image and class, in the form that evaluation takes."""
    pairs = [(index, label) for index, scene in enumerate(scenes) for label in np.unique(scene.labels).tolist()]
    drawn = [scenes[index].boxes[scenes[index].labels == label] for index, label in pairs]
    ious = np.array([compute_iou(box[None], boxes).max() for boxes in drawn], np.float32)
    shares = [share / 100 for share in range(1, 101)]
    none = np.zeros(len(pairs), np.intp)
    return Overlaps(
        image=np.array([index for index, _ in pairs], np.intp),
        label=np.array([label for _, label in pairs], np.intp),
        num_boxes=none + 1,
        num_truth=np.array([len(boxes) for boxes in drawn], np.intp),
        top_iou=ious,
        any_iou=ious,
        top1=none.astype(bool),
        num_found=np.zeros((len(pairs), 10), np.intp),
        offset=np.zeros((len(pairs), 2), np.float32),
        log_size=none.astype(np.float32),
        centred=np.stack([compute_iou(center_boxes(SIZE_WH, shares), boxes).max(axis=1) for boxes in drawn]),
        own_any=None,
        own_largest=None,
        tight_any=None,
        tight_largest=None,
    )


def measure_sizes(scenes: list[Scene]) -> NDArray[np.floating]:
    """Longer sides of all boxes in shares of the image's shorter side."""
    boxes = np.concatenate([scene.boxes for scene in scenes])
    return (boxes[:, 2:] - boxes[:, :2]).max(axis=1) / min(SIZE_WH)


@pytest.mark.parametrize("kind", SCENE_KINDS)
def test_a_scene_depends_on_seed_index_and_kind_alone(kind: SceneKind) -> None:
    first, again = (render_scene(3, 7, kind=kind) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    others = [render_scene(4, 7, kind=kind), render_scene(3, 8, kind=kind), render_scene(7, 3, kind=kind)]
    assert all(np.abs(scene.pixels.astype(int) - first.pixels).mean() > 10 for scene in others)


@pytest.mark.parametrize(
    ("kind", "digest"), [("classification", "61ea5925825139f3"), ("detection", "177e4b79bab2f7fb")]
)
def test_a_scene_is_pinned(kind: SceneKind, digest: str) -> None:
    """A change here changes every number measured on the set; pixels are averaged, so that last bits do not count."""
    scene = render_scene(0, 1, kind=kind)
    coarse = np.rint(cv2.resize(scene.pixels, (28, 20), interpolation=cv2.INTER_AREA) / 16).astype(np.uint8)
    content = b"".join(part.tobytes() for part in (coarse, scene.boxes, scene.labels))
    assert hashlib.sha256(content).hexdigest()[:16] == digest


@pytest.mark.parametrize("kind", SCENE_KINDS)
def test_boxes_are_the_extents_of_what_shows_of_labelled_objects(kind: SceneKind) -> None:
    num_distractors = 0
    for index in range(60):
        scene = render_scene(9, index, kind=kind)
        drawn = compose_scene(9, index, kind=kind, size_wh=SIZE_WH, num_classes=8)
        np.testing.assert_array_equal(drawn.pixels, scene.pixels)
        for number, label, box in zip(drawn.labels, scene.labels, scene.boxes, strict=True):
            rows, columns = np.nonzero(drawn.owners == number)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert label == drawn.labels[number]
        num_distractors += len(set(np.unique(drawn.owners).tolist()) - {0} - drawn.labels.keys())
    assert num_distractors > 60


def test_a_centred_box_finds_little(scenes: list[Scene]) -> None:
    """Were it above 40% CorLoc, mining could look good without having found anything."""
    sizes = np.concatenate([scene.boxes[:, 2:] - scene.boxes[:, :2] for scene in scenes])
    centre, half = np.array(SIZE_WH) / 2, sizes.mean(axis=0) / 2
    overlaps = measure_box(scenes, np.concatenate([centre - half, centre + half]).astype(np.float32))
    corloc = compute_metrics(overlaps, np.ones((1, len(overlaps))))["top_box_corloc"][0]
    assert 0 < corloc < 0.4
    assert compute_floors(overlaps)["top_box_corloc"] < 0.4, "nor does a centred box of the best size"


def test_sizes_reach_from_8_to_80_percent(scenes: list[Scene]) -> None:
    sizes = measure_sizes(scenes)
    assert sizes.min() >= LEAST_SIZE
    assert sizes.max() <= LARGEST_SIZE
    assert np.quantile(sizes, 0.98) > 0.7
    assert sizes.min() < 0.12


def test_some_objects_are_cut_off_by_the_border(scenes: list[Scene]) -> None:
    boxes = np.concatenate([scene.boxes for scene in scenes])
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= SIZE_WH).all()
    cut = (boxes[:, :2] == 0).any(axis=1) | (boxes[:, 2:] == SIZE_WH).any(axis=1)
    assert 0.05 < cut.mean() < 0.4


def test_labelled_objects_are_never_hidden_by_much() -> None:
    shown = []
    for index in range(60):
        scene = compose_scene(2, index, kind="detection", size_wh=SIZE_WH, num_classes=8)
        assert scene.areas.keys() == scene.labels.keys()
        shown += [np.count_nonzero(scene.owners == number) / area for number, area in scene.areas.items()]
    assert LEAST_VISIBLE <= min(shown) < 0.8
    assert max(shown) == 1


def test_every_class_comes_as_often_as_another() -> None:
    single = [render_scene(0, index, kind="classification", size_wh=(96, 96)) for index in range(80)]
    assert all(len(set(scene.labels.tolist())) == 1 for scene in single)
    assert Counter(int(scene.labels[0]) for scene in single) == dict.fromkeys(range(8), 10)
    many = [render_scene(0, index, size_wh=(96, 96)) for index in range(NUM_SCENES)]
    counts = Counter(label for scene in many for label in scene.labels.tolist())
    assert min(counts.values()) > 0.75 * max(counts.values())
    assert np.mean([len(scene.labels) > 1 for scene in many]) > 0.5


@pytest.mark.parametrize("num_classes", range(2, MAX_CLASSES + 1))
def test_neither_shape_nor_texture_decides(num_classes: int) -> None:
    looks, others = list_class_looks(num_classes), list_distractor_looks(num_classes)
    assert len({*looks, *others}) == len(looks) + len(others) == 16
    for shape, texture in looks:
        assert any(other.shape == shape and other.texture != texture for other in others)
        assert any(other.texture == texture and other.shape != shape for other in others)


def test_with_eight_classes_shape_or_texture_alone_is_right_half_the_time() -> None:
    looks = list_class_looks(8)
    assert set(Counter(look.shape for look in looks).values()) == {2}
    assert set(Counter(look.texture for look in looks).values()) == {2}


def test_colour_alone_tells_nothing() -> None:
    """Objects of one class differ in colour as much as objects of different classes do."""
    colours: dict[int, list[NDArray[np.floating]]] = {}
    for index in range(NUM_SCENES):
        scene = compose_scene(6, index, kind="classification", size_wh=(96, 96), num_classes=8)
        for number, label in scene.labels.items():
            colours.setdefault(label, []).append(scene.pixels[scene.owners == number].mean(axis=0))
    means = np.array([np.mean(values, axis=0) for values in colours.values()])
    spread = np.mean([np.std(values, axis=0) for values in colours.values()])
    assert means.std(axis=0).max() < spread / 3


@pytest.mark.parametrize("num_classes", [2, 5, 12])
def test_other_sizes_and_numbers_of_classes(num_classes: int) -> None:
    for index in range(2 * num_classes):
        scene = render_scene(0, index, kind="classification", size_wh=(100, 140), num_classes=num_classes)
        assert scene.pixels.shape == (140, 100, 3)
        assert set(scene.labels.tolist()) == {index % num_classes}
    assert len(make_synthetic_classes(num_classes)) == num_classes


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="kind must be one of classification, detection, got 'cars'"):
        render_scene(0, 0, kind="cars")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must not be negative, got -1 and 0"):
        render_scene(-1, 0)
    with pytest.raises(ValueError, match="at least 96 pixels each way"):
        render_scene(0, 0, size_wh=(224, 95))
    for number in (1, 13):
        with pytest.raises(ValueError, match=f"num_classes must be 2 to 12, got {number}"):
            render_scene(0, 0, num_classes=number)


def test_the_annotation_file_reads_back_to_the_same_boxes(written: tuple[Path, Annotations]) -> None:
    folder, made = written
    read = read_annotations(folder)
    assert (read.problems, read.class_names, read.image_root) == ((), made.class_names, made.image_root)
    for one, other in zip(read.images, made.images, strict=True):
        assert (one.key, one.size_wh, one.class_names) == (other.key, other.size_wh, other.class_names)
        np.testing.assert_array_equal(one.boxes, other.boxes)
        assert not one.ignored.any()


def test_images_are_the_scenes_but_for_jpeg(written: tuple[Path, Annotations]) -> None:
    folder, made = written
    kind: SceneKind = "detection" if "/" not in made.images[0].key else "classification"
    for index, image in enumerate(made.images[:4]):
        scene = render_scene(1, index, kind=kind)
        pixels = decode_image((folder / "images" / image.key).read_bytes()).pixels
        assert np.abs(pixels.astype(int) - scene.pixels).mean() < 12
        np.testing.assert_array_equal(image.boxes, scene.boxes)


def test_folder_annotations_and_class_list_agree_on_the_labels(written: tuple[Path, Annotations]) -> None:
    folder, made = written
    classes = read_classes(folder / "classes.csv")
    assert classes == make_synthetic_classes()
    drawn = {image.key: {classes.index_of(name) for name in image.class_names} for image in made.images}
    rows = open_source([folder]).rows
    assert {row.key: {classes.index_of(label) for label in row.labels} for row in rows} == drawn
    if "/" in made.images[0].key:
        by_folder = open_source([folder / "images"]).rows
        assert {row.key: {classes.index_of(label) for label in row.labels} for row in by_folder} == drawn


def test_a_set_of_another_seed_shares_no_image(tmp_path: Path) -> None:
    digests = set()
    for seed in (0, 1):
        made = make_synthetic_set(tmp_path / str(seed), num_images=5, seed=seed, size_wh=(96, 96))
        digests |= {
            hashlib.sha256((tmp_path / str(seed) / "images" / image.key).read_bytes()).digest() for image in made.images
        }
    assert len(digests) == 10


def test_a_store_gets_the_same_objects_as_a_folder(tmp_path: Path) -> None:
    for place in (tmp_path / "a", LocalStore(tmp_path / "b")):
        make_synthetic_set(place, num_images=3, seed=0, size_wh=(96, 96), num_classes=3)
    listed = [list(LocalStore(tmp_path / name).list_objects()) for name in "ab"]
    assert [info.key for info in listed[0]] == [info.key for info in listed[1]]
    assert [info.key for info in listed[0]][:2] == ["annotations.json", "classes.csv"]
    for info in listed[0]:
        assert (tmp_path / "a" / info.key).read_bytes() == (tmp_path / "b" / info.key).read_bytes()


def test_a_place_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(DestinationError, match="is not empty; give a new place"):
        make_synthetic_set(tmp_path, num_images=1, seed=0)
    with pytest.raises(ValueError, match="num_images must be at least 1, got 0"):
        make_synthetic_set(tmp_path / "new", num_images=0, seed=0)
    with pytest.raises(ValueError, match="num_classes"):
        make_synthetic_set(tmp_path / "new", num_images=1, seed=0, num_classes=40)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
