"""Real images for two cores.

To mine from: 320 ImageNet photographs, and Tiny ImageNet. To detect: kangaroos, and ten classes of Tiny ImageNet that
are in no pre-training.
"""

from __future__ import annotations

import csv
import random
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dap_core.errors import SourceError
from services.annotated_data import open_annotated
from services.jobs.specs import DataFields, RecipeFields, SourceFields
from services.studies.study import Downstream, Probe, SelfTraining, Start, Training
from services.studies.study_data import StudyData

NUM_NOVEL = 10
"""Classes of Tiny ImageNet that are kept out of pre-training and are detected instead."""
NUM_TINY = 15
"""Images of each other class of Tiny ImageNet to mine from."""
_NUM_KANGAROO_TEST, _NUM_KANGAROO_VALIDATION = 80, 40
_NUM_POOL, _NUM_VALIDATION, _NUM_TEST = 15, 8, 10
"""Of each novel class, of its training images; its validation images are for testing, too."""
_NEEDED = ("imagenet-320", "kangaroo", "tiny-imagenet.tar.gz")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_CAVEATS = (
    "EfficientNet-Lite0, the classifier of all arms, was trained on ImageNet: it has seen every class of Tiny "
    "ImageNet, those that are detected here among them, and perhaps these very images.",
    "Each detector was pre-trained once. Seeds change the shots and the random numbers of fine-tuning, so intervals "
    "say nothing of the chance in pre-training.",
    "The numbers of steps are chosen on a validation part that is larger than the shots, as the paper tunes them; who "
    "has few drawn images has no such part.",
)


def make_laptop_data(images: Path, folder: Path) -> StudyData:
    """The data, from the folder that holds `imagenet-320`, `kangaroo` and `tiny-imagenet.tar.gz`.

    What is made of them goes below `folder`, once. Raises SourceError for what is missing.
    """
    if missing := [name for name in _NEEDED if not (images / name).exists()]:
        raise SourceError(f"{images} has no {missing[0]}; expected {', '.join(_NEEDED)} in it")
    tiny = folder / "tiny-imagenet"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _prepare(images, folder)
        (folder / "complete").touch()
    novel, others = str(tiny / "novel.csv"), str(tiny / "others.csv")
    kangaroo = str((images / "kangaroo").absolute())
    return StudyData(
        name="laptop",
        labelled=SourceFields(source=(str(folder / "photos"),)),
        fewer_labelled=SourceFields(source=(str(images.absolute() / "imagenet-320"),)),
        mining=RecipeFields(short_sides=(192, 384)),
        pretraining=Training(
            recipe="pretrain-laptop",
            changes={"num_steps": "400", "milestones": "320", "augment.short_sides": "96,128,160"},
        ),
        seeds=(0, 1, 2, 3, 4),
        downstream=(
            replace(
                _make_downstream("kangaroo", folder, "kangaroo", kangaroo, "160"),
                unlabelled=(str(folder / "kangaroo-unlabelled"),),
            ),
            _make_downstream("tiny-imagenet, 10 new classes", folder, "tiny", novel, "96"),
        ),
        other_starts=(Start(classifier="lite1"),),
        drawn=_list_part(others, folder, "tiny-drawn"),
        probe=Probe(
            name="tiny-imagenet, validation images",
            test=_list_part(others, folder, "tiny-probe"),
            short_side=96,
        ),
        self_training=SelfTraining(training=Training(recipe="self-train-laptop"), steps=(25, 50)),
        curve_steps=(10, 25, 50, 100),
        caveats=_CAVEATS,
    )


def _make_downstream(name: str, folder: Path, part: str, data: str, short_side: str) -> Downstream:
    finetuning = {"batch_size": "4", "warmup_steps": "10", "milestones": "80", "augment.short_sides": short_side}
    return Downstream(
        name=name,
        train=_list_part(data, folder, f"{part}-train"),
        validation=_list_part(data, folder, f"{part}-validation"),
        test=_list_part(data, folder, f"{part}-test"),
        shots=(5, 10),
        steps=(25, 50, 100),
        finetuning=Training(recipe="finetune-laptop", changes=finetuning),
    )


