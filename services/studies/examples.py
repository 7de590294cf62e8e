"""Test images of a study with what each arm found in them, drawn at random and not for how they look."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dap_core.evaluation.study_scores import Setting
from dap_core.gallery.study_examples import Example, ExampleBox
from services.annotated_data import open_annotated
from services.jobs.evaluation_specs import EvaluateSpec
from services.storage import open_store
from services.studies.conducting import StudyResult

_NUM_OF_SETTING = 4
_LEAST_SCORE = 0.3
"""Detections below are not drawn."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What one arm found in the images of a setting, by key."""

    truth: dict[str, list[ExampleBox]]
    boxes: dict[str, list[ExampleBox]]


def list_examples(result: StudyResult) -> list[Example]:
    """Some test images of each data set, at its fewest shots, with the boxes of all arms of the first seed."""
    examples: list[Example] = []
    for data in result.study.downstream:
        setting = Setting(data.name, data.shots[0])
        kept: dict[str, EvaluateSpec] = {}
        for one in result.pictured:
            spec = result.planner.steps.all[one.evaluate].spec
            if Setting(one.data, one.shots) == setting and isinstance(spec, EvaluateSpec) and spec.out is not None:
                kept[one.arm] = spec
        examples += _list_of_setting(setting, kept)
    return examples


def _list_of_setting(setting: Setting, specs: Mapping[str, EvaluateSpec]) -> Iterator[Example]:
    if not specs:
        return
    found = {arm: _read_found(spec) for arm, spec in specs.items()}
    first = next(iter(specs.values()))
    store = open_annotated(first).store
    truth = next(iter(found.values())).truth
    keys = sorted(random.Random(0).sample(sorted(truth), min(_NUM_OF_SETTING, len(truth))))  # noqa: S311
    for key in keys:
        yield Example(
            key=key,
            image=store.get(key),
            truth=truth[key],
            found={arm: one.boxes.get(key, []) for arm, one in found.items()},
            note=f"{setting.data}, {'all images' if setting.shots is None else f'{setting.shots} shots'}",
        )


def _read_found(spec: EvaluateSpec) -> _Found:
    store = open_store(spec.out or "")
    drawn = json.loads(store.get("truth.json"))
    names = {one["id"]: one["name"] for one in drawn["categories"]}
    keys = {one["id"]: one["file_name"] for one in drawn["images"]}
    truth: dict[str, list[ExampleBox]] = {key: [] for key in keys.values()}
    boxes: dict[str, list[ExampleBox]] = defaultdict(list)
    for one in drawn["annotations"]:
        key, name = keys[one["image_id"]], names[one["category_id"]]
        truth[key].append(ExampleBox(_to_xyxy(one["bbox"]), name, ignored=bool(one["iscrowd"])))
    for one in json.loads(store.get("predictions.json")):
        if one["score"] >= _LEAST_SCORE:
            box = ExampleBox(_to_xyxy(one["bbox"]), names[one["category_id"]], one["score"])
            boxes[keys[one["image_id"]]].append(box)
    return _Found(truth, boxes)


def _to_xyxy(bbox: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = bbox
    return x, y, x + width, y + height
