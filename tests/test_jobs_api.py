"""Jobs over HTTP: submitted once whatever is sent twice, seen by their owners alone, stopped and resumed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.jobs.specs import MineSpec
from tests.api_builders import ScriptedLabeling, assert_problem, run_app
from tests.job_api_builders import JobPlace, fail, make_job_place, succeed, succeed_in_part, wait_for_stop


def submit(client: httpx.Client, body: Any, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/v1/jobs", json=body, headers=named)


def assert_refused(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """A problem that may name places, which are paths here."""
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}"), answer.text
    problem: dict[str, Any] = answer.json()
    return problem


def test_a_job_is_stored_as_it_was_asked_for_and_waits_with_a_reason(client: httpx.Client, place: JobPlace):
    answer = submit(client, place.make_mine(labels=["espresso"]))
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["state"], job["attempt"], job["stage"]) == ("mine", "QUEUED", 0, None)
    spec = place.jobs.read_spec(job["id"])
    assert isinstance(spec, MineSpec)
    assert (spec.labels, spec.model_dump(mode="json")) == (("espresso",), job["spec"])
    place.store.put("reconciler/queue.json", f'{{"{job["id"]}": "waits for 2 cores"}}'.encode())
    assert client.get(answer.headers["location"]).json()["reason"] == "waits for 2 cores"


def test_a_job_is_shown_as_it_goes_on(client: httpx.Client, place: JobPlace):
    job = submit(client, place.make_mine()).json()["id"]
    place.run(job, succeed_in_part)
    seen = client.get(f"/v1/jobs/{job}").json()
    assert (seen["state"], seen["attempt"], seen["result"]) == ("PARTIALLY_SUCCEEDED", 1, {"made": 1})
    assert seen["message"] == "1 of 2 images failed"
    assert seen["ended"] >= seen["started"] >= seen["created"][:19]


def test_the_same_request_under_one_key_is_one_job(client: httpx.Client, place: JobPlace):
    first = submit(client, place.make_mine(), Idempotency_Key="one")
    again = submit(client, place.make_mine(), Idempotency_Key="one")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.json(), "idempotent-replayed" in first.headers) == (first.json(), False)
    other = submit(client, place.make_mine("elsewhere"), Idempotency_Key="one")
    assert_problem(other, 409, "idempotency-key-reused")
    longer = submit(client, [place.make_mine(), place.make_mine("two")], Idempotency_Key="one")
    assert_problem(longer, 409, "idempotency-key-reused")
    assert submit(client, place.make_mine("third"), Idempotency_Key="two").json()["id"] != first.json()["id"]


@pytest.mark.parametrize("same_key", [True, False], ids=["one key", "one output"])
def test_a_hundred_requests_at_once_to_two_services_are_one_job(place: JobPlace, same_key: bool):
    """No store of theirs has conditional writes."""
    with place.serve() as first, place.serve() as second:
        for one in (
            first,
            second,
        ):  # FastAPI makes its routes at the first request, not safely in two threads of a process
            one.get("/v1/jobs")

        def send(number: int) -> httpx.Response:
            headers = {"Idempotency-Key": "same"} if same_key else {}
            return (first, second)[number % 2].post("/v1/jobs", json=place.make_mine(), headers=headers, timeout=60)

        with ThreadPoolExecutor(100 if same_key else 8) as pool:
            answers = list(pool.map(send, range(100 if same_key else 24)))
    stored = list(place.jobs.list_jobs())
    assert len(stored) == 1
    if same_key:
        assert {one.json().get("id") for one in answers} == set(stored)
        assert {one.status_code for one in answers} <= {200, 201}
    else:
        assert sorted(one.status_code for one in answers) == [201] + [409] * 23


def test_keys_see_their_own_jobs_and_admin_all(place: JobPlace):
    ann, ben, root = place.make_key("ann"), place.make_key("ben"), place.make_key("root", "admin")
    local = place.jobs.submit(MineSpec(source=("/photos",), out="/labels"))
    with place.serve() as client:
        jobs = [
            client.post("/v1/jobs", json=place.make_mine(f"of {number}"), headers=who | {"Idempotency-Key": "k"}).json()
            for number, who in enumerate((ann, ben))
        ]
        assert jobs[0]["id"] != jobs[1]["id"]
        for verb in ("", "/cancel", "/resume", "/retry-failed"):
            ask = client.get if not verb else client.post
            for other in (f"/v1/jobs/{jobs[0]['id']}{verb}", f"/v1/jobs/{local}{verb}", f"/v1/jobs/none{verb}"):
                assert_problem(ask(other, headers=ben), 404, "not-found")
        seen = [[one["id"] for one in client.get("/v1/jobs", headers=who).json()["items"]] for who in (ann, ben, root)]
    assert seen[:2] == [[jobs[0]["id"]], [jobs[1]["id"]]]
    assert set(seen[2]) == {local, jobs[0]["id"], jobs[1]["id"]}


def test_a_key_for_images_is_none_for_jobs(place: JobPlace):
    label, none = place.make_key("a", "label"), {}
    with place.serve() as client:
        assert_problem(client.get("/v1/jobs", headers=label), 403, "forbidden")
        assert_problem(client.get("/v1/jobs", headers=none), 401, "unauthenticated")


def test_a_service_without_jobs_has_no_such_routes(tmp_path: Path):
    with run_app(ScriptedLabeling(), tmp_path) as client:
        assert_problem(client.get("/v1/jobs"), 404, "not-found")


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, JobPlace]]:
    """A service for requests of which none is taken."""
    place = make_job_place(tmp_path_factory.mktemp("refusing"))
    with place.serve() as client:
        yield client, place
    assert list(place.store.list_objects()) == []


REFUSED = [
    ({"kind": "mine"}, 422, "invalid-parameter", "#/source"),
    ({"kind": "mind"}, 422, "invalid-parameter", "#/kind"),
    ({}, 422, "invalid-parameter", "#/kind"),
    ({"lables": ["a"]}, 422, "unknown-parameter", "#/lables"),
    ({"entrypoint": "rm"}, 422, "unknown-parameter", "#/entrypoint"),
    ({"runtime_env": {}}, 422, "unknown-parameter", "#/runtime_env"),
    ({"labelers": 2, "ray": "auto"}, 422, "field-not-allowed", "#/ray"),
    ({"labelers": 1000}, 422, "field-not-allowed", "#/labelers"),
    ({"weights": "net.pth"}, 422, "place-not-allowed", "#/weights"),
    ({"classes": "own"}, 422, "place-not-allowed", "#/classes"),
    ({"classifier": "/etc/passwd"}, 422, "place-not-allowed", "#/classifier"),
    ({"classifier": "local-dir:x"}, 422, "place-not-allowed", "#/classifier"),
    ({"source": ["photos"]}, 422, "place-not-allowed", "#/source/0"),
    ({"source": ["DATA/../../etc"]}, 422, "place-not-allowed", "#/source/0"),
    ({"source": ["s3://other/photos"]}, 422, "place-not-allowed", "#/source/0"),
    ({"source": ["s3://user:secret@other/photos"]}, 422, "invalid-parameter", "#/source/0"),
    ({"source": ["file:///etc"]}, 422, "invalid-parameter", "#/source/0"),
    ({"out": "STORE/keys"}, 422, "place-not-allowed", "#/out"),
    ({"out": "DATA/photos/labels"}, 409, "output-overlaps-input", "#/out"),
    ({"out": "DATA/photos"}, 409, "output-overlaps-input", "#/out"),
    ({"source": [{"job": 0}]}, 422, "invalid-parameter", "#/source/0"),
    ({"source": [{"job": "nobody"}]}, 422, "invalid-parameter", "#/source/0"),
]


@pytest.mark.parametrize(("fields", "status", "slug", "pointer"), REFUSED)
def test_what_is_refused_is_pointed_at(
    refusing: tuple[httpx.Client, JobPlace], fields: dict[str, Any], status: int, slug: str, pointer: str
):
    client, place = refusing
    text = lambda one: one.replace("DATA", str(place.data)).replace("STORE", str(place.root))  # noqa: E731
    filled = {
        name: [text(one) if isinstance(one, str) else one for one in value] if isinstance(value, list) else value
        for name, value in fields.items()
    }
    filled = {name: text(value) if isinstance(value, str) else value for name, value in filled.items()}
    body = filled if not fields or set(fields) == {"kind"} else {**place.make_mine(), **filled}
    answer = submit(client, body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}"), answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert "secret" not in answer.text


def test_a_local_path_is_refused_with_the_command_that_fixes_it(client: httpx.Client, place: JobPlace):
    problem = submit(client, place.make_mine() | {"source": ["/home/ann/cats"]}).json()
    assert problem["detail"].endswith(f"copy it there with: dap cp /home/ann/cats {place.data}/cats")


@pytest.mark.parametrize(
    ("content", "headers", "status", "slug"),
    [
        (b"{", {}, 400, "malformed-json"),
        (b'{"kind": "mine", "kind": "mine"}', {}, 400, "malformed-json"),
        (b"[]", {}, 422, "invalid-parameter"),
        (b"7", {}, 422, "invalid-parameter"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
        (b"{}", {"Content-Encoding": "gzip"}, 415, "content-encoding-unsupported"),
        (b" " * (2**20 + 1), {}, 413, "body-too-large"),
        (b"{}", {"Idempotency-Key": "k" * 256}, 422, "invalid-parameter"),
    ],
)
def test_a_body_that_is_no_job(
    refusing: tuple[httpx.Client, JobPlace], content: bytes, headers: dict[str, str], status: int, slug: str
):
    headers = {"Content-Type": "application/json", **headers}
    assert_problem(refusing[0].post("/v1/jobs", content=content, headers=headers), status, slug)


def test_two_unfinished_jobs_never_write_to_one_place(client: httpx.Client, place: JobPlace):
    job = submit(client, place.make_mine("sets/a")).json()["id"]
    for out in ("sets/a", "sets/a/inside", "sets"):
        assert_refused(submit(client, place.make_mine(out)), 409, "output-in-use")
    assert submit(client, place.make_mine("sets/ab")).status_code == 201
    place.run(job, succeed)
    assert submit(client, place.make_mine("sets/a")).status_code == 201


def test_a_job_is_cancelled_resumed_and_cancelled_while_it_waits(client: httpx.Client, place: JobPlace):
    job = submit(client, place.make_mine()).json()["id"]
    thread = place.start(job, wait_for_stop)
    stopped = client.post(f"/v1/jobs/{job}/cancel")
    assert (stopped.status_code, stopped.json()["cancel_requested"]) == (202, True)
    thread.join(20)
    assert client.get(f"/v1/jobs/{job}").json()["state"] == "CANCELLED"
    assert client.post(f"/v1/jobs/{job}/cancel").status_code == 202
    again = client.post(f"/v1/jobs/{job}/resume").json()
    assert (again["state"], again["attempt"]) == ("QUEUED", 1)
    assert [one.key for one in place.store.list_objects(f"jobs/{job}/resume/")] == [f"jobs/{job}/resume/0001"]
    assert client.post(f"/v1/jobs/{job}/resume").status_code == 202
    assert client.post(f"/v1/jobs/{job}/cancel").json()["state"] == "CANCELLED"
    client.post(f"/v1/jobs/{job}/resume")
    assert place.run(job, succeed).state == "SUCCEEDED"
    assert client.get(f"/v1/jobs/{job}").json()["attempt"] == 2


def test_a_job_that_has_not_begun_can_be_cancelled(client: httpx.Client, place: JobPlace):
    job = submit(client, place.make_mine()).json()["id"]
    assert client.post(f"/v1/jobs/{job}/cancel").json()["cancel_requested"]
    place.start(job, wait_for_stop).join(20)
    assert client.get(f"/v1/jobs/{job}").json()["state"] == "CANCELLED"


@pytest.mark.parametrize(
    ("work", "verb", "status"),
    [
        (None, "resume", 202),
        (None, "retry-failed", 409),
        (succeed, "cancel", 409),
        (succeed, "resume", 409),
        (succeed, "retry-failed", 409),
        (succeed_in_part, "cancel", 409),
        (succeed_in_part, "retry-failed", 201),
        (fail, "cancel", 409),
        (fail, "resume", 202),
        (fail, "retry-failed", 409),
    ],
)
def test_verbs_are_for_some_states(client: httpx.Client, place: JobPlace, work: Any, verb: str, status: int):
    job = submit(client, place.make_mine()).json()["id"]
    if work:
        place.start(job, work).join(20)
    answer = client.post(f"/v1/jobs/{job}/{verb}")
    assert answer.status_code == status, answer.text
    if status == 409:
        assert_problem(answer, 409, "wrong-state")


def test_failed_images_are_labelled_again_by_a_new_job(client: httpx.Client, place: JobPlace):
    job = submit(client, place.make_mine(labels=["espresso"])).json()["id"]
    place.run(job, succeed_in_part)
    twice = [client.post(f"/v1/jobs/{job}/retry-failed", headers={"Idempotency-Key": "r"}) for _ in range(2)]
    assert [one.status_code for one in twice] == [201, 200]
    [retry] = {one.json()["id"] for one in twice}
    assert retry != job
    spec = place.jobs.read_spec(retry)
    assert isinstance(spec, MineSpec)
    assert (spec.growth, spec.labels, spec.out) == ("failed-images", ("espresso",), str(place.data / "labels"))


def test_a_resume_waits_for_nobody_to_write_to_its_output(client: httpx.Client, place: JobPlace):
    job = submit(client, place.make_mine()).json()["id"]
    place.start(job, fail).join(20)
    assert submit(client, place.make_mine()).status_code == 201
    assert "errors" not in assert_refused(client.post(f"/v1/jobs/{job}/resume"), 409, "output-in-use")


def test_an_answer_has_an_etag_and_waits_for_news(client: httpx.Client, place: JobPlace):
    job = submit(client, place.make_mine()).json()["id"]
    etag = client.get(f"/v1/jobs/{job}").headers["etag"]
    named = {"If-None-Match": etag}
    assert client.get(f"/v1/jobs/{job}", headers=named).status_code == 304
    assert client.get(f"/v1/jobs/{job}?wait=0.3", headers=named).status_code == 304
    timer = threading.Timer(0.4, place.run, [job])
    timer.start()
    news = client.get(f"/v1/jobs/{job}?wait=20", headers=named)
    assert (news.status_code, news.headers["etag"] != etag) == (200, True)
    assert client.get(f"/v1/jobs/{job}?wait=20").json()["state"] == "SUCCEEDED"
    timer.join()
    assert_problem(client.get(f"/v1/jobs/{job}?wait=61"), 422, "invalid-parameter")


def test_the_list_is_newest_first_in_pages_and_by_kind_and_state(client: httpx.Client, place: JobPlace):
    jobs = [submit(client, place.make_mine(f"out{number}")).json()["id"] for number in range(5)]
    place.run(jobs[1], succeed)
    recut = {"kind": "recut", "label_set": str(place.data / "out1"), "out": str(place.data / "again")}
    jobs.append(submit(client, recut).json()["id"])
    client.get(f"/v1/jobs/{jobs[1]}")
    seen: list[str] = []
    cursor = {}
    while True:
        page = client.get("/v1/jobs", params={"limit": 2, **cursor}).json()
        seen += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == jobs[::-1]
    ids = lambda **query: [one["id"] for one in client.get("/v1/jobs", params=query).json()["items"]]  # noqa: E731
    assert ids(kind="recut") == [jobs[5]]
    assert ids(state="SUCCEEDED") == [jobs[1]]
    assert ids(kind="recut", state="SUCCEEDED") == []
    for query in ({"limit": 0}, {"limit": 201}, {"state": "DONE"}, {"cursor": "x"}, {"cursor": "W10"}, {"page": 1}):
        assert client.get("/v1/jobs", params=query).status_code == 422


def test_a_list_runs_the_paper_and_its_jobs_know_whom_they_come_after(client: httpx.Client, place: JobPlace):
    data = str(place.data)
    boxes = {"data": f"{data}/boxes"}
    pipeline = [
        place.make_mine(),
        {"kind": "pretrain", "label_set": {"job": 0}, "out": f"{data}/pretrained"},
        {"kind": "finetune", "checkpoint": {"job": 1, "output": "out"}, "out": f"{data}/tuned", **boxes},
        {"kind": "evaluate", "detector": f"{data}/tuned", "out": f"{data}/report", **boxes},
    ]
    answer = submit(client, pipeline, Idempotency_Key="paper")
    assert answer.status_code == 201, answer.text
    jobs = answer.json()["jobs"]
    ids = [one["id"] for one in jobs]
    assert [one["after"] for one in jobs] == [[], [ids[0]], [ids[1]], [ids[2]]]
    assert (jobs[1]["spec"]["label_set"], jobs[2]["spec"]["checkpoint"]) == (f"{data}/labels", f"{data}/pretrained")
    assert [one["id"] for one in submit(client, pipeline, Idempotency_Key="paper").json()["jobs"]] == ids
    assert_problem(submit(client, pipeline[:2], Idempotency_Key="paper"), 409, "idempotency-key-reused")
    later = submit(client, {"kind": "recut", "label_set": {"job": ids[0]}, "out": f"{data}/recut"}).json()
    assert (later["after"], later["spec"]["label_set"]) == ([ids[0]], f"{data}/labels")


@pytest.mark.parametrize(
    ("reference", "slug"),
    [({"job": 1}, "invalid-parameter"), ({"job": 0, "output": "labels"}, "invalid-parameter"), (True, None)],
)
def test_a_list_is_taken_whole_or_not_at_all(client: httpx.Client, place: JobPlace, reference: Any, slug: str | None):
    second = {"kind": "pretrain", "label_set": reference, "out": str(place.data / "labels" / "in")}
    if slug is None:
        second["label_set"] = str(place.data / "other")
    problem = submit(client, [place.make_mine(), second]).json()
    assert problem["type"] == f"/problems/{slug or 'output-in-use'}"
    assert problem["errors"][0]["pointer"] == ("#/1/label_set" if slug else "#/1/out")
    assert (list(place.store.list_objects("jobs/")), list(place.store.list_objects("outputs/"))) == ([], [])
