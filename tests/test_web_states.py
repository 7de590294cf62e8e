"""What the page does when things go wrong, and for whom it has to work: problems, keys, keyboards, phones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dap_core.stores import LocalStore
from services.keys import create_key
from tests.builders import encode_image, make_exif, make_smooth_pixels
from tests.service_builders import RunningService, run_service
from tests.web_builders import (
    HOSTILE,
    add_images,
    find_boxes,
    has_no_sideways_scroll,
    open_page,
    read_payload,
    read_table,
    wait_for_boxes,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
PHOTOS = Path(data.__file__).parent
CAT, CUP, ROCKET = PHOTOS / "chelsea.png", PHOTOS / "coffee.png", PHOTOS / "rocket.jpg"
MAX_PAGE_BYTES = 300_000


@pytest.fixture(scope="module")
def service(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service without keys; only started where there is a browser."""
    with run_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def page(browser: Browser, service: RunningService) -> Iterator[Page]:
    with open_page(browser, service.url) as opened:
        yield opened


def count_boxes(service: RunningService, photo: Path) -> int:
    """How many the service itself finds: the number differs between the precisions of machines."""
    headers = {"Content-Type": read_payload(photo)["mimeType"]}
    answer = httpx.post(f"{service.url}/v1/boxes", content=photo.read_bytes(), headers=headers).json()
    return len(answer["items"][0]["boxes"])


def test_a_file_that_is_no_image_shows_the_problem_of_the_service(browser: Browser, service: RunningService):
    content = b"\xff\xd8\xff\xe0 no jpeg at all"
    with open_page(browser, service.url) as page:
        add_images(page, {"name": HOSTILE, "mimeType": "image/jpeg", "buffer": content})
        find_boxes(page)
        problem = page.get_by_role("group", name="Problem")
        expected = httpx.post(f"{service.url}/v1/boxes", content=content, headers={"Content-Type": "image/jpeg"}).json()
        assert problem.get_by_role("heading").inner_text() == expected["title"]
        assert expected["detail"] in problem.inner_text()
        assert problem.get_by_role("link", name="What this means").get_attribute("href") == expected["type"]
        assert HOSTILE in problem.inner_text()
        assert page.get_by_text("This browser cannot show the file.").is_visible()


def test_several_images_have_labels_of_their_own(page: Page, service: RunningService):
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
    page.get_by_role("heading", name=f"{count_boxes(service, CAT)} boxes").wait_for()
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


def test_the_page_is_used_from_top_to_bottom_without_a_pointer(page: Page, service: RunningService):
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
    assert page.get_by_role("status").inner_text().strip() == f"{count_boxes(service, CAT)} boxes in chelsea.png"


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
            assert all(one in text for one in schema.get("properties") or schema["enum"])
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
