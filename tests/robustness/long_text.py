"""Processor time per token of one text of 100, 1,000, ... 10,000,000 tokens; fails if it is not constant.

    python tests/robustness/long_text.py
    python tests/robustness/long_text.py --most 1000000

From a thousand tokens on (before that a call's own cost counts) no text may take more than `ALLOWED` times as
long for a token as the text of a thousand. Memory for the longest: 5 GB.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
from textcnn.data import load_entities, load_messages

from textcnn import TextCNNClassifier, TextCNNRegressor, TextCNNTagger

ALLOWED = 3.0
SENTENCE = "The lift in the hall is out of order again , said Ms. Haag of Paris ."
SMALL = {"n_filters": 20, "embedding_dim": 32, "max_iter": 1, "random_state": 0, "n_jobs": 1}
SMALL_TAGGER = {
    "n_channels": 24, "embedding_dim": 24, "max_iter": 1, "linear_max_iter": 1, "random_state": 0,
    "n_jobs": 1,
}  # fmt: skip


def text_of(n_tokens: int) -> str:
    """A text with that many tokens, words of which a third are new each time."""
    rng = np.random.RandomState(0)
    words = SENTENCE.split()
    picks = rng.randint(len(words) * 3 // 2, size=n_tokens)
    return " ".join(words[i] if i < len(words) else f"w{rng.randint(100_000)}" for i in picks)


def fit_tagger(tokens: list[str]) -> TextCNNTagger:
    """A tagger of one sentence."""
    return TextCNNTagger(**SMALL_TAGGER).fit([tokens], [["A", "B"] * (len(tokens) // 2)])


def calls() -> dict[str, tuple[Callable[[str], object], int]]:
    """What is done with a text, and up to how many tokens: what makes a Python object of each token less."""
    texts, labels = load_messages()
    sentences, tags = load_entities("train")
    classifier = TextCNNClassifier(**SMALL).fit(texts, labels)
    regressor = TextCNNRegressor(**SMALL).fit(texts, np.arange(len(texts)))
    tagger = TextCNNTagger(**SMALL_TAGGER).fit(sentences, tags)
    return {
        "classifier.predict": (lambda text: classifier.predict([text]), 10**7),
        "regressor.predict": (lambda text: regressor.predict([text]), 10**7),
        "classifier.fit": (lambda text: TextCNNClassifier(**SMALL).fit([text, "a b"], [0, 1]), 10**7),
        "classifier.explain": (lambda text: classifier.explain([text]), 10**5),
        "tagger.predict": (lambda text: tagger.predict([text]), 10**6),
        "tagger.tag": (lambda text: tagger.tag(text), 10**6),
        "tagger.fit": (lambda text: fit_tagger(text.split()), 10**6),
    }


def seconds(call: Callable[[str], object], text: str) -> float:
    """The best of some calls, more for short texts."""
    best, spent = np.inf, 0.0
    while spent < 0.3:
        begin = time.process_time()
        call(text)
        spent += time.process_time() - begin
        best = min(best, time.process_time() - begin)
    return float(best)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=10**7, help="tokens of the longest text")
    most = parser.parse_args().most
    sizes = [size for size in (10**power for power in range(2, 8)) if size <= most]
    texts = {size: text_of(size) for size in sizes}
    print(f"{'nanoseconds per token':22}" + "".join(f"{size:>12,}" for size in sizes))
    n_bad = 0
    for what, (call, limit) in calls().items():
        per_token = [seconds(call, texts[size]) / size for size in sizes if size <= limit]
        is_bad = max(per_token[1:]) > ALLOWED * per_token[1]
        n_bad += is_bad
        shown = "".join(f"{value * 1e9:12,.0f}" for value in per_token)
        print(f"{what:22}{shown}{'  NOT CONSTANT' if is_bad else ''}", flush=True)
    return int(n_bad > 0)


if __name__ == "__main__":
    sys.exit(main())
