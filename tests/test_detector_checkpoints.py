"""Checkpoints of detectors: they come back whole, and anything damaged or of another kind is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from dap_core.detectors import (
    ARCHITECTURES,
    DetectorConfig,
    load_checkpoint,
    make_detector,
    read_checkpoint,
    save_checkpoint,
)
from dap_core.errors import CheckpointError, ObjectMissingError, StoreError
from dap_core.stores import LocalStore
from tests.builders import make_classes
from tests.detector_builders import TINY_CONFIG, make_tiny_classifier, make_tiny_detector, make_training_images

pytestmark = pytest.mark.usefixtures("one_thread")

EVERY_SCORE = replace(TINY_CONFIG, score_threshold=0.0)


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path)


@pytest.fixture
def saved(store):
    save_checkpoint(store, "run/step-7", make_tiny_detector(), step=7, recipe={"lr": 0.01})
    return store


def detect(detector):
    with torch.inference_mode():
        return detector.eval()(make_training_images()[0])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_detector_comes_back_with_the_same_detections(store, architecture):
    detector = make_tiny_detector(architecture, config=EVERY_SCORE)
    save_checkpoint(store, "a", detector, step=1, recipe={})
    loaded = load_checkpoint(store, "a")
    assert (loaded.architecture, loaded.classes, loaded.config) == (architecture, detector.classes, EVERY_SCORE)
    for found, expected in zip(detect(loaded), detect(detector), strict=True):
        assert len(expected.boxes)
        assert torch.equal(found.boxes, expected.boxes)
        assert torch.equal(found.labels, expected.labels)
        assert torch.equal(found.scores, expected.scores)


def test_a_checkpoint_says_what_the_detector_was_made_from(store):
    classifier = replace(make_tiny_classifier(), mean=(0.1, 0.2, 0.3), weights_sha256="ab" * 32)
    config = DetectorConfig(fpn_channels=32, class_agnostic=True, freeze_backbone=True)
    detector = make_detector("fcos", classifier, make_classes(), config=config)
    sha256 = save_checkpoint(store, "a", detector, step=12, recipe={"name": "x"}, parents={"label_set": "cd" * 32})
    found = read_checkpoint(store, "a")
    assert (found.step, found.recipe, found.parents) == (12, {"name": "x"}, {"label_set": "cd" * 32})
    assert (found.tensors_sha256, found.config, len(found.classes)) == (sha256, config, 1)
    loaded = found.make_detector()
    assert loaded.origin == detector.origin
    assert loaded.origin.weights_sha256 == "ab" * 32
    assert loaded.network.transform.image_mean == [0.1, 0.2, 0.3]
    assert not any(value.requires_grad for value in loaded.network.backbone.body.parameters())


class FailingStore(LocalStore):
    """A directory that takes no description."""

    def put(self, key, data):
        if key.endswith(".json"):
            raise StoreError(f"{key}: no space")
        super().put(key, data)


def test_a_description_always_points_at_complete_tensors(saved):
    with pytest.raises(StoreError, match="no space"):
        save_checkpoint(FailingStore(saved.root), "run/step-7", make_tiny_detector(seed=1), step=7, recipe={})
    with pytest.raises(ObjectMissingError):
        load_checkpoint(saved, "run/step-7")
    save_checkpoint(saved, "run/step-7", make_tiny_detector(seed=1), step=7, recipe={})
    assert read_checkpoint(saved, "run/step-7").step == 7


def test_a_checkpoint_that_is_not_there_is_named(store):
    with pytest.raises(ObjectMissingError, match=r"none/checkpoint\.json"):
        load_checkpoint(store, "none")


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_tensors_that_end_early_are_refused(saved, share):
    key = "run/step-7/model.safetensors"
    data = saved.get(key)
    saved.put(key, data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        load_checkpoint(saved, "run/step-7")


def test_one_changed_value_is_noticed(saved):
    key = "run/step-7/model.safetensors"
    data = bytearray(saved.get(key))
    data[-1] ^= 1
    saved.put(key, bytes(data))
    with pytest.raises(CheckpointError, match=r"does not hold the tensors that checkpoint\.json names"):
        load_checkpoint(saved, "run/step-7")


def change(store, **values):
    key = "run/step-7/checkpoint.json"
    store.put(key, json.dumps({**json.loads(store.get(key)), **values}).encode())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"format_version": 2}, "format_version 1 expected, got 2"),
        ({"architecture": "ssd"}, "got 'ssd'"),
        ({"normalisation": {"mean": [0, 0, 0], "std": [1, 1, 1], "channel_order": "BGR"}}, "RGB expected, got 'BGR'"),
        ({"normalisation": {"mean": [0, 0], "std": [1, 1, 1], "channel_order": "RGB"}}, "not enough values"),
        ({"config": {}}, "missing or unknown"),
        ({"classes": [["a", "x"], ["a", "y"]]}, "wnid of its own"),
        ({"step": "many"}, "invalid literal"),
        ({"backbone": None}, "TypeError"),
        ({"tensors_sha256": "0" * 64}, "does not hold the tensors"),
    ],
)
def test_a_description_of_another_kind_is_refused(saved, values, reason):
    change(saved, **values)
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(saved, "run/step-7")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"{}"])
def test_a_description_that_is_no_record_is_refused(saved, text):
    saved.put("run/step-7/checkpoint.json", text)
    with pytest.raises(CheckpointError, match=r"checkpoint\.json describes no detector"):
        load_checkpoint(saved, "run/step-7")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"classes": [["a", "x"]]}, r"2 misshapen|4 misshapen"),
        ({"architecture": "retinanet"}, "missing"),
        ({"backbone": {"name": "no_such_net", "weights_sha256": ""}}, "backbone of the checkpoint cannot be made"),
    ],
)
def test_tensors_of_another_detector_are_refused(saved, values, reason):
    change(saved, **values)
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(saved, "run/step-7")


def test_tensors_of_another_file_are_refused(saved):
    saved.put("run/step-7/model.safetensors", save({"a": torch.ones(1)}))
    with pytest.raises(CheckpointError, match="does not hold the tensors"):
        load_checkpoint(saved, "run/step-7")
