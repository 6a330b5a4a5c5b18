"""The number of threads."""

import os
import subprocess
import sys

import pytest
from robustness.processes import output_of_python

from textcnn import _threads
from textcnn._kernels import _openmp
from textcnn._threads import effective_n_threads, n_processors

with_openmp = pytest.mark.skipif(not _openmp.openmp_version(), reason="built without OpenMP")


def threads_in_process(**environment):
    code = "from textcnn._threads import effective_n_threads; print(effective_n_threads(None))"
    env = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")} | environment
    output = subprocess.run(
        [sys.executable, "-P", "-c", code], env=env, capture_output=True, text=True, check=True
    )
    return int(output.stdout)


@with_openmp
def test_positive_numbers_are_taken_and_negative_ones_count_from_all():
    assert effective_n_threads(3) == 3
    assert effective_n_threads(-1) == n_processors()
    assert effective_n_threads(-1000) == 1


@with_openmp
def test_none_means_what_openmp_may_use():
    assert threads_in_process(OMP_NUM_THREADS="1") == 1
    assert threads_in_process() == n_processors()
    assert threads_in_process(OMP_NUM_THREADS="500") == n_processors()


@pytest.mark.parametrize("value", [2.0, "2", True])
def test_other_types_are_refused(value):
    with pytest.raises(TypeError, match="n_jobs is"):
        effective_n_threads(value)


def test_zero_is_refused():
    with pytest.raises(ValueError, match="n_jobs is 0"):
        effective_n_threads(0)
    with pytest.raises(ValueError, match="at most 1024 threads"):
        effective_n_threads(100_000)


def test_a_forked_child_has_one_thread(monkeypatch):
    monkeypatch.setattr(_threads, "_IMPORTED_IN", os.getpid() + 1)
    assert effective_n_threads(4) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000", None), ("150000 100000", 2), ("50000 100000", 1), ("nonsense", None)],
)
def test_container_quota(monkeypatch, tmp_path, text, expected):
    (tmp_path / "cpu.max").write_text(text)
    folders = {"/sys/fs/cgroup/cpu.max": tmp_path / "cpu.max"}
    monkeypatch.setattr(_threads, "Path", lambda path: folders.get(path, tmp_path / "absent"))
    assert _threads._container_quota() == expected


def test_idle_threads_sleep_unless_the_environment_says_otherwise():
    code = "import os, textcnn._kernels; print(os.environ.get('OMP_WAIT_POLICY'))"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    for given in ({}, {"OMP_WAIT_POLICY": "active"}):
        output = subprocess.run(
            [sys.executable, "-P", "-c", code], env=env | given, capture_output=True, text=True
        )
        assert output.stdout.strip() == given.get("OMP_WAIT_POLICY", "None")


FIT_AND_COUNT = """
import threading
from textcnn import TextCNNClassifier, TextCNNTagger
TextCNNClassifier(max_iter=1, n_jobs=1).fit(["good film", "bad film"] * 5, ["pos", "neg"] * 5)
TextCNNTagger(max_iter=1, n_jobs=1).fit([["Ann", "smiles"]] * 5, [["B-PER", "O"]] * 5)
print(threading.active_count())
"""


def test_a_fit_leaves_no_python_thread_behind():
    """Python 3.12 warns of each fork of a process that has one."""
    assert output_of_python("-c", FIT_AND_COUNT, timeout=120).split() == ["1"]
