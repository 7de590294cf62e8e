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
from dap_core.stores import LocalStore
from services.keys import create_key
from tests.builders import encode_image, make_exif, make_smooth_pixels
from tests.service_builders import RunningService, run_service
from tests.web_builders import add_images, find_boxes, open_browser, open_page, read_table, set_slider, wait_for_boxes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
PHOTOS = Path(data.__file__).parent
CAT, CUP, ROCKET = PHOTOS / "chelsea.png", PHOTOS / "coffee.png", PHOTOS / "rocket.jpg"
HOSTILE = "<img src=x onerror=\"document.title='caught'\">&'.jpg"
MAX_PAGE_BYTES = 300_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


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
    answer = httpx.post(f"{service.url}/v1/boxes", params=query, content=file.read_bytes(), headers=_OCTETS, timeout=60)
    item: dict[str, Any] = answer.json()["items"][0]
    return item


_OCTETS = {"Content-Type": "application/octet-stream"}


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


def has_no_sideways_scroll(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


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


def test_a_file_that_is_no_image_shows_the_problem_of_the_service(browser: Browser, service: RunningService):
    content = b"\xff\xd8\xff\xe0 no jpeg at all"
    with open_page(browser, service.url) as page:
        add_images(page, {"name": HOSTILE, "mimeType": "image/jpeg", "buffer": content})
        find_boxes(page)
        problem = page.get_by_role("group", name="Problem")
        expected = httpx.post(f"{service.url}/v1/boxes", content=content, headers=_OCTETS).json()
        assert problem.get_by_role("heading").inner_text() == expected["title"]
        assert expected["detail"] in problem.inner_text()
        assert problem.get_by_role("link", name="What this means").get_attribute("href") == expected["type"]
        assert HOSTILE in problem.inner_text()
        assert page.get_by_text("This browser cannot show the file.").is_visible()


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


def test_several_images_have_labels_of_their_own(page: Page):
    add_images(page, CAT, CUP)
    add_images(page, {"name": "broken.gif", "mimeType": "image/gif", "buffer": b"GIF89a"}, ROCKET)
    strip = page.get_by_role("list", name="Images")
    strip.get_by_role("button", name="coffee.png: waiting").click()
    page.get_by_role("combobox", name="Labels of this image").fill("espresso")
    page.get_by_role("option", name="espresso", exact=False).first.wait_for()
    page.get_by_role("combobox").press("Enter")
    page.get_by_role("button", name="Find boxes in 4 images").click()
    strip.get_by_role("button", name="rocket.jpg: done").wait_for()
    strip.get_by_role("button", name="broken.gif: failed").wait_for()
    assert {row[0] for row in read_table(page)} == {"espresso"}
    strip.get_by_role("button", name="chelsea.png: done").click()
    page.get_by_role("heading", name="2 boxes").wait_for()
    assert {row[0] for row in read_table(page)} == {"Egyptian cat"}
    strip.get_by_role("button", name="Remove chelsea.png").click()
    strip.get_by_role("button", name="chelsea.png: done").wait_for(state="detached")
    assert strip.get_by_role("button", name="coffee.png: done").get_attribute("aria-current") == "true"
    page.get_by_role("button", name="Use for all images").click()
    strip.get_by_role("button", name="rocket.jpg: labels changed").wait_for()
    assert page.get_by_role("button", name="Find boxes in 2 images").is_enabled()


def test_images_are_dropped_and_pasted(page: Page):
    script = """([kind, name]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(["GIF89a"], name, { type: "image/gif" }));
      const event = kind === "paste"
        ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
        : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
      return !document.body.dispatchEvent(event);
    }"""
    page.evaluate(script, ["dragenter", "a.gif"])
    page.get_by_text("Drop to add").wait_for()
    assert page.evaluate(script, ["dragover", "a.gif"])  # taken, not opened by the browser
    assert page.evaluate(script, ["drop", "dropped.gif"])
    assert page.get_by_text("Drop to add").is_hidden()
    page.evaluate(script, ["paste", "pasted.gif"])
    strip = page.get_by_role("list", name="Images")
    strip.get_by_role("button", name="pasted.gif: waiting").wait_for()
    assert strip.get_by_role("button", name="dropped.gif: waiting").is_visible()


def test_a_turned_photograph_lies_under_its_boxes(page: Page):
    turned = encode_image(make_smooth_pixels(300, 200), "JPEG", exif=make_exif(6))
    add_images(page, {"name": "turned.jpg", "mimeType": "image/jpeg", "buffer": turned})
    find_boxes(page)
    shown = page.evaluate("(({ naturalWidth, naturalHeight }) => [naturalWidth, naturalHeight])(document.images.photo)")
    assert shown == [200, 300]
    assert page.locator("#boxes").get_attribute("viewBox") == "0 0 200 300"
    frame = page.locator("#frame").bounding_box()
    assert frame is not None
    assert frame["width"] / frame["height"] == pytest.approx(2 / 3, rel=0.01)


def test_a_busy_service_is_asked_again_when_it_says_so(browser: Browser, service: RunningService):
    problem = {"type": "/problems/overloaded", "title": "Too much is under way", "status": 503, "detail": "64 images",
               "instance": "", "request_id": "x", "retryable": True, "retry_after_s": 2}  # fmt: skip
    refused: list[Route] = []

    def refuse_twice(route: Route) -> None:
        if len(refused) == 2:
            route.continue_()
            return
        refused.append(route)
        headers = {"Content-Type": "application/problem+json", "Retry-After": "2"}
        route.fulfill(status=503, headers=headers, body=json.dumps(problem))

    with open_page(browser, service.url, expected=["503"]) as page:
        page.route("**/v1/boxes", refuse_twice)
        add_images(page, CAT)
        page.get_by_role("button", name="Find boxes").click()
        page.get_by_text("Trying again in 2 s", exact=True).wait_for()
        assert page.get_by_role("heading", name="Too much is under way").is_visible()
        page.get_by_text("Trying again in 1 s", exact=True).wait_for()
        wait_for_boxes(page)
        assert len(refused) == 2
        assert page.get_by_role("group", name="Problem").count() == 0


def test_waiting_for_a_busy_service_can_be_stopped(browser: Browser, service: RunningService):
    with open_page(browser, service.url, expected=["503"]) as page:
        page.route("**/v1/boxes", lambda route: route.fulfill(status=503, headers={"Retry-After": "60"}, body="busy"))
        add_images(page, CAT)
        page.get_by_role("button", name="Find boxes").click()
        page.get_by_role("heading", name="The service answered 503").wait_for()
        page.get_by_role("group", name="Problem").get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Find boxes").wait_for()
        assert page.get_by_role("group", name="Problem").count() == 0
        assert page.get_by_role("button", name="Find boxes").is_enabled()


def test_a_model_that_is_still_loading_is_waited_for(browser: Browser, service: RunningService):
    asked: list[Route] = []

    def refuse_first(route: Route) -> None:
        asked.append(route)
        if len(asked) > 1:
            route.continue_()
            return
        problem = {"title": "The model is being loaded", "status": 503, "detail": "a few seconds", "retry_after_s": 1}
        route.fulfill(status=503, json=problem)

    with open_page(browser, "about:blank", expected=["503"]) as page:
        page.route("**/v1/models", refuse_first)
        page.goto(service.url)
        page.get_by_role("heading", name="The model is being loaded").wait_for()
        page.get_by_text("lite0").wait_for()
        assert page.get_by_role("group", name="Problem").count() == 0


def test_a_service_that_is_gone_is_told_and_found_again(browser: Browser, service: RunningService):
    with open_page(browser, service.url, expected=["ERR_"]) as page:
        add_images(page, CAT)
        page.context.set_offline(True)
        page.get_by_role("button", name="Find boxes").click()
        problem = page.get_by_role("group", name="Problem")
        problem.get_by_role("heading", name="No answer from the service").wait_for()
        assert page.locator("#service").get_by_text("No answer from the service").is_visible()
        page.context.set_offline(False)
        problem.get_by_role("button", name="Try again").click()
        wait_for_boxes(page)


def test_a_key_is_asked_for_and_kept_for_the_tab(browser: Browser, tmp_path: Path):
    _, token = create_key(LocalStore(tmp_path / "store"), "page", ["label"])
    with run_service(tmp_path) as guarded, open_page(browser, guarded.url, expected=["401"]) as page:
        page.get_by_text("A key is needed").wait_for()
        field = page.get_by_label("API key")
        field.fill("dap_wrong")
        page.get_by_role("button", name="Use this key").click()
        page.get_by_text("A key is needed").wait_for()
        page.get_by_label("API key").fill(token)
        page.keyboard.press("Enter")
        page.get_by_text("lite0").wait_for()
        page.get_by_role("group", name="Problem").wait_for(state="detached")
        add_images(page, CAT)
        find_boxes(page)
        assert read_table(page)
        command = page.locator("#curl").inner_text()
        assert token not in command
        assert '-H "Authorization: Bearer $DAP_KEY"' in command
        page.reload()
        page.get_by_text("lite0").wait_for()
        assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 1]


