"""Build and test textcnn with the oldest and the newest supported versions of what it needs.

    python tests/robustness/versions.py                          # every Python that is found
    python tests/robustness/versions.py --python python3.13t --newest
    python tests/robustness/versions.py -- tests/test_classifier.py   # these tests only

For each interpreter (python3.11, python3.12, ... and free-threaded python3.13t, ... on the path, or those of
--python) the lowest versions that pyproject.toml names are installed, then the newest, each in a virtual
environment of its own in a temporary folder; there the committed state is built, and its tests run. Prints a
line for each, and fails if any run fails. Versions without wheels for an interpreter are left out.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
NO_WHEELS = "No matching distribution found"  # as pip says it
NAMES = [f"python3.{minor}{suffix}" for minor in range(11, 16) for suffix in ("", "t")]


class Outcome(NamedTuple):
    """What came of one interpreter with one choice of versions."""

    python: str
    choice: str
    versions: str
    result: str

    @property
    def is_good(self) -> bool:
        return self.result.startswith("passed")


def pythons(given: Iterable[str]) -> list[str]:
    """The interpreters to test: those that were named, else those on the path."""
    return list(given) or [path for path in map(shutil.which, NAMES) if path] or [sys.executable]


def lower_bounds() -> list[str]:
    """The requirements of pyproject.toml at their lower bounds, such as ``numpy==1.26.*``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["test"],
    ]
    return [re.sub(r">=([^\s;,]+)", r"==\1.*", requirement) for requirement in wanted]


def newest() -> list[str]:
    """The same without bounds."""
    return [requirement.partition("==")[0] for requirement in lower_bounds()]


def run(words: list[str], log: Path, folder: Path = ROOT) -> bool:
    """Run a command in a folder with its output at the end of a file; whether it ended well."""
    with log.open("a") as file:
        print("$", *words, file=file, flush=True)
        return subprocess.run(words, cwd=folder, stdout=file, stderr=subprocess.STDOUT).returncode == 0


def installed(python: Path) -> str:
    """The versions in an environment."""
    code = (
        "import platform, Cython, numpy, sklearn\n"
        "print(platform.python_version(), numpy.__version__, sklearn.__version__, Cython.__version__)"
    )
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


def outcome_of(python: str, choice: str, requirements: list[str], tests: list[str]) -> Outcome:
    """Make an environment, build, and run the tests; the folder stays if that fails."""
    folder = Path(tempfile.mkdtemp(prefix=f"textcnn-{Path(python).name}-{choice}-"))
    log = folder / "log.txt"
    own = str(folder / "venv" / "bin" / "python")
    pip = [own, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    source = folder / "source"
    steps = {
        "environment": [python, "-m", "venv", str(folder / "venv")],
        # Only wheels: to compile an old NumPy for a new Python would test something else.
        "requirements": [*pip, "--only-binary", ":all:", *requirements],
        "build": [*pip, "--no-build-isolation", "--no-deps", str(source)],
        "tests": [own, "-P", "-m", "pytest", *tests],
    }
    run(["git", "clone", "-q", ".", str(source)], log)
    for name, words in steps.items():
        if not run(words, log, source):
            if name == "requirements" and NO_WHEELS in log.read_text():
                return Outcome(python, choice, "", "there are no wheels of these versions")
            return Outcome(python, choice, installed(Path(own)), f"FAILED ({name}), see {log}")
    summary = log.read_text().rstrip().rpartition("\n")[2].strip("= ")
    versions = installed(Path(own))
    shutil.rmtree(folder)
    return Outcome(python, choice, versions, f"passed: {summary}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", action="append", default=[], help="an interpreter; may be given again")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--oldest", action="store_true", help="the lowest versions only")
    only.add_argument("--newest", action="store_true", help="the newest versions only")
    parser.add_argument("tests", nargs="*", help="arguments of pytest (default: all tests)")
    args = parser.parse_args()
    choices = {"oldest": lower_bounds(), "newest": newest()}
    chosen = [choice for choice in choices if getattr(args, choice)] or list(choices)
    outcomes = []
    for python in pythons(args.python):
        for choice in chosen:
            outcomes.append(outcome_of(python, choice, choices[choice], args.tests))
            print("  ".join(outcomes[-1]), flush=True)
    # An interpreter for which no wheels of the oldest versions were ever made is no failure.
    return int(any("FAILED" in outcome.result for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
