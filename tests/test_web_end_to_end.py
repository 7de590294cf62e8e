"""From images in a bucket to a detector that learns, in the browser alone: real service, real S3 server, real jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.bucket_services import MODEL, Services, make_services
from tests.s3_servers import S3Server
from tests.training_driver import CHANGES
from tests.waiting import wait_until
from tests.web_builders import find_serious_faults, open_page, set_slider

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
NUM_IMAGES, NUM_STEPS = 24, 160
JOB_MS = 240_000
STARTING = ("Failed to load resource",)  # a label set that is asked for before it is there


@pytest.fixture(scope="module")
def services(
    browser: Browser, servers: dict[str, S3Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """One service with pictures in its bucket; only started where there is a browser."""
    with make_services(servers["juicefs"], tmp_path_factory.mktemp("services")) as made:
        made.put_pictures(NUM_IMAGES)
        made.start(1)
        yield made


@pytest.fixture(scope="module")
def page(browser: Browser, services: Services) -> Iterator[Page]:
    """One tab, in which all that follows happens."""
    with open_page(browser, f"{services.urls[0]}/jobs", expected=STARTING) as opened:
        yield opened


def open_form(page: Page, services: Services, kind: str, **values: Any) -> None:
    """The form of a kind, with what a person would not type prefilled by the address."""
    page.goto(f"{services.urls[0]}/jobs/new?{urlencode({'kind': kind, **values}, doseq=True)}")


def start(page: Page) -> str:
    """Starts the job of the form; its id."""
    page.get_by_text("It can be started.").wait_for()
    page.get_by_role("button", name="Start the job").click()
    page.wait_for_url(re.compile(r"/jobs/(?!new)[^/?]+$"))
    return page.url.rpartition("/")[2]


def wait_for_state(page: Page, state: str) -> None:
    page.locator(".state", has_text=re.compile(f"^{state}$")).first.wait_for(timeout=JOB_MS)


def test_a_bucket_is_labelled_looked_at_cut_again_and_trained_on(page: Page, services: Services):
    page.get_by_role("link", name="New job").first.click()
    open_form(
        page, services, "mine", **MODEL, engine="torch", precision="float32", shard_images=4, short_sides=[96, 128]
    )
    page.locator("#field-source").fill(services.place("photos"))
    page.locator("#field-labels").fill("goldfish")
    page.locator("#field-out").fill(services.place("labels"))
    assert find_serious_faults(page) == []
    mined = start(page)
    page.get_by_role("img", name=re.compile(r"^Shards: 6 shards: .*[1-6] done")).wait_for(timeout=JOB_MS)
    wait_for_state(page, "Succeeded")
    assert find_serious_faults(page) == []

    page.goto(f"{services.urls[0]}/label-sets")
    page.locator(f'a[href="/label-sets/{mined}"]').first.wait_for()
    assert find_serious_faults(page) == []
    page.locator(f'a[href="/label-sets/{mined}"]').first.click()
    page.locator(".tile img").first.wait_for()
    assert find_serious_faults(page) == []
    set_slider(page, "Threshold 1", 0.6)
    panel = page.get_by_role("region", name="Cut again")
    panel.get_by_role("button", name="Re-cut the whole set so").click()
    panel.get_by_role("link", name="See how it goes").click(timeout=JOB_MS)
    wait_for_state(page, "Succeeded")
    recut = page.url.rpartition("/")[2]
    spec = httpx.get(f"{services.urls[0]}/v1/jobs/{recut}").json()["spec"]
    assert (spec["label_set"], 0.6 in spec["thresholds"]) == (services.place("labels"), True)

    page.goto(f"{services.urls[0]}/label-sets/{recut}")
    page.locator(".tile img").first.wait_for()
    page.get_by_role("link", name="Pre-train a detector from it").click()
    page.wait_for_url(re.compile("kind=pretrain"))
    changes = [f"{name}={value}" for name, value in {**CHANGES, "num_steps": NUM_STEPS}.items()]
    open_form(page, services, "pretrain", label_set=f"job:{recut}", **MODEL, changes=changes, decoders=0, save_every=8)
    page.locator("#field-out").fill(services.place("pretrained"))
    trained = start(page)
    page.get_by_role("img", name=re.compile(r"^Loss\. loss: ")).wait_for(timeout=JOB_MS)
    first = read_last_step(page)
    wait_until(lambda: read_last_step(page) > first, 120, every_s=0.5)
    page.get_by_role("button", name="Cancel").click()
    wait_for_state(page, "Cancelled")
    stopped = read_last_step(page)
    page.get_by_role("button", name="Resume").click()
    wait_for_state(page, "Succeeded")
    assert first < stopped < NUM_STEPS - 1
    services.check_metrics("pretrained", NUM_STEPS)

    page.get_by_role("link", name="Look at the model").click()
    page.wait_for_url(re.compile(f"/models/{trained}$"))
    page.get_by_role("button", name=re.compile("Choose an image")).wait_for()
    assert find_serious_faults(page) == []
    for path, shown in (("models", f'a[href="/models/{trained}"]'), ("jobs", f"[data-id='{trained}']")):
        page.goto(f"{services.urls[0]}/{path}")
        page.locator(shown).first.wait_for()
        assert find_serious_faults(page) == []


def read_last_step(page: Page) -> int:
    """Where the curve of the loss ends, as its description says."""
    name = page.get_by_role("img", name=re.compile(r"^Loss\. loss: ")).get_attribute("aria-label")
    found = re.search(r" at ([0-9,]+)\. ", f"{name} ")
    assert found, name
    return int(found[1].replace(",", ""))
