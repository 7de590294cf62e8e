"""The pages of label sets in a real browser, on the real application and a real label set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from dap_core.evaluation import compute_statistics, find_suspicious
from dap_core.label_sets import Failure, LabelSet, LabelSetRow
from dap_core.mining import MiningConfig, mine_boxes
from dap_core.types import ClassList, PseudoBoxes
from tests.job_api_builders import JobPlace, make_job_place
from tests.page_builders import RECIPE, SIZE_WH, make_row, make_set
from tests.web_builders import HOSTILE, has_no_sideways_scroll, open_page, set_slider

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

NUM_IMAGES, NUM_RECUT = 130, 100
REFUSED = ("Failed to load resource",)
CLASSES = ClassList.from_pairs([("x0", "cat"), ("x1", HOSTILE), ("x2", "never seen")])


@dataclass(frozen=True)
class Site:
    """A service that has a label set, and the job that made it."""

    client: httpx.Client
    place: JobPlace
    job: str
    label_set: LabelSet
    rows: Sequence[LabelSetRow]

    @property
    def url(self) -> str:
        return f"{str(self.client.base_url).rstrip('/')}/label-sets/{self.job}"

    def get_spec(self, job: str) -> dict[str, Any]:
        spec: dict[str, Any] = self.client.get(f"/v1/jobs/{job}").json()["spec"]
        return spec


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Only made where there is a browser."""
    place = make_job_place(tmp_path_factory.mktemp("site"))
    rows = make_rows()
    made = make_set(place.data / "labels", rows, failures=[Failure("z.jpg", "empty-image", "empty")], classes=CLASSES)
    with place.serve() as client:
        yield Site(client, place, submit(client, place), made, rows)


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    with open_page(browser, site.url) as opened:
        opened.locator(".tile").first.wait_for()
        yield opened


def submit(client: httpx.Client, place: JobPlace, out: str = "labels") -> str:
    answer = client.post("/v1/jobs", json=place.make_mine(out))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def make_rows() -> list[LabelSetRow]:
    """Every third image of the class with the hostile name; two without a box, one with another first choice."""
    rows = [make_row(index, labels=(int(index % 3 == 1),)) for index in range(NUM_IMAGES)]
    for index in (2, 40):
        rows[index] = replace(
            rows[index], boxes=PseudoBoxes.empty(), no_box_reasons=((rows[index].labels[0], "flat-map"),)
        )
    rows[3] = replace(rows[3], top1=1, label_scores=(0.1,), key=f"x0/{HOSTILE}")
    return rows


def read_keys(page: Page) -> list[str]:
    return page.locator(".tile-button").evaluate_all("buttons => buttons.map((button) => button.title)")


def wait_for_total(page: Page, words: str) -> None:
    page.locator("#total", has_text=re.compile(f"^{words}$")).wait_for()


def read_boxes(drawing: Locator) -> list[list[float]]:
    """Corners of what is drawn."""
    read = "boxes => boxes.map((box) => ['x', 'y', 'width', 'height'].map((name) => Number(box.getAttribute(name))))"
    drawn: list[list[float]] = drawing.locator(".line").evaluate_all(read)
    return [[x, y, x + width, y + height] for x, y, width, height in drawn]


def recut(rows: Sequence[LabelSetRow], mining: MiningConfig) -> list[PseudoBoxes]:
    return [mine_boxes(row.cams, row.size_wh, mining).boxes for row in rows]


def describe(found: Sequence[PseudoBoxes]) -> list[str]:
    """The column of the comparison that says this."""
    sides = np.concatenate([boxes.boxes[:, 2:] - boxes.boxes[:, :2] for boxes in found]).mean(axis=0, dtype=np.float64)
    count = sum(map(len, found))
    empty = 100 * sum(not len(boxes) for boxes in found) / len(found)
    share = f"{empty:.0f} %" if empty >= 1 or not empty else "< 1 %"
    return [str(count), f"{count / len(found):.2f}", share, f"{sides[0]:.1f} px", f"{sides[1]:.1f} px"]


def read_comparison(page: Page) -> tuple[list[str], list[str]]:
    page.locator(".recut[aria-busy=false]").wait_for()
    cells = page.locator(".comparison > table tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].slice(1).map((cell) => cell.textContent))"
    )
    return [row[0] for row in cells], [row[1] for row in cells]


