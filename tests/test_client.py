"""`dap_client` on the wire: retries, errors, batches; against scripted servers that misbehave on purpose."""

from __future__ import annotations

import dap_client
import httpx
import numpy as np
import pytest

from tests.client_builders import (
    BOTH_CLIENTS,
    CUT,
    SILENT,
    Reply,
    answer_all,
    call,
    make_answer,
    make_item,
    make_problem,
    record_waits,
    serve_replies,
)

BUSY = make_problem("overloaded", 503, headers={"Retry-After": "2"}, retry_after_s=2, retryable=True)


@pytest.fixture(params=BOTH_CLIENTS)
def kind(request) -> str:
    """Which client."""
    return request.param


def test_the_key_of_the_environment_is_not_read(kind, monkeypatch):
    monkeypatch.setenv("DAP_API_KEY", "dap_x")
    with serve_replies(Reply(body=b'{"ready": true}')) as server:
        assert call(kind, server.url, "ready")
        assert call(kind, server.url, "ready", client={"api_key": "dap_y"})
    assert [seen.headers.get("authorization") for seen in server.seen] == [None, "Bearer dap_y"]
    assert server.seen[0].headers["user-agent"] == f"dap-client/{dap_client.__version__}"


def test_times_and_images_that_cannot_be_are_refused(kind):
    with pytest.raises(ValueError, match="timeout_s must be more than 0, got 0"):
        dap_client.Client(timeout_s=0)
    with pytest.raises(TypeError, match=r"an image must be a path, bytes, .* got int"):
        call(kind, "http://127.0.0.1:1", "label", 5)
    with pytest.raises(TypeError, match="got list"):
        call(kind, "http://127.0.0.1:1", "overlay", [b"x"])
    with pytest.raises(ValueError, match=r"uint8 \[height, width, 3\] in RGB, got float64 \[4, 4, 3\]"):
        call(kind, "http://127.0.0.1:1", "label", np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match=r"must have pixels, got \[0, 4, 3\]"):
        call(kind, "http://127.0.0.1:1", "label", np.zeros((0, 4, 3), np.uint8))
    with pytest.raises(FileNotFoundError):
        call(kind, "http://127.0.0.1:1", "label", "/no/such.png")


def test_many_images_go_in_several_requests_in_order_with_their_own_labels(kind):
    with serve_replies(answer_all) as server:
        results = call(kind, server.url, "label", [b"x"] * 70, [[number + 1] for number in range(70)])
    assert [seen.num_images for seen in server.seen] == [32, 32, 6]
    assert [(result.index, result.width) for result in results] == [(number, number + 1) for number in range(70)]
    assert server.seen[2].params == {"labels": [[number + 1] for number in range(64, 70)]}


def test_no_image_asks_nothing(kind):
    assert call(kind, "http://127.0.0.1:1", "label", []) == []


@pytest.mark.parametrize(
    "refusal", [make_problem("too-many-parts", 413), make_problem("deadline-exceeded", 504), Reply(413, b"<html>")]
)
def test_what_is_too_much_at_once_is_sent_in_halves(kind, monkeypatch, refusal):
    waits = record_waits(monkeypatch)
    with serve_replies(lambda seen: refusal if seen.num_images > 3 else answer_all(seen)) as server:
        results = call(kind, server.url, "label", [b"x"] * 9, [[number + 1] for number in range(9)])
    assert [seen.num_images for seen in server.seen] == [9, 4, 2, 2, 5, 2, 3]
    assert [(result.index, result.width) for result in results] == [(number, number + 1) for number in range(9)]
    assert waits == []


def test_an_image_that_is_too_large_alone_is_its_own_problem(kind, tmp_path):
    def refuse_large(seen):
        return make_problem("part-too-large", 413, request_id="r3") if b"LARGE" in seen.body else answer_all(seen)

    (tmp_path / "big.png").write_bytes(b"LARGE")
    with serve_replies(refuse_large) as server:
        results = call(kind, server.url, "label", [b"x", b"x", tmp_path / "big.png"])
    assert [result.index for result in results] == [0, 1, 2]
    assert [result.problem is None for result in results] == [True, True, False]
    with pytest.raises(dap_client.PartTooLarge, match="413 part-too-large: it is part-too-large"):
        results[2].raise_for_problem()
    assert results[2].raw["name"] == str(tmp_path / "big.png")
    assert results[2].raw["problem"]["type"] == "/problems/part-too-large"


def test_a_single_image_that_is_too_late_is_tried_again_and_then_an_error(kind, monkeypatch):
    waits = record_waits(monkeypatch)
    with (
        serve_replies(make_problem("deadline-exceeded", 504)) as server,
        pytest.raises(dap_client.DeadlineExceeded),
    ):
        call(kind, server.url, "label", b"x", client={"max_retries": 2})
    assert (len(server.seen), len(waits)) == (3, 2)


def test_a_busy_service_is_asked_again_after_the_time_it_asked_for(kind, monkeypatch):
    waits = record_waits(monkeypatch)
    with serve_replies(BUSY, make_problem("model-not-ready", 503), Reply(429), answer_all) as server:
        [result] = call(kind, server.url, "label", b"x")
    assert result.width == 40
    assert 2 <= waits[0] < 2.25
    assert 0.25 <= waits[1] <= 0.5
    assert 0.5 <= waits[2] <= 1
    assert len({seen.params["labels"] for seen in server.seen}) == 1
    assert [seen.num_images for seen in server.seen] == [1, 1, 1, 1]


