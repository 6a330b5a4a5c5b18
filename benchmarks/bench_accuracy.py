"""How accurate are the default parameters, with no outside data?

MR and CR: mean and standard error over StratifiedKFold(10, shuffle=True, random_state=0). TREC and SST-2
(sentences only): the given test part, mean over seeds. `--dev` uses five folds of the training part instead
of the test part, to choose parameters by.

    python benchmarks/bench_accuracy.py --data DIR [--sets mr,cr,trec,sst2] [--set NAME=VALUE ...] [--dev]
"""

from __future__ import annotations

import argparse
import ast
import time
from pathlib import Path

import numpy as np
from common import in_own_process, read_labelled, report
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_score

from textcnn import TextCNNClassifier

# Published accuracy of randomly initialised embeddings: Kim 2014; for SST-2, which was trained on phrases
# too in that paper, the same network on sentences only.
PUBLISHED = {"mr": 0.761, "cr": 0.798, "trec": 0.912, "sst2": 0.807}


def evaluate(name: str, data: str, params: dict, seeds: int, dev: bool) -> dict:
    """Accuracy on one set."""
    folder = Path(data) / "sentences"
    classifier = TextCNNClassifier(random_state=0).set_params(**params)
    start = time.perf_counter()
    if name in ("mr", "cr"):
        X, y = read_labelled(folder / f"{name}.tsv")
        folds = StratifiedKFold(10, shuffle=True, random_state=0)
        scores = cross_val_score(classifier, X, np.array(y), cv=folds)
    else:
        X, y = read_labelled(folder / f"{name}.train.tsv")
        if dev:
            folds = StratifiedKFold(5, shuffle=True, random_state=0)
            scores = cross_val_score(classifier, X, np.array(y), cv=folds)
        else:
            test = read_labelled(folder / f"{name}.test.tsv")
            models = [clone(classifier).set_params(random_state=seed).fit(X, y) for seed in range(seeds)]
            scores = np.array([model.score(*test) for model in models])
    seconds = (time.perf_counter() - start) / len(scores)
    return {
        "set": name,
        "accuracy": float(scores.mean()),
        "standard error": float(scores.std(ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else 0.0,
        "published": PUBLISHED[name],
        "s per fit": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--sets", default="mr,cr,trec,sst2")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an estimator parameter"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--json")
    args = parser.parse_args()
    params = {}
    for assignment in args.set:
        name, _, value = assignment.partition("=")
        try:
            params[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            params[name] = value
    rows = [
        in_own_process(evaluate, name, args.data, params, args.seeds, args.dev)
        for name in args.sets.split(",")
    ]
    report(rows, args.json)


if __name__ == "__main__":
    main()
