"""Which job writes where: of two unfinished jobs to overlapping places at most one is ever begun.

outputs/s3/<bucket>/<prefix>/!<job>      a claim, put before the spec of its job

Right without conditional writes, by any number of processes, on a store whose listings show every finished put: who
puts a claim and then sees another one gives way to it when its job is there, or when its id is smaller; else it waits
until the other has given way or is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

from dap_core.stores import ObjectInfo, Store
from services.jobs.refusals import JobRefusedError
from services.jobs.spec_places import NamedPlace, split_place

_ROOT = "outputs/"
_WAIT_S, _POLL_S = 10.0, 0.05
_DEAD_AFTER_S = 600.0
"""Age of a claim without a job above which whoever put it is gone."""


class OutputClaims:
    """The claims in one store."""

    def __init__(self, store: Store, is_unfinished: Callable[[str], bool | None]) -> None:
        """`is_unfinished` says of a job whether it may still write, None when there is no such job."""
        self._store, self._is_unfinished = store, is_unfinished

    def take(self, job: str, outputs: Sequence[NamedPlace]) -> None:
        """Claims the outputs of a job that is not there yet, or has ended; taking them again changes nothing.

        Raises JobRefusedError when another unfinished job writes to one of them, and gives all of them back.
        """
        keys = [_make_prefix(one.place) + f"!{job}" for one in outputs]
        held = {info.key for key in keys for info in self._store.list_objects(key)}
        for key in keys:
            if key not in held:
                self._store.put(key, b"")
        try:
            for one in outputs:
                self._settle(job, one)
        except JobRefusedError:
            self._delete([key for key in keys if key not in held])
            raise

    def give_back(self, job: str, outputs: Sequence[NamedPlace]) -> None:
        """Takes back the claims of a job that does not come to be."""
        self._delete([_make_prefix(one.place) + f"!{job}" for one in outputs])

    def _delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._store.delete(key)

    def _settle(self, job: str, output: NamedPlace) -> None:
        """Waits until no other job can write there. Raises JobRefusedError when one does."""
        deadline = time.monotonic() + _WAIT_S
        while True:
            states = [(other, self._is_unfinished(other)) for other in self._find_others(job, output.place)]
            is_taken = any(state or (state is None and other < job) for other, state in states)
            if not is_taken and all(state is False for _, state in states):
                return
            if is_taken or time.monotonic() > deadline:
                detail = f"a job that has not ended writes to {output.place}, or around it; give another place"
                raise JobRefusedError("output-in-use", detail, pointer=output.pointer)
            time.sleep(_POLL_S)

    def _find_others(self, job: str, place: str) -> list[str]:
        """The jobs that claim the place, one around it, or one inside it."""
        found = {info.key.rpartition("!")[2] for info in self._list_claims(place) if not self._is_dead(info)}
        return sorted(found - {job})

    def _list_claims(self, place: str) -> Iterator[ObjectInfo]:
        prefix = _make_prefix(place)
        yield from self._store.list_objects(prefix)
        parts = prefix.removeprefix(_ROOT).split("/")[:-1]
        for length in range(1, len(parts)):
            yield from self._store.list_objects(f"{_ROOT}{'/'.join(parts[:length])}/!")

    def _is_dead(self, info: ObjectInfo) -> bool:
        is_old = time.time() - info.modified > _DEAD_AFTER_S
        return is_old and self._is_unfinished(info.key.rpartition("!")[2]) is None


def _make_prefix(place: str) -> str:
    """Where the claims of a place lie; no part of a place can look like a claim."""
    return _ROOT + "".join(f"{quote(part, safe='')[:200]}/" for part in split_place(place))
