"""Two workers with half the batch each train what one does with all of it."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn

from dap_core.classifiers import load_network
from dap_core.detectors import Architecture
from dap_core.errors import TrainingError
from dap_core.training.augment import TrainingBatch
from dap_core.training.classifier_recipe import ClassifierRecipe
from dap_core.training.classifier_run import TrainedClassifier, compute_classifier_losses, start_classifier
from dap_core.training.crops import ClassifierBatch
from dap_core.training.detector_runs import compute_detector_losses
from dap_core.training.loop import make_trainer
from dap_core.training.optimizers import list_trained, make_optimizer
from dap_core.training.team import SOLO, Team
from tests.detector_builders import TINY, make_tiny_detector
from tests.training_builders import make_batches, replace_recipe

pytestmark = pytest.mark.usefixtures("one_thread")
NUM_IMAGES = 8
Outcome = tuple[list[float], dict[str, Tensor]]
"""The loss of every step, and the gradients of the last one."""
Worker = Callable[[Team, Architecture, int], object]


def train_steps(team: Team, architecture: Architecture, num_steps: int) -> Outcome:
    detector = make_tiny_detector(architecture, seed=2)
    recipe = replace_recipe(batch_size=NUM_IMAGES, num_steps=num_steps, lr=0.01)
    trainer = make_trainer(detector, recipe, make_optimizer(detector, recipe), device="cpu", seed=1, team=team)
    batches = [batch.split(team.size)[team.rank] for batch in make_batches(num_steps, NUM_IMAGES // 2)]
    losses = [report.loss for report in trainer.run(batches, compute_detector_losses)]
    return losses, {name: one.grad.clone() for name, one in list_trained(detector) if one.grad is not None}


def train_classifier(team: Team, _architecture: Architecture, num_steps: int) -> Outcome:
    """A classifier whose BatchNorm keeps its statistics; those of a batch would be each worker's own."""
    model = TrainedClassifier(start_classifier(load_network(TINY, weights="random"), 3, seed=2)).eval()
    recipe = ClassifierRecipe(
        name="", source="", batch_size=NUM_IMAGES, num_steps=num_steps, lr=0.01, warmup_steps=0, precision="float32"
    )
    trainer = make_trainer(model, recipe, make_optimizer(model, recipe), device="cpu", seed=1, team=team)
    images = torch.randint(0, 256, (NUM_IMAGES, 64, 64, 3), generator=torch.Generator().manual_seed(3))
    targets = tuple((number % 3,) for number in range(NUM_IMAGES))
    keys = tuple(map(str, range(NUM_IMAGES)))
    batches = [ClassifierBatch(step, keys, images.to(torch.uint8), targets) for step in range(num_steps)]
    shares = [batch.split(team.size)[team.rank] for batch in batches]
    losses = [report.loss for report in trainer.run(shares, compute_classifier_losses)]
    return losses, {name: one.grad.clone() for name, one in list_trained(model) if one.grad is not None}


def meet_nan(team: Team, architecture: Architecture, num_steps: int) -> str:
    """The second worker's loss is not finite."""
    detector = make_tiny_detector(architecture)
    recipe = replace_recipe(num_steps=num_steps)
    trainer = make_trainer(detector, recipe, make_optimizer(detector, recipe), device="cpu", seed=1, team=team)

    def spoil(model: nn.Module, batch: TrainingBatch) -> dict[str, Tensor]:
        losses = compute_detector_losses(model, batch)
        return {name: value * (math.nan if team.rank else 1) for name, value in losses.items()}

    batches = [batch.split(team.size)[team.rank] for batch in make_batches(num_steps, 2)]
    try:
        list(trainer.run(batches, spoil))
    except TrainingError as error:
        return str(error)
    return "no error"


def run_two(folder: Path, work: Worker, architecture: Architecture, num_steps: int) -> list[object]:
    """What two processes return that are joined by torch.distributed."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    results = [folder / f"{rank}.pickle" for rank in range(2)]
    arguments = [(rank, folder / "meet", result, work, architecture, num_steps) for rank, result in enumerate(results)]
    workers = [context.Process(target=_join, args=one) for one in arguments]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    return [pickle.loads(result.read_bytes()) for result in results]


def _join(rank: int, meet: Path, result: Path, work: Worker, architecture: Architecture, num_steps: int) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
    result.write_bytes(pickle.dumps(work(Team(rank, 2), architecture, num_steps)))
    distributed.destroy_process_group()


@pytest.mark.parametrize("work", [train_steps, train_classifier])
def test_gradients_of_two_workers_equal_those_of_one(tmp_path: Path, work: Callable[..., Outcome]):
    losses, gradients = work(SOLO, "retinanet", 2)
    for shared_losses, shared in run_two(tmp_path, work, "retinanet", 2):  # type: ignore[misc]
        assert shared_losses == pytest.approx(losses, rel=1e-4)
        assert shared.keys() == gradients.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(shared[name], gradient, rtol=1e-4, atol=1e-4)


def compare_mean_losses(folder: Path, num_steps: int, tolerance: float) -> None:
    """Faster R-CNN draws the boxes it trains on, so two workers draw others than one."""
    alone, _ = train_steps(SOLO, "faster_rcnn", num_steps)
    [(shared, _), (other, _)] = run_two(folder, train_steps, "faster_rcnn", num_steps)  # type: ignore[misc]
    assert shared == other
    assert shared != alone
    assert sum(shared) == pytest.approx(sum(alone), rel=tolerance)


def test_two_workers_train_faster_rcnn_as_one_does(tmp_path: Path):
    compare_mean_losses(tmp_path, 8, 0.1)


@pytest.mark.soak
def test_two_workers_have_the_same_mean_loss_over_fifty_steps(tmp_path: Path):
    compare_mean_losses(tmp_path, 50, 0.02)


def test_both_workers_stop_when_the_loss_of_one_is_not_finite(tmp_path: Path):
    [first, second] = run_two(tmp_path, meet_nan, "retinanet", 1)
    assert first == second
    assert "the loss is not finite at step 0" in str(first)
    assert "on the images image-2, image-3;" in str(first)
