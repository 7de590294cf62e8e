"""The HTTP application of this process on a real socket, labelings that wait, raw requests, and what a problem has."""

from __future__ import annotations

import asyncio
import http.client
import re
import select
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import uvicorn

from dap_core.stores import LocalStore
from dap_core.types import LabeledImage, MinedBoxes, PseudoBoxes
from services.api.app import SERVER_OPTIONS, create_app
from services.api.problems import CONTENT_TYPE, PROBLEMS
from services.detecting import Detecting
from services.jobs.job_desk import JobDesk
from services.keys import KeyRing
from services.labeling import Labeling, LabelRequest, ModelInfo, Reply
from services.settings import ServiceSettings
from tests.builders import encode_image, make_classes, make_smooth_pixels
from tests.waiting import wait_until

TIMEOUT_S = 30.0
MODEL = ModelInfo("scripted", "0" * 64, make_classes(3), "none", "float32")
EMPTY = LabeledImage(
    size_wh=(48, 32),
    exif_orientation=1,
    labels=(0,),
    label_scores=(0.5,),
    top1=0,
    top1_score=0.5,
    mined=MinedBoxes(PseudoBoxes.empty()),
    cams=(),
)


@contextmanager
def run_app(
    labeling: Labeling,
    store: Path,
    *,
    jobs: JobDesk | None = None,
    detecting: Detecting | None = None,
    **settings: Any,
) -> Iterator[httpx.Client]:
    """A client of the application, served by uvicorn in a thread."""
    given = ServiceSettings(store=str(store), **settings)
    app = create_app(labeling, keys=KeyRing(LocalStore(store)), settings=given, jobs=jobs, detecting=detecting)
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", **SERVER_OPTIONS))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_S) as client:
            yield client
    finally:
        app.state.stop_waiting()
        server.should_exit = True
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


class ScriptedLabeling:
    """Answers every image with what `reply` gives, which may wait or raise, and remembers what came of it."""

    def __init__(self, reply: Callable[[LabelRequest], Awaitable[Reply]] | None = None) -> None:
        self.opened = threading.Event()
        self.seen: list[LabelRequest] = []
        self.num_cancelled = 0
        self.not_ready: Exception | None = None
        self._reply = reply or self.wait

    async def wait(self, _request: LabelRequest) -> Reply:
        """An image without boxes, as soon as `opened` is set."""
        while not self.opened.is_set():
            await asyncio.sleep(0.005)
        return EMPTY

    async def label(self, request: LabelRequest) -> Reply:
        self.seen.append(request)
        try:
            return await self._reply(request)
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise

    async def describe(self) -> ModelInfo:
        if self.not_ready:
            raise self.not_ready
        return MODEL


def make_png(width: int = 48, height: int = 32) -> bytes:
    """A good image."""
    return encode_image(make_smooth_pixels(width, height))


def post_image(client: httpx.Client, data: bytes | None = None, **options: Any) -> httpx.Response:
    """`POST /v1/boxes` of one image as the body; `params` is the query."""
    headers = {"Content-Type": "image/png", **options.pop("headers", {})}
    return client.post("/v1/boxes", content=make_png() if data is None else data, headers=headers, **options)


def post_form(client: httpx.Client, images: Iterable[tuple[str, bytes]], params: str | None = None) -> httpx.Response:
    """`POST /v1/boxes` of named images; `params` is JSON."""
    data = {} if params is None else {"params": params}
    return client.post("/v1/boxes", files=[("images", image) for image in images], data=data)


def read_metric(client: httpx.Client, line: str) -> float:
    """The value of a line of `/metrics`, 0 where there is none."""
    found = re.search(rf"^{re.escape(line)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def assert_problem(answer: httpx.Response | None, status: int, slug: str) -> dict[str, Any]:
    """The problem, after checking what all of them have."""
    assert answer is not None, "the connection was reset"
    assert (answer.status_code, answer.json().get("type")) == (status, f"/problems/{slug}"), answer.text[:500]
    assert answer.headers["content-type"] == CONTENT_TYPE
    problem: dict[str, Any] = answer.json()
    kind = PROBLEMS[slug]
    assert (problem["status"], problem["title"], problem["retryable"]) == (kind.status, kind.title, kind.retryable)
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["instance"] == f"/v1/requests/{problem['request_id']}"
    assert str(problem.get("retry_after_s", "")) == answer.headers.get("retry-after", "")
    assert problem["detail"]
    assert len(problem["detail"]) < 1200  # that of an unknown type of problem lists all of them
    assert all(re.match("#/", error["pointer"]) and error["detail"] for error in problem.get("errors", ()))
    assert not re.search(r"Traceback|site-packages|\.py\b|0x[0-9a-f]{6}|/work|/home|/usr|/tmp", answer.text)
    return problem


@dataclass(frozen=True)
class RawAnswer:
    """What came over a socket, None if it was reset before, how much was sent, and whether the server closed it."""

    response: httpx.Response | None
    num_sent: int
    is_closed: bool


def exchange(url: str, pieces: Sequence[bytes] | Iterator[bytes], *, linger_s: float = 0.5) -> RawAnswer:
    """Sends pieces one by one until an answer comes, and reads it."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), TIMEOUT_S) as connection:
        num_sent = 0
        for piece in pieces:
            if select.select([connection], [], [], 0)[0]:
                break
            try:
                connection.sendall(piece)
            except OSError:  # the server does not want any more; its answer has come
                break
            num_sent += len(piece)
        with closing(http.client.HTTPResponse(connection)) as answer:
            try:
                answer.begin()
                response = httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
            except ConnectionError:
                return RawAnswer(None, num_sent, is_closed=True)
        return RawAnswer(response, num_sent, _is_closed(connection, linger_s))


def _is_closed(connection: socket.socket, linger_s: float) -> bool:
    connection.settimeout(linger_s)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def make_head(url: str, *headers: str, path: str = "/v1/boxes") -> bytes:
    """The head of a POST request."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def decode_values(cam: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The map of an answer as it was stored."""
    import base64

    return np.frombuffer(base64.b64decode(cam["values"]), "<u2").reshape(cam["height"], cam["width"])
