"""Self-training: a detector labels images without boxes and is trained on both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dap_core.datasets import read_annotations
from dap_core.detectors import load_checkpoint
from dap_core.errors import CheckpointError, SourceError
from dap_core.label_sets import open_label_set
from dap_core.stores import LocalStore
from dap_core.training.joined_samples import JoinedSamples
from dap_core.training.samples import AnnotatedSamples
from dap_core.types import ClassList
from services.jobs.training_specs import FinetuneSpec, SelfTrainSpec
from tests.builders import encode_image, make_pixels
from tests.detector_builders import TINY
from tests.training_driver import CHANGES, run_here

pytestmark = pytest.mark.usefixtures("one_thread")


def write_drawn(folder: Path, names: tuple[str, ...]) -> Path:
    folder.mkdir()
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for number, name in enumerate(names):
        (folder / f"{number}.png").write_bytes(encode_image(make_pixels(120, 90, seed=number)))
        lines.append(f"{number}.png,120,90,{name},10,10,{60 + number},70")
    (folder / "boxes.csv").write_text("\n".join(lines) + "\n")
    return folder / "boxes.csv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn boxes of two classes, a detector fine-tuned on them, and images without boxes, one of them damaged."""
    root = tmp_path_factory.mktemp("self")
    data = write_drawn(root / "drawn", ("cat", "dog", "cat"))
    start = {"classifier": TINY, "weights": "random", "data": str(data), "out": str(root / "fine")}
    changes = {**CHANGES, "num_steps": "2"}
    run_here(FinetuneSpec.model_validate({**start, "changes": changes, "decoders": 0}))
    (root / "others").mkdir()
    for number in range(4):
        (root / "others" / f"{number}.png").write_bytes(encode_image(make_pixels(100, 80, seed=10 + number)))
    return root


def make_spec(folder: Path, out: Path, data: Path | None = None) -> SelfTrainSpec:
    values = {
        "checkpoint": str(folder / "fine"),
        "data": str(data or folder / "drawn" / "boxes.csv"),
        "images": [str(folder / "others")],
        "labels": str(out / "labels"),
        "out": str(out / "run"),
        "changes": {**CHANGES, "num_steps": "3"},
        "decoders": 0,
    }
    return SelfTrainSpec.model_validate(values)


def test_it_labels_the_images_keeps_all_layers_and_trains_on_both(folder: Path, tmp_path: Path):
    result = run_here(make_spec(folder, tmp_path)).result
    assert result is not None
    found = open_label_set(tmp_path / "labels")
    boxes = [len(row.boxes) for row in found.rows()]
    assert result["found_images"] == 4
    assert all(number <= 1 for number in boxes), (
        "an untrained detector is sure of nothing, so only the best box is kept"
    )
    assert result["images"] == 3 + sum(number > 0 for number in boxes)
    assert (result["classes"], result["steps"]) == (2, 3)
    before, after = load_checkpoint(LocalStore(folder / "fine"), ""), load_checkpoint(LocalStore(tmp_path / "run"), "")
    last = "roi_heads.box_predictor.cls_score.weight"
    moved = (after.network.state_dict()[last] - before.network.state_dict()[last]).abs().max()
    assert 0 < moved < 0.05, "the last layers were trained further, not made anew"
    assert run_here(make_spec(folder, tmp_path)).result["steps_now"] == 0  # type: ignore[index]


def test_drawn_boxes_of_a_class_that_the_detector_does_not_know_are_refused(folder: Path, tmp_path: Path):
    data = write_drawn(tmp_path / "drawn", ("cat", "cow"))
    with pytest.raises(CheckpointError, match=r"has boxes of cow, which the detector .* does not know \(cat, dog\)"):
        run_here(make_spec(folder, tmp_path, data))


def make_samples(path: Path, names: tuple[str, ...]) -> AnnotatedSamples:
    drawn = read_annotations(path)
    classes = ClassList.from_pairs((name, name) for name in names)
    return AnnotatedSamples(LocalStore(path.parent), drawn.images, classes, identity=str(path))


def test_joined_sources_count_classes_as_the_first_does(tmp_path: Path):
    first = make_samples(write_drawn(tmp_path / "a", ("cat", "dog")), ("dog", "cat"))
    second = make_samples(write_drawn(tmp_path / "b", ("cat", "cat", "dog")), ("cat", "dog"))
    joined = JoinedSamples((first, second))
    assert joined.groups == (2, 3)
    labels = [
        sample.labels.tolist() for group, size in enumerate(joined.groups) for sample in joined.read(group, range(size))
    ]
    assert labels == [[1], [0], [1], [1], [0]]
    assert joined.read(1, [2])[0].boxes == pytest.approx(np.array([[10, 10, 62, 70]], np.float32))
    other = make_samples(write_drawn(tmp_path / "c", ("cow",)), ("cow",))
    with pytest.raises(SourceError, match="boxes of class 'cow'; the classes are dog, cat"):
        JoinedSamples((first, other)).read(0, [0])
