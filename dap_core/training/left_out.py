"""Images of a run that cannot be read or decoded: listed and left out, up to a share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from dap_core.errors import TooManyFailuresError

MAX_SHARE = 0.05
"""Share of the images that may be left out, as in mining."""
_LEAST_SEEN = 1_000
_NUM_TOLD = 20
_LOG = logging.getLogger(__name__)

Problem = tuple[str, str]
"""The key of an image, and why it cannot be used."""


class LeftOut:
    """Keeps the images that were left out, by key, and tells of the first ones."""

    def __init__(self, num_images: int, tell: Callable[[str], None] = _LOG.warning) -> None:
        """`num_images` is how many there are in all; `tell` takes one sentence for each image."""
        self.problems: dict[str, str] = {}
        self._num_images, self._tell = num_images, tell
        self._num_seen = 0

    def add(self, problems: Iterable[Problem], num_seen: int) -> None:
        """Notes what was wrong among the next `num_seen` images. Raises TooManyFailuresError above 5%.

        The share is that of the images seen so far, of a thousand at least, but of no more than there are.
        """
        self._num_seen += num_seen
        for key, reason in problems:
            if key not in self.problems:
                self.problems[key] = reason
                self._say(key, reason)
        num_counted = min(max(self._num_seen, _LEAST_SEEN), self._num_images)
        if len(self.problems) > MAX_SHARE * num_counted:
            first, reason = next(iter(self.problems.items()))
            raise TooManyFailuresError(
                f"{len(self.problems):,} of {num_counted:,} images cannot be used, such as {first}: {reason}; "
                f"at most {MAX_SHARE:.0%} may be left out. Repair or remove them"
            )

    def _say(self, key: str, reason: str) -> None:
        if len(self.problems) <= _NUM_TOLD:
            self._tell(f"left out: {key}: {reason}")
        elif len(self.problems) == _NUM_TOLD + 1:
            self._tell("more images are left out; the result says how many")
