"""When to ask again, and after how long: arithmetic only."""

from __future__ import annotations

from dataclasses import dataclass

RETRIED_STATUSES = frozenset({429, 503, 504})
"""The answers after which the same request may succeed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long to try. Raises ValueError for negative numbers."""

    max_retries: int = 5
    """Attempts after the first one."""
    budget_s: float = 60.0
    """All waits of one request together; who has to wait longer gets the error at once."""
    first_wait_s: float = 0.25
    """Longest wait before the second attempt; it doubles with each further one."""
    longest_wait_s: float = 10.0
    """Where doubling ends."""

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ValueError(f"max_retries must be 0 or more, got {self.max_retries}")

    def plan_wait(self, num_attempts: int, waited_s: float, retry_after_s: float | None, jitter: float) -> float | None:
        """Seconds to wait after `num_attempts` (1 or more) that failed; None when to give up.

        Between half and all of the backoff, by `jitter` in [0, 1), so that many clients do not come back as one; on
        top of what the service asked for, if it did.
        """
        if num_attempts > self.max_retries:
            return None
        doublings = min(num_attempts - 1, 60)  # far beyond any longest wait, and no overflow
        backoff_s = min(self.longest_wait_s, self.first_wait_s * 2**doublings)
        wait_s = backoff_s * (0.5 + jitter / 2)
        if retry_after_s is not None:
            wait_s = max(wait_s, retry_after_s + self.first_wait_s * jitter)
        return wait_s if waited_s + wait_s <= self.budget_s else None
