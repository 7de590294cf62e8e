"""Marks in the store that tell which shards a process has died on."""

from __future__ import annotations

import secrets
from contextlib import suppress

from dap_core.errors import StoreError
from dap_core.label_sets.shards import ShardFooter
from dap_core.stores import Store


class ShardMarks:
    """The marks of one shard: each attempt puts one first, and only the death of its process leaves it."""

    def __init__(self, store: Store, footer: ShardFooter) -> None:
        """Finds the marks of earlier attempts and puts one for this one."""
        prefix = f"attempts/{footer.shard:05d}-{footer.shard_key[:16]}-"
        self._store = store
        self._earlier = [info.key for info in store.list_objects(prefix)]
        self._own = prefix + secrets.token_hex(8)
        store.put(self._own, b"")

    @property
    def num_earlier(self) -> int:
        """Attempts that died."""
        return len(self._earlier)

    def remove_own(self) -> None:
        """Takes the mark of this attempt away."""
        self._delete([self._own])

    def remove_all(self) -> None:
        """Takes all marks of the shard away: it is done, or given up."""
        self._delete([self._own, *self._earlier])

    def _delete(self, keys: list[str]) -> None:
        with suppress(StoreError):  # where deleting is not allowed, marks only make a later attempt slower
            for key in keys:
                self._store.delete(key)
