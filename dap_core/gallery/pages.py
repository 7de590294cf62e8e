"""The pages of cards: a spread of the set, chosen images, or those to look at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from dap_core.evaluation.triage import find_suspicious
from dap_core.gallery.cards import list_thresholds, make_card
from dap_core.gallery.frame import render_page
from dap_core.gallery.pictures import compute_picture_bytes
from dap_core.gallery.selection import describe_spread, find_positions, read_rows, spread_positions
from dap_core.label_sets import LabelSet

_NO_REASONS: Mapping[int, Sequence[str]] = MappingProxyType({})


def render_gallery(label_set: LabelSet, *, num_images: int = 60, keys: Sequence[str] | None = None) -> str:
    """An HTML page of images with their boxes and heat maps.

    It shows `num_images` images evenly spread over the set in stored order, or those called `keys`, in that
    order. The page holds all it needs and a few MB at most: pictures get smaller when there are many. An
    image that is gone, a label without a box and a set without maps are said so on the page. Equal label
    sets give equal pages.

    Raises ValueError when `num_images` is below 1, InputError for an unknown key.
    """
    if keys is not None:
        return _render_cards(label_set, find_positions(label_set, keys), f"{len(keys)} chosen images")
    positions = spread_positions(label_set.manifest.counts.num_ok, num_images)
    return _render_cards(label_set, positions, describe_spread(label_set, positions))


def render_worst(label_set: LabelSet, *, num_images: int = 60) -> str:
    """The page of `render_gallery` with at most `num_images` images to look at first, worst first, and why.

    Raises ValueError when `num_images` is below 1.
    """
    if num_images < 1:
        raise ValueError(f"num_images must be at least 1, got {num_images}")
    found = find_suspicious(label_set, limit=num_images)
    positions = find_positions(label_set, [item.key for item in found])
    reasons = {position: item.reasons for position, item in zip(positions, found, strict=True)}
    shown = f"{len(found)} to look at first, worst first" if found else "No image stands out"
    return _render_cards(label_set, positions, shown, reasons)


def _render_cards(
    label_set: LabelSet, positions: Sequence[int], shown: str, reasons: Mapping[int, Sequence[str]] = _NO_REASONS
) -> str:
    """The page with the cards of `positions`, in that order; one image is in memory at a time."""
    picture_bytes = compute_picture_bytes(2 * len(positions))  # photograph and heat map
    cards = {
        position: make_card(label_set, row, picture_bytes, reasons.get(position, ()))
        for position, row in read_rows(label_set, positions)
    }
    return render_page(
        "gallery.html",
        label_set,
        list_thresholds(label_set),
        subtitle=shown,
        cards=[cards[position] for position in positions],
        has_maps=label_set.manifest.settings.store_cams,
    )
