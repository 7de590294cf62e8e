"""The page of a study: true to the scores, safe whatever things are called, and usable on a phone."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dap_core.evaluation.paper_results import PAPER_RESULTS, PaperResult
from dap_core.evaluation.study_scores import Setting
from dap_core.gallery.study_examples import judge_boxes, make_example_card
from dap_core.gallery.study_pages import Cost, Example, ExampleBox, LabelSetFacts, StudyPage, show_seconds
from dap_core.gallery.study_plots import draw_differences, draw_learning_curves, draw_shots
from dap_core.gallery.study_tables import list_paper_rows, list_result_rows
from tests.builders import encode_image, make_smooth_pixels
from tests.page_builders import Page
from tests.study_builders import compare_scores, make_scores, make_study_page
from tests.web_builders import open_browser

ARMS = {"CLS": [0.10, 0.12, 0.11], "DAP": [0.30, 0.33, 0.30]}
PAIR = [("DAP", "CLS")]
EVIL = """</style><script>alert(1)</script><img src=x onerror=alert(2)>"'{{ 7 * 7 }}$\\frac{"""
LONG = "an_unbroken_name_" * 12
CAT = ExampleBox((10, 10, 60, 50), "cat")


def make_example(**changes: object) -> Example:
    """A picture of 96 x 64 px with a drawn cat that DAP found and CLS did not."""
    found = {"CLS": [], "DAP": [ExampleBox((12, 10, 60, 50), "cat", 0.9), ExampleBox((0, 0, 9, 9), "dog", 0.4)]}
    image = encode_image(make_smooth_pixels(96, 64))
    return replace(Example(key="a/cat.png", image=image, truth=[CAT], found=found), **changes)


def make_full_page(name: str = "plain", arms: tuple[str, str] = ("CLS", "DAP")) -> StudyPage:
    """Every section, and `name` in every place that a user fills."""
    scores = [
        score
        for shots in (5, 20)
        for score in make_scores(dict(zip(arms, ARMS.values(), strict=True)), shots=shots, data=f"VOC {name}")
    ]
    box = ExampleBox((1, 1, 30, 30), f"class {name}", 0.5)
    return replace(
        make_study_page(scores, arms, {arms[1]: arms[0]}),
        title=f"title {name}",
        question=f"question {name}",
        source=f"source {name}",
        findings=[f"finding {name}"],
        paper=[PaperResult(f"table {name}", f"setting {name}", f"arm {name}", f"figure {name}", 12.5)],
        label_sets=[
            LabelSetFacts(name=name, images=1200, boxes=3853, boxes_per_image=3.211, mean_width=253.4, mean_height=208)
        ],
        examples=[
            make_example(
                key=f"key {name}", note=f"note {name}", truth=[replace(box, score=None)], found={arms[1]: [box]}
            ),
            make_example(key="broken", image=b"none"),
        ],
        costs=[Cost(what=f"step {name}", seconds=7260, images=1200, count=2)],
        settings=[(f"name {name}", f"value {name}")],
        leaks=[f"leak {name}"],
        caveats=[f"caveat {name}"],
    )


@cache
def render_full() -> str:
    """The page with every section."""
    return make_full_page().render()


