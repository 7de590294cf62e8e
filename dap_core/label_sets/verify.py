"""Checking a label set against its own manifest: checksums, counts, schema, values."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import numpy as np

from dap_core.errors import LabelSetError, StoreError
from dap_core.label_sets.plan import Plan, read_plan
from dap_core.label_sets.reader import LabelSet
from dap_core.label_sets.schema import LabelSetRow, batch_to_rows
from dap_core.label_sets.shards import ShardEntry, open_shard, parse_object_name, read_failures


def verify_label_set(label_set: LabelSet) -> list[str]:
    """Everything that is wrong with a label set, in words; empty when it is sound.

    Every object that the manifest names is read and hashed, every shard is held against its rows of the
    plan, every row against the limits of its image and the class list.
    """
    problems: list[str] = []
    labelled: set[str] = set()
    for segment in label_set.manifest.segments:
        try:
            data = label_set.store.get(segment.plan_key)
            problems += _check_hash(segment.plan_key, segment.plan_sha256, data)
            plan = read_plan(data)
        except (StoreError, LabelSetError) as error:
            problems.append(str(error))
            continue
        if plan.settings.to_dict() != label_set.manifest.settings.to_dict():
            problems.append(f"{segment.plan_key} and the manifest name different settings")
        if plan.num_rows != segment.num_planned:
            problems.append(f"{segment.plan_key} lists {plan.num_rows} images, the manifest {segment.num_planned}")
        problems += _check_shard_numbers(segment.shards, plan)
        for entry in segment.shards:
            problems += _check_shard(label_set, entry, plan, labelled)
    return problems


def _check_shard_numbers(entries: tuple[ShardEntry, ...], plan: Plan) -> Iterator[str]:
    numbers = Counter(entry.footer.shard for entry in entries)
    for shard, times in numbers.items():
        if times > 1 or shard not in plan.shards:
            yield f"shard {shard} is named {times} times in the manifest, planned {int(shard in plan.shards)} times"


def _check_shard(label_set: LabelSet, entry: ShardEntry, plan: Plan, labelled: set[str]) -> list[str]:
    """What is wrong with one shard; its labelled keys are added to those of the shards before it."""
    if entry.footer.shard not in plan.shards:
        return []
    try:
        data = label_set.store.get(entry.data)
        problems = _check_hash(entry.data, parse_object_name(entry.data)[1], data)
        if problems:
            return problems
        rows = [row for batch in open_shard(data, entry.data).iter_batches() for row in batch_to_rows(batch)]
        failed = _read_failed_keys(label_set, entry, problems)
    except (StoreError, LabelSetError) as error:
        return [str(error)]
    if entry.footer.shard_key != plan.compute_shard_key(entry.footer.shard):
        problems.append(f"{entry.data} was made of another input or with other settings than its plan")
    planned = Counter(row.key for row in plan.shards[entry.footer.shard])
    found = Counter([row.key for row in rows] + failed)
    problems += [f"{entry.data}: {key} is lost" for key in (planned - found)]
    problems += [f"{entry.data}: {key} is there too often" for key in (found - planned)]
    counts = (len(rows), len(failed), sum(len(row.boxes) for row in rows))
    if counts != (entry.footer.num_ok, entry.footer.num_failed, entry.footer.num_boxes):
        problems.append(f"{entry.data} holds {counts} images, failures and boxes, its footer says otherwise")
    problems += [f"{entry.data}: {row.key} is labelled in an earlier shard too" for row in rows if row.key in labelled]
    labelled.update(row.key for row in rows)
    for row in rows:
        problems += [f"{entry.data}: {row.key}: {what}" for what in _check_row(row, label_set)]
    return problems


def _read_failed_keys(label_set: LabelSet, entry: ShardEntry, problems: list[str]) -> list[str]:
    key = entry.footer.failures
    if key is None:
        return []
    problems += _check_hash(key, parse_object_name(key)[1], label_set.store.get(key))
    return [failure.key for failure in read_failures(label_set.store, key)]


def _check_hash(key: str, sha256: str, data: bytes) -> list[str]:
    found = hashlib.sha256(data).hexdigest()
    return [] if found == sha256 else [f"{key} is damaged: its sha256 is {found[:12]}..., not {sha256[:12]}..."]


def _check_row(row: LabelSetRow, label_set: LabelSet) -> Iterator[str]:
    boxes = row.boxes.boxes
    limit = np.array([*row.size_wh, *row.size_wh], np.float32)
    if not np.isfinite(boxes).all() or (boxes < 0).any() or (boxes > limit).any():
        yield "a box reaches outside the image"
    if (boxes[:, 2:] <= boxes[:, :2]).any():
        yield "a box has no area"
    if not set(row.boxes.labels.tolist()) <= set(row.labels):
        yield "a box has a label that the image has not"
    if any(not 0 <= label < len(label_set.classes) for label in (*row.labels, row.top1)):
        yield "a label is outside the class list"
    if row.image is not None and hashlib.sha256(row.image).hexdigest() != row.sha256:
        yield "the image bytes differ from their sha256"
