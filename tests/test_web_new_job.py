"""The page `/jobs/new`: forms from the schemas of jobs, their dry run, their start, and the commands beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from services.jobs.kinds import KINDS, make_spec
from tests.job_api_builders import JobPlace, make_job_place
from tests.mining_builders import write_colour_folder
from tests.web_builders import HOSTILE, has_no_sideways_scroll, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

MAX_PAGE_BYTES = 300_000


@dataclass(frozen=True)
class Desk:
    """A service with jobs, and where they read and write."""

    place: JobPlace
    client: httpx.Client

    @property
    def url(self) -> str:
        return f"{self.client.base_url}".rstrip("/") + "/jobs/new"

    def path(self, name: str) -> str:
        return str(self.place.data / name)

    def submit(self, **spec: Any) -> str:
        answer = self.client.post("/v1/jobs", json=spec)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def read_spec(self, job: str) -> dict[str, Any]:
        spec: dict[str, Any] = self.client.get(f"/v1/jobs/{job}").json()["spec"]
        return spec


@pytest.fixture(scope="module")
def desk(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Only served where there is a browser."""
    place = make_job_place(tmp_path_factory.mktemp("jobs"))
    write_colour_folder(place.data / "photos", 6)
    with place.serve() as client:
        yield Desk(place, client)


@pytest.fixture
def page(browser: Browser, desk: Desk) -> Iterator[Page]:
    with open_page(browser, desk.url, expected=["422", "409", "404", "503"]) as opened:
        opened.route(re.compile(r"^http://[^/]+/jobs/(?!new)"), lambda route: route.fulfill(body="the job"))
        opened.get_by_text("What is to be done?").wait_for()
        yield opened


def find_field(page: Page, name: str) -> Locator:
    return page.locator(f'[data-field="{name}"]')


def fill(page: Page, name: str, value: str) -> None:
    page.locator(f"#field-{name}").fill(value)


