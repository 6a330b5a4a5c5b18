"""The one place where a number of threads is decided."""

from __future__ import annotations

import operator
import os
from functools import lru_cache
from pathlib import Path

from textcnn._kernels import _openmp

_IMPORTED_IN = os.getpid()


# OpenMP ends the process when the system refuses it a thread.
MOST_THREADS = 1024


def effective_n_threads(n_jobs: int | None) -> int:
    """Number of threads for an ``n_jobs`` parameter.

    Parameters
    ----------
    n_jobs : int or None
        None means what OpenMP may use here: ``OMP_NUM_THREADS`` (which joblib sets in its workers),
        but no more than the processors of this process and its container. A positive number is
        taken as it is; negative ones count from the processors, -1 meaning all of them, as in
        joblib.

    Returns
    -------
    n_threads : int
        At least 1. In a process that was forked after textcnn was imported it is always 1: GNU
        OpenMP hangs in a forked child once its parent has used threads.

    Raises
    ------
    ValueError
        If ``n_jobs`` is 0 or above MOST_THREADS.
    TypeError
        If ``n_jobs`` is neither None nor an integer.

    Examples
    --------
    >>> from textcnn._threads import effective_n_threads
    >>> effective_n_threads(3)
    3
    """
    if n_jobs is not None:
        try:
            number = None if isinstance(n_jobs, bool) else operator.index(n_jobs)
        except TypeError:
            number = None
        if number is None:
            raise TypeError(f"n_jobs is {n_jobs!r}, but it must be None or an integer")
        n_jobs = number
    if n_jobs == 0:
        raise ValueError("n_jobs is 0, but it must be None, positive or negative; -1 uses all processors")
    if n_jobs is not None and n_jobs > MOST_THREADS:
        raise ValueError(
            f"n_jobs is {n_jobs}, but at most {MOST_THREADS} threads can be used; -1 uses all processors"
        )
    if os.getpid() != _IMPORTED_IN or not _openmp.openmp_version():
        return 1
    if n_jobs is None:
        return max(1, min(_openmp.max_threads(), n_processors()))
    if n_jobs < 0:
        return max(1, n_processors() + 1 + n_jobs)
    return n_jobs


@lru_cache(maxsize=1)
def n_processors() -> int:
    """Processors that this process may use, by its affinity and its container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _container_quota()
    return max(1, min(count, quota)) if quota else count


def _container_quota() -> int | None:
    """Processors granted by the control group (Linux containers), rounded up; None without a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text().strip()
            period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        quota_us, period_us = int(quota), int(period)
    except ValueError:  # "max": no limit
        return None
    return -(-quota_us // period_us) if quota_us > 0 and period_us > 0 else None
