"""Every error a user can meet, in one tree split by what the caller can do about it.

    DapError
    ├── InputError               fix the input
    │   ├── ImageError           one image cannot be labelled; `error_type` says why
    │   ├── UnknownLabelError    a label is not in the class list
    │   ├── ClassifierError      a network or its weights cannot be used
    │   ├── CheckpointError      a detector's checkpoint is damaged, or does not fit
    │   ├── SourceError          a folder, CSV or file list cannot be read
    │   ├── DestinationError     the place to write to is taken or unsuitable
    │   ├── JobMissingError      there is no such job
    │   └── JobConflictError     the id of a job is taken by one that asks for something else
    ├── StoreError               retry: the object store did not deliver
    │   ├── ObjectMissingError   there is no such object
    │   ├── ObjectChangedError   the object is no longer the one that was listed
    │   ├── StoreRefusedError    stop: the store says no to all, until rights, names or the clock change
    │   └── StoreUnavailableError   the store could not be reached or failed for as long as was waited
    ├── TrainingError            training cannot go on: the loss is not finite
    ├── WorkerCrashError         the process that labelled an image died on it
    ├── TooManyFailuresError     stop: a run failed on more images than were allowed
    ├── JobStoppedError          a job was asked to stop, or is run by somebody else by now
    ├── JobRecordError           stop: a stored record of a job is damaged
    ├── ShardFailedError         retry: parts of a label set could not be made; the rest is committed
    ├── StudyStepError           a job of a study failed; once it can succeed, the study goes on from there
    └── LabelSetError            stop: stored data is missing or not what its manifest says
        └── LabelSetMissingError there is no label set, or none yet

Wrong calls from Python raise `ValueError`. A message says what was expected, what came, for which
item, and what to do next.
"""

from __future__ import annotations


class DapError(Exception):
    """Base of all errors this project raises on purpose; `error_type` is its stable short name."""

    error_type: str = "error"


class InputError(DapError):
    """The input has to change before the same call can succeed."""

    error_type = "invalid-input"


class ImageError(InputError):
    """One image cannot be turned into boxes.

    `error_type` is one of the slugs below; failures of a label set store it as it is.
    """

    KINDS = frozenset(
        {
            "empty-image",
            "not-an-image",
            "unsupported-image-format",
            "unsupported-jpeg-feature",
            "truncated-image",
            "undecodable-image",
            "image-too-many-pixels",
            "image-too-small",
            "aspect-ratio-too-large",
            "too-many-scans",
            "unreadable-file",
            "no-label",
        }
    )

    def __init__(self, error_type: str, message: str) -> None:
        assert error_type in self.KINDS, error_type
        super().__init__(message)
        self.error_type = error_type

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return type(self), (self.error_type, str(self))


class UnknownLabelError(InputError):
    """A label is neither a wnid, nor a name, nor an index of the class list."""

    error_type = "unknown-label"


class ClassifierError(InputError):
    """The network is not of the supported form, or its weights do not fit or cannot be had."""

    error_type = "unusable-classifier"


class CheckpointError(InputError):
    """A checkpoint of a detector is damaged, or its tensors do not fit the detector."""

    error_type = "unusable-checkpoint"


class SourceError(InputError):
    """The source of images and labels cannot be read as asked."""

    error_type = "unusable-source"


class DestinationError(InputError):
    """The destination holds something else, or overlaps the source."""

    error_type = "unusable-destination"


class JobMissingError(InputError):
    """There is no job of that id."""

    error_type = "job-missing"


class JobConflictError(InputError):
    """The id of a job belongs to one that asks for something else."""

    error_type = "job-conflict"


class StoreError(DapError):
    """The object store did not deliver or accept an object."""

    error_type = "store-failure"


class ObjectMissingError(StoreError):
    """The store has no object of that key."""

    error_type = "source-missing"


class ObjectChangedError(StoreError):
    """The object was overwritten after it was listed."""

    error_type = "source-changed"


class StoreRefusedError(StoreError):
    """The store refuses: credentials, rights, the bucket or the clock have to change first."""

    error_type = "store-refused"


class StoreUnavailableError(StoreError):
    """The store could not be reached or failed, for as long as was waited."""

    error_type = "store-unavailable"


class TrainingError(DapError):
    """Training cannot go on, as the loss is not finite; the message names step and images."""

    error_type = "training-failed"


class WorkerCrashError(DapError):
    """The process that labelled an image died on it."""

    error_type = "worker-crash"


class TooManyFailuresError(DapError):
    """A run failed on more images than were allowed, and was stopped early."""

    error_type = "too-many-failures"


class JobStoppedError(DapError):
    """A job was asked to stop, or another attempt has taken it over."""

    error_type = "job-stopped"


class StudyStepError(DapError):
    """A job of a study failed; the others keep what they made."""

    error_type = "study-step-failed"


class JobRecordError(DapError):
    """A stored record of a job is damaged."""

    error_type = "damaged-job-record"


class ShardFailedError(DapError):
    """Shards of a label set could not be made; all others are committed."""

    error_type = "shard-failed"


class LabelSetError(DapError):
    """A label set is missing parts, incomplete, or damaged."""

    error_type = "damaged-label-set"


class LabelSetMissingError(LabelSetError):
    """There is no label set at that place, or none yet."""

    error_type = "no-label-set"
