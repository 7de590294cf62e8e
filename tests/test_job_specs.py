"""Specs of jobs: what is asked for, from JSON and back, and what is refused."""

from __future__ import annotations

import json

import pytest

from dap_core.errors import InputError
from services.jobs.kinds import KINDS, find_runner, make_spec, parse_spec
from services.jobs.specs import MineSpec

MINE = {"kind": "mine", "source": ["s3://photos/animals"], "out": "s3://labels/animals"}


def test_a_spec_comes_back_from_json_as_it_was():
    spec = make_spec({**MINE, "labels": ["auto"], "short_sides": [96, 160], "label_map": {"cat": "Egyptian cat"}})
    assert isinstance(spec, MineSpec)
    assert parse_spec(spec.to_json()) == spec


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_job_can_be_run(kind: str):
    assert callable(find_runner(KINDS[kind].model_construct(kind=kind)))


def test_a_stored_spec_says_everything_so_that_later_defaults_change_nothing():
    assert json.loads(make_spec(MINE).to_json()).keys() == MineSpec.model_fields.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "mien"}, "got 'mien'"),
        ({"kind": None}, '"kind": one of mine, '),
        ({"source": []}, "source: Tuple should have at least 1 item"),
        ({"max_failure": 0.1}, "max_failure: Extra inputs are not permitted, got 0.1"),
        ({"max_failures": 5}, "max_failures: Input should be less than or equal to 1, got 5"),
        ({"labels": ["cat"], "label_pattern": "(?P<label>.)"}, "labels and label_pattern exclude each other"),
        ({"ray": "auto"}, "say how many with labelers"),
        ({"out": "gs://bucket/labels"}, "a store is s3://bucket/prefix or a local directory, got gs://"),
        ({"source": ["s3://key:secret@photos/animals"]}, "expected s3://bucket/prefix without '..', user or query"),
    ],
)
def test_a_spec_that_cannot_be_is_refused_by_field(changes: dict[str, object], message: str):
    with pytest.raises(InputError) as caught:
        make_spec({**MINE, **changes}, "job.json")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("{", "job.json is no JSON"), ("[]", '"kind": one of mine')])
def test_what_is_no_spec_is_refused(text: str, message: str):
    with pytest.raises(InputError, match=message):
        parse_spec(text, "job.json")
