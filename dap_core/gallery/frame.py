"""What all pages share: the template machinery, colours, and the facts at the top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import PurePath

from jinja2 import Environment, PackageLoader, StrictUndefined

from dap_core.label_sets import Failure, LabelSet
from dap_core.recipes import PredictionRecipe, Recipe

MAX_FAILURES_LISTED = 200
_MAX_MESSAGE = 300
COLOURS = ("#0072b2", "#009e73", "#e69f00", "#d55e00", "#cc79a7", "#56b4e9")
"""Okabe and Ito's, which colour-blind people tell apart; each shows on photographs within a white line."""


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """One threshold of the legend and its colour."""

    threshold: str
    colour: str


@dataclass(frozen=True, slots=True)
class FailureList:
    """The images without a row: how many, by type, and the first of them."""

    num_failed: int
    by_type: tuple[tuple[str, int], ...]
    listed: tuple[Failure, ...]


def render_page(template: str, label_set: LabelSet, thresholds: Sequence[float], **values: object) -> str:
    """A template of the package filled with what every page says of its label set, and `values`."""
    predicted = isinstance(label_set.manifest.settings.recipe, PredictionRecipe)
    return fill_template(
        template,
        name=PurePath(label_set.store.uri).name or label_set.store.uri,
        facts=describe_label_set(label_set),
        num_incomplete=label_set.manifest.counts.num_incomplete,
        failures=list_failures(label_set.failures()),
        predicted=predicted,
        legend_title="Scores from" if predicted else "Boxes cut at τ\u00a0=\u00a0",
        level_name="from" if predicted else "τ",
        legend=[LegendEntry(f"{tau:g}", colour) for tau, colour in zip(sorted(thresholds), cycle(COLOURS))],
        **values,
    )


def fill_template(template: str, **values: object) -> str:
    """A template of the package filled with values; one that it needs and does not get is an error of jinja2."""
    return _make_environment().get_template(template).render(**values)


def describe_label_set(label_set: LabelSet) -> list[tuple[str, str]]:
    """Facts about a set as name and value: images, boxes, recipe, classifier, identity."""
    counts, settings = label_set.manifest.counts, label_set.manifest.settings
    images = [f"{counts.num_ok:,} labelled"]
    images += [f"{counts.num_failed:,} failed"] if counts.num_failed else []
    images += [f"{counts.num_incomplete:,} still to be labelled"] if counts.num_incomplete else []
    mean = f", {counts.num_boxes / counts.num_ok:.3f} per image" if counts.num_ok else ""
    return [
        ("Images", ", ".join(images)),
        ("Boxes", f"{counts.num_boxes:,}{mean}"),
        *_describe_recipe(settings.recipe),
        ("Network", f"{settings.classifier} on {settings.engine} {settings.precision}"),
        ("Manifest", label_set.sha256[:12]),
    ]


def _describe_recipe(recipe: Recipe | PredictionRecipe) -> list[tuple[str, str]]:
    if isinstance(recipe, PredictionRecipe):
        kept = f"from {recipe.score_threshold:g}"
        if recipe.keep_score is not None:
            kept = f"from {recipe.keep_score:g}, and the best of each image"
        sides = f"{recipe.short_side} px{', mirrored' if recipe.mirror else ''}"
        return [("Recipe", recipe.name), ("Scores", kept), ("Short side", sides)]
    mining, cam = recipe.mining, recipe.cam
    return [
        ("Recipe", recipe.name),
        ("Thresholds τ", ", ".join(f"{tau:g}" for tau in mining.thresholds)),
        ("NMS IoU", f"{mining.nms_iou:g}"),
        ("Short sides", f"{', '.join(map(str, cam.short_sides))} px{', mirrored' if cam.mirror else ''}"),
    ]


def list_failures(failures: Iterable[Failure]) -> FailureList:
    """Failed images as a page lists them."""
    listed: list[Failure] = []
    by_type: Counter[str] = Counter()
    for failure in failures:
        by_type[failure.error_type] += 1
        if len(listed) < MAX_FAILURES_LISTED:
            listed.append(Failure(failure.key, failure.error_type, _shorten(failure.message)))
    return FailureList(by_type.total(), tuple(by_type.most_common()), tuple(listed))


def _shorten(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 1] + "…"


@cache
def _make_environment() -> Environment:
    return Environment(
        loader=PackageLoader("dap_core", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
