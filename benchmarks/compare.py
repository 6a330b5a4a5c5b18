"""textcnn beside PyTorch, fastText and scikit-learn: training, prediction, memory, accuracy.

Two modes. "matched": textcnn (without its linear part) and PyTorch train the same network, 300 dimensions,
100 filters of each of the widths 3, 4, 5, batches of 50, Adam, dropout 0.5, for the same number of epochs.
"default": everyone as its users run it; textcnn with `TextCNNClassifier()`, PyTorch stopping early (Kim
2014), fastText as its tutorial says, linear models of scikit-learn over words and pairs of words.

Every run is a new process, so that its peak memory is its own; the peers take turns, and all get the same
texts, splits and number of threads. A run waits until the processors that it needs are idle, and is repeated
if others used them meanwhile. Columns:

- s/epoch: one pass over the training texts. PyTorch's ids, padded batches and (best form) distinct tokens of
  each batch are made before, outside this time; textcnn's ids too.
- fit s: all of training from raw text. In the mode "default": seconds to the accuracy in the last column.
- raw M tok/s: million tokens a second from raw text to label, tokens counted the same way for all. The model
  has seen the texts once before, as in a service. fastText's prediction holds Python's lock, so that with
  more than one thread forked processes share the texts.
- ready M tok/s: from padded batches of ids (PyTorch) or normalised lines (fastText) made outside the time.
- one text, 99 %: microseconds from raw text to label, median and 99th percentile.
- peak MB: most resident memory of the process, in MB of a million bytes; libraries and texts included.

Figures are medians over all runs, with the smallest and largest in brackets. Peers that are not installed
are left out, with a line that says so: pip install '.[bench]'.

    python benchmarks/compare.py --data DIR [--sets mr,trec] [--json FILE] [--add] [--markdown]
    python benchmarks/compare.py --show FILE [--markdown]
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import quiet
import results
from common import in_own_process
from datasets import CROSS_VALIDATED, N_FOLDS, NAMES, Split, count_tokens, read_split
from measure import MOST_CHARACTERS, Plan, run
from peers import MATCHED, PEERS, Settings, what_is_missing

LIBRARIES = ("textcnn", "numpy", "scipy", "scikit-learn", "torch", "fasttext")

# must be set before a library starts its threads, that is, before a process of a run begins
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    parser = arguments()
    args = parser.parse_args()
    if args.show:
        found = loaded(parser, args.show)
    else:
        check(parser, args)
        found = loaded(parser, args.json) if args.add and Path(args.json).exists() else new_results(args)
        for line in problems_of(found):
            print(line, file=sys.stderr)
        compare(found, args)
    print("\n".join(results.tables(found, args.markdown)))


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder with sentences/")
    parser.add_argument("--sets", default="mr,trec", help=f"of {','.join(NAMES)}")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {','.join(PEERS)}")
    parser.add_argument("--modes", default=",".join(results.MODES))
    parser.add_argument("--rounds", type=int, default=3, help="runs of each peer on each set")
    parser.add_argument(
        "--folds", type=int, default=N_FOLDS, help=f"of {N_FOLDS} that the rounds take in turn: MR and CR"
    )
    parser.add_argument("--epochs", type=int, default=4, help="in the mode matched")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=5, help="of prediction, in each run")
    parser.add_argument("--pass-texts", type=int, default=20_000, help="in such a pass, at most")
    parser.add_argument("--singles", type=int, default=2000, help="texts one by one, in each run")
    parser.add_argument("--attempts", type=int, default=5, help="trainings, if one breaks off by chance")
    parser.add_argument("--wait", type=float, default=60, help="seconds at most for the machine to be idle")
    parser.add_argument("--repeats", type=int, default=2, help="of a run that other processes disturbed")
    parser.add_argument("--json", help="file for the results, written after each run")
    parser.add_argument("--add", action="store_true", help="go on with that file: only the runs it has not")
    parser.add_argument("--show", metavar="FILE", help="print results; nothing is run")
    parser.add_argument("--markdown", action="store_true", help="tables for a document")
    return parser


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with a message if the arguments make no sense."""
    if not args.data:
        parser.error("--data is needed (or --show)")
    if args.add and not args.json:
        parser.error("--add needs --json")
    for option, known in (("sets", NAMES), ("peers", tuple(PEERS)), ("modes", results.MODES)):
        chosen = getattr(args, option).split(",")
        if unknown := [name for name in chosen if name not in known]:
            parser.error(f"--{option} has {', '.join(unknown)}; known are {', '.join(known)}")
        setattr(args, option, chosen)
    for name in ("rounds", "folds", "epochs", "threads", "passes", "pass_texts", "singles", "attempts"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be 1 or more")
    if args.folds > N_FOLDS:
        parser.error(f"--folds can be {N_FOLDS} at most")


def loaded(parser: argparse.ArgumentParser, path: str) -> dict:
    """Results from a file; ends with a message if it has none."""
    try:
        return results.load(path)
    except OSError as error:
        parser.error(f"{path} cannot be read ({error.strerror})")
    except ValueError as error:
        parser.error(f"{path} holds no results ({error})")


def new_results(args: argparse.Namespace) -> dict:
    """Results without any run."""
    missing = {name: what_is_missing(name) for name in args.peers}
    return {
        "format": results.FORMAT,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": {"python": platform.python_version()} | versions(LIBRARIES),
        "settings": settings_of(args),
        "missing": {name: library for name, library in missing.items() if library},
        "sets": {},
        "runs": [],
    }


def settings_of(args: argparse.Namespace) -> dict:
    """What runs that are added must have in common with those before."""
    names = ("epochs", "threads", "folds", "passes", "pass_texts", "singles", "attempts")
    return {name: getattr(args, name) for name in names}


def machine() -> dict:
    """The kind of machine; nothing that tells which one it is."""
    return {
        "cpu": cpu_model(),
        "cores": quiet.n_processors(),
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def cpu_model() -> str:
    """As the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Those of the libraries that are installed."""
    found = {}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def problems_of(found: dict) -> list[str]:
    """Lines about missing peers, before the long wait."""
    return [results.missing_line(peer, library) for peer, library in found["missing"].items()]


def compare(found: dict, args: argparse.Namespace) -> None:
    """Add to the results the runs that they do not have."""
    if found["settings"] != settings_of(args):
        raise SystemExit(f"{args.json} has other settings: {found['settings']}")
    for name in THREAD_VARIABLES:
        os.environ[name] = str(args.threads)
    for number in range(args.rounds):
        for data in args.sets:
            left = [each for each in systems(args, found) if not is_done(found, data, number, *each)]
            if left:
                split = read_split(args.data, data, number, args.folds)
                note_set(found, split, args)
                for mode, peer in left:
                    one = partial(one_run, peer, mode, number, split, args)
                    each = undisturbed_run(one, args, found)
                    found["runs"].append(each | {"test_tokens": count_tokens(split.X_test)})
                    if args.json:
                        results.save(found, args.json)


def systems(args: argparse.Namespace, found: dict) -> list[tuple[str, str]]:
    """Modes and peers that can be run here."""
    return [
        (mode, peer)
        for mode in args.modes
        for peer in args.peers
        if peer not in found["missing"] and (mode != "matched" or peer in MATCHED)
    ]


def is_done(found: dict, data: str, number: int, mode: str, peer: str) -> bool:
    """The results have this run already."""
    this = (data, number, mode, peer)
    return any((each["set"], each["round"], each["mode"], each["peer"]) == this for each in found["runs"])


def note_set(found: dict, split: Split, args: argparse.Namespace) -> None:
    """Size of a set; the texts of prediction are those of all folds, so that each round has as many."""
    texts = split.speed_texts(args.pass_texts, MOST_CHARACTERS)
    found["sets"][split.name] = {
        "train_texts": len(split.X_train),
        "test_texts": len(split.X_test),
        "prediction_texts": len(texts),
        "prediction_tokens": count_tokens(texts),
        "fold": split.name in CROSS_VALIDATED,
    }


def undisturbed_run(run_once: Callable[[], dict], args: argparse.Namespace, so_far: dict) -> dict:
    """The run during which others did least on this machine, of a few."""
    found: list[dict] = []
    for _ in range(1 + args.repeats):
        quiet.wait(args.wait, args.threads)
        watch = quiet.Watch()
        found.append(run_once())
        found[-1]["others"] = watch.others()
        if not results.is_disturbed(found[-1], so_far):
            break
        print(f"  others took {found[-1]['others']:.0%} of the machine", file=sys.stderr)
    return min(found, key=lambda each: each["others"] or 0.0)


def one_run(peer: str, mode: str, number: int, split: Split, args: argparse.Namespace) -> dict:
    """What one process found."""
    settings = Settings(mode, args.epochs, args.threads, seed=number, chinese=split.chinese)
    plan = Plan(args.passes, args.pass_texts, args.singles, args.attempts)
    print(f"round {number + 1}: {split.name}, {mode}, {peer}", file=sys.stderr, flush=True)
    try:
        result = in_own_process(run, peer, settings, split, plan)
    except BrokenProcessPool:
        result = {"failed": "the process died"}
    return {"set": split.name, "mode": mode, "peer": peer, "round": number} | result


if __name__ == "__main__":
    main()
