"""Label sets and truth for `measure_box_quality.py`: what is mined from which images, with which drawn boxes."""

from __future__ import annotations

import csv
import subprocess
import sys
import tarfile
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from dap_core import PseudoLabeler
from dap_core.datasets import Annotations, read_annotations
from dap_core.evaluation import Truth, map_classes, match_truth
from dap_core.label_sets import LabelSet, open_label_set
from dap_core.passes import CamConfig
from dap_core.recipes import PAPER

COCO_CLASSES = Path(__file__).with_name("coco_to_imagenet.csv")


@dataclass(frozen=True)
class QualitySet:
    """One label set to mine and the truth to hold it against. `images` is a CSV file for `dap mine`."""

    name: str
    images: Path
    truth: Path
    truth_options: dict[str, object] = field(default_factory=dict)
    class_map: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mine_options: tuple[str, ...] = ()

    def mine(self, work: Path) -> LabelSet:
        """The label set in `work`, mined with recipe `paper` unless it is there."""
        label_set = work / "labels" / self.name
        if not (label_set / "manifest.json").exists():
            options = ("--recipe", "paper", "--precision", "float32", *self.mine_options)
            run_dap("mine", str(self.images), "--out", str(label_set), *options)
        return open_label_set(label_set)

    def match(self, label_set: LabelSet) -> Truth:
        """The drawn boxes of a label set of these images."""
        annotations = read_annotations(self.truth, **self.truth_options)
        given = {name: labels for name, labels in self.class_map.items() if name in annotations.class_names}
        classes = map_classes(annotations, label_set.classes, given)
        if self.class_map:  # a COCO class without an entry, such as person, stands for nothing
            classes = {name: labels if name in given else frozenset() for name, labels in classes.items()}
        return match_truth(label_set, annotations, classes)


def run_dap(*arguments: str) -> None:
    """Runs one `dap` command without images in the label set; ends the script when it fails outright."""
    command = [sys.executable, "-m", "clients.cli.main", *arguments, "--images", "reference"]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode not in (0, 3):  # 3: some failed
        raise SystemExit(f"{' '.join(command)} failed")


def make_kangaroo(data: Path, work: Path) -> QualitySet:
    """Photographs of one class; ImageNet has no kangaroo, `wallaby` is nearest."""
    images = sorted((data / "kangaroo" / "images").iterdir())
    table = write_table(work / "kangaroo.csv", [[str(path.resolve()), "wallaby"] for path in images])
    return QualitySet("kangaroo", table, data / "kangaroo", class_map={"kangaroo": ("wallaby",)})


def make_coco(data: Path, work: Path, split: str) -> QualitySet:
    """One half of coco128, its classes taken for the ImageNet class of theirs that the classifier prefers."""
    classes = read_coco_classes()
    name = f"coco128-{split}"
    table = work / f"{name}.csv"
    if not table.exists():
        annotations = read_annotations(data / "coco128", split=split)
        write_table(table, choose_labels(annotations, classes))
    return QualitySet(name, table, data / "coco128", {"split": split}, classes)


def make_tiny(data: Path, work: Path, split: str, *, num_per_class: int | None = None) -> QualitySet:
    """Tiny ImageNet, one drawn box per image of 64 x 64 px."""
    root = extract_tiny(data, work)
    lines = []
    for folder in sorted((root / split).iterdir()):
        lines += [[str(path), folder.name] for path in sorted(folder.iterdir())[:num_per_class]]
    table = write_table(work / f"tiny-imagenet-{split}.csv", lines)
    options: dict[str, object] = {"split": split, "inclusive": True}
    return QualitySet(f"tiny-imagenet-{split}", table, root / "boxes.csv", options)


def make_tiny_with_resnet(data: Path, work: Path, resnet: Path) -> QualitySet:
    """The images that the small ResNet was trained on, run at about the size it was trained at."""
    root = extract_tiny(data, work)
    with (resnet / "classes.csv").open(encoding="utf-8", newline="") as file:
        wnids = [line["wnid"] for line in csv.DictReader(file)]
    lines = [[str(path), wnid] for wnid in wnids for path in sorted((root / "train" / wnid).iterdir())]
    table = write_table(work / "tiny-imagenet-resnet.csv", lines)
    options: dict[str, object] = {"split": "train", "inclusive": True}
    weights = ("--classifier", "resnet18", "--weights", str(resnet / "resnet18.safetensors"))
    mine_options = (*weights, "--classes", str(resnet / "classes.csv"), "--scales", "128,256")
    return QualitySet("tiny-imagenet-resnet", table, root / "boxes.csv", options, mine_options=mine_options)


def extract_tiny(data: Path, work: Path) -> Path:
    """The folder of Tiny ImageNet, unpacked once."""
    root = work.resolve() / "tiny-imagenet"
    if not root.exists():
        with tarfile.open(data / "tiny-imagenet.tar.gz") as archive:
            archive.extractall(work, filter="data")
    return root


def read_coco_classes() -> dict[str, tuple[str, ...]]:
    """ImageNet wnids of each COCO class that has any."""
    wnids: dict[str, list[str]] = defaultdict(list)
    with COCO_CLASSES.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            wnids[line["coco"]].append(line["wnid"])
    return {name: tuple(of_class) for name, of_class in wnids.items()}


def choose_labels(annotations: Annotations, classes: dict[str, tuple[str, ...]]) -> list[list[str]]:
    """Path and labels of each image: for each drawn class the wnid that scores highest at short side 288."""
    labeler = PseudoLabeler(recipe=replace(PAPER, cam=CamConfig(short_sides=(288,))))
    assert annotations.image_root is not None
    lines = []
    for image in annotations.images:
        names = [name for name in dict.fromkeys(image.class_names) if name in classes]
        if not names:
            continue
        path = (annotations.image_root / image.key).resolve()
        [labelled] = labeler([path], [[wnid for name in names for wnid in classes[name]]])
        scores = dict(zip(labelled.labels, labelled.label_scores, strict=True))
        index_of = labeler.classifier.classes.index_of
        chosen = [max(classes[name], key=lambda wnid: scores[index_of(wnid)]) for name in names]
        lines.append([str(path), *chosen])
    return lines


def write_table(path: Path, lines: list[list[str]]) -> Path:
    """A CSV file of lines path,label[,label...]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return path
