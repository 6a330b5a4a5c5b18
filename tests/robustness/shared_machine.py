"""How long fits take that share the processors, beside what their fair share of these allows.

    python tests/robustness/shared_machine.py [--json FILE]

A grid search over a classifier and one over a tagger, with the default ``n_jobs=None`` of the estimators,
run in several settings with two workers, and alone beside busy processes. Each figure is a time over the fair
one, the median of several rounds in each of which every setting has its turn. The first is that of the fits:
fair is their time on one thread alone, divided by the processors that the setting leaves to each. None should
be above 1.5.

The second is that of the whole search: fair is its time in one process on one thread, divided by the
processors that the setting may use. It counts what is no fit's as well: starting tasks, sending them to
workers, tasks of unequal length, the scheduler's own process. The third says what that comes to: the same of
a search over stand-ins, estimators that compute as long as each of the fits, on one thread and without the
GIL. The fourth is the second over the third.
"""

import argparse
import hashlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, NamedTuple

import joblib
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV
from textcnn.data import load_entities, load_messages

from textcnn import TextCNNClassifier, TextCNNTagger
from textcnn._threads import n_processors

LIMIT = 1.5
N_FOLDS = 2
BUSY = "while True: pass"


class StandIn(BaseEstimator):
    """An estimator whose `fit` computes on one thread without the GIL, `n_rounds` rounds of a hash."""

    def __init__(self, n_rounds: int = 1) -> None:
        self.n_rounds = n_rounds

    def fit(self, X: Any, y: Any) -> "StandIn":
        hashlib.pbkdf2_hmac("sha256", b"", b"", self.n_rounds)
        return self

    def score(self, X: Any, y: Any) -> float:
        return 0.0


def search(estimator: Any, grid: dict[str, list], data: tuple, n_jobs: int | None) -> GridSearchCV:
    """A fitted grid search."""
    return GridSearchCV(estimator, grid, cv=N_FOLDS, n_jobs=n_jobs, refit=False).fit(*data)


class Times(NamedTuple):
    """Seconds of a search, and those of its fits added up."""

    search: float
    fits: float


def timed(estimator: Any, grid: dict[str, list], data: tuple, n_jobs: int | None) -> Times:
    """The times of a grid search."""
    start = time.perf_counter()
    results = search(estimator, grid, data, n_jobs).cv_results_
    return Times(time.perf_counter() - start, float(results["mean_fit_time"].sum() * N_FOLDS))


class Search:
    """A grid search over an estimator, and one over stand-ins that compute as long.

    Parameters
    ----------
    estimator : estimator with n_jobs
    grid : dict
    data : tuple (X, y)
    """

    def __init__(self, estimator: Any, grid: dict[str, list], data: tuple) -> None:
        self.estimator, self.grid, self.data = estimator, grid, data
        self.stand_ins = {"n_rounds": self._rounds()}

    def _rounds(self) -> list[int]:
        """How many rounds of the stand-in take as long as the fit and the score of each candidate."""
        self.run(1, None)  # everything is imported
        times = search(self.estimator.set_params(n_jobs=1), self.grid, self.data, None).cv_results_
        start = time.perf_counter()
        StandIn(100_000).fit(None, None)
        rate = 100_000 / (time.perf_counter() - start)
        return [int(rate * t) for t in times["mean_fit_time"] + times["mean_score_time"]]

    def run(self, inner: int | None, outer: int | None) -> Times:
        """The search with the estimator's n_jobs and its own."""
        return timed(self.estimator.set_params(n_jobs=inner), self.grid, self.data, outer)

    def run_stand_in(self, outer: int | None) -> Times:
        """The search over stand-ins, which use one thread."""
        return timed(StandIn(), self.stand_ins, self.data, outer)