def test_a_label_set_is_told_in_facts_and_histograms(page: Page, site: Site):
    facts = page.get_by_role("region", name="Summary").inner_text()
    found = compute_statistics(site.label_set)
    for words in (f"{NUM_IMAGES} labelled, 1 failed", f"{found.num_boxes}, ", "small · thresholds 0.20", "toy · torch"):
        assert words in facts
    bars = page.get_by_role("region", name="Statistics").locator(".plot[role=img]")
    assert bars.count() == 4
    rows = page.get_by_role("region", name="Statistics").locator("table").first.locator("tbody tr")
    counts = rows.evaluate_all("rows => rows.map((row) => Number(row.cells[row.cells.length - 1].textContent))")
    assert counts == list(found.boxes_per_image.counts)
    assert page.get_by_text("random sample").count() == 0


def test_a_partial_set_and_a_sample_are_said_to_be_that(browser: Browser, site: Site):
    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "state": "partial", "ok": 5000, "images": 6000})

    with open_page(browser, "about:blank") as page:
        page.route("**/label-set", answer)
        page.goto(site.url)
        page.get_by_text("The set is partial").wait_for()
        assert page.get_by_text(f"a random sample of {NUM_IMAGES} of 5,000 images").is_visible()


def test_images_are_chosen_by_class_and_by_what_they_lack(page: Page, site: Site):
    classes = page.get_by_label("Class", exact=True)
    hostile = sum(row.labels == (1,) for row in site.rows)
    options = classes.locator("option").all_inner_texts()
    assert options == [f"All classes ({NUM_IMAGES})", f"cat ({NUM_IMAGES - hostile})", f"{HOSTILE} ({hostile})"]
    classes.select_option("1")
    wait_for_total(page, f"{hostile} images")
    assert page.url.endswith("?class=1")
    assert read_keys(page)[:3] == [row.key for row in site.rows if row.labels == (1,)][:3]
    page.get_by_label("Only without a box").check()
    wait_for_total(page, "1 image")
    assert read_keys(page) == [site.rows[40].key]
    page.reload()  # the address remembers
    wait_for_total(page, "1 image")
    classes.select_option("0")
    wait_for_total(page, "1 image")
    page.locator(f'[title="{site.rows[2].key}"]').wait_for()
    assert page.locator(".tile .tally").inner_text() == "no boxes of cat"


def test_worst_come_first_with_their_reasons(page: Page, site: Site):
    page.get_by_label("Order").select_option("worst")
    page.locator(".tile .doubts").first.wait_for()
    expected = find_suspicious(site.label_set)
    assert set(read_keys(page)[: len(expected)]) == {one.key for one in expected}
    reasons = page.locator(".tile .doubts").all_inner_texts()
    assert any("no box for" in text for text in reasons)
    assert "; ".join(expected[0].reasons) == reasons[read_keys(page).index(expected[0].key)]


def test_only_what_is_near_the_view_is_in_the_document(page: Page):
    assert page.locator(".tile").count() < NUM_IMAGES / 2
    last = page.locator(f'.tile[aria-posinset="{NUM_IMAGES}"]')
    for _ in range(5):
        page.evaluate(
            "window.scrollTo(0, document.querySelector('.tiles').getBoundingClientRect().bottom + scrollY - 900)"
        )
        page.wait_for_timeout(200)
    last.wait_for()
    assert page.locator(".tile").count() < NUM_IMAGES / 2
    picture = last.locator(".thumb.shown img")
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") == SIZE_WH[0]


def test_tiles_are_reached_with_arrows(page: Page):
    page.locator(".tile-button").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    columns = page.evaluate("Number(document.activeElement.closest('li').dataset.place)") - 1
    assert columns > 1
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.closest('li').dataset.place") == "1"


def test_sliders_cut_the_sample_as_the_library_does(page: Page, site: Site):
    panel = page.get_by_role("region", name="Cut again")
    values = panel.get_by_role("slider").evaluate_all("sliders => sliders.map((slider) => Number(slider.value))")
    assert values == [*RECIPE.mining.thresholds, RECIPE.mining.nms_iou]  # as the set was cut
    set_slider(page, "Threshold 1", 0.65)
    set_slider(page, "NMS IoU", 0.3)
    mining = replace(RECIPE.mining, thresholds=(0.3, 0.4, 0.5, 0.65), nms_iou=0.3)
    found = recut(site.rows, mining)
    stored, now = read_comparison(page)
    assert stored == describe([row.boxes for row in site.rows[:NUM_RECUT]])
    assert now == describe(found[:NUM_RECUT])
    for tile in page.locator(".tile").all()[:6]:
        place = int(tile.get_attribute("data-place") or "")
        np.testing.assert_allclose(read_boxes(tile), found[place].boxes, atol=0.05)
    bins = panel.locator(".chart table tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].slice(-2).map((cell) => Number(cell.textContent)))"
    )
    counts = [min(len(boxes), 8) for boxes in found[:NUM_RECUT]]
    assert [one[0] for one in bins] == [counts.count(number) for number in range(9)]
    panel.get_by_role("button", name="Back to the stored boxes").click()
    first = page.locator('.tile[data-place="0"]')
    page.locator(".comparison").wait_for(state="hidden")
    page.wait_for_timeout(200)
    np.testing.assert_allclose(read_boxes(first), site.rows[0].boxes.boxes, atol=0.05)


