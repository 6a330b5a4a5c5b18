"""spaCy's `ner`, or `tagger` for tags without spans, in a blank pipeline."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterable
from typing import Any

# spaCy's layers load PyTorch if they find it, which would count in the peak of memory; nothing here uses it
sys.modules["torch"] = None  # type: ignore[assignment]

import spacy
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed, minibatch_by_words, registry
from tagging_datasets import Tags, Tokens
from tagging_scores import score, spans_of

from tagging_peers.base import ReadyTaggingPeer, TaggingSettings
from tagging_peers.workers import Workers

# The development part decides when to stop, as patience of 1,600 steps does in `spacy train`.
MAX_EPOCHS, PATIENCE = 30, 4


class SpacyPeer(ReadyTaggingPeer):
    """Default architecture, optimizer, batches and dropout; it has one thread.

    More than one core is used in tagging by forked processes, each with a part of the sentences.
    """

    ready = "Doc objects"

    def __init__(self, settings: TaggingSettings) -> None:
        super().__init__(settings)
        fix_random_seed(settings.seed)
        self.nlp = spacy.blank("zh" if settings.chinese else "en")
        self.workers = Workers(self)

    def fit(self, X: Tokens, y: Tags, X_dev: Tokens, y_dev: Tags) -> None:
        self.nlp.add_pipe("ner" if self.settings.spans else "tagger")
        examples = [self.example(tokens, tags) for tokens, tags in zip(X, y, strict=True)]
        self.nlp.initialize(lambda: examples)
        training = registry.resolve(
            {name: self.nlp.config["training"][name] for name in ("optimizer", "batcher", "dropout")}
        )
        best, best_weights, n_stalled = -1.0, b"", 0
        for _ in range(MAX_EPOCHS):
            self._train_epoch(examples, **training)
            reached = score(y_dev, self.predict(X_dev), self.settings.spans)
            n_stalled = 0 if reached > best else n_stalled + 1
            if reached > best:
                best, best_weights = reached, self.nlp.to_bytes()
            if n_stalled == PATIENCE:
                break
        self.nlp.from_bytes(best_weights)

    def example(self, tokens: list[str], tags: list[str]) -> Example:
        """A sentence with its spans or tags."""
        expected = Doc(self.nlp.vocab, words=tokens)
        if self.settings.spans:
            expected.ents = [
                spacy.tokens.Span(expected, start, end, label) for start, end, label in spans_of(tags)
            ]
        else:
            for token, tag in zip(expected, tags, strict=True):
                token.tag_ = tag
        return Example(Doc(self.nlp.vocab, words=tokens), expected)

    def _train_epoch(self, examples: list[Example], batcher: Any, **how: Any) -> None:
        start = time.perf_counter()
        random.shuffle(examples)
        for batch in batcher(examples):
            self.nlp.update(batch, drop=how["dropout"], sgd=how["optimizer"])
        self.epoch_seconds.append(time.perf_counter() - start)