def render_tables(page: StudyPage) -> str:
    """A page without its plots, which take long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudyPage, "_draw_plots", lambda _: [])
        return page.render()


def read_text(page: StudyPage) -> str:
    """All text of a page."""
    return Page(render_tables(page)).text


def read_headings(html: str) -> list[str]:
    """Titles of the sections, in their order."""
    return re.findall(r"<h2[^>]*>([^<]*?) ?<", html)


def test_sections_stand_in_their_order() -> None:
    assert read_headings(render_full()) == [
        "What was found",
        "Results",
        "Plots",
        "Examples",
        "Pseudo boxes",
        "Before you rely on this",
        "What it took",
        "Settings",
    ]


def test_sections_without_data_are_left_out() -> None:
    bare = make_study_page([]).render()
    assert read_headings(bare) == []
    assert not Page(bare).find("a")
    html = make_study_page(make_scores(ARMS)).render()
    assert read_headings(html) == ["What was found", "Results", "Plots"]
    assert "The paper" not in Page(html).text


def test_links_lead_to_sections_that_are_there() -> None:
    page = Page(render_full())
    targets = [link["href"] for link in page.find("a")]
    assert len(targets) == 9
    assert {target.removeprefix("#") for target in targets} <= {found["id"] for found in page.find("section")}


def test_results_show_what_the_scores_hold() -> None:
    """Means 11 and 31, deviations 1 and 1.73; the difference 20 with 2.48 on either side."""
    page = make_study_page(make_scores(ARMS))
    [row] = list_result_rows(page.results, page.comparisons, page.arms, PAIR)
    assert row.name == "VOC07, 5 images per class"
    assert [(cell.mean, cell.spread, cell.steps) for cell in row.cells if cell] == [
        ("11.0", "1.0", "400 steps"),
        ("31.0", "1.7", "400 steps"),
    ]
    [difference] = row.differences
    assert difference
    assert (difference.mean, difference.interval, difference.verdict) == ("+20.0", "+17.5 to +22.5", "ahead")
    text = read_text(page)
    assert "11.0 ± 1.0 400 steps 31.0 ± 1.7 400 steps +20.0 +17.5 to +22.5 ahead" in text
    assert "3 seeds" in text


def test_every_seed_and_the_choice_of_steps_are_listed() -> None:
    html = render_tables(make_study_page(make_scores(ARMS)))
    text = Page(html).text
    assert "seed 0 seed 1 seed 2" in text
    assert "DAP 400 30.0 33.0 30.0" in text
    assert "100 400 VOC07, 5 images per class CLS 5.5 11.0 VOC07, 5 images per class DAP 15.5 31.0" in text
    assert re.findall(r'class="chosen">([^<]*)', html) == ["11.0", "31.0"]


def test_what_was_not_shown_is_said() -> None:
    page = make_study_page(make_scores({"CLS": [0.1, 0.2], "DAP": [0.2, 0.1]}))
    assert "not shown: the interval holds 0" in read_text(page)
    one = make_study_page(make_scores({"CLS": [0.1], "DAP": [0.2]}))
    assert "+10.0 one seed, no interval" in read_text(one)
    assert "±" not in re.sub("mean over the seeds ±", "", read_text(one))


def test_seeds_that_only_one_arm_has_are_not_hidden() -> None:
    page = make_study_page(make_scores({"CLS": [0.1, 0.2, 0.3], "DAP": [0.5, 0.7]}))
    [row] = list_result_rows(page.results, page.comparisons, page.arms, PAIR)
    assert row.differences[0]
    assert row.differences[0].verdict.endswith("2 seeds in common")


def test_an_arm_without_results_has_an_empty_cell() -> None:
    page = make_study_page(make_scores({"CLS": [0.1, 0.2]}))
    [row] = list_result_rows(page.results, page.comparisons, page.arms, PAIR)
    assert row.cells[1] is None
    assert row.differences == (None,)


def test_the_papers_numbers_stand_in_the_same_columns() -> None:
    rows = list_paper_rows(PAPER_RESULTS["freeze"], ["cls", "dap"], [("dap", "cls")])
    assert [(row.name, row.table, row.figure) for row in rows][1] == ("VOC07, IN-1M", "table 3", "VOC AP50")
    assert [(row.cells, row.differences, row.others) for row in rows] == [
        (("36.73", "37.25"), ("+0.52",), "DAP frozen 36.89"),
        (("77.36", "79.93"), ("+2.57",), "DAP frozen 78.86"),
        (("83.77", "84.49"), ("+0.72",), "DAP frozen 83.91"),
    ]
    [bounds] = list_paper_rows(PAPER_RESULTS["convergence"], ["CLS", "DAP"], PAIR)
    assert (bounds.cells, bounds.differences) == (("<\u00a020", "\u2265\u00a065"), ("",))
    [absent] = list_paper_rows(PAPER_RESULTS["det-pretraining"][-1:], ["CLS", "DAP"], PAIR)
    assert (absent.cells, absent.others) == (("", ""), "DET 84.01")
    assert list_paper_rows(PAPER_RESULTS["full"], ["CLS", "DAP"], PAIR)[7].cells == ("75.00", "77.57")


@pytest.mark.parametrize("name", [EVIL, LONG], ids=["evil", "long"])
def test_names_are_text_wherever_they_stand(name: str) -> None:
    html = make_full_page(name, (f"CLS {name}", f"DAP {name}")).render()
    page, plain = Page(html), Page(render_full())
    tags = {tag for tag, _ in page.elements}
    assert tags == {tag for tag, _ in plain.elements}
    assert not page.find("script")
    for _, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on")]
    for what in ("title", "question", "source", "finding", "table", "setting", "arm", "figure", "class", "key", "note"):
        assert f"{what} {name}" in page.text, what
    for what in ("step", "name", "value", "leak", "caveat"):
        assert f"{what} {name}" in page.text, what


def test_the_page_loads_nothing() -> None:
    html = render_full()
    for _, attributes in Page(html).elements:
        for name in ("src", "srcset", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/jpeg;base64,", "data:image/svg+xml;base64,"))
    assert not re.search(r"https?:|url\(|@import", re.sub(r'"data:[^"]*"', "", html))


def test_warnings_are_not_hidden() -> None:
    html = render_full()
    header = html[: html.index("<main>")]
    assert "1 image that occurs twice is left out" in Page(html).text
    assert 'href="#caveats"' in header
    for what in ("leak plain", "caveat plain"):
        before = html[: html.index(what)]
        assert before.count("<details") == before.count("</details>")


def test_regions_that_scroll_are_reached_by_keyboard() -> None:
    html = render_full()
    regions = [found for found in Page(html).find("div", tabindex="0") if found.get("class", "").startswith("scroll")]
    assert len(regions) == 5
    assert all(found["role"] == "region" and found["aria-label"] for found in regions)
    assert html.count('class="scroll') == len(regions)


@pytest.mark.parametrize(
    ("found", "judged"),
    [
        pytest.param([(CAT.xyxy, "cat")], [True], id="the same"),
        pytest.param([((10, 10, 60, 30), "cat")], [True], id="IoU of exactly a half"),
        pytest.param([((10, 10, 60, 29), "cat")], [False], id="IoU below a half"),
        pytest.param([(CAT.xyxy, "dog")], [False], id="another class"),
        pytest.param([(CAT.xyxy, "cat"), (CAT.xyxy, "cat")], [True, False], id="found twice"),
        pytest.param([((70, 10, 90, 30), "cat")], [None], id="on an ignored one"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_right_and_wrong_are_as_in_voc(found: list[tuple[tuple[int, int, int, int], str]], judged: list[bool]) -> None:
    truth = [CAT, ExampleBox((70, 10, 90, 30), "cat", ignored=True)]
    assert judge_boxes(truth, [ExampleBox(box, name, 0.5) for box, name in found]) == judged
    assert judge_boxes([], [ExampleBox(box, name, 0.5) for box, name in found]) == [False] * len(found)


def test_an_example_shows_each_arm_on_the_same_image() -> None:
    card = make_example_card(make_example(), ["CLS", "DAP", "another"], 100_000)
    cls, dap = card.views
    assert card.size_wh == (96, 64)
    assert (cls.arm, cls.summary, cls.lines) == ("CLS", "0 of 1 drawn box found, 0 wrong", ())
    assert (dap.arm, dap.summary) == ("DAP", "1 of 1 drawn box found, 1 wrong")
    assert [(line.mark, line.name, line.score, line.is_right) for line in dap.lines] == [
        ("1", "cat", "0.90", True),
        ("2", "dog", "0.40", False),
    ]
    assert [(box.x, box.y, box.width, box.height, box.level) for box in dap.boxes] == [
        ("10.00", "10.00", "50.00", "40.00", 0),
        ("0.00", "0.00", "9.00", "9.00", 2),
        ("12.00", "10.00", "48.00", "40.00", 1),
    ]


def test_pictures_are_matched_to_their_examples_past_a_broken_one() -> None:
    examples = [make_example(key="a", image=b"none"), make_example(key="b"), make_example(key="c")]
    html = render_tables(make_study_page([], examples=examples))
    assert re.findall(r'<use href="#(p\d+)"', html) == ["p0", "p0", "p1", "p1"]
    assert re.findall(r'<image id="(p\d+)"', html) == ["p0", "p1"]
    assert "the image cannot be shown" in html


def test_of_many_detections_the_first_are_listed() -> None:
    found = [ExampleBox((0, 0, 9, 9), "dog", 0.9 - place / 100) for place in range(12)]
    [view] = make_example_card(make_example(found={"DAP": found}), ["DAP"], 100_000).views
    assert (len(view.lines), view.num_more, len(view.boxes)) == (8, 4, 13)


def test_plots_are_drawn_where_there_is_something_to_draw() -> None:
    one = make_study_page(make_scores(ARMS))
    several = make_full_page()
    assert draw_shots(one.results, one.arms, "ap") == []
    assert [panel.name for panel in draw_shots(several.results, several.arms, "ap")] == ["VOC plain"]
    curves = draw_learning_curves(several.scores, several.results, several.arms, "ap")
    assert [panel.name for panel in curves] == ["VOC plain, 5 images per class", "VOC plain, 20 images per class"]
    once = [score for score in one.scores if score.num_steps == 400]
    assert draw_learning_curves(once, one.results, one.arms, "ap") == []
    assert [panel.name for panel in draw_differences(one.comparisons, one.arms, "ap")] == ["VOC07"]
    assert draw_differences([], one.arms, "ap") == []
    for panel in curves:
        assert ElementTree.fromstring(panel.svg).tag.endswith("svg")


def test_plots_are_the_same_file_for_the_same_numbers() -> None:
    page = make_full_page()
    assert draw_shots(page.results, page.arms, "ap") == draw_shots(page.results, page.arms, "ap")


def test_odd_scores_are_drawn_too() -> None:
    """All shots beside few, an arm that lacks a setting, no difference at all, one seed, 0 steps."""
    scores = [*make_scores({"CLS": [0.0], "DAP": [0.0]}, shots=None), *make_scores({"_CLS": [0.0]}, shots=1)]
    scores = [*scores, *(replace(score, num_steps=0) for score in scores if score.num_steps == 100)]
    html = make_study_page(scores, ("_CLS", "CLS", "DAP", "$")).render()
    assert "VOC07, 1 image per class" in html
    assert html.count("<img ") == 4
    assert compare_scores(scores)[0].arm.setting == Setting("VOC07", None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.25 s"),
        (59.4, "59.4 s"),
        (59.6, "1 min 0 s"),
        (119.7, "2 min"),
        (3599.9, "1 h"),
        (9e5, "250 h"),
    ],
)
def test_times_in_words(seconds: float, text: str) -> None:
    assert show_seconds(seconds) == text.replace(" 0 s", "") if seconds else "0 s"


@pytest.fixture(scope="module")
def browser_sizes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """By colour scheme: width of a page of long names, plots shown, whether all are the dark ones, complaints."""
    file: Path = tmp_path_factory.mktemp("study") / "page.html"
    file.write_text(make_full_page(LONG, (f"CLS {LONG}", f"DAP {LONG}")).render(), "utf-8")
    sizes = {}
    with open_browser() as browser:
        for width, scheme in ((1280, "light"), (390, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            complaints: list[str] = []
            page.on("console", lambda message, said=complaints: said.append(message.text))
            page.goto(file.as_uri())
            found = page.evaluate(
                "[document.documentElement.scrollWidth, [...document.images].filter(one => one.naturalWidth).length,"
                " [...document.images].every(one => one.currentSrc === one.previousElementSibling.srcset)]"
            )
            sizes[scheme] = [*found, len(complaints)]
            page.close()
    return sizes


@pytest.mark.browser
def test_long_names_do_not_widen_the_page(browser_sizes: dict[str, list[object]]) -> None:
    assert (browser_sizes["light"][0], browser_sizes["dark"][0]) == (1280, 390)


@pytest.mark.browser
def test_plots_are_shown_in_the_colours_of_the_scheme(browser_sizes: dict[str, list[object]]) -> None:
    assert browser_sizes["light"][1:] == [4, False, 0]
    assert browser_sizes["dark"][1:] == [4, True, 0]