def test_retries_end_with_the_error_and_its_fields(kind, monkeypatch):
    waits = record_waits(monkeypatch)
    with serve_replies(BUSY) as server, pytest.raises(dap_client.Overloaded) as refused:
        call(kind, server.url, "models", client={"max_retries": 3})
    assert (len(server.seen), len(waits)) == (4, 3)
    assert (refused.value.retryable, refused.value.retry_after_s, refused.value.status) == (True, 2, 503)
    assert refused.value.__notes__ == [f"GET {server.url}/v1/models, given up after 4 attempts"]


def test_who_would_have_to_wait_too_long_gets_the_error_at_once(kind, monkeypatch):
    waits = record_waits(monkeypatch)
    busy = make_problem("overloaded", 503, headers={"Retry-After": "11"})
    with serve_replies(busy) as server, pytest.raises(dap_client.Overloaded) as refused:
        call(kind, server.url, "limits", client={"timeout_s": 10})
    assert (len(server.seen), waits, refused.value.retry_after_s) == (1, [], 11)


def test_all_waits_together_stay_within_the_budget(kind, monkeypatch):
    waits = record_waits(monkeypatch)
    busy = make_problem("overloaded", 503, headers={"Retry-After": "4"})
    with serve_replies(busy) as server, pytest.raises(dap_client.Overloaded):
        call(kind, server.url, "limits", client={"timeout_s": 10})
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (make_problem("unauthenticated", 401), dap_client.Unauthenticated),
        (make_problem("forbidden", 403), dap_client.Forbidden),
        (make_problem("unknown-parameter", 422, headers={"Retry-After": "1"}), dap_client.UnknownParameter),
        (make_problem("request-timeout", 408), dap_client.RequestTimeout),
        (make_problem("internal-error", 500), dap_client.InternalError),
        (Reply(502, b"<html>bad gateway</html>"), dap_client.ServiceUnavailable),
        (Reply(404, b"nothing here"), dap_client.InvalidRequest),
        (Reply(302, b"", {"Location": "http://elsewhere/"}), dap_client.UnexpectedAnswerError),
        (Reply(200, b"<html>hello</html>", {"Content-Type": "text/html"}), dap_client.UnexpectedAnswerError),
        (Reply(200, b"[]"), dap_client.UnexpectedAnswerError),
        (Reply(200, b'{"items": []}'), dap_client.UnexpectedAnswerError),
        (Reply(200, b"x", {"Content-Encoding": "gzip"}), dap_client.UnexpectedAnswerError),
    ],
)
def test_what_would_be_the_same_again_is_asked_once(kind, reply, error):
    with serve_replies(reply) as server, pytest.raises(error):
        call(kind, server.url, "label", b"x", client={"api_key": "dap_x"})
    assert len(server.seen) == 1


def test_a_connection_that_breaks_is_made_again(kind, monkeypatch):
    waits = record_waits(monkeypatch)
    whole = make_answer(make_item())
    half = Reply(200, whole.body, cut_after=20)
    with serve_replies(CUT, half, whole) as server:
        [result] = call(kind, server.url, "label", b"x")
    assert (result.label_ids, len(server.seen), len(waits)) == ((285,), 3, 2)


def test_where_nobody_listens_the_error_says_where_and_how_often(kind, monkeypatch):
    waits = record_waits(monkeypatch)
    with serve_replies(CUT) as server:
        url = server.url
    with pytest.raises(dap_client.UnreachableError, match=f"POST {url}/v1/boxes: no connection after 6 attempts") as no:
        call(kind, url, "label", b"x")
    assert len(waits) == 5
    assert isinstance(no.value.__cause__, httpx.ConnectError)
    assert call(kind, url, "ready") is False


def test_a_service_that_never_answers_is_given_its_time_once(kind):
    with serve_replies(SILENT) as server, pytest.raises(dap_client.AnswerTimeoutError, match="not answered in time"):
        call(kind, server.url, "label", b"x", client={"timeout_s": 0.3})
    assert len(server.seen) == 1


def test_ready_asks_once(kind):
    with serve_replies(make_problem("model-not-ready", 503, headers={"Retry-After": "2"})) as server:
        assert call(kind, server.url, "ready") is False
    assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/readyz")]


def test_an_unknown_label_of_all_images_is_an_error_and_of_one_its_problem(kind):
    problem = {"type": "/problems/unknown-label", "status": 422, "detail": "label 'unicorn' is no ..."}
    bad = {"index": 0, "name": "x", "problem": problem}
    with serve_replies(make_answer(bad)) as server, pytest.raises(dap_client.UnknownLabel, match="unicorn"):
        call(kind, server.url, "label", b"x", "unicorn")
    with serve_replies(make_answer(bad, make_item())) as server:
        results = call(kind, server.url, "label", [b"x", b"y"], [["unicorn"], ["tench"]])
    assert [result.problem is None for result in results] == [False, True]


def test_a_picture_is_asked_for_with_the_image_as_the_body(kind):
    with serve_replies(Reply(200, b"\x89PNG", {"Content-Type": "image/png"})) as server:
        assert call(kind, server.url, "overlay", b"bytes", ["tench", 3], scales=[64]) == b"\x89PNG"
    [seen] = server.seen
    assert (seen.method, seen.body, seen.headers["accept"]) == ("POST", b"bytes", "image/png")
    assert seen.path == "/v1/boxes?labels=tench&labels=3&scales=64"
    with serve_replies(Reply(200, b"{}")) as server, pytest.raises(dap_client.UnexpectedAnswerError, match="picture"):
        call(kind, server.url, "overlay", b"bytes")


def test_an_address_may_have_a_path(kind):
    with serve_replies(Reply(200, b'{"total": 0, "classes": []}')) as server:
        found = call(kind, server.url + "/dap/", "classes", "cat & dog", 3)
    assert (found.total, found.classes) == (0, ())
    assert server.seen[0].path == "/dap/v1/classes?search=cat+%26+dog&limit=3"
