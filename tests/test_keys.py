"""Keys: made once, stored as hashes, checked in constant time, revoked within seconds, and asked for over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from clients.cli.main import app
from dap_core.errors import InputError, StoreError
from dap_core.stores import LocalStore
from services.keys import SCOPES, KeyRing, create_key, list_keys, revoke_key
from tests.api_builders import ScriptedLabeling, assert_problem, post_image, run_app


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass."""
    now = time.monotonic()

    def advance(seconds: float) -> None:
        nonlocal now
        now += seconds
        monkeypatch.setattr("services.keys.time.monotonic", lambda: now)

    advance(0)
    return advance


def test_a_token_has_256_random_bits_and_only_its_hash_is_stored(store: LocalStore):
    key, token = create_key(store, "laptop", ["label"])
    secret = re.fullmatch(rf"dap_{key.id}_([A-Za-z0-9_-]{{43}})", token)
    assert secret
    assert create_key(store, "laptop", ["label"])[1] != token
    stored = [(path, path.read_text()) for path in store.root.rglob("*") if path.is_file()]
    assert len(stored) == 2
    assert not [path for path, text in stored if secret[1] in text or secret[1] in path.name]
    assert key.sha256 == hashlib.sha256(secret[1].encode()).hexdigest()
    assert key in list_keys(store)


@pytest.mark.parametrize(
    ("name", "scopes"), [("a", []), ("a", ["root"]), ("", ["label"]), (" ", ["label"]), ("a\nb", ["label"])]
)
def test_a_key_needs_a_name_and_known_scopes(store: LocalStore, name: str, scopes: list[str]):
    with pytest.raises(InputError):
        create_key(store, name, scopes)
    assert list_keys(store) == []


def test_a_scope_allows_itself_and_admin_everything(store: LocalStore):
    for scope in SCOPES:
        key, _ = create_key(store, scope, [scope, scope])
        assert key.scopes == (scope,)
        assert [key.allows(one) for one in SCOPES] == [scope in (one, "admin") for one in SCOPES]


def test_a_key_is_checked_and_its_end_noticed_within_seconds(store: LocalStore, clock: Callable[[float], None]):
    ring = KeyRing(store)
    key, token = create_key(store, "laptop", ["label"])
    assert ring.check(token) == key
    revoked = revoke_key(store, key.id)
    assert revoked.revoked_at
    assert revoke_key(store, key.id) == revoked
    clock(5)
    assert ring.check(token) is None


def test_every_check_compares_once_and_in_constant_time(store: LocalStore, monkeypatch: pytest.MonkeyPatch):
    key, token = create_key(store, "laptop", ["label"])
    gone, gone_token = create_key(store, "old", ["label"])
    revoke_key(store, gone.id)
    compared: list[tuple[str, str]] = []
    compare = hmac.compare_digest

    def note(first: str, second: str) -> bool:
        compared.append((first, second))
        return compare(first, second)

    monkeypatch.setattr("services.keys.hmac.compare_digest", note)
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    unknown = token.replace(key.id, "0" * 12)
    ring = KeyRing(store)
    odd = [None, "", "dap_", unknown, wrong, gone_token, token + "\n", token.upper(), "dap_" + "x" * 10**5, "dap_é"]
    assert [ring.check(one) for one in odd] == [None] * len(odd)
    assert ring.check(token) == key
    assert len(compared) == len(odd) + 1
    assert {len(one) for pair in compared for one in pair} == {64}


def test_keys_are_asked_for_when_told_so_or_once_one_was_made(store: LocalStore, clock: Callable[[float], None]):
    assert KeyRing(store, required=True).is_required
    ring = KeyRing(store)
    assert not ring.is_required
    key, _ = create_key(store, "laptop", ["label"])
    clock(5)
    assert ring.is_required
    revoke_key(store, key.id)
    clock(5)
    assert ring.is_required
    assert KeyRing(store).is_required
    store.delete(f"keys/{key.id}.json")
    clock(5)
    assert ring.is_required  # a store that lost its keys opens nothing


def test_a_record_that_cannot_be_read_lets_nobody_in(store: LocalStore):
    store.put("keys/0123456789ab.json", b'{"id": 1}')
    with pytest.raises(StoreError, match="is not the record of a key"):
        KeyRing(store).check("dap_")


@pytest.mark.parametrize("key_id", ["0" * 12, "../../etc", "", "x" * 12])
def test_an_unknown_key_cannot_be_revoked(store: LocalStore, key_id: str):
    with pytest.raises(InputError, match="dap keys list"):
        revoke_key(store, key_id)


