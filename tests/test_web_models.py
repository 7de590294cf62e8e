"""The pages of models in a real browser, on the real application and tiny detectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from services.detecting import ChildDetecting
from tests.builders import encode_image, make_pixels
from tests.job_api_builders import JobPlace, make_job_place
from tests.model_job_builders import add_detector, add_evaluation, submit, write_detector
from tests.web_builders import HOSTILE, has_no_sideways_scroll, open_page, set_slider

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

LOADING_S = 180.0
"""Libraries take their time on a machine that does much else."""
REFUSED = ("Failed to load resource",)
IMAGE = {"name": HOSTILE, "mimeType": "image/png", "buffer": encode_image(make_pixels(150, 100))}


@dataclass(frozen=True)
class Site:
    """A service with a chain of jobs: label set, re-cut, pre-trained, fine-tuned and evaluated."""

    client: httpx.Client
    place: JobPlace
    mined: str
    recut: str
    pretrained: str
    tuned: str

    def at(self, path: str) -> str:
        return f"{str(self.client.base_url).rstrip('/')}{path}"


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Only made where there is a browser."""
    place = make_job_place(tmp_path_factory.mktemp("site"))
    with (
        closing(ChildDetecting(answer_s=LOADING_S)) as detecting,
        place.serve(detecting=detecting, deadline_s=LOADING_S) as client,
    ):
        yield make_chain(client, place)


def make_chain(client: httpx.Client, place: JobPlace) -> Site:
    mined = submit(client, place.make_mine())
    recut = submit(client, {"kind": "recut", "label_set": {"job": mined}, "out": str(place.data / "again")})
    pretrained = submit(client, {"kind": "pretrain", "label_set": {"job": recut}, "out": str(place.data / "before")})
    write_detector(str(place.data / "before"))
    place.run(pretrained)
    tuned = add_detector(client, place, "tuned", checkpoint={"job": pretrained})
    add_evaluation(client, place, "tuned", write_detector(str(place.data / "tuned")), 0.412)
    return Site(client, place, mined, recut, pretrained, tuned)


def try_image(page: Page) -> None:
    page.locator("input[type=file]").set_input_files([IMAGE])  # type: ignore[list-item]
    page.locator(".trial .frame").wait_for(timeout=1000 * LOADING_S)


def test_models_are_listed_newest_first(browser: Browser, site: Site):
    with open_page(browser, site.at("/models")) as page:
        rows = page.locator("tbody tr")
        rows.first.wait_for()
        assert page.locator("tbody a").all_inner_texts() == ["tuned", "before"]
        assert rows.first.locator("td").all_inner_texts()[4:6] == ["41 %", "82 %"]
        page.get_by_label("Made by").select_option("pretrain")
        page.locator("tbody tr").filter(has_text="tuned").wait_for(state="detached")
        assert page.locator("tbody a").get_attribute("href") == f"/models/{site.pretrained}"
        page.get_by_label("Made by").select_option("train-classifier")
        page.get_by_role("heading", name="No models yet").wait_for()
        href = page.get_by_role("link", name="Train a classifier").get_attribute("href")
        assert href == "/jobs/new?kind=train-classifier"


def test_a_model_is_told_with_where_it_comes_from(browser: Browser, site: Site):
    with open_page(browser, site.at(f"/models/{site.tuned}")) as page:
        page.locator(".link-node.here").wait_for()
        links = page.locator(".lineage a")
        found = links.evaluate_all("links => links.map((link) => [link.textContent, link.getAttribute('href')])")
        assert found == [
            ["labels", f"/label-sets/{site.mined}"],
            ["again", f"/label-sets/{site.recut}"],
            ["before", f"/models/{site.pretrained}"],
        ]
        lineage = page.locator(".lineage").inner_text()
        for words in ("photos", "lite0", "drawn.json", "tuned"):
            assert words in lineage
        result = page.get_by_role("region", name="Results").locator("tbody tr")
        assert result.locator("td").all_inner_texts() == ["41.2", "82.4"]
        assert page.get_by_role("region", name="Classes").get_by_role("listitem").count() == 3
        href = page.get_by_role("link", name="Evaluate it").get_attribute("href") or ""
        assert httpx.URL(href).params.multi_items() == [("kind", "evaluate"), ("detector", f"job:{site.tuned}")]


