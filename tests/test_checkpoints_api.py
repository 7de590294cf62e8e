"""Trained models over HTTP: which job made them, from what, and what was measured of them."""

from __future__ import annotations

from typing import Any

import httpx

from dap_core.classifier_checkpoints import save_classifier
from dap_core.classifiers import make_network
from dap_core.stores import LocalStore
from services.jobs.context import JobContext
from services.jobs.outcomes import Outcome
from services.jobs.records import JobState
from tests.api_builders import assert_problem
from tests.builders import make_classes
from tests.detector_builders import TINY
from tests.job_api_builders import JobPlace
from tests.model_job_builders import add_detector, add_evaluation, make_finetune, run, submit, write_detector


class CountingStore(LocalStore):
    """Counts the objects that are read."""

    num_read = 0

    def get(self, key: str, *, etag: str | None = None) -> bytes:
        type(self).num_read += 1
        return super().get(key, etag=etag)


def list_models(client: httpx.Client, **params: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/checkpoints", params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def add_classifier(client: httpx.Client, place: JobPlace, out: str = "classifier", num_classes: int = 30) -> str:
    spec = {"kind": "train-classifier", "source": [str(place.data / "photos")], "out": str(place.data / out)}
    job = submit(client, spec)
    recipe = {"name": "classifier-laptop"}
    network, classes = make_network(TINY, num_classes), make_classes(num_classes)
    save_classifier(LocalStore(place.data / out), network, classes, step=5, recipe=recipe, parents={})
    run(client, place, job)
    return job


def test_a_detector_is_told_of_with_its_checkpoint(client: httpx.Client, place: JobPlace):
    job = add_detector(client, place)
    [item] = list_models(client)
    assert (item["job"], item["kind"], item["state"]) == (job, "finetune", "SUCCEEDED")
    assert (item["place"], item["step"], item["recipe"]) == (str(place.data / "tuned"), 7, "finetune-laptop")
    assert (item["architecture"], item["backbone"], item["class_agnostic"]) == ("faster_rcnn", TINY, False)
    assert (item["num_classes"], item["classes"]) == (3, ["class 0", "class 1", "class 2"])
    one = client.get(f"/v1/checkpoints/{job}").json()
    assert {name: one[name] for name in item} == item
    assert one["spec"]["data"] == str(place.data / "drawn.json")
    assert one["checkpoint"]["backbone"]["name"] == TINY


def test_a_classifier_has_no_backbone_and_its_first_classes_in_the_list(client: httpx.Client, place: JobPlace):
    job = add_classifier(client, place)
    [item] = list_models(client, kind="train-classifier")
    assert (item["architecture"], item["backbone"], item["class_agnostic"]) == (TINY, None, False)
    assert (item["num_classes"], len(item["classes"])) == (30, 20)
    assert len(client.get(f"/v1/checkpoints/{job}").json()["classes"]) == 30
    assert list_models(client, kind="finetune") == []


def test_parents_are_the_jobs_that_wrote_there(client: httpx.Client, place: JobPlace):
    """By reference, by place, and below a place."""
    mined = submit(client, place.make_mine("labels"))
    run(client, place, mined)
    out = {"out": str(place.data / "pretrained")}
    pretrained = submit(client, {"kind": "pretrain", "label_set": {"job": mined}, "classifier": "lite0", **out})
    write_detector(out["out"])
    run(client, place, pretrained)
    tuned = add_detector(client, place, checkpoint=str(place.data / "pretrained" / "steps" / "100"))
    found = {item["job"]: item["parents"] for item in list_models(client)}
    assert found[pretrained] == [
        {"role": "labels", "place": str(place.data / "labels"), "job": mined},
        {"role": "classifier", "place": "lite0", "job": None},
    ]
    assert [(one["role"], one["job"]) for one in found[tuned]] == [("checkpoint", pretrained), ("data", None)]


def test_a_parent_is_the_job_that_was_waited_for_else_the_newest_before(client: httpx.Client, place: JobPlace):
    first = add_detector(client, place, "base")
    second = add_detector(client, place, "base")
    by_place = add_detector(client, place, "by-place", checkpoint=str(place.data / "base"))
    by_job = add_detector(client, place, "by-job", checkpoint={"job": first})
    later = add_detector(client, place, "base")
    found = {item["job"]: item["parents"][0]["job"] for item in list_models(client)}
    assert (found[by_place], found[by_job]) == (second, first)
    assert later in found


def test_results_are_of_this_model_and_not_of_another_that_was_there(client: httpx.Client, place: JobPlace):
    old = write_detector(str(place.data / "tuned"), seed=5)
    job = add_detector(client, place)
    sha256 = client.get(f"/v1/checkpoints/{job}").json()["checkpoint"]["tensors_sha256"]
    add_evaluation(client, place, "tuned", old, 0.1)
    measured = add_evaluation(client, place, "tuned", sha256, 0.25)
    [item] = list_models(client)
    assert item["results"] == [{"job": measured, "data": str(place.data / "test.json"), "ap": 0.25, "ap50": 0.5}]


def test_jobs_without_a_checkpoint_are_not_listed(client: httpx.Client, place: JobPlace):
    """Nor one that failed where the checkpoint of another lies, nor one whose checkpoint is damaged."""
    waiting, broken = (submit(client, make_finetune(place, out)) for out in ("waiting", "broken"))
    write_detector(str(place.data / "broken"))
    run(client, place, broken, lambda *_: Outcome(JobState.FAILED, {}, "it is broken"))
    damaged = add_detector(client, place, "damaged")
    (place.data / "damaged" / "checkpoint.json").write_text('{"step": NaN}')
    folder = add_detector(client, place, "folder")
    (place.data / "folder" / "checkpoint.json").unlink()
    (place.data / "folder" / "checkpoint.json").mkdir()
    mined = submit(client, place.make_mine())
    assert list_models(client) == []
    for job, words in ((waiting, "is QUEUED"), (damaged, "NaN"), (folder, "cannot be used"), (mined, "of kind mine")):
        assert words in assert_problem(client.get(f"/v1/checkpoints/{job}"), 404, "not-found")["detail"]


def test_a_running_job_is_listed_once_it_has_written_its_checkpoint(client: httpx.Client, place: JobPlace):
    spec = make_finetune(place, "tuned")
    job = submit(client, spec)
    seen = []

    def train(_spec: Any, _context: JobContext) -> Outcome:
        client.get(f"/v1/jobs/{job}")
        seen.append(list_models(client))
        write_detector(spec["out"])
        seen.append(list_models(client))
        return Outcome(JobState.FAILED, {}, "it is broken")

    run(client, place, job, train)
    assert [[(item["job"], item["state"]) for item in items] for items in seen] == [[], [(job, "RUNNING")]]


def test_pages_follow_each_other_newest_first(client: httpx.Client, place: JobPlace):
    jobs = [add_detector(client, place, f"tuned-{number}") for number in range(5)]
    (place.data / "tuned-3" / "checkpoint.json").unlink()
    found, cursor = [], None
    while len(found) < 10:
        page = client.get("/v1/checkpoints", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        found.append([item["job"] for item in page["items"]])
        if not (cursor := page["next_cursor"]):
            break
    assert found == [[jobs[4], jobs[2]], [jobs[1], jobs[0]]]
    assert_problem(client.get("/v1/checkpoints", params={"cursor": "none"}), 422, "invalid-parameter")
    assert_problem(client.get("/v1/checkpoints", params={"kind": "mine"}), 422, "invalid-parameter")


def test_what_has_ended_is_read_once(place: JobPlace):
    with place.serve(place.make_desk(CountingStore(place.root))) as client:
        for number in range(4):
            add_detector(client, place, f"tuned-{number}")
            add_evaluation(client, place, f"tuned-{number}", "of another", 0.1)
        first = list_models(client)
        CountingStore.num_read = 0
        assert list_models(client) == first
        assert CountingStore.num_read == 0


def test_keys_see_the_models_of_their_own_jobs(place: JobPlace):
    ann, ben, cid = place.make_key("ann"), place.make_key("ben"), place.make_key("cid", "label")
    with place.serve() as client:
        base = add_detector(client, place, "base", headers=ann)
        tuned = add_detector(client, place, "tuned", headers=ben, checkpoint=str(place.data / "base"))
        seen = {who: client.get("/v1/checkpoints", headers=headers).json() for who, headers in (("a", ann), ("b", ben))}
        assert_problem(client.get(f"/v1/checkpoints/{base}", headers=ben), 404, "not-found")
        assert_problem(client.get("/v1/checkpoints", headers=cid), 403, "forbidden")
    assert [one["job"] for one in seen["a"]["items"]] == [base]
    [item] = seen["b"]["items"]
    assert (item["job"], item["parents"][0]["job"]) == (tuned, None)
