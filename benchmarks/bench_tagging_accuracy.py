"""How accurate is `TextCNNTagger` with default parameters, alone and with pretrained vectors?

Mean and standard error over `--seeds` seeds. The development part serves for early stopping only; where a set
has none, a fixed tenth of the training part is held out for it. The test parts are to be looked at once, at
the end; `--dev` scores the development part instead. Scores are the F1 of spans as `conlleval` has it, or the
accuracy of tags; `compare_tagging.py` has the peers.

    python benchmarks/bench_tagging_accuracy.py --data DIR [--sets conll2003,ewt] [--seeds 3] [--vectors]
        [--dev] [--threads 2] [--set NAME=VALUE ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from pathlib import Path
from typing import Any

from bench_accuracy import assigned
from common import in_own_process, report
from tagging_datasets import NAMES, read_tagging_split
from tagging_scores import score

# under vectors/ of the data folder
VECTORS = {
    "conll2003": "glove.100d.top10k.q8.txt.gz",
    "conll2000": "glove.100d.top10k.q8.txt.gz",
    "ewt": "glove.100d.top10k.q8.txt.gz",
    "resume": "tencent.chars.200d.thucnews.txt.gz",
}


def evaluate(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """A line of the table: scores of one set."""
    from textcnn import TextCNNTagger

    split = read_tagging_split(args.data, name)
    params = dict(args.params)
    if args.vectors:
        params["embeddings"] = str(Path(args.data) / "vectors" / VECTORS[name])
    X, y = (split.X_dev, split.y_dev) if args.dev else (split.X_test, split.y_test)
    scores, seconds, epochs = [], [], []
    for seed in range(args.seeds):
        tagger = TextCNNTagger(random_state=seed, n_jobs=args.threads, **params)
        start = time.perf_counter()
        tagger.fit(split.X_train, split.y_train, X_val=split.X_dev, y_val=split.y_dev)
        seconds.append(time.perf_counter() - start)
        scores.append(100 * score(y, tagger.predict(X), split.spans))
        epochs.append(tagger.n_iter_)
        print(f"{name} seed {seed}: {scores[-1]:.2f} in {seconds[-1]:.0f} s", flush=True)
    n = len(scores)
    return {
        "set": name,
        "vectors": VECTORS[name] if args.vectors else None,
        "part": "dev" if args.dev else "test",
        "score": statistics.fmean(scores),
        "standard error": statistics.stdev(scores) / math.sqrt(n) if n > 1 else None,
        "epochs": statistics.fmean(epochs),
        "median s/fit": statistics.median(seconds),
        "scores": scores,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with tagging/ and vectors/")
    parser.add_argument("--sets", default=",".join(NAMES), help="default: all of %(default)s")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--vectors", action="store_true", help="train with the vectors under vectors/")
    parser.add_argument("--dev", action="store_true", help="leave the test parts alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter, VALUE in Python"
    )
    parser.add_argument("--json")
    args = parser.parse_args()
    args.params = dict(assigned(parser, assignment) for assignment in args.set)
    sets = args.sets.split(",")
    if unknown := [name for name in sets if name not in NAMES]:
        parser.error(f"--sets has {', '.join(unknown)}; known are {', '.join(NAMES)}")
    report([in_own_process(evaluate, name, args) for name in sets], args.json)


if __name__ == "__main__":
    main()
