"""Is anyone else at work on this machine?

Two threads that wait for each other in a loop, as OpenMP's do, can be thirty times as slow beside one busy
neighbour, and it does not hit all peers alike. So runs start when the processors that they need are idle, and
know how much others took meanwhile. Where the system does not tell (no /proc/stat), nothing is known and
nothing waits.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

# Shares of the machine's processors: what the system's own services take, and what disturbs a run.
IDLE, DISTURBED = 0.03, 0.05

SAMPLE_SECONDS = 0.5


class Watch:
    """Counts, from its creation on, the processor time that others take.

    The caller's own time counts with that of its children that have ended.
    """

    def __init__(self) -> None:
        self._start = self._times()

    def others(self) -> float | None:
        """Share of all processors that others had since the start; None if unknown."""
        now = self._times()
        if now is None or self._start is None:
            return None
        busy, total, own = (after - before for after, before in zip(now, self._start, strict=True))
        return max(0.0, busy - own) / total if total else 0.0

    @staticmethod
    def _times() -> tuple[float, float, float] | None:
        """Seconds of all processors that were busy, that passed, and that were ours."""
        try:
            line = Path("/proc/stat").read_text().splitlines()[0]
        except OSError:
            return None
        ticks = [int(field) for field in line.split()[1:9]]  # guests are counted in the first two already
        idle = ticks[3] + ticks[4]
        per_second = os.sysconf("SC_CLK_TCK")
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own = sum(each.ru_utime + each.ru_stime for each in usage)
        return (sum(ticks) - idle) / per_second, sum(ticks) / per_second, own


def spare(n_threads: int, processors: int) -> float:
    """Share of the processors that a run with so many threads leaves to others."""
    return max(0.0, 1.0 - n_threads / processors)


def n_processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wait(most_seconds: float, n_threads: int) -> None:
    """Return when so many processors are idle, or after so many seconds."""
    end = time.monotonic() + most_seconds
    while time.monotonic() < end:
        watch = Watch()
        time.sleep(SAMPLE_SECONDS)
        share = watch.others()
        if share is None or share <= IDLE + spare(n_threads, n_processors()):
            return
