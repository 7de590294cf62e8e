"""S3 servers for tests: JuiceFS's gateway, which ignores If-None-Match, and moto, which obeys it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx
from botocore.config import Config

from services.storage import S3Options, S3Store

ACCESS_KEY, SECRET_KEY = "tester", "tester-secret"
S3_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""The credentials of these servers, and no configuration of this machine."""
_START_S = 60.0


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
    subprocess.run(storage, check=True, capture_output=True, env=environment)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [program, "gateway", "--multi-buckets", "--no-usage-report", "--no-banner", meta, address]
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
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
