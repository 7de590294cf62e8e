"""The parts of `dap_client` that ask nothing: errors, arguments, the retry policy, batches."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dap_client
import numpy as np
import pytest
from dap_client import errors
from dap_client.addresses import make_http_options
from dap_client.errors import error_of_problem
from dap_client.images import MAX_BATCH_BYTES, batch_images
from dap_client.parameters import BoxOptions, LabelChoice, write_params, write_query
from dap_client.problems import parse_retry_after, problem_of_answer, read_problem
from dap_client.retrying import RetryPolicy
from hypothesis import given
from hypothesis import strategies as st

from services.api.problems import PROBLEMS
from tests.client_builders import (
    make_response,
)

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def test_importing_drags_nothing_in():
    code = (
        "import sys, httpx; before = set(sys.modules); import dap_client; "
        "print(*{one.partition('.')[0] for one in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    brought = set(run.stdout.split())
    assert "dap_client" in brought
    assert brought - {"dap_client"} <= sys.stdlib_module_names


def test_every_error_can_be_imported_by_name():
    classes = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
    assert classes == set(errors.__all__)
    assert classes < set(dap_client.__all__)
    assert all(hasattr(dap_client, name) for name in dap_client.__all__)


def test_every_problem_type_of_the_contract_has_its_class():
    page = (Path(__file__).parents[1] / "docs" / "http-api.md").read_text(encoding="utf-8")
    table = page.partition("| type | status | when |")[2].partition("## Keys")[0]
    slugs = set(re.findall(r"`([a-z0-9-]+)`", re.sub(r"\|[^|]*\|[^|]*\|$", "", table, flags=re.MULTILINE)))
    assert len(slugs) > 25
    for slug in slugs | set(PROBLEMS):
        error = error_of_problem(read_problem({"type": f"/problems/{slug}", "status": 400}))
        assert type(error).__name__ == "".join(part.capitalize() for part in slug.split("-"))


def test_what_the_service_calls_retryable_is_retried():
    retried = {kind.status for kind in PROBLEMS.values() if kind.retryable}
    assert retried - {408} == {503, 504}  # 408 is for slow senders; the same one would be slow again


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, errors.ServiceUnavailable),
        (502, errors.ServiceUnavailable),
        (503, errors.ServiceUnavailable),
        (504, errors.ServiceUnavailable),
        (401, errors.AccessDenied),
        (403, errors.AccessDenied),
        (404, errors.InvalidRequest),
        (418, errors.InvalidRequest),
        (500, errors.ServiceDefect),
        (507, errors.ServiceDefect),
    ],
)
def test_a_type_that_is_not_known_gives_the_class_of_its_status(status, expected):
    assert type(error_of_problem(read_problem({"type": "/problems/from-tomorrow", "status": status}))) is expected


def test_an_error_has_the_fields_of_its_problem_and_says_them():
    problem = read_problem(
        {
            "type": "/problems/unknown-parameter",
            "title": "There is no such parameter",
            "status": 422,
            "detail": "there is no parameter 'treshold'",
            "instance": "/v1/requests/r7",
            "request_id": "r7",
            "retryable": False,
            "errors": [{"pointer": "#/params/treshold", "detail": "there is no such parameter"}],
        }
    )
    error = error_of_problem(problem)
    assert isinstance(error, dap_client.UnknownParameter)
    assert (error.slug, error.status, error.request_id, error.retryable) == ("unknown-parameter", 422, "r7", False)
    assert (error.title, error.detail, error.retry_after_s) == (problem.title, problem.detail, None)
    assert error.errors[0].pointer == "#/params/treshold"
    assert str(error) == (
        "422 unknown-parameter: there is no parameter 'treshold'; "
        "#/params/treshold: there is no such parameter (request r7)"
    )
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert (type(again), again.problem) == (type(error), problem)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>no</html>", b"[1]", b'"x"', b"null", b"\xff\xfe", b'{"detail": 3}', b'{"errors": 5, "status": "x"}'],
)
def test_an_error_answer_of_any_content_is_a_problem_of_its_status(body):
    problem = problem_of_answer(make_response(503, body, Retry_After="4", X_Request_Id="r9"), NOW)
    assert (problem.status, problem.retry_after_s, problem.request_id) == (503, 4, "r9")
    assert str(problem).startswith("503 about:blank: ")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("9" * 400, 1e9),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30),
        ("Thu, 41 Jan 2026 12:00:30 GMT", None),
        ("Thu, 01 Jan 99999999999999999999 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(value, seconds):
    assert parse_retry_after(value, NOW) == seconds


def test_waits_double_up_to_the_longest_and_end_after_the_retries():
    policy = RetryPolicy(max_retries=7, budget_s=1000)
    waits = [policy.plan_wait(attempt, 0, None, 0.9999999) for attempt in range(1, 9)]
    assert waits[:-1] == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 10], rel=1e-6)
    assert waits[-1] is None


@given(
    attempt=st.integers(1, 10**6),
    waited=st.floats(0, 100),
    asked=st.none() | st.floats(0, 1e9),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_is_never_shorter_than_asked_nor_beyond_the_budget(attempt, waited, asked, jitter):
    policy = RetryPolicy(max_retries=10**6, budget_s=60)
    wait = policy.plan_wait(attempt, waited, asked, jitter)
    if wait is None:
        assert waited + (asked or 0) + policy.longest_wait_s > 60
    else:
        assert wait >= (asked or 0)
        assert wait >= 0.125
        assert waited + wait <= 60


def test_no_retries_can_be_asked_for_but_not_fewer():
    assert RetryPolicy(max_retries=0).plan_wait(1, 0, None, 0) is None
    with pytest.raises(ValueError, match="max_retries must be 0 or more, got -1"):
        RetryPolicy(max_retries=-1)


@pytest.mark.parametrize(
    ("labels", "num_images", "expected"),
    [
        ("auto", 2, "auto"),
        (["auto"], 2, "auto"),
        ("tench", 2, ["tench"]),
        (7, 2, [7]),
        (np.int64(7), 2, [7]),
        (["tench", 7], 2, ["tench", 7]),
        (np.array([3, 4]), 1, [3, 4]),
        ([["tench"], ["auto"]], 2, [["tench"], ["auto"]]),
        (["auto", ["tench", 3]], 2, [["auto"], ["tench", 3]]),
        (("tench",), 1, ["tench"]),
        ([], 0, []),
    ],
)
def test_labels_are_sent_for_all_images_or_for_each(labels, num_images, expected):
    assert LabelChoice(labels, num_images).of_images(0, num_images) == expected


@pytest.mark.parametrize(
    ("labels", "num_images", "error", "message"),
    [
        ([["a"], ["b"]], 3, ValueError, "as many lists of labels as images are needed, got 2 for 3"),
        ([["a"], []], 2, ValueError, "image 1 has no label"),
        ([], 1, ValueError, "labels are empty"),
        (True, 1, TypeError, "got a bool"),
        ([1.5], 1, TypeError, "got 1.5"),
        ([None], 1, TypeError, "got None"),
        (None, 1, TypeError, "got None"),
    ],
)
def test_labels_that_cannot_be_are_refused_before_anything_is_sent(labels, num_images, error, message):
    with pytest.raises(error, match=message):
        LabelChoice(labels, num_images)


def test_options_are_written_alike_in_json_and_in_the_query():
    options = BoxOptions("paper", (0.2, np.float64(0.5)), np.array([64]), 1, cams=True)
    assert json.loads(write_params(["a"], options)) == {
        "labels": ["a"],
        "recipe": "paper",
        "thresholds": [0.2, 0.5],
        "scales": [64],
        "nms_iou": 1.0,
        "cams": True,
    }
    assert write_query(["a b", 3], options) == (
        ("labels", "a b"),
        ("labels", "3"),
        ("recipe", "paper"),
        ("thresholds", "0.2"),
        ("thresholds", "0.5"),
        ("scales", "64"),
        ("nms_iou", "1.0"),
        ("cams", "true"),
    )
    assert json.loads(write_params("auto", BoxOptions())) == {"labels": "auto"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_params("auto", BoxOptions(nms_iou=float("nan")))


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8000", "localhost:8000", "ftp://host", "http://", "http://a/?b=c", "http://a/#b", "http://[::1", 7],
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match=r"url must be an address such as http://127\.0\.0\.1:8000"):
        dap_client.Client(url)


def test_secrets_never_show():
    with pytest.raises(ValueError, match="give the key as api_key") as refused:
        dap_client.Client("http://me:hunter2@host")
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ValueError, match="api_key must be visible ASCII") as refused:
        dap_client.Client(api_key="dap_hunter2\n")
    assert "hunter2" not in str(refused.value)
    with dap_client.Client("https://host/dap", api_key="dap_hunter2") as client:
        assert repr(client) == "Client('https://host/dap/')"


def test_proxies_of_the_environment_are_for_other_machines():
    urls = ("http://127.0.0.1:1", "http://localhost", "http://[::1]:1", "http://host", "https://127.0.0.1")
    assert [make_http_options(url, None, 1)["trust_env"] for url in urls] == [False, False, False, True, True]


def test_batches_hold_at_most_32_images_and_16_mb_and_files_are_read_in_their_turn(tmp_path):
    assert [len(batch) for batch in batch_images([b"x"] * 70)] == [32, 32, 6]
    large = b"x" * (MAX_BATCH_BYTES // 2 + 1)
    assert [len(batch) for batch in batch_images([b"x", large, large, b"x", large * 2, b"x"])] == [2, 2, 1, 1]
    batches = batch_images([b"x"] * 33 + [tmp_path / "later.png"])
    assert len(next(batches)) == 32
    (tmp_path / "later.png").write_bytes(b"now")
    _, later = next(batches)
    assert (later.name, later.data) == (str(tmp_path / "later.png"), b"now")
