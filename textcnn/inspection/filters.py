"""What the filters of a classifier look for: their strongest n-grams, in texts and over the vocabulary.

The activation of a filter of width w at the window that begins with token s is the sum of one dot product
for each tap (Kim 2014, equation 2, before its ReLU)::

    z[s] = bias + sum over j = 0 .. w-1 of <embedding[x[s + j]], filter[j]>

where taps outside the text are left out. ReLU and the maximum over the windows make a feature of it, so a
filter is switched on by a text in which some activation is positive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textcnn._kernels._blas import PackedMatrix
from textcnn._threads import effective_n_threads
from textcnn.inspection._models import checked_count, filters_of
from textcnn.nn.packed import pieces
from textcnn.nn.sentence_cnn import SentenceCNN
from textcnn.predictor import TOKENS_PER_PIECE, SentencePredictor
from textcnn.text.inputs import as_texts

# Words whose dot products with all taps are held at a time.
WORDS_PER_BLOCK = 1 << 14

OUTSIDE = -1  # stands in a window for a place outside the text


@dataclass(frozen=True)
class FilterNGram:
    """An n-gram of a text and how strongly it activates a filter.

    Attributes
    ----------
    tokens : tuple of str
        As many as the filter is wide, but for the places that hang over the ends of the text.
    activation : float
        ``bias + sum of the taps``, before the ReLU.
    text : int
        Number of the first text with this n-gram.
    start, end : int
        The tokens ``start`` to ``end - 1`` of that text.
    padding : (int, int)
        Taps to the left and to the right of the text.
    """

    tokens: tuple[str, ...]
    activation: float
    text: int
    start: int
    end: int
    padding: tuple[int, int]


@dataclass(frozen=True)
class TopNGrams:
    """The n-grams that activate a filter most.

    Attributes
    ----------
    name : str
        As in `SentencePredictor.get_feature_names_out`.
    width : int
    ngrams : list of FilterNGram
        By falling activation; at ties the one that comes first in the texts.
    """

    name: str
    width: int
    ngrams: list[FilterNGram]


@dataclass(frozen=True)
class IdealNGram:
    """The n-gram over the vocabulary that activates a filter most.

    Attributes
    ----------
    name : str
        As in `SentencePredictor.get_feature_names_out`.
    width : int
    activation : float
        That of the n-gram of the best words, before the ReLU.
    words : list of lists of str
        For each tap the words with the largest dot products, the largest first.
    scores : float32 ndarray of shape (width, n)
        These dot products.
    """

    name: str
    width: int
    activation: float
    words: list[list[str]]
    scores: np.ndarray

    @property
    def tokens(self) -> tuple[str, ...]:
        """The best word of each tap."""
        return tuple(words[0] for words in self.words)


@dataclass(frozen=True)
class ActivationMap:
    """Activations of every filter at every window of a text.

    Attributes
    ----------
    tokens : list of str
    kernel_sizes : tuple of int
    starts : list of intp ndarray of shape (n_positions,)
        For each width the token with which each window begins; negative in the padding on the left.
    activations : list of float32 ndarray of shape (n_positions, n_filters)
        For each width, before the ReLU.
    """

    tokens: list[str]
    kernel_sizes: tuple[int, ...]
    starts: list[np.ndarray]
    activations: list[np.ndarray]


def top_ngrams(model: Any, texts: Any, n: int = 10, features: Sequence[int] | None = None) -> list[TopNGrams]:
    """For each filter the n-grams of some texts that activate it most.

    N-grams with the same words, all unknown words being one, count once. Beside the token ids of the texts,
    memory does not grow with their number.

    Parameters
    ----------
    model : fitted TextCNNClassifier, or SentencePredictor
    texts : texts, as for `predict`
    n : int, default=10
        N-grams for each filter, at most.
    features : sequence of int, default=None
        Filters, as columns of `transform`; None for all.

    Returns
    -------
    list of TopNGrams, one for each filter

    References
    ----------
    Jacovi, Shalom & Goldberg 2018, Understanding convolutional neural networks for text classification
    (arXiv 1809.08037): filters as detectors of n-grams.

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import top_ngrams
    >>> texts = ["a good film", "a bad film", "good plot", "bad plot"]
    >>> clf = TextCNNClassifier(kernel_sizes=(1,), n_filters=2, random_state=0).fit(texts, [1, 0, 1, 0])
    >>> [(found.name, len(found.ngrams)) for found in top_ngrams(clf, texts, n=3)]
    [('w1_f0', 3), ('w1_f1', 3)]
    """
    (predictor, network), n = filters_of(model), checked_count(n)
    blocks = _blocks(network, features)
    analyzed = predictor.text_vocabulary.analyzed(as_texts(texts, "texts"))
    ids, offsets = predictor.text_vocabulary.encode(analyzed, effective_n_threads(predictor.n_jobs))
    strongest = [[_Strongest(n) for _ in block.columns] for block in blocks]
    n_done = 0
    for piece_ids, piece_offsets in pieces(ids, offsets, TOKENS_PER_PIECE):
        for block, keepers in zip(blocks, strongest, strict=True):
            for windows in block.windows(piece_ids, piece_offsets).distinct().parts(TOKENS_PER_PIECE):
                activations = np.ascontiguousarray(block.activations(windows.ids).T)
                for keeper, row in zip(keepers, activations, strict=True):
                    keeper.add(row, windows, n_done)
        n_done += len(piece_offsets) - 1
    tokens = _Tokens(predictor, analyzed)
    found = {
        column: TopNGrams(block.name(column), block.width, [tokens.ngram(*item) for item in keeper.items()])
        for block, keepers in zip(blocks, strongest, strict=True)
        for column, keeper in zip(block.columns.tolist(), keepers, strict=True)
    }
    return [found[column] for column in _order(network, features)]


def ideal_ngrams(model: Any, n: int = 1, features: Sequence[int] | None = None) -> list[IdealNGram]:
    """For each filter the n-gram over the vocabulary that activates it most.

    The activation is a sum over taps, so its maximum over all n-grams is that over words, tap by tap: it
    is exact. Unknown words and padding are left out.

    Parameters
    ----------
    model : fitted TextCNNClassifier, or SentencePredictor
    n : int, default=1
        Words for each tap; all of them if the vocabulary has fewer.
    features : sequence of int, default=None
        Filters, as columns of `transform`; None for all.

    Returns
    -------
    list of IdealNGram, one for each filter

    Raises
    ------
    ValueError
        If the vocabulary is empty.

    References
    ----------
    Jacovi, Shalom & Goldberg 2018, Understanding convolutional neural networks for text classification
    (arXiv 1809.08037), who find that texts seldom hold an n-gram that comes near to it: compare `top_ngrams`.

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import ideal_ngrams
    >>> texts = ["good film", "bad film", "good plot", "bad plot"]
    >>> clf = TextCNNClassifier(kernel_sizes=(2,), n_filters=1, random_state=0).fit(texts, [1, 0, 1, 0])
    >>> found = ideal_ngrams(clf, n=3)[0]
    >>> found.name, len(found.tokens), found.scores.shape
    ('w2_f0', 2, (2, 3))
    """
    (predictor, network), n = filters_of(model), checked_count(n)
    vocabulary = predictor.text_vocabulary.id_to_token
    if len(vocabulary) < 2:
        raise ValueError("the vocabulary of the model is empty, so that no filter has an ideal n-gram")
    found: dict[int, IdealNGram] = {}
    for block in _blocks(network, features):
        best, scores = best_words(network.embedding, block.taps, n)
        for i, column in enumerate(block.columns.tolist()):
            found[column] = IdealNGram(
                block.name(column),
                block.width,
                float(scores[0, :, i].sum() + block.bias[i]),
                [[vocabulary[word] for word in words] for words in best[:, :, i].T.tolist()],
                np.ascontiguousarray(scores[:, :, i].T),
            )
    return [found[column] for column in _order(network, features)]


def activation_map(model: Any, text: Any) -> ActivationMap:
    """Activations of every filter at every window of a text.

    ``np.maximum(activations.max(axis=0), 0)`` is what `transform` gives, up to rounding. An empty text has
    no windows.

    Parameters
    ----------
    model : fitted TextCNNClassifier, or SentencePredictor
    text : str, or list of str tokens

    Returns
    -------
    ActivationMap

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import activation_map
    >>> clf = TextCNNClassifier(kernel_sizes=(1, 2), n_filters=4, padding="valid", random_state=0)
    >>> found = activation_map(clf.fit(["good film", "bad film"], [1, 0]), "a good film")
    >>> found.tokens, [each.shape for each in found.activations]
    (['a', 'good', 'film'], [(3, 4), (2, 4)])
    """
    predictor, network = filters_of(model)
    analyzed = predictor.text_vocabulary.analyzed(as_texts([text], "[text]"))
    ids, offsets = predictor.text_vocabulary.encode(analyzed)
    blocks = _blocks(network, None)
    windows = [block.windows(ids, offsets) for block in blocks]
    return ActivationMap(
        predictor.text_vocabulary.tokens(analyzed[0]),
        tuple(block.width for block in blocks),
        [each.starts for each in windows],
        [block.activations(each.ids) for block, each in zip(blocks, windows, strict=True)],
    )


def best_words(embedding: np.ndarray, taps: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """For each tap the words with the largest dot products; row 0, the unknown word, is left out.

    Parameters
    ----------
    embedding : float32 ndarray of shape (n_ids, n_dims)
    taps : float32 ndarray of shape (width, n_filters, n_dims)
    n : int

    Returns
    -------
    words : intp ndarray of shape (min(n, n_ids - 1), width, n_filters)
        By falling product; at ties the lower id, that of the more frequent word, first.
    products : float32 ndarray of the same shape
    """
    width, n_filters, n_dims = taps.shape
    rows = np.ascontiguousarray(taps).reshape(-1, n_dims)
    n = min(n, len(embedding) - 1)
    columns = np.arange(len(rows))
    words = np.zeros((n, len(rows)), np.intp)
    best = np.full((n, len(rows)), -np.inf, np.float32)
    for first in range(1, len(embedding), WORDS_PER_BLOCK):
        # The best so far stand above the block, so that they win ties.
        products = np.concatenate([best, embedding[first : first + WORDS_PER_BLOCK] @ rows.T])
        old, best = words, np.empty_like(best)
        words = np.empty_like(old)
        for k in range(n):
            place = products.argmax(axis=0)
            best[k] = products[place, columns]
            words[k] = np.where(place < n, old[np.minimum(place, n - 1), columns], first + place - n)
            products[place, columns] = -np.inf
    return words.reshape(n, width, n_filters), best.reshape(n, width, n_filters)


# ---- filters of one width ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Windows:
    """Windows over a packed batch of texts.

    Attributes
    ----------
    ids : intp ndarray of shape (n_windows, width)
        Token ids; `OUTSIDE` outside the text.
    texts, starts : intp ndarray of shape (n_windows,)
        The text of each, and its first token, counted from the text's.
    """

    ids: np.ndarray
    texts: np.ndarray
    starts: np.ndarray

    def distinct(self) -> _Windows:
        """The first window of each distinct row of ids, in the order of the texts."""
        codes = self.ids[:, 0]
        for column in self.ids.T[1:]:
            # Numbers of the distinct beginnings, so that no code overflows.
            _, numbers = np.unique(codes, return_inverse=True)
            codes = numbers.reshape(-1) * (int(self.ids.max(initial=0)) + 2) + column
        first = np.sort(np.unique(codes, return_index=True)[1])
        return _Windows(self.ids[first], self.texts[first], self.starts[first])

    def parts(self, size: int) -> Iterator[_Windows]:
        """The same in parts of `size` windows, for a text may be very long."""
        for first in range(0, len(self.ids), size):
            part = slice(first, first + size)
            yield _Windows(self.ids[part], self.texts[part], self.starts[part])


@dataclass(frozen=True)
class _Block:
    """Some filters of one width, over an embedding.

    Attributes
    ----------
    first : int
        Column of `transform` with the first filter of this width.
    columns : intp ndarray of shape (n,)
    taps : float32 ndarray of shape (width, n, n_dims)
    bias : float32 ndarray of shape (n,)
    embedding : float32 ndarray of shape (n_ids, n_dims)
    pads : (int, int)
    """

    first: int
    columns: np.ndarray
    taps: np.ndarray
    bias: np.ndarray
    embedding: np.ndarray
    pads: tuple[int, int]

    @property
    def width(self) -> int:
        return len(self.taps)

    def name(self, column: int) -> str:
        return f"w{self.width}_f{column - self.first}"

    def windows(self, ids: np.ndarray, offsets: np.ndarray) -> _Windows:
        """All windows of a packed batch, one text after the other."""
        lengths = np.diff(offsets)
        left, right = self.pads
        counts = np.where(lengths > 0, np.maximum(lengths + left + right - self.width + 1, 1), 0)
        texts = np.repeat(np.arange(len(lengths)), counts)
        starts = np.arange(len(texts)) - np.repeat(np.cumsum(counts) - counts, counts) - left
        places = starts[:, np.newaxis] + np.arange(self.width)
        is_inside = (places >= 0) & (places < lengths[texts][:, np.newaxis])
        rows = np.full(places.shape, OUTSIDE, np.intp)
        rows[is_inside] = ids[(places + offsets[texts][:, np.newaxis])[is_inside]]
        return _Windows(rows, texts, starts)

    def activations(self, windows: np.ndarray) -> np.ndarray:
        """Activations (n_windows, n) of windows of ids."""
        distinct, slots = np.unique(windows, return_inverse=True)
        slots = slots.reshape(windows.shape)
        projected = np.empty((len(distinct), self.width * len(self.columns)), np.float32)
        filters = PackedMatrix(self.taps.reshape(-1, self.taps.shape[-1]).T)
        rows = np.take(self.embedding, np.maximum(distinct, 0), axis=0)
        filters.left_multiply(rows, projected, None, False, 1)
        projected[distinct == OUTSIDE] = 0
        by_tap = projected.reshape(len(distinct), self.width, len(self.columns))
        out = np.tile(self.bias, (len(windows), 1))
        for tap in range(self.width):
            out += by_tap[slots[:, tap], tap]
        return out


def _blocks(network: SentenceCNN, features: Sequence[int] | None) -> list[_Block]:
    """The filters of each width, or those of the columns `features`; widths without any are left out."""
    layout = network.layout
    wanted = np.array(_order(network, features), np.intp)
    blocks, row = [], 0
    for i, width in enumerate(layout.kernel_sizes):
        first, n_rows = i * layout.n_filters, width * layout.n_filters
        columns = np.unique(wanted[(wanted >= first) & (wanted < first + layout.n_filters)])
        # Row `row + j * n_filters + q` is tap j of filter q.
        taps = network.filters[row : row + n_rows].reshape(width, layout.n_filters, -1)[:, columns - first]
        row += n_rows
        if len(columns):
            left, right = layout.pads[i].tolist()
            bias = network.filter_bias[columns]
            blocks.append(_Block(first, columns, taps, bias, network.embedding, (left, right)))
    return blocks


def _order(network: SentenceCNN, features: Sequence[int] | None) -> list[int]:
    n_outputs = network.layout.n_outputs
    if features is None:
        return list(range(n_outputs))
    columns = np.asarray(features)
    if columns.ndim != 1 or (len(columns) and columns.dtype.kind not in "iu"):
        raise TypeError(f"features is {features!r}, but a list of columns of transform was expected")
    if len(columns) and (columns.min() < 0 or columns.max() >= n_outputs):
        raise ValueError(f"features is {features!r}, but the columns of transform are 0 to {n_outputs - 1}")
    return [int(column) for column in columns]


class _Strongest:
    """The distinct n-grams with the largest activations that a filter has met so far."""

    def __init__(self, n: int) -> None:
        self.n = n
        # ids of the window -> activation, text, start; by falling activation once there are n
        self._found: dict[tuple[int, ...], tuple[float, int, int]] = {}
        self._floor = -np.inf

    def add(self, activations: np.ndarray, windows: _Windows, first_text: int) -> None:
        """Distinct windows with their activations; their texts are counted from `first_text`."""
        for i in self._candidates(activations).tolist():
            key = tuple(windows.ids[i].tolist())
            if key not in self._found:
                text = first_text + int(windows.texts[i])
                self._found[key] = float(activations[i]), text, int(windows.starts[i])
        if len(self._found) >= self.n:
            by_value = sorted(self._found.items(), key=lambda item: -item[1][0])
            self._found = dict(by_value[: self.n])
            self._floor = by_value[self.n - 1][1][0]

    def _candidates(self, activations: np.ndarray) -> np.ndarray:
        """The n largest above the least of the found ones, by falling value; at ties the first."""
        found = np.flatnonzero(activations > self._floor)
        if len(found) > self.n:
            values = activations[found]
            found = found[values >= np.partition(values, -self.n)[-self.n]]
        return found[np.argsort(-activations[found], kind="stable")][: self.n]

    def items(self) -> Iterator[tuple[tuple[int, ...], float, int, int]]:
        """Ids of the window, activation, text, start."""
        for key, (activation, text, start) in sorted(self._found.items(), key=lambda item: -item[1][0]):
            yield key, activation, text, start


class _Tokens:
    """Windows as n-grams with the tokens of their texts, each text cut once."""

    def __init__(self, predictor: SentencePredictor, texts: Sequence[Any]) -> None:
        self._cut = predictor.text_vocabulary.tokens
        self._texts = texts
        self._tokens: dict[int, list[str]] = {}

    def ngram(self, window: tuple[int, ...], activation: float, text: int, start: int) -> FilterNGram:
        if text not in self._tokens:
            self._tokens[text] = self._cut(self._texts[text])
        tokens = self._tokens[text]
        first, last = max(0, start), min(len(tokens), start + len(window))
        padding = first - start, start + len(window) - last
        return FilterNGram(tuple(tokens[first:last]), activation, text, first, last, padding)
