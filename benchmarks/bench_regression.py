"""How well does the regressor read polarity as a number, with clean targets and with a tenth of them wild?

The target is 0 or 1, and predictions are scored on texts held out: coefficient of determination R2 in per
cent, and mean absolute error, the means over the folds. "wild" is that error after 100 was added to a random
tenth of the training targets; those held out stay clean. The parts: the network alone, the linear part alone,
and both, which is the default.

    python benchmarks/bench_regression.py --data DIR [--sets mr,cr] [--folds 5] [--threads 2]
        [--set NAME=VALUE ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import random
import statistics
from typing import Any

from bench_accuracy import assigned
from common import report
from datasets import Split, read_split

from textcnn import TextCNNRegressor

SETS = ("mr", "cr", "sst2", "imdb")  # those with two classes

# The linear part alone is nearly all of the mixture, beside a network that is hardly trained.
PARTS = {"network": {"linear": 0}, "linear part": {"linear": 1 - 1e-9, "max_iter": 1}, "both": {}}

WILD_SHARE, WILD_HEIGHT = 0.1, 100.0


def numbers(labels: list[str]) -> list[float]:
    """0 for the first of two labels, 1 for the second."""
    first = min(labels)
    return [float(label != first) for label in labels]


def spoilt(y: list[float]) -> list[float]:
    """The numbers with a random tenth of them wild."""
    chosen = set(random.Random(0).sample(range(len(y)), int(WILD_SHARE * len(y))))
    return [value + WILD_HEIGHT * (i in chosen) for i, value in enumerate(y)]


def errors(split: Split, params: dict[str, Any]) -> tuple[float, float, float]:
    """R2 and mean absolute error on the test part, and that error with wild training targets."""
    y, y_test = numbers(split.y_train), numbers(split.y_test)

    def fitted(targets: list[float]) -> TextCNNRegressor:
        return TextCNNRegressor(random_state=0, **params).fit(split.X_train, targets)

    def mean_error(model: TextCNNRegressor) -> float:
        return float(abs(model.predict(split.X_test) - y_test).mean())

    clean = fitted(y)
    return 100 * clean.score(split.X_test, y_test), mean_error(clean), mean_error(fitted(spoilt(y)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with sentences/")
    parser.add_argument("--sets", default="mr,cr", help=f"of {', '.join(SETS)}; default: %(default)s")
    parser.add_argument("--folds", type=int, default=5, help="of the sets without a test part; default: 5")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    args = parser.parse_args()
    names = args.sets.split(",")
    if unknown := [name for name in names if name not in SETS]:
        parser.error(f"--sets has {', '.join(unknown)}; known are {', '.join(SETS)}")
    common = {"n_jobs": args.threads} | dict(assigned(parser, assignment) for assignment in args.set)
    rows = []
    for name in names:
        n_folds = args.folds if name in ("mr", "cr") else 1
        splits = [read_split(args.data, name, fold) for fold in range(n_folds)]
        for part, options in PARTS.items():
            for loss in ("squared_error", "huber"):
                found = [errors(split, common | options | {"loss": loss}) for split in splits]
                r2, error, wild = (statistics.fmean(column) for column in zip(*found, strict=True))
                rows.append({"set": name, "part": part, "loss": loss, "R2": r2, "error": error, "wild": wild})
    report(rows, args.json)


if __name__ == "__main__":
    main()
