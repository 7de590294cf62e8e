"""Measures the pages of the service in a browser, and writes pages.md.

    PYTHONPATH=.:benchmarks python benchmarks/measure_pages.py

The service, its store with 10,000 jobs and the browser are on this machine; a few minutes on two cores, which should
have nothing else to do.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from measure_mining import describe_machine

from tests.job_api_builders import make_job_place
from tests.job_page_builders import write_ended_jobs
from tests.model_job_builders import add_detector
from tests.page_builders import make_row, make_set
from tests.web_builders import open_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NUM_JOBS, NUM_IMAGES = 10_000, 300
MOST_PAINT_MS, MOST_KB = 1000, 300
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
FILES = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const isOurs = (one) => new URL(one.name).pathname.startsWith("/web/");
  const files = performance.getEntriesByType("resource").filter(isOurs);
  return [page, ...files].reduce((sum, one) => sum + one.transferSize, 0);
}"""
SCROLL = """async () => {
  const isAtEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
  const table = document.querySelector("[role=table]");
  const frames = [];
  let [last, most] = [performance.now(), 0];
  while (!(table.getAttribute("aria-rowcount") !== "-1" && isAtEnd())) {
    window.scrollBy(0, 3000);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
    most = Math.max(most, table.querySelectorAll("[role=row]").length);
  }
  frames.sort((a, b) => a - b);
  const rank = (share) => frames[Math.floor(frames.length * share)];
  return [frames.length, rank(0.5), rank(0.99), frames.at(-1), most];
}"""
"""Scrolls a list to its end as fast as frames come."""


@dataclass(frozen=True, slots=True)
class PageFigures:
    """Milliseconds until the first contentful paint, median of the rounds, and bytes of page, styles and modules."""

    path: str
    paint_ms: float
    slowest_ms: float
    num_bytes: int


def measure_page(browser: Browser, url: str, path: str, num_rounds: int) -> PageFigures:
    """A page in fresh contexts, so that nothing is cached."""
    paints, num_bytes = [], 0
    for _ in range(num_rounds):
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(url + path)
            page.wait_for_function(f"({PAINT}) > 0")
            page.wait_for_load_state("load")
            paints.append(float(page.evaluate(PAINT)))
            num_bytes = max(num_bytes, int(page.evaluate(FILES)))
    return PageFigures(path, median(paints), max(paints), num_bytes)


def scroll_jobs(page: Page, url: str) -> list[float]:
    """While all jobs pass by: frames, their median, 99th percentile and longest in ms, most rows in the document."""
    page.goto(f"{url}/jobs")
    page.locator(f"[data-id='job-{NUM_JOBS - 1:05d}']").wait_for()
    figures: list[float] = page.evaluate(SCROLL)
    return figures


def make_report(version: str, num_rounds: int, pages: list[PageFigures], scrolling: list[float]) -> str:
    """The page, as Markdown."""
    frames, usual, high, longest, rows = scrolling
    parts = [
        "# Pages",
        "",
        "`PYTHONPATH=.:benchmarks python benchmarks/measure_pages.py`: the real application on a local store with "
        f"{NUM_JOBS:,} jobs and a label set of {NUM_IMAGES} images, {version}, all on the loopback address.",
        "",
        *describe_machine(("fastapi", "uvicorn", "playwright")),
        "",
        f"First contentful paint in {num_rounds} fresh contexts; page, styles and modules as transferred, without "
        f"images and answers. Targets: {MOST_PAINT_MS} ms, {MOST_KB} kB.",
        "",
        "| page | paint, median | slowest | weight |",
        "|---|---|---|---|",
        *(f"| `{p.path}` | {p.paint_ms:.0f} ms | {p.slowest_ms:.0f} ms | {p.num_bytes / 1000:.0f} kB |" for p in pages),
        "",
        f"The list of {NUM_JOBS:,} jobs, scrolled to its end 3,000 px a frame, faster than a hand does, pages fetched "
        f"on the way: {frames:,.0f} frames, median {usual:.0f} ms, 99% within {high:.0f} ms, longest {longest:.0f} ms; "
        f"at most {rows:.0f} rows in the document.",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("pages.md"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        place = make_job_place(Path(folder))
        write_ended_jobs(place, NUM_JOBS)
        make_set(place.data / "labels", [make_row(number) for number in range(NUM_IMAGES)])
        with place.serve() as client:
            url = str(client.base_url).rstrip("/")
            scrolling = scroll_jobs(browser.new_page(), url)
            job = client.post("/v1/jobs", json=place.make_mine()).json()["id"]
            paths = ["/", "/docs", "/jobs", "/jobs/new?kind=mine", f"/jobs/{job}", "/label-sets", f"/label-sets/{job}"]
            model = add_detector(client, place)
            paths += ["/models", f"/models/{model}"]
            pages = [measure_page(browser, url, path, options.rounds) for path in paths]
        version = f"Chromium {browser.version}"
    report = make_report(version, options.rounds, pages, scrolling)
    options.out.write_text(report.replace(job, "{job}").replace(model, "{job}"))


if __name__ == "__main__":
    main()
