"""`dap evaluate`, `predict` and `export-detector` as a person types them, with a small detector."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import Result
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from typer.testing import CliRunner

from clients.cli.main import app
from dap_core.detectors import Detector, save_checkpoint
from dap_core.detectors.predicting import PredictionConfig, Predictor
from dap_core.label_sets import open_label_set
from dap_core.label_sets.verify import verify_label_set
from dap_core.stores import LocalStore
from dap_core.types import PredictedImage
from services.jobs.kinds import parse_spec
from services.places import open_label_set_at
from tests.builders import encode_image, make_smooth_pixels
from tests.detector_builders import TINY_CONFIG, make_tiny_detector
from tests.page_builders import Page
from tests.s3_servers import S3_ENVIRONMENT, run_moto

EAGER = replace(TINY_CONFIG, score_threshold=0.0, max_detections=60)
SIZES = {"a.png": (160, 120), "b/c.png": (120, 140), "d.png": (128, 96)}
pytestmark = pytest.mark.usefixtures("one_thread")
CLASSES = ("class 0", "class 1", "class 2")
RUN_OPTIONS = ("--batch-size", 1, "--device", "cpu")


def run(*arguments: object) -> Result:
    """Runs `dap` with arguments in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def make_eager_detector() -> Detector:
    """A detector with random weights that finds boxes of all its classes and keeps them."""
    detector = make_tiny_detector("faster_rcnn", config=EAGER).eval()
    predictor: Any = detector.network.roi_heads.box_predictor  # type: ignore[union-attr]
    torch.nn.init.normal_(predictor.cls_score.weight, std=0.4, generator=torch.Generator().manual_seed(1))
    return detector


