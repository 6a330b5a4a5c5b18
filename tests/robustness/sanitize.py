"""Build the kernels with a sanitizer of GCC in a copy of the source, and run the tests there.

    python tests/robustness/sanitize.py address
    python tests/robustness/sanitize.py undefined
    python tests/robustness/sanitize.py thread

What follows the name goes to pytest; without it the whole test suite runs, with "thread" those tests that
run several threads. The interpreter in use must have Cython, setuptools and the packages of the "test"
extra. The exit status is 1 if a test failed or the sanitizer reported something; its reports are printed at
the end.

"thread" needs LLVM's OpenMP at run time, which tells the sanitizer through its `libarcher` when its threads
wait for each other (Debian: libomp-dev; elsewhere give the folder of libomp.so.5 and libarcher.so as
``--libomp``). GCC's own does not, so that every parallel loop would count as a race. Without LLVM's OpenMP
the kernels are built for one thread, and what is looked at is Python threads that share a model.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns("*.so", "*.pyc", "__pycache__", "build", "dist", ".*", "*.egg-info")
THREAD_TESTS = ["tests", "-k", "thread and not fork"]  # the sanitizer does not follow forks

# The runtime library of each, the name of its variable, and its options. Reports go to files, for pytest
# would swallow them.
SANITIZERS = {
    # An allocation that cannot be had must be a MemoryError, as it is without the sanitizer.
    "address": ("libasan.so", "ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1"),
    "undefined": ("libubsan.so", "UBSAN_OPTIONS", "print_stacktrace=1"),
    # The interpreter and NumPy are not compiled for it; it sees their locks, not their memory.
    "thread": ("libtsan.so", "TSAN_OPTIONS", "ignore_noninstrumented_modules=1:history_size=7:exitcode=0"),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sanitizer", choices=SANITIZERS)
    parser.add_argument("--copy", metavar="DIR", help="build in DIR, and keep it for another run")
    parser.add_argument("--libomp", metavar="DIR", type=Path, default=found_libomp())
    args, pytest_args = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(args.copy or folder) / "textcnn"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT, dirs_exist_ok=True)
        shutil.copytree(copy / "data", copy / "textcnn" / "data", dirs_exist_ok=True)  # where wheels have it
        without_openmp = args.sanitizer == "thread" and args.libomp is None
        build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        variables = {"TEXTCNN_SANITIZE": args.sanitizer, "TEXTCNN_NO_OPENMP": str(int(without_openmp))}
        subprocess.run(build, cwd=copy, env=os.environ | variables, check=True)

        logs = Path(folder) / "logs"
        logs.mkdir()
        tests = pytest_args or (THREAD_TESTS if args.sanitizer == "thread" else ["tests"])
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests]
        status = subprocess.run(
            command, cwd=copy, env=environment(args.sanitizer, copy, logs, args.libomp)
        ).returncode
        reports = [path.read_text(errors="replace") for path in sorted(logs.iterdir())]
    print("".join(reports), end="")
    print(f"{args.sanitizer}: pytest ended with {status}; {len(reports)} processes reported something")
    return int(status != 0 or bool(reports))


def found_libomp() -> Path | None:
    """The folder of LLVM's OpenMP where Debian puts it."""
    return next((path.parent for path in sorted(Path("/usr/lib").glob("llvm-*/lib/libarcher.so"))), None)


def environment(sanitizer: str, copy: Path, logs: Path, libomp: Path | None) -> dict[str, str]:
    """Variables of the tests: the runtime of the sanitizer is loaded first."""
    library, variable, options = SANITIZERS[sanitizer]
    preloaded = [runtime(library)]
    found = os.environ | {"PYTHONPATH": str(copy), variable: f"{options}:log_path={logs / 'report'}"}
    if sanitizer == "address":
        found["PYTHONMALLOC"] = "malloc"  # each object by itself, so that the sanitizer sees where it ends
        preloaded.append(runtime("libstdc++.so.6"))  # exceptions of other packages pass through the sanitizer
    if sanitizer == "thread" and libomp is not None:
        preloaded.append(str(libomp / "libomp.so.5"))  # it has the functions of GCC's OpenMP as well
        found["OMP_TOOL_LIBRARIES"] = str(libomp / "libarcher.so")
    return found | {"LD_PRELOAD": " ".join(preloaded)}


def runtime(library: str) -> str:
    """Path of a library of the compiler."""
    command = [os.environ.get("CC", "gcc"), f"-print-file-name={library}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
