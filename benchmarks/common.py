"""What the benchmark scripts share: data, measurement in a process of its own, output."""

from __future__ import annotations

import json
import multiprocessing
import resource
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def read_labelled(path: Path) -> tuple[list[str], list[str]]:
    """Texts and labels of a file with lines ``label<TAB>text``."""
    rows = [line.split("\t", 1) for line in path.read_text(encoding="utf-8").split("\n") if "\t" in line]
    return [text for _, text in rows], [label for label, _ in rows]


def in_own_process(function: Callable[..., dict], *args: Any) -> dict:
    """Result of a function in a new process, with its peak memory as "peak_mb"."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply(_measured, (function, args))
        pool.close()  # the process ends by itself and gives its semaphores back
        pool.join()
    return result


def _measured(function: Callable[..., dict], args: tuple) -> dict:
    result = function(*args)
    return result | {"peak_mb": peak_mb()}


def peak_mb() -> float:
    """Most memory that this process had resident so far, in MB of a million bytes.

    Linux carries the peak of the parent over into `ru_maxrss` of a new process, so the kernel's figure
    for this program alone is used where there is one.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def best_and_median(times: list[float]) -> dict[str, float]:
    """The columns "best" and "median"."""
    return {"best": min(times), "median": statistics.median(times)}


def report(rows: list[dict], json_path: str | None) -> None:
    """Print rows as a table, without columns that are lists, and write all as JSON."""
    names = list(dict.fromkeys(name for row in rows for name in row if not isinstance(row[name], list)))
    table = [names] + [[_shown(row.get(name, "")) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(names))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if json_path:
        Path(json_path).write_text(json.dumps(rows, indent=1) + "\n")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
