"""What a store allows: list, put, get and the finer points, tried on small objects that are removed again."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dap_core.errors import ObjectChangedError, StoreError
from dap_core.stores import LocalStore, Store
from services.s3_errors import call_patiently
from services.storage import NO_ETAG, S3Store

_REQUIRED = ("list", "put", "list again", "get", "get a range", "overwrite")
_PATIENCE_S = 15.0
_MAX_SKEW_S = 300.0
_FIRST, _SECOND = b"0123456789", b"abcdefghijklmnopqrst"
_MEANINGS = {
    ("list", "no"): "Nothing here can be labelled, and nothing written.",
    ("put", "no"): "No label set can be written here; images can still be read from here if get is ok.",
    ("list again", "no"): "New objects are not listed at once: a run that goes on would miss finished shards.",
    ("get", "no"): "Neither images nor label sets can be read.",
    ("get", "not tried"): "There is no object to read.",
    ("get a range", "no"): "A run cannot see which shards are finished, and cannot end.",
    (
        "overwrite",
        "no",
    ): "A label set cannot grow, and a run that was cut off cannot go on: each replaces the manifest.",
    ("multipart upload", "no"): "Objects above 64 MiB cannot be written.",
    ("multipart abort", "no"): "Parts of an upload that was cut off stay until a lifecycle rule removes them.",
    ("conditional put", "ignored"): "No harm: commits are right without it.",
    ("conditional put", "refused"): "No harm: commits are right without it and do not ask for it.",
    ("etags", "none"): "Size and time of the last change, in whole seconds, stand for the etag: an object that is "
    "overwritten within that second by one of the same size is taken for the listed one.",
    ("If-Match on get", "ignored"): "No harm: the etag that comes with the object is compared instead.",
    ("If-Match on get", "refused"): "Images cannot be read by the etag that was listed.",
    ("If-Match on get", "not tried"): "There are no etags to ask for.",
    ("delete", "no"): "Runs delete nothing, so they are not affected; what this probe wrote is left.",
    ("clock", "off"): "Set the clock: servers refuse requests when it is 15 minutes off.",
}


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One thing that was tried: its result in a word, how long it took, why, and what it means where it is not ok."""

    what: str
    result: str
    ms: float | None = None
    reason: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What a store allows; `clock_skew_s` is how far its clock is ahead of ours, `left_behind` what could not go."""

    store: str
    steps: tuple[ProbeStep, ...]
    clock_skew_s: float | None
    left_behind: str | None

    @property
    def can_label(self) -> bool:
        """Whether a run can read its images here and write its label set here."""
        results = {step.what: step.result for step in self.steps}
        return all(results[what] == "ok" for what in _REQUIRED)


def probe_store(store: Store) -> StoreReport:
    """Tries what bulk labelling needs in a new folder `.dap-probe-...` of the store, and removes the folder again."""
    probe = _make_probe(store)
    left_behind = None
    try:
        steps = tuple(probe.run(what, action, needs) for what, action, needs in probe.plan())
    finally:
        try:
            if probe.results.get("list") == "ok":  # else nothing was written
                probe.remove()
        except StoreError:
            left_behind = f"{store.uri}/{probe.folder}"
    return StoreReport(store.uri, steps, probe.clock_skew_s, left_behind)


_Plan = list[tuple[str, Callable[[], str], str]]
"""What is tried, how (it gives the result), and the step that has to be ok before, if any."""


class _Probe:
    """The steps that every store has."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = f".dap-probe-{secrets.token_hex(6)}/"
        self.key = f"{self.folder}object"
        self.results: dict[str, str] = {}
        self.etag = ""
        self.clock_skew_s: float | None = None
        self._is_out_of_reach = False

    def plan(self) -> _Plan:
        """The steps, in order."""
        return [
            ("list", self._list, ""),
            ("put", lambda: self._put(_FIRST), "list"),
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
            result = "refused" if (what, "refused") in _MEANINGS else "no"
            reason = str(error).partition(": ")[2] or str(error)
            self._is_out_of_reach = _was_never_answered(error)
        self.results[what] = result
        ms = None if result == "not tried" else round(1000 * (time.perf_counter() - started), 1)
        return ProbeStep(what, result, ms, reason, _MEANINGS.get((what, result), ""))

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
        return _ok_if([info.size for info in found] == [len(_FIRST)], "the object that was put is not listed")

    def _get(self) -> str:
        if self.results["put"] == "ok":
            return _ok_if(self.store.get(self.key) == _FIRST, "other bytes came than were put")
        first = next((info for info in islice(self.store.list_objects(), 1000) if info.size), None)
        if first is None:
            return "not tried"
        return _ok_if(len(self.store.get_range(first.key, 0, 1)) == 1, "no bytes came")

    def _get_range(self) -> str:
        return _ok_if(self.store.get_range(self.key, 2, 5) == _FIRST[2:5], "other bytes came than were asked for")

    def _overwrite(self) -> str:
        self._put(_SECOND)
        return _ok_if(self.store.get(self.key) == _SECOND, "the earlier object came")

    def _find_etag(self) -> str:
        return "none" if self.etag.startswith(NO_ETAG) else "given"

    def _delete(self) -> str:
        self.store.delete(self.key)
        return _ok_if(not list(self.store.list_objects(self.key)), "the object is still listed")


class _LocalProbe(_Probe):
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


class _S3Probe(_Probe):
    """The steps of a bucket: those of every store, and what only S3 has."""

    def __init__(self, store: S3Store) -> None:
        patience_s = min(_PATIENCE_S, store.options.patience_s)
        self.s3 = replace(store, options=replace(store.options, patience_s=patience_s))
        super().__init__(self.s3)
        with suppress(StoreError):  # the first step says so, and its time is that of the server alone
            _ = self.s3.client

    def plan(self) -> _Plan:
        """The steps, in order."""
        *steps, delete = super().plan()
        return [
            *steps,
            ("If-Match on get", self._get_if_match, "list again"),
            ("conditional put", self._put_if_absent, "put"),
            ("multipart upload", self._upload, "put"),
            ("multipart abort", self._abort, "put"),
            delete,
            ("clock", self._compare_clocks, ""),
        ]

    def remove(self) -> None:
        """Removes all that was written, earlier versions included."""
        super().remove()
        name = {"Bucket": self.s3.bucket, "Prefix": f"{self.s3.prefix}/{self.folder}".lstrip("/")}
        try:
            page = self.s3.client.list_object_versions(**name)
        except (BotoCoreError, ClientError):  # a server that has no versions
            return
        for one in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
            self._ask("delete_object", one["Key"].removeprefix(name["Prefix"]), VersionId=one["VersionId"])

    def _ask(self, operation: str, name: str, **arguments: Any) -> Any:
        """The answer of a boto3 operation on an object of the probe's folder."""
        key = f"{self.s3.prefix}/{self.folder}{name}".lstrip("/")
        action = getattr(self.s3.client, operation)
        return call_patiently(operation, lambda: action(Bucket=self.s3.bucket, Key=key, **arguments), _PATIENCE_S)

    def _get_if_match(self) -> str:
        if self.results["etags"] != "given":
            return "not tried"
        etag = self._ask("head_object", "object")["ETag"]
        self._ask("get_object", "object", IfMatch=etag)["Body"].close()
        try:
            self._ask("get_object", "object", IfMatch='"00000000000000000000000000000000"')["Body"].close()
        except ObjectChangedError:
            return "obeyed"
        return "ignored"

    def _put_if_absent(self) -> str:
        self._ask("put_object", "conditional", Body=_FIRST, IfNoneMatch="*")
        try:
            self._ask("put_object", "conditional", Body=_SECOND, IfNoneMatch="*")
        except ObjectChangedError:
            return "enforced"
        return "ignored"

    def _upload(self) -> str:
        upload = {"UploadId": self._ask("create_multipart_upload", "parts")["UploadId"]}
        try:
            part = self._ask("upload_part", "parts", **upload, PartNumber=1, Body=_FIRST)
            parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            self._ask("complete_multipart_upload", "parts", **upload, MultipartUpload=parts)
        except BaseException:
            with suppress(StoreError):
                self._ask("abort_multipart_upload", "parts", **upload)
            raise
        return _ok_if(self.store.get(f"{self.folder}parts") == _FIRST, "other bytes came than were put")

    def _abort(self) -> str:
        upload = {"UploadId": self._ask("create_multipart_upload", "aborted")["UploadId"]}
        try:
            self._ask("upload_part", "aborted", **upload, PartNumber=1, Body=_FIRST)
        finally:
            self._ask("abort_multipart_upload", "aborted", **upload)
        return _ok_if(not list(self.store.list_objects(f"{self.folder}aborted")), "the object is there all the same")

    def _compare_clocks(self) -> str:
        def ask() -> Any:
            try:
                return self.s3.client.head_object(Bucket=self.s3.bucket, Key=self.folder)
            except ClientError as error:  # a refusal has a date as well
                return error.response

        date = call_patiently("clock", ask, _PATIENCE_S)["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        try:
            server_s = parsedate_to_datetime(date).timestamp() + 0.5  # it is cut to whole seconds
        except ValueError:
            return "not given"
        self.clock_skew_s = round(server_s - time.time(), 1)
        return "ok" if abs(self.clock_skew_s) < _MAX_SKEW_S else "off"


def _make_probe(store: Store) -> _Probe:
    if isinstance(store, S3Store):
        return _S3Probe(store)
    return _LocalProbe(store) if isinstance(store, LocalStore) else _Probe(store)


def _was_never_answered(error: StoreError) -> bool:
    cause: BaseException | None = error
    while isinstance(cause, StoreError):
        cause = cause.__cause__
    return isinstance(cause, BotoCoreError | ValueError)


def _ok_if(is_so: bool, problem: str) -> str:
    if not is_so:
        raise StoreError(f"probe: {problem}")
    return "ok"
