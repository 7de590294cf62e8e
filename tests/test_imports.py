"""What importing a module drags in: the light modules stay light."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "ray")


def imported_by(modules: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter holds after importing `modules`."""
    code = f"import sys, {modules}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "modules", ["dap_core", "dap_core.errors, dap_core.types, dap_core.images", "dap_core.mining, dap_core.boxes"]
)
def test_light_modules_import_neither_torch_nor_ray(modules):
    assert imported_by(modules) == set()


def test_the_check_above_can_fail():
    assert "torch" in imported_by("dap_core.labeler")


def test_the_package_offers_the_labeler_and_nothing_unknown():
    import dap_core
    from dap_core.labeler import PseudoLabeler

    assert dap_core.PseudoLabeler is PseudoLabeler
    with pytest.raises(AttributeError, match="no attribute 'PseudoLabeller'"):
        _ = dap_core.PseudoLabeller
