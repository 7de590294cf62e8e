"""`dap doctor --store`: what a store allows is found out and nothing is left in it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from clients.cli.main import app
from dap_core.stores import LocalStore, Store
from services.probing import ProbeStep, StoreReport, probe_store
from services.storage import S3Options, S3Store
from tests.faulty_proxy import FaultyProxy, through
from tests.s3_servers import S3Server

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
COMMON = ["list", "put", "list again", "get", "get a range", "overwrite"]
ONLY_S3 = ["If-Match on get", "conditional put", "multipart upload", "multipart abort"]
AS_SERVED = {
    "moto": {"etags": "given", "If-Match on get": "obeyed", "conditional put": "enforced"},
    "juicefs": {"etags": "none", "If-Match on get": "not tried", "conditional put": "ignored"},
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["doctor", "--store", *(str(argument) for argument in arguments)])


def results(report: StoreReport) -> dict[str, str]:
    return {step.what: step.result for step in report.steps}


def find(report: StoreReport, what: str) -> ProbeStep:
    return next(step for step in report.steps if step.what == what)


def keys(store: Store) -> list[str]:
    return [info.key for info in store.list_objects()]


@pytest.mark.parametrize("prefix", ["", "some/prefix"])
def test_what_each_server_does_is_found_and_nothing_is_left(server: S3Server, prefix: str):
    store = server.make_store(prefix)
    store.put("mine", b"mine")
    report = probe_store(store)
    assert list(results(report)) == [*COMMON, "etags", *ONLY_S3, "delete", "clock"]
    expected = {**dict.fromkeys(results(report), "ok"), **AS_SERVED[server.name]}
    assert (results(report), report.can_label, report.left_behind) == (expected, True, None)
    assert report.clock_skew_s is not None
    assert abs(report.clock_skew_s) < 30
    assert keys(replace(store, prefix="")) == [f"{prefix}/mine".lstrip("/")]
    assert not store.client.list_multipart_uploads(Bucket=store.bucket).get("Uploads")


def test_a_bucket_that_keeps_versions_keeps_none_of_the_probe(servers: dict[str, S3Server]):
    store = servers["moto"].make_store("labels")
    store.client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    store.put("mine", b"1")
    store.delete("mine")
    assert probe_store(store).left_behind is None
    found = store.client.list_object_versions(Bucket=store.bucket)
    assert [one["Key"] for one in (*found["Versions"], *found["DeleteMarkers"])] == ["labels/mine"] * 2


def test_without_the_right_to_put_there_is_still_reading(servers: dict[str, S3Server], proxy: FaultyProxy):
    direct = servers["juicefs"].make_store("images")
    proxy.choose = lambda method, _path: "403" if method == "PUT" else None
    assert results(probe_store(through(proxy, direct)))["get"] == "not tried"
    direct.put("one", b"1")
    report = probe_store(through(proxy, direct))
    assert {what for what, result in results(report).items() if result != "not tried"} == {
        "list",
        "put",
        "get",
        "clock",
    }
    assert find(report, "put").reason == "access is denied; check the rights of these credentials"
    assert (results(report)["get"], report.can_label, keys(direct)) == ("ok", False, ["one"])


def test_without_the_right_to_delete_it_says_what_is_left(servers: dict[str, S3Server], proxy: FaultyProxy):
    direct = servers["juicefs"].make_store("labels")
    proxy.choose = lambda method, _path: "403" if method == "DELETE" else None
    report = probe_store(through(proxy, direct))
    assert (results(report)["delete"], report.can_label) == ("no", True)
    assert report.left_behind is not None
    assert all(f"{direct.uri}/{key}".startswith(report.left_behind) for key in keys(direct))


def test_refused_conditional_puts_and_uploads_do_no_harm(servers: dict[str, S3Server], proxy: FaultyProxy):
    direct = servers["juicefs"].make_store()
    refused = ("/conditional", "?uploads")
    proxy.choose = lambda _method, path: "403" if path.endswith(refused) else None
    report = probe_store(through(proxy, direct))
    assert (results(report)["conditional put"], results(report)["multipart upload"]) == ("refused", "no")
    assert find(report, "multipart upload").meaning == "Objects above 64 MiB cannot be written."
    assert "stand for the etag" in find(report, "etags").meaning
    assert not any(step.meaning or step.reason for step in report.steps if step.result == "ok")
    assert (report.can_label, keys(direct)) == (True, [])


def test_a_failure_on_the_way_leaves_nothing(server: S3Server, monkeypatch: pytest.MonkeyPatch):
    store = server.make_store()

    def interrupt(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(S3Store, "get_range", interrupt)
    with pytest.raises(KeyboardInterrupt):
        probe_store(store)
    assert keys(store) == []


def test_refusals_of_everything_are_the_first_row(servers: dict[str, S3Server], monkeypatch: pytest.MonkeyPatch):
    store = S3Store("no-such-bucket-here", "", S3Options(endpoint_url=servers["juicefs"].url))
    report = probe_store(store)
    assert find(report, "list").reason == "there is no such bucket"
    assert set(list(results(report).values())[1:-1]) == {"not tried"}
    assert (results(report)["clock"], report.can_label) == ("ok", False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert find(probe_store(store), "list").reason == "the secret key is wrong"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    report = probe_store(store)
    assert "(nobody) could not be found" in find(report, "list").reason
    assert set(list(results(report).values())[1:]) == {"not tried"}


def test_a_server_that_is_not_there_is_asked_once():
    report = probe_store(S3Store("bucket", "", S3Options(endpoint_url="http://127.0.0.1:9", patience_s=0.5)))
    assert list(results(report).values()) == ["no", *["not tried"] * 12]
    assert "Could not connect" in find(report, "list").reason


@pytest.mark.parametrize(("ahead_s", "result"), [(60, "ok"), (1200, "off"), (-1200, "off"), (None, "not given")])
def test_clocks_are_compared(
    servers: dict[str, S3Server], monkeypatch: pytest.MonkeyPatch, ahead_s: int | None, result: str
):
    def set_date(http_response: object, parsed: dict[str, dict[str, dict[str, str]]], **_: object) -> None:
        date = formatdate(time.time() + ahead_s, usegmt=True) if ahead_s is not None else ""
        parsed["ResponseMetadata"]["HTTPHeaders"]["date"] = date

    def make_client(store: S3Store) -> object:
        found = store._client
        found.meta.events.register("after-call.s3.HeadObject", set_date, unique_id="date")
        return found

    monkeypatch.setattr(S3Store, "client", property(make_client))
    report = probe_store(servers["moto"].make_store())
    assert results(report)["clock"] == result
    assert report.clock_skew_s == (None if ahead_s is None else pytest.approx(ahead_s, abs=3))


def test_a_directory_is_probed_and_left_as_it_was(tmp_path: Path):
    (tmp_path / "mine").write_bytes(b"mine")
    report = probe_store(LocalStore(tmp_path))
    assert results(report) == {**dict.fromkeys([*COMMON, "delete"], "ok"), "etags": "given"}
    assert probe_store(LocalStore(tmp_path / "new" / "deeper")).can_label
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    report = probe_store(LocalStore(tmp_path / "mine"))
    assert (find(report, "put").reason, report.can_label, report.left_behind) == ("Not a directory", False, None)


def test_a_store_that_loses_or_changes_objects_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(LocalStore, "list_objects", lambda *_: iter(()))
    monkeypatch.setattr(LocalStore, "get", lambda *_: b"other")
    report = probe_store(LocalStore(tmp_path))
    assert find(report, "list again").reason == "the object that was put is not listed"
    assert find(report, "get").reason == "other bytes came than were put"
    assert (report.can_label, list(tmp_path.iterdir())) == (False, [])


def test_the_command_prints_a_table_or_json(server: S3Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    store = server.make_store("labels")
    result = run(store.uri)
    assert result.exit_code == 0, result.output
    for text in (store.uri, "list again", AS_SERVED[server.name]["conditional put"], "bulk labelling can run here"):
        assert text in result.stdout
    assert "auto takes" not in result.stdout
    values = json.loads(run(store.uri, "--json").stdout)
    assert (values["store"], values["can_label"], values["left_behind"]) == (store.uri, True, None)
    assert {step["what"]: step["result"] for step in values["steps"]}["etags"] == AS_SERVED[server.name]["etags"]
    assert keys(store) == []


def test_the_command_ends_with_4_where_none_can_run(servers: dict[str, S3Server], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", servers["juicefs"].url)
    result = run("s3://no-such-bucket-here/labels")
    assert result.exit_code == 4
    assert "There is no such bucket. Nothing here can be" in result.stdout
    assert "bulk labelling cannot run here" in result.stdout
    assert run("s3://no-such-bucket-here", "--json").exit_code == 4
    assert run("gopher://bucket").exit_code == 2