_READ_FOCUS = """() => {
  const one = document.activeElement;
  const name = one.getAttribute("aria-label") || one.textContent.trim() || one.id || one.value;
  return [name, [one, one.parentElement].some((each) => getComputedStyle(each).outlineStyle !== "none")];
}"""


def test_the_page_is_used_from_top_to_bottom_without_a_pointer(page: Page):
    page.get_by_text("lite0").wait_for()
    add_images(page, CAT)
    page.locator("#stage").focus()
    seen = []
    for _ in range(8):
        page.keyboard.press("Tab")
        name, outlined = page.evaluate(_READ_FOCUS)
        assert outlined, name
        seen.append(name)
        if seen[-1] == "Find boxes":
            break
    assert seen == ["chelsea.png: waiting", "Remove chelsea.png", "+ Add images", "label-text", "aligned", "Find boxes"]
    page.keyboard.press("Enter")
    wait_for_boxes(page)
    assert page.get_by_role("status").inner_text().strip() == "2 boxes in chelsea.png"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scroll(browser: Browser, service: RunningService, scheme: str):
    with open_page(browser, service.url, viewport={"width": 360, "height": 740}, color_scheme=scheme) as page:
        page.get_by_text("lite0").wait_for()
        assert has_no_sideways_scroll(page)
        add_images(page, CAT, {"name": f"{'long' * 40}.gif", "mimeType": "image/gif", "buffer": b"GIF89a"})
        assert has_no_sideways_scroll(page)
        page.get_by_role("button", name="Find boxes").click()
        page.get_by_role("button", name=f"{'long' * 40}.gif: failed").wait_for()
        assert has_no_sideways_scroll(page)
        page.get_by_role("button", name=f"{'long' * 40}.gif: failed").click()
        page.get_by_role("group", name="Problem").wait_for()
        assert has_no_sideways_scroll(page)
        page.goto(f"{service.url}/docs")
        page.get_by_role("heading", name="POST /v1/boxes").wait_for()
        assert has_no_sideways_scroll(page)