def test_what_is_in_view_is_cut_though_it_is_not_of_the_sample(page: Page, site: Site):
    set_slider(page, "Threshold 4", 0.8)
    read_comparison(page)
    page.get_by_label("Only without a box").check()
    wait_for_total(page, "2 images")
    [expected] = recut([site.rows[40]], replace(RECIPE.mining, thresholds=(0.2, 0.3, 0.4, 0.8)))
    tile = page.locator(".tile", has=page.locator(f'[title="{site.rows[40].key}"]'))
    tile.locator(".line").nth(len(expected) - 1).wait_for(state="attached")
    np.testing.assert_allclose(read_boxes(tile), expected.boxes, atol=0.05)


def test_an_image_is_looked_at_large_with_the_keyboard(page: Page, site: Site):
    page.locator(".tile-button").first.press("Enter")
    dialog = page.get_by_role("dialog", name=site.rows[0].key)
    dialog.wait_for()
    assert dialog.get_by_text(f"1 of {NUM_IMAGES}").is_visible()
    np.testing.assert_allclose(read_boxes(dialog), site.rows[0].boxes.boxes, atol=0.05)
    rows = dialog.locator(".box-list tbody tr")
    scores = [f"{score:.2f}" for score in site.rows[0].boxes.scores]
    assert rows.evaluate_all("rows => rows.map((row) => row.cells[2].textContent)") == scores
    rows.first.hover()
    assert dialog.locator(".tag").inner_text().startswith("cat · τ 0.")
    canvas = dialog.locator("canvas")
    page.wait_for_timeout(500)
    painted = (
        "heat => heat.getContext('2d').getImageData(0, 0, heat.width, heat.height).data.some((value) => value > 200)"
    )
    assert canvas.evaluate(painted)
    set_slider(page, "Opacity", 20)
    assert canvas.evaluate("element => getComputedStyle(element).opacity") == "0.2"
    page.keyboard.press("ArrowRight")  # of the slider, which has the focus
    assert dialog.get_by_text(f"1 of {NUM_IMAGES}").is_visible()
    dialog.get_by_role("button", name="Next image").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("dialog", name=site.rows[1].key).wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.wait_for_function("key => document.activeElement.title === key", arg=site.rows[1].key)


def test_the_whole_set_is_cut_again_so(page: Page, site: Site):
    set_slider(page, "Threshold 2", 0.45)
    set_slider(page, "NMS IoU", 0.5)
    panel = page.get_by_role("region", name="Cut again")
    assert panel.get_by_label("Goes to").input_value() == str(site.place.data / "labels-recut")
    panel.get_by_label("Goes to").fill(str(site.place.data / "other"))
    panel.get_by_role("button", name="Re-cut the whole set so").click()
    link = panel.get_by_role("link", name="See how it goes")
    link.wait_for()
    spec = site.get_spec((link.get_attribute("href") or "").rpartition("/")[2])
    expected = {"kind": "recut", "label_set": str(site.place.data / "labels"), "out": str(site.place.data / "other")}
    assert spec.items() >= {**expected, "thresholds": [0.2, 0.45, 0.4, 0.5], "nms_iou": 0.5}.items()


def test_exports_and_pre_training_start_from_here(browser: Browser, site: Site):
    with open_page(browser, site.url, expected=REFUSED) as page:
        form = page.get_by_role("region", name="Export")
        form.get_by_label("YOLO").check()
        assert form.get_by_label("Goes to").input_value() == str(site.place.data / "labels-yolo")
        form.get_by_label("With the images").uncheck()
        form.get_by_role("button", name="Export").click()
        link = form.get_by_role("link", name="See how it goes")
        link.wait_for()
        spec = site.get_spec((link.get_attribute("href") or "").rpartition("/")[2])
        assert (spec["kind"], spec["format"], spec["images"]) == ("export", "yolo", "none")
        assert spec["label_set"] == str(site.place.data / "labels")
        form.get_by_label("Goes to").fill("/etc")
        form.get_by_role("button", name="Export").click()
        form.get_by_role("group", name="Problem").wait_for()
        href = page.get_by_role("link", name="Pre-train a detector from it").get_attribute("href") or ""
        assert httpx.URL(href).params.multi_items() == [("kind", "pretrain"), ("label_set", f"job:{site.job}")]


