"""Where the service is and who asks: the options of an HTTP client, checked."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

import httpx

from dap_client.version import __version__

_CONNECT_TIMEOUT_S = 10.0
_KEY = re.compile("[!-~]+")  # what a header takes, without blanks


def make_http_options(url: str, api_key: str | None, timeout_s: float) -> dict[str, Any]:
    """The keyword arguments of `httpx.Client`.

    Raises ValueError for an address that is none, a key that cannot be sent, or a time of 0 or less; neither the key
    nor a password in the address is repeated in a message.
    """
    if not timeout_s > 0:
        raise ValueError(f"timeout_s must be more than 0, got {timeout_s}")
    address = _read_url(url)
    headers = {"User-Agent": f"dap-client/{__version__}"}
    if api_key is not None:
        if not _KEY.fullmatch(api_key):
            raise ValueError("api_key must be visible ASCII characters, as `dap keys create` prints them")
        headers["Authorization"] = f"Bearer {api_key}"
    return {
        "base_url": address,
        "headers": headers,
        "timeout": httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
        "trust_env": address.scheme == "https" or not _is_this_machine(address),  # no proxy on the way to this machine
    }


def _read_url(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ValueError(f"url must be an address such as http://127.0.0.1:8000: {error}") from error
    if address.userinfo:
        raise ValueError("url must not hold a name or password; give the key as api_key")
    if address.scheme not in ("http", "https") or not address.host or address.query or address.fragment:
        raise ValueError(f"url must be an address such as http://127.0.0.1:8000, got {url!r}")
    return address


def _is_this_machine(address: httpx.URL) -> bool:
    if address.host == "localhost":
        return True
    try:
        return ip_address(address.host).is_loopback
    except ValueError:
        return False
