"""Numbered cases, run in child processes so that one that crashes or hangs is known by its number."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

BLOCK = 20_000  # cases of one child process
STATE = struct.Struct("q")  # the number of the case under way


class Finding(NamedTuple):
    """A case that broke a rule, and which."""

    number: int
    message: str


class BrokenRule(Exception):
    """What a check raises if a rule was broken."""


def run_cases(check: Callable[[int], None], first: int, last: int, state_file: str) -> None:
    """The work of a child process: check the cases from `first` to ``last - 1`` and print the findings.

    `check` gets the number of a case, and raises `BrokenRule`; before it does what may hang it sets the timer
    with `limit_seconds`, which ends the process in compiled code too.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with open(state_file, "r+b") as file, mmap.mmap(file.fileno(), STATE.size) as state:
        for number in range(first, last):
            STATE.pack_into(state, 0, number)
            try:
                check(number)
            except BrokenRule as error:
                print(f"{number}\t{str(error)[:500]!a}", flush=True)  # in one line, whatever it quotes
            finally:
                limit_seconds(0)
        STATE.pack_into(state, 0, last)


def limit_seconds(seconds: float) -> None:
    """End the process after so much of processor time; 0 for never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def supervised(command: list[str], first: int, last: int) -> list[Finding]:
    """Run cases in children, ``command FIRST LAST STATE_FILE``, a new one after each that ends early."""
    findings = []
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.NamedTemporaryFile() as state:
        while first < last:
            state.seek(0)
            state.write(STATE.pack(first))
            state.flush()
            words = [*command, str(first), str(last), state.name]
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", env=one_thread)
            for line in done.stdout.splitlines():
                number, _, message = line.partition("\t")
                findings.append(Finding(int(number), message))
            state.seek(0)
            (first,) = STATE.unpack(state.read(STATE.size))
            if first < last:
                findings.append(Finding(first, _end(done)))
                first += 1
    return findings


def _end(done: subprocess.CompletedProcess[str]) -> str:
    """Why a child process ended."""
    if done.returncode == -signal.SIGPROF:
        return "takes longer than it may"
    if done.returncode < 0:
        return f"crashes with {signal.Signals(-done.returncode).name}"
    return f"ends the process with status {done.returncode}: {done.stderr[-500:].strip()}".replace("\n", " ")


def in_blocks(script: str, options: list[str], n: int, jobs: int) -> Iterator[tuple[int, list[Finding]]]:
    """Run cases 0 to ``n - 1`` of a script in blocks; the number done so far and new findings after each."""
    command = [sys.executable, str(Path(script).resolve()), *options, "--block"]
    starts = range(0, n, BLOCK)
    with ThreadPoolExecutor(jobs) as pool:
        blocks = pool.map(lambda first: supervised(command, first, min(first + BLOCK, n)), starts)
        for first, found in zip(starts, blocks, strict=True):
            yield min(first + BLOCK, n), found