def open_groups(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")


def wait_for_plan(page: Page) -> str:
    page.locator(".plan .ready").wait_for()
    return page.get_by_role("region", name="Dry run").inner_text()


def start(page: Page, **options: Any) -> str:
    """Starts the job; its id."""
    page.get_by_role("button", name="Start the job").click(**options)
    page.wait_for_url(re.compile(r"/jobs/(?!new)"))
    return page.url.rpartition("/")[2]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_kind_is_in_its_form(page: Page, desk: Desk, kind: str):
    schemas = httpx.get(f"{desk.client.base_url}/openapi.json").json()["components"]["schemas"]
    schema = schemas[KINDS[kind].__name__]
    page.goto(f"{desk.url}?kind={kind}")
    find_field(page, "out").wait_for()
    open_groups(page)
    fields = {str(one.get_attribute("data-field")): one for one in page.locator("[data-field]").all()}
    assert set(fields) == set(schema["properties"]) - {"kind"}
    for name, field in fields.items():
        meaning = schema["properties"][name]["description"].replace("`", "").split()
        assert " ".join(meaning) in " ".join(field.inner_text().split()), name
        assert field.locator("input, select, textarea, button").first.is_visible(), name
    needed = [name for name, field in fields.items() if field.locator(".needed").count()]
    assert set(needed) == set(schema["required"]) - {"kind"}
    assert page.locator("details [data-field] .needed").count() == 0
    assert schema["description"] in page.locator(".sentence").inner_text()


def test_a_job_is_stored_as_it_was_filled_in(page: Page, desk: Desk):
    page.get_by_label("Mine boxes").check()
    fill(page, "source", desk.path("photos"))
    fill(page, "labels", "goldfish\n great white shark \n\n")
    fill(page, "out", desk.path("labels"))
    open_groups(page)
    fill(page, "thresholds", "0.3, 0.5")
    fill(page, "nms_iou", "0.7")
    fill(page, "max_failures", "0")
    page.locator("#field-images").select_option("reference")
    page.locator("#field-cams").uncheck()
    assert "6, " in wait_for_plan(page)
    find_field(page, "label_map").get_by_role("button", name="Add an entry").click()
    find_field(page, "label_map").get_by_role("textbox").nth(0).fill("a=b")
    find_field(page, "label_map").get_by_role("textbox").nth(1).fill("tench")
    before = len(list(desk.place.jobs.list_jobs()))
    job = start(page, click_count=2)
    expected = {
        **desk.place.make_mine(labels=["goldfish", "great white shark"], thresholds=[0.3, 0.5], nms_iou=0.7),
        "max_failures": 0,
        "images": "reference",
        "cams": False,
        "label_map": {"a=b": "tench"},
    }
    assert desk.read_spec(job) == make_spec(expected).model_dump(mode="json")
    assert len(list(desk.place.jobs.list_jobs())) == before + 1
    page.goto(desk.url)
    page.get_by_label("Mine boxes").check()
    assert page.locator("#field-source").input_value() == ""


def test_a_start_whose_answer_is_lost_is_sent_again_under_the_same_key(browser: Browser, desk: Desk):
    keys: list[str | None] = []

    def lose(route: Route) -> None:
        keys.append(route.request.header_value("idempotency-key"))
        route.fetch()
        route.abort()

    before = len(list(desk.place.jobs.list_jobs()))
    address = f"{desk.url}?kind=mine&source={desk.path('photos')}&labels=goldfish&out={desk.path('lost')}"
    with open_page(browser, address, expected=["ERR_FAILED", "404"]) as page:
        page.route(re.compile(r"^http://[^/]+/jobs/(?!new)"), lambda route: route.fulfill(body="the job"))
        wait_for_plan(page)
        page.route("**/v1/jobs", lose, times=1)
        page.get_by_role("button", name="Start the job").click()
        page.get_by_text("No answer from the service").wait_for()
        page.reload()
        wait_for_plan(page)
        with page.expect_request("**/v1/jobs") as request:
            start(page)
        assert request.value.header_value("idempotency-key") == keys[0]
    assert len(list(desk.place.jobs.list_jobs())) == before + 1


def test_what_is_wrong_stands_at_its_field(page: Page, desk: Desk):
    page.get_by_label("Mine boxes").check()
    open_groups(page)
    for name, value, fault in (
        ("shard_images", "1001", "Expected a whole number of at least 1 and of at most 1000, got 1001."),
        ("shard_images", "2.5", "Expected a whole number of at least 1 and of at most 1000, got 2.5."),
        ("thresholds", "0.3 x", "Expected a number, got x."),
    ):
        fill(page, name, value)
        field, control = find_field(page, name), page.locator(f"#field-{name}")
        assert field.locator(".fault").inner_text() == fault
        assert control.get_attribute("aria-invalid") == "true"
        described = str(control.get_attribute("aria-describedby")).split()
        assert described == [f"field-{name}-fault", f"field-{name}-hint"]
    assert find_field(page, "source").locator(".fault").is_hidden()
    page.get_by_role("button", name="Start the job").click()
    assert find_field(page, "source").locator(".fault").inner_text() == "This is needed."
    assert page.evaluate("document.activeElement.id") == "field-source"
    fill(page, "shard_images", "10")
    fill(page, "thresholds", "")
    assert page.locator("[aria-invalid]").count() == 2  # source and out


def test_what_the_service_refuses_stands_at_its_field(page: Page, desk: Desk):
    page.get_by_label("Mine boxes").check()
    fill(page, "source", desk.path("photos"))
    fill(page, "labels", "goldfish")
    fill(page, "out", "/elsewhere/labels")
    find_field(page, "out").get_by_text("is a local path").wait_for()
    assert page.locator("#field-out").get_attribute("aria-invalid") == "true"
    fill(page, "out", desk.path("refused"))
    assert find_field(page, "out").locator(".fault").is_hidden()
    wait_for_plan(page)
    fill(page, "labels", "no such thing")
    page.get_by_role("heading", name="It would be refused").wait_for()
    assert "6 of 6 labelled images" in page.locator(".refusal").inner_text()
    page.get_by_role("button", name="Start it all the same").wait_for()
    open_groups(page)
    fill(page, "ray", "auto")  # about no single field
    page.get_by_role("group", name="Problem").wait_for()
    assert "say how many with labelers" in page.get_by_role("group", name="Problem").inner_text()
    page.locator("#field-ray").fill("")
    fill(page, "labelers", "1000")
    find_field(page, "labelers").get_by_text("at most 16 labelers").wait_for()


@pytest.mark.parametrize(
    ("kind", "suggested"),
    [("Mine boxes", {"aligned", "paper", "official"}), ("Fine-tune a detector", {"finetune-laptop", "finetune-voc07"})],
)
def test_recipes_are_suggested(page: Page, kind: str, suggested: set[str]):
    page.get_by_label(kind).check()
    field = page.locator("#field-recipe")
    field.wait_for(state="attached")
    values = page.locator(f"#{field.get_attribute('list')} option").evaluate_all("all => all.map((one) => one.value)")
    assert suggested <= set(values)
    assert "pretrain-laptop" not in values


def test_an_output_that_is_in_use_is_told_on_start(page: Page, desk: Desk):
    desk.submit(**desk.place.make_mine("taken", labels=["goldfish"]))
    page.goto(f"{desk.url}?kind=mine&source={desk.path('photos')}&labels=goldfish&out={desk.path('taken')}")
    wait_for_plan(page)
    page.get_by_role("button", name="Start the job").click()
    find_field(page, "out").get_by_text("a job that has not ended writes to").wait_for()
    fill(page, "out", desk.path("free"))
    wait_for_plan(page)
    assert desk.read_spec(start(page))["out"] == desk.path("free")


def test_pipelines_are_built_by_choosing_earlier_jobs(page: Page, desk: Desk):
    done = desk.submit(**desk.place.make_mine("cats", labels=["goldfish"]))
    desk.place.run(done)
    waiting = desk.submit(**desk.place.make_mine("dogs", labels=["goldfish"]))
    page.get_by_label("Pre-train a detector").check()
    find_field(page, "label_set").get_by_role("button", name="Earlier job").click()
    choice = page.get_by_role("combobox", name="Label set: earlier job")
    choice.get_by_role("option", name=re.compile("^cats · Mine boxes · succeeded")).wait_for(state="attached")
    choice.select_option(label=choice.get_by_role("option", name=re.compile("^dogs")).inner_text())
    find_field(page, "label_set").get_by_text("waits until that one has succeeded").wait_for()
    fill(page, "out", desk.path("pretrained"))
    assert "Takes about" in wait_for_plan(page)
    assert f'"label_set":{{"job":"{waiting}"}}' in page.get_by_label("Command for curl", exact=True).inner_text()
    assert f"dap pretrain {desk.path('dogs')}" in page.get_by_label("Command for dap", exact=True).inner_text()
    job = desk.client.get(f"/v1/jobs/{start(page)}").json()
    assert (job["after"], job["spec"]["label_set"]) == ([waiting], desk.path("dogs"))

    page.goto(f"{desk.url}?kind=recut&label_set=job:{done}&thresholds=0.3&thresholds=0.5&out={desk.path('tight')}")
    wait_for_plan(page)
    assert page.url.endswith("/jobs/new?kind=recut")
    spec = desk.read_spec(start(page))
    assert (spec["label_set"], spec["thresholds"]) == (desk.path("cats"), [0.3, 0.5])


def test_a_job_is_copied_into_the_form(page: Page, desk: Desk):
    spec = desk.place.make_mine("copied", labels=["goldfish"], nms_iou=0.5, engine="torch")
    page.goto(f"{desk.url}?from={desk.submit(**spec)}")
    fill(page, "out", desk.path("copied-again"))
    wait_for_plan(page)
    assert desk.read_spec(start(page)) == make_spec({**spec, "out": desk.path("copied-again")}).model_dump(mode="json")
    page.goto(f"{desk.url}?from=no-such-job")
    page.get_by_role("group", name="Problem").get_by_text("there is no job").wait_for()


def test_a_reload_loses_nothing(page: Page, desk: Desk):
    page.get_by_label("Mine boxes").check()
    fill(page, "source", desk.path("photos"))
    page.get_by_role("button", name="Add another").click()
    page.get_by_role("textbox", name="Images 2").fill(desk.path("more"))
    fill(page, "labels", "goldfish\ntench")
    page.get_by_label("Export").check()
    page.locator("#field-format").select_option("yolo")
    page.reload()
    find_field(page, "format").wait_for()
    assert page.locator("#field-format").input_value() == "yolo"
    page.get_by_label("Mine boxes").check()
    assert page.locator("#field-labels").input_value() == "goldfish\ntench"
    places = find_field(page, "source").get_by_role("textbox")
    assert [one.input_value() for one in places.all()] == [desk.path("photos"), desk.path("more")]
    page.get_by_role("button", name="Remove Images 2").click()
    assert '"source":["' + desk.path("photos") + '"]' in page.get_by_label("Command for curl", exact=True).inner_text()


def test_text_of_others_is_only_text(browser: Browser, desk: Desk):
    described = httpx.get(f"{desk.client.base_url}/openapi.json").json()
    schemas = described["components"]["schemas"]
    schemas["RecutSpec"]["description"] = HOSTILE
    schemas["RecutSpec"]["properties"] |= {HOSTILE: {"type": "string", "description": HOSTILE, "enum": [HOSTILE]}}
    desk.place.run(desk.submit(**desk.place.make_mine(f"made/{HOSTILE}", labels=["goldfish"])))
    with open_page(browser, "about:blank", expected=["422"]) as page:
        page.route("**/openapi.json", lambda route: route.fulfill(json=described))
        page.goto(f"{desk.url}?kind=recut")
        find_field(page, "out").wait_for()
        open_groups(page)
        fill(page, "recipe", HOSTILE)
        fill(page, "out", HOSTILE)
        find_field(page, "label_set").get_by_role("button", name="Earlier job").click()
        choice = find_field(page, "label_set").get_by_role("combobox")
        option = choice.get_by_role("option", name=re.compile("^" + re.escape(HOSTILE.rpartition("/")[2])))
        option.wait_for(state="attached")
        choice.select_option(option.get_attribute("value"))
        find_field(page, "out").get_by_text("none of the places").or_(
            find_field(page, "out").get_by_text("is a local path")
        ).wait_for()
        assert page.locator("main").inner_text().count("<img src=x") >= 5
        assert page.locator("main img").count() == 0
        assert page.title() != "caught"


def test_a_job_is_made_without_a_pointer(page: Page, desk: Desk):
    page.locator("#kind-mine").focus()
    page.keyboard.press("Space")
    seen: list[str] = []
    for text in (desk.path("photos"), None, None, "goldfish", None, None, None, desk.path("by-keyboard")):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        if text:
            page.keyboard.insert_text(text)
    wanted = ["field-source", "Earlier job", "Add another", "field-labels", "field-classifier", "Earlier job"]
    assert seen == [*wanted, "field-recipe", "field-out"]
    wait_for_plan(page)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/jobs/(?!new)"))
    assert desk.read_spec(page.url.rpartition("/")[2])["out"] == desk.path("by-keyboard")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scroll(browser: Browser, desk: Desk, scheme: str):
    with open_page(browser, desk.url, viewport={"width": 390, "height": 800}, color_scheme=scheme) as page:
        page.get_by_text("What is to be done?").wait_for()
        assert has_no_sideways_scroll(page)
        for kind in KINDS:
            page.locator(f"#kind-{kind}").check()
            open_groups(page)
            for button in page.locator(".line > .button").all():
                button.click()
            fill(page, "out", f"/{'long' * 60}")
            assert has_no_sideways_scroll(page), kind


def test_a_key_is_asked_for(browser: Browser, tmp_path: Path):
    place = make_job_place(tmp_path)
    token = place.make_key("page", "jobs")["Authorization"].removeprefix("Bearer ")
    with place.serve() as client, open_page(browser, f"{client.base_url}/jobs/new", expected=["401"]) as page:
        page.get_by_label("API key").fill(token)
        page.get_by_role("button", name="Use this key").click()
        page.get_by_label("Mine boxes").check()
        page.locator("#field-out").wait_for()
        assert page.get_by_role("group", name="Problem").count() == 0
        command = page.get_by_label("Command for curl", exact=True).inner_text()
        assert token not in command
        assert "$DAP_KEY" in command


def test_without_an_answer_the_page_says_so_and_goes_on(page: Page, desk: Desk):
    page.goto(f"{desk.url}?kind=mine&source={desk.path('photos')}&labels=goldfish")
    find_field(page, "out").wait_for()
    page.route("**/v1/jobs:plan", lambda route: route.fulfill(status=503, json={"title": "busy", "retryable": True}))
    fill(page, "out", desk.path("later"))
    page.get_by_role("group", name="Problem").wait_for()
    page.unroute("**/v1/jobs:plan")
    page.get_by_role("button", name="Try again").click()
    wait_for_plan(page)


def test_the_page_is_light(browser: Browser, desk: Desk):
    answers: list[Any] = []
    with open_page(browser, "about:blank") as page:
        page.on("response", lambda answer: answers.append(answer))
        page.goto(f"{desk.url}?kind=mine")
        find_field(page, "out").wait_for()
        assert all(answer.url.startswith(str(desk.client.base_url)) for answer in answers)
        assert sum(len(answer.body()) for answer in answers) < MAX_PAGE_BYTES
        assert json.loads(page.evaluate("sessionStorage['dap-new-job']"))["kind"] == "mine"
