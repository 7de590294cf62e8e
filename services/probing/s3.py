"""The steps of a bucket: those of every store, and what only S3 has."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dap_core.errors import ObjectChangedError, StoreError
from services.probing.base import FIRST, SECOND, Plan, Probe, ok_if
from services.s3_errors import call_patiently
from services.storage import S3Store

_PATIENCE_S = 15.0
_MAX_SKEW_S = 300.0


class S3Probe(Probe):
    """The steps of a bucket: those of every store, and what only S3 has."""

    def __init__(self, store: S3Store) -> None:
        patience_s = min(_PATIENCE_S, store.options.patience_s)
        self.s3 = replace(store, options=replace(store.options, patience_s=patience_s))
        super().__init__(self.s3)
        with suppress(StoreError):  # the first step says so, and its time is that of the server alone
            _ = self.s3.client

    def plan(self) -> Plan:
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
        self._ask("put_object", "conditional", Body=FIRST, IfNoneMatch="*")
        try:
            self._ask("put_object", "conditional", Body=SECOND, IfNoneMatch="*")
        except ObjectChangedError:
            return "enforced"
        return "ignored"

    def _upload(self) -> str:
        upload = {"UploadId": self._ask("create_multipart_upload", "parts")["UploadId"]}
        try:
            part = self._ask("upload_part", "parts", **upload, PartNumber=1, Body=FIRST)
            parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            self._ask("complete_multipart_upload", "parts", **upload, MultipartUpload=parts)
        except BaseException:
            with suppress(StoreError):
                self._ask("abort_multipart_upload", "parts", **upload)
            raise
        return ok_if(self.store.get(f"{self.folder}parts") == FIRST, "other bytes came than were put")

    def _abort(self) -> str:
        upload = {"UploadId": self._ask("create_multipart_upload", "aborted")["UploadId"]}
        try:
            self._ask("upload_part", "aborted", **upload, PartNumber=1, Body=FIRST)
        finally:
            self._ask("abort_multipart_upload", "aborted", **upload)
        return ok_if(not list(self.store.list_objects(f"{self.folder}aborted")), "the object is there all the same")

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
