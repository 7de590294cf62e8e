"""S3 servers for tests: JuiceFS's gateway, which ignores If-None-Match, moto, which obeys it, and faults before either."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import httpx
from botocore.config import Config

from services.storage import S3Options, S3Store

ACCESS_KEY, SECRET_KEY = "tester", "tester-secret"
_START_S = 60.0


def set_credentials(environ: dict[str, str] | os._Environ[str]) -> None:
    """The credentials of these servers, and no configuration of this machine."""
    environ.update(
        AWS_ACCESS_KEY_ID=ACCESS_KEY,
        AWS_SECRET_ACCESS_KEY=SECRET_KEY,
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
    )


@dataclass(frozen=True)
class S3Server:
    """A server and where it answers."""

    name: str
    url: str

    def make_store(self, prefix: str = "", *, patience_s: float = 20.0) -> S3Store:
        """A store below a prefix of a new bucket."""
        bucket = f"test-{secrets.token_hex(6)}"
        client = boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", config=Config(s3={"addressing_style": "path"})
        )
        client.create_bucket(Bucket=bucket)
        client.close()
        return S3Store(bucket, prefix, S3Options(endpoint_url=self.url, patience_s=patience_s))


@contextmanager
def run_moto() -> Iterator[S3Server]:
    """moto's server in this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3Server("moto", f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def run_juicefs(folder: Path) -> Iterator[S3Server]:
    """JuiceFS's gateway over a folder."""
    program = str(Path(sys.executable).with_name("juicefs"))
    meta = f"sqlite3://{folder / 'meta.db'}"
    environment = {**os.environ, "MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY, "HOME": str(folder)}
    storage = [program, "format", "--storage", "file", "--bucket", f"{folder / 'objects'}/", meta, "test"]
    subprocess.run(storage, check=True, capture_output=True, env=environment)  # noqa: S603 - a program of the tests
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [program, "gateway", "--multi-buckets", "--no-usage-report", "--no-banner", meta, address]
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)  # noqa: S603
    try:
        _wait_for(f"http://{address}/minio/health/live", process)
        yield S3Server("juicefs", f"http://{address}")
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(url, timeout=2).status_code < 500:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer")


Choose = Callable[[str, str], str | None]
"""From method and path the name of a fault, or None for an honest answer."""


@dataclass
class FaultyProxy:
    """Stands between client and server and answers some requests as bad networks and servers do.

    Faults: `500`, `503` (SlowDown), `403`, `reset` (no answer), `short` (the body ends early), `stall` (nothing after
    half of it, for `stall_s`), `trickle` (1 KB/s).
    """

    upstream: str
    choose: Choose = lambda _method, _path: None
    stall_s: float = 60.0
    counts: Counter[str] = field(default_factory=Counter)
    url: str = ""


@contextmanager
def run_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """A proxy before `upstream`; set its `choose`."""
    proxy = FaultyProxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.choose(self.command, self.path)
            proxy.counts[fault or "none"] += 1
            if fault == "reset":
                self.close_connection = True
            elif fault in {"500", "503", "403"}:
                self._answer(int(fault), {}, _FAULT_BODIES[fault])
            else:
                self._forward(body, fault)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

        def _forward(self, body: bytes, fault: str | None) -> None:
            connection = HTTPConnection(urlsplit(proxy.upstream).netloc, timeout=60)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "expect":
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in {"transfer-encoding", "connection"}}
            self._answer(answer.status, kept, data, fault if answer.status < 300 else None)

        def _answer(self, status: int, headers: dict[str, str], data: bytes, fault: str | None = None) -> None:
            self.send_response(status)
            kept = {name: value for name, value in headers.items() if name.lower() != "content-length"}
            length = headers.get("Content-Length", str(len(data))) if self.command == "HEAD" else str(len(data))
            for name, value in {**kept, "Content-Length": length}.items():
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
                time.sleep(proxy.stall_s)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>as the test wants it</Message></Error>"
_FAULT_BODIES = {
    "500": _ERROR.format("InternalError").encode(),
    "503": _ERROR.format("SlowDown").encode(),
    "403": _ERROR.format("AccessDenied").encode(),
}
