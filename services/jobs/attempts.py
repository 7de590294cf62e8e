"""Marks in the store that tell which shards a process has died on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dap_core.errors import StoreError
from dap_core.label_sets.shards import ShardFooter
from dap_core.stores import Store


@contextmanager
def mark_attempt(store: Store, footer: ShardFooter) -> Iterator[bool]:
    """Marks the shard while inside, and says whether marks were left of earlier attempts.

    An error takes its mark away; only the death of the process leaves it. When the shard is done all of its marks go.
    """
    prefix = f"attempts/{footer.shard:05d}-{footer.shard_key[:16]}-"
    earlier = [info.key for info in store.list_objects(prefix)]
    mark = prefix + secrets.token_hex(8)
    store.put(mark, b"")
    done = [mark]
    try:
        yield bool(earlier)
        done += earlier
    finally:
        with suppress(StoreError):  # where deleting is not allowed, marks only make a later attempt slower
            for key in done:
                store.delete(key)
