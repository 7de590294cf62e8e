"""The page in a real browser, on the real service."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from dap_core.datasets import Annotations, read_annotations
from tests.service_builders import RunningService, run_service
from tests.web_builders import (
    HOSTILE,
    add_images,
    find_boxes,
    open_page,
    read_table,
    set_slider,
    wait_for_boxes,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
PHOTOS = Path(data.__file__).parent
CAT, CUP = PHOTOS / "chelsea.png", PHOTOS / "coffee.png"


@pytest.fixture(scope="module")
def service(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service without keys; only started where there is a browser."""
    with run_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def page(browser: Browser, service: RunningService) -> Iterator[Page]:
    with open_page(browser, service.url) as opened:
        yield opened


def ask_service(service: RunningService, file: Path, **query: Any) -> dict[str, Any]:
    """The service's own answer for one image."""
    answer = httpx.post(
        f"{service.url}/v1/boxes",
        params=query,
        content=file.read_bytes(),
        headers={"Content-Type": "image/png"},
        timeout=60,
    )
    item: dict[str, Any] = answer.json()["items"][0]
    return item


def describe_rows(item: dict[str, Any]) -> list[tuple[str, ...]]:
    """The rows that the table has for an item of the answer; corners may differ by the last digit."""
    names = {label["index"]: label["name"] for label in item["labels"]}
    return [
        (
            names[box["label"]],
            f"{box['threshold']:.2f}",
            f"{box['score']:.2f}",
            *(f"{side:.0f}" for side in box["xyxy"]),
        )
        for box in item["boxes"]
    ]


def download(page: Page, name: str, folder: Path) -> Path:
    """A file that a button of the page saves."""
    with page.expect_download() as started:
        page.get_by_role("group", name="Download").get_by_role("button", name=name).click()
    target = folder / started.value.suggested_filename
    started.value.save_as(target)
    return target


def read_shown(page: Page, folder: Path) -> dict[str, Any]:
    """The item of the JSON download: what is shown, to the last digit."""
    item: dict[str, Any] = json.loads(download(page, "JSON", folder).read_text())["items"][0]
    return item


def assert_same_boxes(found: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]) -> None:
    assert [box["label"] for box in found] == [box["label"] for box in expected]
    np.testing.assert_allclose([one["threshold"] for one in found], [one["threshold"] for one in expected], atol=1e-6)
    np.testing.assert_allclose([one["xyxy"] for one in found], [one["xyxy"] for one in expected], atol=0.5)
    np.testing.assert_allclose([one["score"] for one in found], [one["score"] for one in expected], atol=1e-3)


def test_an_image_from_the_file_chooser_gets_the_boxes_of_the_service(page: Page, service: RunningService):
    add_images(page, CAT)
    find_boxes(page)
    expected = ask_service(service, CAT)
    assert read_table(page) == describe_rows(expected)
    count = len(expected["boxes"])
    assert page.get_by_role("heading", name=f"{count} boxes").is_visible()
    assert page.get_by_role("img", name=f"chelsea.png: {count} boxes of Egyptian cat").is_visible()
    assert page.locator("#boxes .box").count() == count
    assert page.locator("#heat").evaluate(
        "heat => heat.getContext('2d').getImageData(0, 0, heat.width, heat.height).data.some((value) => value > 200)"
    )


def test_labels_are_found_and_chosen_with_the_keyboard(page: Page):
    add_images(page, CAT)
    field = page.get_by_role("combobox", name="Labels")
    chips = page.get_by_role("list", name="Chosen labels").get_by_role("listitem")
    assert chips.first.inner_text().split()[0] == "auto"
    field.press_sequentially("cat")
    options = page.get_by_role("option")
    options.first.wait_for()
    assert field.get_attribute("aria-expanded") == "true"
    field.press("ArrowDown")
    field.press("ArrowDown")
    active = page.get_by_role("option", selected=True)
    assert active.get_attribute("id") == field.get_attribute("aria-activedescendant")
    name = active.locator(".text").inner_text()
    field.press("ArrowUp")
    field.press("ArrowDown")
    field.press("Enter")
    assert chips.locator(".text").all_inner_texts() == [name]
    field.press_sequentially("n02123045")  # a wnid; Enter alone takes the first
    page.get_by_role("option", name="tabby").wait_for()
    field.press("Enter")
    assert chips.locator(".text").all_inner_texts() == [name, "tabby"]
    field.press_sequentially("zzzz")
    page.get_by_text("No class has this name.").wait_for()
    field.press("Escape")
    assert field.get_attribute("aria-expanded") == "false"
    assert field.input_value() == "zzzz"
    field.press("Escape")
    field.press("Backspace")
    assert chips.locator(".text").all_inner_texts() == [name]


