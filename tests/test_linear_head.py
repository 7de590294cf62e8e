"""A last layer on frozen features: the optimum, the same each time, and the labeler's own logits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from dap_core.cam import compute_logits, resize_image, run_passes
from dap_core.classifiers import make_network
from dap_core.datasets import open_source
from dap_core.errors import TrainingError
from dap_core.images import decode_image
from dap_core.passes import CamConfig
from dap_core.training.labelled_samples import collect_samples
from dap_core.training.left_out import LeftOut
from dap_core.training.linear_head import DEFAULT_PENALTY, PENALTIES, fit_linear_head
from dap_core.training.pooled_features import PooledImages, measure_accuracy, pool_features
from tests.builders import make_classes
from tests.mining_builders import make_toy_engine, write_colour_folder


def make_clusters(num_images: int, noise: float = 0.5, num_classes: int = 3) -> PooledImages:
    """Features [N, 6] in a cluster for each class, of unlike scale and far from zero."""
    numbers = torch.Generator().manual_seed(3)
    centres = torch.randn(num_classes, 6, generator=numbers)
    labels = [index % num_classes for index in range(num_images)]
    features = centres[labels] + noise * torch.randn(num_images, 6, generator=numbers)
    return PooledImages(0.05 * features + 4, tuple((label,) for label in labels))


def compute_objective(images: PooledImages, weight: Tensor, bias: Tensor, penalty: float) -> Tensor:
    """What the head minimises, in float64; the norm counts in units of the features' common scale."""
    features = images.features.double()
    labels = torch.tensor([classes[0] for classes in images.targets])
    loss = torch.nn.functional.cross_entropy(features @ weight.T + bias, labels)
    return loss + penalty / 2 * (weight * features.std()).square().sum()


def test_the_head_is_where_the_gradient_vanishes():
    images = make_clusters(90)
    images = PooledImages(images.features - images.features.mean(0), images.targets)
    head = fit_linear_head(images, 3)
    weight, bias = head.weight.double().requires_grad_(), head.bias.double().requires_grad_()
    compute_objective(images, weight, bias, head.penalty).backward()
    assert float((weight.grad / images.features.std()).norm()) < 1e-3
    assert float(bias.grad.norm()) < 1e-3
    shifted = compute_objective(images, weight.detach() * 1.05, bias.detach(), head.penalty)
    assert shifted > compute_objective(images, weight.detach(), bias.detach(), head.penalty)


def test_the_head_tells_clusters_apart_and_is_the_same_each_time():
    images = make_clusters(120, noise=0.3)
    head, again = fit_linear_head(images, 3), fit_linear_head(images, 3)
    assert torch.equal(head.weight, again.weight)
    assert torch.equal(head.bias, again.bias)
    assert measure_accuracy(head.weight, head.bias, make_clusters(30, noise=0.3), make_classes(3)).top1 == 1


def test_noise_asks_for_a_stronger_penalty_than_order():
    noise = make_clusters(60)
    noise = PooledImages(torch.randn(60, 40, generator=torch.Generator().manual_seed(0)), noise.targets)
    assert fit_linear_head(noise, 3).penalty == max(PENALTIES)
    assert fit_linear_head(make_clusters(120, noise=0.1), 3).penalty == min(PENALTIES)
    assert fit_linear_head(make_clusters(30), 3).penalty == DEFAULT_PENALTY


def test_an_image_of_two_classes_is_half_of_each():
    one = PooledImages(torch.eye(2).repeat(10, 1), ((0, 1), (2,)) * 10)
    head = fit_linear_head(one, 3)
    first, second, third = (torch.eye(2) @ head.weight.T + head.bias)[0].softmax(0).tolist()
    assert first == pytest.approx(second, abs=0.01)
    assert third < 0.1


def test_features_that_are_not_finite_are_refused():
    images = make_clusters(9)
    images.features[4, 2] = float("nan")
    with pytest.raises(TrainingError, match="not finite"):
        fit_linear_head(images, 3)


def test_pooled_features_give_the_logits_of_the_labeler(tmp_path: Path):
    source = open_source([write_colour_folder(tmp_path / "photos", 5)])
    samples, _ = collect_samples(source)
    engine, config = make_toy_engine(), CamConfig(short_sides=(64,))
    pooled = pool_features(engine, samples, 64, LeftOut(5))
    assert pooled.targets == ((0,), (0,), (0,), (1,), (1,))
    for features, row in zip(pooled.features, source.rows, strict=True):
        pixels = decode_image(source.store.get(row.key)).pixels
        [passes] = run_passes(engine, [resize_image(pixels, config, engine.classifier.grid.stride)], config)
        found = features @ engine.classifier.weight.T + engine.classifier.bias
        assert torch.allclose(found, compute_logits(engine.classifier, passes), atol=1e-5)


def test_the_head_becomes_the_last_layer_that_maps_are_drawn_with():
    network = make_network("timm/test_resnet", 1000)
    features = network.linear.in_features
    images = PooledImages(torch.randn(12, features, generator=torch.Generator().manual_seed(1)), ((0,), (1,), (2,)) * 4)
    head = fit_linear_head(images, 3)
    network = network.replace_linear(head.to_linear())
    classifier = network.make_classifier(make_classes(3))
    pixels = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = network.module(pixels)
        found = classifier.backbone(pixels).mean((2, 3)) @ head.weight.T + head.bias
    assert torch.allclose(found, expected, atol=1e-5)


def test_accuracy_counts_by_class_and_takes_any_class_of_an_image():
    images = PooledImages(torch.eye(3), ((0,), (0,), (0, 2)))
    accuracy = measure_accuracy(torch.eye(3), torch.zeros(3), images, make_classes(3))
    assert (accuracy.num_images, accuracy.num_right, accuracy.top1) == (3, 2, pytest.approx(2 / 3))
    assert accuracy.to_dict()["by_class"] == [{"wnid": "x0", "name": "class 0", "images": 3, "right": 2}]
