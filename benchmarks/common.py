"""What the benchmark scripts share: data, measurement in a process of its own, output."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import resource
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any


def read_labelled(path: Path) -> tuple[list[str], list[str]]:
    """Texts and labels of a file with lines ``label<TAB>text``, plain or gzipped."""
    open_text = gzip.open if path.suffix == ".gz" else open
    try:
        with open_text(path, "rt", encoding="utf-8", newline="\n") as lines:
            rows = [line.rstrip("\n").split("\t", 1) for line in lines if "\t" in line]
    except FileNotFoundError:
        raise SystemExit(f"there is no file {path}; --data must name the folder with sentences/") from None
    return [text for _, text in rows], [label for label, _ in rows]


def in_own_process(function: Callable[..., dict], *args: Any) -> dict:
    """Result of a function in a new process, with its peak memory as "peak_mb".

    A process that dies raises `concurrent.futures.process.BrokenProcessPool` here.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_measured, function, args).result()


def _measured(function: Callable[..., dict], args: tuple) -> dict:
    result = function(*args)
    return result | {"peak_mb": peak_mb()}


def peak_mb() -> float:
    """Most memory that this process had resident so far, in MB of a million bytes.

    Linux carries the peak of the parent over into `ru_maxrss` of a new process, so the kernel's figure
    for this program alone is used where there is one.
    """
    try:
        return _status_mb("VmHWM:")
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def resident_mb() -> float:
    """Memory resident now, in MB; the peak so far where the system does not tell."""
    try:
        return _status_mb("VmRSS:")
    except (OSError, IndexError):
        return peak_mb()


def _status_mb(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(name)[1].split()[0]) * 1024 / 1e6


def best_and_median(times: list[float]) -> dict[str, float]:
    """The columns "best" and "median"."""
    return {"best": min(times), "median": statistics.median(times)}


def report(rows: list[dict], json_path: str | None) -> None:
    """Print rows as a table, without columns that are lists, and write all as JSON."""
    for line in table_lines(rows):
        print(line)
    if json_path:
        Path(json_path).write_text(json.dumps(rows, indent=1) + "\n")


def table_lines(rows: list[dict], markdown: bool = False) -> list[str]:
    """Rows as lines of a table; columns that are lists are left out."""
    names = list(dict.fromkeys(name for row in rows for name in row if not isinstance(row[name], list)))
    cells = [[_shown(row.get(name)) for name in names] for row in rows]
    if markdown:
        lines = [names, ["---"] * len(names), *cells]
        return ["| " + " | ".join(line) + " |" for line in lines]
    table = [names, *cells]
    widths = [max(len(line[i]) for line in table) for i in range(len(names))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
