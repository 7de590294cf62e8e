"""The preview of a new job of kind mine: a few images with boxes and heat maps, in a real browser."""

from __future__ import annotations

from pathlib import Path

from dap_core.labeler import PseudoLabeler
from services.labeling import LabelerPool
from tests.api_builders import run_app
from tests.builders import encode_image, make_scene, make_toy_classifier
from tests.job_api_builders import make_job_place
from tests.web_builders import HOSTILE, open_browser, open_page


def test_a_few_images_are_shown_as_the_job_would_label_them(tmp_path: Path):
    place = make_job_place(tmp_path)
    folder = place.data / "photos"
    folder.mkdir(parents=True)
    (folder / "good.png").write_bytes(encode_image(make_scene((120, 90), (20, 10, 70, 50))))
    (folder / HOSTILE).write_bytes(b"no image")
    pool = LabelerPool(PseudoLabeler(make_toy_classifier()))
    with open_browser() as browser, run_app(pool, place.root, jobs=place.make_desk()) as client:
        address = f"{client.base_url}/jobs/new?kind=mine&source={folder}&labels=0&out={place.data}/labels"
        with open_page(browser, address, expected=["422"]) as page:
            part = page.get_by_role("region", name="Preview")
            part.get_by_role("button", name="Label a few images").click()
            part.locator(".sample").first.wait_for()
            answer = client.post("/v1/jobs:preview", json=place.make_mine(labels=["0"])).json()
            [good] = [item for item in answer["items"] if item["key"] == "good.png"]
            sample = part.locator(".sample", has_text="good.png")
            assert sample.locator(".box").count() == len(good["boxes"]) > 0
            assert sample.get_by_role("img", name=f"good.png: {len(good['boxes'])} box").is_visible()
            assert HOSTILE in part.inner_text()
            assert part.locator(".sample .fault").count() == 1
            part.get_by_label("Heat maps").uncheck()
            assert sample.locator("canvas").is_hidden()
            page.locator("summary", has_text="Boxes").click()
            page.get_by_label("Thresholds").fill("7")
            assert "has changed since" in part.inner_text()
            part.get_by_role("button", name="Label them again").click()
            page.locator("[data-field=thresholds]").get_by_text("less than 1").wait_for()
    pool.close()
