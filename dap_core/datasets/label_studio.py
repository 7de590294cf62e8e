"""Label Studio: a JSON list of tasks, boxes in percent of the image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dap_core.datasets.annotation_builder import AnnotationsBuilder, DrawnBox
from dap_core.datasets.annotations import Annotations
from dap_core.datasets.fields import (
    FieldError,
    expect_list,
    expect_mapping,
    get_field,
    parse_number,
    parse_size,
    read_json,
)
from dap_core.datasets.image_roots import find_image_root
from dap_core.datasets.source import is_image_name
from dap_core.errors import SourceError

_OWN_FOLDER = "images/"


def read_label_studio(path: Path, *, image_root: Path | None = None) -> Annotations:
    """The rectangles of a Label Studio JSON file (the full one, not JSON-MIN).

    Of each task the first annotation that is not cancelled counts or, when nobody drew any, the first prediction.
    A key is the path in the image's URL, for local files what follows `?d=`; when all of them are in `images/`,
    keys are relative to that. Raises SourceError when the file is no JSON list or no task can be read.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list):
        raise SourceError(f"{path} is no Label Studio file: expected a list of tasks, got {type(tasks).__name__}")
    builder = AnnotationsBuilder(path)
    found: list[tuple[str, str, list[dict[str, Any]]]] = []
    for number, task in enumerate(tasks, 1):
        where = f"task {number}"
        with builder.reporting(where):
            found.append((where, _read_key(task), _find_results(task, where, builder)))
    prefix = _OWN_FOLDER if found and all(key.startswith(_OWN_FOLDER) for _, key, _ in found) else ""
    for where, key, results in found:
        sizes = [size for item in results if (size := _read_size(item)) is not None]
        boxes = list(_read_results(results, where, builder))
        builder.add_image(key.removeprefix(prefix), sizes[0] if sizes else None, boxes, where)
    keys = [key.removeprefix(prefix) for _, key, _ in found]
    return builder.build(image_root=image_root or find_image_root([path.parent / "images", path.parent], keys))


def url_to_key(url: str) -> str:
    """The path of an image within its storage: what `?d=` gives for local files, else the path of the URL."""
    if "://" not in url and not url.startswith("/data/"):
        return url.lstrip("/")
    parts = urlsplit(url)
    local = parse_qs(parts.query).get("d")
    return local[0].lstrip("/") if local else unquote(parts.path).lstrip("/")


def _read_key(task: object) -> str:
    data = expect_mapping(get_field(task, "data"), "data")
    texts = [value for value in data.values() if isinstance(value, str)]
    url = data.get("image") or next((text for text in texts if is_image_name(url_to_key(text))), None)
    if not isinstance(url, str):
        raise FieldError("data names no image")
    return url_to_key(url)


def _find_results(task: dict[str, Any], where: str, builder: AnnotationsBuilder) -> list[dict[str, Any]]:
    drawn = [
        item
        for item in expect_list(task.get("annotations") or [], "annotations")
        if not expect_mapping(item, "an annotation").get("was_cancelled")
    ]
    given = drawn or expect_list(task.get("predictions") or [], "predictions")
    if len(given) > 1:
        builder.report(where, f"{len(given)} {'annotations' if drawn else 'predictions'}; the first counts")
    if not given:
        return []
    results = expect_list(expect_mapping(given[0], "a prediction").get("result") or [], "result")
    return [expect_mapping(item, "a result") for item in results]


def _read_size(item: dict[str, Any]) -> tuple[int, int] | None:
    try:
        return parse_size(item.get("original_width"), item.get("original_height"))
    except FieldError:
        return None


def _read_results(results: list[dict[str, Any]], where: str, builder: AnnotationsBuilder) -> Iterator[DrawnBox]:
    for number, item in enumerate(results, 1):
        place = f"{where} result {number}"
        with builder.reporting(place):
            if item.get("type") != "rectanglelabels":
                raise FieldError(f"is {item.get('type')!r:.40}, not rectanglelabels; left out")
            yield from _read_rectangle(item, place)


def _read_rectangle(item: dict[str, Any], where: str) -> Iterator[DrawnBox]:
    value = expect_mapping(get_field(item, "value"), "value")
    if parse_number(value.get("rotation") or 0, "rotation") != 0:
        raise FieldError("the rectangle is rotated; left out")
    size = parse_size(get_field(item, "original_width"), get_field(item, "original_height"))
    x, y, width, height = (parse_number(get_field(value, name), name) for name in ("x", "y", "width", "height"))
    across, down = size[0] / 100, size[1] / 100
    corners = (x * across, y * down, (x + width) * across, (y + height) * down)
    names = expect_list(get_field(value, "rectanglelabels"), "rectanglelabels")
    if not names:
        raise FieldError("rectanglelabels is empty")
    score = parse_number(item["score"], "score") if item.get("score") is not None else None
    for name in names:
        yield DrawnBox(where, corners, str(name), score)
