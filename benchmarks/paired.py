"""Two ways to do the same work, timed in turns, and the ratio of their times.

Both sides of a round meet the same machine, so that the median of the ratios of all rounds holds where the
times themselves wander. The sides take turns in being first.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# In the pause before a sample, the threads of the other side, which wait in a loop, go to sleep.
SAMPLE_SECONDS, PAUSE = 0.002, 0.02


@dataclass(frozen=True)
class Paired:
    """Seconds a call of both sides, one pair for each round."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        """Their time for each of ours: more than 1 where we are faster."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Of the ratios; the middle one is the median."""
        ratios = self.ratios
        if len(ratios) == 1:
            return (ratios[0],) * 3
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, median, high


def measure(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> Paired:
    """Seconds a call in so many rounds."""
    sides = [(ours, calls_in(ours)), (theirs, calls_in(theirs))]
    times: list[list[float]] = [[], []]
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            time.sleep(PAUSE)
            times[side].append(sample(*sides[side]))
    return Paired(*times)


def calls_in(call: Callable[[], Any]) -> int:
    """So many calls take at least `SAMPLE_SECONDS`."""
    n_calls = 1
    while (seconds := n_calls * sample(call, n_calls)) < SAMPLE_SECONDS:
        n_calls = max(2 * n_calls, round(1.2 * n_calls * SAMPLE_SECONDS / max(seconds, 1e-7)))
    return n_calls


def sample(call: Callable[[], Any], n_calls: int) -> float:
    """Seconds a call, after one that wakes the threads and warms the caches."""
    call()
    start = time.perf_counter()
    for _ in range(n_calls):
        call()
    return (time.perf_counter() - start) / n_calls
