"""How accurate are the default parameters, with no outside data?

MR and CR: mean and standard error over StratifiedKFold(10, shuffle=True, random_state=0), one seed. They have
no test part, so that `--dev` changes nothing for them. TREC and SST-2 (sentences only): trained on the whole
training part, scored on the given test part, mean and standard error over `--seeds` seeds. The development
part of SST-2 is not used at all.

The test parts are to be looked at once, at the end. `--dev` leaves them alone and scores five stratified
folds of the training part instead; choose parameters by that.

    python benchmarks/bench_accuracy.py --data DIR [--sets mr,cr,trec,sst2] [--set NAME=VALUE ...]
        [--seeds 3] [--dev] [--json FILE]
"""

from __future__ import annotations

import argparse
import ast
import time
from pathlib import Path

import numpy as np
from common import best_and_median, in_own_process, read_labelled, report
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_validate

from textcnn import TextCNNClassifier

# Published accuracy of randomly initialised embeddings: Kim 2014; for SST-2, which was trained on phrases
# too in that paper, the same network on sentences only.
PUBLISHED = {"mr": 0.761, "cr": 0.798, "trec": 0.912, "sst2": 0.807}
CROSS_VALIDATED = ("mr", "cr")


def evaluate(name: str, data: str, params: dict, seeds: int, dev: bool) -> dict:
    """Accuracy on one set, with the time of each fit."""
    folder = Path(data) / "sentences"
    classifier = TextCNNClassifier(random_state=0).set_params(**params)
    if dev or name in CROSS_VALIDATED:
        X, y = read_labelled(folder / f"{name}{'' if name in CROSS_VALIDATED else '.train'}.tsv")
        n_folds = 10 if name in CROSS_VALIDATED else 5
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=0)
        result = cross_validate(classifier, X, np.array(y), cv=folds, error_score="raise")
        scores, times = result["test_score"], result["fit_time"].tolist()
        protocol = f"{n_folds} folds of {'all' if name in CROSS_VALIDATED else 'train'}"
    else:
        X, y = read_labelled(folder / f"{name}.train.tsv")
        test = read_labelled(folder / f"{name}.test.tsv")
        found, times = [], []
        for seed in range(seeds):
            start = time.perf_counter()
            model = clone(classifier).set_params(random_state=seed).fit(X, y)
            times.append(time.perf_counter() - start)
            found.append(model.score(*test))
        scores, protocol = np.array(found), f"test, {seeds} seeds"
    times = best_and_median(times)
    return {
        "set": name,
        "protocol": protocol,
        "accuracy": float(scores.mean()),
        "standard error": float(scores.std(ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else None,
        "published": PUBLISHED[name],
        "best s/fit": times["best"],
        "median s/fit": times["median"],
        "scores": scores.tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with sentences/")
    parser.add_argument("--sets", default="mr,cr,trec,sst2")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an estimator parameter"
    )
    parser.add_argument("--seeds", type=int, default=3, help="for the sets with a test part")
    parser.add_argument("--dev", action="store_true", help="leave the test parts alone")
    parser.add_argument("--json")
    args = parser.parse_args()
    sets = args.sets.split(",")
    if unknown := [name for name in sets if name not in PUBLISHED]:
        parser.error(f"--sets has {', '.join(unknown)}; known are {', '.join(PUBLISHED)}")
    params = {}
    for assignment in args.set:
        name, equals, value = assignment.partition("=")
        if not equals:
            parser.error(f"--set has {assignment}, but NAME=VALUE is expected")
        try:
            params[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            params[name] = value
    rows = [in_own_process(evaluate, name, args.data, params, args.seeds, args.dev) for name in sets]
    report(rows, args.json)


if __name__ == "__main__":
    main()
