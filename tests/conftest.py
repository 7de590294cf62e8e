"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from dap_core.classifiers import Classifier, load_classifier

settings.register_profile("dap", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("dap")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images; tests that need it skip where it is missing."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DAP_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real images are not there: {folder.name} (set DAP_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def lite0() -> Classifier:
    """The bundled classifier."""
    return load_classifier()
