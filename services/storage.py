"""S3 as a store, and which store a URI means."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pyarrow as pa

from dap_core.errors import InputError, ObjectChangedError
from dap_core.stores import LocalStore, ObjectInfo, Store
from services.s3_errors import CHANGED, SlowBodyError, call_patiently, refuse_setup

T = TypeVar("T")
_SCHEME = "s3://"
NO_ETAG = "none-"
"""How the etag begins that stands for one the server does not give."""
_MULTIPART_BYTES = 64 * 2**20
_MAX_CONNECTIONS, _PAGE_KEYS = 32, 1000
_CONNECT_S, _STALL_S = 10, 30
_PIECE_BYTES = 8 * 2**10
_SLOW_AFTER_S, _LEAST_BYTES_PER_S = 5.0, 8 * 2**10
_FIRST_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to reach an S3 server; what is left out is as the AWS configuration and environment have it.

    Credentials are never among them: they come from the environment, a profile or the machine's role, wherever a store
    is used.
    """

    endpoint_url: str | None = None
    patience_s: float = 300.0
    """How long a request is repeated while the server fails or cannot be reached."""


def open_store(uri: str | Path, options: S3Options | None = None) -> Store:
    """The store of `s3://bucket/prefix`, or of a local directory. Raises InputError for another scheme."""
    text = str(uri)
    if text.startswith(_SCHEME):
        return S3Store(*split_s3_uri(text), options or S3Options())
    scheme, separator, _ = text.partition("://")
    if separator:
        raise InputError(f"a store is s3://bucket/prefix or a local directory, got {scheme}://")
    return LocalStore(uri)


def is_remote(uri: str | Path) -> bool:
    """Whether a URI names an object store, and no local path."""
    return "://" in str(uri)


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and prefix, without slashes at its ends. Raises InputError for what is no plain S3 URI."""
    bucket, _, prefix = uri.removeprefix(_SCHEME).partition("/")
    if not uri.startswith(_SCHEME) or not bucket or set(bucket) & set("@:?#") or ".." in prefix.split("/"):
        raise InputError("expected s3://bucket/prefix without '..', user or query")
    return bucket, prefix.strip("/")


@dataclass(frozen=True)
class S3Store:
    """The objects of a bucket below a prefix, through boto3; follows `dap_core.stores.Store`.

    Requests are repeated, body included, with growing random pauses for `patience_s` (30 s before the first answer).
    Raises StoreRefusedError when the server says no to all (rights, bucket, clock), StoreUnavailableError when patience
    ends. Can be pickled; the copy has a connection of its own and no credentials, and is as patient as the original.
    """

    bucket: str
    prefix: str
    options: S3Options = field(default_factory=S3Options)
    num_parallel_reads: ClassVar[int] = 16

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return f"{_SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def client(self) -> Any:
        """The boto3 client, for requests that this class has no method for; keys are then those of the bucket."""
        return self._client

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, sorted by key; marks of folders are left out."""
        start = self._full_key("")
        request: dict[str, Any] = {"Bucket": self.bucket, "Prefix": start + prefix, "MaxKeys": _PAGE_KEYS}
        while True:
            page = self._call(f"list {self.uri}/{prefix}", lambda: self._client.list_objects_v2(**request))
            for item in page.get("Contents", ()):
                key = item["Key"].removeprefix(start)
                if key and not key.endswith("/"):
                    modified = item["LastModified"].timestamp()
                    yield ObjectInfo(key, item["Size"], _make_etag(item, item["Size"]), modified)
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def get(self, key: str, *, etag: str | None = None) -> bytes:
        """The bytes of an object; raises ObjectChangedError when it no longer has the given etag."""
        is_real = etag and not etag.startswith(NO_ETAG)
        return self._read(key, {"IfMatch": f'"{etag}"'} if is_real else {}, etag)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of an object, fewer where it ends."""
        return self._read(key, {"Range": f"bytes={start}-{stop - 1}"}) if stop > start else b""

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Writes an object whole, above 64 MiB in parts that become visible together."""
        name = {"Bucket": self.bucket, "Key": self._full_key(key)}

        def send() -> None:
            body = pa.BufferReader(data)  # a file over the bytes themselves
            if len(data) <= _MULTIPART_BYTES:
                self._client.put_object(**name, Body=body)
            else:
                self._client.upload_fileobj(body, **name)

        self._call(f"put {self.uri}/{key}", send)

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        name = self._full_key(key)
        self._call(f"delete {self.uri}/{key}", lambda: self._client.delete_object(Bucket=self.bucket, Key=name))

    def _read(self, key: str, arguments: dict[str, str], etag: str | None = None) -> bytes:
        name = {"Bucket": self.bucket, "Key": self._full_key(key)}

        def receive() -> bytes:
            answer = self._client.get_object(**name, **arguments)
            if etag and _make_etag(answer, answer["ContentLength"]) != etag:  # not every server obeys If-Match
                answer["Body"].close()
                raise ObjectChangedError(f"get {self.uri}/{key}: {CHANGED}")
            return _read_body(answer["Body"], answer["ContentLength"])

        return self._call(f"get {self.uri}/{key}", receive)

    def _call(self, what: str, action: Callable[[], T]) -> T:
        longest_s = self.options.patience_s
        result = call_patiently(
            what, action, longest_s if self._answered.is_set() else min(longest_s, _FIRST_PATIENCE_S)
        )
        self._answered.set()
        return result

    def _full_key(self, key: str) -> str:
        if ".." in key.split("/"):
            raise ValueError(f"a key is a relative path without '..', got {key!r}")
        return f"{self.prefix}/{key}" if self.prefix else key

    @cached_property
    def _answered(self) -> threading.Event:
        return threading.Event()

    @cached_property
    def _client(self) -> Any:
        import boto3

        options = self.options
        with _SESSIONS, refuse_setup(self.uri):
            session = boto3.Session()
            region = session.region_name or "us-east-1"
            found = session.client("s3", region_name=region, endpoint_url=options.endpoint_url)
            is_amazon = ".amazonaws." in found.meta.endpoint_url
            config = _make_config(is_amazon=is_amazon)
            return session.client("s3", region_name=region, endpoint_url=options.endpoint_url, config=config)

    def __getstate__(self) -> dict[str, Any]:
        answered = self._answered.is_set()
        return {"bucket": self.bucket, "prefix": self.prefix, "options": self.options, "answered": answered}

    def __setstate__(self, state: dict[str, Any]) -> None:
        answered = state.pop("answered")
        self.__dict__.update(state)
        if answered:
            self._answered.set()


