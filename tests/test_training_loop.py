"""The loop: the losses it reports, parts of a batch, precision, and what it does with a loss that is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dap_core.errors import TrainingError
from dap_core.training.augment import TrainingBatch
from dap_core.training.detector_runs import compute_detector_losses
from dap_core.training.loop import StepReport, choose_dtype, make_trainer
from dap_core.training.optimizers import make_optimizer
from dap_core.training.train_recipe import DetectorRecipe, TrainRecipe
from tests.detector_builders import make_tiny_detector
from tests.training_builders import list_losses, make_batches, replace_recipe

pytestmark = pytest.mark.usefixtures("one_thread")

Losses = Callable[[nn.Module, TrainingBatch], dict[str, Tensor]]


def run_steps(
    detector: nn.Module, recipe: DetectorRecipe, count: int, losses: Losses = compute_detector_losses, copies: int = 1
) -> list[StepReport]:
    trainer = make_trainer(detector, recipe, make_optimizer(detector, recipe), device="cpu", seed=1)
    return list(trainer.run(make_batches(count, copies), losses))


def test_the_same_seed_gives_the_same_losses_and_they_fall():
    recipe = replace_recipe(num_steps=16, warmup_steps=3)
    first = run_steps(make_tiny_detector(seed=5), recipe, 16)
    second = run_steps(make_tiny_detector(seed=5), recipe, 5)
    assert list_losses(second) == pytest.approx(list_losses(first[:5]), abs=1e-5)
    assert sum(list_losses(first[-5:])) < 0.7 * sum(list_losses(first[:5]))
    other = run_steps(make_tiny_detector(seed=6), recipe, 3)
    assert list_losses(other) != pytest.approx(list_losses(first[:3]), abs=1e-3)


def test_a_report_says_what_the_step_did():
    [_, report] = run_steps(make_tiny_detector(), replace_recipe(lr=0.01, warmup_steps=4), 2)
    assert (report.step, report.lr, report.num_images) == (1, 0.005, 2)
    assert set(report.losses) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    assert report.loss == pytest.approx(sum(report.losses.values()))
    assert report.gradient_norm > 0
    assert report.step_s > report.wait_s >= 0


def test_a_batch_in_parts_gives_the_gradients_of_the_whole():
    norms = []
    for accumulation in (1, 2):
        recipe = replace_recipe(accumulation=accumulation)
        [report] = run_steps(make_tiny_detector("retinanet"), recipe, 1, copies=2)
        norms.append((report.loss, report.gradient_norm))
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)


def test_gradients_are_cut_to_the_norm_of_the_recipe():
    detector = make_tiny_detector()
    before = [parameter.detach().clone() for parameter in detector.parameters()]
    [report] = run_steps(detector, replace_recipe(max_gradient_norm=0.1, lr=1.0, warmup_steps=0, weight_decay=0.0), 1)
    moved = math.sqrt(
        sum(float((new - old).detach().pow(2).sum()) for new, old in zip(detector.parameters(), before, strict=True))
    )
    assert report.gradient_norm > 1
    assert moved == pytest.approx(0.1, rel=0.01)


def test_a_loss_that_is_not_finite_stops_before_the_step_and_names_the_images():
    detector = make_tiny_detector()

    def spoil(model: nn.Module, batch: TrainingBatch) -> dict[str, Tensor]:
        losses = compute_detector_losses(model, batch)
        return {**losses, "loss_box_reg": losses["loss_box_reg"] * math.nan}

    before = {name: value.clone() for name, value in detector.state_dict().items()}
    with pytest.raises(TrainingError, match=r"step 0 \(loss_box_reg\), on the images image-0, image-1;") as info:
        run_steps(detector, replace_recipe(), 1, spoil)
    assert info.value.error_type == "training-failed"
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    detector = make_tiny_detector()

    def spoil(model: nn.Module, batch: TrainingBatch) -> dict[str, Tensor]:
        losses = compute_detector_losses(model, batch)
        loss = losses["loss_box_reg"]
        return {**losses, "loss_box_reg": loss + (loss - loss.detach()).sqrt()}

    before = {name: value.clone() for name, value in detector.state_dict().items()}
    with pytest.raises(TrainingError, match="the gradient is not finite at step 0, on the images image-0, image-1;"):
        run_steps(detector, replace_recipe(max_gradient_norm=1.0), 1, spoil)
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_trains_to_nearly_the_same_losses(precision: str):
    exact = run_steps(make_tiny_detector("retinanet"), replace_recipe(), 3)
    rounded = run_steps(make_tiny_detector("retinanet"), replace_recipe(precision=precision), 3)
    assert list_losses(rounded) == pytest.approx(list_losses(exact), rel=0.05)
    assert list_losses(rounded) != list_losses(exact)


def test_biases_and_norms_have_no_weight_decay_and_frozen_layers_no_place():
    detector = make_tiny_detector()
    optimizer = make_optimizer(detector, replace_recipe(weight_decay=0.5))
    decays = {id(one): group["weight_decay"] for group in optimizer.param_groups for one in group["params"]}
    for parameter in detector.parameters():
        expected = (0.5 if parameter.ndim > 1 else 0.0) if parameter.requires_grad else None
        assert decays.get(id(parameter)) == expected
    for parameter in detector.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing of the model is trained"):
        make_optimizer(detector, replace_recipe())


def test_the_learning_rate_warms_up_then_falls_in_steps_or_along_a_cosine():
    recipe = TrainRecipe(name="", source="", batch_size=1, num_steps=100, lr=1.0, warmup_steps=10, milestones=(50, 80))
    assert [recipe.compute_lr(step) for step in (0, 4, 9, 49)] == pytest.approx([0.1, 0.5, 1.0, 1.0])
    assert [recipe.compute_lr(step) for step in (50, 79, 80, 99)] == pytest.approx([0.1, 0.1, 0.01, 0.01])
    cosine = TrainRecipe(name="", source="", batch_size=1, num_steps=100, lr=1.0, warmup_steps=0, schedule="cosine")
    assert [cosine.compute_lr(step) for step in (0, 25, 50, 100)] == pytest.approx([1, 0.8535534, 0.5, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size is at least 1, got 0"),
        ({"lr": 0.0}, "lr is above 0, got 0.0"),
        ({"warmup_steps": -1}, "warmup_steps is 0 or more"),
        ({"accumulation": 3}, "a batch of 4 cannot be trained in 3 equal parts"),
        ({"architecture": "yolo"}, "architecture is one of faster_rcnn, retinanet, fcos, got 'yolo'"),
    ],
)
def test_values_that_make_no_training_are_refused(changes: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        replace_recipe(**changes)


def test_precision_follows_the_device():
    assert choose_dtype("float16", torch.device("cpu")) is torch.float16
    assert choose_dtype("auto", torch.device("cpu")) in (torch.bfloat16, torch.float32)
