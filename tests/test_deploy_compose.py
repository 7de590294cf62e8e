"""docker-compose.yml: what it opens, what it is allowed, what it needs to be told, and what starts before what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.settings import ServiceSettings, read_settings

TOP = Path(__file__).parents[1]
_TEXT = (TOP / "docker-compose.yml").read_text()
_SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(_TEXT)["services"]
_NODES = ("head", "worker", "worker-gpu")
_ONE_SHOTS = ("deploy", "dap", "store-volume", "bucket")
_BUILT = ("dap:cpu", "dap:cuda")
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def _read_example() -> dict[str, str]:
    lines = (TOP / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_one_port_is_open_on_loopback_and_grafana_only_on_demand():
    ports = {name: one["ports"] for name, one in _SERVICES.items() if "ports" in one}
    assert ports == {"head": ["${API_ADDRESS:-127.0.0.1}:${API_PORT:-8000}:8000"]}
    more = yaml.safe_load((TOP / "deploy" / "compose.grafana.yaml").read_text())["services"]
    assert more == {"grafana": {"ports": ["127.0.0.1:3000:3000"]}}
    assert not any("network_mode" in one and one["network_mode"] != "none" for one in _SERVICES.values())


@pytest.mark.parametrize("name", sorted(_SERVICES))
def test_each_service_gets_no_more_than_it_needs(name: str):
    service = _SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert "privileged" not in service
    assert "cap_add" not in service
    assert service["pids_limit"] > 0
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}  # logs do not fill the disk
    image, user = service["image"], service.get("user")
    assert image in _BUILT if user is None else re.fullmatch(r"[1-9]\d*:\d+", user)  # ours says who in the Dockerfile
    assert image in _BUILT or re.search(r":v?\d+\.\d+\.\d+$|:RELEASE\.\d{4}-", image)
    for volume in service.get("volumes", ()):
        if isinstance(volume, str) and volume.startswith("./"):
            source, _, mode = volume.split(":")
            assert (TOP / source).exists()
            assert mode == "ro"


@pytest.mark.parametrize("name", sorted(_SERVICES))
def test_each_service_is_watched_and_started_again_or_ends_by_itself(name: str):
    service = _SERVICES[name]
    if name in _ONE_SHOTS:
        assert (service["restart"], service["healthcheck"]) == ("no", {"disable": True})
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert "mem_limit" in service


def test_what_a_service_waits_for_can_come():
    for name, service in _SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            ends = other in _ONE_SHOTS
            expected = "service_completed_successfully" if ends else "service_healthy"
            assert wait["condition"] == expected, f"{name} waits for {other}"
            assert "profiles" not in _SERVICES[other]


def test_volumes_are_declared_and_workers_share_none():
    declared = set(yaml.safe_load(_TEXT)["volumes"])
    named = {
        volume.split(":")[0]
        for service in _SERVICES.values()
        for volume in service.get("volumes", ())
        if isinstance(volume, str) and not volume.startswith(".")
    }
    assert named == declared
    for name in ("worker", "worker-gpu"):
        assert _SERVICES[name]["volumes"] == [{"type": "volume", "target": "/tmp"}]


def test_nodes_have_one_environment_with_a_token_and_known_settings():
    head, worker, gpu = (_SERVICES[name]["environment"] for name in _NODES)
    of_the_head = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": "/var/lib/ray/gcs"}
    assert head == worker | of_the_head
    assert worker == gpu == _SERVICES["deploy"]["environment"] == _SERVICES["dap"]["environment"]
    assert worker["RAY_AUTH_MODE"] == "token"
    assert "/var/lib/ray/gcs" in (TOP / "deploy" / "Dockerfile").read_text()  # made there, with its owner
    settings = {name: value for name, value in worker.items() if name.startswith("DAP_")}
    assert {name.removeprefix("DAP_").lower() for name in settings} <= set(ServiceSettings.model_fields)
    defaults = {name: _VARIABLE.sub(lambda found: found[3] or "", value) for name, value in settings.items()}
    read = read_settings(defaults)
    assert (read.host, read.store, read.num_replicas, read.max_replicas) == ("0.0.0.0", "s3://dap/service", 1, None)
    assert read.job_places == ()


def test_nodes_start_as_head_and_as_workers_of_it():
    head, worker = (_SERVICES[name]["command"] for name in ("head", "worker"))
    assert {"--head", "--port=6379", "--num-cpus=0", "--block", "--metrics-export-port=8080"} <= set(head)
    assert {"--address=head:6379", "--block", "--metrics-export-port=8080"} <= set(worker)
    for name in _NODES:
        [objects] = [part for part in _SERVICES[name]["command"] if part.startswith("--object-store-memory=")]
        assert int(objects.partition("=")[2]) < int(_SERVICES[name]["shm_size"].removesuffix("gb")) * 2**30
    assert _SERVICES["bucket"]["entrypoint"][-1] == "dap"
    assert _SERVICES["worker"]["profiles"] == ["cpu"]
    assert _SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    assert _SERVICES["worker-gpu"]["build"]["args"] == {"VARIANT": "cuda"}


def test_secrets_have_to_be_given_and_are_nowhere_written():
    example = _read_example()
    needed = {found[1] for found in _VARIABLE.finditer(_TEXT) if found[2] == "?"}
    assert needed == {"RAY_AUTH_TOKEN", "S3_ACCESS_KEY", "S3_SECRET_KEY", "GRAFANA_PASSWORD"}
    assert all(example[name] == "" for name in needed)
    for service in _SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"TOKEN|PASSWORD|SECRET|KEY|ROOT_USER", name):
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value)
    assert ".env" in (TOP / ".gitignore").read_text().splitlines()


def test_the_example_names_what_is_asked_for_with_the_same_defaults():
    asked = {found[1]: found[3] for found in _VARIABLE.finditer(_TEXT) if found[2] == "-"}
    assert all(found[2] for found in _VARIABLE.finditer(_TEXT))
    example = _read_example()
    assert example.pop("COMPOSE_PROFILES") == "cpu"  # asked for by Compose itself
    assert {name: value for name, value in example.items() if name in asked} == asked
    needed = {found[1] for found in _VARIABLE.finditer(_TEXT) if found[2] == "?"}
    assert set(example) == set(asked) | needed
