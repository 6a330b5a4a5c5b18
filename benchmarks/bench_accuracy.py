"""How accurate are the default parameters, with no outside data, beside the peers on the same splits?

MR and CR: mean and standard error over StratifiedKFold(10, shuffle=True, random_state=0), one seed. They have
no test part, so that `--dev` changes nothing for them. The other sets: trained on the whole training part,
scored on the given test part, mean and standard error over `--seeds` seeds; a peer without randomness is
trained once. Development parts are not used at all.

The test parts are to be looked at once, at the end. `--dev` leaves them alone and scores five stratified
folds of the training part instead; choose parameters by that.

Peers run in the mode "default" of `compare.py`; one that is not installed is left out, with a line that says
so. Times are those of a machine at work, for orientation; `compare.py` measures them.

    python benchmarks/bench_accuracy.py --data DIR [--sets mr,cr,trec] [--seeds 3] [--dev] [--threads 2]
        [--params '{"NAME": VALUE}'] [--set NAME=VALUE ...] [--peers nbsvm,fasttext-2gram] [--json FILE]
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import statistics
from collections.abc import Iterator
from typing import Any

from common import best_and_median, in_own_process, report
from datasets import CROSS_VALIDATED, NAMES, Split, development_split, read_split
from measure import fitted
from peers import PEERS, Settings, peer_class, what_is_missing
from results import LABELS, missing_line

ATTEMPTS = 5
DEV_FOLDS, FOLDS = 5, 10

# Published accuracy of convolutional networks with random embeddings: Kim 2014; for SST-2, which was trained
# on phrases too in that paper, the same network on sentences only.
PUBLISHED = {"mr": 0.761, "cr": 0.798, "trec": 0.912, "sst2": 0.807}


def evaluate(peer: str, name: str, args: argparse.Namespace) -> dict:
    """Accuracy of one peer on one set, with the time of each training."""
    cls = peer_class(peer)
    scores, seconds, failures = [], [], 0
    for split, seed in trials(args.data, name, args, cls.seeded):
        settings = Settings("default", 1, args.threads, seed, split.chinese, args.params)
        model, training = fitted(cls, settings, split.X_train, split.y_train, ATTEMPTS)
        failures += training["failures"]
        if model is not None:
            scores.append(accuracy(model.predict(split.X_test), split.y_test))
            seconds.append(training["fit_s"])
    return row(peer, name, args, scores, seconds, failures)


def trials(data: str, name: str, args: argparse.Namespace, seeded: bool) -> Iterator[tuple[Split, int]]:
    """The splits to train on, with their seeds."""
    if name in CROSS_VALIDATED:
        yield from ((read_split(data, name, fold), 0) for fold in range(FOLDS))
    elif args.dev:
        yield from ((development_split(data, name, fold, DEV_FOLDS), 0) for fold in range(DEV_FOLDS))
    else:
        split = read_split(data, name, 0)
        yield from ((split, seed) for seed in range(args.seeds if seeded else 1))


def accuracy(found: list[str], expected: list[str]) -> float:
    """Share of the labels that are right."""
    return sum(a == b for a, b in zip(found, expected, strict=True)) / len(expected)


def row(
    peer: str,
    name: str,
    args: argparse.Namespace,
    scores: list[float],
    seconds: list[float],
    failures: int,
) -> dict[str, Any]:
    """A line of the table."""
    times = best_and_median(seconds) if seconds else {"best": None, "median": None}
    n = len(scores)
    return {
        "set": name,
        "peer": LABELS[peer],
        "protocol": protocol(name, args, n),
        "accuracy": statistics.fmean(scores) if scores else None,
        "standard error": statistics.stdev(scores) / math.sqrt(n) if n > 1 else None,
        "published": PUBLISHED.get(name) if peer == "textcnn" else None,
        "best s/fit": times["best"],
        "median s/fit": times["median"],
        "broken off": failures or None,
        "scores": scores,
    }


def protocol(name: str, args: argparse.Namespace, n: int) -> str:
    """What the scores are means of."""
    if name in CROSS_VALIDATED:
        return f"{FOLDS} folds of all"
    return f"{DEV_FOLDS} folds of train" if args.dev else f"test, {n} seed{'s' if n > 1 else ''}"


def parsed(text: str) -> dict[str, Any]:
    """A JSON object with parameters; lists become tuples, as the estimator's defaults are."""
    params = json.loads(text)
    if not isinstance(params, dict):
        raise ValueError(f"{text} is no JSON object")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}


def assigned(parser: argparse.ArgumentParser, assignment: str) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``; a value that is no literal of Python is a string."""
    name, equals, value = assignment.partition("=")
    if not equals:
        parser.error(f"--set has {assignment}, but NAME=VALUE is expected")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with sentences/")
    parser.add_argument("--sets", default=",".join(NAMES), help="default: all of %(default)s")
    parser.add_argument("--params", type=parsed, default={}, help="parameters of the estimator, as JSON")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one of them, VALUE in Python"
    )
    parser.add_argument("--peers", default="", help=f"beside textcnn: {', '.join(list(PEERS)[1:])}; or all")
    parser.add_argument("--seeds", type=int, default=3, help="for the sets with a test part")
    parser.add_argument("--dev", action="store_true", help="leave the test parts alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    args = parser.parse_args()
    args.params |= dict(assigned(parser, assignment) for assignment in args.set)
    sets = args.sets.split(",")
    peers = list(PEERS) if args.peers == "all" else ["textcnn", *filter(None, args.peers.split(","))]
    for option, chosen, known in (("sets", sets, NAMES), ("peers", peers, tuple(PEERS))):
        if unknown := [name for name in chosen if name not in known]:
            parser.error(f"--{option} has {', '.join(unknown)}; known are {', '.join(known)}")
    rows = []
    for peer in dict.fromkeys(peers):
        if library := what_is_missing(peer):
            print(missing_line(peer, library))
        else:
            rows += [in_own_process(evaluate, peer, name, args) for name in sets]
    report(sorted(rows, key=lambda each: sets.index(each["set"])), args.json)


if __name__ == "__main__":
    main()
