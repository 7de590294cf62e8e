"""A proxy between client and server that answers some requests as bad networks and servers do."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from services.storage import S3Options, S3Store

_OF_A_CONNECTION = {"transfer-encoding", "connection"}
_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>as the test wants it</Message></Error>"
_FAULT_BODIES = {
    "500": _ERROR.format("InternalError").encode(),
    "503": _ERROR.format("SlowDown").encode(),
    "403": _ERROR.format("AccessDenied").encode(),
}
_WITHOUT_ANSWER = frozenset({"reset", "cut", "unheard"})

Choose = Callable[[str, str], str | None]
"""From method and path the name of a fault, or None for an honest answer."""


@dataclass
class FaultyProxy:
    """Stands between client and server and answers some requests as bad networks and servers do.

    Faults: `500`, `503` (SlowDown), `403`, `short` (the body ends early), `stall` (nothing after half of it, for
    `stall_s`), `trickle` (1 KB/s); and those without an answer, where `on_break` is called before the connection ends:
    `reset` (the server hears nothing), `cut` (it hears half of the body), `unheard` (it does what it is asked).
    """

    upstream: str
    choose: Choose = lambda _method, _path: None
    stall_s: float = 60.0
    on_break: Callable[[], None] = lambda: None
    counts: Counter[str] = field(default_factory=Counter)
    url: str = ""
    _server: ThreadingHTTPServer | None = None

    def open(self) -> None:
        """Takes connections, after the first time at the same port again."""
        self._server = ThreadingHTTPServer(("127.0.0.1", urlsplit(self.url).port or 0), _Handler)
        self._server.daemon_threads = True
        self._server.proxy = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever).start()

    def close(self) -> None:
        """Refuses connections, and answers nothing on those that are there."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()

    @property
    def is_open(self) -> bool:
        """Whether connections are taken."""
        return self._server is not None


class _Handler(BaseHTTPRequestHandler):
    """One connection; the proxy it belongs to is an attribute of its server."""

    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        proxy: FaultyProxy = self.server.proxy  # type: ignore[attr-defined]
        fault = proxy.choose(self.command, self.path) if proxy.is_open else "reset"
        proxy.counts[fault or "none"] += 1
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length // 2 if fault == "cut" else length)
        if fault in _FAULT_BODIES:
            self._answer(int(fault), {}, _FAULT_BODIES[fault])
        elif fault in _WITHOUT_ANSWER:
            self._break(proxy, body, fault)
        else:
            status, headers, data = self._forward(proxy, body)
            self._answer(status, headers, data, fault if status < 300 else None)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - the library's names

    def _break(self, proxy: FaultyProxy, body: bytes, fault: str) -> None:
        self.close_connection = True
        if fault == "unheard":
            self._forward(proxy, body)
        connection = self._send(proxy, body) if fault == "cut" else None
        proxy.on_break()
        if connection:
            connection.close()

    def _forward(self, proxy: FaultyProxy, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the server's answer."""
        connection = self._send(proxy, body)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_A_CONNECTION}
        return answer.status, kept, data

    def _send(self, proxy: FaultyProxy, body: bytes) -> HTTPConnection:
        connection = HTTPConnection(urlsplit(proxy.upstream).netloc, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                connection.putheader(name, value)
        connection.endheaders(body)
        return connection

    def _answer(self, status: int, headers: dict[str, str], data: bytes, fault: str | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            self._send_body(data, fault)

    def _send_body(self, data: bytes, fault: str | None) -> None:
        if fault is None:
            self.wfile.write(data)
            return
        self.close_connection = True
        if fault == "trickle":
            for start in range(0, len(data), 256):
                self.wfile.write(data[start : start + 256])
                time.sleep(0.25)
            return
        self.wfile.write(data[: len(data) // 2])
        if fault == "stall":
            self.wfile.flush()
            time.sleep(self.server.proxy.stall_s)  # type: ignore[attr-defined]

    def log_message(self, *_args: object) -> None:
        """Nothing."""


@contextmanager
def run_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """A proxy before `upstream`; set its `choose`."""
    proxy = FaultyProxy(upstream)
    proxy.open()
    try:
        yield proxy
    finally:
        proxy.close()


def through(proxy: FaultyProxy, store: S3Store, *, patience_s: float = 120.0) -> S3Store:
    """The same store, reached through the proxy."""
    return replace(store, options=S3Options(endpoint_url=proxy.url, patience_s=patience_s))
