"""What a study leaves: `results.parquet`, `report.html`, and `study.json` with the jobs it is made of."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePath

from dap_core.evaluation import compute_statistics
from dap_core.evaluation.paper_results import PAPER_RESULTS
from dap_core.evaluation.study_findings import describe_findings
from dap_core.gallery.study_pages import Cost, LabelSetFacts, StudyPage
from dap_core.stores import Store
from services.jobs.records import JobRecord
from services.places import open_label_set_at
from services.studies.conducting import StudyResult
from services.studies.examples import list_examples
from services.studies.leaks import LeakReport
from services.studies.study import Arm, Downstream, Start, Training
from services.studies.tables import write_scores

_KINDS = {
    "train-classifier": "fit the classifier",
    "mine": "mine pseudo boxes",
    "recut": "cut boxes again",
    "pretrain": "pre-train",
    "finetune": "fine-tune",
    "self-train": "train further on its own boxes",
    "evaluate": "measure",
}


def write_report(store: Store, result: StudyResult, *, pictures: bool = True) -> list[str]:
    """Writes the three files, replacing those that are there; what was found, in sentences.

    Without `pictures` the report holds none of the images, to be shown to others. Raises StoreError.
    """
    study = result.study
    findings = describe_findings(result.comparisons, study.figure, result.scores)
    page = StudyPage(
        title=study.title,
        question=study.question,
        source=study.source,
        figure=study.figure,
        scores=result.scores,
        results=result.results,
        comparisons=result.comparisons,
        arms=[arm.name for arm in study.arms],
        baselines=study.baselines,
        findings=findings,
        paper=PAPER_RESULTS.get(study.name, ()),
        label_sets=list(_list_label_sets(result)),
        examples=list_examples(result) if pictures else [],
        costs=list(_list_costs(result)),
        settings=list(_list_settings(result)),
        leaks=list(_list_leaks(result)),
        caveats=study.caveats,
    )
    jobs = {key: step.name for key, step in result.planner.steps.all.items()}
    summary = {"study": study.name, "findings": findings, "jobs": jobs}
    store.put("results.parquet", write_scores(study.name, result.scores, result.chosen))
    store.put("report.html", page.render().encode("utf-8", "xmlcharrefreplace"))
    store.put("study.json", json.dumps(summary, indent=1).encode())
    return findings


def _list_label_sets(result: StudyResult) -> Iterator[LabelSetFacts]:
    steps = result.planner.steps
    for arm, job in result.planner.mined.items():
        counted = compute_statistics(open_label_set_at(steps.find_place(job)))
        yield LabelSetFacts(
            name=arm,
            images=counted.num_images,
            boxes=counted.num_boxes,
            boxes_per_image=counted.mean_boxes_per_image,
            mean_width=counted.mean_box_wh[0],
            mean_height=counted.mean_box_wh[1],
        )


def _list_costs(result: StudyResult) -> Iterator[Cost]:
    by_kind: dict[str, list[JobRecord]] = defaultdict(list)
    for key, step in result.planner.steps.all.items():
        by_kind[step.spec.kind].append(result.records[key])
    for kind, records in by_kind.items():
        yield Cost(
            what=_KINDS.get(kind, kind),
            seconds=sum(_measure_seconds(one) for one in records),
            images=sum(one.progress.total for one in records),
            count=len(records),
        )


def _measure_seconds(record: JobRecord) -> float:
    """From start to end of the attempt that ended it."""
    if record.ended is None:
        return 0.0
    return (datetime.fromisoformat(record.ended) - datetime.fromisoformat(record.started)).total_seconds()


def _list_leaks(result: StudyResult) -> Iterator[str]:
    for leak in result.leaks.leaks:
        yield (
            f"{leak.key} of the {leak.part} part of {leak.data} looks like {leak.seen_key} of {leak.seen_in} "
            f"({leak.distance} of 255 bits differ)."
        )


def _describe_comparison(report: LeakReport) -> str:
    compared = ", ".join(f"{number:,} of {name}" for name, number in report.num_compared.items())
    unreadable = f"; {report.num_unreadable} could not be decoded" if report.num_unreadable else ""
    return f"{compared}, by perceptual hash: {len(report.leaks) or 'no'} copies{unreadable}"


def _list_settings(result: StudyResult) -> Iterator[tuple[str, str]]:
    study = result.study
    yield "Seeds", ", ".join(map(str, study.seeds))
    yield "Images compared", _describe_comparison(result.leaks)
    for arm in study.arms:
        yield f"Arm {arm.name}", _describe_arm(arm)
    for data in study.downstream:
        yield f"Data {data.name}", _describe_data(data)
    for (setting, arm_name), steps in result.chosen.items():
        shots = "all" if setting.shots is None else setting.shots
        yield f"Steps chosen, {setting.data}, {shots} shots, {arm_name}", str(steps)


def _describe_arm(arm: Arm) -> str:
    parts = [f"starts from {_name_start(arm.start)}"]
    if arm.pretraining is not None:
        what = "pseudo boxes" if arm.boxes is not None else "drawn boxes"
        parts.append(f"pre-trained on {what}: {_name_training(arm.pretraining)}")
    if arm.boxes is not None:
        mining = arm.boxes.mining
        sides = f" at short sides {', '.join(map(str, mining.short_sides))}" if mining.short_sides else ""
        parts.append(f"boxes by recipe {mining.recipe}{sides}")
    if arm.finetuning:
        parts.append("fine-tuned with " + ", ".join(f"{name} {value}" for name, value in arm.finetuning.items()))
    if arm.times_steps > 1:
        parts.append(f"fine-tuned {arm.times_steps} times as long")
    if arm.self_training is not None:
        parts.append(f"then trained further: {_name_training(arm.self_training.training)}")
    return "; ".join(parts)


def _describe_data(data: Downstream) -> str:
    shots = ", ".join("all" if one is None else str(one) for one in data.shots)
    steps = ", ".join(map(str, data.steps))
    training, place = _name_training(data.finetuning), PurePath(data.test.data).name
    return f"{shots} shots, {training}; measured after {steps} steps; {place}"


def _name_training(training: Training) -> str:
    """A training in words."""
    changes = ", ".join(f"{name} {value}" for name, value in training.changes.items())
    return f"{training.recipe}{f' with {changes}' if changes else ''}"


def _name_start(start: Start) -> str:
    """A start in words."""
    return f"{start.classifier}{' from scratch' if start.weights == 'random' else ''}"
