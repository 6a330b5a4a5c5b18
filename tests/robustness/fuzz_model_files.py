"""Mutate small model files of every kind, load them all, and use what loads.

    python tests/robustness/fuzz_model_files.py --n 1000000 --seed 0 --jobs 2

Each file is read by child processes in which it may neither crash, nor take one second of processor time, nor
more memory than 64 MB and three times its size, nor raise anything but `ModelFileError`; a model that loads
must predict under the same rules. Files that break a rule are kept in a folder, with a line each in
``findings.txt``; the exit status is then 1. ``--only NUMBER`` runs a single mutation of a seed in this
process, with its traceback.
"""

from __future__ import annotations

import argparse
import mmap
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

SECONDS = 1.0  # of processor time for one file
MEGABYTES = 64  # beside three times the file
BLOCK = 10_000  # mutations of one child process
# number of the mutation under way, refused files, loaded files
STATE = struct.Struct("qqq")


def run_block(models_folder: Path, seed: int, first: int, last: int, work: Path) -> None:
    """The work of a child process: the mutations from `first` to ``last - 1``."""
    from robustness.model_files import ESTIMATORS, Finding, as_models, check_file, mutated, read_models

    models = as_models(read_models(models_folder))
    for model in models:  # everything is imported, and every pool is warm
        check_file(str(models_folder / f"{model.name}.textcnn"))
    path = str(work / "mutated.textcnn")
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process, in compiled code too
    size = virtual_bytes()
    with open(work / "state", "r+b") as file, mmap.mmap(file.fileno(), STATE.size) as state:
        refused, loaded = STATE.unpack(state)[1:]
        for number in range(first, last):
            STATE.pack_into(state, 0, number, refused, loaded)
            _, content = mutated(models, seed, number)
            with open(path, "wb") as output:
                output.write(content)
            limit = size + MEGABYTES * 2**20 + 3 * len(content)
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                result = check_file(path, ESTIMATORS if number % 8 == 0 else ())
            except Finding as error:
                print(f"{number}\t{error!s:.300}".replace("\n", " "), flush=True)
                result = "refused"
            except MemoryError:
                print(f"{number}\tMemoryError", flush=True)
                result = "refused"
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            refused, loaded = refused + (result == "refused"), loaded + (result == "loaded")
        STATE.pack_into(state, 0, last, refused, loaded)


def virtual_bytes() -> int:
    """Address space of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def supervise(
    models_folder: Path, seed: int, first: int, last: int
) -> tuple[int, int, list[tuple[int, str]]]:
    """Run a block in child processes, a new one after each crash; refused, loaded and findings."""
    findings: list[tuple[int, str]] = []
    shared = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        work = Path(folder)
        (work / "state").write_bytes(STATE.pack(first, 0, 0))
        at = first
        while at < last:
            arguments = [*map(str, (models_folder, seed, at, last, work))]
            done = subprocess.run(
                [sys.executable, __file__, "--block", *arguments],
                capture_output=True, text=True, errors="replace",
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                check=False,
            )  # fmt: skip
            for line in done.stdout.splitlines():
                number, _, message = line.partition("\t")
                if number.isdigit():
                    findings.append((int(number), message))
            at, refused, loaded = STATE.unpack((work / "state").read_bytes())
            if at >= last:
                break
            signals = {
                -signal.SIGPROF: f"hangs for {SECONDS:g} s",
                -signal.SIGSEGV: "crashes (segmentation fault)",
            }
            end = signals.get(done.returncode, f"ends the process with status {done.returncode}")
            findings.append((at, f"{end} {done.stderr[-300:].strip()}".replace("\n", " ")))
            at += 1
    return refused, loaded, findings


def keep_finding(keep: Path, models: list[Any], seed: int, number: int, message: str) -> None:
    """Write the file of a finding and a line about it, and print this line."""
    from robustness.model_files import mutated

    name, content = mutated(models, seed, number)
    keep.mkdir(parents=True, exist_ok=True)
    (keep / f"{seed}-{number}.textcnn").write_bytes(content)
    with open(keep / "findings.txt", "a") as log:
        log.write(f"{seed}\t{number}\t{name}\t{message}\n")
    print(f"seed {seed}, number {number}, from {name!r}: {message}", flush=True)


def run(n: int, seed: int, jobs: int, keep: Path, first: int = 0) -> int:
    """All mutations from `first` on; returns the number of findings."""
    from robustness.model_files import as_models, write_small_models

    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        models_folder = Path(folder) / "models"
        models = as_models(write_small_models(models_folder))
        refused = loaded = 0
        findings: list[tuple[int, str]] = []
        last = first + n
        with ThreadPoolExecutor(jobs) as pool:
            blocks = {
                pool.submit(supervise, models_folder, seed, at, min(at + BLOCK, last)): at
                for at in range(first, last, BLOCK)
            }
            try:
                for n_blocks, block in enumerate(as_completed(blocks), 1):
                    some_refused, some_loaded, found = block.result()
                    refused, loaded, findings = refused + some_refused, loaded + some_loaded, findings + found
                    for number, message in found:
                        keep_finding(keep, models, seed, number, message)
                    minutes = (time.monotonic() - begin) / 60
                    print(
                        f"{min(n_blocks * BLOCK, n)} files in {minutes:.1f} min: {refused} refused, "
                        f"{loaded} loaded, {len(findings)} findings",
                        flush=True,
                    )
            finally:
                pool.shutdown(cancel_futures=True)
        if findings:
            shutil.copytree(models_folder, keep / "models", dirs_exist_ok=True)
    return len(findings)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=1_000_000, help="mutations (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    parser.add_argument("--jobs", type=int, default=1, help="child processes at once")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-findings"), help="folder for what breaks a rule"
    )
    parser.add_argument("--only", type=int, help="run this mutation alone, in this process")
    parser.add_argument("--block", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.block:
        folder, seed, first, last, work = arguments.block
        run_block(Path(folder), int(seed), int(first), int(last), Path(work))
        return 0
    if arguments.only is not None:
        from robustness.model_files import as_models, check_file, mutated, write_small_models

        with tempfile.TemporaryDirectory() as folder:
            models = as_models(write_small_models(Path(folder)))
            name, content = mutated(models, arguments.seed, arguments.only)
            path = Path(folder) / "mutated"
            path.write_bytes(content)
            print(f"from {name!r}: {check_file(str(path))}")
        return 0
    n_findings = run(arguments.n, arguments.seed, arguments.jobs, arguments.keep, arguments.first)
    return 1 if n_findings else 0


if __name__ == "__main__":
    sys.exit(main())
