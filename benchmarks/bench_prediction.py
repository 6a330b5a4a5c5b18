"""How fast is prediction, from raw text to label?

Trained on MR with 300 dimensions and 3 x 100 filters: tokens per second of all of MR with warm cache, the
latency of one text, and the time of a new process until its first label.

    python benchmarks/bench_prediction.py --data DIR [--rounds 15] [--json FILE]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import read_labelled, report

import textcnn
from textcnn import TextCNNClassifier

FIRST_LABEL = """
import sys, textcnn
textcnn.load(sys.argv[1]).predict(["a quiet little film"])
assert "sklearn" not in sys.modules
"""


def seconds_of(function, *args) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json")
    args = parser.parse_args()
    texts, labels = read_labelled(Path(args.data) / "sentences" / "mr.tsv")
    classifier = TextCNNClassifier(embedding_dim=300, max_iter=2, early_stopping=False, random_state=0)
    classifier.fit(texts, labels)
    n_tokens = len(classifier.predictor_.vocabulary.encode(texts)[0])
    rows = []
    for threads in (1, 2):
        classifier.n_jobs = threads
        classifier.predict(texts)
        times = [seconds_of(classifier.predict, texts) for _ in range(args.rounds)]
        rows.append(
            {
                "what": f"raw text to labels, {threads} thread(s), warm, M tokens/s",
                "best": n_tokens / min(times) / 1e6,
                "median": n_tokens / statistics.median(times) / 1e6,
            }
        )
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "mr.textcnn")
        classifier.n_jobs = None
        classifier.save(path)
        predictor = textcnn.load(path)
        predictor.predict(texts)
        for name, model in (("TextCNNClassifier", classifier), ("textcnn.load", predictor)):
            times = [1e6 * seconds_of(model.predict, [text]) for text in texts[:3000]]
            rows.append(
                {
                    "what": f"one text, {name}, us (90th percentile {np.percentile(times, 90):.0f})",
                    "best": min(times),
                    "median": statistics.median(times),
                }
            )
        command = [sys.executable, "-c", FIRST_LABEL, path]
        times = [seconds_of(lambda: subprocess.run(command, check=True)) for _ in range(args.rounds)]
        rows.append(
            {
                "what": "new process to its first label, s",
                "best": min(times),
                "median": statistics.median(times),
            }
        )
    report(rows, args.json)


if __name__ == "__main__":
    main()
