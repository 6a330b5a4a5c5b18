"""What `compare_tagging.py` found: the file, medians of its runs, tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common import table_lines
from results import HEADINGS, MODES, Spread, about, counted, is_disturbed, rates, shown
from tagging_peers import LABELS, PEERS

FORMAT = 1

# Those whose speed is compared in the mode "matched", from ids, and those with a mode "default" alone.
READY_PEERS = ("pytorch-usual", "pytorch-best")
OTHER_PEERS = ("crfsuite", "spacy")


def load(path: str | Path) -> dict:
    """Read a file of results; ValueError if it is none."""
    results = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(results, dict) or results.get("tagging_format") != FORMAT:
        raise ValueError(f"it was not written by compare_tagging.py in format {FORMAT}")
    return results


def runs_of(results: dict, data: str, mode: str, peer: str) -> list[dict]:
    """The runs with a result."""
    return [run for run in all_runs_of(results, data, mode, peer) if "failed" not in run]


def all_runs_of(results: dict, data: str, mode: str, peer: str) -> list[dict]:
    """The runs of a peer on a set in a mode."""
    this = (data, mode, peer)
    return [run for run in results["runs"] if (run["set"], run["mode"], run["peer"]) == this]


def training_speed(results: dict, data: str, mode: str, peer: str) -> Spread | None:
    """Words a second in an epoch; None without epochs."""
    times = [t for run in runs_of(results, data, mode, peer) for t in run["epoch_s"]]
    return rates(results["sets"][data]["train_words"], times) if times else None


def tagging_speed(
    results: dict, data: str, mode: str, peer: str, n_threads: int, what: str = "tokens_s"
) -> Spread | None:
    """Words a second; None if the peer has no such figure."""
    runs = runs_of(results, data, mode, peer)
    times = [t for run in runs for t in run["tagging"].get(str(n_threads), {}).get(what, ())]
    return rates(results["sets"][data]["speed_words"], times) if times else None


def tables(results: dict, markdown: bool) -> list[str]:
    """All of the results in lines to print."""
    lines = [about(results), ""]
    epochs = counted(results["settings"]["epochs"], "epoch")
    for data in results["sets"]:
        for mode in MODES:
            found = rows(results, data, mode)
            if found:
                heading = f"{data}: {HEADINGS[mode].format(epochs=epochs)}"
                lines += [f"**{heading}**" if markdown else heading, ""]
                lines += [*table_lines(found, markdown), ""]
        lines += ratio_lines(results, data, markdown)
    return lines + problem_lines(results)


def rows(results: dict, data: str, mode: str) -> list[dict]:
    """A row for each peer that was run, in the order of `PEERS`."""
    return [row(results, data, mode, peer) for peer in PEERS if all_runs_of(results, data, mode, peer)]


def row(results: dict, data: str, mode: str, peer: str) -> dict[str, Any]:
    """The columns that are printed; speeds in thousand words a second."""
    runs, n_threads = runs_of(results, data, mode, peer), results["settings"]["threads"]
    if not runs:
        return {"": f"{LABELS[peer]} (failed)"}

    def speed(n: int, what: str = "tokens_s") -> str:
        return shown(tagging_speed(results, data, mode, peer, n, what), 1e-3)

    most = counted(n_threads, "thread")
    columns = {"training k/s": shown(training_speed(results, data, mode, peer), 1e-3)}
    columns["fit s"] = shown(Spread.of(run["fit_s"] for run in runs))
    columns["tagging k/s, 1 thread"] = speed(1)
    columns[f"tagging k/s, {most}"] = speed(n_threads)
    columns[f"ready k/s, {most}"] = speed(n_threads, "ready_s")
    columns["peak MB"] = f"{max(run['peak_mb'] for run in runs):.0f}"
    columns[score_name(results, data)] = shown(Spread.of(run["score"] for run in runs), 100)
    return {"": LABELS[peer], **columns}


def score_name(results: dict, data: str) -> str:
    """``F1 %, test`` or the like."""
    part = "dev" if results["settings"]["dev"] else "test"
    return f"{'F1' if results['sets'][data]['spans'] else 'accuracy'} %, {part}"


def ratio_lines(results: dict, data: str, markdown: bool) -> list[str]:
    """How many times as fast textcnn is, median to median."""
    n = results["settings"]["threads"]
    pairs: list[tuple[str, Spread | None, Spread | None]] = []
    for peer in READY_PEERS:
        where = (results, data, "matched")
        theirs = training_speed(*where, peer)
        pairs.append((f"training is {{}} times {LABELS[peer]}", training_speed(*where, "textcnn"), theirs))
        ours, theirs = tagging_speed(*where, "textcnn", n), tagging_speed(*where, peer, n, "ready_s")
        pairs.append((f"tagging of tokens is {{}} times {LABELS[peer]} from ready ids", ours, theirs))
    for peer in OTHER_PEERS:
        for mode in MODES:
            ours = tagging_speed(results, data, mode, "textcnn", n)
            for own in sorted({1, n}):
                theirs = tagging_speed(results, data, "default", peer, own)
                processes = "process" if own == 1 else "processes"
                text = f"tagging ({mode}, {counted(n, 'thread')}) is {{}} times {LABELS[peer]}"
                pairs.append((f"{text} in {own} {processes}", ours, theirs))
    bullet = "- " if markdown else "  "
    lines = [
        bullet + text.format(f"{ours.median / theirs.median:.1f}")
        for text, ours, theirs in pairs
        if ours and theirs
    ]
    return [*lines, ""] if lines else []


def problem_lines(results: dict) -> list[str]:
    """Peers that are missing, runs without a result or beside a busy neighbour."""
    lines = [missing_line(peer, library) for peer, library in results["missing"].items()]
    for run in results["runs"]:
        if "failed" in run:
            lines.append(f"{LABELS[run['peer']]} on {run['set']}, {run['mode']}: {run['failed']}")
    disturbed = sum(is_disturbed(run, results) for run in results["runs"])
    if disturbed:
        lines.append(
            f"{disturbed} of {len(results['runs'])} runs had a busy neighbour; see `others` in the JSON"
        )
    return lines


def missing_line(peer: str, library: str) -> str:
    """That a peer cannot run."""
    return f"{LABELS[peer]} is left out: {library} is not installed (pip install '.[bench]')"
