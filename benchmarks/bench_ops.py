"""Is every operation of `textcnn.ops` as fast as its counterpart in PyTorch?

Each operation runs forward, backward alone, and forward and backward in one, in float32 on the same numbers
and with the same number of threads, beside PyTorch. PyTorch has its own layout (n, channels, length),
contiguous, made outside of the time; its backward alone is `torch.autograd.grad` on a graph that is kept.
"difference" is the largest one of any value of both results, so that the same work is timed; one of more
than 0.1 per cent of the largest value ends the run.

The two sides take turns in rounds. Their columns are medians in microseconds; "ratio" is PyTorch's time for
each of ours, median over the rounds, beside its quartiles: more than 1 is faster than PyTorch. An operation
counts as slower if even the upper quartile is below 1. Other processes falsify times: measuring begins when
the processors are idle, and the last line tells their share meanwhile.

    python benchmarks/bench_ops.py [--threads 2] [--rounds 15] [--operations NAME ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import paired
import quiet
from common import report
from compare import THREAD_VARIABLES

# texts, their length, channels; rows of texts are what dense layers, activations and losses take
SHAPE = (32, 256, 128)

# Of the largest value: float32 sums of some thousand products, in another order.
MOST_DIFFERENCE = 1e-3


def main() -> None:
    parser = arguments()
    args = parser.parse_args()
    if min(args.threads, args.rounds, *args.shape) < 1:
        parser.error("--threads, --rounds and --shape must be 1 or more")
    if not find_spec("torch"):
        parser.error("PyTorch is not installed (pip install '.[bench]')")
    for name in THREAD_VARIABLES:
        os.environ[name] = str(args.threads)
    from ops_cases import cases

    chosen = list(cases(tuple(args.shape), args.threads))
    if args.operations:
        known = dict.fromkeys(case.operation for case in chosen)
        if unknown := [name for name in args.operations if name not in known]:
            parser.error(f"--operations has {', '.join(unknown)}; known are {', '.join(known)}")
        chosen = [case for case in chosen if case.operation in args.operations]
    quiet.wait(args.wait, args.threads)
    watch = quiet.Watch()
    rows = measured(chosen, args.threads, args.rounds)
    report(rows, args.json)
    print("\n".join(summary(rows, watch.others())))


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2, help="of both sides")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--operations", nargs="+", metavar="NAME", help="only these, for example conv1d")
    parser.add_argument(
        "--shape", type=int, nargs=3, default=SHAPE, metavar=("N", "LENGTH", "CHANNELS"), help="of a batch"
    )
    parser.add_argument("--wait", type=float, default=60, help="seconds at most for the machine to be idle")
    parser.add_argument("--json", help="file for the rows, with the ratio of each round")
    return parser


def measured(chosen: list[Any], n_threads: int, rounds: int) -> list[dict]:
    """Rows of the table."""
    import torch

    torch.set_num_threads(n_threads)
    rows = []
    for case in chosen:
        for part, ours, theirs, layouts in case.parts():
            name = " ".join(filter(None, (case.operation, case.variant)))
            largest = difference(f"{name}, {part}", ours(), theirs(), layouts)
            rows.append(row_of(name, part, paired.measure(ours, theirs, rounds), largest))
            print(f"{name}, {part}: {rows[-1]['ratio']:.2f}", file=sys.stderr, flush=True)
    return rows


def difference(name: str, ours: Any, theirs: Any, layouts: tuple) -> float:
    """Largest difference of any value of the results; ends the run if they are not the same."""
    ours = ours if isinstance(ours, tuple) else (ours,)
    theirs = theirs if isinstance(theirs, tuple) else (theirs,)
    found = []
    for our, their, layout in zip(ours, theirs, layouts, strict=False):  # argmax has no layout
        expected = their.detach().numpy()
        values = layout(np.asarray(our))
        if values.shape != expected.shape:
            raise SystemExit(f"{name}: our result is {values.shape}, PyTorch's is {expected.shape}")
        found.append(float(np.abs(values - expected).max()))
        if not found[-1] <= MOST_DIFFERENCE * max(1.0, float(np.abs(expected).max())):
            raise SystemExit(f"{name}: the results differ by {found[-1]:.2g}")
    return max(found)


def row_of(name: str, part: str, found: paired.Paired, largest: float) -> dict:
    """One line of the table."""
    low, median, high = found.quartiles
    return {
        "operation": name,
        "part": part,
        "ours us": 1e6 * statistics.median(found.ours),
        "PyTorch us": 1e6 * statistics.median(found.theirs),
        "ratio": median,
        "lower quartile": low,
        "upper quartile": high,
        "difference": largest,
        "ratios": found.ratios,
    }


def summary(rows: list[dict], others: float | None) -> list[str]:
    """How many are no slower than PyTorch, and which ones are."""
    slower = [row for row in rows if row["upper quartile"] < 1]
    lines = ["", f"{len(rows) - len(slower)} of {len(rows)} are no slower than PyTorch"]
    for row in sorted(slower, key=lambda row: row["ratio"]):
        lines.append(f"  slower: {row['operation']}, {row['part']}, ratio {row['ratio']:.2f}")
    if others is not None:
        lines.append(f"other processes took {others:.0%} of the machine")
    return lines


if __name__ == "__main__":
    main()