def test_a_detector_is_tried_on_an_image(browser: Browser, site: Site):
    with open_page(browser, site.at(f"/models/{site.tuned}")) as page:
        page.locator(".trial").wait_for()
        try_image(page)
        params, headers = {"model": site.tuned}, {"Content-Type": "image/png"}
        asked = site.client.post("/v1/detections", params=params, headers=headers, content=IMAGE["buffer"])
        answer = asked.json()
        for least in (0.05, 0.24, 1.0):
            set_slider(page, "Score", least)
            expected = [box for box in answer["boxes"] if box["score"] >= least]
            assert page.locator(".trial .box").count() == len(expected)
            assert page.locator(".box-list tbody th .text").all_inner_texts() == [box["name"] for box in expected]
        assert HOSTILE in page.locator(".trial").inner_text()
        assert page.locator("img[src=x]").count() == 0


def test_a_file_that_is_no_image_is_refused_in_place(browser: Browser, site: Site):
    with open_page(browser, site.at(f"/models/{site.tuned}"), expected=REFUSED) as page:
        page.locator(".trial").wait_for()
        page.locator("input[type=file]").set_input_files([{**IMAGE, "buffer": b"no image"}])  # type: ignore[list-item]
        problem = page.get_by_role("group", name="Problem")
        problem.wait_for(timeout=1000 * LOADING_S)
        assert problem.get_by_role("link", name="What this means").get_attribute("href") == "/problems/not-an-image"


def test_class_names_are_text_and_a_classifier_is_not_tried(browser: Browser, site: Site):
    names = [HOSTILE, *(f"class {index}" for index in range(1000))]

    def answer(route: Route) -> None:
        response = route.fetch()
        changes: dict[str, Any] = {"classes": names, "num_classes": len(names), "backbone": None, "results": []}
        route.fulfill(response=response, json={**response.json(), **changes})

    with open_page(browser, "about:blank") as page:
        page.route("**/v1/checkpoints/*", answer)
        page.goto(site.at(f"/models/{site.tuned}"))
        page.get_by_text("981 more classes").wait_for()
        assert page.get_by_role("region", name="Classes").get_by_role("listitem").first.inner_text() == HOSTILE
        assert page.locator(".trial").count() == 0
        assert page.get_by_text("It has not been evaluated.").is_visible()
        assert page.title() == "tuned · model · DAP"


def test_a_job_without_a_model_says_so(browser: Browser, site: Site):
    with open_page(browser, site.at(f"/models/{site.mined}"), expected=REFUSED) as page:
        page.get_by_role("heading", name="No model").wait_for()
        assert page.get_by_role("link", name="See the job").get_attribute("href") == f"/jobs/{site.mined}"


def test_without_an_answer_it_is_tried_again(browser: Browser, site: Site):
    with open_page(browser, "about:blank", expected=REFUSED) as page:
        page.route("**/v1/checkpoints*", lambda route: route.abort())
        page.goto(site.at("/models"))
        page.get_by_role("heading", name="No answer from the service").wait_for()
        page.unroute("**/v1/checkpoints*")
        page.get_by_role("button", name="Try again").click()
        page.locator("tbody tr").first.wait_for()
        assert page.locator("#notices").inner_text() == ""


def test_a_key_is_asked_for(browser: Browser, tmp_path: Path):
    place = make_job_place(tmp_path)
    key = place.make_key("mine")["Authorization"].removeprefix("Bearer ")
    with place.serve() as client, open_page(browser, f"{client.base_url}/models", expected=REFUSED) as page:
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Use this key").click()
        page.get_by_role("heading", name="No models yet").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(browser: Browser, site: Site, scheme: str):
    options: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    with open_page(browser, site.at("/models"), **options) as page:
        page.locator("tbody tr").first.wait_for()
        assert has_no_sideways_scroll(page)
        page.get_by_role("link", name="tuned").click()
        page.locator(".link-node.here").wait_for()
        assert has_no_sideways_scroll(page)
