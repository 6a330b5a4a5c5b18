"""Processes that may hang, with all that they start."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import textcnn

TESTS = Path(__file__).resolve().parents[1]


def start_python(*arguments, **options):
    """Start Python in a session of its own, with the textcnn and the test helpers of this process."""
    paths = [str(Path(textcnn.__file__).parents[1]), str(TESTS), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | options.pop("env", {}) | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(
        [sys.executable, "-P", *map(str, arguments)], env=environment, start_new_session=True, **options
    )


def end(process):
    """Kill a process of `start_python` and every process that it has started and that still lives."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def output_of_python(*arguments, timeout, **environment):
    """What Python prints, its errors included; a hang ends in TimeoutExpired, and nothing stays."""
    process = start_python(
        *arguments, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        return process.communicate(timeout=timeout)[0]
    finally:
        end(process)
