"""Runs that train a classifier (step 1 of the paper), from random weights or from a trained one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from dap_core.classifier_checkpoints import save_classifier
from dap_core.classifiers import Network
from dap_core.stores import Store
from dap_core.training.batches import BatchPlan
from dap_core.training.classifier_batches import read_classifier_batches
from dap_core.training.classifier_recipe import ClassifierRecipe
from dap_core.training.crops import ClassifierBatch, CropConfig
from dap_core.training.labelled_samples import LabelledSamples, flatten_targets
from dap_core.training.left_out import LeftOut
from dap_core.training.runs import TrainingRun
from dap_core.training.team import Team
from dap_core.types import ClassList

_LOWER_STRIDE = 8
"""`upper` leaves what runs before the first map of a larger stride as it is."""
_PROBE_SIDE = 256
_NEW_WEIGHT_STD = 0.01


class TrainedClassifier(nn.Module):
    """A network in training: images uint8 [B, H, W, 3] RGB to logits [B, K].

    With `upper`, the layers before stride 16 stay as they are, the statistics of their normalisation as well.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: Network, trainable: Literal["upper", "all"] = "all") -> None:
        super().__init__()
        self.network = network.module.to(memory_format=torch.channels_last)
        self.register_buffer("mean", 255 * torch.tensor(network.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", 1 / (255 * torch.tensor(network.std).view(1, 3, 1, 1)), persistent=False)
        self._frozen = _list_lower_layers(self.network) if trainable == "upper" else []
        for layer in self._frozen:
            layer.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images with values 0 to 255."""
        logits: Tensor = self.network((images.permute(0, 3, 1, 2).float() - self.mean) * self.scale)
        return logits

    def train(self, mode: bool = True) -> TrainedClassifier:
        """Sets the mode of what is trained."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self


def start_classifier(network: Network, num_classes: int, seed: int) -> Network:
    """The network with a new last layer for `num_classes` classes, random by `seed`; the one given is used up.

    Raises ClassifierError for a network that does not end in global average pooling and one linear layer.
    """
    linear = nn.Linear(network.linear.in_features, num_classes)
    numbers = torch.Generator().manual_seed(seed)
    nn.init.normal_(linear.weight, std=_NEW_WEIGHT_STD, generator=numbers)
    nn.init.zeros_(linear.bias)
    return network.replace_linear(linear)


def continue_classifier(network: Network, known: ClassList, classes: ClassList) -> Network:
    """The network with the rows of its last layer, now for the classes `known`, in the order of `classes`.

    Both have to have the same wnids, else ValueError; the network given is used up. Raises ClassifierError.
    """
    places = {item.wnid: place for place, item in enumerate(known.classes)}
    if places.keys() != {item.wnid for item in classes.classes}:
        raise ValueError("the classes of the network and those wanted differ in more than their order")
    rows = [places[item.wnid] for item in classes.classes]
    old = network.linear
    linear = nn.Linear(old.in_features, len(rows), bias=old.bias is not None)
    with torch.no_grad():
        linear.weight.copy_(old.weight[rows])
        if old.bias is not None:
            linear.bias.copy_(old.bias[rows])
    return network.replace_linear(linear)


def make_classifier_run(
    network: Network,
    samples: LabelledSamples,
    recipe: ClassifierRecipe,
    *,
    seed: int,
    parents: Mapping[str, str],
    num_decoders: int,
    left_out: LeftOut,
) -> TrainingRun[ClassifierBatch]:
    """The run that trains a network, with as many outputs as the samples have classes, on images of `samples`.

    Images are decoded by `num_decoders` processes (0: this one); those that cannot be are noted in `left_out`.
    `parents` names what the network starts from by sha256; they and the samples' identity decide what comes of the run.
    """
    described = {"data": samples.identity, "network": network.name, "parents": dict(parents)}
    crops = CropConfig(size=recipe.crop_size, least_area=recipe.least_crop, mirror=recipe.mirror)

    def read(start: int, team: Team) -> Iterable[ClassifierBatch]:
        plan = BatchPlan(
            batch_size=recipe.batch_size,
            start=start,
            stop=recipe.num_steps,
            seed=seed,
            rank=team.rank,
            num_ranks=team.size,
        )
        return read_classifier_batches(samples, plan, crops, left_out, num_workers=num_decoders)

    return TrainingRun(
        TrainedClassifier(network, recipe.trainable),
        recipe,
        seed,
        described,
        read,
        partial(compute_classifier_losses, label_smoothing=recipe.label_smoothing),
        partial(_save, network, samples.classes, recipe, {**parents, "data": samples.identity}),
    )


def compute_classifier_losses(
    model: nn.Module, batch: ClassifierBatch, *, label_smoothing: float = 0.0
) -> dict[str, Tensor]:
    """The cross-entropy of a batch; the classes of an image share its target evenly."""
    images = batch.images.to(next(model.parameters()).device, non_blocking=True)
    logits: Tensor = model(images)
    losses = -logits.float().log_softmax(dim=1)
    owners, classes, shares = (values.to(losses.device) for values in flatten_targets(batch.targets))
    loss = (losses[owners, classes] * shares).sum() / len(losses)
    return {"cross_entropy": (1 - label_smoothing) * loss + label_smoothing * losses.mean()}


def _save(
    network: Network, classes: ClassList, recipe: ClassifierRecipe, parents: Mapping[str, str], store: Store, step: int
) -> None:
    save_classifier(store, network, classes, step=step, recipe=recipe.to_dict(), parents=parents)


def _list_lower_layers(network: nn.Module) -> list[nn.Module]:
    """The layers that run before the first map of a stride above 8."""
    lower: list[nn.Module] = []
    is_below = True

    def note(layer: nn.Module, _inputs: object, output: object) -> None:
        nonlocal is_below
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] > 1:
            is_below = is_below and round(_PROBE_SIDE / output.shape[-1]) <= _LOWER_STRIDE
        if is_below:
            lower.append(layer)

    owners = [one for one in network.modules() if [*one.parameters(recurse=False), *one.buffers(recurse=False)]]
    handles = [owner.register_forward_hook(note) for owner in owners]
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, _PROBE_SIDE, _PROBE_SIDE))
    for handle in handles:
        handle.remove()
    return lower
