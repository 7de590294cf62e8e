"""The list of jobs in a browser: filters, very many rows, what runs, and what is wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.job_api_builders import JobPlace, fail, succeed
from tests.job_page_builders import SteppedJob, write_ended_jobs
from tests.web_builders import has_no_sideways_scroll, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

NUM_JOBS = 10_000
SHOWN_AT_MOST = 60


def submit(client: httpx.Client, place: JobPlace, out: str = "labels") -> str:
    return str(client.post("/v1/jobs", json=place.make_mine(out)).json()["id"])


def find_row(page: Page, job: str) -> Locator:
    return page.locator(f"[role=row][data-id='{job}']")


def test_without_jobs_the_list_says_what_they_are_for(browser: Browser, client: httpx.Client):
    with open_page(browser, f"{client.base_url}/jobs") as page:
        page.get_by_role("heading", name="No jobs yet").wait_for()
        assert page.get_by_role("link", name="Submit the first one").get_attribute("href") == "/jobs/new"
        page.goto(f"{client.base_url}/jobs?state=FAILED")
        page.get_by_role("heading", name="Nothing here").wait_for()
        page.get_by_role("link", name="Show all jobs").click()
        page.get_by_role("heading", name="No jobs yet").wait_for()


def test_filters_are_kept_in_the_address(browser: Browser, client: httpx.Client, place: JobPlace):
    good, bad = submit(client, place, "a"), submit(client, place, "b")
    place.run(good, succeed)
    place.start(bad, fail).join()
    with open_page(browser, f"{client.base_url}/jobs") as page:
        find_row(page, good).get_by_text("Succeeded").wait_for()
        find_row(page, bad).get_by_text("Failed", exact=True).wait_for()
        find_row(page, bad).get_by_text("it is broken").wait_for()
        page.get_by_label("State").select_option("Failed")
        find_row(page, good).wait_for(state="detached")
        assert page.url.endswith("/jobs?state=FAILED")
        page.reload()
        find_row(page, bad).wait_for()
        assert page.get_by_label("State").input_value() == "FAILED"
        assert find_row(page, good).count() == 0
        page.go_back()
        find_row(page, good).wait_for()
        assert page.get_by_label("State").input_value() == ""
        page.get_by_label("Kind").select_option("export")
        page.get_by_role("heading", name="Nothing here").wait_for()


def test_what_waits_and_what_runs_is_told_as_it_goes(browser: Browser, client: httpx.Client, place: JobPlace):
    job = submit(client, place, "a")
    with open_page(browser, f"{client.base_url}/jobs") as page:
        row = find_row(page, job)
        row.get_by_text("waiting to be looked at").wait_for()
        running = SteppedJob(place, job)
        running.do(lambda context: context.progress.start(200, parts=2))
        running.do(lambda context: context.progress.add(50))
        row.get_by_text(re.compile(r"^25 % · .* images/s · .* left$")).wait_for()
        assert row.get_by_role("progressbar").get_attribute("aria-valuenow") == "25"
        other = submit(client, place, "b")
        find_row(page, other).wait_for()
        assert page.get_by_role("row").nth(1).get_attribute("data-id") == other
        running.end()
        row.get_by_text("Succeeded").wait_for()


def test_ten_thousand_jobs_scroll_with_a_few_rows_in_the_document(browser: Browser, place: JobPlace):
    write_ended_jobs(place, NUM_JOBS)
    with place.serve() as client, open_page(browser, f"{client.base_url}/jobs") as page:
        find_row(page, f"job-{NUM_JOBS - 1:05d}").wait_for()
        most = scroll_to_the_end(page)
        find_row(page, "job-00000").wait_for()
        assert most <= SHOWN_AT_MOST
        table = page.get_by_role("table", name="Jobs")
        assert table.get_attribute("aria-rowcount") == str(NUM_JOBS + 1)
        assert find_row(page, "job-00000").get_attribute("aria-rowindex") == str(NUM_JOBS + 1)
        find_row(page, "job-00000").get_by_text(f"{place.data / 'labels'}").wait_for()
        newest = submit(client, place)
        page.locator(f"[role=table][aria-rowcount='{NUM_JOBS + 2}']").wait_for()
        assert find_row(page, "job-00000").is_visible()
        page.evaluate("window.scrollTo(0, 0)")
        find_row(page, newest).wait_for()


def scroll_to_the_end(page: Page) -> int:
    """Most rows that were in the document."""
    most = page.evaluate("""async () => {
      const table = document.querySelector("[role=table]");
      let most = 0;
      const isDone = () => table.getAttribute("aria-rowcount") !== "-1"
        && innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
      while (!isDone()) {
        window.scrollBy(0, 3000);
        await new Promise(requestAnimationFrame);
        most = Math.max(most, table.querySelectorAll("[role=row]").length);
      }
      return most;
    }""")
    return int(most)


def test_the_list_is_used_without_a_pointer(browser: Browser, place: JobPlace):
    write_ended_jobs(place, 200)
    with place.serve() as client, open_page(browser, f"{client.base_url}/jobs", expected=["404"]) as page:
        find_row(page, "job-00199").get_by_role("link").focus()
        focused = "document.activeElement.closest('[role=row]').dataset.id"
        for number in range(40):
            page.keyboard.press("ArrowDown")
            page.wait_for_function(f"{focused} === 'job-{198 - number:05d}'")  # the next rows may be on their way
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "job-00158"
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/job-00158")


def test_a_service_that_is_gone_is_told_and_found_again(browser: Browser, client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    with open_page(browser, f"{client.base_url}/jobs", expected=["ERR_"]) as page:
        find_row(page, job).wait_for()
        page.context.set_offline(True)
        page.get_by_role("heading", name="No answer from the service").wait_for()
        assert find_row(page, job).is_visible()
        page.context.set_offline(False)
        page.get_by_role("group", name="Problem").wait_for(state="detached")


def test_the_list_asks_for_a_key(browser: Browser, client: httpx.Client, place: JobPlace):
    headers = place.make_key("page", "jobs")
    client.headers.update(headers)
    job = submit(client, place)
    with open_page(browser, f"{client.base_url}/jobs", expected=["401"]) as page:
        page.get_by_label("API key").fill(headers["Authorization"].removeprefix("Bearer "))
        page.keyboard.press("Enter")
        find_row(page, job).wait_for()
        page.get_by_role("group", name="Problem").wait_for(state="detached")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list_needs_no_sideways_scroll_on_a_phone(
    browser: Browser, client: httpx.Client, place: JobPlace, scheme: str
):
    job = submit(client, place, "long" * 40)
    options = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    with open_page(browser, f"{client.base_url}/jobs", **options) as page:
        find_row(page, job).get_by_text("waiting to be looked at").wait_for()
        assert has_no_sideways_scroll(page)