def test_chosen_labels_are_those_of_the_answer(page: Page, service: RunningService):
    add_images(page, CAT)
    field = page.get_by_role("combobox")
    for words in ("Egyptian", "tabby"):
        field.fill(words)
        page.get_by_role("option").first.wait_for()
        field.press("Enter")
    field.press("Enter")  # in the empty field it sends the request
    wait_for_boxes(page)
    assert read_table(page) == describe_rows(ask_service(service, CAT, labels=["n02124075", "tabby"]))
    radios = page.get_by_role("group", name="Heat map").get_by_role("radio")
    assert radios.count() == 2
    before = page.evaluate("document.getElementById('heat').toDataURL()")
    radios.nth(1).check()
    page.wait_for_function("before => document.getElementById('heat').toDataURL() !== before", arg=before)


@pytest.mark.parametrize("recipe", ["aligned", "paper", "official"])
def test_sliders_cut_as_the_service_would(page: Page, service: RunningService, recipe: str, tmp_path: Path):
    add_images(page, CUP)
    find_boxes(page)
    page.get_by_role("radio", name=recipe).check(force=True)
    as_recipe = ask_service(service, CUP, recipe=recipe)
    assert_same_boxes(read_shown(page, tmp_path)["boxes"], as_recipe["boxes"])

    set_slider(page, "Threshold 1", 0.07)
    set_slider(page, "NMS IoU", 0.95)
    page.get_by_role("button", name="Remove threshold 2").click()
    page.get_by_role("button", name="Add a threshold").click()
    set_slider(page, "Threshold 4", 0.8)
    page.get_by_text("cut in this browser").wait_for()
    thresholds = [float(text) for text in page.locator("#thresholds .value").all_inner_texts()]
    assert (thresholds[0], thresholds[3], len(thresholds)) == (0.07, 0.8, 4)
    expected = ask_service(service, CUP, recipe=recipe, thresholds=thresholds, nms_iou=0.95)
    assert_same_boxes(read_shown(page, tmp_path)["boxes"], expected["boxes"])
    assert len(read_table(page)) == len(expected["boxes"]) == page.locator("#boxes .box").count()

    set_slider(page, "NMS IoU", 0.1)
    page.wait_for_function("count => document.querySelectorAll('#rows tr').length < count", arg=len(expected["boxes"]))
    page.get_by_role("button", name=f"Reset to {recipe}").click()
    page.locator("#thresholds .value").nth(3).wait_for()
    assert_same_boxes(read_shown(page, tmp_path)["boxes"], as_recipe["boxes"])
    assert page.get_by_role("button", name=f"Reset to {recipe}").is_disabled()


