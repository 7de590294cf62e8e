"""`dap label` as a person types it, in its own process and by a real service."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from clients.cli.main import app
from tests.builders import encode_image, make_scene
from tests.client_builders import KeyedService, Reply, make_problem, record_waits, run_keyed_service, serve_replies

FAST = ["--scales", "64,96"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedService]:
    with run_keyed_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two pictures in two folders under one name, one that is none, and one whose name asks for trouble."""
    for name in ("a/x.png", "b/x.png", "c/[red]odd name.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(encode_image(make_scene((160, 120), (30, 30, 90, 90), (200, 150, 100))))
    (tmp_path / "page.jpg").write_bytes(b"<html>")
    return tmp_path


def run(*arguments: object, key: str | None = None) -> Result:
    """Runs `dap label` with arguments in this process."""
    return CliRunner().invoke(app, ["label", *map(str, arguments)], env={"DAP_API_KEY": key, "COLUMNS": "200"})


def test_the_service_and_this_process_print_the_same_and_draw_the_same(photos: Path, service: KeyedService) -> None:
    images = [photos / "a/x.png", photos / "page.jpg", photos / "b/x.png", photos / "missing.png"]
    options = [*images, "--label", "espresso", "--label", "285", *FAST, "--json"]
    here = run(*options, "--overlay", photos / "here")
    there = run(*options, "--overlay", photos / "there", "--service", service.url, key=service.key)
    assert (here.exit_code, there.exit_code) == (3, 3), here.output + there.output
    ours, theirs = json.loads(here.stdout), json.loads(there.stdout)
    assert [item["name"] for item in ours["items"]] == [str(path) for path in images]
    assert [item["index"] for item in ours["items"]] == [0, 1, 2, 3]
    for one, other in zip(ours["items"], theirs["items"], strict=True):
        if "problem" in one:
            assert one["problem"]["type"] == other["problem"]["type"]
        else:
            assert one == other
            assert {box["label"] for box in one["boxes"]} == {967, 285}
    assert (ours["model"], ours["recipe"]) == (theirs["model"], theirs["recipe"])
    assert [item["problem"]["type"] for item in ours["items"][1::2]] == [
        "/problems/not-an-image",
        "/problems/unreadable-file",
    ]
    drawn = sorted(path.name for path in (photos / "here").iterdir())
    assert drawn == ["0-x.png.boxes.png", "2-x.png.boxes.png"]
    for name in drawn:
        assert (photos / "here" / name).read_bytes() == (photos / "there" / name).read_bytes()
        with Image.open(photos / "here" / name) as picture:
            assert picture.size == (160, 120)


def test_boxes_are_printed_as_a_table_and_failures_as_lines(photos: Path, service: KeyedService) -> None:
    images = [photos / "a/x.png", photos / "c/[red]odd name.png", photos / "page.jpg"]
    result = run(*images, "--label", "espresso", *FAST, "--service", service.url, key=service.key)
    assert result.exit_code == 3
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["image", "label", "tau", "score", "x1", "y1", "x2", "y2"]
    assert lines[2].split()[:2] == ["x.png", "espresso"]
    assert "[red]odd name.png" in result.stdout
    assert result.stderr.startswith(f"not-an-image {photos / 'page.jpg'}: the file starts with")


def test_a_picture_never_replaces_its_image(photos: Path, service: KeyedService) -> None:
    before = (photos / "a/x.png").read_bytes()
    result = run(photos / "a/x.png", *FAST, "--overlay", photos / "a", "--service", service.url, key=service.key)
    assert result.exit_code == 0
    assert (photos / "a/x.png").read_bytes() == before
    assert (photos / "a/x.png.boxes.png").is_file()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--label", "unicorn"], 2, "nearest: "),
        (["--recipe", "papre"], 2, "papre"),
        (["--thresholds", "much"], 2, "--thresholds must be numbers separated by commas"),
        (["--thresholds", "1.5"], 2, "thresholds"),
        (["--scales", "64,64"], 2, "different short sides"),
        (["--nms-iou", "2"], 2, "must lie in [0, 1]"),
    ],
)
def test_a_wrong_option_is_one_clear_line_both_ways(
    photos: Path, service: KeyedService, options: list[str], code: int, message: str
) -> None:
    for way in ([], ["--service", service.url]):
        result = run(photos / "a/x.png", *options, *way, key=service.key)
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        assert len(result.stderr.strip().splitlines()) == 1
        assert message in result.stderr or way


def test_nothing_but_bad_images_ends_with_four(photos: Path, service: KeyedService) -> None:
    result = run(photos / "page.jpg", photos / "nix.png", "--service", service.url, key=service.key)
    assert (result.exit_code, result.stdout) == (4, "")
    assert run(photos / "nix.png", "--service", service.url, key=service.key).exit_code == 4


def test_the_key_comes_from_the_option_or_the_environment_and_is_never_printed(
    photos: Path, service: KeyedService
) -> None:
    ask = [photos / "a/x.png", *FAST, "--service", service.url]
    assert run(*ask, "--api-key", service.key).exit_code == 0
    for key in (None, "dap_secret", service.foreign_key):
        result = run(*ask, key=key)
        assert result.exit_code == 6, result.output
        assert "401 unauthenticated" in result.stderr or "403 forbidden" in result.stderr
        assert str(key) not in result.output
    result = run(*ask, "--api-key", "dap sécret")
    assert (result.exit_code, "sécret" in result.output) == (2, False)


def test_without_an_answer_it_ends_with_five(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = record_waits(monkeypatch)
    with serve_replies(make_problem("overloaded", 503, headers={"Retry-After": "1"})) as server:
        busy = run(photos / "a/x.png", "--service", server.url)
    gone = run(photos / "a/x.png", "--service", server.url)
    assert (busy.exit_code, gone.exit_code, len(waits)) == (5, 5, 10)
    assert "503 overloaded" in busy.stderr
    assert "does the service run there?" in gone.stderr


def test_what_is_no_service_ends_with_four_and_what_is_no_address_with_two(photos: Path) -> None:
    with serve_replies(Reply(200, b"<html>")) as server:
        result = run(photos / "a/x.png", "--service", server.url)
    assert (result.exit_code, "is not what a DAP service sends" in result.stderr) == (4, True)
    assert run(photos / "a/x.png", "--service", "localhost:8000").exit_code == 2


def test_help_loads_neither_the_network_nor_the_client() -> None:
    code = (
        "import sys; from clients.cli.main import app; app(['label', '--help'], standalone_mode=False); "
        "sys.exit(' '.join({'torch', 'httpx', 'dap_client', 'ray', 'services'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "DAP_API_KEY" in done.stdout