_SESSIONS = threading.Lock()
"""Making a client is not safe in several threads at once; using it is."""


def _make_config(*, is_amazon: bool) -> Any:
    """How requests are made: with other servers than Amazon's the bucket stands in the path, not in the host name.

    Many of those refuse the checksums that botocore adds by itself.
    """
    from botocore.config import Config

    checksums = "when_supported" if is_amazon else "when_required"
    return Config(
        connect_timeout=_CONNECT_S,
        read_timeout=_STALL_S,
        max_pool_connections=_MAX_CONNECTIONS,
        retries={"mode": "adaptive", "total_max_attempts": 1},  # slows down when told to; repeating is ours
        s3={"addressing_style": "auto" if is_amazon else "path"},
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
    )


def _make_etag(item: dict[str, Any], size: int) -> str:
    """The etag of a listed or read object; of a server that gives none, size and second of the last change."""
    given: str = item.get("ETag", "").strip('"')
    return given or f"{NO_ETAG}{size}-{int(item['LastModified'].timestamp())}"


def _read_body(body: Any, length: int) -> bytes:
    """A whole body. Raises what botocore raises when it ends early, SlowBodyError when it only trickles."""
    started = time.monotonic()
    pieces, size = [], 0
    for piece in body.iter_chunks(_PIECE_BYTES):
        pieces.append(piece)
        size += len(piece)
        seconds = time.monotonic() - started
        if seconds > _SLOW_AFTER_S and size < _LEAST_BYTES_PER_S * seconds and size < length:
            body.close()
            raise SlowBodyError(f"{size:,} of {length:,} bytes came in {seconds:.0f} s")
    return b"".join(pieces)
