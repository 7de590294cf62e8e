"""The two clients: the same methods, one blocking, one for asyncio. They wait, send, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx

from dap_client import calls
from dap_client.addresses import make_http_options
from dap_client.answers import FoundClasses, Limits, Model
from dap_client.exchanges import Exchange
from dap_client.images import ImageLike, Images
from dap_client.jobs import Connection, Jobs
from dap_client.parameters import AUTO, BoxOptions, Labels, RecipeName
from dap_client.results import Result
from dap_client.retrying import RetryPolicy

T = TypeVar("T")
DEFAULT_URL = "http://127.0.0.1:8000"


class Client:
    """A client of the DAP service at `url`, to be shared by threads and closed after use.

    `api_key` is sent with every request. An answer is awaited for `timeout_s`. Connections that fail or break and the
    answers 429, 503 and 504 are tried again up to `max_retries` times, after waits that grow, never before the time
    in `Retry-After`, and in all no longer than `timeout_s`; then the error is raised. Proxies of the environment
    are used, but not on the way to this machine.

    >>> from dap_client import Client
    >>> with Client() as client:  # doctest: +SKIP
    ...     [cat] = client.label("cat.jpg", "Egyptian cat")
    ...     print(cat.xyxy)
    """

    def __init__(
        self, url: str = DEFAULT_URL, *, api_key: str | None = None, timeout_s: float = 60, max_retries: int = 5
    ) -> None:
        """Connects to nothing yet. Raises ValueError for an address, a key or a number that cannot be."""
        self._policy = RetryPolicy(max_retries=max_retries, budget_s=timeout_s)
        self._http = httpx.Client(**make_http_options(url, api_key, timeout_s))
        self.jobs = Jobs(Connection(self._http, self._policy, self._run))
        """Jobs that run on the service: `client.jobs.submit(spec).wait(progress=True)`."""

    def label(
        self,
        images: Images,
        labels: Labels = AUTO,
        *,
        recipe: RecipeName | None = None,
        thresholds: Sequence[float] | None = None,
        scales: Sequence[int] | None = None,
        nms_iou: float | None = None,
        cams: bool = False,
    ) -> list[Result]:
        """The pseudo boxes of one or several images, one result for each, in order.

        An image is a path, the bytes of a file, a PIL image or an RGB array uint8 [H, W, 3]. `labels` are a label
        (wnid, class name or index) or several, for every image; or as many lists as images; `"auto"` is the
        classifier's first choice. What is None is left to the service. With `cams` results have class activation maps.
        More images than a request holds are sent in several, one after the other; files are read in their turn.

        A bad image, or an unknown label of one image, gives a result with its `problem`. Raises ProblemAnswer for a
        request that is refused, UnknownLabel for one that holds for all images, NoAnswerError without an answer,
        OSError for a file that cannot be read, ValueError or TypeError for arguments that cannot be sent.
        """
        options = BoxOptions(recipe, thresholds, scales, nms_iou, cams)
        return self._run(calls.label_images(images, labels, options, self._policy))

    def overlay(
        self,
        image: ImageLike,
        labels: Labels = AUTO,
        *,
        recipe: RecipeName | None = None,
        thresholds: Sequence[float] | None = None,
        scales: Sequence[int] | None = None,
        nms_iou: float | None = None,
    ) -> bytes:
        """A PNG of an image with its heat map and boxes, drawn by the service.

        Arguments and errors as for `label`, but a bad image raises its ImageProblem.
        """
        options = BoxOptions(recipe, thresholds, scales, nms_iou)
        return self._run(calls.draw_overlay(image, labels, options, self._policy))

    def classes(self, search: str = "", limit: int = 20) -> FoundClasses:
        """The first `limit` classes whose name or wnid holds `search`, those that begin with it first."""
        return self._run(calls.find_classes(search, limit, self._policy))

    def models(self) -> list[Model]:
        """The models of the service, with their recipes."""
        return self._run(calls.list_models(self._policy))

    def limits(self) -> Limits:
        """What the service takes: bytes, pixels, images, seconds."""
        return self._run(calls.get_limits(self._policy))

    def ready(self) -> bool:
        """Whether the service can label now; False also when nothing answers. Asks once."""
        return self._run(calls.ask_ready())

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._http.base_url)!r})"

    def _run(self, exchange: Exchange[T]) -> T:
        """What a call returns, its steps carried out."""
        try:
            step = next(exchange)
            while True:
                time.sleep(step.wait_s)
                try:
                    answer: httpx.Response | httpx.RequestError = self._http.send(step.request.build(self._http))
                except httpx.RequestError as error:
                    answer = error
                step = exchange.send(answer)
        except StopIteration as done:
            value: T = done.value
            return value


class AsyncClient:
    """As `Client`, with the same methods to be awaited; for asyncio, and for many calls at the same time.

    Files are read, and pixels encoded, where it is called: neither waits for anything else.
    """

    def __init__(
        self, url: str = DEFAULT_URL, *, api_key: str | None = None, timeout_s: float = 60, max_retries: int = 5
    ) -> None:
        """As `Client`."""
        self._policy = RetryPolicy(max_retries=max_retries, budget_s=timeout_s)
        self._http = httpx.AsyncClient(**make_http_options(url, api_key, timeout_s))

    async def label(
        self,
        images: Images,
        labels: Labels = AUTO,
        *,
        recipe: RecipeName | None = None,
        thresholds: Sequence[float] | None = None,
        scales: Sequence[int] | None = None,
        nms_iou: float | None = None,
        cams: bool = False,
    ) -> list[Result]:
        """As `Client.label`."""
        options = BoxOptions(recipe, thresholds, scales, nms_iou, cams)
        return await self._run(calls.label_images(images, labels, options, self._policy))

    async def overlay(
        self,
        image: ImageLike,
        labels: Labels = AUTO,
        *,
        recipe: RecipeName | None = None,
        thresholds: Sequence[float] | None = None,
        scales: Sequence[int] | None = None,
        nms_iou: float | None = None,
    ) -> bytes:
        """As `Client.overlay`."""
        options = BoxOptions(recipe, thresholds, scales, nms_iou)
        return await self._run(calls.draw_overlay(image, labels, options, self._policy))

    async def classes(self, search: str = "", limit: int = 20) -> FoundClasses:
        """As `Client.classes`."""
        return await self._run(calls.find_classes(search, limit, self._policy))

    async def models(self) -> list[Model]:
        """As `Client.models`."""
        return await self._run(calls.list_models(self._policy))

    async def limits(self) -> Limits:
        """As `Client.limits`."""
        return await self._run(calls.get_limits(self._policy))

    async def ready(self) -> bool:
        """As `Client.ready`."""
        return await self._run(calls.ask_ready())

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._http.base_url)!r})"

    async def _run(self, exchange: Exchange[T]) -> T:
        """As `Client._run`."""
        try:
            step = next(exchange)
            while True:
                await asyncio.sleep(step.wait_s)
                try:
                    answer: httpx.Response | httpx.RequestError = await self._http.send(step.request.build(self._http))
                except httpx.RequestError as error:
                    answer = error
                step = exchange.send(answer)
        except StopIteration as done:
            value: T = done.value
            return value
