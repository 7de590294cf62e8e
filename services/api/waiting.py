"""Waiting for what becomes of images, and no longer than the caller does.

Exceptions know the frames they passed, and tasks their exceptions. A frame that keeps a name for either makes a cycle,
and the bytes of a request would stay for long after its answer; so these functions let go of such names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeAlias, TypeVar

from starlette.requests import ClientDisconnect, Request

from dap_core.types import FailedImage
from services.api.problems import as_problem
from services.labeling import Labeling, LabelRequest, NotReadyError, Reply

T = TypeVar("T")
Outcome: TypeAlias = Reply | Exception
"""What became of an image; an exception is a defect that it met."""


async def gather_outcomes(labeling: Labeling, requests: list[LabelRequest]) -> list[Outcome]:
    """What becomes of each, in order; as soon as one finds no labeler, that is said of all that are not done."""
    tasks = [asyncio.ensure_future(labeling.label(request)) for request in requests]
    waiting = set(tasks)
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if any(isinstance(task.exception(), NotReadyError) for task in done):
                break
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.wait(tasks)
    return [_read_outcome(task) for task in tasks]


def _read_outcome(task: asyncio.Future[Reply]) -> Outcome:
    if task.cancelled():
        return NotReadyError()
    error = task.exception()
    if error is None:
        return task.result()
    assert isinstance(error, Exception)
    return error


async def until_disconnect(request: Request, work: Awaitable[T]) -> T:
    """What `work` gives; it is cancelled, and ClientDisconnect raised, when the client goes away."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        watching.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
        del working, watching


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def raise_failure(outcomes: list[Outcome]) -> None:
    """Raises what an image sent alone ended with."""
    outcome = outcomes[0]
    if isinstance(outcome, FailedImage):
        raise as_problem(outcome.error)
    if isinstance(outcome, Exception):
        outcomes.clear()
        try:
            raise outcome
        finally:
            del outcome
