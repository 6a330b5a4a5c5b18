"""Build the kernels with a sanitizer of the C compiler in a copy of the source, and run the tests there.

    python tests/robustness/sanitize.py address
    python tests/robustness/sanitize.py undefined
    python tests/robustness/sanitize.py thread
    CC=clang python tests/robustness/sanitize.py thread

What follows the name goes to pytest; without it the whole test suite runs, with "thread" the tests that run
several threads. The interpreter in use must have Cython, setuptools and the packages of the "test" extra. The
exit status is 1 if a test failed or the sanitizer reported something; its reports are printed at the end. Linux
on x86-64, with GCC or Clang.

GCC's OpenMP does not tell the thread sanitizer when its threads wait for each other, so that every parallel loop
would count as a race. With GCC the kernels are therefore built without OpenMP, and what is looked at is Python
threads that share a model. With Clang they are built with it, and its `libarcher` (in Debian's libomp-dev) tells
the sanitizer: parallel loops are looked at as well.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPPRESSIONS = Path("tests", "robustness", "thread_sanitizer.supp")
LEFT_OUT = shutil.ignore_patterns("*.so", "*.pyc", "__pycache__", "build", "dist", ".*", "*.egg-info")
THREAD_TESTS = ["tests/robustness", "tests/kernels", "tests/ops", "tests/text", "tests/nn", "-k", "thread"]

# The runtime libraries of GCC and of Clang.
RUNTIMES = {
    "address": ("libasan.so", "libclang_rt.asan-x86_64.so"),
    "undefined": ("libubsan.so", "libclang_rt.ubsan_standalone-x86_64.so"),
    "thread": ("libtsan.so", "libclang_rt.tsan-x86_64.so"),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sanitizer", choices=RUNTIMES)
    parser.add_argument("--copy", metavar="DIR", help="build in DIR and keep it, so that it can be used again")
    args, pytest_args = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(args.copy or folder) / "textcnn"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT, dirs_exist_ok=True)
        shutil.copytree(copy / "data", copy / "textcnn" / "data", dirs_exist_ok=True)  # where wheels have it
        build(copy, args.sanitizer)
        logs = Path(folder) / "logs"
        logs.mkdir()
        default = THREAD_TESTS if args.sanitizer == "thread" else []
        status = run_tests(copy, args.sanitizer, pytest_args or default, logs)
        reports = [path.read_text(errors="replace") for path in sorted(logs.iterdir())]
    print("".join(reports), end="")
    print(f"{args.sanitizer}: pytest ended with {status}; {len(reports)} processes reported something")
    return int(status != 0 or bool(reports))


def compiler_is_clang() -> bool:
    return "clang" in compiler_says("--version")


def compiler_says(option: str) -> str:
    compiler = os.environ.get("CC", "cc")
    return subprocess.run([compiler, option], capture_output=True, text=True, check=True).stdout.strip()


def build(copy: Path, sanitizer: str) -> None:
    """Compile the kernels of the copy in place."""
    environment = os.environ | {"TEXTCNN_SANITIZE": sanitizer}
    if sanitizer == "thread" and not compiler_is_clang():
        environment["TEXTCNN_NO_OPENMP"] = "1"
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=copy, env=environment, check=True
    )


def run_tests(copy: Path, sanitizer: str, pytest_args: list[str], logs: Path) -> int:
    """Run pytest on the copy with the runtime of the sanitizer loaded first; its exit status."""
    name = RUNTIMES[sanitizer][compiler_is_clang()]
    options = {
        # An allocation that cannot be had must be a MemoryError, as it is without the sanitizer.
        "address": "detect_leaks=0:allocator_may_return_null=1",
        "undefined": "print_stacktrace=1",
        # Only what the kernels do is looked at: the rest is not compiled for it.
        "thread": f"suppressions={copy / SUPPRESSIONS}:history_size=7:exitcode=0",
    }[sanitizer]
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        "LD_PRELOAD": compiler_says(f"-print-file-name={name}"),
        {"address": "ASAN", "undefined": "UBSAN", "thread": "TSAN"}[sanitizer] + "_OPTIONS": (
            f"{options}:log_path={logs / 'report'}"
        ),
    }
    if sanitizer == "address":
        # Each object is an allocation of its own, so that the sanitizer sees where it ends.
        environment["PYTHONMALLOC"] = "malloc"
    if sanitizer == "thread" and compiler_is_clang():
        environment["OMP_TOOL_LIBRARIES"] = compiler_says("-print-file-name=libarcher.so")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *pytest_args]
    return subprocess.run(command, cwd=copy, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
