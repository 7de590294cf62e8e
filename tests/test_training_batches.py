"""What a detector is fed: the same batches whatever the number of workers, and boxes that stay on their objects."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dap_core.datasets import AnnotatedImage
from dap_core.errors import ImageError, LabelSetError, SourceError
from dap_core.images.resizing import resize_to_short_side
from dap_core.label_sets import open_label_set
from dap_core.label_sets.recutting import ShardRecutter, plan_recut
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.recipes import customise_recipe
from dap_core.stores import LocalStore
from dap_core.training.augment import AugmentConfig, TrainingBatch, make_batch
from dap_core.training.batches import BatchPlan, read_batches
from dap_core.training.order import SampleOrder
from dap_core.training.samples import AnnotatedSamples, LabelSetSamples, Sample
from dap_core.types import ClassList
from tests.builders import encode_image, make_scene
from tests.mining_builders import make_mined_set

SMALL = AugmentConfig(short_sides=(64, 96))
RED, CYAN = (255, 0, 0), (0, 255, 255)

groups = st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple)


@given(groups, st.integers(0, 3))
def test_an_epoch_has_every_sample_once_and_goes_through_one_group_after_the_other(sizes: tuple[int, ...], epoch: int):
    order = SampleOrder("set", sizes, seed=1)
    start = epoch * order.num_samples
    places = list(order.take(start, start + order.num_samples))
    assert sorted(places) == [(group, row) for group, size in enumerate(sizes) for row in range(size)]
    switches = sum(first[0] != second[0] for first, second in pairwise(places))
    assert switches == len(sizes) - 1


@given(groups, st.integers(0, 20), st.sampled_from([1, 2, 3, 6]))
def test_workers_share_a_batch_and_together_have_what_one_alone_has(sizes: tuple[int, ...], step: int, num_ranks: int):
    order = SampleOrder("set", sizes, seed=1)
    alone = order.take_batch(step, 6)
    shared = [order.take_batch(step, 6, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    assert [place for part in shared for place in part] == alone


def test_the_order_changes_with_seed_epoch_and_what_is_trained_on():
    order = SampleOrder("set", (50,), seed=1)
    first = list(order.take(0, 50))
    assert first == list(SampleOrder("set", (50,), seed=1).take(0, 50))
    others = [SampleOrder("set", (50,), seed=2).take(0, 50), SampleOrder("other", (50,), seed=1).take(0, 50)]
    for other in (*others, order.take(50, 100)):
        assert list(other) != first


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    with pytest.raises(ValueError, match="a batch of 8 cannot be shared evenly by 3 workers"):
        SampleOrder("set", (5,), seed=1).take_batch(0, 8, num_ranks=3)


def describe(batch: TrainingBatch) -> tuple[object, ...]:
    """Everything in a batch, as values that can be compared."""
    tensors = [[tensor.tolist() for tensor in part] for part in (batch.images, batch.boxes, batch.labels)]
    return batch.step, batch.keys, tensors


def test_batches_of_a_label_set_are_the_same_here_in_worker_processes_and_resumed(tmp_path: Path):
    samples = LabelSetSamples(make_mined_set(tmp_path, num_images=7, max_rows=3))
    plan = BatchPlan(batch_size=4, stop=5, seed=3)
    here = [describe(batch) for batch in read_batches(samples, plan, SMALL, num_workers=0)]
    apart = [describe(batch) for batch in read_batches(samples, plan, SMALL, num_workers=2)]
    assert here == apart
    later = BatchPlan(batch_size=4, stop=5, seed=3, start=3)
    assert [describe(batch) for batch in read_batches(samples, later, SMALL, num_workers=0)] == here[3:]
    halves = [
        list(
            read_batches(samples, BatchPlan(batch_size=4, stop=5, seed=3, rank=rank, num_ranks=2), SMALL, num_workers=0)
        )
        for rank in (0, 1)
    ]
    assert [(*one.keys, *two.keys) for one, two in zip(*halves, strict=True)] == [batch[1] for batch in here]


@pytest.mark.parametrize("embed_images", [True, False])
def test_samples_of_a_label_set_are_its_rows_with_boxes(tmp_path: Path, embed_images: bool):
    label_set = make_mined_set(tmp_path, num_images=6, max_rows=4, embed_images=embed_images)
    samples = LabelSetSamples(label_set)
    rows = {row.key: row for row in label_set.rows() if len(row.boxes)}
    found = [sample for group, size in enumerate(samples.groups) for sample in samples.read(group, range(size))]
    assert {sample.key for sample in found} == set(rows)
    for sample in found:
        row = rows[sample.key]
        assert sample.data == (tmp_path / "images" / sample.key).read_bytes()
        np.testing.assert_array_equal(sample.boxes, row.boxes.boxes)
        np.testing.assert_array_equal(sample.labels, row.boxes.labels)


def test_a_label_set_is_known_by_its_content_wherever_and_whenever_it_was_made(tmp_path: Path):
    first = make_mined_set(tmp_path / "here", num_images=4)
    second = make_mined_set(tmp_path / "there", num_images=4)
    more = make_mined_set(tmp_path / "more", num_images=5)
    tight = LocalStore(tmp_path / "tight")
    recipe = customise_recipe(first.manifest.settings.mining_recipe, thresholds=(0.7,))
    run_plan(tight, start_label_set(tight, *plan_recut(first, recipe)), ShardRecutter(first, tight, recipe))
    identities = [LabelSetSamples(one).identity for one in (first, second, more, open_label_set(tight))]
    assert first.sha256 != second.sha256
    assert identities[0] == identities[1]
    assert len(set(identities)) == 3


def test_a_flipped_byte_of_a_shard_is_an_error(tmp_path: Path):
    label_set = make_mined_set(tmp_path)
    path = tmp_path / "labels" / label_set.shards[0].data
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(LabelSetError, match="its bytes are not those its name hashes"):
        list(
            read_batches(
                LabelSetSamples(open_label_set(tmp_path / "labels")),
                BatchPlan(batch_size=6, stop=1, seed=0),
                SMALL,
                num_workers=0,
            )
        )


def make_sample(colour: tuple[int, int, int] = RED) -> Sample:
    """A 200 x 150 scene with a rectangle at (40, 30) to (120, 110)."""
    scene = make_scene((200, 150), (40, 30, 120, 110), colour)
    return Sample("a.png", encode_image(scene), np.array([[40, 30, 120, 110]], np.float32), np.array([0]))


@pytest.mark.parametrize("step", range(4))
def test_boxes_stay_on_their_object_when_it_is_resized_and_mirrored(step: int):
    batch = make_batch(step, [make_sample()], AugmentConfig(short_sides=(75, 96)), seed=5)
    [image], [boxes] = batch.images, batch.boxes
    assert min(image.shape[1:]) in (75, 96)
    x1, y1, x2, y2 = boxes[0].round().int().tolist()
    inside, everywhere = image[:, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].float(), image.float()
    redness = inside[0].mean() - inside[1:].mean()
    outside = everywhere[0].mean() - everywhere[1:].mean()
    assert redness > 150 > outside


def test_both_ways_round_come_up_and_only_when_they_may():
    def find_left_edges(mirror: bool) -> set[int]:
        config = AugmentConfig(short_sides=(150,), mirror=mirror)
        return {int(make_batch(step, [make_sample()], config, seed=1).boxes[0][0, 0]) for step in range(12)}

    assert (find_left_edges(mirror=True), find_left_edges(mirror=False)) == ({40, 80}, {40})


def test_the_short_side_of_a_batch_is_drawn_from_those_of_the_recipe():
    config = AugmentConfig(short_sides=(96, 160, 320))
    assert {config.draw_short_side(7, step) for step in range(60)} == {96, 160, 320}


def test_a_very_wide_image_becomes_smaller_than_its_short_side():
    assert resize_to_short_side(np.zeros((100, 1000, 3), np.uint8), 200).shape == (40, 400, 3)


def test_an_image_that_cannot_be_decoded_is_named():
    sample = make_sample()
    with pytest.raises(ImageError, match=r"a.png: .*"):
        make_batch(0, [Sample(sample.key, b"no image", sample.boxes, sample.labels)], SMALL, seed=0)


def test_annotated_images_leave_out_boxes_to_ignore_and_refuse_unknown_classes(tmp_path: Path):
    store = LocalStore(tmp_path)
    store.put("a.png", make_sample(CYAN).data)
    boxes = np.array([[0, 0, 9, 9], [5, 5, 50, 50]], np.float32)
    image = AnnotatedImage("a.png", None, boxes, ("cat", "dog"), np.array([True, False]))
    classes = ClassList.from_pairs([("c", "cat"), ("d", "dog")])
    [sample] = AnnotatedSamples(store, (image,), classes, "shots").read(0, [0])
    assert (sample.boxes.tolist(), sample.labels.tolist()) == ([[5, 5, 50, 50]], [1])
    only_cats = ClassList.from_pairs([("c", "cat")])
    with pytest.raises(SourceError, match=r"a.png has a box of class 'dog'; the classes are cat"):
        AnnotatedSamples(store, (image,), only_cats, "shots").read(0, [0])
