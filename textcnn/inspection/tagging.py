"""What the score of a tag depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textcnn._threads import effective_n_threads
from textcnn.inspection._models import tagger_of
from textcnn.nn.tagging_cnn import KERNEL_SIZE, TaggingCNN
from textcnn.nn.window_linear import WINDOW
from textcnn.tag_predictor import TagPredictor
from textcnn.text.inputs import as_sentences
from textcnn.text.token_features import TypeFeatures


@dataclass(frozen=True)
class ReceptiveField:
    """What the score of a tag at one token depends on, and how much.

    Attributes
    ----------
    tokens : list of str
    position : int
        The token that is tagged.
    tag : str
        The tag that the model scores for it: in the best sequence, and in the scheme of the network.
    visible : bool ndarray of shape (n_tokens,)
        The tokens that the scores at `position` can depend on.
    effects : float64 ndarray of shape (n_tokens,)
        How much each token speaks for the tag; 0 for those that are not visible.
    """

    tokens: list[str]
    position: int
    tag: str
    visible: np.ndarray
    effects: np.ndarray


def receptive_field(model: Any, tokens: Sequence[str] | str, position: int) -> ReceptiveField:
    """Which tokens the score of a tag depends on, and how much each of them counts.

    The scores of the tags at `position` depend on the tokens that the convolutions reach: with dilations
    d_1 .. d_m and width 3 those at a distance of ``e_0 + e_1 d_1 + ... + e_m d_m`` with every e in
    {-1, 0, 1}; and on those in the window of the linear part, if there is one. (A random field makes a tag
    depend on its neighbours' tags besides; that is left out here.) With a body of layers they are those
    between the first and the last that it reaches.

    The effect of token j is the change of the logarithm of the tag's local probability when j is erased
    (Li, Monroe & Jurafsky 2016, who divide it by the logarithm itself), with ``s`` the scores at `position`::

        effect[j] = log softmax(s(x))[tag] - log softmax(s(x without j))[tag]

    To erase a token is to put one in its place of which nothing is known: no word, no characters, no
    affixes, no shape.

    Parameters
    ----------
    model : fitted TextCNNTagger, or TagPredictor
    tokens : list of str, or a str, which is cut into tokens
    position : int
        Of a token, from 0.

    Returns
    -------
    ReceptiveField

    Raises
    ------
    ValueError
        If there is no token at `position`.

    References
    ----------
    Yu & Koltun 2016, Multi-scale context aggregation by dilated convolutions (arXiv 1511.07122); Li, Monroe
    & Jurafsky 2016, Understanding neural networks through representation erasure (arXiv 1612.08220).

    Examples
    --------
    >>> from textcnn import TextCNNTagger
    >>> from textcnn.inspection import receptive_field
    >>> X = [["Ms.", "Haag", "plays", "Elianti", "."]] * 4
    >>> y = [["O", "B-PER", "O", "B-PER", "O"]] * 4
    >>> tagger = TextCNNTagger(dilations=(1,), n_iterations=1, max_iter=3, random_state=0).fit(X, y)
    >>> found = receptive_field(tagger, X[0], 1)
    >>> found.visible.tolist()  # two tokens to either side
    [True, True, True, True, False]
    """
    predictor = tagger_of(model)
    sentence = list(predictor._sentences(as_sentences([tokens], "[tokens]"))[0])
    if not 0 <= position < len(sentence):
        raise ValueError(
            f"position is {position}, but it must be that of one of {len(sentence)} tokens, counted from 0"
        )
    visible = _visible(predictor, len(sentence), position)
    n_threads = effective_n_threads(predictor.n_jobs)
    encoded = predictor.encoder.encode([sentence], n_threads)
    types, features = encoded.types, _with_erased(encoded.features)

    scores = predictor._inference.emissions(types, encoded.offsets, features, n_threads)
    tag = int(predictor._decoder.best(scores, encoded.offsets, n_threads)[position])

    # What the scores depend on, and below it the same with one token erased. A body of layers gets the whole
    # sentence: with strides its results depend on where the sentence begins.
    places = np.flatnonzero(visible)
    part = types
    first = 0
    if isinstance(predictor.network, TaggingCNN):
        first = places[0]
        part = types[first : places[-1] + 1]
    variants = np.tile(part, (len(places) + 1, 1))
    variants[np.arange(1, len(variants)), places - first] = len(features) - 1
    offsets = np.arange(len(variants) + 1, dtype=np.intp) * len(part)
    scores = predictor._inference.emissions(variants.reshape(-1), offsets, features, n_threads)
    at_position = scores[position - first :: len(part)].astype(np.float64)
    logs = at_position[:, tag] - _log_sum_exp(at_position)
    effects = np.zeros(len(types))
    effects[places] = logs[0] - logs[1:]
    return ReceptiveField(sentence, int(position), predictor.tags.inner_tags[tag], visible, effects)


def _visible(predictor: TagPredictor, n_tokens: int, position: int) -> np.ndarray:
    """The tokens that the scores at `position` can depend on."""
    network = predictor.network
    if isinstance(network, TaggingCNN):
        reach = {0}
        for dilation in (1, *network.layout.layer_dilations):
            reach = {place + tap * dilation for place in reach for tap in _taps(KERNEL_SIZE)}
    else:
        first, last = network.reach
        reach = set(range(int(max(first, -n_tokens)), int(min(last, n_tokens)) + 1))
    if predictor.linear is not None:
        reach |= set(_taps(WINDOW))
        if predictor.linear.has_shapes:  # three shapes, the last of which stands before the token
            reach.add(-3)
    visible = np.zeros(n_tokens, bool)
    visible[[position + place for place in reach if 0 <= position + place < n_tokens]] = True
    return visible


def _taps(kernel_size: int) -> range:
    """Distances of the taps of a convolution from its middle."""
    return range(-(kernel_size // 2), kernel_size // 2 + 1)


def _with_erased(features: TypeFeatures) -> TypeFeatures:
    """The features of distinct tokens, and as the last one a token of which nothing is known."""
    return TypeFeatures(
        np.append(features.words, np.int32(0)),
        features.chars,
        np.append(features.char_offsets, features.char_offsets[-1]),
        np.concatenate([features.hashed, np.zeros((1, features.hashed.shape[1]), np.int32)]),
    )


def _log_sum_exp(scores: np.ndarray) -> np.ndarray:
    largest = scores.max(axis=1)
    return np.log(np.exp(scores - largest[:, np.newaxis]).sum(axis=1)) + largest
