"""The page of one job in a browser: live, with what can be done, for hostile names, long runs and small screens."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dap_core.label_sets import Failure
from services.jobs.context import JobContext
from services.jobs.outcomes import Outcome
from services.jobs.records import JobState
from tests.job_api_builders import JobPlace, fail, succeed, succeed_in_part, wait_for_stop
from tests.job_page_builders import SteppedJob
from tests.label_set_api_builders import submit_mine
from tests.page_builders import make_row
from tests.web_builders import HOSTILE, has_no_sideways_scroll, open_modules, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NUM_EVENTS = 10_000
MAX_GROWTH = 60
MAX_PAGE_BYTES = 300_000
NOT_THERE = ["404"]
"""Parts that a job does not have are asked for and left out."""


def submit(client: httpx.Client, place: JobPlace, out: str = "labels", **fields: Any) -> str:
    return str(client.post("/v1/jobs", json=place.make_mine(out, **fields)).json()["id"])


def address(client: httpx.Client, job: str) -> str:
    return f"{client.base_url}/jobs/{job}"


def wait_for_state(page: Page, name: str) -> None:
    page.get_by_role("region", name="Where it stands").locator(".state").get_by_text(name, exact=True).wait_for()


def tell_shards(numbers: range) -> Any:
    def act(context: JobContext) -> None:
        for shard in numbers:
            context.progress.add(100, {"truncated-image": 1} if shard % 10 == 9 else None, parts=1)
            context.add_event("shard", shard=shard, ok=99, failed=int(shard % 10 == 9), boxes=150, bytes=1000)

    return act


def begin(context: JobContext) -> None:
    context.progress.start(4000, parts=40)


def test_a_running_job_is_shown_as_it_goes(browser: Browser, client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    with open_page(browser, address(client, job), expected=NOT_THERE) as page:
        page.get_by_text("It waits: waiting to be looked at").wait_for()
        running = SteppedJob(place, job)
        running.do(begin)
        running.do(tell_shards(range(20)))
        page.get_by_text(re.compile(r"2,000 of 4,000 images · 20 of 40 shards · 2 failed · .* images/s")).wait_for()
        page.get_by_role("img", name="Shards: 40 shards: 18 done, 2 with failed images, 20 waiting").wait_for()
        assert page.get_by_role("progressbar").get_attribute("aria-valuenow") == "50"
        running.do(lambda context: context.warn("something is odd"))
        page.get_by_role("heading", name="Warnings").wait_for()
        running.do(tell_shards(range(20, 40)))
        running.end(Outcome(JobState.PARTIALLY_SUCCEEDED, {"images": 4000, "boxes_per_image": 1.5}, "4 images failed"))
        wait_for_state(page, "Partly succeeded")
        page.get_by_role("img", name="Shards: 40 shards: 36 done, 4 with failed images, 0 waiting").wait_for()
        assert page.get_by_role("definition").filter(has_text="1.5").is_visible()
        assert page.get_by_role("status").inner_text() == "The job is now: Partly succeeded"


def test_shards_that_are_committed_at_long_intervals_give_an_even_rate(browser: Browser):
    page = open_modules(browser)
    rates = page.evaluate("""async () => {
      const { RateSeries } = await import("/web/job-series.js");
      const [speed, all] = [new RateSeries(), []];
      for (let end = 24; end <= 24 * 1000; end += 24) {
        speed.add(end - 24, end, 1200);
        if (end % 240 === 0) all.push(...speed.list().map(([, rate]) => rate));
      }
      return [Math.min(...all), Math.max(...all), speed.list().length];
    }""")
    page.close()
    assert rates[:2] == pytest.approx([50, 50])
    assert 50 <= rates[2] <= 120


def test_a_training_shows_how_it_learns(browser: Browser, client: httpx.Client, place: JobPlace):
    spec = {"kind": "pretrain", "label_set": str(place.data / "labels"), "out": str(place.data / "model")}
    job = str(client.post("/v1/jobs", json=spec).json()["id"])
    running = SteppedJob(place, job)

    def train(context: JobContext) -> None:
        context.progress.start(1600, parts=100, part_name="step")
        for step in range(1, 51):
            context.progress.add(16, parts=1)
            losses = {"classes": 1 / step, "boxes": 2 / step}
            context.add_event("metrics", step=step, loss=3 / step, losses=losses, lr=1e-4, step_s=0.5, wait_s=0.1)
            if step % 25 == 0:
                context.add_event("measured", step=step, ap=step / 100, ap50=step / 50, images=6, failed=0, seconds=1.0)

    running.do(train)
    with open_page(browser, address(client, job), expected=NOT_THERE) as page:
        page.get_by_role(
            "img", name=re.compile(r"^Loss\. loss: 3 loss at 1, 0.06 at 50\. classes: .* boxes: ")
        ).wait_for()
        page.get_by_role(
            "img",
            name=re.compile(r"^Average precision on the test images\. AP: 0\.25 AP at 25, 0\.5 at 50\. AP50: "),
        ).wait_for()
        assert page.get_by_role("table", name="Loss").locator("tbody tr").count() <= 60
        assert page.get_by_role("img", name=re.compile("^Throughput")).count() == 1
        running.end()
        page.get_by_role("link", name="Look at the model").wait_for()


def test_the_verbs_are_those_of_the_state(browser: Browser, client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    thread = place.start(job, wait_for_stop)
    with open_page(browser, address(client, job), expected=NOT_THERE) as page:
        page.get_by_role("button", name="Cancel").click()
        thread.join()
        wait_for_state(page, "Cancelled")
        assert page.get_by_role("button", name="Cancel").count() == 0
        page.get_by_role("button", name="Resume").click()
        wait_for_state(page, "Queued")
        place.run(job, succeed_in_part)
        page.get_by_role("button", name="Label failed images again").click()
        page.wait_for_url(lambda url: "/jobs/" in url and not url.endswith(job))
        wait_for_state(page, "Queued")


def test_a_verb_that_is_refused_says_why(browser: Browser, client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    place.start(job, fail).join()
    with open_page(browser, address(client, job), expected=["404", "409"]) as page:
        page.get_by_text("it is broken").first.wait_for()
        submit(client, place)  # writes to the same place by now
        page.get_by_role("button", name="Resume").click()
        assert place.data.name in page.get_by_role("group", name="Problem").inner_text()


def test_names_are_only_text(browser: Browser, client: httpx.Client, place: JobPlace):
    job = submit(client, place, label_pattern=f"(?P<label>{HOSTILE})")

    def tell(context: JobContext) -> None:
        context.warn(HOSTILE)
        context.progress.start(10, parts=1)
        context.progress.add(1, {HOSTILE: 1})

    running = SteppedJob(place, job)
    running.do(tell)
    failures = [{"number": 0, "key": HOSTILE, "error_type": HOSTILE, "message": HOSTILE}]
    with open_page(browser, "about:blank", expected=NOT_THERE) as page:
        page.route("**/failures?*", lambda route: route.fulfill(json={"items": failures, "next_cursor": None}))
        page.goto(address(client, job))
        page.get_by_role("heading", name="Failed images").wait_for()
        page.get_by_role("heading", name="Warnings").wait_for()
        running.end(Outcome(JobState.FAILED, {HOSTILE: HOSTILE}, HOSTILE))
        page.get_by_role("heading", name="Result").wait_for()
        for name in ("What happened", "Record and commands"):
            page.get_by_text(name).click()
        assert page.locator("main").inner_text().count("<img src=x") >= 8
        assert page.locator("main img[src=x]").count() == 0
        assert "caught" not in page.title()


def test_ten_thousand_events_do_not_make_the_page_grow(browser: Browser, client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    running = SteppedJob(place, job)
    running.do(lambda context: context.progress.start(100 * NUM_EVENTS, parts=NUM_EVENTS))

    def tell_all(numbers: range) -> Any:
        def act(context: JobContext) -> None:
            tell_shards(numbers)(context)
            for step in numbers:
                context.add_event("metrics", step=step, loss=1.0, losses={"a": 0.5}, lr=0.1, step_s=0.5, wait_s=0.0)
                if step % 10 == 0:
                    with context.in_stage(f"stage {step}"):
                        pass

        return act

    with open_page(browser, address(client, job), expected=NOT_THERE) as page:
        running.do(tell_all(range(600)))
        page.get_by_role("img", name=re.compile(r"\b540 done, 60 with failed images")).wait_for()
        before = count_nodes(page)
        running.do(tell_all(range(600, NUM_EVENTS)))
        page.get_by_role("img", name=re.compile(r"\b9,000 done, 1,000 with failed images")).wait_for()
        page.get_by_role("img", name=re.compile(r"^Loss\. .* at 9999")).wait_for()
        after = count_nodes(page)
        print(f"elements: {before} after 600 of each, {after} after {NUM_EVENTS}")
        assert after <= before + MAX_GROWTH
        points = page.locator("polyline").evaluate_all("lines => lines.map((one) => one.points.length)")
        assert max(points) <= 501
        running.end()


def count_nodes(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('*').length"))


def test_what_a_job_has_mined_is_shown_with_its_boxes(browser: Browser, client: httpx.Client, place: JobPlace):
    made = submit_mine(client, place, "set")
    rows = [replace(make_row(), key=f"{number}.png") for number in range(20)]
    made.fill(rows, failures=[Failure("broken.jpg", "truncated-image", "it ends early")])

    def count(context: JobContext) -> None:
        context.progress.start(21, parts=1)
        context.progress.add(21, {"truncated-image": 1}, parts=1)

    running = SteppedJob(place, made.id)
    running.do(count)
    running.end(Outcome(JobState.PARTIALLY_SUCCEEDED, {}))
    with open_page(browser, address(client, made.id), expected=NOT_THERE) as page:
        samples = page.get_by_role("region", name="Label set")
        samples.locator("figure.sample .thumb.shown").first.wait_for()
        assert samples.locator("figure.sample").count() == 12
        shown = client.get(f"/v1/jobs/{made.id}/label-set/images", params={"limit": 12}).json()["items"]
        assert samples.locator("svg.over rect").count() == sum(len(one["boxes"]) for one in shown) > 0
        samples.get_by_role("img", name=re.compile("^Boxes per image: 20 in ")).wait_for()
        link = samples.get_by_role("link", name="Look through the label set")
        assert link.get_attribute("href") == f"/label-sets/{made.id}"
        failed = page.get_by_role("region", name="Failed images")
        failed.get_by_text("broken.jpg").wait_for()
        assert failed.get_by_text("it ends early").is_visible()


def test_logs_and_artifacts_are_asked_for_when_opened(browser: Browser, client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    place.run(job, succeed)
    place.store.put(f"jobs/{job}/logs/0001.log", b"it printed <b>this</b>")
    (place.data / "labels").mkdir(parents=True)
    (place.data / "labels" / "manifest.json").write_text("{}")
    asked: list[str] = []
    with open_page(browser, "about:blank", expected=["404", "500"]) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address(client, job))
        wait_for_state(page, "Succeeded")
        assert not any(re.search("/(logs|artifacts)", url) for url in asked)
        page.get_by_text("Logs", exact=True).click()
        page.get_by_text("it printed <b>this</b>").wait_for()
        place.store.put(f"jobs/{job}/logs/0002.log", b"and that")
        page.get_by_role("button", name="Refresh").click()
        page.get_by_text("and that").wait_for()
        page.get_by_text("Artifacts", exact=True).click()
        page.get_by_role("rowheader", name=f"{place.data}/labels/manifest.json").wait_for()
        page.get_by_text("Record and commands").click()
        page.get_by_text(f"dap jobs watch '{job}' --service").wait_for()


def test_a_job_that_is_not_there_is_told(browser: Browser, client: httpx.Client):
    with open_page(browser, address(client, "nobody"), expected=NOT_THERE) as page:
        problem = page.get_by_role("group", name="Problem")
        problem.get_by_text("nobody").wait_for()
        assert page.get_by_text("Asking for the job").count() == 0


def test_a_service_that_is_gone_is_told_and_found_again(browser: Browser, client: httpx.Client, place: JobPlace):
    running = SteppedJob(place, job := submit(client, place))
    running.do(begin)
    with open_page(browser, address(client, job), expected=["ERR_", "404"]) as page:
        page.get_by_role("button", name="Cancel").wait_for()
        page.context.set_offline(True)
        page.get_by_role("heading", name="No answer from the service").wait_for()
        wait_for_state(page, "Running")
        running.do(tell_shards(range(7)))
        page.context.set_offline(False)
        page.get_by_role("group", name="Problem").wait_for(state="detached")
        page.get_by_role("img", name=re.compile(r"\b7 done")).wait_for()
    running.end()


def test_a_key_goes_along_with_the_events(browser: Browser, client: httpx.Client, place: JobPlace):
    headers = place.make_key("page", "jobs")
    client.headers.update(headers)
    running = SteppedJob(place, job := submit(client, place))
    running.do(begin)
    running.do(tell_shards(range(5)))
    with open_page(browser, address(client, job), expected=["401", "404"]) as page:
        page.get_by_label("API key").fill(headers["Authorization"].removeprefix("Bearer "))
        page.keyboard.press("Enter")
        page.get_by_role("img", name=re.compile(r"\b5 done")).wait_for()
        page.get_by_role("group", name="Problem").wait_for(state="detached")
    running.end()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scroll(browser: Browser, client: httpx.Client, place: JobPlace, scheme: str):
    job = submit(client, place, "long" * 40)
    place.run(job, lambda _spec, _context: Outcome(JobState.SUCCEEDED, {"long_" * 40: "x" * 300, "made": 1}))
    options = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    sizes: list[Any] = []
    with open_page(browser, "about:blank", expected=NOT_THERE, **options) as page:
        page.on("response", lambda answer: sizes.append(answer) if "/web/" in answer.url else None)
        page.goto(address(client, job))
        page.get_by_role("heading", name="Result").wait_for()
        page.get_by_text("Record and commands").click()
        assert has_no_sideways_scroll(page)
        assert sum(len(answer.body()) for answer in sizes) < MAX_PAGE_BYTES