def test_sliders_ask_the_service_nothing(page: Page):
    add_images(page, CUP)
    find_boxes(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("slider", name="Threshold 1").press("ArrowRight")
    set_slider(page, "NMS IoU", 0.3)
    page.get_by_text("cut in this browser").wait_for()
    assert page.locator("#thresholds .value").first.inner_text() == "0.13"
    assert asked == []


def test_the_heat_map_is_as_opaque_as_the_slider_says(page: Page):
    add_images(page, CUP)
    find_boxes(page)
    heat = page.locator("#heat")
    for percent in (0, 35, 100):
        set_slider(page, "Opacity", percent)
        page.get_by_text(f"{percent} %", exact=True).wait_for()
        assert float(heat.evaluate("element => getComputedStyle(element).opacity")) == pytest.approx(percent / 100)


def test_a_row_and_its_box_stand_out_together(page: Page):
    add_images(page, CUP)
    find_boxes(page)
    rows, boxes = page.locator("#rows tr"), page.locator("#boxes .box")
    rows.first.get_by_role("button").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#boxes .box:nth-child(2).pointed")
    assert page.locator("#boxes .pointed").count() == 1
    assert page.locator("#tag").inner_text().startswith("espresso · τ")
    page.keyboard.press("Enter")
    assert rows.nth(1).get_by_role("button").get_attribute("aria-pressed") == "true"
    boxes.nth(3).hover()
    page.wait_for_selector("#rows tr:nth-child(4).pointed")


def test_the_curl_command_gives_what_is_shown(page: Page, tmp_path: Path):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    file = tmp_path / 'it\'s a "cat" $HOME.png'
    shutil.copyfile(CAT, file)
    add_images(page, file)
    page.get_by_role("combobox").fill("tabby")
    page.get_by_role("option").first.wait_for()
    page.get_by_role("combobox").press("Enter")
    find_boxes(page)
    set_slider(page, "Threshold 2", 0.31)
    set_slider(page, "NMS IoU", 0.6)
    page.get_by_text("cut in this browser").wait_for()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as curl").click()
    page.get_by_role("button", name="Copied").wait_for()
    command = page.evaluate("navigator.clipboard.readText()")
    assert command == page.locator("#curl").inner_text()
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True, timeout=60)
    assert_same_boxes(read_shown(page, tmp_path)["boxes"], json.loads(done.stdout)["items"][0]["boxes"])


def test_downloads_are_read_back_with_the_boxes_that_are_shown(page: Page, tmp_path: Path):
    """By our own readers, which third-party exports are read with as well."""
    add_images(page, CAT)
    for words in ("Egyptian cat", "tabby"):
        page.get_by_role("combobox").fill(words)
        page.get_by_role("option").first.wait_for()
        page.get_by_role("combobox").press("Enter")
    find_boxes(page)
    set_slider(page, "Threshold 4", 0.66)
    page.get_by_text("cut in this browser").wait_for()
    shown = read_shown(page, tmp_path)["boxes"]
    with zipfile.ZipFile(download(page, "YOLO", tmp_path)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "yolo")
    (tmp_path / "yolo" / "images").mkdir()
    shutil.copyfile(CAT, tmp_path / "yolo" / "images" / CAT.name)
    coco, voc = download(page, "COCO", tmp_path), download(page, "VOC", tmp_path)
    shutil.copyfile(CAT, tmp_path / CAT.name)
    for path, tolerance in ((coco, 0.01), (tmp_path / "yolo", 0.01), (voc, 0.51)):
        check_annotations(read_annotations(path), shown, tolerance)


def check_annotations(found: Annotations, shown: Sequence[dict[str, Any]], tolerance: float) -> None:
    [image] = found.images
    names = {285: "Egyptian cat", 281: "tabby"}
    assert list(image.class_names) == [names[box["label"]] for box in shown]
    np.testing.assert_allclose(image.boxes, [box["xyxy"] for box in shown], atol=tolerance)


def test_a_hostile_file_name_is_only_text(page: Page, tmp_path: Path):
    add_images(page, {"name": HOSTILE, "mimeType": "image/png", "buffer": CUP.read_bytes()})
    assert page.locator("figcaption").get_by_text(HOSTILE).is_visible()
    find_boxes(page)
    assert read_table(page)
    assert page.locator("#curl").inner_text().startswith("curl --data-binary '@<img src=x onerror=")
    for name in ("COCO", "VOC"):
        assert page.title() not in download(page, name, tmp_path).name
    assert page.title() != "caught"
    assert page.locator("img[src='x']").count() == 0
    found = json.loads(next(tmp_path.glob("*.coco.json")).read_text())
    assert found["images"][0]["file_name"] == HOSTILE
