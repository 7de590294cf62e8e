"""k-shot subsets: enough of every class, nested, the same for everyone who asks again."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dap_core.datasets import (
    PAPER_SHOTS,
    Annotations,
    Counting,
    make_synthetic_set,
    read_annotations,
    read_shots,
    read_voc_years,
    sample_shots,
    select_shots,
    write_shots,
)
from dap_core.errors import ObjectMissingError, SourceError
from dap_core.stores import LocalStore
from tests.truth_builders import make_annotations

CLASSES = ("ant", "bee", "cat", "dog")
BOX = (1.0, 1.0, 9.0, 9.0)


def annotate(classes: dict[str, tuple[str, ...]], *, ignored: tuple[str, ...] = ()) -> Annotations:
    """Annotations of images by their classes."""
    return make_annotations({key: [(name, BOX) for name in names] for key, names in classes.items()}, ignored=ignored)


def count_images(annotations: Annotations, keys: tuple[str, ...]) -> Counter[str]:
    """Images per class among `keys`."""
    classes = {image.key: set(image.class_names) for image in annotations.images}
    return Counter(name for key in keys for name in classes[key])


def make_random_annotations(num_images: int = 200, seed: int = 0) -> Annotations:
    """Images with one to three of the classes, `ant` in most of them and `dog` in few."""
    draw = random.Random(seed)
    weights = (8, 3, 2, 1)
    return annotate(
        {f"{n}.jpg": tuple(draw.choices(CLASSES, weights, k=draw.randint(1, 3))) for n in range(num_images)}
    )


image_sets = st.lists(st.sets(st.sampled_from(CLASSES), min_size=1), min_size=4, max_size=40).map(
    lambda sets: annotate(
        {f"{number}.jpg": tuple(sorted(names)) for number, names in enumerate([*sets, *({name} for name in CLASSES)])}
    )
)
"""Data sets with every class in at least one image."""


def largest_k(annotations: Annotations) -> int:
    """The most shots that every class allows."""
    return min(count_images(annotations, tuple(image.key for image in annotations.images)).values())


@given(image_sets, st.integers(0, 5))
def test_every_class_gets_k_images_and_no_image_is_drawn_that_none_needed(images: Annotations, seed: int) -> None:
    for k in range(1, largest_k(images) + 1):
        shots = sample_shots(images, k, seed=seed)
        counts = count_images(images, shots.keys)
        assert min(counts[name] for name in CLASSES) >= k
        assert len(set(shots.keys)) == len(shots.keys) <= k * len(CLASSES)
        for place, key in enumerate(shots.keys):
            before = count_images(images, shots.keys[:place])
            assert any(before[name] < k for name in count_images(images, (key,)))


@given(image_sets, st.integers(0, 5))
def test_fewer_shots_begin_more_shots(images: Annotations, seed: int) -> None:
    subsets = [sample_shots(images, k, seed=seed).keys for k in range(1, largest_k(images) + 1)]
    for fewer, more in itertools.pairwise(subsets):
        assert more[: len(fewer)] == fewer


@given(image_sets, st.randoms(use_true_random=False))
def test_the_order_of_images_and_classes_decides_nothing(images: Annotations, shuffler: random.Random) -> None:
    mixed = list(images.images)
    shuffler.shuffle(mixed)
    other = Annotations(tuple(mixed), tuple(reversed(images.class_names)))
    assert sample_shots(other, 1, seed=3) == sample_shots(images, 1, seed=3)


def test_another_seed_draws_other_images() -> None:
    images = make_random_annotations()
    subsets = {sample_shots(images, 5, seed=seed).keys for seed in range(5)}
    assert len(subsets) == 5
    assert sample_shots(images, 5, seed=1) == sample_shots(images, 5, seed=1)


def test_the_draw_is_pinned() -> None:
    """A change here changes every k-shot study that was ever run: its numbers can no longer be compared."""
    images = annotate({f"{number}.jpg": (CLASSES[number % 4],) for number in range(40)})
    numbers = [0, 9, 10, 7, 32, 21, 38, 35]
    assert sample_shots(images, 2, seed=0).keys == tuple(f"{number}.jpg" for number in numbers)


def test_counted_for_one_class_each_the_totals_are_the_papers() -> None:
    images = make_random_annotations(2000)
    for k in PAPER_SHOTS:
        own = sample_shots(images, k, seed=0, counting="own")
        shared = sample_shots(images, k, seed=0)
        assert len(own.keys) == k * len(CLASSES) > len(shared.keys)
        assert min(count_images(images, own.keys).values()) >= k


@pytest.mark.parametrize("counting", ["shared", "own"])
def test_the_subset_of_five_begins_that_of_a_hundred(counting: Counting) -> None:
    images = make_random_annotations(2000)
    hundred = sample_shots(images, 100, seed=0, counting=counting).keys
    for k in PAPER_SHOTS:
        keys = sample_shots(images, k, seed=0, counting=counting).keys
        assert hundred[: len(keys)] == keys


def test_a_class_with_too_few_images_is_named_with_their_number() -> None:
    images = annotate({"1.jpg": ("ant",), "2.jpg": ("ant", "bee"), "3.jpg": ("ant",)})
    with pytest.raises(SourceError, match=r"at least 2 images of every class, found fewer of bee \(1\); lower k"):
        sample_shots(images, 2, seed=0)
    assert sample_shots(images, 2, seed=0, class_names=["ant"]).class_names == ("ant",)


def test_many_scarce_classes_are_counted() -> None:
    images = annotate({f"{number}.jpg": (f"class {number}",) for number in range(8)})
    with pytest.raises(SourceError, match=r"class 4 \(1\) and 3 more"):
        sample_shots(images, 2, seed=0)


def test_a_declared_class_without_any_image_is_named() -> None:
    images = replace(annotate({"1.jpg": ("ant",)}), class_names=("ant", "yak"))
    with pytest.raises(SourceError, match=r"yak \(0\)"):
        sample_shots(images, 1, seed=0)


def test_boxes_to_ignore_are_no_shots() -> None:
    images = annotate({"1.jpg": ("ant", "bee"), "2.jpg": ("bee",)}, ignored=("ant",))
    with pytest.raises(SourceError, match=r"ant \(0\)"):
        sample_shots(images, 1, seed=0)


def test_images_that_other_classes_took_can_leave_too_few() -> None:
    images = annotate({"1.jpg": ("ant", "bee")})
    assert sample_shots(images, 1, seed=0).keys == ("1.jpg",)
    with pytest.raises(
        SourceError, match=r"images of bee that only 0 are left for it; lower k, or count images as shared"
    ):
        sample_shots(images, 1, seed=0, counting="own")


def test_wrong_calls_are_refused() -> None:
    images = annotate({"1.jpg": ("ant",)})
    for k, seed in ((0, 0), (1, -1)):
        with pytest.raises(ValueError, match=f"got {k} and {seed}"):
            sample_shots(images, k, seed=seed)
    with pytest.raises(ValueError, match="counting must be one of shared, own, got 'each'"):
        sample_shots(images, 1, seed=0, counting="each")  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="no class to draw"):
        sample_shots(annotate({"1.jpg": ()}), 1, seed=0)


def test_a_subset_is_kept_in_a_file_and_gives_the_same_images(tmp_path: Path) -> None:
    images, store = make_random_annotations(), LocalStore(tmp_path)
    shots = sample_shots(images, 10, seed=7)
    write_shots(store, "studies/voc/10-shot.json", shots)
    assert read_shots(store, "studies/voc/10-shot.json") == shots
    chosen = select_shots(images, shots)
    assert tuple(image.key for image in chosen.images) == shots.keys
    by_key = {image.key: image for image in images.images}
    assert all(image is by_key[image.key] for image in chosen.images)
    assert chosen.class_names == images.class_names


def test_a_subset_of_other_images_is_refused() -> None:
    shots = sample_shots(make_random_annotations(200), 5, seed=0)
    with pytest.raises(SourceError, match="5-shot subset was drawn from 200 other images, got 199"):
        select_shots(make_random_annotations(199), shots)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expecting value"),
        (b"[]", "list indices"),
        (b'{"k": 1}', "keys"),
        (b'{"keys": "1.jpg", "class_names": []}', "keys must be a list of texts"),
        (b'{"keys": [], "class_names": [], "counting": "each"}', "counting must be one of"),
        (b'{"keys": [], "class_names": [], "counting": "own"}', "missing"),
        (b'{"keys": [], "class_names": [], "counting": "own", "colour": 1}', "colour"),
    ],
    ids=["empty", "a list", "no keys", "keys as text", "odd counting", "fields missing", "unknown field"],
)
def test_a_file_that_is_no_subset_is_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    store = LocalStore(tmp_path)
    store.put("shots.json", content)
    with pytest.raises(SourceError, match=rf"shots.json is no list of k-shot images.*{message}"):
        read_shots(store, "shots.json")
    with pytest.raises(ObjectMissingError):
        read_shots(store, "other.json")


def test_shots_of_a_coco_file(tmp_path: Path) -> None:
    make_synthetic_set(tmp_path / "set", num_images=24, seed=0, kind="detection", size_wh=(96, 96), num_classes=4)
    images = read_annotations(tmp_path / "set")
    shots = sample_shots(images, 3, seed=0)
    counts = count_images(images, shots.keys)
    assert min(counts.values()) >= 3
    assert len(counts) == 4
    assert len(shots.keys) < 12


def write_voc_image(devkit: Path, year: str, stem: str, name: str) -> None:
    """The XML file of one image with one object, and an empty image file."""
    box = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>10</xmax><ymax>10</ymax></bndbox>"
    size = "<size><width>20</width><height>20</height></size>"
    content = f"<filename>{stem}.jpg</filename>{size}<object><name>{name}</name>{box}</object>"
    for folder, suffix, text in (
        ("Annotations", "xml", f"<annotation>{content}</annotation>"),
        ("JPEGImages", "jpg", ""),
    ):
        file = devkit / f"VOC{year}" / folder / f"{stem}.{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def write_voc_list(devkit: Path, year: str, name: str, *stems: str) -> None:
    """An image set of one year."""
    file = devkit / f"VOC{year}" / "ImageSets" / "Main" / f"{name}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{stem}\n" for stem in stems))


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """Both years of VOC with two images of each class in trainval, and one image of 2007 in test."""
    for year, prefix in (("2007", "00000"), ("2012", "2008_00000")):
        stems = [f"{prefix}{number}" for number in range(4)]
        for number, stem in enumerate(stems):
            write_voc_image(tmp_path, year, stem, CLASSES[number % 2])
        write_voc_list(tmp_path, year, "trainval", *stems)
    write_voc_image(tmp_path, "2007", "000009", "ant")
    write_voc_list(tmp_path, "2007", "test", "000009")
    return tmp_path


def test_voc_07_and_12_are_one_set_of_candidates(devkit: Path) -> None:
    images = read_voc_years(devkit)
    assert len(images.images) == 8
    assert images.class_names == ("ant", "bee")
    assert images.problems == ()
    shots = sample_shots(images, 4, seed=0)
    assert {key.split("/")[0] for key in shots.keys} == {"VOC2007", "VOC2012"}
    assert images.image_root is not None
    assert all((images.image_root / key).is_file() for key in shots.keys)
    np.testing.assert_array_equal(images.images[0].boxes, [[1, 2, 10, 10]])
    with pytest.raises(SourceError, match=r"ant \(4\), bee \(4\)"):
        sample_shots(images, 5, seed=0)


def test_another_image_set_of_one_year(devkit: Path) -> None:
    images = read_voc_years(devkit, years=["2007"], image_set="test")
    assert [image.key for image in images.images] == ["VOC2007/JPEGImages/000009.jpg"]


def test_a_missing_year_is_an_error_and_a_listed_image_without_annotations_a_problem(devkit: Path) -> None:
    with pytest.raises(SourceError, match=r"VOC2012/ImageSets/Main/test.txt cannot be read.*give the folder VOCdevkit"):
        read_voc_years(devkit, image_set="test")
    (devkit / "VOC2012" / "Annotations" / "2008_000001.xml").unlink()
    [problem] = read_voc_years(devkit).problems
    assert (problem.where, problem.message) == ("VOC2012/2008_000001", "listed in trainval.txt, without annotations")
