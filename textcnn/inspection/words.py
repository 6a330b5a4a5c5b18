"""Neighbours of a word in the embedding."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from textcnn.inspection._models import checked_count, predictor_of
from textcnn.predictor import SentencePredictor
from textcnn.tag_predictor import TagPredictor


class Neighbour(NamedTuple):
    """A word and the cosine of the angle between its vector and that of another word."""

    word: str
    similarity: float


def nearest_words(model: Any, word: str, n: int = 10) -> list[Neighbour]:
    """The words whose vectors point in the direction closest to that of `word`.

    The cosine is ``<u, v> / (|u| |v|)``, and 0 if a vector is zero.

    Parameters
    ----------
    model : fitted TextCNNClassifier or TextCNNTagger, Predictor or TagPredictor
    word : str
        Lower-cased if the model lower-cases its texts.
    n : int, default=10
        Words, at most.

    Returns
    -------
    list of Neighbour
        The most similar first, without `word` itself; at ties the more frequent one first.

    Raises
    ------
    ValueError
        If the vocabulary does not have the word.

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import nearest_words
    >>> texts = ["good film", "bad film", "good plot", "bad plot"]
    >>> clf = TextCNNClassifier(random_state=0).fit(texts, [1, 0, 1, 0])
    >>> sorted(found.word for found in nearest_words(clf, "Good"))
    ['bad', 'film', 'plot']
    """
    predictor, n = predictor_of(model), checked_count(n)
    if not isinstance(word, str):
        raise TypeError(f"word is of type {type(word).__name__}, but a str was expected")
    if isinstance(predictor, TagPredictor):
        vectors, names = predictor.network.arrays["words"], predictor.encoder.vocabulary.id_to_token
        number = int(predictor.encoder.encode([[word]]).features.words[0])
    else:
        names, vectors = predictor.text_vocabulary.id_to_token, predictor.network.embedding
        number = _word_number(predictor, word)
    if number == 0:
        raise ValueError(f"the vocabulary of the model has no word {word!r}; give one that its texts had")
    vector = vectors[number].astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)) * np.linalg.norm(vector)
    products = vectors @ vectors[number]
    similarities = np.divide(products, norms, out=np.zeros(len(vectors)), where=norms > 0)
    similarities[[0, number]] = -np.inf  # the unknown word and the word itself
    order = np.argsort(-similarities, kind="stable")[: min(n, len(vectors) - 2)]
    return [Neighbour(names[i], float(np.clip(similarities[i], -1, 1))) for i in order.tolist()]


def _word_number(predictor: SentencePredictor, word: str) -> int:
    """Number of a word as written, or else as the analyzer writes it; 0 if there is none."""
    vocabulary = predictor.text_vocabulary
    if word in vocabulary:
        return vocabulary[word]
    tokens = vocabulary.tokens(word)
    return vocabulary[tokens[0]] if len(tokens) == 1 and tokens[0] in vocabulary else 0
