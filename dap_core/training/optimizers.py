"""SGD as the paper trains with: no weight decay on biases and on normalisation layers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dap_core.training.train_recipe import TrainRecipe


def make_optimizer(model: nn.Module, recipe: TrainRecipe) -> torch.optim.SGD:
    """SGD over the parameters that are trained, in the order of their names in the model.

    Raises ValueError when none is.
    """
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for _, parameter in list_trained(model):
        (decayed if parameter.ndim > 1 else others).append(parameter)
    groups = [
        {"params": parameters, "weight_decay": decay}
        for parameters, decay in ((decayed, recipe.weight_decay), (others, 0.0))
        if parameters
    ]
    if not groups:
        raise ValueError("nothing of the model is trained; every parameter is frozen")
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)


def list_trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Names and parameters that are trained."""
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def read_momentum(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The momentum of each trained parameter that has one, by its name in the model."""
    buffers = {name: optimizer.state[parameter].get("momentum_buffer") for name, parameter in list_trained(model)}
    return {name: buffer.detach() for name, buffer in buffers.items() if buffer is not None}


def restore_momentum(model: nn.Module, optimizer: torch.optim.Optimizer, momentum: dict[str, Tensor]) -> None:
    """Gives the optimizer the momentum that was read."""
    for name, parameter in list_trained(model):
        if name in momentum:
            optimizer.state[parameter]["momentum_buffer"] = momentum[name].to(parameter.device).clone()
