"""What the service tells about itself, to programs and to browsers, and what every answer carries."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from dap_core.recipes import RECIPES
from dap_core.types import ClassList
from services.api.info import find_classes
from services.api.problems import PROBLEMS
from tests.api_builders import MODEL, ScriptedLabeling, assert_problem, run_app

CLASSES = ClassList.from_pairs(
    [
        ("n02123045", "tabby"),
        ("n02127052", "lynx"),
        ("n02124075", "Egyptian cat"),
        ("n02123394", "Persian cat"),
        ("n03000684", "catamaran"),
        ("n01608432", "polecat"),
        ("n02445715", "Cat bear"),
    ]
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with run_app(ScriptedLabeling(), tmp_path_factory.mktemp("store")) as client:
        yield client


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("cat", ["Cat bear", "catamaran", "Egyptian cat", "Persian cat", "polecat"]),
        ("  PERSIAN   Cat ", ["Persian cat"]),
        ("n0212", ["Egyptian cat", "lynx", "Persian cat", "tabby"]),
        ("nothing", []),
        ("", [one.name for one in CLASSES.classes]),
    ],
)
def test_classes_that_begin_with_the_words_come_first(search: str, names: list[str]):
    assert [CLASSES[index].name for index in find_classes(CLASSES, search)] == names


def test_classes_are_found_and_counted_beyond_the_limit(client: httpx.Client):
    answer = client.get("/v1/classes", params={"search": "class", "limit": 2}).json()
    assert answer == {
        "total": 3,
        "classes": [
            {"index": 0, "wnid": "x0", "name": "class 0"},
            {"index": 1, "wnid": "x1", "name": "class 1"},
        ],
    }


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "ten", "1e3", ""])
def test_a_limit_out_of_range_is_pointed_at(client: httpx.Client, limit: str):
    problem = assert_problem(client.get("/v1/classes", params={"limit": limit}), 422, "invalid-parameter")
    assert [error["pointer"] for error in problem["errors"]] == ["#/query/limit"]


def test_the_model_is_described_with_its_recipes(client: httpx.Client):
    [model] = client.get("/v1/models").json()["models"]
    assert (model["classifier"], model["num_classes"]) == (MODEL.classifier, 3)
    assert (model["engine"], model["precision"], model["weights_sha256"]) == ("none", "float32", "0" * 64)
    assert set(model["recipes"]) == set(RECIPES)
    assert model["recipes"][model["default_recipe"]]["name"] == "aligned"


def test_limits_are_what_is_enforced(client: httpx.Client):
    assert client.get("/v1/limits").json() == {
        "max_body_bytes": 32 * 2**20,
        "max_image_bytes": 20 * 2**20,
        "max_pixels": 50_000_000,
        "min_side": 16,
        "max_aspect_ratio": 20.0,
        "max_scans": 100,
        "max_images": 32,
        "max_params_bytes": 64 * 2**10,
        "deadline_s": 30.0,
        "max_in_flight": 64,
    }


@pytest.mark.parametrize("slug", PROBLEMS)
def test_every_type_of_problem_has_a_page(client: httpx.Client, slug: str):
    kind = PROBLEMS[slug]
    assert client.get(f"/problems/{slug}").json() == {
        "type": f"/problems/{slug}",
        "status": kind.status,
        "title": kind.title,
        "advice": kind.advice,
        "retryable": kind.retryable,
    }


def test_an_unknown_type_of_problem_is_not_found(client: httpx.Client):
    assert "overloaded" in assert_problem(client.get("/problems/nonsense"), 404, "not-found")["detail"]


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/healthz", "/nothing", "/web/nothing.js"])
def test_every_answer_is_named_and_keeps_browsers_from_mischief(client: httpx.Client, path: str):
    answer = client.get(path, headers={"X-Request-Id": "a-Request_1.2"})
    assert answer.headers["x-request-id"] == "a-Request_1.2"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("given", ["a b", "x" * 65, "<script>", "", "ümlaut"])
def test_an_odd_request_id_is_replaced(client: httpx.Client, given: str):
    answers = [client.get("/healthz", headers={"X-Request-Id": given.encode()}) for _ in range(2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2
    assert given not in ids
    assert all(one.isalnum() for one in ids)


def test_other_origins_are_not_let_in(client: httpx.Client):
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (client.options("/v1/boxes", headers=origin), client.get("/healthz", headers=origin)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert_problem(client.options("/v1/boxes", headers=origin), 405, "method-not-allowed")


@pytest.mark.parametrize(
    "path", ["/web/../app.py", "/web/..%2f..%2fservices/keys.py", "/web/%2fetc/passwd", "/web/%00"]
)
def test_what_is_beside_the_routes_and_the_page_is_not_found(client: httpx.Client, path: str):
    assert_problem(client.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/v1/boxes", "POST"), ("DELETE", "/v1/limits", "GET"), ("POST", "/healthz", "GET")],
)
def test_a_wrong_method_is_told_the_right_one(client: httpx.Client, method: str, path: str, allowed: str):
    answer = client.request(method, path)
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/classes?serch=cat", "did you mean search?"),
        ("/v1/models?x=1", "known are: none"),
        ("/v1/limits?x=1", "known are: none"),
        ("/healthz?api_key=dap_x", "known are: none"),
        ("/metrics?x=1", "known are: none"),
        ("/problems/overloaded?x=1", "known are: none"),
    ],
)
def test_an_unknown_parameter_is_refused_on_every_route(client: httpx.Client, path: str, hint: str):
    problem = assert_problem(client.get(path), 422, "unknown-parameter")
    assert hint in problem["detail"]
    name = path.partition("?")[2].partition("=")[0]
    assert problem["errors"] == [{"pointer": f"#/query/{name}", "detail": "there is no such parameter"}]
