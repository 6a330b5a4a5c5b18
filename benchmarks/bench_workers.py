"""Memory that each of two forked workers has for itself: the model loaded, mapped, or loaded before the fork.

    python benchmarks/bench_workers.py

Linux only. Prints the size of the model file, and private megabytes of a worker above those of a process that
has imported textcnn: with the model at hand, and after it has predicted 20,000 texts with one thread.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import textcnn

N_WORKERS = 2


def texts(seed: int) -> list[str]:
    """20,000 texts of 25 words out of 100,000."""
    rows = np.random.RandomState(seed).randint(0, 100_000, (20_000, 25))
    return [" ".join(f"word{i}" for i in row) for row in rows]


def write_model(path: Path) -> None:
    """A network of 300 dimensions for nearly all of the words."""
    classifier = textcnn.TextCNNClassifier(
        embedding_dim=300, max_iter=1, linear=0, early_stopping=False, random_state=0
    )
    classifier.fit(texts(0), np.arange(20_000) % 2).save(path)


def private_megabytes() -> float:
    """What this process shares with no other one."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1e3


def work(model_of: Callable[[], Any], X: list[str], results: Any, together: Any) -> None:
    """What a worker does; all measure at the same time, when each has come as far."""
    before = private_megabytes()
    model = model_of()
    together.wait()
    loaded = private_megabytes()
    together.wait()
    model.predict(X)
    together.wait()
    results.put((loaded - before, private_megabytes() - before))
    together.wait()


def measure(what: str, model_of: Callable[[], Any], X: list[str]) -> None:
    """Fork workers and print the mean of what they have."""
    context = multiprocessing.get_context("fork")
    results, together = context.Queue(), context.Barrier(N_WORKERS)
    workers = [context.Process(target=work, args=(model_of, X, results, together)) for _ in range(N_WORKERS)]
    for worker in workers:
        worker.start()
    loaded, used = np.mean([results.get() for _ in workers], axis=0)
    for worker in workers:
        worker.join()
    print(f"{what:36}{loaded:10.0f}{used:10.0f}")


def main() -> int:
    X = texts(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.textcnn"
        maker = multiprocessing.get_context("spawn").Process(target=write_model, args=(path,))
        maker.start()  # in a process of its own, so that nothing of the training stays
        maker.join()
        print(f"{'model file':36}{os.path.getsize(path) / 1e6:10.0f} MB")
        print(f"{'':36}{'loaded':>10}{'used':>10}")
        measure("textcnn.load(path)", lambda: textcnn.load(path, n_jobs=1), X)
        measure("textcnn.load(path, mmap=True)", lambda: textcnn.load(path, n_jobs=1, mmap=True), X)
        model = textcnn.load(path, n_jobs=1)
        measure("loaded before the fork", lambda: model, X)
    return 0


if __name__ == "__main__":
    sys.exit(main())
