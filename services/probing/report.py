"""What came of probing a store, and what it means for bulk labelling."""

from __future__ import annotations

from dataclasses import dataclass

_REQUIRED = ("list", "put", "list again", "get", "get a range", "overwrite")
MEANINGS = {
    ("list", "no"): "Nothing here can be labelled, and nothing written.",
    ("put", "no"): "No label set can be written here; images can still be read from here if get is ok.",
    ("list again", "no"): "New objects are not listed at once: a run that goes on would miss finished shards.",
    ("get", "no"): "Neither images nor label sets can be read.",
    ("get", "not tried"): "There is no object to read.",
    ("get a range", "no"): "A run cannot see which shards are finished, and cannot end.",
    (
        "overwrite",
        "no",
    ): "A label set cannot grow, and a run that was cut off cannot go on: each replaces the manifest.",
    ("multipart upload", "no"): "Objects above 64 MiB cannot be written.",
    ("multipart abort", "no"): "Parts of an upload that was cut off stay until a lifecycle rule removes them.",
    ("conditional put", "ignored"): "No harm: commits are right without it.",
    ("conditional put", "refused"): "No harm: commits are right without it and do not ask for it.",
    ("etags", "none"): "Size and time of the last change, in whole seconds, stand for the etag: an object that is "
    "overwritten within that second by one of the same size is taken for the listed one.",
    ("If-Match on get", "ignored"): "No harm: the etag that comes with the object is compared instead.",
    ("If-Match on get", "refused"): "Images cannot be read by the etag that was listed.",
    ("If-Match on get", "not tried"): "There are no etags to ask for.",
    (
        "delete",
        "no",
    ): "Marks of attempts stay, so some shards take longer when a run goes on; this probe leaves what it wrote.",
    ("clock", "off"): "Set the clock: servers refuse requests when it is 15 minutes off.",
}
"""By step and result one sentence for the user; a step that is ok needs none."""


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One thing that was tried: its result in a word, how long it took, why, and what it means where it is not ok."""

    what: str
    result: str
    ms: float | None = None
    reason: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What a store allows; `clock_skew_s` is how far its clock is ahead of ours, `left_behind` what could not go."""

    store: str
    steps: tuple[ProbeStep, ...]
    clock_skew_s: float | None
    left_behind: str | None

    @property
    def can_label(self) -> bool:
        """Whether a run can read its images here and write its label set here."""
        results = {step.what: step.result for step in self.steps}
        return all(results[what] == "ok" for what in _REQUIRED)
