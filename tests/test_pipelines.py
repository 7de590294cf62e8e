"""Lanes: order, windows, bounded look-ahead, errors, and letting go."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import cv2
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from dap_core.pipelines import run_lanes
from dap_core.threads import single_threaded_libraries, use_one_torch_thread


def double_all(items: list[int]) -> list[int]:
    return [2 * item for item in items]


@given(st.lists(st.integers(), max_size=40), st.integers(1, 9), st.integers(1, 4))
def test_every_item_comes_once_in_order(items: list[int], window: int, num_lanes: int):
    results = run_lanes(items, double_all, window=window, num_lanes=num_lanes)
    assert list(results) == [2 * item for item in items]


def test_windows_begin_with_the_stream_and_the_last_may_be_short():
    seen: list[list[int]] = []

    def note(items: list[int]) -> list[int]:
        seen.append(items)
        return items

    list(run_lanes(range(7), note, window=3, num_lanes=1))
    assert seen == [[0, 1, 2], [3, 4, 5], [6]]


def test_order_holds_when_early_items_take_longest():
    def work(items: list[int]) -> list[int]:
        time.sleep(0.02 if items[0] % 4 == 0 else 0)
        return double_all(items)

    assert list(run_lanes(range(16), work, window=1, num_lanes=4)) == list(range(0, 32, 2))


def test_no_more_than_two_windows_a_lane_are_in_hand():
    taken = 0

    def stream() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken += 1
            yield item

    for given_out, _ in enumerate(run_lanes(stream(), double_all, window=5, num_lanes=2)):
        assert taken <= given_out + 4 * 5 + 5
    assert taken == 100


def test_lanes_work_at_the_same_time():
    """The first window waits for the second: only two lanes let it end."""
    begun = {item: threading.Event() for item in range(2)}

    def work(items: list[int]) -> list[int]:
        begun[items[0]].set()
        assert begun[1 - items[0]].wait(10)
        return items

    assert list(run_lanes(range(2), work, window=1, num_lanes=2)) == [0, 1]


@pytest.mark.parametrize("step", ["stream", "work"])
def test_an_error_of_any_step_ends_the_stream_and_the_threads(step: str):
    before = threading.active_count()

    def fail_at(name: str, item: int) -> int:
        if name == step and item == 7:
            raise RuntimeError(name)
        return item

    results = run_lanes(
        (fail_at("stream", item) for item in range(20)),
        lambda items: [fail_at("work", item) for item in items],
        window=3,
        num_lanes=2,
    )
    with pytest.raises(RuntimeError, match=step):
        list(results)
    assert threading.active_count() == before


def test_a_stream_that_is_left_early_lets_its_threads_go():
    before = threading.active_count()
    results = run_lanes(range(1000), double_all, window=4, num_lanes=2)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_libraries_keep_to_one_thread_inside_and_have_theirs_back_outside():
    cv2.setNumThreads(3)
    outside = blas_threads()
    with single_threaded_libraries():
        with single_threaded_libraries():
            assert (cv2.getNumThreads(), blas_threads()) == (1, {1})
        assert (cv2.getNumThreads(), blas_threads()) == (1, {1})
    assert (cv2.getNumThreads(), blas_threads()) == (3, outside)


def test_threads_may_enter_and_leave_in_any_order():
    """As the lanes of a service do, after the main thread was inside before them."""
    with single_threaded_libraries():
        pass
    entered, leave = threading.Barrier(3), threading.Event()
    outside = blas_threads()

    def lane() -> None:
        with single_threaded_libraries():
            entered.wait(10)
            leave.wait(10)

    lanes = [threading.Thread(target=lane) for _ in range(2)]
    for one in lanes:
        one.start()
    entered.wait(10)
    assert (cv2.getNumThreads(), blas_threads()) == (1, {1})
    leave.set()
    for one in lanes:
        one.join()
    assert blas_threads() == outside


def test_torch_is_kept_to_one_thread_in_that_thread_only():
    before = torch.get_num_threads()
    inside: list[int] = []

    def work() -> None:
        use_one_torch_thread()
        inside.append(torch.get_num_threads())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (inside, torch.get_num_threads()) == ([1], before)
