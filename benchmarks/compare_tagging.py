"""textcnn beside PyTorch, sklearn-crfsuite and spaCy as taggers: training, tagging, memory, score.

Entities (CoNLL-2003, ResumeNER), chunks (CoNLL-2000) and parts of speech (UD English EWT). Everyone gets the
tokens and nothing else. Two modes. "matched": textcnn, without its features of characters, and PyTorch train
the same iterated dilated CNN with a CRF (Strubell et al. 2017) for the same number of epochs. "default":
everyone as its users run it; textcnn with `TextCNNTagger()`, PyTorch and spaCy (`ner`, or `tagger` for parts
of speech, in a blank pipeline) stopping early by the development part, sklearn-crfsuite as its tutorial says.

Every run is a new process, so that its peak memory is its own; the peers take turns, and all get the same
sentences, splits and number of threads. A run waits until the processors that it needs are idle, and is
repeated if others used them meanwhile. Columns:

- training k/s: thousand words a second in an epoch, the first one not counted. PyTorch's ids are made outside
  this time, and so are textcnn's.
- fit s: all of training, evaluation on the development part included.
- tagging k/s: thousand words a second from lists of tokens to lists of tags. sklearn-crfsuite and spaCy have
  one thread; with more, forked processes share the sentences.
- ready k/s: from padded batches of ids made outside the time (PyTorch).
- peak MB: most resident memory of the process, in MB of a million bytes; libraries and data included.
- F1 (of spans, as `conlleval` has it) or accuracy (of tags): of the test part; with --dev of the development
  part, for work on textcnn without a look at the test part.

Figures are medians over all runs, with the smallest and largest in brackets. Peers that are not installed
are left out, with a line that says so: pip install '.[bench]'.

    python benchmarks/compare_tagging.py --data DIR [--sets conll2003,ewt] [--json FILE] [--add] [--markdown]
    python benchmarks/compare_tagging.py --show FILE [--markdown]
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import results
import tagging_results
from common import in_own_process
from compare import THREAD_VARIABLES, machine, undisturbed_run, versions
from tagging_datasets import NAMES, TaggingSplit, count_words, read_tagging_split
from tagging_measure import TaggingPlan, run
from tagging_peers import MATCHED, PEERS, TaggingSettings, what_is_missing

LIBRARIES = ("textcnn", "numpy", "scikit-learn", "torch", "sklearn-crfsuite", "python-crfsuite", "spacy")


def main() -> None:
    parser = arguments()
    args = parser.parse_args()
    if args.show:
        found = loaded(parser, args.show)
    else:
        check(parser, args)
        found = loaded(parser, args.json) if args.add and Path(args.json).exists() else new_results(args)
        for peer, library in found["missing"].items():
            print(tagging_results.missing_line(peer, library), file=sys.stderr)
        compare(found, args)
    print("\n".join(tagging_results.tables(found, args.markdown)))


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder with tagging/")
    parser.add_argument("--sets", default=",".join(NAMES), help=f"of {','.join(NAMES)}")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {','.join(PEERS)}")
    parser.add_argument("--modes", default=",".join(results.MODES))
    parser.add_argument("--rounds", type=int, default=3, help="runs of each peer on each set")
    parser.add_argument("--epochs", type=int, default=4, help="in the mode matched")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=5, help="of tagging, in each run")
    parser.add_argument("--pass-words", type=int, default=50_000, help="in such a pass, at most")
    parser.add_argument("--dev", action="store_true", help="scores of the development part")
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
    for name in ("rounds", "epochs", "threads", "passes", "pass_words"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be 1 or more")


def loaded(parser: argparse.ArgumentParser, path: str) -> dict:
    """Results from a file; ends with a message if it has none."""
    try:
        return tagging_results.load(path)
    except OSError as error:
        parser.error(f"{path} cannot be read ({error.strerror})")
    except ValueError as error:
        parser.error(f"{path} holds no results ({error})")


def new_results(args: argparse.Namespace) -> dict:
    """Results without any run."""
    missing = {name: what_is_missing(name) for name in args.peers}
    return {
        "tagging_format": tagging_results.FORMAT,
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
    return {name: getattr(args, name) for name in ("epochs", "threads", "passes", "pass_words", "dev")}


def compare(found: dict, args: argparse.Namespace) -> None:
    """Add to the results the runs that they do not have."""
    if found["settings"] != settings_of(args):
        raise SystemExit(f"{args.json} has other settings: {found['settings']}")
    for name in THREAD_VARIABLES:
        os.environ[name] = str(args.threads)
    splits = {data: read_tagging_split(args.data, data) for data in args.sets}
    for number in range(args.rounds):
        for data, split in splits.items():
            note_set(found, split, args)
            for mode, peer in systems(args, found):
                if not is_done(found, data, number, mode, peer):
                    one = partial(one_run, peer, mode, number, split, args)
                    found["runs"].append(undisturbed_run(one, args, found))
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
    runs = tagging_results.all_runs_of(found, data, mode, peer)
    return any(each["round"] == number for each in runs)


def note_set(found: dict, split: TaggingSplit, args: argparse.Namespace) -> None:
    """Size of a set."""
    found["sets"][split.name] = {
        "spans": split.spans,
        "train_words": count_words(split.X_train),
        "dev_words": count_words(split.X_dev),
        "test_words": count_words(split.X_test),
        "speed_words": count_words(split.speed_sentences(args.pass_words)),
    }


def one_run(peer: str, mode: str, number: int, split: TaggingSplit, args: argparse.Namespace) -> dict:
    """What one process found."""
    settings = TaggingSettings(mode, args.epochs, args.threads, number, split.spans, split.chinese)
    plan = TaggingPlan(args.passes, args.pass_words, args.dev)
    print(f"round {number + 1}: {split.name}, {mode}, {peer}", file=sys.stderr, flush=True)
    try:
        result = in_own_process(run, peer, settings, split, plan)
    except BrokenProcessPool:
        result = {"failed": "the process died"}
    return {"set": split.name, "mode": mode, "peer": peer, "round": number} | result


if __name__ == "__main__":
    main()
