"""`dap_client` against the real service in a process of its own, with the library as the oracle."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from pathlib import Path

import dap_client
import numpy as np
import pytest
from dap_client import AsyncClient, Client
from PIL import Image

from dap_core.labeler import PseudoLabeler
from dap_core.recipes import customise_recipe, get_recipe
from tests.builders import encode_image, make_exif, make_png_claiming, make_scene
from tests.client_builders import BOTH_CLIENTS, KeyedService, call, run_keyed_service

FAST = {"scales": [64, 96]}
PLAIN = ("--engine", "torch", "--precision", "float32")
SCENE = make_scene((160, 120), (30, 30, 90, 90), (200, 150, 100))
README = Path(__file__).parents[1] / "clients" / "python" / "README.md"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedService]:
    with run_keyed_service(tmp_path_factory.mktemp("service"), *PLAIN) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: KeyedService) -> Iterator[Client]:
    with service.client() as one:
        yield one


def test_every_kind_of_image_gives_the_boxes_of_the_library(client, tmp_path):
    path = tmp_path / "scene.png"
    path.write_bytes(encode_image(SCENE))
    results = client.label([path, str(path), path.read_bytes(), Image.open(path), SCENE], ["espresso", 285], **FAST)
    recipe = customise_recipe(get_recipe("aligned"), short_sides=(64, 96))
    labeler = PseudoLabeler(recipe=recipe, engine="torch", precision="float32")
    [expected] = labeler([SCENE], [[967, 285]])
    assert len(expected.boxes)
    for result in results:
        np.testing.assert_allclose(np.array(result.xyxy), expected.boxes.boxes, atol=1e-3)
        np.testing.assert_allclose(result.scores, expected.boxes.scores, atol=1e-5)
        assert result.label_ids == tuple(expected.boxes.labels)
        assert [one.name for one in result.image_labels] == ["espresso", "Egyptian cat"]
    assert [result.name for result in results] == [str(path), str(path), None, None, None]
    assert results[0].recipe["name"] == "aligned*"
    assert results[0].model["classifier"] == "lite0"


def test_the_upright_image_counts(client):
    turned = encode_image(Image.fromarray(SCENE), "JPEG", exif=make_exif(6))
    by_file, by_pillow = client.label([turned, Image.open(io.BytesIO(turned))], 967, **FAST)
    assert (by_file.width, by_file.height, by_file.exif_orientation) == (120, 160, 6)
    assert (by_pillow.xyxy, by_pillow.exif_orientation) == (by_file.xyxy, 6)


def test_auto_is_the_first_choice_and_maps_come_when_asked_for(client):
    [result] = client.label(SCENE, cams=True, **FAST)
    assert result.top1 is not None
    assert set(result.label_ids) == {result.top1.index} == set(result.cam)
    assert len(result.cams) == 4
    heat = np.array(result.cam[result.top1.index].rows)
    assert (heat.min(), heat.max()) == (0, 1)
    assert np.array(result.plot(SCENE)).shape == SCENE.shape
    assert client.label(SCENE, **FAST)[0].cams == ()


def test_bad_images_do_not_spoil_good_ones(client):
    bad = [b"", b"<html>", encode_image(SCENE)[:200], make_png_claiming(60_000, 60_000), np.zeros((4, 4, 3), np.uint8)]
    results = client.label([*bad, SCENE], 967, **FAST)
    assert [result.problem.slug for result in results[:-1]] == [
        "empty-image",
        "not-an-image",
        "truncated-image",
        "image-too-many-pixels",
        "image-too-small",
    ]
    assert results[-1].boxes
    with pytest.raises(dap_client.TruncatedImage):
        results[2].raise_for_problem()
    with pytest.raises(dap_client.NotAnImage):
        client.overlay(b"<html>")


def test_an_image_of_too_many_bytes_fails_alone(client):
    huge = encode_image(SCENE) + bytes(21 * 2**20)
    results = client.label([SCENE, huge, SCENE], 967, **FAST)
    assert [result.problem.slug if result.problem else "ok" for result in results] == ["ok", "part-too-large", "ok"]


def test_more_images_than_a_request_holds_come_back_in_order(client):
    scenes = [make_scene((160 + number, 120), (30, 30, 90, 90)) for number in range(40)]
    results = client.label(scenes, [[967, 285] if number % 2 else ["auto"] for number in range(40)], scales=[32])
    assert [(result.index, result.width) for result in results] == [(number, 160 + number) for number in range(40)]
    assert [len(result.image_labels) for result in results] == [1, 2] * 20


def test_a_wrong_call_says_what_is_wrong_with_it(client):
    with pytest.raises(dap_client.UnknownLabel, match=r"nearest: .*corn"):
        client.label([SCENE, SCENE], "unicorn", **FAST)
    mixed = client.label([SCENE, SCENE], [["unicorn"], ["tench"]], **FAST)
    assert [result.problem is None for result in mixed] == [False, True]
    with pytest.raises(dap_client.InvalidParameter, match="recipe") as refused:
        client.label(SCENE, recipe="papre")
    assert refused.value.errors[0].pointer == "#/params/recipe"
    with pytest.raises(dap_client.InvalidParameter, match="thresholds"):
        client.overlay(SCENE, thresholds=[1.5])
    with pytest.raises(dap_client.InvalidParameter, match="limit"):
        client.classes(limit=0)


def test_the_picture_is_of_the_size_of_the_image(client):
    with Image.open(io.BytesIO(client.overlay(SCENE, [967, "n02124075"], **FAST))) as picture:
        assert (picture.format, picture.size) == ("PNG", (160, 120))


@pytest.mark.parametrize("kind", BOTH_CLIENTS)
def test_the_service_tells_what_it_has(kind, service):
    options = {"client": {"api_key": service.key}}
    found = call(kind, service.url, "classes", "egyptian", 5, **options)
    assert (found.total, found.classes[0].name, found.classes[0].index) == (1, "Egyptian cat", 285)
    [model] = call(kind, service.url, "models", **options)
    assert (model.num_classes, model.default_recipe in model.recipes) == (1000, True)
    assert call(kind, service.url, "limits", **options).max_images == 32
    assert call(kind, service.url, "ready") is True


def test_many_calls_at_the_same_time_each_get_their_own_answer(service):
    async def run() -> list[int]:
        async with AsyncClient(service.url, api_key=service.key) as client:
            scenes = [make_scene((100 + number, 120), (30, 30, 90, 90)) for number in range(100)]
            answers = await asyncio.gather(*(client.label(scene, 967, scales=[32]) for scene in scenes))
            return [result.width for [result] in answers]

    assert asyncio.run(run()) == list(range(100, 200))


@pytest.mark.parametrize("kind", BOTH_CLIENTS)
def test_without_the_right_key_there_are_no_boxes(kind, service):
    for key, error in ((None, "Unauthenticated"), ("dap_x", "Unauthenticated"), (service.foreign_key, "Forbidden")):
        with pytest.raises(getattr(dap_client, error)) as refused:
            call(kind, service.url, "label", SCENE, client={"api_key": key})
        assert isinstance(refused.value, dap_client.AccessDenied)
        assert str(key) not in str(refused.value)


def test_the_examples_of_the_readme_run(service, tmp_path, monkeypatch):
    for name in ("cat.jpg", "dog.jpg"):
        (tmp_path / name).write_bytes(encode_image(SCENE, "JPEG"))
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) >= 3
    for example in examples:
        keyed = example.replace('"http://127.0.0.1:8000"', f'"{service.url}"').replace('"dap_…"', f'"{service.key}"')
        assert service.key in keyed
        exec(compile(keyed, "README.md", "exec"), {})
