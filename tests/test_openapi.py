"""The OpenAPI document against the real application, and the table of problems against what is raised and written."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from dap_core.errors import ImageError, UnknownLabelError
from dap_core.labeler import PseudoLabeler
from dap_core.stores import LocalStore
from services.api.app import create_app
from services.api.problems import PROBLEMS
from services.detecting import ChildDetecting
from services.jobs.job_desk import open_desk
from services.jobs.refusals import JobRefusedError
from services.keys import KeyRing
from services.labeling import LabelerPool
from services.settings import ServiceSettings
from tests.builders import encode_image, make_scene, make_toy_classifier

ROOT = Path(__file__).resolve().parents[1]
PNG = encode_image(make_scene((100, 75), (20, 15, 55, 45)))
JOBS = [
    ("POST", "/v1/jobs"),
    ("POST", "/v1/jobs:plan"),
    ("POST", "/v1/jobs:preview"),
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/{job}"),
    ("GET", "/v1/checkpoints"),
    ("GET", "/v1/checkpoints/{job}"),
    ("POST", "/v1/detections"),
    *(("POST", f"/v1/jobs/{{job}}/{verb}") for verb in ("cancel", "resume", "retry-failed")),
    *(
        ("GET", f"/v1/jobs/{{job}}/{what}")
        for what in ("events", "failures", "samples", "metrics", "artifacts", "logs", "failures/{number}/file")
    ),
    *(
        ("GET", f"/v1/jobs/{{job}}/label-set{what}")
        for what in ("", "/images", "/images/{number}", "/images/{number}/file")
    ),
]
ROUTES = [
    ("POST", "/v1/boxes"),
    *(("GET", path) for path in ("/v1/classes", "/v1/models", "/v1/limits", "/healthz", "/readyz", "/metrics")),
    ("GET", "/problems/{slug}"),
]
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pool = LabelerPool(PseudoLabeler(make_toy_classifier()))
    given = ServiceSettings(store=str(tmp_path_factory.mktemp("store")))
    detecting = ChildDetecting(answer_s=given.deadline_s)
    keys, desk = KeyRing(LocalStore(given.store)), open_desk(given)
    app = create_app(pool, keys=keys, settings=given, jobs=desk, detecting=detecting)
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    pool.close()


def try_cases(operation: Any, mode: GenerationMode, call: Callable[[Any], Any], count: int = 20) -> set[int]:
    """Calls with made-up requests, always the same ones, and checks the answers by the document; their statuses."""
    statuses: set[int] = set()

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        answer = call(case)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    run()
    return statuses


def test_the_document_has_every_route(document: Any):
    operations = [one.ok() for one in document.get_all_operations()]
    assert {(one.method.upper(), one.path) for one in operations} == {*ROUTES, *JOBS}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_requests_by_the_document_are_answered_as_it_says(document: Any, method: str, path: str):
    """No status, content type, header or shape that is not in it; so no 5xx but 503 and 504."""
    statuses = try_cases(document[path][method], GenerationMode.POSITIVE, lambda case: case.call())
    assert statuses <= ({422, 415, 413, 200} if method == "POST" else {200})


@pytest.mark.parametrize(("method", "path"), JOBS)
def test_requests_for_jobs_are_answered_as_the_document_says(document: Any, method: str, path: str):
    """Made-up jobs name places that are not allowed, and made-up ids are those of no job."""
    statuses = try_cases(document[path][method], GenerationMode.POSITIVE, lambda case: case.call())
    assert statuses <= {200, 201, 404, 409, 422}


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/boxes"), ("GET", "/v1/classes"), ("POST", "/v1/jobs"), ("GET", "/v1/jobs")]
)
def test_requests_against_the_document_are_refused_as_it_says(document: Any, method: str, path: str):
    statuses = try_cases(document[path][method], GenerationMode.NEGATIVE, lambda case: case.call(), count=40)
    assert all(400 <= status < 500 for status in statuses)


@pytest.mark.parametrize("accept", ["application/json", "image/png"])
def test_any_documented_parameters_with_a_good_image_give_an_answer(document: Any, accept: str):
    def call(case: schemathesis.Case) -> Any:
        case.body, case.media_type, case.multipart_content_types = PNG, "image/png", None
        case.query = {name: value for name, value in (case.query or {}).items() if name != "labels"}
        return case.call(headers={"Accept": accept})

    assert try_cases(document["/v1/boxes"]["POST"], GenerationMode.POSITIVE, call) == {200}


def find_raised() -> set[str]:
    """The slugs in the code of the API: what is given to ProblemError, and what stands for a bare status."""
    found: set[str] = set()
    for path in (ROOT / "services").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ProblemError":
                found |= {one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)}
    return found | {"not-found", "method-not-allowed", "bad-request"}


def test_every_problem_that_is_raised_has_a_row_and_every_row_is_raised():
    kinds_of_images = ImageError.KINDS - {"unreadable-file"}  # of a path; over HTTP there are none
    others = {UnknownLabelError.error_type, "internal-error"}
    assert find_raised() | kinds_of_images | JobRefusedError.KINDS | others == set(PROBLEMS)


def test_the_page_about_the_interface_has_every_problem_with_its_status():
    text = (ROOT / "docs" / "http-api.md").read_text()
    rows = re.findall(r"^\| (`[a-z`, -]+) \| ([0-9]{3}[^|]*) \|", text, re.MULTILINE)
    written = {}
    for slugs, statuses in rows:
        names, numbers = re.findall(r"[a-z-]+", slugs), [int(one) for one in re.findall(r"\d{3}", statuses)]
        written.update(zip(names, numbers if len(numbers) > 1 else numbers * len(names), strict=True))
    assert written == {slug: kind.status for slug, kind in PROBLEMS.items()}
