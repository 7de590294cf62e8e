"""`POST /v1/boxes` in front of a real labeler: what comes back is what the labeler found."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from dap_core.labeler import PseudoLabeler
from dap_core.recipes import RECIPES, Recipe, customise_recipe
from dap_core.types import LabeledImage
from services.labeling import LabelerPool
from tests.api_builders import assert_problem, decode_values, make_png, post_form, post_image, run_app
from tests.builders import encode_image, make_exif, make_scene, make_toy_classifier

SCENE = make_scene((200, 150), (40, 30, 110, 90))
SCENE[100:140, 120:190] = (0, 0, 255)
PNG = encode_image(SCENE)
SCALES = (64, 96)


@pytest.fixture(scope="module")
def labeler() -> PseudoLabeler:
    return PseudoLabeler(make_toy_classifier())


@pytest.fixture(scope="module")
def client(labeler: PseudoLabeler, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    pool = LabelerPool(labeler)
    with run_app(pool, tmp_path_factory.mktemp("store")) as client:
        yield client
    pool.close()


def assert_equal(item: dict[str, Any], expected: LabeledImage) -> None:
    """The item holds the labelled image, its floats bit for bit."""
    boxes = item["boxes"]
    corners = np.array([box["xyxy"] for box in boxes], np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(corners, expected.boxes.boxes)
    np.testing.assert_array_equal([box["label"] for box in boxes], expected.boxes.labels)
    np.testing.assert_array_equal(np.array([box["score"] for box in boxes], np.float32), expected.boxes.scores)
    thresholds = np.array([box["threshold"] for box in boxes], np.float32)
    np.testing.assert_array_equal(thresholds, expected.boxes.thresholds)
    assert (item["width"], item["height"]) == expected.size_wh
    assert item["exif_orientation"] == expected.exif_orientation
    assert [(one["index"], one["score"]) for one in item["labels"]] == list(
        zip(expected.labels, expected.label_scores, strict=True)
    )
    assert (item["top1"]["index"], item["top1"]["score"]) == (expected.top1, expected.top1_score)
    reasons = [(one["label"], one["reason"]) for one in item["no_box_reasons"]]
    assert reasons == list(expected.mined.no_box_reasons)


def test_an_image_as_body_and_in_a_form_gives_what_the_labeler_gives(client: httpx.Client, labeler: PseudoLabeler):
    [expected] = labeler([PNG], [["red", "blue"]])
    assert len(expected.boxes) > 1
    alone = post_image(client, PNG, params={"labels": ["red", "blue"]})
    form = post_form(client, [("a scene.png", PNG)], '{"labels": ["x0", 1]}')
    assert (alone.headers["content-type"], form.headers["content-type"]) == ("application/json", "application/json")
    for answer, name in ((alone, None), (form, "a scene.png")):
        [item] = answer.json()["items"]
        assert (item["index"], item["name"]) == (0, name)
        assert_equal(item, expected)
        assert "cams" not in item
    assert [one["name"] for one in alone.json()["items"][0]["labels"]] == ["red", "blue"]


CHANGES: list[dict[str, Any]] = [
    {},
    {"recipe": "paper"},
    {"recipe": "official", "nms_iou": 0.3},
    {"thresholds": [0.3, 0.7]},
    {"scales": [64]},
    {"scales": list(SCALES), "nms_iou": 1, "thresholds": [0.1, 0.2, 0.3]},
]


def make_recipe(recipe: str = "aligned", **changes: Any) -> Recipe:
    """The recipe that those parameters stand for."""
    scales, thresholds = changes.get("scales"), changes.get("thresholds")
    return customise_recipe(
        RECIPES[recipe],
        short_sides=tuple(scales) if scales else None,
        thresholds=tuple(thresholds) if thresholds else None,
        nms_iou=changes.get("nms_iou"),
    )


@pytest.mark.parametrize("changes", CHANGES, ids=json.dumps)
def test_parameters_change_the_recipe_in_the_query_and_in_json(client, labeler: PseudoLabeler, changes: dict[str, Any]):
    recipe = make_recipe(**changes)
    [expected] = labeler.with_recipe(recipe)([PNG], ["auto"])
    alone = post_image(client, PNG, params=changes)
    form = post_form(client, [("a", PNG)], json.dumps(changes))
    for answer in (alone, form):
        assert answer.json()["recipe"] == json.loads(json.dumps(recipe.to_dict()))
        assert_equal(answer.json()["items"][0], expected)


def test_the_changes_make_a_difference(client: httpx.Client):
    """So that the test before says something."""
    cuts = {json.dumps(post_image(client, PNG, params=one).json()["items"][0]["boxes"]) for one in CHANGES}
    assert len(cuts) == len(CHANGES)


def test_items_come_in_order_each_with_its_own_labels_or_problem(client: httpx.Client, labeler: PseudoLabeler):
    turned = encode_image(SCENE, "JPEG", exif=make_exif(6), quality=95)
    images = [("a", PNG), ("empty", b""), ("c", turned), ("cut", PNG[:200]), ("html", b"<html>"), ("f", PNG)]
    labels = [["red"], ["red"], ["blue"], ["red"], ["red"], ["green"]]
    answer = post_form(client, images, json.dumps({"labels": labels}))
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [(item["index"], item["name"]) for item in items] == list(enumerate(name for name, _ in images))
    assert [item.get("problem", {}).get("type", "").removeprefix("/problems/") for item in items] == [
        *("", "empty-image", "", "truncated-image", "not-an-image", "unknown-label")
    ]
    assert {item["problem"]["request_id"] for item in items if "problem" in item} == {answer.json()["request_id"]}
    for index, label in ((0, "red"), (2, "blue")):
        assert_equal(items[index], labeler([images[index][1]], [label])[0])
    assert (items[2]["width"], items[2]["height"], items[2]["exif_orientation"]) == (150, 200, 6)


def test_one_list_of_labels_holds_for_all_images_and_auto_is_the_first_choice(client: httpx.Client):
    images = [("a", PNG), ("b", PNG[::-1]), ("c", PNG)]
    for params, expected in (('{"labels": ["blue"]}', [1]), ('{"labels": "auto"}', [0]), ('{"labels": ["auto"]}', [0])):
        items = post_form(client, images, params).json()["items"]
        assert [[one["index"] for one in item.get("labels", [])] for item in items] == [expected, [], expected]
    each = post_form(client, images[::2], '{"labels": [["auto"], ["blue", "red"]]}').json()["items"]
    assert [[one["index"] for one in item["labels"]] for item in each] == [[0], [1, 0]]


def test_maps_are_those_of_the_labeler_to_the_last_bit(client: httpx.Client, labeler: PseudoLabeler):
    changes = {"scales": SCALES, "labels": ["red", "blue"], "cams": True}
    [expected] = labeler.with_recipe(make_recipe(scales=SCALES))([PNG], [["red", "blue"]])
    found = post_image(client, PNG, params=changes).json()["items"][0]["cams"]
    assert found == post_form(client, [("a", PNG)], json.dumps(changes)).json()["items"][0]["cams"]
    for cam, stored in zip(found, expected.cams, strict=True):
        np.testing.assert_array_equal(decode_values(cam), stored.values)
        for name in ("label", "short_side", "mirrored", "lowest", "highest"):
            assert cam[name] == getattr(stored, name)
        for name in ("origin_xy", "pitch_xy", "valid_hw"):
            assert tuple(cam[name]) == getattr(stored, name)


def test_a_flat_image_has_its_reason_instead_of_boxes(client: httpx.Client):
    flat = encode_image(np.zeros((64, 64, 3), np.uint8))
    [item] = post_image(client, flat, params={"labels": "red"}).json()["items"]
    assert (item["boxes"], item["no_box_reasons"]) == ([], [{"label": 0, "reason": "flat-map"}])


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("image/png", "image/png"),
        ("image/avif, image/*;q=0.5", "image/png"),
        ("application/json;q=0.4, image/png;q=0.5", "image/png"),
        ("application/json;q=0, */*", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=much", None),
    ],
)
def test_the_form_of_the_answer_is_what_the_caller_accepts(client: httpx.Client, accept: str, expected: str | None):
    answer = post_image(client, PNG, headers={"Accept": accept} if accept else {})
    if expected:
        assert (answer.status_code, answer.headers["content-type"]) == (200, expected)
    else:
        assert_problem(answer, 406, "not-acceptable")


def test_a_picture_is_drawn_upright_and_without_the_metadata_of_its_image(client: httpx.Client):
    photo = encode_image(SCENE, "JPEG", exif=make_exif(6), comment=b"<script>secret</script>")
    for answer in (
        post_image(client, photo, headers={"Accept": "image/png"}),
        client.post("/v1/boxes", files={"images": photo}, headers={"Accept": "image/png"}),
    ):
        picture = Image.open(io.BytesIO(answer.content))
        assert (picture.format, picture.size, picture.info) == ("PNG", (150, 200), {})
        assert b"secret" not in answer.content


def test_a_picture_of_a_bad_image_or_of_two_is_a_problem(client: httpx.Client):
    png = {"headers": {"Accept": "image/png"}}
    assert_problem(post_image(client, b"", **png), 422, "empty-image")
    assert_problem(client.post("/v1/boxes", files={"images": b"<html>"}, **png), 422, "not-an-image")
    two = [("images", make_png()), ("images", make_png())]
    assert_problem(client.post("/v1/boxes", files=two, **png), 406, "not-acceptable")
