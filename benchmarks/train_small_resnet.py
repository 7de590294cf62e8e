"""Trains a small ResNet classifier on a few classes of Tiny ImageNet, to measure where a ResNet's boxes lie.

    python benchmarks/train_small_resnet.py tiny-imagenet/train resnet18/

No trained ResNet comes with a package, so `measure_box_quality.py` uses this one. It knows twenty classes at 128 px;
its boxes say something of geometry, not of how good a ResNet can be. About eight minutes on two cores.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet18

from dap_core.images import decode_image

NUM_CLASSES = 20
INPUT_SIDE = 128
LARGER_SIDE = 148  # images are resized to this, then cropped to INPUT_SIDE at random
NUM_EPOCHS = 30
BATCH = 40
LEARNING_RATE = 0.05
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read_images(root: Path, wnids: list[str]) -> tuple[Tensor, Tensor]:
    """All images uint8 [N, 3, LARGER_SIDE, LARGER_SIDE] of the classes, and their indices [N]."""
    images, labels = [], []
    for index, wnid in enumerate(wnids):
        for path in sorted((root / wnid).iterdir()):
            pixels = decode_image(path.read_bytes()).pixels
            resized = cv2.resize(pixels, (LARGER_SIDE, LARGER_SIDE), interpolation=cv2.INTER_LINEAR)
            images.append(torch.from_numpy(resized).permute(2, 0, 1))
            labels.append(index)
    return torch.stack(images), torch.tensor(labels)


def augment(images: Tensor, rng: np.random.Generator) -> Tensor:
    """A random crop of each image, half of them mirrored, normalised."""
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    crops = []
    for image in images:
        y, x = rng.integers(0, LARGER_SIDE - INPUT_SIDE + 1, 2)
        crop = image[:, y : y + INPUT_SIDE, x : x + INPUT_SIDE]
        crops.append(crop.flip(-1) if rng.random() < 0.5 else crop)
    return ((torch.stack(crops).float() - mean) / std).contiguous(memory_format=torch.channels_last)


def train(images: Tensor, labels: Tensor) -> nn.Module:
    """The trained network; prints a line per epoch."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = resnet18(num_classes=NUM_CLASSES).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=1e-3, nesterov=True)
    num_steps = NUM_EPOCHS * (len(images) // BATCH)
    step = 0
    for epoch in range(NUM_EPOCHS):
        started, losses, correct = time.perf_counter(), [], 0
        for batch in torch.from_numpy(rng.permutation(len(images)))[: len(images) // BATCH * BATCH].split(BATCH):
            warm_up = min(1, (step + 1) / 50)
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * warm_up * (1 + math.cos(math.pi * step / num_steps)) / 2
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(augment(images[batch], rng))
            loss = F.cross_entropy(logits.float(), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            losses.append(loss.item())
            correct += int((logits.argmax(1) == labels[batch]).sum())
        share, seconds = correct / len(images), time.perf_counter() - started
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}, {share:.1%} right, {seconds:.0f} s", flush=True)
    return network.eval()


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder with one folder per wnid")
    parser.add_argument("out", type=Path, help="gets resnet18.safetensors and classes.csv")
    arguments = parser.parse_args()
    wnids = sorted(path.name for path in arguments.images.iterdir())
    wnids = wnids[:: len(wnids) // NUM_CLASSES][:NUM_CLASSES]
    network = train(*read_images(arguments.images, wnids))
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()},
        arguments.out / "resnet18.safetensors",
    )
    with (arguments.out / "classes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("index", "wnid", "name"), *((i, wnid, wnid) for i, wnid in enumerate(wnids))])


if __name__ == "__main__":
    main()