def make_photo(key: str) -> bytes:
    width, height = SIZES[key]
    pixels = make_smooth_pixels(width, height)
    pixels[height // 4 : height // 2, width // 4 : 3 * width // 4] = (250, 30 * len(key), 20)
    return encode_image(pixels)


def find(detector: Detector) -> dict[str, PredictedImage]:
    """What the detector finds in each photograph."""
    predictor = Predictor(detector, PredictionConfig(short_side=96, batch_size=1), device="cpu")
    found = predictor.predict_stream([make_photo(key) for key in SIZES])
    return {key: one for key, one in zip(SIZES, found, strict=True) if isinstance(one, PredictedImage)}


def write_coco(path: Path, found: dict[str, PredictedImage], names: list[str], *, misplaced: bool = False) -> None:
    """COCO annotations whose boxes are the best one found of each class, or small ones elsewhere."""
    annotations: list[dict[str, Any]] = []
    for image_id, one in enumerate(found.values(), 1):
        for label in range(len(CLASSES)):
            box = one.boxes[int(np.flatnonzero(one.labels == label)[0])].tolist()
            sides = [1, 1, 6, 6] if misplaced else [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, "category_id": label, "bbox": sides})
    values = {
        "images": [
            {"id": number, "file_name": key, "width": SIZES[key][0], "height": SIZES[key][1]}
            for number, key in enumerate(found, 1)
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(names)],
        "annotations": [one | {"area": one["bbox"][2] * one["bbox"][3], "iscrowd": 0} for one in annotations],
    }
    path.write_text(json.dumps(values))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, photographs, and annotations that its detector finds."""
    folder = tmp_path_factory.mktemp("evaluate")
    detector = make_eager_detector()
    recipe = {"augment.short_sides": [64, 96]}
    save_checkpoint(LocalStore(folder / "run"), "", detector, step=7, recipe=recipe)
    for key in SIZES:
        path = folder / "photos" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_photo(key))
    found = find(detector)
    write_coco(folder / "photos/found.json", found, list(CLASSES))
    write_coco(folder / "photos/misplaced.json", found, list(CLASSES), misplaced=True)
    write_coco(folder / "photos/unknown.json", found, ["cat", "dog", "class 2"])
    return folder


def evaluate_with(place: Path, data: Path, *options: object, root: Path | None = None) -> Result:
    images = ["--image-root", root or place / "photos"]
    return run("evaluate", place / "run", "--data", data, *images, *RUN_OPTIONS, "--json", *options)


def predict_with(place: Path, out: Path, *options: object, images: tuple[Path, ...] = ()) -> Result:
    sources = images or (place / "photos",)
    return run("predict", *sources, "--detector", place / "run", "--out", out, *RUN_OPTIONS, "--json", *options)


@pytest.fixture(scope="module")
def report(place: Path) -> dict[str, Any]:
    """What is measured on annotations that the detector finds; the files are in `report`."""
    result = evaluate_with(place, place / "photos/found.json", "--out", place / "report")
    assert result.exit_code == 0, result.output
    values: dict[str, Any] = json.loads(result.stdout)
    return values


@pytest.fixture(scope="module")
def predicted(place: Path) -> Path:
    """The label set of what the detector finds in all photographs."""
    result = predict_with(place, place / "labels")
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert (values["ok"], values["failed"], values["state"]) == (3, 0, "complete")
    return place / "labels"


def test_boxes_that_are_drawn_where_they_are_found_first_are_found(report: dict[str, Any]) -> None:
    assert (report["images"], report["boxes"], report["short_side"], report["step"]) == (3, 9, 96, 7)
    assert report["voc"]["ap50_area"] > 0.6
    assert report["coco"]["ap"] > 0.6


def test_an_evaluation_leaves_figures_boxes_and_a_page(place: Path, report: dict[str, Any]) -> None:
    folder = place / "report"
    files = ["classes.parquet", "curves.png", "metrics.json", "predictions.json", "report.html", "truth.json"]
    assert sorted(path.name for path in folder.iterdir()) == files
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["coco"] == report["coco"]
    assert pq.read_table(folder / "classes.parquet").to_pylist() == metrics["classes"]
    page = Page((folder / "report.html").read_text())
    for text in ("Wrong boxes, highest scores first", "Missed boxes, largest first", "a.png", "AP small, medium"):
        assert text in page.text


def test_the_files_give_pycocotools_the_same_figures(place: Path, report: dict[str, Any]) -> None:
    with redirect_stdout(StringIO()):
        truth = COCO(str(place / "report/truth.json"))
        evaluator = COCOeval(truth, truth.loadRes(str(place / "report/predictions.json")), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    assert report["coco"]["ap"] == pytest.approx(evaluator.stats[0], abs=1e-6)
    assert report["coco"]["recall"] == pytest.approx(evaluator.stats[8], abs=1e-6)


def test_the_tables_say_what_was_measured_and_the_mirror_changes_it(place: Path, report: dict[str, Any]) -> None:
    data = ["--data", place / "photos/found.json", "--image-root", place / "photos"]
    result = run("evaluate", place / "run", *data, *RUN_OPTIONS, "--mirror")
    texts = ("AP (COCO, IoU 0.50 to 0.95)", "VOC AP50, 11 points", "3 images with 9 drawn boxes", "class 0", "mirrored")
    for text in texts:
        assert text in result.stdout
    assert f"{100 * report['coco']['ap']:.1f}" not in result.stdout.partition("AP50")[0]


def test_boxes_that_are_drawn_elsewhere_are_not_found(place: Path) -> None:
    values = json.loads(evaluate_with(place, place / "photos/misplaced.json").stdout)
    assert values["coco"]["ap"] < 0.05


def test_classes_that_the_detector_does_not_know_are_named(place: Path) -> None:
    refused = evaluate_with(place, place / "photos/unknown.json")
    assert refused.exit_code == 2
    for text in ("does not know", "cat (", "it knows class 0, class 1, class 2", "--map CLASS=NAME"):
        assert text in refused.output


def test_classes_can_be_mapped(place: Path, report: dict[str, Any]) -> None:
    maps = [option for name in ("cat=class 0", "dog=class 1") for option in ("--map", name)]
    result = evaluate_with(place, place / "photos/unknown.json", *maps)
    assert json.loads(result.stdout)["coco"] == report["coco"]


def test_an_image_that_is_gone_counts_as_empty(place: Path, tmp_path: Path, report: dict[str, Any]) -> None:
    for key in list(SIZES)[:2]:
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_photo(key))
    out = tmp_path / "report"
    result = evaluate_with(place, place / "photos/found.json", "--out", out, root=tmp_path)
    assert result.exit_code == 3
    values = json.loads(result.stdout)
    assert (values["failed"], values["images"]) == (1, 3)
    assert "d.png: source-missing" in values["failures"][0]
    assert values["coco"]["recall"] < report["coco"]["recall"]
    assert "1 image failed" in Page((out / "report.html").read_text()).text


def test_an_image_of_another_size_than_its_annotations_is_left_out(place: Path, tmp_path: Path) -> None:
    values = json.loads((place / "photos/found.json").read_text())
    values["images"][0]["width"] += 40
    (tmp_path / "odd.json").write_text(json.dumps(values))
    result = evaluate_with(place, tmp_path / "odd.json")
    assert "1 images have another size" in result.stderr
    assert json.loads(result.stdout)["images"] == 2


def test_a_folder_without_a_checkpoint_is_refused(place: Path) -> None:
    result = run("evaluate", place / "photos", "--data", place / "photos/found.json")
    assert result.exit_code == 2
    assert "holds no detector: expected checkpoint.json" in result.output


def test_predictions_are_what_the_detector_finds(predicted: Path) -> None:
    opened = open_label_set(predicted)
    assert verify_label_set(opened) == []
    expected = find(make_eager_detector())
    rows = {row.key: row for row in opened.rows()}
    assert rows.keys() == expected.keys()
    for key, row in rows.items():
        np.testing.assert_allclose(row.boxes.boxes, expected[key].boxes, atol=0.01)
        np.testing.assert_allclose(row.boxes.scores, expected[key].scores, atol=1e-4)


def test_predictions_can_be_shown_and_exported(predicted: Path, tmp_path: Path) -> None:
    assert run("show", predicted, "--out", tmp_path / "page.html").exit_code == 0
    page = Page((tmp_path / "page.html").read_text())
    assert "Scores from" in page.text
    assert "τ" not in page.text
    assert run("stats", predicted, "--worst", 3).exit_code == 0
    for name in ("coco", "voc", "yolo"):
        assert run("export", predicted, "--format", name, "--out", tmp_path / name).exit_code == 0
    exported = json.loads((tmp_path / "coco/annotations.json").read_text())["annotations"]
    assert len(exported) == open_label_set(predicted).manifest.counts.num_boxes


def test_predictions_cannot_be_cut_again(predicted: Path, tmp_path: Path) -> None:
    for arguments in (("recut", predicted, "--out", tmp_path / "cut"), ("show", predicted, "--sweep", "nms")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "no maps" in result.output or "without storing maps" in result.output


def test_the_same_command_again_finds_everything_done(place: Path, predicted: Path) -> None:
    assert json.loads(predict_with(place, predicted).stdout)["predicted_now"] == 0


def test_self_training_keeps_confident_boxes_and_the_best_of_each_image(place: Path, tmp_path: Path) -> None:
    (tmp_path / "set.txt").write_text("a\nd\n")
    options = ("--mirror", "--keep-score", 1, "--images-from", tmp_path / "set.txt")
    values = json.loads(predict_with(place, tmp_path / "labels", *options).stdout)
    assert (values["images"], values["boxes"], values["recipe"]["keep_score"]) == (2, 2, 1)
    assert {row.key for row in open_label_set(tmp_path / "labels").rows()} == {"a.png", "d.png"}


def test_an_image_that_is_listed_and_not_there_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "set.txt").write_text("a\nzebra\n")
    result = predict_with(place, tmp_path / "labels", "--images-from", tmp_path / "set.txt")
    assert result.exit_code == 2
    assert "'zebra'" in result.output


def test_a_broken_image_becomes_a_failure(place: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    images = (place / "photos/a.png", tmp_path / "broken.png")
    result = predict_with(place, tmp_path / "labels", "--max-failures", 1, images=images)
    assert result.exit_code == 3
    values = json.loads(result.stdout)
    assert (values["ok"], values["failures_by_type"]) == (1, {"not-an-image": 1})


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_printed_spec_is_the_job(place: Path, tmp_path: Path, command: str) -> None:
    if command == "evaluate":
        result = evaluate_with(place, place / "photos/found.json", "--print-spec")
    else:
        result = predict_with(place, tmp_path / "labels", "--print-spec")
        assert not (tmp_path / "labels").exists()
    spec = parse_spec(result.stdout)
    assert spec.kind == command
    assert spec.detector == str(place / "run")  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_buckets_are_read_and_written(
    place: Path, report: dict[str, Any], predicted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with run_moto() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        store = server.make_store()
        for path in [
            *(place / "run").iterdir(),
            *(place / "photos/found.json", *map((place / "photos").joinpath, SIZES)),
        ]:
            store.put(path.relative_to(place).as_posix(), path.read_bytes())
        options = ("--data", f"{store.uri}/photos/found.json", "--image-root", f"{store.uri}/photos", *RUN_OPTIONS)
        result = run("evaluate", f"{store.uri}/run", *options, "--out", f"{store.uri}/report", "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["coco"] == report["coco"]
        assert json.loads(store.get("report/metrics.json"))["coco"] == report["coco"]
        options = ("--detector", f"{store.uri}/run", "--out", f"{store.uri}/labels", *RUN_OPTIONS)
        assert run("predict", f"{store.uri}/photos", *options).exit_code == 0
        counts = open_label_set_at(f"{store.uri}/labels").manifest.counts
    assert counts == open_label_set(predicted).manifest.counts