def test_the_page_is_light_and_from_the_service_alone(browser: Browser, service: RunningService):
    answers: list[Any] = []
    with open_page(browser, "about:blank") as page:
        page.on("response", lambda answer: answers.append(answer))
        page.goto(service.url)
        page.get_by_text("lite0").wait_for()
        assert all(answer.url.startswith(service.url) for answer in answers)
        assert all(answer.status == 200 for answer in answers)
        assert sum(len(answer.body()) for answer in answers) < MAX_PAGE_BYTES


def test_the_description_of_the_interface_is_there_to_read(browser: Browser, service: RunningService):
    described = httpx.get(f"{service.url}/openapi.json").json()
    with open_page(browser, f"{service.url}/docs") as page:
        page.get_by_role("heading", name="POST /v1/boxes").wait_for()
        for path, item in described["paths"].items():
            for method, operation in item.items():
                section = page.get_by_role("region", name=f"{method.upper()} {path}", exact=True)
                text = section.inner_text()
                assert operation["summary"] in text
                assert all(parameter["name"] in text for parameter in operation.get("parameters", ()))
                assert all(status in text for status in operation["responses"])
        for name, schema in described["components"]["schemas"].items():
            text = page.get_by_role("region", name=name, exact=True).inner_text()
            assert all(one in text for one in schema["properties"])
        page.get_by_role("link", name="BoxesAnswer").first.click()
        assert page.get_by_role("heading", name="BoxesAnswer").is_visible()
        commands = page.locator("pre").all_inner_texts()
        assert any(command.startswith("curl --data-binary @image.jpg") for command in commands)


def test_what_the_description_says_is_only_text(browser: Browser, service: RunningService):
    hostile = f"{HOSTILE} `<b>`"
    parameter = {"name": hostile, "in": "query", "schema": {"type": hostile}}
    responses = {"200": {"description": hostile}}
    operation = {"summary": hostile, "description": hostile, "parameters": [parameter], "responses": responses}
    described = {
        "info": {"title": "x", "version": hostile, "description": hostile},
        "paths": {f"/{hostile}": {"get": operation}},
        "components": {"schemas": {"A": {"description": hostile, "properties": {hostile: {"type": "string"}}}}},
    }
    with open_page(browser, "about:blank") as page:
        page.route("**/openapi.json", lambda route: route.fulfill(json=described))
        page.goto(f"{service.url}/docs")
        page.get_by_role("heading", name="GET").wait_for()
        assert page.locator("main").inner_text().count("<img src=x") >= 7
        assert page.title() != "caught"
        assert page.locator("main img, main b").count() == 0
