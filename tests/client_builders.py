"""A server that answers as told, connection cuts included, a real one, and ways to call both clients alike."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from dap_client import AsyncClient, Client

from dap_core.stores import LocalStore
from services.keys import create_key
from tests.service_builders import run_service

BOTH_CLIENTS = ("sync", "async")


@dataclass(frozen=True)
class Reply:
    """One answer; after `cut_after` bytes of the body the connection is closed, None for all of it."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None


CUT = "cut"
"""Close the connection without an answer."""
SILENT = "silent"
"""Do not answer until the server ends."""


@dataclass(frozen=True)
class Seen:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def num_images(self) -> int:
        """The images of a multipart body."""
        return self.body.count(b'name="images"')

    @property
    def params(self) -> dict[str, Any]:
        """The part `params` of a multipart body."""
        _, _, rest = self.body.partition(b'name="params"')
        return json.loads(rest.partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0])


class ScriptedServer(ThreadingHTTPServer):
    """Gives its replies one after the other, the last one for ever; a function makes one of the request."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, replies: Sequence[Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = list(replies)
        self.seen: list[Seen] = []
        self.ending = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_reply(self, seen: Seen) -> Any:
        """What to answer to a request, which is noted."""
        with self.lock:
            self.seen.append(seen)
            reply = self.replies[0] if len(self.replies) == 1 else self.replies.pop(0)
        return reply(seen) if callable(reply) else reply


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = Seen(self.command, self.path, {key.lower(): value for key, value in self.headers.items()}, body)
        reply = self.server.next_reply(seen)
        self.close_connection = True
        if reply == CUT:
            return
        if reply == SILENT:
            self.server.ending.wait(30)
            return
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body[: reply.cut_after])

    do_POST = do_GET  # noqa: N815 - the base class calls it so

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serve_replies(*replies: Any) -> Iterator[ScriptedServer]:
    """A server that gives these replies, until the end of the block."""
    server = ScriptedServer(replies)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.ending.set()
        server.shutdown()
        thread.join()
        server.server_close()


def make_problem(slug: str, status: int, *, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    """The reply of a problem as the service writes it."""
    body = {"type": f"/problems/{slug}", "title": slug, "status": status, "detail": f"it is {slug}", **fields}
    kind = {"Content-Type": "application/problem+json", **(headers or {})}
    return Reply(status, json.dumps(body).encode(), kind)


def make_item(**fields: Any) -> dict[str, Any]:
    """An item of an answer: a cat with one box."""
    cat = {"index": 285, "wnid": "n02124075", "name": "Egyptian cat", "score": 0.9}
    return {
        "index": 0,
        "name": "x",
        "width": 40,
        "height": 30,
        "exif_orientation": 1,
        "labels": [cat],
        "top1": cat,
        "boxes": [{"xyxy": [1.0, 2.0, 30.5, 20.25], "label": 285, "score": 0.5, "threshold": 0.12}],
        "no_box_reasons": [],
        **fields,
    }


def make_answer(*items: dict[str, Any]) -> Reply:
    """The reply of `/v1/boxes`."""
    answer = {"request_id": "r1", "model": {"classifier": "lite0"}, "recipe": {"name": "aligned"}, "items": items}
    return Reply(200, json.dumps(answer).encode())


def answer_all(seen: Seen) -> Reply:
    """An item for each image of a request, as many pixels wide as its label says, or 40."""
    labels = seen.params["labels"]
    of_each = labels if isinstance(labels[0], list) else [[40]] * seen.num_images
    return make_answer(*(make_item(width=one[0]) for one in of_each))


def call(kind: str, url: str, method: str, *args: Any, client: dict[str, Any] | None = None, **kwargs: Any) -> Any:
    """What a method of the client of that kind gives."""
    if kind == "sync":
        with Client(url, **(client or {})) as one:
            return getattr(one, method)(*args, **kwargs)

    async def run() -> Any:
        async with AsyncClient(url, **(client or {})) as one:
            return await getattr(one, method)(*args, **kwargs)

    return asyncio.run(run())


def record_waits(monkeypatch: Any) -> list[float]:
    """The list that the waits of both clients go to, instead of being waited; without those of length 0."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.extend([seconds] if seconds else [])

    async def sleep_async(seconds: float) -> None:
        sleep(seconds)

    monkeypatch.setattr("dap_client.client.time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("dap_client.client.asyncio", SimpleNamespace(sleep=sleep_async))
    return waits


def make_response(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    """An answer without a server."""
    request = httpx.Request("POST", "http://127.0.0.1:8000/v1/boxes?labels=x")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=body, headers=named, request=request)


@dataclass(frozen=True)
class KeyedService:
    """A real service that wants a key; `foreign_key` is one for something else."""

    url: str
    key: str
    foreign_key: str

    def client(self) -> Client:
        """A client with the right key."""
        return Client(self.url, api_key=self.key)


@contextmanager
def run_keyed_service(folder: Path, *options: str) -> Iterator[KeyedService]:
    """`dap serve --no-ray` in a process of its own, with two keys in its store."""
    store = LocalStore(folder / "store")
    keys = [create_key(store, scope, [scope])[1] for scope in ("label", "train")]
    with run_service(folder, *options) as running:
        yield KeyedService(running.url, *keys)
