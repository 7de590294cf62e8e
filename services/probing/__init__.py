"""What a store allows: list, put, get and the finer points, tried on small objects that are removed again."""

from __future__ import annotations

from dap_core.errors import StoreError
from dap_core.stores import LocalStore, Store
from services.probing.base import LocalProbe, Probe
from services.probing.report import ProbeStep, StoreReport
from services.probing.s3 import S3Probe
from services.storage import S3Store

__all__ = ["ProbeStep", "StoreReport", "probe_store"]


def probe_store(store: Store) -> StoreReport:
    """Tries what bulk labelling needs in a new folder `.dap-probe-...` of the store, and removes the folder again."""
    probe = _make_probe(store)
    left_behind = None
    try:
        steps = tuple(probe.run(what, action, needs) for what, action, needs in probe.plan())
    finally:
        try:
            if probe.results.get("list") == "ok":  # else nothing was written
                probe.remove()
        except StoreError:
            left_behind = f"{store.uri}/{probe.folder}"
    return StoreReport(store.uri, steps, probe.clock_skew_s, left_behind)


def _make_probe(store: Store) -> Probe:
    if isinstance(store, S3Store):
        return S3Probe(store)
    return LocalProbe(store) if isinstance(store, LocalStore) else Probe(store)
