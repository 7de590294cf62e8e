"""The studies of the paper by name, each on any data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dap_core.errors import InputError
from dap_core.evaluation.paper_tables import NMS_IOUS, THRESHOLDS
from services.studies.study import Arm, Downstream, PseudoBoxes, Study
from services.studies.study_data import StudyData

CLS, DAP = "CLS", "DAP"


@dataclass(frozen=True, slots=True)
class StudyEntry:
    """A study that has a name."""

    title: str
    question: str
    source: str
    build: Callable[[StudyData], Mapping[str, Any]]
    """Its arms, and what else of `Study` is not as usual, from the data."""


def make_named_study(name: str, data: StudyData) -> Study:
    """A study of the paper on some data. Raises InputError for an unknown name, or data that lack what it needs."""
    if name not in STUDIES:
        raise InputError(f"there is no study {name!r}; there are {', '.join(STUDIES)}")
    entry = STUDIES[name]
    parts: dict[str, Any] = {
        "downstream": data.downstream,
        "seeds": data.seeds,
        "caveats": data.caveats,
        **entry.build(data),
    }
    return Study(name=name, title=entry.title, question=entry.question, source=entry.source, **parts)


def _make_cls(data: StudyData, **values: Any) -> Arm:
    return Arm(**{"name": CLS, "start": data.start, **values})


def _make_dap(data: StudyData, *, changes: Mapping[str, str] | None = None, **values: Any) -> Arm:
    """DAP held against CLS; `changes` are of its pre-training."""
    training = data.pretraining
    training = replace(training, changes={**training.changes, **(changes or {})})
    boxes = PseudoBoxes(source=data.labelled, mining=data.mining)
    usual = {"name": DAP, "start": data.start, "boxes": boxes, "pretraining": training, "baseline": CLS}
    return Arm(**{**usual, **values})


def _use_all(data: StudyData) -> tuple[Downstream, ...]:
    return tuple(replace(one, shots=(None,)) for one in data.downstream)


def _need(value: Any, data: StudyData, what: str) -> Any:
    if not value:
        raise InputError(f"this study needs {what}, which the data {data.name!r} do not name")
    return value


def _full(data: StudyData) -> dict[str, Any]:
    return {"arms": (_make_cls(data), _make_dap(data)), "downstream": _use_all(data)}


def _scale(data: StudyData) -> dict[str, Any]:
    fewer = _need(data.fewer_labelled, data, "a part of the images with labels")
    few = _make_dap(data, name=f"{DAP}, fewer images", boxes=PseudoBoxes(source=fewer, mining=data.mining))
    return {"arms": (_make_cls(data), few, _make_dap(data))}


def _kshot(data: StudyData) -> dict[str, Any]:
    return {"arms": (_make_cls(data), _make_dap(data))}


def _convergence(data: StudyData) -> dict[str, Any]:
    steps = _need(data.curve_steps, data, "numbers of steps to measure after")
    first = data.downstream[0]
    late = {"milestones": str(max(1, steps[-1] * 4 // 5))}
    training = replace(first.finetuning, changes={**first.finetuning.changes, **late})
    downstream = (replace(first, shots=(None,), steps=steps, finetuning=training),)
    return {**_kshot(data), "downstream": downstream, "follows_steps": True, "seeds": data.seeds[:3]}


def _thresholds(data: StudyData) -> dict[str, Any]:
    boxes = PseudoBoxes(source=data.labelled, mining=data.mining)
    single = tuple(
        _make_dap(data, name=f"{tau:g}", boxes=replace(boxes, thresholds=(tau,)), baseline="multi")
        for tau in THRESHOLDS
    )
    return {"arms": (_make_cls(data), *single, _make_dap(data, name="multi")), "downstream": _use_all(data)}


def _nms(data: StudyData) -> dict[str, Any]:
    boxes = PseudoBoxes(source=data.labelled, mining=data.mining)
    arms = tuple(
        _make_dap(data, name=f"{iou:.1f}", boxes=replace(boxes, nms_iou=iou), baseline=None if iou == _NMS else "0.8")
        for iou in NMS_IOUS
    )
    return {"arms": (_make_cls(data), *arms), "downstream": _use_all(data)}


def _freeze(data: StudyData) -> dict[str, Any]:
    frozen = _make_dap(data, name=f"{DAP} frozen", changes={"trainable": "heads"})
    return {
        "arms": (_make_cls(data), _make_dap(data, changes={"trainable": "all"}), frozen),
        "downstream": _use_all(data),
    }


def _backbones(data: StudyData) -> dict[str, Any]:
    others = _need(data.other_starts, data, "other classifiers")
    arms: list[Arm] = []
    for start in (data.start, *others):
        arms += _make_pair(data, start.classifier, start=start)
    return {"arms": tuple(arms), "downstream": _use_all(data)}


def _detectors(data: StudyData) -> dict[str, Any]:
    arms: list[Arm] = []
    for architecture in ("faster_rcnn", "retinanet", "fcos"):
        chosen = {"architecture": architecture}
        arms += _make_pair(data, architecture, changes=chosen, finetuning=chosen)
    return {"arms": tuple(arms), "downstream": _use_all(data)}


def _make_pair(data: StudyData, what: str, *, changes: Mapping[str, str] | None = None, **values: Any) -> list[Arm]:
    """CLS and DAP that share what they are made of."""
    cls = _make_cls(data, name=f"{CLS} {what}", **values)
    dap = _make_dap(data, changes=changes, name=f"{DAP} {what}", baseline=cls.name, **values)
    return [cls, dap]


def _det_pretraining(data: StudyData) -> dict[str, Any]:
    drawn = _need(data.drawn, data, "images with drawn boxes of many classes")
    det = Arm(name="DET", start=data.start, drawn=drawn, pretraining=data.pretraining, baseline=CLS)
    return {"arms": (_make_cls(data), _make_dap(data), det), "downstream": _use_all(data)}


def _self_training(data: StudyData) -> dict[str, Any]:
    way = _need(data.self_training, data, "a recipe to train further with")
    downstream = tuple(one for one in data.downstream if one.unlabelled)
    further = (
        _make_cls(data, name=f"{CLS} + self-training", self_training=way, baseline=CLS),
        _make_dap(data, name=f"{DAP} + self-training", self_training=way, baseline=f"{CLS} + self-training"),
    )
    arms = (_make_cls(data), _make_dap(data), *further)
    return {"arms": arms, "downstream": _need(downstream, data, "images without boxes")}


def _longer(data: StudyData) -> dict[str, Any]:
    arms: list[Arm] = []
    for times in (1, 3):
        cls = _make_cls(data, name=f"{CLS} {times}x", times_steps=times)
        arms += [cls, _make_dap(data, name=f"{DAP} {times}x", times_steps=times, baseline=cls.name)]
    return {"arms": tuple(arms)}


def _classifier(data: StudyData) -> dict[str, Any]:
    probe = _need(data.probe, data, "images to classify")
    dap = _make_dap(data, changes={"class_agnostic": "false"}, baseline=None)
    return {"arms": (dap,), "downstream": (), "probes": (probe,), "seeds": (0,), "figure": "top1"}


_NMS = 0.8
STUDIES: dict[str, StudyEntry] = {
    "full": StudyEntry(
        "All drawn images",
        "Is a detector better that was pre-trained on pseudo boxes, when all drawn images are used?",
        "tables 1 and 2",
        _full,
    ),
    "scale": StudyEntry(
        "More images to pre-train on",
        "Does pre-training on more images with labels help more?",
        "tables 1 and 2, section 4.2",
        _scale,
    ),
    "kshot": StudyEntry(
        "Few drawn images",
        "Does a detector that was pre-trained on pseudo boxes need fewer drawn images?",
        "figures 3 and 4",
        _kshot,
    ),
    "convergence": StudyEntry(
        "How fast fine-tuning is",
        "After how many steps of fine-tuning is each start as good as the other in the end?",
        "figure 5",
        _convergence,
    ),
    "thresholds": StudyEntry(
        "Thresholds of the maps",
        "Which CAM thresholds give the pseudo boxes that are best to pre-train on?",
        "table A1",
        _thresholds,
    ),
    "nms": StudyEntry(
        "Merging of pseudo boxes",
        "At which IoU should pseudo boxes of several thresholds be merged?",
        "table A2",
        _nms,
    ),
    "freeze": StudyEntry(
        "A backbone that stays as it is",
        "Is it only the new layers that gain by pre-training, or the backbone, too?",
        "table 3",
        _freeze,
    ),
    "backbones": StudyEntry("Other backbones", "Does it hold for a larger backbone?", "tables 4 and 5", _backbones),
    "detectors": StudyEntry("Other detectors", "Does it hold for other detectors?", "tables 6 and 7", _detectors),
    "det-pretraining": StudyEntry(
        "Drawn boxes to pre-train on",
        "How far are pseudo boxes from drawn ones, to pre-train on?",
        "table 8",
        _det_pretraining,
    ),
    "self-training": StudyEntry(
        "Self-training",
        "Does the difference stay when detectors label more images themselves?",
        "table 9",
        _self_training,
    ),
    "longer": StudyEntry(
        "Longer fine-tuning", "Does the difference stay with longer fine-tuning?", "table 10", _longer
    ),
    "classifier": StudyEntry(
        "Detectors as classifiers",
        "How well does a pre-trained detector name what an image shows?",
        "section 4.3",
        _classifier,
    ),
}
