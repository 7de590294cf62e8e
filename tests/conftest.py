"""Fixtures that several test files share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import torch
from hypothesis import settings

from dap_core.classifiers import Classifier, load_classifier
from tests.faulty_proxy import FaultyProxy, run_proxy
from tests.job_api_builders import JobPlace, make_job_place
from tests.s3_servers import S3_ENVIRONMENT, S3Server, run_juicefs, run_moto
from tests.web_builders import open_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

settings.register_profile("dap", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("dap")
signal.signal(signal.SIGINT, signal.default_int_handler)  # scripts ignore it in what they start in the background


@pytest.fixture(scope="session", autouse=True)
def _folders_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Records of jobs and converted networks go to folders of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images; tests that need it skip where it is missing."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DAP_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real images are not there: {folder.name} (set DAP_TEST_DATA)")
    return folder


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, S3Server]]:
    """Two S3 servers by name, with their credentials in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in S3_ENVIRONMENT.items():
            patch.setenv(name, value)
        with run_moto() as moto, run_juicefs(tmp_path_factory.mktemp("juicefs")) as juicefs:
            yield {"moto": moto, "juicefs": juicefs}


@pytest.fixture(params=["moto", "juicefs"])
def server(request: pytest.FixtureRequest, servers: dict[str, S3Server]) -> S3Server:
    """Each of the servers in turn."""
    return servers[request.param]


@pytest.fixture
def proxy(servers: dict[str, S3Server]) -> Iterator[FaultyProxy]:
    """A network before the JuiceFS server that can be made to fail."""
    with run_proxy(servers["juicefs"].url) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> JobPlace:
    """A store for jobs, and a folder where they may read and write."""
    return make_job_place(tmp_path)


@pytest.fixture
def client(place: JobPlace) -> Iterator[httpx.Client]:
    """A client of a service with the jobs of `place`."""
    with place.serve() as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; skips where there is none."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def lite0() -> Classifier:
    """The bundled classifier."""
    return load_classifier()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch on one thread: for small tensors the others only get in the way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