def test_pre_training_starts_from_the_classifier_that_drew_the_maps(browser: Browser, site: Site):
    place = str(site.place.data / "classifier")
    mined = site.client.post("/v1/jobs", json=site.place.make_mine("drawn", classifier=place)).json()["id"]
    recut = {"kind": "recut", "label_set": {"job": mined}, "out": str(site.place.data / "cut-again")}
    cut = site.client.post("/v1/jobs", json=recut).json()["id"]
    with browser.new_page() as page:
        answer = site.client.get(f"/v1/jobs/{cut}").json()
        page.route(f"**/v1/jobs/{site.job}", lambda route: route.fulfill(json=answer))
        page.goto(site.url)
        page.locator("a[href*='kind=pretrain'][href*='classifier=']").wait_for()
        href = page.get_by_role("link", name="Pre-train a detector from it").get_attribute("href") or ""
        assert httpx.URL(href).params["classifier"] == place


def test_names_and_keys_are_text(page: Page, site: Site):
    page.locator('.tile[data-place="3"] .tile-button').click()
    assert page.get_by_role("dialog").get_by_role("heading", name=site.rows[3].key).is_visible()
    assert HOSTILE in page.get_by_role("dialog").inner_text()  # its first choice has that name
    assert page.title() == "labels · label set · DAP"
    assert page.locator("img[src=x]").count() == 0


def test_a_job_without_a_label_set_says_so(browser: Browser, site: Site):
    job = submit(site.client, site.place, "none-yet")
    for missing in (job, "20260101T000000-mine-00000000"):
        with open_page(browser, site.url.replace(site.job, missing), expected=REFUSED) as page:
            page.get_by_role("heading", name="No label set").wait_for()
            assert page.get_by_role("link", name="See the job").get_attribute("href") == f"/jobs/{missing}"


def test_a_set_without_images_or_maps_is_shown(browser: Browser, site: Site):
    make_set(site.place.data / "empty", [], store_cams=False)
    job = submit(site.client, site.place, "empty")
    with open_page(browser, site.url.replace(site.job, job)) as page:
        page.get_by_role("heading", name="No such image").wait_for()
        assert page.get_by_role("region", name="Cut again").count() == 0


def test_what_goes_wrong_is_told_and_tried_again(browser: Browser, site: Site):
    with open_page(browser, "about:blank", expected=REFUSED) as page:
        page.route("**/label-set", lambda route: route.abort())
        page.goto(site.url)
        page.get_by_role("heading", name="No answer from the service").wait_for()
        page.unroute("**/label-set")
        page.route("**/label-set/images?*", lambda route: route.fulfill(status=500, body="no"))
        page.get_by_role("button", name="Try again").click()
        page.locator(".gallery .problem-card").wait_for()
        assert page.locator(".gallery .vacant").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(browser: Browser, site: Site, scheme: str):
    with open_page(browser, site.url, viewport={"width": 390, "height": 844}, color_scheme=scheme) as page:
        page.locator(".tile").first.wait_for()
        assert has_no_sideways_scroll(page)
        page.locator(".tile-button").first.click()
        page.get_by_role("dialog").wait_for()
        assert has_no_sideways_scroll(page)
        ground = page.evaluate("getComputedStyle(document.querySelector('dialog')).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(28, 30, 33)"}[scheme]


def test_all_label_sets_are_listed(browser: Browser, site: Site):
    with open_page(browser, site.url.rpartition("/")[0]) as page:
        row = page.get_by_role("row").filter(has_text=str(site.place.data / "labels")).last
        row.wait_for()
        assert row.get_by_role("link").get_attribute("href") == f"/label-sets/{site.job}"
        assert "Mine boxes" in row.inner_text()
        assert "aligned" in row.inner_text()
        page.set_viewport_size({"width": 390, "height": 844})
        assert has_no_sideways_scroll(page)


def test_a_list_without_label_sets_leads_on(browser: Browser, tmp_path: Path):
    with make_job_place(tmp_path).serve() as client, open_page(browser, f"{client.base_url}/label-sets") as page:
        page.get_by_role("heading", name="No label sets yet").wait_for()
        assert page.get_by_role("link", name="Mine boxes").get_attribute("href") == "/jobs/new?kind=mine"
