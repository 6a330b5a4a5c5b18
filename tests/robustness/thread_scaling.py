"""How much faster two Python threads are than one, on one model: the GIL must be released.

    python tests/robustness/thread_scaling.py [--json FILE]

Models with ``n_jobs=1`` answer batches of 1000 texts, the same number of batches by one Python thread and by
two; each ratio is the median over pairs of runs that follow one another. Alone on two free cores `predict` and
its like reach 1.7 and more. `explain` and `tag` build Python objects for each n-gram and span, which only one
thread can do at a time.
"""

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable

from textcnn import TextCNNClassifier, TextCNNTagger
from textcnn.data import load_entities, load_messages

N_TEXTS = 1000
SECONDS = 1.0  # of one run on one thread, about


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=7, help="pairs of runs for each method")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    args = parser.parse_args()
    results = {}
    print(f"{'method':34}{'texts/s':>10}{'two threads':>13}")
    for name, call in methods().items():
        n_batches = enough_batches(call)
        pairs = [(seconds(call, n_batches, 1), seconds(call, n_batches, 2)) for _ in range(args.pairs)]
        ratio = statistics.median(one / two for one, two in pairs)
        rate = N_TEXTS * n_batches / min(one for one, _ in pairs)
        results[name] = {"texts_per_second": rate, "ratio": ratio}
        print(f"{name:34}{rate:10.0f}{ratio:12.2f}x", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"python": sys.version, "results": results}, file, indent=1)


def methods() -> dict[str, Callable[[], object]]:
    """What is called on one batch, by name."""
    texts, labels = load_messages()
    batch = (texts * 2)[:N_TEXTS]
    tokens = [text.split() for text in batch]
    classifier = TextCNNClassifier(random_state=0, n_jobs=1).fit(texts, labels).predictor_
    network = TextCNNClassifier(random_state=0, n_jobs=1, linear=0).fit(texts, labels).predictor_
    tagger = TextCNNTagger(random_state=0, n_jobs=1, max_iter=3).fit(*load_entities()).predictor_
    return {
        "classifier.predict": lambda: classifier.predict(batch),
        "classifier.predict, token lists": lambda: classifier.predict(tokens),
        "classifier.predict, network alone": lambda: network.predict(batch),
        "classifier.explain": lambda: classifier.explain(batch),
        "tagger.predict": lambda: tagger.predict(batch),
        "tagger.predict, token lists": lambda: tagger.predict(tokens),
        "tagger.tag": lambda: tagger.tag(batch),
    }


def enough_batches(call: Callable[[], object]) -> int:
    """An even number of batches that takes about SECONDS."""
    call()
    start = time.perf_counter()
    call()
    return 2 * max(1, round(SECONDS / 2 / (time.perf_counter() - start)))


def seconds(call: Callable[[], object], n_batches: int, n_threads: int) -> float:
    """Time of `n_batches` batches, shared equally among Python threads."""

    def work() -> None:
        for _ in range(n_batches // n_threads):
            call()

    threads = [threading.Thread(target=work) for _ in range(n_threads)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
