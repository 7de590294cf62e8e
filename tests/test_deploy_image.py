"""The image: what it copies is there, its rules are kept, and the steps that install work in a clean environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from deploy.make_bucket import make_bucket
from tests.s3_servers import S3_ENVIRONMENT, run_moto

TOP = Path(__file__).parents[1]
_MINUTES = 60


def _read_steps() -> list[tuple[str, str]]:
    lines = [line for line in (TOP / "deploy" / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "")
    return [(step.split()[0], step.split(maxsplit=1)[1]) for step in joined.splitlines() if step.strip()]


def _copied() -> list[str]:
    return [name for word, rest in _read_steps() if word == "COPY" for name in rest.split()[:-1]]


def test_what_the_image_copies_is_there_and_sent_to_the_builder():
    ignored = (TOP / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    sent = {line[1:] for line in ignored if line.startswith("!")}
    assert sent == set(_copied())
    assert all((TOP / name).exists() for name in sent)


def test_the_base_has_a_full_version_and_the_python_of_the_project():
    [base] = [rest for word, rest in _read_steps() if word == "FROM"]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)
    assert 'requires-python = ">=3.11"' in (TOP / "pyproject.toml").read_text()


def test_the_image_ends_as_a_numbered_user_who_runs_the_command():
    words = [word for word, _ in _read_steps()]
    steps = dict(_read_steps())
    assert steps["USER"] == "10001:10001"  # by number: Kubernetes cannot tell whether a name is root
    assert words.index("USER") > max(number for number, word in enumerate(words) if word == "RUN")
    assert (steps["ENTRYPOINT"], steps["CMD"]) == ('["dap"]', '["serve"]')


def test_installing_keeps_no_cache_and_obeys_the_constraints_and_code_comes_last():
    steps = _read_steps()
    installing = [rest for word, rest in steps if word == "RUN" and "pip install" in rest]
    assert len(installing) == 2
    assert all("--no-cache-dir" in rest for rest in installing)
    assert "--constraint constraints.txt" in installing[0]
    assert "--no-deps" in installing[1]
    needed, code = (steps.index(("RUN", rest)) for rest in installing)
    copies = [number for number, step in enumerate(steps) if step[0] == "COPY"]
    assert [number < needed for number in copies] == [True, False, False, False]
    assert max(copies) < code
    assert not any(word == "ADD" or "apt-get" in rest or "sudo" in rest for word, rest in steps)


@pytest.mark.parametrize(
    ("variant", "index", "expected"),
    [
        ("cpu", "https://there", "--constraint constraints.txt --extra-index-url=https://there .[cpu]"),
        ("cpu", "", "--constraint constraints.txt .[cpu]"),
        ("cuda", "https://there", "--constraint constraints.txt ."),
        ("tpu", "", None),
    ],
)
def test_the_variant_chooses_what_is_installed(variant: str, index: str, expected: str | None, tmp_path: Path):
    (tmp_path / "pip").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "pip").chmod(0o755)
    [step] = [rest for word, rest in _read_steps() if word == "RUN" and "--constraint" in rest]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "VARIANT": variant, "CPU_INDEX": index}
    done = subprocess.run(["sh", "-c", step], env=environment, capture_output=True, text=True, check=False)
    if expected is None:
        assert (done.returncode, done.stdout) == (2, "")
        return
    assert done.stdout.splitlines() == [f"install --no-cache-dir {expected}", "uninstall --yes dap"]


def test_a_bucket_is_made_once(monkeypatch: pytest.MonkeyPatch):
    with run_moto() as server:
        for name, value in {
            **S3_ENVIRONMENT,
            "AWS_ENDPOINT_URL": server.url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        assert [make_bucket("dap"), make_bucket("dap")] == ["dap made", "dap is there"]
        assert "dap" in [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]


@pytest.mark.soak
def test_the_steps_install_the_project_in_a_clean_environment(tmp_path: Path):
    app, home = tmp_path / "app", tmp_path / "environment"
    app.mkdir()
    subprocess.run([sys.executable, "-m", "venv", home], check=True, timeout=5 * _MINUTES)
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")},
        "PATH": f"{home / 'bin'}:/usr/bin:/bin",
        "VARIANT": "cpu",
        "CPU_INDEX": "",
    }

    def run(*command: str, cwd: Path = app) -> str:
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=40 * _MINUTES, check=False
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    for word, rest in _read_steps():
        if word == "COPY":
            for name in rest.split()[:-1]:
                source = TOP / name
                if source.is_dir():
                    shutil.copytree(source, app / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
                else:
                    shutil.copy(source, app)
        elif word == "RUN" and "pip" in rest:
            run("sh", "-c", rest)
    pinned = dict(
        line.lower().replace("_", "-").split("==")
        for line in (TOP / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    installed = dict(
        line.lower().replace("_", "-").split("==")
        for line in run("pip", "freeze", "--exclude-editable").splitlines()
        if "==" in line
    )
    assert {name: pinned.get(name) for name in installed} == installed
    assert "ray" in installed
    run("pip", "check")
    assert "serve" in run("dap", "--help", cwd=tmp_path)
    assert installed["ray"] in run("ray", "--version", cwd=tmp_path)
    run("python", "-c", "import services.serve_app, openvino, torch; from clients.cli.main import app", cwd=tmp_path)
