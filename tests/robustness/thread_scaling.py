"""How much faster two Python threads are than one, on one model: the GIL must be released.

    python tests/robustness/thread_scaling.py [--json FILE] [--texts 50] [--threads 8]

Models with ``n_jobs=1`` answer batches of 1000 texts, the same number of batches by one Python thread and
by two, and by two forked processes, which is what the machine can do; each ratio is the median over rounds
of runs that follow one another. `explain` builds a few Python objects for each text, `tag` for each span, and
only one thread can do so at a time. What was imported is left out of Python's garbage collections, as in a
service: a full one takes as long as a batch, holds the GIL, and comes at any moment. Measure on two
free cores.
"""

import argparse
import gc
import json
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from textcnn.data import load_entities, load_messages

from textcnn import TextCNNClassifier, TextCNNTagger

SECONDS = 1.0  # of one run on one thread, about


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--texts", type=int, default=1000, help="of a batch")
    parser.add_argument("--threads", type=int, default=2, help="and processes")
    parser.add_argument("--only", default="", help="methods whose name contains this")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    args = parser.parse_args()
    results = {}
    k = args.threads
    print(f"{'method':34}{'texts/s':>10}{f'{k} threads':>13}{'processes':>11}")
    for name, call in methods(args.texts).items():
        if args.only not in name:
            continue
        n = enough_batches(call, k)
        rounds = [
            (seconds(call, n, 1), seconds(call, n, k), seconds(call, n, k, in_process))
            for _ in range(args.rounds)
        ]
        threads = statistics.median(one / many for one, many, _ in rounds)
        processes = statistics.median(one / many for one, _, many in rounds)
        rate = args.texts * n / min(one for one, _, _ in rounds)
        results[name] = {"texts_per_second": rate, "threads": threads, "processes": processes}
        print(f"{name:34}{rate:10.0f}{threads:12.2f}x{processes:10.2f}x", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"python": sys.version, "results": results}, file, indent=1)


def methods(n_texts: int) -> dict[str, Callable[[], object]]:
    """What is called on one batch, by name."""
    texts, labels = load_messages()
    batch = (texts * (1 + n_texts // len(texts)))[:n_texts]
    tokens = [text.split() for text in batch]
    classifier = TextCNNClassifier(random_state=0, n_jobs=1).fit(texts, labels).predictor_
    network = TextCNNClassifier(random_state=0, n_jobs=1, linear=0).fit(texts, labels).predictor_
    tagger = TextCNNTagger(random_state=0, n_jobs=1, max_iter=3).fit(*load_entities()).predictor_
    gc.collect()
    gc.freeze()
    return {
        "classifier.predict": lambda: classifier.predict(batch),
        "classifier.predict, token lists": lambda: classifier.predict(tokens),
        "classifier.predict, network alone": lambda: network.predict(batch),
        "classifier.explain": lambda: classifier.explain(batch),
        "tagger.predict": lambda: tagger.predict(batch),
        "tagger.predict, token lists": lambda: tagger.predict(tokens),
        "tagger.tag": lambda: tagger.tag(batch),
    }


def enough_batches(call: Callable[[], object], n_workers: int) -> int:
    """A number of batches that takes about SECONDS, as many for each worker."""
    call()
    start = time.perf_counter()
    call()
    return n_workers * max(1, round(SECONDS / n_workers / (time.perf_counter() - start)))


def in_process(target: Callable[[], None]) -> multiprocessing.process.BaseProcess:
    return multiprocessing.get_context("fork").Process(target=target)


def in_thread(target: Callable[[], None]) -> threading.Thread:
    return threading.Thread(target=target)


def seconds(
    call: Callable[[], object], n_batches: int, n_workers: int, worker: Callable[..., Any] = in_thread
) -> float:
    """Time of `n_batches` batches, shared equally among Python threads or processes."""

    def work() -> None:
        for _ in range(n_batches // n_workers):
            call()

    workers = [worker(work) for _ in range(n_workers)]
    start = time.perf_counter()
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
