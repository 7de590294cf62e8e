"""Decoding ahead in processes: in order, and a process that dies is an error with its name."""

from __future__ import annotations

import os
import signal

import pytest

from dap_core.errors import ImageError, WorkerCrashError
from dap_core.training.decoding import decode_ahead


def double(number: int) -> int:
    return 2 * number


def die_at_three(number: int) -> int:
    if number == 3:
        os._exit(1)
    return number


def refuse(number: int) -> int:
    raise RuntimeError(f"no {number}")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_is_decoded_comes_in_order(num_workers: int):
    assert list(decode_ahead(iter(range(20)), double, num_workers=num_workers)) == list(range(0, 40, 2))


def test_no_handler_of_ended_children_is_left_behind():
    before = signal.getsignal(signal.SIGCHLD)
    assert list(decode_ahead(range(2), double, num_workers=1)) == [0, 2]
    assert signal.getsignal(signal.SIGCHLD) == before


def test_a_process_that_dies_is_an_error():
    with pytest.raises(WorkerCrashError, match="a process that decodes images died"):
        list(decode_ahead(range(20), die_at_three, num_workers=1))


def spoil(number: int) -> int:
    raise ImageError("undecodable-image", f"image {number} is broken")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_image_that_cannot_be_decoded_is_named_as_it_is(num_workers: int):
    with pytest.raises(ImageError, match=r"^image 0 is broken$") as info:
        list(decode_ahead(range(3), spoil, num_workers=num_workers))
    assert info.value.error_type == "undecodable-image"


@pytest.mark.parametrize("num_workers", [0, 1])
def test_other_errors_stay_what_they_are(num_workers: int):
    with pytest.raises(RuntimeError, match="no 0"):
        list(decode_ahead(range(2), refuse, num_workers=num_workers))
