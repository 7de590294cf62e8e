"""Prometheus and Grafana ask for what the service and Ray count, at the nodes that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import ray
import yaml

TOP = Path(__file__).parents[1]
DEPLOY = TOP / "deploy"
_RAY_METRICS = {  # under these names Ray's exporters give what Ray itself counts
    "ray_node_cpu_utilization",
    "ray_node_disk_utilization_percentage",
    "ray_node_gpus_utilization",
    "ray_node_gram_available",
    "ray_node_gram_used",
    "ray_node_mem_total",
    "ray_node_mem_used",
    "ray_node_network_receive_speed",
    "ray_node_network_send_speed",
    "ray_object_store_used_memory",
    "ray_serve_deployment_error_counter_total",
    "ray_serve_deployment_queued_queries",
    "ray_serve_deployment_replica_healthy",
    "ray_serve_deployment_replica_starts_total",
    "ray_serve_replica_processing_queries",
}
_IN_THE_CORE = {"ray_object_store_used_memory"}
_SUFFIXES = {"Counter": ("_total",), "Gauge": ("",), "Histogram": ("_bucket", "_count", "_sum")}


def _list_our_metrics() -> dict[str, set[str]]:
    """The names that Ray exports what we count under, and the labels of each."""
    text = (TOP / "services" / "ray_metrics.py").read_text()
    ours = {}
    for kind, name, rest in re.findall(r'(Counter|Gauge|Histogram)\(\s*"(dap_\w+)",(.*)\)', text):
        labels = set(re.findall(r'"(\w+)"', rest))
        ours.update({f"ray_{name}{suffix}": labels for suffix in _SUFFIXES[kind]})
    for kind, name, rest in re.findall(r'(Histogram)\(\n\s*"(dap_\w+)",(.*)\n', text):
        ours.update({f"ray_{name}{suffix}": set(re.findall(r'"(\w+)"', rest)) for suffix in _SUFFIXES[kind]})
    return ours


def _read_panels() -> list[dict[str, Any]]:
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "dap.json").read_text())
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def _read_rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text())["groups"]
    return group["rules"]


def _list_expressions() -> list[str]:
    return [target["expr"] for panel in _read_panels() for target in panel["targets"]] + [
        rule["expr"] for rule in _read_rules()
    ]


def test_all_that_is_asked_for_is_counted():
    ours = _list_our_metrics()
    assert "ray_dap_http_requests_total" in ours
    asked = {name for expression in _list_expressions() for name in re.findall(r"\bray_\w+", expression)}
    assert asked - set(ours) == _RAY_METRICS


def test_all_that_we_count_is_shown():
    shown = {name for panel in _read_panels() for name in re.findall(r"ray_dap_\w+", json.dumps(panel["targets"]))}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown}
    assert families == {re.sub(r"_(bucket|count|sum)$", "", name) for name in _list_our_metrics()}


def test_labels_that_are_compared_are_there():
    ours = _list_our_metrics()
    compared = [
        (name, set(re.findall(r"(\w+)[=!]~?\"", labels)))
        for expression in _list_expressions()
        for name, labels in re.findall(r"(ray_dap_\w+)\{([^}]*)\}", expression)
    ]
    assert len(compared) > 5
    for name, labels in compared:
        assert labels <= ours[name], name


def test_ray_counts_under_these_names():
    package = Path(ray.__file__).parent
    files = [package / "dashboard/modules/reporter/reporter_agent.py", *(package / "serve/_private").glob("*.py")]
    text = "\n".join(file.read_text() for file in files)
    for name in _RAY_METRICS - _IN_THE_CORE:
        plain = name.removeprefix("ray_")
        assert f'"{plain}"' in text or f'"{plain.removesuffix("_total")}"' in text, name


def test_panels_have_their_own_place_and_the_datasource_that_is_provided():
    [source] = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    taken: set[tuple[int, int]] = set()
    for panel in _read_panels():
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    titles = " ".join(panel["title"] for panel in _read_panels())
    for subject in ("Requests", "Queue", "batch", "Images", "GPU", "Failures", "Progress"):
        assert subject in titles


def test_prometheus_asks_the_nodes_where_they_export():
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    assert [(DEPLOY / name).exists() for name in config["rule_files"]] == [True]
    [job] = config["scrape_configs"]
    assert job["job_name"] == "ray"  # rules and panels compare it
    [found] = job["dns_sd_configs"]
    services = yaml.safe_load((TOP / "docker-compose.yml").read_text())["services"]
    nodes = [
        name for name, one in services.items() if f"--metrics-export-port={found['port']}" in one.get("command", ())
    ]
    assert sorted(found["names"]) == sorted(nodes)
    grafana, prometheus = services["grafana"]["volumes"], services["prometheus"]["volumes"]
    assert any(volume.endswith(":/etc/prometheus/prometheus-rules.yml:ro") for volume in prometheus)
    [provider] = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/dap.yml").read_text())["providers"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in grafana


def test_each_alert_says_how_bad_it_is_and_what_is_the_matter():
    rules = _read_rules()
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith((".", "?"))
