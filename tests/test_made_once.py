"""Values that are made once: whoever asks meanwhile waits, and what weighs too much goes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.jobs.made_once import MadeOnce
from tests.waiting import wait_until


def test_all_who_ask_at_once_get_the_value_that_one_has_made():
    kept: MadeOnce[str, int] = MadeOnce(2)
    is_open, made = threading.Event(), list[int]()

    def make() -> int:
        made.append(1)
        assert is_open.wait(20)
        return 7

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(kept.get, "a", make) for _ in range(8)]
        wait_until(lambda: made)
        is_open.set()
        assert {one.result() for one in asked} == {7}
    assert len(made) == 1


def test_an_error_is_not_kept():
    kept: MadeOnce[str, int] = MadeOnce(2)

    def fail() -> int:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            kept.get("a", fail)
    assert kept.get("a", lambda: 1) == 1


def test_what_was_asked_for_longest_ago_goes_when_all_weigh_too_much():
    kept: MadeOnce[str, bytes] = MadeOnce(10, len)
    made: list[str] = []

    def get(name: str, size: int) -> None:
        def make() -> bytes:
            made.append(name)
            return bytes(size)

        assert kept.get(name, make) == bytes(size)

    for name, size in (("a", 4), ("b", 4), ("a", 4), ("c", 4), ("a", 4), ("b", 4), ("huge", 11), ("huge", 11)):
        get(name, size)
    assert made == ["a", "b", "c", "b", "huge", "huge"]
