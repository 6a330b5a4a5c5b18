"""What `compare.py` found: the file, medians of its runs, tables."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import quiet
from common import table_lines
from peers import PEERS

FORMAT = 1
MODES = ("matched", "default")
HEADINGS = {
    "matched": "the same network, {epochs} for all",
    "default": "each as its users run it",
}
LABELS = {
    "textcnn": "textcnn",
    "pytorch-usual": "PyTorch, usual",
    "pytorch-best": "PyTorch, best",
    "fasttext-1gram": "fastText, words",
    "fasttext-2gram": "fastText, bigrams",
    "tfidf-lr": "TF-IDF + LR",
    "nbsvm": "NB-SVM",
}


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """None if there is no value."""
        values = list(values)
        return cls(statistics.median(values), min(values), max(values)) if values else None


@dataclass(frozen=True)
class Summary:
    """The figures of one peer on one set in one mode, over all its runs.

    Parameters
    ----------
    data, mode, peer : str
    epoch_s, fit_s, accuracy : Spread or None
        None without a successful run; `epoch_s` also without epochs.
    raw, ready : dict of int to Spread
        Tokens a second from raw texts, and from what the peer itself takes as its input, by threads.
    first_pass : Spread or None
        Tokens a second of the very first prediction, on the test part.
    one_text, one_text_p99 : Spread or None
        Microseconds of one text: the medians of the runs, and their 99th percentiles; of the number of
        threads with the lower median.
    peak_mb : Spread or None
    failures : int
        Trainings that broke off and were tried again, in all runs.
    runs : int
        Runs with a result.
    problem : str
        What the runs without a result said.
    """

    data: str
    mode: str
    peer: str
    epoch_s: Spread | None
    fit_s: Spread | None
    accuracy: Spread | None
    raw: dict[int, Spread]
    ready: dict[int, Spread]
    first_pass: Spread | None
    one_text: Spread | None
    one_text_p99: Spread | None
    peak_mb: Spread | None
    failures: int
    runs: int
    problem: str


def load(path: str | Path) -> dict:
    """Read a file of results; ValueError if it is none."""
    results = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        raise ValueError(f"it was not written by compare.py in format {FORMAT}")
    return results


def save(results: dict, path: str | Path) -> None:
    """Write a file of results."""
    Path(path).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def summaries(results: dict, data: str, mode: str) -> list[Summary]:
    """Peers that were run on a set in a mode, in the order of `PEERS`."""
    runs = [run for run in results["runs"] if run["set"] == data and run["mode"] == mode]
    return [
        summary(results["sets"][data], [run for run in runs if run["peer"] == peer])
        for peer in PEERS
        if any(run["peer"] == peer for run in runs)
    ]


def summary(facts: dict, runs: list[dict]) -> Summary:
    """The figures of runs of one peer on one set."""
    good = [run for run in runs if "failed" not in run]
    threads = sorted({int(n) for run in good for n in run["prediction"]})

    def speeds(what: str) -> dict[int, Spread]:
        found = {n: [t for run in good for t in run["prediction"][str(n)].get(what, ())] for n in threads}
        return {n: rates(facts["prediction_tokens"], times) for n, times in found.items() if times}

    def one_text(n: int, what: str) -> Spread | None:
        return Spread.of(run["prediction"][str(n)]["one_text_us"][what] for run in good)

    quickest = min(threads, key=lambda n: one_text(n, "median").median) if good else 0
    first = [run["first_pass_s"] / run["test_tokens"] for run in good]
    return Summary(
        runs[0]["set"],
        runs[0]["mode"],
        runs[0]["peer"],
        epoch_s=Spread.of(t for run in good for t in run["epoch_s"]),
        fit_s=Spread.of(run["fit_s"] for run in good),
        accuracy=Spread.of(run["accuracy"] for run in good),
        raw=speeds("raw_s"),
        ready=speeds("ready_s"),
        first_pass=rates(1, first) if good else None,
        one_text=one_text(quickest, "median") if good else None,
        one_text_p99=one_text(quickest, "p99") if good else None,
        peak_mb=Spread.of(run["peak_mb"] for run in good),
        failures=sum(run.get("failures", 0) for run in runs),
        runs=len(good),
        problem="; ".join(dict.fromkeys(run["failed"] for run in runs if "failed" in run)),
    )


def rates(amount: float, seconds: list[float]) -> Spread:
    """An amount per second."""
    return Spread(amount / statistics.median(seconds), amount / max(seconds), amount / min(seconds))


def tables(results: dict, markdown: bool) -> list[str]:
    """All of the results in lines to print."""
    lines = [about(results), ""]
    epochs = counted(results["settings"]["epochs"], "epoch")
    for data in results["sets"]:
        for mode in MODES:
            found = summaries(results, data, mode)
            if found:
                heading = f"{data.upper()}: {HEADINGS[mode].format(epochs=epochs)}"
                lines += [f"**{heading}**" if markdown else heading, ""]
                lines += [*table_lines(rows(found, results["settings"]["threads"]), markdown), ""]
        lines += ratio_lines(results, data, markdown)
    return lines + problem_lines(results)


def about(results: dict) -> str:
    """One sentence on when, where and with what."""
    machine, versions = results["machine"], results["versions"]
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    threads = counted(results["settings"]["threads"], "thread")
    return (
        f"{results['date']}; {machine['cpu']}, {machine['cores']} cores, {machine['system']}; {threads}; "
        f"{libraries}."
    )


def rows(found: list[Summary], n_threads: int) -> list[dict]:
    """The columns that are printed."""
    return [row(each, n_threads) for each in found]


def row(each: Summary, n_threads: int) -> dict[str, Any]:
    name = LABELS[each.peer]
    if not each.runs:
        return {"": f"{name} (failed)"}
    most = f", {counted(n_threads, 'thread')}"
    speeds = {"raw M tok/s, 1 thread": each.raw.get(1), f"raw M tok/s{most}": each.raw.get(n_threads)}
    speeds[f"ready M tok/s{most}"] = each.ready.get(n_threads)
    return {
        "": name,
        "s/epoch": shown(each.epoch_s),
        "fit s": shown(each.fit_s),
        **{column: shown(spread, 1e-6) for column, spread in speeds.items()},
        "one text µs": shown(each.one_text),
        "99 % µs": shown(each.one_text_p99),
        "peak MB": f"{each.peak_mb.high:.0f}",
        "accuracy %": shown(each.accuracy, 100),
    }


def counted(number: int, thing: str) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def shown(spread: Spread | None, unit: float = 1.0) -> str:
    """Median with the range, to two or three digits."""
    if spread is None:
        return ""
    median, low, high = (digits(value * unit) for value in (spread.median, spread.low, spread.high))
    return median if low == high else f"{median} ({low}–{high})"


def digits(value: float) -> str:
    """Three digits, and no exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio_lines(results: dict, data: str, markdown: bool) -> list[str]:
    """How many times as fast textcnn is, median to median."""
    matched = {each.peer: each for each in summaries(results, data, "matched") if each.runs}
    default = {each.peer: each for each in summaries(results, data, "default") if each.runs}
    n = results["settings"]["threads"]
    ours, lines = matched.get("textcnn"), []
    if ours is None:
        return []
    for peer in ("pytorch-usual", "pytorch-best"):
        if peer in matched:
            ratio = matched[peer].epoch_s.median / ours.epoch_s.median
            lines.append(f"an epoch takes {LABELS[peer]} {ratio:.1f} times as long")
    for peer in ("pytorch-usual", "pytorch-best"):
        if peer in matched:
            ratio = ours.raw[n].median / matched[peer].ready[n].median
            lines.append(f"prediction from raw text is {ratio:.1f} times {LABELS[peer]} from ready ids")
    for peer in ("fasttext-1gram", "fasttext-2gram"):
        if peer in default:
            for threads, speed in default[peer].raw.items():
                ratio = ours.raw[threads].median / speed.median
                lines.append(
                    f"prediction from raw text, {counted(threads, 'thread')} each: {ratio:.1f} times "
                    f"{LABELS[peer]}"
                )
    bullet = "- " if markdown else "  "
    return [*(bullet + line for line in lines), ""] if lines else []


def problem_lines(results: dict) -> list[str]:
    """Peers that are missing, trainings that broke off, runs without a result."""
    lines = [missing_line(peer, library) for peer, library in results["missing"].items()]
    for data in results["sets"]:
        for mode in MODES:
            for each in summaries(results, data, mode):
                name = f"{LABELS[each.peer]} on {data.upper()}"
                if each.failures:
                    trained = each.failures + each.runs
                    lines.append(f"{name}: {each.failures} of {trained} trainings broke off")
                if each.problem:
                    lines.append(f"{name}: {each.problem}")
    disturbed = sum(is_disturbed(run, results) for run in results["runs"])
    if disturbed:
        lines.append(
            f"{disturbed} of {len(results['runs'])} runs had a busy neighbour; see `others` in the JSON"
        )
    return lines


def is_disturbed(run: dict, results: dict) -> bool:
    """Others used processors that the run needed."""
    spare = quiet.spare(results["settings"]["threads"], results["machine"]["cores"])
    return (run.get("others") or 0.0) > quiet.DISTURBED + spare


def missing_line(peer: str, library: str) -> str:
    """That a peer cannot run."""
    return f"{LABELS[peer]} is left out: {library} is not installed (pip install '.[bench]')"