def _list_part(data: str, folder: Path, name: str) -> DataFields:
    return DataFields(data=data, images_from=str(folder / f"{name}.txt"), shots=None)


def _prepare(images: Path, folder: Path) -> None:
    with tarfile.open(images / "tiny-imagenet.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    tiny = folder / "tiny-imagenet"
    with (tiny / "boxes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    by_class: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_class[row["wnid"]][row["split"]].append(f"{row['split']}/{row['path']}")
    photographed = {path.name for path in (images / "imagenet-320").iterdir()}
    novel = sorted(random.Random(0).sample(sorted(by_class.keys() - photographed), NUM_NOVEL))  # noqa: S311
    _copy_photos(images / "imagenet-320", tiny, {k: v["train"] for k, v in by_class.items() if k not in novel}, folder)
    _write_novel(folder, [by_class[wnid] for wnid in novel])
    with (tiny / "classes.csv").open(newline="") as file:
        names = {row["wnid"]: row["name"].partition(",")[0] for row in csv.DictReader(file)}
    _write_boxes(tiny / "novel.csv", [{**row, "label": names[row["wnid"]]} for row in rows if row["wnid"] in novel])
    _write_boxes(tiny / "others.csv", [{**row, "label": row["wnid"]} for row in rows if row["wnid"] not in novel])
    others = [by_class[wnid] for wnid in sorted(by_class.keys() - set(novel))]
    _write_keys(folder, "tiny-drawn", (key for one in others for key in one["train"][:NUM_TINY]))
    _write_keys(folder, "tiny-probe", (key for one in others for key in one["val"]))
    keys = sorted(
        image.key for image in open_annotated(DataFields(data=str(images / "kangaroo"), shots=None)).annotations.images
    )
    start = len(keys) - _NUM_KANGAROO_TEST
    _write_keys(folder, "kangaroo-test", keys[start:])
    _write_keys(folder, "kangaroo-validation", keys[start - _NUM_KANGAROO_VALIDATION : start])
    _write_keys(folder, "kangaroo-train", pool := keys[: start - _NUM_KANGAROO_VALIDATION])
    (folder / "kangaroo-unlabelled").mkdir()
    for key in pool:
        shutil.copy(images / "kangaroo" / "images" / key, folder / "kangaroo-unlabelled")


def _copy_photos(photographs: Path, tiny: Path, train: dict[str, list[str]], folder: Path) -> None:
    """One folder for each class, with what both sets have of it."""
    shutil.copytree(photographs, folder / "photos")
    for wnid, keys in train.items():
        (folder / "photos" / wnid).mkdir(exist_ok=True)
        for key in keys[:NUM_TINY]:
            shutil.copy(tiny / key, folder / "photos" / wnid / f"tiny-{Path(key).name}")


def _write_novel(folder: Path, classes: list[dict[str, list[str]]]) -> None:
    stop = _NUM_POOL + _NUM_VALIDATION
    _write_keys(folder, "tiny-train", (key for one in classes for key in one["train"][:_NUM_POOL]))
    _write_keys(folder, "tiny-validation", (key for one in classes for key in one["train"][_NUM_POOL:stop]))
    _write_keys(
        folder, "tiny-test", (key for one in classes for key in [*one["train"][stop : stop + _NUM_TEST], *one["val"]])
    )


def _write_boxes(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", *_CORNERS])
        for row in rows:
            writer.writerow([f"{row['split']}/{row['path']}", row["label"], *(row[corner] for corner in _CORNERS)])


def _write_keys(folder: Path, name: str, keys: Iterable[str]) -> None:
    (folder / f"{name}.txt").write_text("".join(f"{key}\n" for key in keys))
