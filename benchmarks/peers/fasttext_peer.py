"""fastText (Joulin et al. 2016) through its Python module."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import ClassVar

import fasttext

from peers.base import Peer

# The settings that the text classification tutorial of fastText arrives at, and its way to normalise.
TUTORIAL = {"lr": 1.0, "epoch": 25}
MARKS = re.compile(r"([.!?,'/()])")
PREFIX = "__label__"


class FastTextPeer(Peer):
    """`train_supervised` on a file; its prediction runs on one thread, whatever the settings say."""

    ready = "normalised lines"
    word_ngrams: ClassVar[int]

    def fit(self, texts: list[str], labels: list[str]) -> None:
        lines = self.prepare(texts)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "train.txt"
            rows = (f"{PREFIX}{label} {line}" for label, line in zip(labels, lines, strict=True))
            path.write_text("".join(rows), encoding="utf-8")
            self.model = fasttext.train_supervised(
                str(path),
                wordNgrams=self.word_ngrams,
                thread=self.settings.threads,
                seed=self.settings.seed,
                verbose=0,
                **TUTORIAL,
            )
        self.n_epochs = TUTORIAL["epoch"]

    def prepare(self, texts: list[str]) -> list[str]:
        """Lower case, punctuation set apart; Chinese characters set apart."""
        if self.settings.chinese:
            return [" ".join(text.lower()) + "\n" for text in texts]
        return [MARKS.sub(r" \1 ", text).lower() + "\n" for text in texts]

    # `model.predict` adds a line break and turns probabilities into an array, in a way that NumPy 2
    # refuses for a single text; these are the compiled functions beneath it.

    def predict_prepared(self, prepared: list[str]) -> list[tuple[str, ...]]:
        return self.model.f.multilinePredict(prepared, 1, 0.0, "strict")[0]

    def predict(self, texts: list[str]) -> list[str]:
        found = self.predict_prepared(self.prepare(texts))
        # a text without a known word gets no label at all
        return [labels[0].removeprefix(PREFIX) if labels else "" for labels in found]

    def predict_one(self, text: str) -> str:
        found = self.model.f.predict(self.prepare([text])[0], 1, 0.0, "strict")
        return found[0][1].removeprefix(PREFIX) if found else ""


class FastTextWords(FastTextPeer):
    """Single words."""

    label = "fastText, words"
    word_ngrams = 1


class FastTextBigrams(FastTextPeer):
    """Words and pairs of words."""

    label = "fastText, bigrams"
    word_ngrams = 2
