"""The kernel tests once more at each level of instruction sets that this machine has."""

from pathlib import Path

import pytest
from checks import run_python

from textcnn._kernels import _simd

HERE = Path(__file__).parent


def test_there_is_a_generic_level():
    assert "generic" in _simd.available_levels()
    assert _simd.active_level() in _simd.available_levels()


@pytest.mark.parametrize("level", _simd.available_levels())
def test_level_asked_for_is_the_active_one(level):
    finished = run_python(
        "-c",
        "from textcnn._kernels import _simd; print(_simd.active_level())",
        timeout=60,
        TEXTCNN_ISA=level,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == level


@pytest.mark.parametrize("level", _simd.available_levels())
def test_kernels_at_level(level):
    not_kernels = {"test_levels.py", "test_reference.py"}
    files = [str(path) for path in sorted(HERE.glob("test_*.py")) if path.name not in not_kernels]
    options = ["-x", "-p", "no:cacheprovider", "--hypothesis-profile=levels"]
    finished = run_python("-m", "pytest", *options, *files, timeout=300, TEXTCNN_ISA=level)
    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr[-2000:]


def test_level_that_does_not_exist_is_refused():
    finished = run_python("-c", "from textcnn._kernels import _simd", timeout=60, TEXTCNN_ISA="x86-64-v99")
    assert finished.returncode != 0
    assert "ImportError: TEXTCNN_ISA is 'x86-64-v99'" in finished.stderr
