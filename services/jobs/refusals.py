"""What is refused of a job that could be read: a place, a clash with another job, a verb in the wrong state."""

from __future__ import annotations

from dap_core.errors import DapError, InputError


class JobRefusedError(InputError):
    """A job, or what is asked of one, is refused; `error_type` is one of the names below."""

    KINDS = frozenset(
        {
            "place-not-allowed",
            "field-not-allowed",
            "output-overlaps-input",
            "output-in-use",
            "wrong-state",
            "idempotency-key-reused",
        }
    )

    def __init__(self, error_type: str, message: str, *, pointer: str | None = None) -> None:
        """`pointer` is a JSON pointer to the wrong value, where one value is wrong."""
        assert error_type in self.KINDS, error_type
        super().__init__(message)
        self.error_type, self.pointer = error_type, pointer

    def below(self, root: str) -> JobRefusedError:
        """The same, of a job that stands at the JSON pointer `root` of a request."""
        pointer = None if self.pointer is None else root + self.pointer
        return JobRefusedError(self.error_type, str(self), pointer=pointer)


class OutputMissingError(DapError):
    """What is asked for of a job's outputs is not there: the job makes no such thing, or has not made it yet."""

    error_type = "output-missing"