def searches() -> dict[str, Search]:
    """Grid searches by name."""
    classifier = TextCNNClassifier(random_state=0)
    tagger = TextCNNTagger(max_iter=2, random_state=0)
    return {
        "classifier": Search(classifier, {"n_filters": [80, 100, 120, 140]}, load_messages()),
        "tagger": Search(tagger, {"n_channels": [90, 100, 110, 120]}, load_entities()),
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
    """By name: a context, the `n_jobs` of the search, and the processors that are its fair share.

    Each process has an equal part of the processors, one of them at most.
    """
    n = n_processors()

    def share(n_processes: int, n_busy: int = 0) -> float:
        return n_processes * min(1.0, n / (n_processes + n_busy))

    found: dict[str, tuple[Callable[[], Any], int | None, float]] = {
        "alone, all processors": (nullcontext, None, share(1)),
        "loky, 2 workers": (lambda: joblib.parallel_config("loky"), 2, share(2)),
        "threading, 2 workers": (lambda: joblib.parallel_config("threading"), 2, share(2)),
        "multiprocessing, 2 workers": (lambda: joblib.parallel_config("multiprocessing"), 2, share(2)),
        "beside one busy process": (lambda: busy_neighbours(1), None, share(1, 1)),
        f"beside {n} busy processes": (lambda: busy_neighbours(n), None, share(1, n)),
        "loky beside one busy process": (lambda: loky_beside_one(), 2, share(2, 1)),
    }
    if importlib.util.find_spec("distributed"):
        in_threads = {"n_workers": 1, "threads_per_worker": 2, "processes": False}
        found["dask, 2 processes"] = (lambda: dask(n_workers=2, threads_per_worker=1), 2, share(2))
        found["dask, 2 threads"] = (lambda: dask(**in_threads), 2, share(2))
    return found


@contextmanager
def loky_beside_one() -> Iterator[None]:
    with joblib.parallel_config("loky"), busy_neighbours(1):
        yield


class Ratios(NamedTuple):
    """Times over fair ones: of fits, of the search, and of the search over stand-ins."""

    fits: float
    search: float
    stand_in: float


def ratios_to_share(
    grid_search: Search, context: Callable[[], Any], outer: int | None, share: float
) -> Ratios:
    """Times in a setting over those on one thread alone by their share of the processors."""
    before = grid_search.run(1, None)
    with ExitStack() as stack:
        stack.enter_context(context())
        if outer:
            grid_search.run(None, outer)  # workers have started and imported everything
        taken = grid_search.run(None, outer)
        stand_in = grid_search.run_stand_in(outer)
    after = grid_search.run(1, None)
    return Ratios(
        taken.fits / min(before.fits, after.fits) * (share / (outer or 1)),
        taken.search / min(before.search, after.search) * share,
        stand_in.search / grid_search.run_stand_in(None).search * share,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    parser.add_argument("--only", default="", help="settings whose name contains this")
    args = parser.parse_args()
    chosen = {name: setting for name, setting in settings().items() if args.only in name}
    results: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'':44}{'fits':>6}{'search':>8}{'stand-in':>10}{'over it':>9}")
    for model, grid_search in searches().items():
        ratios: dict[str, list[Ratios]] = {name: [] for name in chosen}
        for _ in range(args.rounds):
            for name, (context, outer, share) in chosen.items():
                ratios[name].append(ratios_to_share(grid_search, context, outer, share))
        results[model] = {}
        for name, found in ratios.items():
            fits, whole, stand_in = (statistics.median(column) for column in zip(*found, strict=True))
            over = statistics.median(each.search / each.stand_in for each in found)
            results[model][name] = {"fits": fits, "search": whole, "stand_in": stand_in, "to_stand_in": over}
            mark = f"  above {LIMIT}" if fits > LIMIT else ""
            print(f"{model:12}{name:32}{fits:6.2f}{whole:8.2f}{stand_in:10.2f}{over:9.2f}{mark}", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(
                {"python": sys.version, "processors": n_processors(), "results": results}, file, indent=1
            )


if __name__ == "__main__":
    main()
