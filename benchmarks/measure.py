"""One run of the comparison: a peer trains and predicts, in a process of its own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from common import resident_mb
from datasets import Split
from peers import FailedByChance, Peer, Settings, peer_class
from peers.base import ReadyPeer

# Enough for code to be loaded and threads to be started, too little to weigh in the peak of memory.
WARM_UP_TEXTS = 300

# Prediction is timed on so many characters at most, which keeps slow peers on long texts bearable.
MOST_CHARACTERS = 3_000_000

# Between a training that broke off and the next try; large, so as not to meet the seed of another round.
ANOTHER_SEED = 1000


@dataclass(frozen=True)
class Plan:
    """How much is measured in a run.

    Parameters
    ----------
    passes : int
        Over the texts on which prediction is timed, for each number of threads.
    pass_texts : int
        So many texts at most.
    singles : int
        Single texts whose times make the median and the 99th percentile.
    attempts : int
        Trainings at most, where one can fail by chance.
    """

    passes: int
    pass_texts: int
    singles: int
    attempts: int


def run(name: str, settings: Settings, split: Split, plan: Plan) -> dict:
    """Times, accuracy and failures of one peer."""
    cls = peer_class(name)
    fitted(cls, settings, split.X_train[:WARM_UP_TEXTS], split.y_train[:WARM_UP_TEXTS], plan.attempts)
    before = resident_mb()
    peer, training = fitted(cls, settings, split.X_train, split.y_train, plan.attempts)
    result = training | {"ready": cls.ready, "before_mb": before}
    return result if peer is None else result | predictions(peer, split, plan)


def fitted(
    cls: type[Peer], settings: Settings, texts: list[str], labels: list[str], attempts: int
) -> tuple[Peer | None, dict]:
    """A trained peer and the times of its successful training, with the number of failures before it."""
    for failures in range(attempts):
        peer = cls(replace(settings, seed=settings.seed + failures * ANOTHER_SEED))
        start = time.perf_counter()
        try:
            peer.fit(texts, labels)
        except FailedByChance as error:
            message = str(error)
            continue
        seconds = time.perf_counter() - start
        return peer, {"fit_s": seconds, "epoch_s": peer.epoch_seconds, "failures": failures}
    return None, {"failures": attempts, "failed": f"{message} in each of {attempts} attempts"}


def predictions(peer: Peer, split: Split, plan: Plan) -> dict:
    """Accuracy, then the times of prediction."""
    texts = split.speed_texts(plan.pass_texts, MOST_CHARACTERS)
    start = time.perf_counter()
    labels = peer.predict(split.X_test)
    first_pass = time.perf_counter() - start
    right = sum(found == expected for found, expected in zip(labels, split.y_test, strict=True))
    n_threads = peer.settings.threads
    by_threads = {
        str(n): times_of_prediction(peer, texts, plan) for n in sorted({1, n_threads}) if peer.use_threads(n)
    }
    peer.use_threads(1)  # ends processes that share the work, without which this one would wait for them
    return {"accuracy": right / len(labels), "first_pass_s": first_pass, "prediction": by_threads}


def times_of_prediction(peer: Peer, texts: list[str], plan: Plan) -> dict:
    """Seconds of passes over all texts and microseconds of single ones, after one pass to warm up."""
    peer.predict(texts)
    result: dict[str, Any] = {"raw_s": seconds_of(plan.passes, lambda: peer.predict(texts))}
    if isinstance(peer, ReadyPeer):
        prepared = peer.prepare(texts)
        result["ready_s"] = seconds_of(plan.passes, lambda: peer.predict_prepared(prepared))
    singles = [
        seconds * 1e6
        for text in texts[: plan.singles]
        for seconds in seconds_of(1, lambda text=text: peer.predict_one(text))
    ]
    return result | {"one_text_us": {"median": statistics.median(singles), "p99": percentile(singles, 99)}}


def seconds_of(times: int, function: Callable[[], Any]) -> list[float]:
    """Wall times of so many calls."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return found


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that is not below `percent` of a hundred values."""
    rank = -(-len(values) * percent // 100)
    return sorted(values)[int(rank) - 1]
