"""A stand-in S3 server that only lists: a bucket of any number of keys that are computed, not kept.

It runs in a process of its own, so that its memory does not count as that of the process under test.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BUCKET = "listed"
PAGE_KEYS = 1000
_AFTER_ALL = "\U0010ffff"


@dataclass(frozen=True)
class Listing:
    """A bucket of `num_keys` keys `<wnid>/<wnid>_<number>.JPEG`, spread evenly over the wnids, in the order of S3."""

    num_keys: int
    wnids: Sequence[str]

    def key(self, index: int) -> str:
        """The key at a place of the listing."""
        wnid = self.wnids[index * len(self.wnids) // self.num_keys]
        return f"{wnid}/{wnid}_{index:08d}.JPEG"

    def page(self, prefix: str, token: str, max_keys: int) -> str:
        """The answer to ListObjectsV2; the token is the place of its first key."""
        places = range(self.num_keys)
        start = int(token) if token else bisect_left(places, prefix, key=self.key)
        end = bisect_left(places, prefix + _AFTER_ALL, key=self.key)
        stop = min(end, start + min(max_keys, PAGE_KEYS))
        more = f"<NextContinuationToken>{stop}</NextContinuationToken>" if stop < end else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><Prefix>{prefix}</Prefix><MaxKeys>{max_keys}</MaxKeys>"
            f"<KeyCount>{stop - start}</KeyCount><IsTruncated>{str(stop < end).lower()}</IsTruncated>{more}"
            f"{''.join(map(self._describe, range(start, stop)))}</ListBucketResult>"
        )

    def _describe(self, index: int) -> str:
        key = self.key(index)
        etag = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
        return (
            f"<Contents><Key>{key}</Key><LastModified>2024-05-06T07:08:09.000Z</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag><Size>{50_000 + int(etag[:4], 16)}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    listing: Listing

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.strip("/") != BUCKET or query.get("list-type") != "2":
            self._answer(404, "<Error><Code>NoSuchKey</Code><Message>this server only lists</Message></Error>")
            return
        page = self.listing.page(
            query.get("prefix", ""), query.get("continuation-token", ""), int(query.get("max-keys", PAGE_KEYS))
        )
        self._answer(200, page)

    def log_message(self, *_args: object) -> None:
        """Says nothing of single requests."""

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def run_listing(num_keys: int, wnids: Sequence[str]) -> Iterator[str]:
    """A server of `num_keys` keys in a process of its own; gives its URL."""
    command = [sys.executable, "-m", "tests.listing_server", str(num_keys)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write("\n".join(sorted(wnids)))
        process.stdin.close()
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main() -> None:
    """Serves the number of keys of the command line, over the wnids on standard input; prints its port."""
    handler = type("Handler", (_Handler,), {"listing": Listing(int(sys.argv[1]), sys.stdin.read().split("\n"))})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
