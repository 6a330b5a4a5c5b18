"""fastText (Joulin et al. 2016) through its Python module."""

from __future__ import annotations

import re
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import ClassVar

import fasttext

from peers.base import FailedByChance, ReadyPeer, Settings

# The settings that the text classification tutorial of fastText arrives at, and its way to normalise.
TUTORIAL = {"lr": 1.0, "epoch": 25}
MARKS = re.compile(r"([.!?,'/()])")
PREFIX = "__label__"

# What forked processes find in their memory, so that no model is sent to them.
_model_of_workers: list[FastTextPeer] = []


class FastTextPeer(ReadyPeer):
    """`train_supervised` on a file.

    Its prediction holds Python's lock from beginning to end, so that threads cannot share the work; more
    than one core is used by forked processes, each with a part of the texts.
    """

    ready = "normalised lines"
    word_ngrams: ClassVar[int]

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.workers: ProcessPoolExecutor | None = None
        self.n_workers = 1

    def fit(self, texts: list[str], labels: list[str]) -> None:
        lines = self.prepare(texts)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "train.txt"
            rows = (f"{PREFIX}{label} {line}" for label, line in zip(labels, lines, strict=True))
            path.write_text("".join(rows), encoding="utf-8")
            try:
                self.model = fasttext.train_supervised(
                    str(path),
                    wordNgrams=self.word_ngrams,
                    thread=self.settings.threads,
                    seed=self.settings.seed,
                    verbose=0,
                    **TUTORIAL,
                )
            except RuntimeError as error:
                # its threads write to the same weights without a lock, so that it differs between runs
                if "NaN" in str(error):
                    raise FailedByChance(str(error)) from error
                raise

    def use_threads(self, n_threads: int) -> bool:
        """With more than one, forked processes."""
        if self.workers:
            self.workers.shutdown()
        _model_of_workers[:] = [self]
        self.n_workers = n_threads
        self.workers = ProcessPoolExecutor(n_threads, get_context("fork")) if n_threads > 1 else None
        return True

    def prepare(self, texts: list[str]) -> list[str]:
        """Lower case, punctuation set apart; Chinese characters set apart."""
        if self.settings.chinese:
            return [" ".join(text.lower()) + "\n" for text in texts]
        return [MARKS.sub(r" \1 ", text).lower() + "\n" for text in texts]

    def predict(self, texts: list[str]) -> list[str]:
        if self.workers:
            parts = self.workers.map(_predict_in_worker, _parts(texts, self.n_workers))
            return [label for part in parts for label in part]
        return self.predict_here(texts)

    def predict_here(self, texts: list[str]) -> list[str]:
        """`predict` in this process."""
        # a text without a known word gets no label at all
        found = self.predict_lines(self.prepare(texts))
        return [labels[0].removeprefix(PREFIX) if labels else "" for labels in found]

    def predict_prepared(self, prepared: list[str]) -> None:
        if self.workers:
            list(self.workers.map(_predict_lines_in_worker, _parts(prepared, self.n_workers)))
        else:
            self.predict_lines(prepared)

    # `model.predict` adds a line break and turns probabilities into an array, in a way that NumPy 2
    # refuses for a single text; these are the compiled functions beneath it.

    def predict_lines(self, lines: list[str]) -> list[tuple[str, ...]]:
        """Labels of normalised lines, with their prefix."""
        return self.model.f.multilinePredict(lines, 1, 0.0, "strict")[0]

    def predict_one(self, text: str) -> str:
        found = self.model.f.predict(self.prepare([text])[0], 1, 0.0, "strict")
        return found[0][1].removeprefix(PREFIX) if found else ""


def _parts(texts: list[str], n_parts: int) -> list[list[str]]:
    size = -(-len(texts) // n_parts)
    return [texts[first : first + size] for first in range(0, len(texts), size)]


def _predict_in_worker(texts: list[str]) -> list[str]:
    return _model_of_workers[0].predict_here(texts)


def _predict_lines_in_worker(lines: list[str]) -> list[tuple[str, ...]]:
    return _model_of_workers[0].predict_lines(lines)


class FastTextWords(FastTextPeer):
    """Single words."""

    word_ngrams = 1


class FastTextBigrams(FastTextPeer):
    """Words and pairs of words."""

    word_ngrams = 2
