"""API keys: made, listed, revoked and checked; only their hashes are stored."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from dap_core.errors import InputError, ObjectMissingError, StoreError
from dap_core.stores import Store

SCOPES = ("label", "jobs", "train", "admin")
_FOLDER = "keys/"
_TOKEN = re.compile(r"dap_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_REREAD_S = 2.0
_DUMMY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; not the key itself. Times are ISO 8601 in UTC."""

    id: str
    name: str
    scopes: tuple[str, ...]
    sha256: str
    created_at: str
    revoked_at: str | None = None

    def allows(self, scope: str) -> bool:
        """Whether the key may do what `scope` stands for; `admin` may do everything."""
        return scope in self.scopes or "admin" in self.scopes


def create_key(store: Store, name: str, scopes: Sequence[str]) -> tuple[ApiKey, str]:
    """A new key and its token, 256 random bits, which is not stored and cannot be had again.

    Raises InputError for an unknown scope, none at all, or a name that is empty or longer than 100 characters.
    """
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise InputError(f"scopes are one or more of {', '.join(SCOPES)}, got {', '.join(unknown) or 'none'}")
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise InputError(f"a key needs a printable name of 1 to 100 characters, got {name[:100]!r}")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey(key_id, name, tuple(dict.fromkeys(scopes)), _hash(secret), _now())
    _put(store, key)
    return key, f"dap_{key_id}_{secret}"


def list_keys(store: Store) -> list[ApiKey]:
    """All keys ever made, oldest first, revoked ones too; raises StoreError when a record cannot be read."""
    keys = [_get(store, info.key) for info in store.list_objects(_FOLDER)]
    return sorted(keys, key=lambda key: (key.created_at, key.id))


def revoke_key(store: Store, key_id: str) -> ApiKey:
    """The key, now revoked; raises InputError when there is no such key. Revoking twice changes nothing."""
    if not re.fullmatch(r"[0-9a-f]{12}", key_id):
        raise InputError(f"a key's id has 12 hexadecimal digits, got {key_id!r}; dap keys list shows them")
    try:
        key = _get(store, f"{_FOLDER}{key_id}.json")
    except ObjectMissingError:
        raise InputError(f"there is no key {key_id}; dap keys list shows them") from None
    if key.revoked_at is None:
        key = replace(key, revoked_at=_now())
        _put(store, key)
    return key


class KeyRing:
    """Checks tokens against the keys of a store, which it reads again every two seconds."""

    def __init__(self, store: Store, *, required: bool = False) -> None:
        """`required` asks for a key even while none was ever made."""
        self._store, self._required = store, required
        self._keys: dict[str, ApiKey] = {}
        self._read_at = float("-inf")

    @property
    def is_fresh(self) -> bool:
        """Whether the next question needs no reading, which may take a while."""
        return time.monotonic() - self._read_at < _REREAD_S

    @property
    def is_required(self) -> bool:
        """Whether requests need a key: when told so, or once any was made, also if all are revoked or lost by now."""
        self._refresh()
        return self._required

    def check(self, token: str | None) -> ApiKey | None:
        """The valid key of a token, None for any other; the secret is compared in constant time."""
        self._refresh()
        match = _TOKEN.fullmatch(token or "")
        key = self._keys.get(match[1]) if match else None
        expected = key.sha256 if key else _DUMMY_SHA256
        same = hmac.compare_digest(expected, _hash(match[2] if match else ""))
        return key if key and same and key.revoked_at is None else None

    def _refresh(self) -> None:
        if self.is_fresh:
            return
        self._keys = {key.id: key for key in list_keys(self._store)}
        self._required = self._required or bool(self._keys)
        self._read_at = time.monotonic()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _put(store: Store, key: ApiKey) -> None:
    store.put(f"{_FOLDER}{key.id}.json", json.dumps(asdict(key)).encode())


def _get(store: Store, object_key: str) -> ApiKey:
    try:
        values = json.loads(store.get(object_key))
        return ApiKey(**{**values, "scopes": tuple(values["scopes"])})
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{object_key} is not the record of a key: {error}") from error
