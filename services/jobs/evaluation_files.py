"""What an evaluation leaves in a store: figures, curves, a page, and the boxes as COCO files.

metrics.json      all figures; per class too, and what was left out
classes.parquet   a row for each class
curves.png        precision by recall, and AP50 by class
report.html       figures, and the boxes that are wrong or missed
truth.json, predictions.json   what was compared, as COCO annotations and results of the same numbers
"""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dap_core.evaluation.coco_precision import list_categories, list_detections, list_images, list_truth
from dap_core.evaluation.detection_truth import DetectionTruth, Found
from dap_core.stores import Store

_CLASS_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        *((name, pa.int64()) for name in ("boxes", "ignored_boxes", "detections")),
        *((name, pa.float64()) for name in ("ap", "ap50", "voc_ap50_area", "voc_ap50_11_points")),
    ]
)
_RESULT_FIELDS = ("image_id", "category_id", "bbox", "score")


def write_evaluation(store: Store, metrics: dict[str, Any], found: Found, truth: DetectionTruth) -> None:
    """Writes all but curves and page; what is there is replaced. Raises StoreError."""
    drawn = {"images": list_images(truth), "categories": list_categories(truth), "annotations": list_truth(truth)}
    results = [{name: one[name] for name in _RESULT_FIELDS} for one in list_detections(found, truth)]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(metrics["classes"], _CLASS_SCHEMA), sink)
    store.put("truth.json", json.dumps(drawn).encode())
    store.put("predictions.json", json.dumps(results).encode())
    store.put("classes.parquet", sink.getbuffer())
    store.put("metrics.json", json.dumps(metrics, indent=1).encode())
