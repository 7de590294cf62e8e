"""A headless browser for the page's tests, and maps as the HTTP answer holds them."""

from __future__ import annotations

import base64
import mimetypes
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dap_core.types import Cam

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

WEB = Path(__file__).resolve().parents[1] / "clients" / "web"
HOSTILE = "<img src=x onerror=\"document.title='caught'\">&'.jpg"
"""A file name that would do something, were it taken for markup."""
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_COMPLAINTS = ("error", "warning")


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless Chromium: that of DAP_CHROMIUM or of the PATH. Skips the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("DAP_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("there is no Chromium: install one or set DAP_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_QUIET)
        yield browser
        browser.close()


def open_modules(browser: Browser) -> Page:
    """An empty page that can import the modules of `clients/web` from `/web/`, without any server."""
    page = browser.new_page()
    page.route("http://modules.test/**", _answer_from_disk)
    page.goto("http://modules.test/")
    return page


def _answer_from_disk(route: Route) -> None:
    _, _, name = route.request.url.partition("/web/")
    file = WEB / name
    if not name:
        route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html")
    elif file.is_file():
        route.fulfill(body=file.read_bytes(), content_type=mimetypes.guess_type(file.name)[0])
    else:
        route.fulfill(status=404)


def describe_cam(cam: Cam) -> dict[str, Any]:
    """A map as the HTTP answer holds it (`docs/http-api.md`)."""
    finite = cam.lowest == cam.lowest
    return {
        "label": cam.label,
        "short_side": cam.short_side,
        "mirrored": cam.mirrored,
        "height": cam.values.shape[0],
        "width": cam.values.shape[1],
        "lowest": cam.lowest if finite else None,
        "highest": cam.highest if finite else None,
        "origin_xy": cam.origin_xy,
        "pitch_xy": cam.pitch_xy,
        "valid_hw": cam.valid_hw,
        "values": base64.b64encode(cam.values.astype("<u2").tobytes()).decode(),
    }


@contextmanager
def open_page(browser: Browser, url: str, *, expected: Sequence[str] = (), **options: Any) -> Iterator[Page]:
    """A page of a fresh context.

    In the end, anything the browser complained of (errors, refused styles or scripts) fails the test, unless it holds
    one of the `expected` words.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(20_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in _COMPLAINTS else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    yield page
    context.close()
    assert [text for text in complaints if not any(word in text for word in expected)] == []


def has_no_sideways_scroll(page: Page) -> bool:
    """Whether all of it is as wide as the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def find_serious_faults(page: Page) -> list[str]:
    """What axe-core finds of the impact serious or critical: rule and place."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def add_images(page: Page, *files: Path | dict[str, Any]) -> None:
    """Chooses image files as a user does: a path, or name, type and bytes."""
    button = page.get_by_role("button", name="Choose images").or_(page.get_by_role("button", name="Add images"))
    with page.expect_file_chooser() as chooser:
        button.click()
    payloads = [read_payload(one) if isinstance(one, Path) else one for one in files]
    chooser.value.set_files(payloads)  # type: ignore[arg-type]


def read_payload(file: Path) -> dict[str, Any]:
    """A file as a browser is given it."""
    return {"name": file.name, "mimeType": mimetypes.guess_type(file.name)[0] or "", "buffer": file.read_bytes()}


def wait_for_boxes(page: Page) -> None:
    """Waits until the boxes of the chosen image are shown."""
    page.get_by_role("heading", name=re.compile(r"^(No|\d+) box(es)?$")).wait_for()


def find_boxes(page: Page) -> None:
    """Runs what is to be run, until it is done."""
    page.get_by_role("button", name="Find boxes").click()
    page.get_by_role("button", name="Stop").wait_for(state="hidden")
    page.locator(".badge.running").wait_for(state="detached")


def read_table(page: Page) -> list[tuple[str, ...]]:
    """The rows of boxes: label, threshold, score, and four corners."""
    rows = page.get_by_role("table").locator("tbody tr")
    return [tuple(text.strip() for text in row.locator("th, td").all_inner_texts()) for row in rows.all()]


def set_slider(page: Page, name: str, value: float) -> None:
    """Moves a slider."""
    page.get_by_role("slider", name=name, exact=True).fill(f"{value:g}")
