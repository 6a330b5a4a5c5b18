"""sklearn-crfsuite with the features of its tutorial, as far as they come from the words alone."""

from __future__ import annotations

from typing import Any

import sklearn_crfsuite
from tagging_datasets import Tags, Tokens

from tagging_peers.base import TaggingPeer, TaggingSettings
from tagging_peers.workers import Workers

# The settings of the tutorial.
TUTORIAL = {
    "algorithm": "lbfgs",
    "c1": 0.1,
    "c2": 0.1,
    "max_iterations": 100,
    "all_possible_transitions": True,
}

Features = list[dict[str, Any]]


class CRFSuitePeer(TaggingPeer):
    """L-BFGS over features of a word and its neighbours; it has one thread.

    More than one core is used in tagging by forked processes, each with a part of the sentences.
    """

    def __init__(self, settings: TaggingSettings) -> None:
        super().__init__(settings)
        self.features_of = character_features if settings.chinese else word_features
        self.workers = Workers(self)

    def fit(self, X: Tokens, y: Tags, X_dev: Tokens, y_dev: Tags) -> None:
        self.model = sklearn_crfsuite.CRF(**TUTORIAL)
        self.model.fit([self.features_of(sentence) for sentence in X], y)

    def use_threads(self, n_threads: int) -> bool:
        self.workers.start(n_threads)
        return True

    def predict(self, X: Tokens) -> Tags:
        return self.workers.map(tag_sentences, X)


def tag_sentences(peer: CRFSuitePeer, X: Tokens) -> Tags:
    """Features, then tags, in this process."""
    return [peer.model.predict_single(peer.features_of(sentence)) for sentence in X]


def word_features(sentence: list[str]) -> Features:
    """The word, its endings and its form; word and form of the neighbours."""
    forms = [form(word) for word in sentence]
    features = []
    for i, word in enumerate(sentence):
        found = {"bias": 1.0, "word[-3:]": word[-3:], "word[-2:]": word[-2:], **forms[i]}
        found["word.isdigit()"] = word.isdigit()
        if i > 0:
            found.update({f"-1:{name}": value for name, value in forms[i - 1].items()})
        else:
            found["BOS"] = True
        if i < len(sentence) - 1:
            found.update({f"+1:{name}": value for name, value in forms[i + 1].items()})
        else:
            found["EOS"] = True
        features.append(found)
    return features


def form(word: str) -> dict[str, Any]:
    """What is told of a word and of its neighbours."""
    return {
        "word.lower()": word.lower(),
        "word.isupper()": word.isupper(),
        "word.istitle()": word.istitle(),
    }


def character_features(sentence: list[str]) -> Features:
    """The character, two on either side, and the pairs among these that touch or enclose it."""
    padded = ["<s>", "<s>", *sentence, "</s>", "</s>"]
    features = []
    for i in range(2, len(sentence) + 2):
        before2, before, here, after, after2 = padded[i - 2 : i + 3]
        features.append(
            {
                "bias": 1.0,
                "c-2": before2,
                "c-1": before,
                "c0": here,
                "c+1": after,
                "c+2": after2,
                "c-2c-1": before2 + before,
                "c-1c0": before + here,
                "c0c+1": here + after,
                "c+1c+2": after + after2,
                "c-1c+1": before + after,
                "isdigit": here.isdigit(),
            }
        )
    return features
