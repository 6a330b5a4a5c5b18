"""How fast is the stack of dilated convolutions alone, beside this machine's matrix products?

The forward pass of the iterated dilated CNN (Strubell et al. 2017) in float32: a block of width 3 and
dilations 1, 1, 2, applied four times with the same weights, 128 channels, bias and ReLU, the outputs of the
four iterations kept. Its rate counts the operations of the direct convolution, 2 * 3 * 128 * 128 a token and
layer, whatever is really computed; cutting a batch into tiles is part of the time, the preparation of the
weights is not, as for a trained model.

The rate of matrix products is that of `numpy.dot` and, if it is installed, PyTorch, on some sizes. Both rates
are measured in turns in one process, a new one for each number of threads. The best of all products is the
machine's rate; the columns in per cent set best beside best and median beside median. Other processes falsify
both, and not alike: measuring begins when the processors are idle, and "others" is their share meanwhile.

    python benchmarks/bench_dilated.py [--threads 1,2] [--rounds 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import quiet
from common import in_own_process, report
from compare import THREAD_VARIABLES

N_CHANNELS, WIDTH, DILATIONS, N_ITERATIONS = 128, 3, (1, 1, 2), 4
LAYERS = DILATIONS * N_ITERATIONS

# (rows, inner, columns): a square that shows the peak, and what a convolution of 128 channels asks for
GEMM_SIZES = ((1024, 1024, 1024), (2048, 2048, 2048), *((rows, 128, 128) for rows in (512, 1024, 2048, 4096)))

# Lengths of the training sentences of CoNLL-2003, from the 0th to the 100th percentile in steps of 5.
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 13, 16, 19, 22, 26, 29, 32, 37, 113)

# A measurement repeats its call for this long; in the pause, threads that wait in a loop go to sleep.
SECONDS, PAUSE = 0.05, 0.02


def sentences(n: int) -> np.ndarray:
    """Offsets of sentences whose lengths are drawn from those percentiles."""
    random = np.random.RandomState(0)
    lengths = np.interp(random.uniform(0, 100, n), np.linspace(0, 100, len(LENGTHS)), LENGTHS)
    return np.concatenate([[0], np.cumsum(lengths.astype(np.intp))])


# A batch of training, calls of prediction, and a single sentence without end.
BATCHES = {
    "32 sentences": sentences(32),
    "512 sentences": sentences(512),
    "4096 sentences": sentences(4096),
    "one text of 20,000 tokens": np.array([0, 20_000]),
}


def stack_runner(offsets: np.ndarray, n_threads: int) -> Callable[[], Any]:
    """One forward pass over a packed batch, with weights that are ready."""
    from textcnn._kernels._dilated import Tiling, conv_stack_forward, filters_size, pack_filters

    random = np.random.RandomState(0)
    x = random.standard_normal((offsets[-1], N_CHANNELS)).astype(np.float32)
    panels, biases = [], []
    for _ in DILATIONS:
        # large enough for activations that neither vanish nor overflow
        scale = np.sqrt(2 / (WIDTH * N_CHANNELS))
        weights = (scale * random.standard_normal((WIDTH, N_CHANNELS, N_CHANNELS))).astype(np.float32)
        panels.append(np.empty(filters_size(weights), np.float32))
        pack_filters(weights, panels[-1])
        biases.append(np.zeros(N_CHANNELS, np.float32))
    joined = np.empty((offsets[-1], N_ITERATIONS * N_CHANNELS), np.float32)
    levels: list[np.ndarray | None] = [None] * len(LAYERS)
    for i in range(N_ITERATIONS):
        levels[(i + 1) * len(DILATIONS) - 1] = joined[:, i * N_CHANNELS : (i + 1) * N_CHANNELS]

    def run_stack() -> None:
        tiling = Tiling(offsets, LAYERS, WIDTH, x.itemsize)
        conv_stack_forward(tiling, x, levels, panels * N_ITERATIONS, biases * N_ITERATIONS, n_threads)

    return run_stack


def numpy_runner(size: tuple[int, int, int]) -> Callable[[], Any]:
    """A product of the size; the threads are those of the variables that OpenBLAS reads."""
    rows, inner, columns = size
    a, b = np.ones((rows, inner), np.float32), np.ones((inner, columns), np.float32)
    out = np.empty((rows, columns), np.float32)
    return lambda: np.dot(a, b, out=out)


def torch_runner(size: tuple[int, int, int], n_threads: int) -> Callable[[], Any]:
    """A product of the size by PyTorch."""
    import torch

    torch.set_num_threads(n_threads)
    rows, inner, columns = size
    a, b, out = torch.ones(rows, inner), torch.ones(inner, columns), torch.empty(rows, columns)
    return lambda: torch.mm(a, b, out=out)


def tasks(n_threads: int) -> dict[str, tuple[float, Callable[[], Any]]]:
    """What is measured: operations of a call, and the call. Products have names that begin with ``GEMM``."""
    found: dict[str, tuple[float, Callable[[], Any]]] = {}
    for name, offsets in BATCHES.items():
        operations = 2.0 * offsets[-1] * WIDTH * N_CHANNELS**2 * len(LAYERS)
        found[name] = (operations, stack_runner(offsets, n_threads))
    for size in GEMM_SIZES:
        operations, shape = 2.0 * np.prod(size), " x ".join(map(str, size))
        found[f"GEMM {shape}, NumPy"] = (operations, numpy_runner(size))
        if find_spec("torch"):
            found[f"GEMM {shape}, PyTorch"] = (operations, torch_runner(size, n_threads))
    return found


def measure(n_threads: int, rounds: int) -> dict:
    """Thousand million operations a second of each task in each round."""
    calls = {}
    for name, (operations, call) in tasks(n_threads).items():
        calls[name] = (operations, call, calls_in(call))
    rates: dict[str, list[float]] = {name: [] for name in calls}
    watch = quiet.Watch()
    for _ in range(rounds):
        for name, (operations, call, n_calls) in calls.items():
            time.sleep(PAUSE)
            rates[name].append(n_calls * operations / seconds_of(call, n_calls) / 1e9)
    return {"rates": rates, "others": watch.others()}


def calls_in(call: Callable[[], Any]) -> int:
    """So many calls take about `SECONDS`; code is loaded before."""
    call()
    return max(1, round(SECONDS / max(1e-6, min(seconds_of(call, 1) for _ in range(3)))))


def seconds_of(call: Callable[[], Any], n_calls: int) -> float:
    """Wall time of calls, one after another."""
    start = time.perf_counter()
    for _ in range(n_calls):
        call()
    return time.perf_counter() - start


def rows_of(n_threads: int, found: dict) -> list[dict]:
    """The rates, those of the stack also in per cent of the best product."""
    rates = found["rates"]
    columns = {"best": max, "median": statistics.median}
    products = [name for name in rates if name.startswith("GEMM")]
    machine = {column: max(value(rates[name]) for name in products) for column, value in columns.items()}
    rows = []
    for name, each in rates.items():
        row: dict[str, Any] = {"threads": n_threads, "what": name}
        row |= {f"{column} GFLOP/s": value(each) for column, value in columns.items()}
        row |= {f"{column} %": 100 * value(each) / machine[column] for column, value in columns.items()}
        row["others %"] = None if found["others"] is None else 100 * found["others"]
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", default="1,2", help="numbers of threads")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--wait", type=float, default=60, help="seconds at most for the machine to be idle")
    parser.add_argument("--json")
    args = parser.parse_args()
    rows = []
    for n_threads in map(int, args.threads.split(",")):
        for name in THREAD_VARIABLES:
            os.environ[name] = str(n_threads)
        quiet.wait(args.wait, n_threads)
        rows += rows_of(n_threads, in_own_process(measure, n_threads, args.rounds))
    report(rows, args.json)


if __name__ == "__main__":
    main()
