"""Resident memory over many predictions, fits and loads; prints the slope of each and fails if one rises.

    python tests/robustness/leaks.py                # 10,000 predictions, 200 fits, 1,000 loads: minutes
    python tests/robustness/leaks.py --share 0.05   # a short form

The slope is that of a line through the memory after each tenth of the calls, the first quarter left out:
caches and the allocator's pools fill up then. A rise counts as a leak if the second half of the calls ends
more than `ALLOWED` above its begin.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from textcnn.data import load_entities, load_messages, load_story

import textcnn
from textcnn import TextCNNClassifier, TextCNNRegressor, TextCNNTagger

# Bytes by which memory may rise: arenas of the allocator come and go in such pieces.
ALLOWED = 1_000_000

N_POINTS = 10
SMALL = {"n_filters": 8, "embedding_dim": 16, "max_iter": 2, "random_state": 0}
SMALL_TAGGER = {
    "n_channels": 16, "embedding_dim": 16, "n_iterations": 1, "max_iter": 1, "linear_max_iter": 1,
    "random_state": 0,
}  # fmt: skip


class Course(NamedTuple):
    """Resident bytes after each tenth of `n_calls` calls."""

    what: str
    n_calls: int
    resident: np.ndarray

    @property
    def slope(self) -> float:
        """Bytes a call, without the first quarter."""
        kept = self.resident[len(self.resident) // 4 :]
        calls = np.arange(len(kept)) * self.n_calls / len(self.resident)
        return float(np.polyfit(calls, kept, 1)[0])

    @property
    def rise(self) -> int:
        """Bytes from the begin of the second half to its end; medians of three, which ignore a peak."""
        half = self.resident[len(self.resident) // 2 :]
        return int(np.median(half[-3:]) - np.median(half[:3]))


def resident_bytes() -> int:
    """What the process holds in memory, after everything free has been given back."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def course_of(what: str, call: Callable[[int], object], n_calls: int) -> Course:
    """Call a function with 0, 1, ... and watch the memory."""
    resident = []
    for point in range(N_POINTS):
        for number in range(point * n_calls // N_POINTS, (point + 1) * n_calls // N_POINTS):
            call(number)
        resident.append(resident_bytes())
    return Course(what, n_calls, np.array(resident))


def predictions(folder: Path) -> dict[str, Callable[[int], object]]:
    """A call of each way to predict, with texts that are new to the model now and then."""
    texts, labels = load_messages()
    sentences, tags = load_entities("train")
    story = load_story()
    classifier = TextCNNClassifier(**SMALL).fit(texts[:200], labels[:200])
    regressor = TextCNNRegressor(**SMALL).fit(texts[:200], [len(text) for text in texts[:200]])
    tagger = TextCNNTagger(**SMALL_TAGGER).fit(sentences[:100], tags[:100])
    for name, model in (("classifier", classifier), ("regressor", regressor), ("tagger", tagger)):
        model.save(folder / name)
    predictor = textcnn.load(folder / "classifier")
    return {
        "predict of a classifier": lambda i: classifier.predict([f"{texts[i % 704]} {i}"]),
        "predict_proba of a predictor": lambda i: predictor.predict_proba(texts[i % 700 : i % 700 + 4]),
        "explain": lambda i: classifier.explain([texts[i % 704]]),
        "predict of a regressor": lambda i: regressor.predict([texts[i % 704]]),
        "predict of a tagger": lambda i: tagger.predict([sentences[i % 300]]),
        "tag": lambda i: tagger.tag(f"{story[i % len(story)]} {i}"),
        "an error": partial(refused, classifier),
    }


def refused(classifier: TextCNNClassifier, number: int) -> None:
    """A call that ends in an exception."""
    try:
        classifier.predict([number])
    except TypeError:
        return
    raise AssertionError("an integer was taken for a text")


def fits() -> dict[str, Callable[[int], object]]:
    """A call of each way to fit."""
    texts, labels = load_messages()
    sentences, tags = load_entities("train")
    return {
        "fit of a classifier": lambda i: TextCNNClassifier(**SMALL).fit(texts[:60], labels[:60]),
        "fit of a regressor": lambda i: TextCNNRegressor(**SMALL).fit(texts[:60], range(60)),
        "fit of a tagger": lambda i: TextCNNTagger(**SMALL_TAGGER).fit(sentences[:20], tags[:20]),
    }


def loads(folder: Path) -> dict[str, Callable[[int], object]]:
    """A call of each way to load."""
    return {
        "textcnn.load": lambda i: textcnn.load(folder / "classifier"),
        "textcnn.load, mapped": lambda i: textcnn.load(folder / "classifier", mmap=True),
        "load of a tagger": lambda i: TextCNNTagger.load(folder / "tagger"),
        "load of a damaged file": partial(refused_file, folder / "damaged"),
    }


def refused_file(path: Path, number: int) -> None:
    """The loading of a file that is none."""
    try:
        textcnn.load(path)
    except textcnn.ModelFileError:
        return
    raise AssertionError("a damaged file was loaded")


def courses(share: float) -> list[Course]:
    """The memory over `share` of 10,000 predictions, 200 fits and 1,000 loads, each of every kind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        groups = [(10_000, predictions(folder)), (200, fits()), (1_000, loads(folder))]
        (folder / "damaged").write_bytes((folder / "classifier").read_bytes()[:-1])
        return [
            course_of(what, call, max(N_POINTS, round(share * n_calls)))
            for n_calls, calls in groups
            for what, call in calls.items()
        ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the calls (default: 1)")
    leaks = 0
    print(f"{'':30}{'calls':>8}{'bytes a call':>14}{'rise, kB':>10}{'resident, MB':>14}")
    for course in courses(parser.parse_args().share):
        is_leak = course.rise > ALLOWED
        leaks += is_leak
        print(
            f"{course.what:30}{course.n_calls:8,}{course.slope:14.1f}{course.rise / 1e3:10.0f}"
            f"{course.resident[-1] / 1e6:14.1f}{'  LEAK' if is_leak else ''}",
            flush=True,
        )
    return int(leaks > 0)


if __name__ == "__main__":
    sys.exit(main())
