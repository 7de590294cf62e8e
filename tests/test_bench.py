"""`dap bench` and `dap doctor`: what is timed adds up, and the figures are those of real runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from clients.cli.main import app
from dap_core import PseudoLabeler
from dap_core.benchmarking import measure_mining, measure_peak_memory
from dap_core.benchmarking.contestants import NaiveMiner, PassRecorder, TimedLabeler, time_bare_passes
from dap_core.datasets import open_source
from dap_core.engines import TorchEngine, list_engines
from tests.builders import make_toy_classifier
from tests.mining_builders import SMALL_RECIPE, make_mined_set, write_colour_folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "140"})


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, tuple[str, ...]]]:
    source = open_source([write_colour_folder(tmp_path_factory.mktemp("images"), 8)])
    return [(source.store.get(row.key), row.labels) for row in source.rows]


def test_the_naive_miner_cuts_the_boxes_of_the_labeler(encoded):
    classifier = make_toy_classifier()
    naive = NaiveMiner(classifier, SMALL_RECIPE)
    labelled = PseudoLabeler(recipe=SMALL_RECIPE, engine=TorchEngine(classifier))(
        [data for data, _ in encoded], [list(labels) for _, labels in encoded]
    )
    assert naive.mine(encoded) == sum(len(image.boxes) for image in labelled) > 0
    assert naive.seconds_in_passes > 0


def test_the_limit_runs_the_passes_that_mining_runs(encoded):
    """Four passes an image: of the recorded inputs, and of what the engine itself is asked for."""
    engine = TorchEngine(make_toy_classifier())
    recorder = PassRecorder(engine)
    sizes: list[int] = []
    make_input = engine.make_input
    engine.make_input = lambda canvases, mirror: (
        sizes.append(len(canvases.sizes_hw))
        or make_input(  # type: ignore[method-assign]
            canvases, mirror=mirror
        )
    )
    assert time_bare_passes(engine, encoded, SMALL_RECIPE.cam) > 0
    assert sum(sizes) == 2 * len(encoded)  # canvases; each is run with its mirror
    assert recorder.batch_pixels == engine.batch_pixels


def test_a_timed_labeler_finds_what_a_labeler_finds_and_keeps_the_time(encoded):
    engine = TorchEngine(make_toy_classifier())
    timed = TimedLabeler(recipe=SMALL_RECIPE, engine=engine)
    assert timed.mine(encoded) == NaiveMiner(engine.classifier, SMALL_RECIPE).mine(encoded)
    assert all(seconds > 0 for seconds in timed.seconds.values())


@pytest.mark.soak
def test_every_available_engine_is_measured_beside_naive(encoded):
    speed = measure_mining(
        make_toy_classifier(), encoded, seconds=0.1, round_images=8, recipe=SMALL_RECIPE, device="cpu"
    )
    available = {(choice.engine, choice.precision) for choice in list_engines("cpu") if choice.available}
    assert {(one.engine, one.precision) for one in speed.engines} == available
    assert (speed.num_rounds, speed.num_images) == (2, 16)
    rates = [one.images_per_s for one in speed.engines]
    assert rates == sorted(rates, reverse=True)
    for one in speed.engines:
        assert one.ratio_to_naive > 0
        assert 0 < one.shares.network_wall <= 1
        assert one.boxes_per_image > 0


def test_too_few_images_are_refused(encoded):
    with pytest.raises(ValueError, match="at least 4 images are needed, got 3"):
        measure_mining(make_toy_classifier(), encoded[:3])


def test_bench_mine_prints_a_line_per_engine_and_the_share_of_the_passes(tmp_path: Path):
    classes = tmp_path / "images"
    write_colour_folder(classes, 4)
    for folder, wnid in (("x0", "n01440764"), ("x1", "n01443537")):
        (classes / folder).rename(classes / wnid)
    options = ("--images", classes, "--seconds", 1, "--round", 4, "--scales", "64,96", "--device", "cpu")
    found = json.loads(run("bench", "mine", *options, "--json").stdout)
    assert (found["classifier"], found["recipe"]) == ("lite0", "aligned*")
    assert 0.5 < found["naive_share_in_passes"] <= 1
    assert {one["engine"] for one in found["engines"]} >= {"torch"}


def test_bench_recut_measures_every_recipe(tmp_path: Path):
    label_set = make_mined_set(tmp_path)
    result = run("bench", "recut", label_set.store.uri, "--repeats", "1")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[-3:]] == ["paper", "official", "aligned"]
    missing = make_mined_set(tmp_path / "bare", store_cams=False)
    refused = run("bench", "recut", missing.store.uri)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)


@pytest.mark.soak
@pytest.mark.real_data
def test_peak_memory_is_that_of_a_fresh_process(data_dir: Path):
    peak = measure_peak_memory(data_dir / "imagenet-320", 4, engine="torch", precision="float32")
    assert 200 < peak < 4000


def test_doctor_says_what_auto_takes_and_why():
    found = json.loads(run("doctor", "--device", "cpu", "--json").stdout)
    first = next(one for one in found["engines"] if one["available"])
    assert found["chosen"] == first
    assert found["versions"]["torch"]
    text = run("doctor", "--device", "cpu").stdout
    assert f"auto takes {first['engine']} in {first['precision']} on cpu" in text


def test_doctor_refuses_a_device_that_is_not_there():
    result = run("doctor", "--device", "cuda:7")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
