"""Gallery and sweep pages: self-contained, safe, of bounded size, and true to the label set."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dap_core.errors import InputError
from dap_core.gallery import render_gallery, render_sweep, render_worst
from dap_core.images import decode_image
from dap_core.label_sets import Failure, LabelSet, open_label_set
from dap_core.mining import mine_boxes
from dap_core.types import ClassList
from tests.builders import (
    encode_image,
    make_boxes,
    make_cam,
    make_smooth_map,
    make_smooth_pixels,
)
from tests.mining_builders import make_mined_set
from tests.page_builders import RECIPE, SIZE_WH, Page, make_row, make_set, read_rectangles, sort_boxes


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> LabelSet:
    """A label set that the real labeler made of painted images, in three shards."""
    return make_mined_set(tmp_path_factory.mktemp("mined"))


def render_all(label_set: LabelSet) -> dict[str, str]:
    """Every kind of page of one set."""
    return {
        "gallery": render_gallery(label_set),
        "worst": render_worst(label_set),
        "thresholds": render_sweep(label_set, "thresholds"),
        "nms": render_sweep(label_set, "nms"),
    }


def test_pages_load_nothing_from_anywhere(mined: LabelSet) -> None:
    for html in render_all(mined).values():
        page = Page(html)
        for _, attributes in page.elements:
            assert not {"src", "srcset", "style-src", "action"} & attributes.keys()
            assert attributes.get("href", "#").startswith(("#", "data:image/jpeg;base64,"))
            assert not [name for name in attributes if name.startswith("on")]
        assert not page.find("script")
        assert not re.search(r"https?:|url\(|@import|//[a-z]", re.sub(r'"data:[^"]*"', "", html))


def test_pages_forbid_everything_but_their_own_pictures_and_style(mined: LabelSet) -> None:
    for html in render_all(mined).values():
        [policy] = Page(html).find("meta", **{"http-equiv": "Content-Security-Policy"})
        assert policy["content"].startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")


def test_pages_are_balanced_and_ids_are_unique_and_resolved(mined: LabelSet) -> None:
    for html in render_all(mined).values():
        page = Page(html)
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        for use in page.find("use"):
            assert use["href"].removeprefix("#") in ids


def test_pages_name_the_set_and_every_picture_in_words(mined: LabelSet) -> None:
    engine = f"toy on {mined.manifest.settings.engine} {mined.manifest.settings.precision}"
    for html in render_all(mined).values():
        page = Page(html)
        assert re.search(r"<title>.+ · labels</title>", html)
        assert page.find("html", lang="en")
        assert all(picture.get("aria-label") for picture in page.find("svg", role="img"))
        assert len(page.find("svg")) == len(page.find("svg", role="img"))
        for value in ("6 labelled", "small", "64, 96 px, mirrored", engine):
            assert value in page.text


def test_equal_sets_give_equal_pages(mined: LabelSet) -> None:
    assert render_all(mined) == render_all(open_label_set(mined.store))


def test_boxes_are_drawn_where_the_row_has_them(mined: LabelSet) -> None:
    page = Page(render_gallery(mined))
    rows = list(mined.rows())
    expected = np.concatenate([sort_boxes(row.boxes) for row in rows])
    assert np.abs(np.array(read_rectangles(page)) - expected).max() < 0.011
    views = [svg["viewbox"] for svg in page.find("svg")][::2]
    assert views == [f"0 0 {row.size_wh[0]} {row.size_wh[1]}" for row in rows]


def test_boxes_carry_the_colour_of_their_threshold(tmp_path: Path) -> None:
    boxes = make_boxes([(0, 0, 80, 80), (10, 10, 60, 60), (20, 20, 40, 40)])
    boxes = replace(boxes, thresholds=np.array([0.2, 0.5, 0.3], np.float32))
    page = Page(render_gallery(make_set(tmp_path / "labels", [make_row(boxes=boxes)])))
    assert [rect["class"] for rect in page.find("rect")] == ["t0", "t3", "t1"]
    assert len(page.find("input", type="checkbox")) == len(RECIPE.mining.thresholds) + 1


def test_a_photograph_and_its_heat_map_are_shown(tmp_path: Path) -> None:
    row = make_row(image=encode_image(make_smooth_pixels(640, 480)), size_wh=(640, 480))
    row = replace(row, cams=(make_cam(make_smooth_map(), size_wh=(640, 480)),))
    photo, heat = Page(render_gallery(make_set(tmp_path / "labels", [row]))).find("image")
    for picture in (photo, heat):
        decoded = decode_image(base64.b64decode(picture["href"].partition(",")[2]))
        assert decoded.size_wh == (320, 240)
        assert (picture["width"], picture["height"]) == ("640", "480")
    assert photo["href"] != heat["href"]


def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    script, key = "<img src=x onerror=alert(1)>", "a\"b'<c>&amp;.jpg"
    classes = ClassList.from_pairs([("x0", script), ("x1", "</title></style><script>alert(2)</script>")])
    rows = [make_row(key=key, labels=(0, 1), top1=1), make_row(1, key="b</li>.jpg", top1=1)]
    failures = [Failure("<b>c</b>.jpg", "not-an-image", "<script>alert(3)</script>")]
    label_set = make_set(tmp_path / "<i>labels", rows, failures=failures, classes=classes)
    for kind, html in render_all(label_set).items():
        page = Page(html)
        assert not {"img", "script", "b", "c", "i"} & {tag for tag, _ in page.elements}
        wanted = (script, classes[1].name, "<b>c</b>.jpg", "<script>alert(3)</script>", "<i>labels")
        for text in wanted if kind != "worst" else wanted[2:]:
            assert text in page.text
        assert key in page.text or kind == "worst"


def test_several_labels_are_numbered_on_the_image(tmp_path: Path) -> None:
    page = Page(render_gallery(make_set(tmp_path / "labels", [make_row(labels=(1, 0))])))
    assert re.search(r"1 class 1 75\.0% 2 class 0 37\.5%", page.text)
    assert "heat map of class 1" in page.text
    assert len(page.find("text")) == len(page.find("rect")) > 1
    assert not Page(render_gallery(make_set(tmp_path / "one", [make_row()]))).find("text")


def test_the_classifiers_first_choice_is_named_when_it_differs(tmp_path: Path) -> None:
    rows = [make_row(0), make_row(1, top1=1, top1_score=0.5)]
    text = Page(render_gallery(make_set(tmp_path / "labels", rows))).text
    assert text.count("first choice") == 1
    assert "first choice: class 1 50.0%" in text


@pytest.mark.parametrize(
    ("values", "reason"), [(0.0, "its map is flat"), (np.nan, "its map holds NaN or infinity")], ids=["flat", "nan"]
)
def test_an_image_without_boxes_says_why(tmp_path: Path, values: float, reason: str) -> None:
    cams = (make_cam(np.full((9, 12), values, np.float32), size_wh=SIZE_WH),)
    mined = mine_boxes(cams, SIZE_WH, RECIPE.mining)
    row = make_row(cams=cams, boxes=mined.boxes, no_box_reasons=mined.no_box_reasons)
    label_set = make_set(tmp_path / "labels", [row])
    text = Page(render_gallery(label_set)).text
    assert f"no box for class 0: {reason}" in text
    assert f"no heat map: {reason}" in text
    assert "no boxes on 120 \N{MULTIPLICATION SIGN} 90 px" in text
    assert f"no boxes; no box for class 0: {reason}" in Page(render_sweep(label_set, "nms")).text


def test_a_set_without_maps_has_a_gallery_and_no_sweep(tmp_path: Path) -> None:
    label_set = make_set(tmp_path / "labels", [make_row(cams=())], store_cams=False)
    page = Page(render_gallery(label_set))
    assert "mined without storing maps" in page.text
    assert len(page.find("image")) == 1
    assert not page.find("input", id="show-heat")
    with pytest.raises(InputError, match="without storing maps"):
        render_sweep(label_set, "thresholds")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"image": None}, "x0/image 000.png: No such file"),
        ({"image": None, "key": "../secret.png"}, "a key is a relative path"),
        ({"image": b"\xff\xd8\xff"}, "the image is not there: the file ends inside"),
    ],
    ids=["gone", "outside the source", "damaged"],
)
def test_an_image_that_is_not_there_is_a_card_that_says_so(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    label_set = make_set(tmp_path / "labels", [make_row(**changes), make_row(1)])
    for html, pictures in ((render_gallery(label_set), 3), (render_sweep(label_set, "nms"), 1)):
        page = Page(html)
        assert "the image is not there" in page.text
        assert problem in page.text
        assert len(page.find("image")) == pictures
        assert len(page.find("rect")) >= sum(len(row.boxes) for row in label_set.rows())


def test_failures_are_counted_and_listed(tmp_path: Path) -> None:
    failures = [Failure("bad.jpg", "empty-image", "the file is empty"), Failure("b.jpg", "no-label", "x" * 10_000)]
    text = Page(render_gallery(make_set(tmp_path / "labels", [make_row()], failures=failures))).text
    assert re.search(r"2 images failed: 1 . empty-image , 1 . no-label", text)
    assert "bad.jpg empty-image: the file is empty" in text
    assert "x" * 299 + "…" in text
    assert "x" * 300 not in text


def test_a_long_list_of_failures_is_cut(tmp_path: Path) -> None:
    failures = [Failure(f"{index}.jpg", "empty-image", "the file is empty") for index in range(250)]
    page = Page(render_gallery(make_set(tmp_path / "labels", [make_row()], failures=failures)))
    assert "250 images failed" in page.text
    assert "and 50 more" in page.text
    assert page.text.count("the file is empty") == 200


def test_a_partial_set_says_what_is_missing(mined: LabelSet) -> None:
    [segment] = mined.manifest.segments
    partial = replace(mined, manifest=replace(mined.manifest, segments=(replace(segment, shards=segment.shards[:1]),)))
    page = Page(render_gallery(partial))
    assert "partial: 4 images are still to be labelled" in page.text
    assert len(page.find("li", class_="card")) == 2


def test_a_set_without_any_image_is_an_empty_page(tmp_path: Path) -> None:
    label_set = make_set(tmp_path / "labels", [], failures=[Failure("a.jpg", "empty-image", "the file is empty")])
    for html in render_all(label_set).values():
        assert "There is no image to show" in Page(html).text


def test_images_are_spread_evenly_over_all_shards(tmp_path: Path) -> None:
    label_set = make_set(tmp_path / "labels", [make_row(index) for index in range(10)], max_rows=3)
    text = Page(render_gallery(label_set, num_images=3)).text
    assert re.findall(r"image (\d{3})", text) == ["001", "005", "008"]
    assert "3 of 10 images, evenly spread" in text


def test_chosen_keys_are_shown_in_their_order(mined: LabelSet) -> None:
    keys = [row.key for row in mined.rows()]
    chosen = [keys[4], keys[0]]
    text = Page(render_gallery(mined, keys=chosen)).text
    assert "2 chosen images" in text
    assert re.findall(r"x\d/image \d{3}\.png", text) == chosen
    with pytest.raises(InputError, match="no labelled image 'nowhere"):
        render_gallery(mined, keys=["nowhere.png"])


def test_the_worst_images_come_first_with_their_reasons(tmp_path: Path) -> None:
    everything = make_boxes([(0, 0, 120, 90)])
    rows = [
        make_row(0),
        make_row(1, boxes=everything),
        make_row(2, boxes=make_boxes([]), no_box_reasons=((0, "flat-map"),)),
    ]
    label_set = make_set(tmp_path / "labels", rows)
    text = Page(render_worst(label_set)).text
    assert re.findall(r"image (\d{3})", text) == ["002", "001"]
    assert "2 to look at first, worst first" in text
    assert "a box covers 100% of the image" in text
    assert re.findall(r"image (\d{3})", Page(render_worst(label_set, num_images=1)).text) == ["002"]


def test_unknown_sweeps_and_counts_are_refused(mined: LabelSet) -> None:
    with pytest.raises(ValueError, match="one of thresholds, nms"):
        render_sweep(mined, "sideways")  # type: ignore[arg-type]
    for render in (render_gallery, render_worst):
        with pytest.raises(ValueError, match="at least 1, got 0"):
            render(mined, num_images=0)


def test_the_gallery_needs_no_torch() -> None:
    code = "import sys, dap_core.gallery; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
