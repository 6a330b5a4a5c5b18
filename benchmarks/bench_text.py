"""How fast are texts turned into ids, beside `re.findall` with a `dict` and `CountVectorizer`?

    python benchmarks/bench_text.py --data DIR [--json FILE]

DIR holds ``sentences/mr.tsv`` (a label, a tab, a sentence a line). All on one core. The ways take turns in
each round; the table gives the best and the median round, in million tokens a second of `Vocabulary`'s
own tokens, and the time for one short text. "score" is the share of ids of `Vocabulary` that equal those
of the analyzer in plain Python with a dict; the peers cut other tokens and have none.
"""

import argparse
import json
import platform
import re
import statistics
import time
import tracemalloc
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from textcnn.text.analyzers import WordAnalyzer
from textcnn.text.vocabulary import Vocabulary

PEER_PATTERN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
SHORT_TEXT_CALLS = 2000


def read_texts(data):
    with open(data / "sentences" / "mr.tsv", encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t", 1)[1] for line in file]


def find_and_look_up(texts, number):
    """What a careful Python programmer writes: one flat list of ids and the offsets."""
    find, get = PEER_PATTERN.findall, number.get
    ids, offsets = [], [0]
    for text in texts:
        ids += [get(token, 0) for token in find(text.lower())]
        offsets.append(len(ids))
    return np.array(ids, dtype=np.int32), np.array(offsets, dtype=np.intp)


def timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_memory(function):
    """Bytes that Python and NumPy allocated at most; the scanner's own buffers are not seen."""
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def share_right(vocabulary, texts):
    analyzer, number = WordAnalyzer(), vocabulary.to_dict()
    expected = [number.get(token, 0) for text in texts for token in analyzer.tokens(text)]
    return float(np.mean(vocabulary.encode(texts)[0] == expected))


def run(texts, rounds):
    vocabulary, ids, _ = Vocabulary.build(texts)
    number = vocabulary.to_dict()
    counts = CountVectorizer().fit(texts)
    short = min(texts, key=lambda text: abs(len(text) - 60))
    ways = {
        "Vocabulary.encode": lambda: vocabulary.encode(texts),
        "re.findall + dict": lambda: find_and_look_up(texts, number),
        "CountVectorizer.transform": lambda: counts.transform(texts),
        "Vocabulary.build": lambda: Vocabulary.build(texts),
        "CountVectorizer.fit_transform": lambda: CountVectorizer().fit_transform(texts),
    }
    one_text = {
        "Vocabulary.encode": lambda: vocabulary.encode([short]),
        "re.findall + dict": lambda: find_and_look_up([short], number),
        "CountVectorizer.transform": lambda: counts.transform([short]),
    }
    seconds = {name: [] for name in ways}
    short_seconds = {name: [] for name in one_text}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(timed(way))
        for name, way in one_text.items():
            calls = SHORT_TEXT_CALLS // (10 if "Count" in name else 1)
            short_seconds[name].append(
                timed(lambda way=way, calls=calls: [way() for _ in range(calls)]) / calls
            )
    rows = []
    for name, way in ways.items():
        row = {
            "way": name,
            "best_million_tokens_per_s": len(ids) / min(seconds[name]) / 1e6,
            "median_million_tokens_per_s": len(ids) / statistics.median(seconds[name]) / 1e6,
            "peak_mb": peak_memory(way) / 1e6,
            "score": share_right(vocabulary, texts) if name == "Vocabulary.encode" else None,
        }
        if name in short_seconds:
            row["short_text_us"] = statistics.median(short_seconds[name]) * 1e6
        rows.append(row)
    return {
        "n_texts": len(texts),
        "n_tokens": len(ids),
        "n_ids": len(vocabulary),
        "short_text_chars": len(short),
        "rounds": rounds,
        "python": platform.python_version(),
        "rows": rows,
    }


def show(result):
    print(
        f"{result['n_texts']} texts, {result['n_tokens']} tokens, {result['n_ids']} ids; one short text of "
        f"{result['short_text_chars']} characters; {result['rounds']} rounds, one core"
    )
    print(f"{'':30} {'best':>8} {'median':>8}  M tokens/s  {'peak MB':>8} {'short text':>12} {'score':>7}")
    for row in result["rows"]:
        short = f"{row['short_text_us']:.1f} µs" if "short_text_us" in row else ""
        score = "" if row["score"] is None else f"{row['score']:.4f}"
        best, median = row["best_million_tokens_per_s"], row["median_million_tokens_per_s"]
        speed = f"{best:8.2f} {median:8.2f}"
        print(f"{row['way']:30} {speed}  {'':10}  {row['peak_mb']:8.1f} {short:>12} {score:>7}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with sentences/mr.tsv")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    result = run(read_texts(arguments.data), arguments.rounds)
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
