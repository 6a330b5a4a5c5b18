"""How much memory does training on MR with default parameters take, imports and data included?

The limit is 250 MB (of a million bytes), the peak resident memory of a new process that reads the data and
calls `fit`. Time and validation accuracy (of the rows that `fit` holds out) show that it really trained.
`--rounds` processes, one after another; the largest peak counts.

    python benchmarks/bench_memory.py --data DIR [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from common import best_and_median, in_own_process, peak_mb, read_labelled, report

LIMIT_MB = 250


def fit(data: str) -> dict:
    """Train on all of MR."""
    texts, labels = read_labelled(Path(data) / "sentences" / "mr.tsv")
    from textcnn import TextCNNClassifier

    before = peak_mb()
    start = time.perf_counter()
    classifier = TextCNNClassifier(random_state=0).fit(texts, labels)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "score": classifier.best_validation_score_, "before": before}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with sentences/mr.tsv")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    args = parser.parse_args()
    runs = [in_own_process(fit, args.data) for _ in range(args.rounds)]
    peak = max(run["peak_mb"] for run in runs)
    seconds = best_and_median([run["seconds"] for run in runs])
    row = {
        "what": "fit on MR, default parameters",
        "best s": seconds["best"],
        "median s": seconds["median"],
        "validation accuracy": runs[0]["score"],
        "MB before fit": max(run["before"] for run in runs),
        "peak MB": peak,
        f"under {LIMIT_MB}": "yes" if peak < LIMIT_MB else "NO",
    }
    report([row], args.json)


if __name__ == "__main__":
    main()
