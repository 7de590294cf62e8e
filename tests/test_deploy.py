"""The files that start the service elsewhere name what is there, and settings say what is wrong with them."""

from __future__ import annotations

import json
import socket
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from dap_core.errors import DestinationError, InputError
from dap_core.stores import LocalStore
from services.jobs.ray_launcher import GPU_NODE, HEAD_LABEL
from services.keys import create_key, revoke_key
from services.running import check_exposure, run_in_process, run_on_ray, share_cores
from services.serve_app import build_app
from services.settings import ServiceSettings, read_settings

TOP = Path(__file__).parents[1]


def test_the_serve_file_builds_the_application():
    schema = ServeDeploySchema.model_validate(yaml.safe_load((TOP / "deploy" / "serve.yaml").read_text()))
    [application] = schema.applications
    module, _, name = application.import_path.partition(":")
    assert getattr(import_module(module), name) is build_app
    settings = ServiceSettings.model_validate(application.args)
    assert (settings.host, settings.port) == (schema.http_options.host, schema.http_options.port)
    assert build_app(application.args) is not None


def test_settings_come_from_the_environment_and_what_is_given_goes_first():
    given = {
        "DAP_PORT": "9000",
        "DAP_MAX_IN_FLIGHT": "5",
        "DAP_OTHER": "x",
        "DAP_MAX_JOBS_PER_KIND": "mine=2, export=1",
    }
    settings = read_settings(given, port=9001)
    assert (settings.port, settings.max_in_flight, settings.classifier) == (9001, 5, "lite0")
    assert settings.max_jobs_per_kind == {"mine": 2, "export": 1}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"port": 0}, r"port: .*greater than or equal to 1, got 0"),
        ({"engine": "tpu"}, r"engine: .*'auto', 'torch' or 'openvino', got 'tpu'"),
        ({"deadline_s": "soon"}, r"deadline_s: .*valid number.*got 'soon'"),
        ({"num_replicas": 3, "max_replicas": 2}, "max_replicas .2. must not be below num_replicas .3."),
        ({"replicas": 2}, "replicas: Extra inputs"),
        ({"max_jobs_per_kind": "mine"}, "max_jobs_per_kind.mine: .*valid integer"),
        ({"max_jobs_per_kind": "label=1"}, "expected KIND=NUMBER with a kind of mine, .*, got label=1"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        read_settings({}, **given)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)],
)
def test_only_loopback_needs_no_key(host: str, loopback: bool, tmp_path: Path):
    settings = ServiceSettings(host=host, store=str(tmp_path))
    assert settings.is_loopback is loopback
    if loopback:
        check_exposure(settings)
        return
    with pytest.raises(DestinationError, match="holds no key; make one with: dap keys create"):
        check_exposure(settings)
    key, _ = create_key(LocalStore(tmp_path), "me", ["label"])
    check_exposure(settings)
    revoke_key(LocalStore(tmp_path), key.id)
    with pytest.raises(DestinationError):
        check_exposure(settings)


def test_cores_are_shared_among_replicas():
    shared = share_cores(ServiceSettings(num_replicas=1000, device="cpu"))
    assert (shared.cpus_per_replica, shared.gpus_per_replica) == (1, 0)
    assert share_cores(ServiceSettings(cpus_per_replica=3.0, gpus_per_replica=0)).cpus_per_replica == 3


def test_a_port_that_is_taken_is_named_before_anything_is_loaded(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = ServiceSettings(port=port, store=str(tmp_path), classifier="there-is-none")
        for run in (run_in_process, run_on_ray):
            with pytest.raises(DestinationError, match=rf"cannot listen on 127.0.0.1:{port}: Address already in use"):
                run(settings, lambda: None)


def test_nodes_with_gpus_offer_what_leaders_of_jobs_ask_for():
    worker = yaml.safe_load((TOP / "docker-compose.yml").read_text())["services"]["worker-gpu"]
    [resources] = [part.partition("=")[2] for part in worker["command"] if part.startswith("--resources=")]
    assert json.loads(resources) == {GPU_NODE: 1}
    overlay = yaml.safe_load((TOP / "deploy/kubernetes/overlays/gpu/kustomization.yaml").read_text())
    patches = [step for one in overlay["patches"] for step in yaml.safe_load(one["patch"])]
    [value] = [step["value"] for step in patches if step["path"].endswith("/rayStartParams/resources")]
    assert json.loads(json.loads(value)) == {GPU_NODE: 1}


def test_the_head_is_labelled_so_that_no_job_runs_there():
    label = "=".join(HEAD_LABEL)
    compose = yaml.safe_load((TOP / "docker-compose.yml").read_text())["services"]
    assert [name for name, one in compose.items() if f"--labels={label}" in one.get("command", ())] == ["head"]
    cluster = yaml.safe_load((TOP / "deploy/kubernetes/base/rayservice.yaml").read_text())["spec"]["rayClusterConfig"]
    assert cluster["headGroupSpec"]["rayStartParams"]["labels"] == label
    assert f"--labels={label}" in (TOP / "deploy/local-cluster.sh").read_text()
