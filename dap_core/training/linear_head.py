"""A linear layer on frozen features: multinomial logistic regression, the same for the same features."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dap_core.errors import TrainingError
from dap_core.threads import use_one_torch_thread
from dap_core.training.labelled_samples import Targets, flatten_targets
from dap_core.training.pooled_features import PooledImages

PENALTIES = (1.0, 0.1, 0.01, 0.001)
"""Weights of the squared norm that are tried, the strongest first."""
DEFAULT_PENALTY = 0.01
_EVERY = 5
_LEAST_IMAGES = 50
_MAX_ITERATIONS = 300
_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Logits are `features @ weight.T + bias` of pooled features; `weight` float32 [K, C], `bias` [K].

    As pooling and this layer may change places, the same weights draw class activation maps.
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    """Of the squared norm of the weights, for features divided by their common standard deviation."""

    def to_linear(self) -> nn.Linear:
        """The last layer of a network."""
        linear = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(self.weight)
            linear.bias.copy_(self.bias)
        return linear


def fit_linear_head(images: PooledImages, num_classes: int) -> LinearHead:
    """The head that minimises mean cross-entropy + penalty / 2 |weight|^2, features centred and on one scale.

    The penalty is the one of `PENALTIES` with the lowest cross-entropy on every fifth image of each class after
    fitting to the others; below 50 images it is the default. Then all images are fitted to. Raises TrainingError when
    the features are not finite. It computes in one thread, so that the number of cores changes nothing.
    """
    with ThreadPoolExecutor(1, "dap-fit", initializer=use_one_torch_thread) as fitter:
        return fitter.submit(_fit_head, images, num_classes).result()


def _fit_head(images: PooledImages, num_classes: int) -> LinearHead:
    features = images.features
    if not torch.isfinite(features).all():
        raise TrainingError("the features of the images are not finite; take other weights")
    mean, scale = features.mean(0), features.std().clamp_min(torch.finfo(torch.float32).tiny)
    scaled = (features - mean) / scale
    penalty = _choose_penalty(scaled, images.targets, num_classes)
    weight, bias = _fit(scaled, images.targets, penalty, _make_start(scaled, num_classes))
    weight = weight / scale
    return LinearHead(weight, bias - weight @ mean, penalty)


def _choose_penalty(features: Tensor, targets: Sequence[Targets], num_classes: int) -> float:
    if len(targets) < _LEAST_IMAGES:
        return DEFAULT_PENALTY
    seen: dict[Targets, int] = defaultdict(int)
    left: list[int] = []
    for place, classes in enumerate(targets):
        seen[classes] += 1
        if seen[classes] % _EVERY == 0:
            left.append(place)
    if not left:
        return DEFAULT_PENALTY
    kept = sorted(set(range(len(targets))) - set(left))
    fitted, checked = [[targets[place] for place in places] for places in (kept, left)]
    parameters = _make_start(features, num_classes)
    losses = {}
    for penalty in PENALTIES:
        parameters = _fit(features[kept], fitted, penalty, parameters)
        losses[penalty] = float(_compute_loss(features[left], flatten_targets(checked), *parameters))
    return min(losses, key=lambda penalty: losses[penalty])


def _make_start(features: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(num_classes, features.shape[1]), torch.zeros(num_classes)


def _fit(
    features: Tensor, targets: Sequence[Targets], penalty: float, start: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    weight, bias = (values.clone().requires_grad_() for values in start)
    flat = flatten_targets(targets)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_MAX_ITERATIONS,
        tolerance_grad=_TOLERANCE,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def compute() -> Tensor:
        optimizer.zero_grad()
        loss = _compute_loss(features, flat, weight, bias) + penalty / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(compute)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def _compute_loss(features: Tensor, flat: tuple[Tensor, Tensor, Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    """Mean cross-entropy; the classes of an image share its target evenly."""
    owners, classes, shares = flat
    losses = -(features @ weight.T + bias).log_softmax(dim=1)
    return (losses[owners, classes] * shares).sum() / len(features)