@pytest.fixture
def client(store: LocalStore) -> Iterator[httpx.Client]:
    """An application that has a key for training and one that was revoked."""
    create_key(store, "trainer", ["train"])
    revoke_key(store, create_key(store, "old", ["label"])[0].id)
    labeling = ScriptedLabeling()
    labeling.opened.set()
    with run_app(labeling, store.root) as client:
        yield client


def without_id(answer: httpx.Response) -> tuple[Any, ...]:
    """What of a problem does not name the request."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    return headers, re.sub(answer.headers["x-request-id"], "", answer.text)


def test_every_reason_for_401_is_answered_alike(client: httpx.Client, store: LocalStore):
    gone, gone_token = create_key(store, "gone", ["label"])
    revoke_key(store, gone.id)
    _, token = create_key(store, "laptop", ["label"])
    odd = [
        "",
        "Bearer",
        "Bearer x",
        f"Bearer {gone_token}",
        f"Bearer {token[:-2]}",
        f"Basic {token}",
        token,
        "Bearer é",
    ]
    answers = [post_image(client, headers={"Authorization": one.encode()}) for one in odd]
    answers += [client.get(path) for path in ("/v1/classes", "/v1/models", "/v1/limits", "/v1/limits?x=1")]
    answers += [post_image(client, params={name: token}) for name in ("api_key", "token", "key")]
    assert_problem(answers[0], 401, "unauthenticated")
    assert answers[0].headers["www-authenticate"].startswith("Bearer")
    assert [without_id(one) for one in answers] == [without_id(answers[0])] * len(answers)


def test_a_key_without_the_scope_is_forbidden_and_one_with_it_is_named_in_the_log(
    client: httpx.Client, store: LocalStore, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "dap.api")
    tokens = {scope: create_key(store, scope, [scope])[1] for scope in SCOPES}
    answers = {
        scope: post_image(client, headers={"Authorization": f"bearer  {token}"}) for scope, token in tokens.items()
    }
    assert "label" in assert_problem(answers["train"], 403, "forbidden")["detail"]
    assert (answers["label"].status_code, answers["admin"].status_code) == (200, 200)
    assert f"key={tokens['label'].split('_')[1]}" in caplog.text
    assert not [token for token in tokens.values() if token.split("_", 2)[2] in caplog.text]


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/problems/forbidden", "/", "/docs", "/openapi.json"]
)
def test_what_says_nothing_of_anybody_needs_no_key(client: httpx.Client, path: str):
    assert client.get(path).status_code == 200


def run(*arguments: object) -> Result:
    """Runs `dap` in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})


def test_the_command_makes_lists_and_revokes_keys(store: LocalStore):
    place = ("--store", store.root)
    made = run("keys", "create", "my laptop", "--scope", "label", "--scope", "train", *place)
    token = made.stdout.strip()
    assert made.exit_code == 0
    assert "not shown again" in made.stderr
    key = KeyRing(store).check(token)
    assert key
    assert (key.name, key.scopes) == ("my laptop", ("label", "train"))
    [listed] = json.loads(run("keys", "list", "--json", *place).stdout)["keys"]
    assert (listed["id"], listed["revoked_at"]) == (key.id, None)
    assert "sha256" not in listed
    table = run("keys", "list", *place).stdout
    assert key.id in table
    assert "valid" in table
    assert run("keys", "revoke", key.id, *place).exit_code == 0
    assert KeyRing(store).check(token) is None
    other = json.loads(run("keys", "create", "b", "--scope", "admin", "--json", *place).stdout)
    assert KeyRing(store).check(other["token"])
    for mistake in (("revoke", "nonsense"), ("create", "x", "--scope", "root")):
        refused = run("keys", *mistake, *place)
        assert refused.exit_code == 2
        assert refused.stderr.startswith("error: ")
        assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "dap.example"])
def test_serving_others_needs_a_valid_key(store: LocalStore, monkeypatch: pytest.MonkeyPatch, host: str):
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    revoke_key(store, create_key(store, "old", ["label"])[0].id)
    refused = run("serve", "--no-ray", "--host", host, "--store", store.root)
    assert refused.exit_code == 2
    assert [line for line in refused.stderr.splitlines() if "error: " in line] == refused.stderr.splitlines()[-1:]
    assert f"dap keys create NAME --scope label --store {store.root}" in refused.stderr
