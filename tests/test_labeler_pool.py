"""The lanes that many callers share: what waits together, what fails alone, what is dropped."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dap_core.images import ImageLimits
from dap_core.labeler import PseudoLabeler
from dap_core.recipes import ALIGNED, OFFICIAL, PAPER, Recipe, customise_recipe
from dap_core.types import FailedImage, LabeledImage
from services.labeling import LabelerPool, LabelRequest
from tests.api_builders import EMPTY
from tests.builders import encode_image, make_scene, make_toy_classifier
from tests.waiting import wait_until

PNG = encode_image(make_scene((200, 150), (40, 30, 110, 90)))


def ask(name: str, recipe: Recipe = ALIGNED) -> LabelRequest:
    return LabelRequest(name.encode(), ("auto",), recipe)


class GatedLabeler:
    """Takes windows of four; each waits until it is let go, and one that holds `bad` raises."""

    def __init__(self, num_lanes: int = 1) -> None:
        self.engine, self.num_lanes, self.limits = SimpleNamespace(window=4), num_lanes, ImageLimits()
        self.recipe: Recipe | None = None
        self.windows: list[tuple[str, list[str]]] = []
        self.go = threading.Event()

    def with_recipe(self, recipe: Recipe) -> GatedLabeler:
        other = copy.copy(self)
        other.recipe = recipe
        return other

    def label_window(self, items: Sequence[tuple[bytes, tuple[str, ...]]]) -> list[LabeledImage]:
        assert self.recipe is not None
        names = [data.decode() for data, _ in items]
        self.windows.append((self.recipe.name, names))
        assert self.go.wait(30)
        if "bad" in names:
            raise RuntimeError("a defect")
        return [EMPTY] * len(items)


@pytest.fixture
def gated() -> GatedLabeler:
    return GatedLabeler()


@pytest.fixture
def pool(gated: GatedLabeler) -> Iterator[LabelerPool]:
    pool = LabelerPool(gated)  # type: ignore[arg-type]
    yield pool
    gated.go.set()
    pool.close()


def test_what_waits_shares_windows_by_recipe_in_the_order_it_came(pool: LabelerPool, gated: GatedLabeler):
    replies = [pool.submit(ask("first"))]
    wait_until(lambda: gated.windows)
    recipes = (PAPER, ALIGNED, PAPER, OFFICIAL, PAPER, PAPER, PAPER, ALIGNED)
    replies += [pool.submit(ask(str(number), recipe)) for number, recipe in enumerate(recipes)]
    gated.go.set()
    assert [reply.result(30) for reply in replies] == [EMPTY] * 9
    assert gated.windows == [
        ("aligned", ["first"]),
        ("paper", ["0", "2", "4", "5"]),
        ("aligned", ["1", "7"]),
        ("official", ["3"]),
        ("paper", ["6"]),
    ]


def test_an_image_that_raises_does_not_fail_its_window(pool: LabelerPool, gated: GatedLabeler):
    first = pool.submit(ask("first"))
    wait_until(lambda: gated.windows)
    replies = {name: pool.submit(ask(name)) for name in ("a", "bad", "c")}
    gated.go.set()
    assert (first.result(30), replies["a"].result(30), replies["c"].result(30)) == (EMPTY, EMPTY, EMPTY)
    assert isinstance(replies["bad"].exception(30), RuntimeError)
    assert pool.is_healthy
    assert pool.submit(ask("next")).result(30) is EMPTY


def test_what_was_cancelled_in_the_queue_is_never_run(pool: LabelerPool, gated: GatedLabeler):
    first = pool.submit(ask("first"))
    wait_until(lambda: gated.windows)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pool.label(ask("too late"))

    asyncio.run(give_up())
    assert not first.cancel()  # it is running
    last = pool.submit(ask("last"))
    gated.go.set()
    assert (first.result(30), last.result(30)) == (EMPTY, EMPTY)
    assert [names for _, names in gated.windows] == [["first"], ["last"]]


def test_closing_ends_the_lanes_after_what_runs_and_drops_the_rest():
    gated = GatedLabeler(num_lanes=2)
    pool = LabelerPool(gated)  # type: ignore[arg-type]
    running = [pool.submit(ask("a"))]
    wait_until(lambda: len(gated.windows) == 1)
    running.append(pool.submit(ask("b")))
    wait_until(lambda: len(gated.windows) == 2)
    waiting = [pool.submit(ask(str(number))) for number in range(5)]
    closing = threading.Thread(target=pool.close)
    closing.start()
    wait_until(lambda: all(reply.cancelled() for reply in waiting))
    assert closing.is_alive()
    gated.go.set()
    closing.join(30)
    assert [reply.result(30) for reply in running] == [EMPTY, EMPTY]
    assert not pool.is_healthy
    assert len(gated.windows) == 2
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(ask("after"))


@pytest.fixture(scope="module")
def real() -> Iterator[LabelerPool]:
    pool = LabelerPool(PseudoLabeler(make_toy_classifier()))
    yield pool
    pool.close()


def test_many_callers_get_what_the_labeler_gives_alone(real: LabelerPool):
    recipes = [customise_recipe(ALIGNED, short_sides=(side,)) for side in (64, 96)]
    expected = [real.labeler.with_recipe(recipe)([PNG], ["red"])[0] for recipe in recipes]
    replies: list[Any] = [real.submit(LabelRequest(PNG, ("red",), recipe)) for recipe in recipes * 8]
    for reply, wanted in zip(replies, expected * 8, strict=True):
        np.testing.assert_array_equal(reply.result(30).boxes.boxes, wanted.boxes.boxes)
        assert reply.result(30).label_scores == wanted.label_scores


@pytest.mark.parametrize(
    ("scale", "longest", "is_taken"), [(64, 320, True), (576, 320, True), (1024, 96, True), (1024, 104, False)]
)
def test_long_thin_images_are_refused_where_large_scales_would_blow_them_up(
    real: LabelerPool, scale: int, longest: int, is_taken: bool
):
    """16 pixels high; with 1,024 rows a pass may have 6.3 times as many columns, with 576 twenty times."""
    recipe = customise_recipe(ALIGNED, short_sides=(scale,))
    data = encode_image(np.zeros((16, longest, 3), np.uint8))
    reply = real.submit(LabelRequest(data, ("red",), recipe)).result(60)
    assert isinstance(reply, LabeledImage if is_taken else FailedImage)
    assert not isinstance(reply, FailedImage) or reply.error.error_type == "aspect-ratio-too-large"
