"""spaCy's `ner`, or `tagger` for tags without spans, in a blank pipeline."""

from __future__ import annotations

import random
import time
from typing import Any

import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed, registry
from tagging_datasets import Tags, Tokens
from tagging_scores import score, spans_of

from tagging_peers.base import TaggingPeer, TaggingSettings
from tagging_peers.workers import Workers

# `spacy train` ends after 1,600 steps without gain and 20,000 in all, which is less than two epochs and about
# eighteen on a set of 200,000 words.
MAX_EPOCHS, PATIENCE = 20, 3


class SpacyPeer(TaggingPeer):
    """Default architecture, optimizer, batches and dropout; it has one thread.

    More than one core is used in tagging by forked processes, each with a part of the sentences.
    """

    def __init__(self, settings: TaggingSettings) -> None:
        super().__init__(settings)
        fix_random_seed(settings.seed)
        self.nlp = spacy.blank("zh" if settings.chinese else "en")
        self.pipe = self.nlp.add_pipe("ner" if settings.spans else "tagger")
        self.workers = Workers(self)

    def fit(self, X: Tokens, y: Tags, X_dev: Tokens, y_dev: Tags) -> None:
        examples = [self.example(tokens, tags) for tokens, tags in zip(X, y, strict=True)]
        self.nlp.initialize(lambda: examples)
        config = self.nlp.config["training"]
        training = registry.resolve({name: config[name] for name in ("optimizer", "batcher", "dropout")})
        best, best_weights, n_stalled = -1.0, b"", 0
        for _ in range(MAX_EPOCHS):
            self._train_epoch(examples, training)
            reached = score(y_dev, self.predict(X_dev), self.settings.spans)
            n_stalled = 0 if reached > best else n_stalled + 1
            if reached > best:
                best, best_weights = reached, self.pipe.model.to_bytes()
            if n_stalled == PATIENCE:
                break
        self.pipe.model.from_bytes(best_weights)

    def _train_epoch(self, examples: list[Example], training: dict[str, Any]) -> None:
        start = time.perf_counter()
        random.shuffle(examples)
        for batch in training["batcher"](examples):
            self.nlp.update(batch, drop=training["dropout"], sgd=training["optimizer"])
        self.epoch_seconds.append(time.perf_counter() - start)

    def example(self, tokens: list[str], tags: list[str]) -> Example:
        """A sentence with its spans or tags."""
        expected = self.doc(tokens)
        if self.settings.spans:
            expected.ents = [Span(expected, *span) for span in spans_of(tags)]
        else:
            for token, tag in zip(expected, tags, strict=True):
                token.tag_ = tag
        return Example(self.doc(tokens), expected)

    def doc(self, tokens: list[str]) -> Doc:
        """Tokens as spaCy takes them."""
        return Doc(self.nlp.vocab, words=tokens)

    def use_threads(self, n_threads: int) -> bool:
        self.workers.start(n_threads)
        return True

    def predict(self, X: Tokens) -> Tags:
        return self.workers.map(tag_sentences, X)


def tag_sentences(peer: SpacyPeer, X: Tokens) -> Tags:
    """Tags, or spans as BIO, in this process."""
    docs = peer.nlp.pipe(peer.doc(tokens) for tokens in X)
    if not peer.settings.spans:
        return [[token.tag_ for token in doc] for doc in docs]
    return [[bio_tag(token.ent_iob_, token.ent_type_) for token in doc] for doc in docs]


def bio_tag(prefix: str, label: str) -> str:
    """``B-PER``, ``I-PER`` or ``O``."""
    return f"{prefix}-{label}" if label else "O"
