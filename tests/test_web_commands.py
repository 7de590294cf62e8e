"""The commands that stand beside the form of a new job say what the form says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from clients.cli.main import app
from services.jobs.kinds import KINDS, make_spec, parse_spec
from tests.web_builders import open_browser, open_modules

if TYPE_CHECKING:
    from playwright.sync_api import Page

ORIGIN = "http://dap.test:8000"
TRAIN: dict[str, Any] = {
    "out": "s3://runs/made",
    "changes": {"num_steps": "300", "augment.short_sides": "64,96"},
    "seed": 7,
    "device": "cuda:1",
    "decoders": 0,
    "save_every": 50,
    "keep": [50, 100],
    "resume": True,
    "workers": 2,
    "ray": "ray://head:10001",
}
DATA: dict[str, Any] = {
    "data": "/data/VOC devkit",
    "data_format": "voc",
    "split": "trainval",
    "years": ["2007", "2012"],
    "image_root": "/data/images",
    "inclusive": True,
    "images_from": "/data/use.txt",
    "leave_out": "/data/leave.txt",
    "class_map": {"tabby": "it's a cat", "dog=big": ""},
}
LABELLING: dict[str, Any] = {
    "label_pattern": r"(?P<label>n\d{8})/'$HOME' \"x\"",
    "label_map": {"cat": "tabby", "-x": "tench"},
}
PREDICTION: dict[str, Any] = {
    "detector": "/runs/voc",
    "short_side": 400,
    "mirror": True,
    "batch_size": 2,
    "precision": "bfloat16",
    "device": "cpu",
}
SPECS: list[dict[str, Any]] = [
    {
        "kind": "mine",
        "source": ["s3://photos/cats", "/data/my photos"],
        "out": "/data/labels",
        **LABELLING,
        "classifier": "timm/resnet50d",
        "weights": "/w/a.pth",
        "classes": "/w/classes.csv",
        "recipe": "paper",
        "short_sides": [288, 576],
        "thresholds": [0.3, 0.5],
        "nms_iou": 0.7,
        "engine": "torch",
        "device": "cpu",
        "precision": "float32",
        "images": "reference",
        "cams": False,
        "growth": "failed-images",
        "max_failures": 0.5,
        "shard_images": 10,
        "labelers": 4,
        "ray": "auto",
    },
    {"kind": "mine", "source": ["/p"], "out": "/l", "labels": ["tench, Tinca", "-1"], "growth": "new-images"},
    {"kind": "mine", "source": ["/p"], "out": "/l", "label_table": "/t.csv", "label_map": {"a": "b=c"}},
    {
        "kind": "train-classifier",
        "source": ["/data/photos"],
        **TRAIN,
        **LABELLING,
        "start": "resnet18",
        "weights": "random",
        "classes": "/c.csv",
        "recipe": "classifier-in14m",
        "holdout": 0.2,
        "short_side": 224,
    },
    {"kind": "train-classifier", "source": ["/data/photos"], "out": "/o", "head_only": True, "labels": ["cat"]},
    {"kind": "pretrain", "label_set": "/l", "recipe": "pretrain-in1m", **TRAIN, "classifier": "lite0"},
    {"kind": "pretrain", "label_set": "/l", "out": "/o", "changes": {"a": "b=c"}},
    {"kind": "finetune", "checkpoint": "/c", **TRAIN, **DATA, "shots": 10, "shot_seed": 3},
    {"kind": "finetune", "classifier": "lite0", "data": "/d", "out": "/o", "years": ["a,b"]},
    {
        "kind": "self-train",
        "checkpoint": "/c",
        "images": ["/a", "/b c"],
        "labels": "/found",
        **TRAIN,
        **DATA,
        "keep_score": 0.5,
        "recipe": "self-train-voc",
    },
    {"kind": "self-train", "checkpoint": "/c", "images": ["/a"], "labels": "/f", "out": "/o", "data": "/d", "shots": 1},
    {"kind": "evaluate", **PREDICTION, **DATA, "out": "/report", "shown": 10},
    {"kind": "evaluate", "detector": "/r", "data": "/d", "shot_seed": 1},
    {
        "kind": "predict",
        **PREDICTION,
        "source": ["/a", "/b"],
        "out": "/o",
        "images_from": "/f.txt",
        "keep_score": 0.6,
        "images": "reference",
        "max_failures": 0.1,
    },
    {
        "kind": "recut",
        "label_set": "/l",
        "out": "/o",
        "recipe": "official",
        "short_sides": [576],
        "thresholds": [0.3],
        "nms_iou": 1,
        "images": "reference",
    },
    {
        "kind": "export",
        "label_set": "/l",
        "out": "/o",
        "format": "voc",
        "images": "none",
        "classes": "used",
        "min_score": -0.5,
        "voc_flavor": "plus-one",
    },
]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with open_browser() as browser:
        yield open_modules(browser)


def describe(page: Page, function: str, request: dict[str, Any]) -> str:
    code = "async ([name, request]) => (await import('/web/command-lines.js'))[name](request)"
    text: str = page.evaluate(code, [function, request])
    return text


def run_in_shell(command: str, folder: Path) -> str:
    """What a command prints when the programs in it print their arguments as a list in JSON."""
    printing = "python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))'"
    script = f'dap() {{ {printing} "$@"; }}\ncurl() {{ {printing} "$@"; }}\n{command}'
    ended = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    return ended.stdout


@pytest.mark.parametrize("number", range(len(SPECS)))
def test_the_dap_command_makes_the_same_job(page: Page, tmp_path: Path, number: int):
    spec = SPECS[number]
    values = {name: value for name, value in spec.items() if name != "kind"}
    command = describe(page, "describeDap", {"origin": ORIGIN, "kind": spec["kind"], "values": values})
    arguments = json.loads(run_in_shell(command, tmp_path))
    assert arguments[-2:] == ["--service", ORIGIN]
    if arguments[0] == "run":
        assert parse_spec((tmp_path / arguments[1]).read_bytes()) == make_spec(spec)
        return
    printed = CliRunner().invoke(app, [*arguments[:-2], "--print-spec"])
    assert printed.exit_code == 0, printed.output
    assert parse_spec(printed.output) == make_spec(spec)


def test_the_record_is_only_taken_where_an_option_is_missing(page: Page):
    by_record = []
    for spec in SPECS:
        values = {name: value for name, value in spec.items() if name != "kind"}
        command = describe(page, "describeDap", {"origin": ORIGIN, "kind": spec["kind"], "values": values})
        if command.startswith("printf"):
            by_record.append(spec["kind"])
    assert by_record == ["mine", "train-classifier", "finetune", "self-train", "evaluate"]
    assert {spec["kind"] for spec in SPECS} == set(KINDS)


@pytest.mark.parametrize("spec", [SPECS[0], {"kind": "export", "label_set": {"job": "it's"}, "out": "/o"}])
def test_the_curl_command_sends_the_job(page: Page, tmp_path: Path, spec: dict[str, Any]):
    request = {"origin": ORIGIN, "body": json.dumps(spec), "hasKey": True}
    command = describe(page, "describeJobCurl", request)
    assert re.search(r'"Authorization: Bearer \$DAP_KEY"', command)
    arguments = json.loads(run_in_shell(f"DAP_KEY=dap_x; {command}", tmp_path))
    assert arguments[arguments.index("-d") + 1] == json.dumps(spec)
    assert arguments[-1] == f"{ORIGIN}/v1/jobs"
    assert "Authorization: Bearer dap_x" in arguments
    assert shlex.split(command.replace("\\\n", ""))[0] == "curl"
