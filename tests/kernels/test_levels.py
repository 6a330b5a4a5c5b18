"""The kernel tests once more at each level of instruction sets that this machine has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import textcnn._kernels
from textcnn._kernels import _simd

HERE = Path(__file__).parent
PACKAGE_FOLDER = Path(textcnn._kernels.__path__[0]).parents[1]


def run(level, *arguments):
    """Python in a process of its own with `TEXTCNN_ISA` set, and the same textcnn as here."""
    paths = [str(PACKAGE_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"TEXTCNN_ISA": level, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, "-P", *arguments], env=environment, capture_output=True, text=True, timeout=300
    )


def test_there_is_a_generic_level():
    assert "generic" in _simd.available_levels()
    assert _simd.active_level() in _simd.available_levels()


@pytest.mark.parametrize("level", _simd.available_levels())
def test_level_asked_for_is_the_active_one(level):
    finished = run(level, "-c", "from textcnn._kernels import _simd; print(_simd.active_level())")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == level


@pytest.mark.parametrize("level", _simd.available_levels())
def test_kernels_at_level(level):
    not_kernels = {"test_levels.py", "test_reference.py"}
    files = [str(path) for path in sorted(HERE.glob("test_*.py")) if path.name not in not_kernels]
    finished = run(
        level, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--hypothesis-profile=levels", *files
    )
    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr[-2000:]
