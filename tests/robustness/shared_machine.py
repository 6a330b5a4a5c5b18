"""How long fits take that share the processors, beside what their fair share of these allows.

    python tests/robustness/shared_machine.py [--json FILE]

A grid search over a classifier and one over a tagger, with the default ``n_jobs=None`` of the estimators,
run in several settings with two workers, and alone beside busy processes. Fair is the time of the same
search in one process on one thread, divided by the processors that the setting may use; each figure is the
time over that, the median of several rounds in each of which every setting has its turn. None should be
above 1.5. Dask is measured if it is installed.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import joblib
from sklearn.model_selection import GridSearchCV
from textcnn.data import load_entities, load_messages

from textcnn import TextCNNClassifier, TextCNNTagger
from textcnn._threads import n_processors

LIMIT = 1.5
BUSY = "while True: pass"


def searches() -> dict[str, Callable[[int | None, int | None], Any]]:
    """Grid searches by name: functions of the estimator's n_jobs and of the search's."""

    def search(estimator: Any, grid: dict, data: tuple) -> Callable[[int | None, int | None], Any]:
        return lambda inner, outer: GridSearchCV(
            estimator.set_params(n_jobs=inner), grid, cv=2, n_jobs=outer, refit=False
        ).fit(*data)

    classifier = TextCNNClassifier(max_iter=4, random_state=0)
    tagger = TextCNNTagger(max_iter=2, random_state=0)
    return {
        "classifier": search(classifier, {"n_filters": [80, 100, 120, 140]}, load_messages()),
        "tagger": search(tagger, {"n_channels": [90, 100, 110, 120]}, load_entities()),
    }


@contextmanager
def busy_neighbours(n: int) -> Iterator[None]:
    """`n` other processes that compute all the time."""
    processes = [subprocess.Popen([sys.executable, "-S", "-c", BUSY]) for _ in range(n)]
    try:
        time.sleep(0.2)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def dask(**cluster: Any) -> Iterator[None]:
    """joblib hands its work to a cluster of Dask on this machine."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(dashboard_address=":0", **cluster) as local,
        Client(local),
        joblib.parallel_config("dask"),
    ):
        yield


def settings() -> dict[str, tuple[Callable[[], Any], int | None, float]]:
    """By name: a context, the `n_jobs` of the search, and the processors that are its fair share."""
    n = n_processors()
    two = min(2, n)
    found: dict[str, tuple[Callable[[], Any], int | None, float]] = {
        "alone, all processors": (nullcontext, None, 1),
        "loky, 2 workers": (lambda: joblib.parallel_config("loky"), 2, two),
        "threading, 2 workers": (lambda: joblib.parallel_config("threading"), 2, two),
        "multiprocessing, 2 workers": (lambda: joblib.parallel_config("multiprocessing"), 2, two),
        "beside one busy process": (lambda: busy_neighbours(1), None, max(1, n - 1)),
        f"beside {n} busy processes": (lambda: busy_neighbours(n), None, n / 2),
        "loky beside one busy process": (lambda: loky_beside_one(), 2, two * 2 / 3 if n == 2 else two),
    }
    if importlib.util.find_spec("distributed"):
        found["dask, 2 processes"] = (lambda: dask(n_workers=2, threads_per_worker=1), 2, two)
        found["dask, 2 threads"] = (lambda: dask(n_workers=1, threads_per_worker=2, processes=False), 2, two)
    return found


@contextmanager
def loky_beside_one() -> Iterator[None]:
    with joblib.parallel_config("loky"), busy_neighbours(1):
        yield


def seconds(run: Callable[[int | None, int | None], Any], inner: int | None, outer: int | None) -> float:
    start = time.perf_counter()
    run(inner, outer)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    parser.add_argument("--only", default="", help="settings whose name contains this")
    args = parser.parse_args()
    chosen = {name: setting for name, setting in settings().items() if args.only in name}
    results: dict[str, dict[str, float]] = {}
    for model, run in searches().items():
        ratios: dict[str, list[float]] = {name: [] for name in chosen}
        run(1, None)
        for _ in range(args.rounds):
            for name, (context, outer, share) in chosen.items():
                before = seconds(run, 1, None)
                with ExitStack() as stack:
                    stack.enter_context(context())
                    if outer:
                        run(None, outer)  # workers have started and imported everything
                    taken = seconds(run, None, outer)
                fair = min(before, seconds(run, 1, None)) / share
                ratios[name].append(taken / fair)
        results[model] = {name: statistics.median(found) for name, found in ratios.items()}
        for name, ratio in results[model].items():
            print(
                f"{model:12}{name:32}{ratio:6.2f}{'  above ' + str(LIMIT) if ratio > LIMIT else ''}",
                flush=True,
            )
    if args.json:
        with open(args.json, "w") as file:
            json.dump(
                {"python": sys.version, "processors": n_processors(), "results": results}, file, indent=1
            )


if __name__ == "__main__":
    main()
