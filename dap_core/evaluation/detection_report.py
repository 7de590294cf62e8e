"""All that is measured of a detector on images with drawn boxes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from dap_core.evaluation.coco_precision import CocoPrecision, compute_coco_precision
from dap_core.evaluation.detection_truth import DetectionTruth, Found
from dap_core.evaluation.recognition import Recognition, measure_recognition
from dap_core.evaluation.voc_precision import VocPrecision, compute_voc_precision


@dataclass(frozen=True, slots=True, eq=False)
class DetectionReport:
    """COCO's and VOC's figures; as a classifier where every image has boxes of one class, and there are several."""

    coco: CocoPrecision
    voc: VocPrecision
    recognition: Recognition | None
    num_images: int
    num_truth: int
    num_ignored: int
    num_detections: int

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain JSON values, curves left out; None for what cannot be measured."""
        coco = {name: value for name, value in asdict(self.coco).items() if name != "by_class"}
        values = {
            "images": self.num_images,
            "boxes": self.num_truth,
            "ignored_boxes": self.num_ignored,
            "detections": self.num_detections,
            "coco": coco,
            "voc": {"ap50_area": self.voc.area, "ap50_11_points": self.voc.eleven_points},
            "classifier": asdict(self.recognition) if self.recognition else None,
            "classes": self.list_classes(),
        }
        cleaned: dict[str, Any] = _drop_nan(values)
        return cleaned

    def list_classes(self) -> list[dict[str, Any]]:
        """A record of each class, in the detector's order."""
        return [
            {
                "name": coco.name,
                "boxes": coco.num_truth,
                "ignored_boxes": voc.num_ignored,
                "detections": len(voc.curve.scores),
                "ap": coco.ap,
                "ap50": coco.ap50,
                "voc_ap50_area": voc.area,
                "voc_ap50_11_points": voc.eleven_points,
            }
            for coco, voc in zip(self.coco.by_class, self.voc.by_class, strict=True)
        ]


def evaluate_detections(found: Found, truth: DetectionTruth) -> DetectionReport:
    """Holds detections against drawn boxes of the same images; an image without detections counts as empty."""
    labels = truth.list_only_labels() if len(truth.classes) > 1 else None
    return DetectionReport(
        coco=compute_coco_precision(found, truth),
        voc=compute_voc_precision(found, truth),
        recognition=measure_recognition(found, labels, len(truth.classes)) if labels else None,
        num_images=len(truth.images),
        num_truth=int(truth.count_boxes().sum()),
        num_ignored=int(truth.count_ignored().sum()),
        num_detections=sum(len(found[key].scores) for key in truth.images if key in found),
    )


def _drop_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _drop_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_drop_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
