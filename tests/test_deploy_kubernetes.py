"""The Kubernetes manifests: fields the operator knows, no more rights than needed, the same service as elsewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.settings import ServiceSettings, read_settings

TOP = Path(__file__).parents[1]
KUBERNETES = TOP / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"
_OVERLAYS = ("cpu", "gpu")
_FIELDS = {  # of ray.io/v1, as KubeRay 1.7 names them; those that are used here
    "spec": {"serveConfigV2", "excludeHeadPodFromServeSvc", "upgradeStrategy", "rayClusterConfig"},
    "cluster": {
        "rayVersion",
        "authOptions",
        "gcsFaultToleranceOptions",
        "enableInTreeAutoscaling",
        "autoscalerOptions",
        "headGroupSpec",
        "workerGroupSpecs",
    },
    "autoscaler": {"version", "upscalingMode", "idleTimeoutSeconds", "resources", "securityContext"},
    "head": {"rayStartParams", "template"},
    "workers": {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"},
}


def _read(*paths: Path) -> list[dict[str, Any]]:
    return [document for path in paths for document in yaml.safe_load_all(path.read_text())]


def _find(kind: str, name: str = "dap") -> dict[str, Any]:
    files = [BASE / name for name in _read(BASE / "kustomization.yaml")[0]["resources"]]
    [found] = [one for one in _read(*files) if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def _cluster() -> dict[str, Any]:
    return _find("RayService")["spec"]["rayClusterConfig"]


def _list_pods() -> list[dict[str, Any]]:
    groups = [_cluster()["headGroupSpec"], *_cluster()["workerGroupSpecs"]]
    return [group["template"] for group in groups]


def _follow(document: Any, path: str) -> Any:
    for part in path.strip("/").split("/"):
        document = document[int(part)] if isinstance(document, list) else document[part.replace("~1", "/")]
    return document


def test_only_fields_that_the_operator_knows_are_set():
    service = _find("RayService")
    assert service["apiVersion"] == "ray.io/v1"
    cluster = _cluster()
    assert set(service["spec"]) == _FIELDS["spec"]
    assert set(cluster) == _FIELDS["cluster"]
    assert set(cluster["autoscalerOptions"]) == _FIELDS["autoscaler"]
    assert set(cluster["headGroupSpec"]) == _FIELDS["head"]
    for workers in cluster["workerGroupSpecs"]:
        assert set(workers) == _FIELDS["workers"]
        assert 1 <= workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_cluster_scales_survives_its_head_and_asks_for_a_token():
    cluster = _cluster()
    assert (cluster["enableInTreeAutoscaling"], cluster["autoscalerOptions"]["version"]) == (True, "v2")
    assert all(pod["spec"]["restartPolicy"] == "Never" for pod in _list_pods())  # the autoscaler v2 needs it
    assert cluster["authOptions"]["mode"] == "token"
    port = _find("Service", "dap-redis")["spec"]["ports"][0]["port"]
    assert cluster["gcsFaultToleranceOptions"]["redisAddress"] == f"dap-redis:{port}"


def test_the_version_of_ray_is_the_one_that_the_image_installs():
    [pinned] = re.findall(r"^ray==(.+)$", (TOP / "constraints.txt").read_text(), re.MULTILINE)
    assert _cluster()["rayVersion"] == pinned


def test_the_service_is_the_one_of_the_serve_file_with_a_proxy_on_each_node():
    here = yaml.safe_load(_find("RayService")["spec"]["serveConfigV2"])
    there = yaml.safe_load((TOP / "deploy" / "serve.yaml").read_text())
    assert here.pop("proxy_location") == "EveryNode"
    there.pop("proxy_location")
    assert here == there


def test_settings_are_known_and_secrets_have_no_values_here():
    environment = _find("ConfigMap", "dap-environment")["data"]
    assert all(isinstance(value, str) for value in environment.values())
    known = {f"DAP_{name.upper()}" for name in ServiceSettings.model_fields}
    assert {name for name in environment if name.startswith("DAP_")} <= known
    settings = read_settings(environment)
    [workers] = _cluster()["workerGroupSpecs"]
    cores = float(workers["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    assert settings.cpus_per_replica <= cores
    secrets = _read(KUBERNETES / "secrets.example.yaml")
    assert {value for secret in secrets for value in secret["stringData"].values()} == {"REPLACE_ME"}
    assert not set(environment) & {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN"}
    assert "deploy/kubernetes/secrets.yaml" in (TOP / ".gitignore").read_text().splitlines()


def test_each_secret_that_is_asked_for_is_in_the_example():
    given = {
        secret["metadata"]["name"]: set(secret["stringData"]) for secret in _read(KUBERNETES / "secrets.example.yaml")
    }
    text = json.dumps([_find("RayService"), _find("StatefulSet", "dap-redis")])
    asked = re.findall(r'"secretKeyRef": \{"name": "([\w-]+)", "key": "(\w+)"\}', text)
    assert len(asked) == 2
    assert all(key in given[name] for name, key in asked)
    assert "auth_token" in given[_cluster()["authOptions"]["secretName"]]  # the key is the operator's choice
    whole = re.findall(r'"secretRef": \{"name": "([\w-]+)"\}', text)
    assert set(whole) == {"dap-s3"} <= set(given)


def test_pods_run_as_a_user_with_no_rights_and_are_bounded_and_probed():
    pods = [*_list_pods(), _find("StatefulSet", "dap-redis")["spec"]["template"]]
    for pod in pods:
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["runAsUser"] > 0
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["spec"]["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        for bound in ("requests", "limits"):
            assert set(container["resources"][bound]) == {"cpu", "memory"}
        assert {"readinessProbe", "livenessProbe"} <= set(container)
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        claimed = {"data"} if "redis" in container["name"] else set()
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]} | claimed
    assert all(pod["spec"]["securityContext"]["runAsUser"] == 10001 for pod in _list_pods())
    assert "USER 10001:10001" in (TOP / "deploy" / "Dockerfile").read_text()


def test_from_elsewhere_only_the_api_is_reached():
    policy = _find("NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= _list_pods()[0]["metadata"]["labels"].items()
    own, *others = policy["ingress"]
    assert own == {"from": [{"podSelector": policy["podSelector"]}]}
    opened = {rule["ports"][0]["port"]: rule["from"] for rule in others}
    assert opened[8000] == [{"namespaceSelector": {}}]
    for port, name in ((8265, "kuberay-operator"), (8080, "monitoring")):
        assert name in json.dumps(opened[port])
        assert all(len(rule["ports"]) == 1 for rule in others)
    assert set(opened) == {8000, 8265, 8080}
    assert "169.254.0.0/16" in json.dumps(policy["egress"])
    redis = _find("NetworkPolicy", "dap-redis")["spec"]
    assert redis["ingress"][0]["from"] == own["from"]
    template = _find("StatefulSet", "dap-redis")["spec"]["template"]
    assert redis["podSelector"]["matchLabels"] == template["metadata"]["labels"]


def test_a_budget_keeps_workers_in_the_one_way_that_works_for_them():
    budget = _find("PodDisruptionBudget", "dap-workers")["spec"]
    assert isinstance(budget["minAvailable"], int)  # the pods belong to a resource that has no scale
    assert budget["minAvailable"] < _cluster()["workerGroupSpecs"][0]["minReplicas"]
    assert set(budget) == {"minAvailable", "selector"}


@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_overlays_change_what_is_there(overlay: str):
    [kustomization] = _read(KUBERNETES / "overlays" / overlay / "kustomization.yaml")
    assert [(KUBERNETES / "overlays" / overlay / path).resolve() for path in kustomization["resources"]] == [BASE]
    [image] = kustomization["images"]
    used = {pod["spec"]["containers"][0]["image"] for pod in _list_pods()}
    assert used == {f"{image['name']}:cpu"}
    for patch in kustomization.get("patches", ()):
        target = _find(patch["target"]["kind"], patch["target"]["name"])
        for change in yaml.safe_load(patch["patch"]):
            path, _, last = change["path"].rpartition("/")
            present = last in _follow(target, path)
            assert present is (change["op"] == "replace"), change["path"]


def _put_together(overlay: str, home: Path) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl")
    command = ["kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_overlays_are_put_together(overlay: str, tmp_path: Path):
    made = _put_together(overlay, tmp_path)
    assert {one["metadata"].get("namespace", "dap") for one in made} == {"dap"}
    [service] = [one for one in made if one["kind"] == "RayService"]
    [workers] = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    [container] = workers["template"]["spec"]["containers"]
    assert container["image"].endswith("-cuda" if overlay == "gpu" else "-cpu")
    assert container["resources"]["limits"].get("nvidia.com/gpu") == ("1" if overlay == "gpu" else None)
    assert workers["groupName"] == overlay
    [settings] = [one["data"] for one in made if one["kind"] == "ConfigMap"]
    assert read_settings(settings).gpus_per_replica == (overlay == "gpu")


@pytest.mark.parametrize("overlay", _OVERLAYS)
def test_manifests_are_what_kubernetes_takes(overlay: str, tmp_path: Path):
    from kubernetes_validate import validate

    made = _put_together(overlay, tmp_path) + _read(KUBERNETES / "secrets.example.yaml")
    pods = [
        {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "pod"}, "template": pod}
        for pod in _list_pods()
    ]
    for one in made + pods:
        if not one["apiVersion"].startswith("ray.io"):
            validate(one, "1.33.0", strict=True)
