"""Training a classifier: what it is fed, what is trained, and that a run ends as one that was never interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from dap_core.class_lists import imagenet_classes
from dap_core.classifiers import load_network, make_network
from dap_core.datasets import SameLabels, Source, open_source, read_image_folder
from dap_core.errors import SourceError, TooManyFailuresError
from dap_core.stores import LocalStore
from dap_core.training.batches import BatchPlan
from dap_core.training.classifier_batches import read_classifier_batches
from dap_core.training.classifier_recipe import CLASSIFIER_RECIPES, ClassifierRecipe, get_classifier_recipe
from dap_core.training.classifier_run import (
    TrainedClassifier,
    compute_classifier_losses,
    continue_classifier,
    make_classifier_run,
    start_classifier,
)
from dap_core.training.crops import ClassifierBatch, CropConfig, make_crops
from dap_core.training.labelled_samples import LabelledImage, LabelledSamples, collect_samples, hold_out
from dap_core.training.left_out import LeftOut
from dap_core.training.runs import RunOptions, TrainingRun, claim_place, execute_run
from dap_core.types import ClassList
from tests.builders import encode_image, make_classes, make_pixels, make_scene
from tests.mining_builders import write_colour_folder

TINY = "timm/test_resnet"
CROPS = CropConfig(size=48, least_area=0.3, mirror=True)
RECIPE = ClassifierRecipe(
    name="tiny", source="test", batch_size=8, num_steps=6, lr=0.05, warmup_steps=1, crop_size=48, precision="float32"
)
PLAN = BatchPlan(batch_size=8, stop=4, seed=3)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small are slower on two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_samples(root: Path, num_images: int = 12) -> LabelledSamples:
    """Red (x0) and blue (x1) rectangles."""
    return collect_samples(open_source([write_colour_folder(root, num_images)]))[0]


def describe(batch: ClassifierBatch) -> tuple[object, ...]:
    return batch.step, batch.keys, batch.targets, batch.images.numpy().tobytes()


def read(samples: LabelledSamples, plan: BatchPlan = PLAN, num_workers: int = 0) -> list[tuple[object, ...]]:
    left_out = LeftOut(len(samples))
    return [describe(one) for one in read_classifier_batches(samples, plan, CROPS, left_out, num_workers=num_workers)]


def test_labels_are_the_classes_and_a_wnid_has_its_name(tmp_path: Path):
    for key in ("n02124075/a.png", "mug/b.png", "mug/c.png"):
        LocalStore(tmp_path).put(key, encode_image(make_pixels()))
    samples, warnings = collect_samples(read_image_folder(tmp_path))
    assert [(one.wnid, one.name) for one in samples.classes.classes] == [("mug", "mug"), ("n02124075", "Egyptian cat")]
    assert (samples.targets, warnings) == ([(0,), (0,), (1,)], ())


def test_images_without_a_class_are_left_out_and_told_of(tmp_path: Path):
    write_colour_folder(tmp_path, 40)
    LocalStore(tmp_path).put("none.png", encode_image(make_pixels()))
    LocalStore(tmp_path).put("x9/odd.png", encode_image(make_pixels()))
    samples, warnings = collect_samples(read_image_folder(tmp_path), make_classes(3))
    assert len(samples) == 40
    assert [text.split(";")[0] for text in warnings[:2]] == [
        "1 of 41 labelled images (2.4%) have a label that the classifier does not know",
        "1 images have no label",
    ]
    assert warnings[2] == "1 of 3 classes have no image, such as 'class 2'"


def test_what_makes_no_classifier_is_refused(tmp_path: Path):
    write_colour_folder(tmp_path, 4)
    with pytest.raises(SourceError, match="images of two classes or more, got 1"):
        collect_samples(read_image_folder(tmp_path, SameLabels(("x0",))))
    with pytest.raises(SourceError, match="label auto"):
        collect_samples(read_image_folder(tmp_path, SameLabels(("auto",))))
    with pytest.raises(SourceError, match=r"'x0' .*check the class list"):
        collect_samples(read_image_folder(tmp_path), imagenet_classes())


def test_a_share_of_each_class_is_held_out_and_always_the_same(tmp_path: Path):
    samples = make_samples(tmp_path, 21)
    train, held = hold_out(samples, 0.2)
    assert [sum(one == (label,) for one in held.targets) for label in (0, 1)] == [3, 2]
    assert sorted([*train.rows.keys.to_pylist(), *held.rows.keys.to_pylist()]) == samples.rows.keys.to_pylist()
    turned = samples.take(np.arange(len(samples))[::-1].copy())
    assert set(hold_out(turned, 0.2)[1].rows.keys.to_pylist()) == set(held.rows.keys.to_pylist())
    assert [len(part) for part in hold_out(samples, 0.99)] == [2, 19]
    assert len(hold_out(samples, 0)[1]) == 0


def test_batches_are_the_same_here_in_a_worker_process_resumed_and_shared(tmp_path: Path):
    samples = make_samples(tmp_path)
    here = read(samples)
    assert read(samples, num_workers=1) == here
    assert read(samples, BatchPlan(batch_size=8, stop=4, seed=3, start=2)) == here[2:]
    halves = [read(samples, BatchPlan(batch_size=8, stop=4, seed=3, rank=rank, num_ranks=2)) for rank in (0, 1)]
    assert [one[1] + two[1] for one, two in zip(*halves, strict=True)] == [batch[1] for batch in here]
    assert read(samples, BatchPlan(batch_size=8, stop=4, seed=4)) != here


def test_the_identity_follows_keys_content_and_classes(tmp_path: Path):
    samples = make_samples(tmp_path, 4)
    other_classes = LabelledSamples(samples.store, samples.rows, ((1,), (0,)), samples.classes)
    other_names = LabelledSamples(samples.store, samples.rows, samples.targets_by_code, make_classes(2))
    fewer = samples.take(np.arange(3))
    LocalStore(tmp_path).put("x0/image 000.png", encode_image(make_pixels()))
    changed = collect_samples(open_source([tmp_path]))[0]
    identities = {one.identity for one in (samples, other_classes, other_names, fewer, changed)}
    assert len(identities) == 5


def make_image(key: str = "a.png", *, broken: bool = False) -> LabelledImage:
    scene = make_scene((160, 120), (0, 0, 80, 120))
    return LabelledImage(key, (0,), b"no image" if broken else encode_image(scene))


def test_crops_show_parts_of_the_image_both_ways_round():
    config = CropConfig(size=32, least_area=1.0, mirror=True)
    red_left = [bool(make_crops(step, [make_image()], config, 1).images[0, 16, 4, 0] > 200) for step in range(12)]
    assert set(red_left) == {True, False}
    whole = CropConfig(size=32, least_area=1.0, mirror=False)
    assert all(make_crops(step, [make_image()], whole, 1).images[0, 16, 4, 0] > 200 for step in range(12))
    shares = [(make_crops(step, [make_image()], CROPS, 1).images[0, ..., 0] > 128).float().mean() for step in range(40)]
    assert min(shares) < 0.2
    assert max(shares) > 0.8


def test_another_image_stands_in_for_one_that_cannot_be_decoded():
    images = [make_image("a.png"), make_image("b.png", broken=True), make_image("c.png")]
    missing = LabelledImage("d.png", (0,), None, "there is no such object")
    batch = make_crops(0, [*images, missing], CROPS, 1)
    assert batch.keys == ("a.png", "a.png", "c.png", "c.png")
    assert not torch.equal(batch.images[0], batch.images[1])
    assert [key for key, _ in batch.problems] == ["b.png", "d.png"]
    with pytest.raises(TooManyFailuresError, match=r"none of the 1 images of step 5 can be used, such as b.png: "):
        make_crops(5, images[1:2], CROPS, 1)


def test_a_few_bad_images_are_told_of_once_and_more_are_refused():
    told: list[str] = []
    left_out = LeftOut(100, told.append)
    for _ in range(2):
        left_out.add([(f"{number}.jpg", "truncated") for number in range(5)], 50)
    assert told == [f"left out: {number}.jpg: truncated" for number in range(5)]
    with pytest.raises(TooManyFailuresError, match=r"6 of 100 images cannot be used, such as 0.jpg: truncated"):
        left_out.add([("5.jpg", "empty")], 1)
    LeftOut(1_000_000).add([(str(number), "empty") for number in range(50)], 60)
    with pytest.raises(TooManyFailuresError, match="51 of 1,000 images"):
        LeftOut(1_000_000).add([(str(number), "empty") for number in range(51)], 60)


def test_the_loss_is_cross_entropy_with_shared_and_smoothed_targets():
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    batch = ClassifierBatch(0, ("a", "b", "c"), torch.zeros(3, 8, 8, 3, dtype=torch.uint8), ((1,), (0, 3), (2,)))

    class Fixed(torch.nn.Linear):
        def forward(self, _images: torch.Tensor) -> torch.Tensor:
            return logits

    targets = torch.tensor([[0, 1, 0, 0], [0.5, 0, 0, 0.5], [0, 0, 1, 0]])
    for smoothing in (0.0, 0.1):
        [loss] = compute_classifier_losses(Fixed(1, 1), batch, label_smoothing=smoothing).values()
        expected = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing)
        assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert [part.targets for part in ClassifierBatch(0, ("a", "b"), batch.images[:2], ((1,), (2,))).split(2)] == [
        ((1,),),
        ((2,),),
    ]


def test_upper_leaves_the_lower_layers_and_their_statistics_as_they_are():
    network = start_classifier(make_network(TINY, 10), 2, seed=0)
    model = TrainedClassifier(network, "upper").train()
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    images = torch.randint(0, 255, (4, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    model(images).square().sum().backward()
    optimizer.step()
    same = {name for name, value in network.module.state_dict().items() if torch.equal(value, before[name])}
    assert {"conv1.0.weight", "bn1.running_mean", "layer1.0.bn1.running_var"} <= same
    assert not same & {"fc.weight", "layer4.0.downsample.1.weight", "layer4.0.bn1.running_mean"}


def test_a_last_layer_goes_on_in_the_order_of_the_new_class_list():
    network = start_classifier(make_network(TINY, 10), 3, seed=0)
    before = network.linear.weight.detach().clone()
    turned = ClassList.from_pairs((f"x{index}", "another name") for index in (2, 0, 1))
    assert torch.equal(continue_classifier(network, make_classes(3), turned).linear.weight, before[[2, 0, 1]])
    with pytest.raises(ValueError, match="differ in more than their order"):
        continue_classifier(network, make_classes(3), make_classes(2))


def make_run(samples: LabelledSamples, seed: int = 0) -> TrainingRun[ClassifierBatch]:
    network = start_classifier(make_network(TINY, 10), len(samples.classes), seed)
    return make_classifier_run(
        network, samples, RECIPE, seed=seed, parents={}, num_decoders=0, left_out=LeftOut(len(samples))
    )


def train(samples: LabelledSamples, store: LocalStore, stops: Sequence[int] = (), seed: int = 0) -> bytes:
    """Trains in a store, stopped after these steps; gives the tensors it ended with."""
    claim_place(store, make_run(samples, seed).describe())
    for stop in (*stops, None):
        steps: list[int] = []
        run = make_run(samples, seed)
        options = RunOptions(writer="test", save_every=100)
        finished = execute_run(
            run,
            store,
            options,
            on_step=lambda report, steps=steps: steps.append(report.step),
            should_stop=lambda stop=stop, steps=steps: steps[-1] + 1 == stop,
        )
        assert finished == (stop is None)
    return store.get("model.safetensors")


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path):
    samples = make_samples(tmp_path / "photos")
    straight = train(samples, LocalStore(tmp_path / "straight"))
    assert train(samples, LocalStore(tmp_path / "stopped"), stops=(2, 5)) == straight
    assert train(samples, LocalStore(tmp_path / "other"), seed=1) != straight


def test_recipes_name_their_source_and_odd_values_are_refused():
    assert all(recipe.source for recipe in CLASSIFIER_RECIPES.values())
    paper = get_classifier_recipe("classifier-in14m")
    assert (paper.batch_size, paper.lr, paper.schedule) == (8192, 3.2, "cosine")
    assert paper.num_steps * paper.batch_size == pytest.approx(50 * 14_197_122, rel=1e-4)
    assert paper.compute_lr(paper.num_steps - 1) < 1e-6 < paper.compute_lr(paper.warmup_steps)
    for odd in ({"least_crop": 0}, {"label_smoothing": 1}, {"crop_size": 16}):
        with pytest.raises(ValueError, match=next(iter(odd))[:4]):
            ClassifierRecipe(name="odd", source="test", batch_size=1, num_steps=1, lr=1, **odd)


def test_a_class_list_decides_the_order_of_the_outputs(tmp_path: Path):
    source: Source = open_source([write_colour_folder(tmp_path, 4)])
    turned = ClassList.from_pairs([("x1", "blue"), ("x0", "red")])
    assert collect_samples(source, turned)[0].targets == [(1,), (1,), (0,), (0,)]


def test_upper_leaves_the_normalisation_of_the_lower_layers_of_lite0_as_it_is():
    model = TrainedClassifier(load_network("lite0"), "upper").train()
    lower = {name: one for name, one in model.network.named_parameters() if name.startswith(("bn1.", "blocks.0."))}
    assert any(".bn" in name for name in lower)
    assert not any(one.requires_grad for one in lower.values())
    assert not model.network.get_submodule("bn1").training
    upper = [one for name, one in model.network.named_parameters() if name.startswith(("conv_head.", "blocks.6."))]
    assert all(one.requires_grad for one in upper)
