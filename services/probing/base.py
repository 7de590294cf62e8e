"""The steps that every store has, and those of a directory."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from botocore.exceptions import BotoCoreError

from dap_core.errors import StoreError
from dap_core.stores import LocalStore, Store
from services.probing.report import MEANINGS, ProbeStep
from services.storage import NO_ETAG

FIRST, SECOND = b"0123456789", b"abcdefghijklmnopqrst"
Plan = list[tuple[str, Callable[[], str], str]]
"""What is tried, how (it gives the result), and the step that has to be ok before, if any."""


class Probe:
    """The steps that every store has."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = f".dap-probe-{secrets.token_hex(6)}/"
        self.key = f"{self.folder}object"
        self.results: dict[str, str] = {}
        self.etag = ""
        self.clock_skew_s: float | None = None
        self._is_out_of_reach = False

    def plan(self) -> Plan:
        """The steps, in order."""
        return [
            ("list", self._list, ""),
            ("put", lambda: self._put(FIRST), "list"),
            ("list again", self._list_again, "put"),
            ("get", self._get, "list"),
            ("get a range", self._get_range, "put"),
            ("overwrite", self._overwrite, "put"),
            ("etags", self._find_etag, "list again"),
            ("delete", self._delete, "put"),
        ]

    def run(self, what: str, action: Callable[[], str], needs: str) -> ProbeStep:
        """Tries one step, if the one that it needs was ok and the server can be reached."""
        if self._is_out_of_reach or (needs and self.results[needs] != "ok"):
            self.results[what] = "not tried"
            return ProbeStep(what, "not tried")
        started, reason = time.perf_counter(), ""
        try:
            result = action()
        except StoreError as error:
            result = "refused" if (what, "refused") in MEANINGS else "no"
            reason = str(error).partition(": ")[2] or str(error)
            self._is_out_of_reach = _was_never_answered(error)
        self.results[what] = result
        ms = None if result == "not tried" else round(1000 * (time.perf_counter() - started), 1)
        return ProbeStep(what, result, ms, reason, MEANINGS.get((what, result), ""))

    def remove(self) -> None:
        """Removes all that was written. Raises StoreError where the store does not let it."""
        for info in list(self.store.list_objects(self.folder)):
            self.store.delete(info.key)

    def _list(self) -> str:
        list(self.store.list_objects(self.folder))
        return "ok"

    def _put(self, data: bytes) -> str:
        self.store.put(self.key, data)
        return "ok"

    def _list_again(self) -> str:
        found = [info for info in self.store.list_objects(self.folder) if info.key == self.key]
        self.etag = found[0].etag if found else ""
        return ok_if([info.size for info in found] == [len(FIRST)], "the object that was put is not listed")

    def _get(self) -> str:
        if self.results["put"] == "ok":
            return ok_if(self.store.get(self.key) == FIRST, "other bytes came than were put")
        first = next((info for info in islice(self.store.list_objects(), 1000) if info.size), None)
        if first is None:
            return "not tried"
        return ok_if(len(self.store.get_range(first.key, 0, 1)) == 1, "no bytes came")

    def _get_range(self) -> str:
        return ok_if(self.store.get_range(self.key, 2, 5) == FIRST[2:5], "other bytes came than were asked for")

    def _overwrite(self) -> str:
        self._put(SECOND)
        return ok_if(self.store.get(self.key) == SECOND, "the earlier object came")

    def _find_etag(self) -> str:
        return "none" if self.etag.startswith(NO_ETAG) else "given"

    def _delete(self) -> str:
        self.store.delete(self.key)
        return ok_if(not list(self.store.list_objects(self.key)), "the object is still listed")


class LocalProbe(Probe):
    """The steps of a directory, which is removed as well if it was not there before."""

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store)
        self.root = store.root
        self.made = [folder for folder in (store.root, *store.root.parents) if not folder.exists()]

    def remove(self) -> None:
        """Removes the folder of the probe, and those that it made above."""
        try:
            if (self.root / self.folder).exists():
                shutil.rmtree(self.root / self.folder)
        except OSError as error:
            raise StoreError(f"{self.folder}: {error.strerror}") from error
        with suppress(OSError):  # one that was never made, or that others use by now
            for folder in self.made:
                folder.rmdir()


def _was_never_answered(error: StoreError) -> bool:
    cause: BaseException | None = error
    while isinstance(cause, StoreError):
        cause = cause.__cause__
    return isinstance(cause, BotoCoreError | ValueError)


def ok_if(is_so: bool, problem: str) -> str:
    """`ok`; raises StoreError with the problem when it is not so."""
    if not is_so:
        raise StoreError(f"probe: {problem}")
    return "ok"
