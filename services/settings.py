"""What a service can be told, typed and checked; the only reader of `DAP_*` variables."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dap_core.errors import InputError
from services.jobs.kinds import KINDS

_PREFIX = "DAP_"


class ServiceSettings(BaseModel):
    """Everything that shapes a service; unknown names are refused.

    The same record is the argument of the Serve application, of `dap serve` and, as `DAP_<NAME>`, of the environment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address to listen on; any but loopback needs a key in the store."""
    port: int = Field(8000, ge=1, le=65535)
    store: str = "dap-store"
    """A folder or `s3://bucket/prefix` with keys and jobs, and, left out `job_places`, what jobs read and write."""
    classifier: str = "lite0"
    weights: str | None = None
    engine: Literal["auto", "torch", "openvino"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str | None = None
    """cpu, cuda, ...; left out, a GPU if there is one."""
    num_replicas: int = Field(1, ge=1, le=1000)
    """Labelers that run at the same time, each a process of its own; the least there are when they scale."""
    max_replicas: int | None = Field(None, ge=1, le=1000)
    """Left out, their number is fixed; else it grows with the load up to this."""
    cpus_per_replica: float | None = Field(None, gt=0)
    """Cores of each labeler; left out, all cores shared evenly. Without a GPU it also sets its threads."""
    gpus_per_replica: float | None = Field(None, ge=0)
    """GPUs of each labeler; left out, one where the machine has any."""
    max_in_flight: int = Field(64, ge=1, le=100_000)
    """Images accepted and not yet answered; more are refused with 503."""
    max_bytes_in_flight: int = Field(256 * 2**20, ge=32 * 2**20)
    """Bytes of bodies that are arriving or not yet answered; more are refused with 503."""
    deadline_s: float = Field(30.0, gt=0, le=3600)
    """An image without its boxes by then is answered with 504."""
    body_timeout_s: float = Field(30.0, gt=0, le=3600)
    """A body that has not arrived by then is answered with 408."""

    job_places: tuple[str, ...] = ()
    """`s3://bucket/prefix` or full paths of folders below which jobs read and write, separated by commas in the
    environment; left out, the folder `data` of the store."""
    max_jobs: int = Field(1, ge=0, le=1000)
    """Jobs that this service runs at the same time; others wait. 0 runs none, such as beside another that does."""
    max_jobs_per_kind: dict[str, int] = Field(default_factory=dict)
    """Of these kinds at most so many, within `max_jobs`; in the environment such as `mine=2,pretrain=1`."""
    max_job_processes: int = Field(16, ge=1)
    """Labelers, workers or decoders that a job may ask for."""
    ray_address: str | None = None
    """Ray cluster on which jobs run: the address of its dashboard such as http://head:8265, or `auto` for the cluster
    that the service itself runs on; left out, jobs are processes of this machine."""
    cpus_per_job: float = Field(1.0, gt=0)
    """Cores on that cluster of a job that one process does."""
    gpus_per_job: float = Field(0.0, ge=0)
    """GPUs on that cluster of such a job, and of each labeler and worker of the others."""

    @field_validator("job_places", mode="before")
    @classmethod
    def _split_places(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("max_jobs_per_kind", mode="before")
    @classmethod
    def _split_limits(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        return {kind.strip(): number.strip() for kind, _, number in pairs}

    @field_validator("max_jobs_per_kind")
    @classmethod
    def _check_limits(cls, limits: dict[str, int]) -> dict[str, int]:
        for kind, number in limits.items():
            if kind not in KINDS or number < 0:
                known = ", ".join(KINDS)
                raise ValueError(f"expected KIND=NUMBER with a kind of {known}, got {kind}={number}")
        return limits

    @model_validator(mode="after")
    def _check_replicas(self) -> ServiceSettings:
        if self.max_replicas is not None and self.max_replicas < self.num_replicas:
            raise ValueError(f"max_replicas ({self.max_replicas}) must not be below num_replicas ({self.num_replicas})")
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def read_job_root(environment: Mapping[str, str] | None = None) -> str:
    """Where commands keep the records of their jobs: DAP_STORE, else a folder of the user's."""
    source = os.environ if environment is None else environment
    if given := source.get(f"{_PREFIX}STORE"):
        return given
    state = source.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return str(Path(state) / "dap")


def read_node_address() -> str | None:
    """`DAP_NODE_ADDRESS`, the address of the node of Ray that this process belongs to, where a machine has several.

    Ray itself would take the head for the node of a driver, if that is on the same machine, and end what the driver has
    started with it.
    """
    return os.environ.get(f"{_PREFIX}NODE_ADDRESS")


def read_settings(environment: Mapping[str, str] | None = None, **given: Any) -> ServiceSettings:
    """The settings of `DAP_*` variables, `given` values (not None) before them.

    Raises InputError naming the setting, what was expected and what came.
    """
    source = os.environ if environment is None else environment
    names = ServiceSettings.model_fields
    values: dict[str, Any] = {name: source[key] for name in names if source.get(key := _PREFIX + name.upper())}
    values.update({name: value for name, value in given.items() if value is not None})
    try:
        return ServiceSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "settings"
        raise InputError(f"{name}: {first['msg']}, got {first['input']!r}") from error
