"""The kernel tests once more at each level of instruction sets that this machine has."""

import re
from pathlib import Path

import pytest
from checks import run_python

from textcnn._kernels import _simd

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src_pyx" / "textcnn" / "_kernels"

# Kernels without the table of functions that a level chooses: they do the same at each.
WITHOUT_LEVELS = ["_crf", "_ngrams", "_packing", "_random", "_softmax", "_tokens"]

# The kernel tests themselves run at the level that is active.
OTHER_LEVELS = [level for level in _simd.available_levels() if level != _simd.active_level()]


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


def used_by(kernel, known=()):
    """The kernels that one cimports from, itself and those of them included."""
    known = {kernel, *known}
    for path in SOURCES.glob(f"{kernel}.p[yx][xd]"):
        text = path.read_text("utf-8")
        for cimport in re.findall(
            r"^(?:from|cimport)[^\n(]*textcnn\._kernels[^\n(]*(?:\([^)]*\))?", text, re.MULTILINE
        ):
            for name in set(re.findall(r"\b_[a-z]\w+", cimport)) - {"_kernels"} - known:
                known |= used_by(name, known)
    return known


@pytest.mark.parametrize("kernel", WITHOUT_LEVELS)
def test_kernels_that_are_the_same_at_each_level(kernel):
    assert (HERE / f"test{kernel}.py").exists()
    assert "_simd" not in used_by(kernel)
    assert "_simd" in used_by("_conv")
    assert "_text" in used_by("_tokens")


@pytest.mark.parametrize("level", OTHER_LEVELS)
def test_kernels_at_level(level):
    left_out = {"test_levels.py", "test_reference.py", *(f"test{kernel}.py" for kernel in WITHOUT_LEVELS)}
    files = [str(path) for path in sorted(HERE.glob("test_*.py")) if path.name not in left_out]
    options = ["-x", "-p", "no:cacheprovider", "--hypothesis-profile=levels"]
    finished = run_python("-m", "pytest", *options, *files, timeout=300, TEXTCNN_ISA=level)
    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr[-2000:]


def test_level_that_does_not_exist_is_refused():
    finished = run_python("-c", "from textcnn._kernels import _simd", timeout=60, TEXTCNN_ISA="x86-64-v99")
    assert finished.returncode != 0
    assert "ImportError: TEXTCNN_ISA is 'x86-64-v99'" in finished.stderr
