"""The three-step pipeline: order, windows, bounded look-ahead, errors, and letting go."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dap_core.pipelines import run_pipeline


def double_all(items: list[int]) -> list[int]:
    return [2 * item for item in items]


@given(st.lists(st.integers(), max_size=40), st.integers(1, 9), st.integers(1, 4))
def test_every_item_comes_once_in_order(items: list[int], window: int, num_threads: int):
    results = run_pipeline(
        items, window=window, prepare=lambda x: x + 1, run=double_all, finish=str, num_threads=num_threads
    )
    assert list(results) == [str(2 * (item + 1)) for item in items]


def test_windows_begin_with_the_stream_and_the_last_may_be_short():
    seen: list[list[int]] = []

    def run(items: list[int]) -> list[int]:
        seen.append(items)
        return items

    list(run_pipeline(range(7), window=3, prepare=int, run=run, finish=int))
    assert seen == [[0, 1, 2], [3, 4, 5], [6]]


def test_order_holds_when_early_items_take_longest():
    def prepare(item: int) -> int:
        time.sleep(0.02 if item % 4 == 0 else 0)
        return item

    assert list(run_pipeline(range(16), window=4, prepare=prepare, run=double_all, finish=int)) == list(range(0, 32, 2))


def test_no_more_than_three_windows_are_in_hand():
    """One being yielded, one run, one ahead: what is taken of the stream stays within that of what was given."""
    taken = 0

    def stream() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken += 1
            yield item

    for given_out, _ in enumerate(run_pipeline(stream(), window=5, prepare=int, run=double_all, finish=int)):
        assert taken <= given_out + 4 * 5
    assert taken == 100


def test_the_next_window_is_prepared_while_one_runs():
    """Running the first window waits for an item of the second: only overlap lets it end."""
    prepared = {item: threading.Event() for item in range(4)}

    def prepare(item: int) -> int:
        prepared[item].set()
        return item

    def run(items: list[int]) -> list[int]:
        if items[0] == 0:
            assert prepared[3].wait(10)
        return items

    assert list(run_pipeline(range(4), window=2, prepare=prepare, run=run, finish=int)) == [0, 1, 2, 3]


@pytest.mark.parametrize("step", ["stream", "prepare", "run", "finish"])
def test_an_error_of_any_step_ends_the_stream_and_the_threads(step: str):
    before = threading.active_count()

    def fail_at(name: str, item: int) -> int:
        if name == step and item == 7:
            raise RuntimeError(name)
        return item

    results = run_pipeline(
        (fail_at("stream", item) for item in range(20)),
        window=3,
        prepare=lambda item: fail_at("prepare", item),
        run=lambda items: [fail_at("run", item) for item in items],
        finish=lambda item: fail_at("finish", item),
    )
    with pytest.raises(RuntimeError, match=step):
        list(results)
    assert threading.active_count() == before


def test_a_stream_that_is_left_early_lets_its_threads_go():
    before = threading.active_count()
    results = run_pipeline(range(1000), window=4, prepare=int, run=double_all, finish=int)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
