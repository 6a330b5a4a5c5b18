"""A linear model over n-grams of words and characters, to stand beside the network.

For classes and labels it is logistic regression, each against the rest, on features scaled by their
naive-Bayes log-count ratio (Wang & Manning 2012, "Baselines and bigrams", section 2.3, with the logistic loss
in place of the SVM's), trained by dual coordinate descent (Yu, Huang & Lin 2011). For numbers it is ridge
regression on features scaled by the mean target of the texts that have them, trained in the same way (Ho &
Lin 2012), with the squared loss or that of Huber (1964).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any, ClassVar, TypeAlias

import numpy as np

from textcnn._kernels._ngrams import (
    NGramFeatures,
    NGramIndex,
    gram_keys,
    gram_offsets,
    subword_keys,
    subword_scores,
    text_scores,
    text_terms,
)
from textcnn.nn.packed import WindowShares, pieces
from textcnn.text.vocabulary import EncodedTexts, UnknownWords, Vocabulary

# N-grams kept of either kind at most, the most frequent ones: what fastText has buckets for.
MAX_NGRAMS = 2_000_000

# Words or characters of an n-gram at most; longer ones would be as rare as whole texts.
MAX_ORDER = 20

# Coefficients of n-grams of either kind at most: with many classes fewer n-grams are kept.
MAX_COEFFICIENTS = 32_000_000

# Coefficients in a model file are below this, so that their sums over the longest texts are finite.
LARGEST = 1e25

# n-grams that are in memory at once.
NGRAMS_PER_PIECE = 1 << 21

# Words with fewer uses in training are shapes in the n-grams with shapes.
FREQUENT_USES = 30

# Added to the counts of which the naive-Bayes ratios are made, and to those of mean targets.
SMOOTHING = 0.2


# Ridge regression is done when the slopes of its dual, in standard deviations of a target, are below this.
RIDGE_TOLERANCE = 0.01
RIDGE_PASSES = 30

Collect: TypeAlias = Callable[[Iterable[np.ndarray], int], np.ndarray]


@dataclass(frozen=True)
class LinearOptions:
    """Settings of the linear part; their meaning stands in `TextCNNClassifier`."""

    share: float
    ngram_range: tuple[int, int]
    char_ngram_range: tuple[int, int] | None
    shape_ngrams: bool
    C: float
    huber_delta: float = np.inf
    tol: float = 0.1
    max_iter: int = 20


@dataclass
class NGramLinear:
    """A fitted linear model over n-grams.

    There is a column of coefficients for each class, label or target. With two classes there is one column,
    for the second class; the first has the same with the sign turned.

    Parameters
    ----------
    word_scores : float32 ndarray of shape (n_ids, n_columns)
        Sum of the coefficients of each word and of its n-grams of characters.
    frequent : bool ndarray of shape (n_ids,) or (0,)
        The words that stand for themselves in n-grams with shapes; others are replaced by their shape.
        Of no length if there are no such n-grams.
    keys : uint64 ndarray of shape (n_ngrams,)
        Keys of the n-grams of words and of characters.
    coef : float32 ndarray of shape (n_ngrams, n_columns)
    intercept : float64 ndarray of shape (n_columns,)
    ngram_range : (int, int)
        Orders of the n-grams of words.
    char_ngram_range : (int, int) or None
        Lengths of the n-grams of characters.
    share : float
        Weight of the scores in the logits; the network has the rest of 1.
    n_known : int
        Words of this id and above came after training: n-grams of words take them for unknown.
    two_classes : bool
        Whether the one column is that of the second of two classes.
    """

    word_scores: np.ndarray
    frequent: np.ndarray
    keys: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    ngram_range: tuple[int, int]
    char_ngram_range: tuple[int, int] | None
    share: float
    n_known: int
    two_classes: bool
    _index: NGramIndex = field(init=False, repr=False)

    ARRAYS: ClassVar[tuple[str, ...]] = ("word_scores", "frequent", "keys", "coef", "intercept")

    def __post_init__(self) -> None:
        self._index = NGramIndex(self.keys)

    @classmethod
    def fit(
        cls,
        vocabulary: Vocabulary,
        ids: np.ndarray,
        offsets: np.ndarray,
        shapes: np.ndarray,
        targets: np.ndarray,
        sample_weight: np.ndarray,
        n_outputs: int,
        options: LinearOptions,
        n_threads: int,
        collect: Collect | None = None,
    ) -> NGramLinear:
        """Fit to encoded texts; the result does not depend on `n_threads`.

        Time and memory grow with the number of classes, labels or targets, each of which is fitted apart.
        Ctrl-C ends it with KeyboardInterrupt.

        Parameters
        ----------
        vocabulary : Vocabulary
        ids : int32 ndarray of shape (n_tokens,)
        offsets : intp ndarray of shape (n_texts + 1,)
        shapes : int32 ndarray of shape (n_tokens,)
            Not looked at without n-grams with shapes.
        targets : intp ndarray of shape (n_texts,), or ndarray of shape (n_texts, n_outputs)
            Classes; or labels, bool; or numbers, float.
        sample_weight : ndarray of shape (n_texts,), or of shape (n_texts, n_outputs)
        n_outputs : int
            Classes, labels or targets.
        options : LinearOptions
        n_threads : int
        collect : callable, default=None
            Makes one int32 array of pieces and their length in all, on disk for example.

        Returns
        -------
        NGramLinear
        """
        orders = max(2, options.ngram_range[0]), options.ngram_range[1]
        weight = np.ascontiguousarray(sample_weight, np.float64)
        n_ids = len(vocabulary)
        frequent = _frequent_words(ids, offsets, weight, n_ids) if options.shape_ngrams else np.empty(0, bool)
        two_classes = targets.ndim == 1 and n_outputs == 2
        n_most = min(MAX_NGRAMS, MAX_COEFFICIENTS // (1 if two_classes else n_outputs))
        texts = _Texts(ids, offsets, shapes, frequent, orders)
        grams = _frequent_grams(texts, n_most)
        subwords, word_subwords, subword_offsets = _subwords(vocabulary, options.char_ngram_range, n_most)
        features = NGramFeatures(
            ids,
            offsets,
            *_word_features(n_ids, n_ids + len(grams), word_subwords, subword_offsets),
            *_gram_features(texts, grams, n_ids, n_threads, collect or _in_memory),
            n_ids + len(grams) + len(subwords),
        )
        fit = _fit_classes if targets.ndim == 1 else _fit_labels if targets.dtype == bool else _fit_numbers
        n_left_out = n_ids if options.ngram_range[0] > 1 else 0
        coef, intercept = fit(features, targets, weight, n_outputs, n_left_out, options, n_threads)
        linear = cls(
            word_scores=coef[:n_ids].copy(),
            frequent=frequent,
            keys=np.concatenate([grams, subwords]),
            coef=coef[n_ids:].copy(),
            intercept=intercept,
            ngram_range=options.ngram_range,
            char_ngram_range=options.char_ngram_range,
            share=options.share,
            n_known=n_ids,
            two_classes=two_classes,
        )
        linear.word_scores[1:] += linear._subword_scores(_words(vocabulary), n_threads)
        return linear

    def extended(self, vocabulary: Vocabulary) -> NGramLinear:
        """The same model for a vocabulary with more words, which score as they did when unknown."""
        n_known = len(self.word_scores)
        if len(vocabulary) == n_known:
            return self
        words = _words(vocabulary)
        first = words.offsets[n_known - 1]
        new = UnknownWords(words.bytes[first:], words.offsets[n_known - 1 :] - first)
        scores = self.word_scores[0] + self._subword_scores(new, 1)
        late = np.zeros(len(new) if len(self.frequent) else 0, bool)
        return replace(
            self,
            word_scores=np.concatenate([self.word_scores, scores.astype(np.float32)]),
            frequent=np.concatenate([self.frequent, late]),
        )

    @property
    def needs_shapes(self) -> bool:
        """Whether it has n-grams with shapes, so that texts are to be encoded with them."""
        return len(self.frequent) > 0

    @property
    def orders(self) -> tuple[int, int]:
        """Orders of the n-grams of two words and more."""
        return max(2, self.ngram_range[0]), self.ngram_range[1]

    def scores(self, texts: EncodedTexts, n_threads: int) -> np.ndarray:
        """Scores of each class, label or target, float64 ndarray of shape (n_texts, n_outputs).

        Parameters
        ----------
        texts : EncodedTexts
        n_threads : int
        """
        return self._summed(self._scoring(texts, n_threads), len(texts.offsets) - 1)

    def scores_and_terms(self, texts: EncodedTexts, n_threads: int) -> tuple[np.ndarray, WindowShares]:
        """`scores`, and the words and n-grams of which they are the sum, with the bias.

        Parameters
        ----------
        texts : EncodedTexts
        n_threads : int

        Returns
        -------
        scores : float64 ndarray of shape (n_texts, n_outputs)
        terms : WindowShares
            Of each text first the words, then the n-grams. N-grams with the mark before or behind the text
            are cut to the tokens.
        """
        scoring = self._scoring(texts, n_threads)
        which, starts, ends, scores = text_terms(**scoring)
        terms = WindowShares(which, starts, ends, self._by_output(scores))
        return self._summed(scoring, len(texts.offsets) - 1), terms

    def bias(self) -> np.ndarray:
        """Scores of a text without features, float64 ndarray of shape (n_outputs,)."""
        return self._by_output(self.intercept[np.newaxis])[0]

    def _scoring(self, texts: EncodedTexts, n_threads: int) -> dict[str, Any]:
        """The arguments of the kernels `text_scores` and `text_terms`."""
        subword_scores = self._subword_scores(texts.unknown, n_threads)
        ids, unknown_scores = self._as_in_training(texts.ids, subword_scores)
        lowest, highest = self.orders
        return {
            "ids": ids,
            "offsets": texts.offsets,
            "word_scores": self.word_scores,
            "unknown": unknown_scores,
            "lowest": lowest,
            "highest": highest,
            "index": self._index,
            "coef": self.coef,
            "n_threads": n_threads,
            "symbols": _symbols(ids, texts.shapes, self.frequent),
        }

    def _summed(self, scoring: dict[str, Any], n_texts: int) -> np.ndarray:
        """The scores of texts from the arguments of the kernel."""
        out = np.empty((n_texts, self.coef.shape[1]))
        text_scores(**scoring, out=out)
        out += self.intercept
        return self._by_output(out)

    def _as_in_training(self, ids: np.ndarray, unknown_scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same with the words that came after training among the unknown ones."""
        late = ids >= self.n_known
        if not late.any():
            return ids, unknown_scores
        old_ids = np.where(late, np.int32(0), ids)
        unknown_ids = ids[old_ids == 0]
        scores = self.word_scores[unknown_ids].astype(np.float64) - self.word_scores[0]
        scores[unknown_ids == 0] = unknown_scores
        return old_ids, scores

    def _subword_scores(self, words: UnknownWords, n_threads: int) -> np.ndarray:
        """Sum of the coefficients of the n-grams of characters of each word, float64 (n_words, n_columns)."""
        out = np.zeros((len(words), self.coef.shape[1]))
        if self.char_ngram_range is not None and len(words):
            subword_scores(
                words.bytes, words.offsets, *self.char_ngram_range, self._index, self.coef, out, n_threads
            )
        return out

    def _by_output(self, columns: np.ndarray) -> np.ndarray:
        return np.concatenate([-columns, columns], axis=1) if self.two_classes else columns

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_index"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickles of versions in which the one column was always that of the second of two classes have none.
        self.__dict__.update({"two_classes": state["coef"].shape[1] == 1, **state})
        self.__post_init__()

    def mix_into(self, logits: np.ndarray, scores: np.ndarray) -> None:
        """Make the outputs of the network, in place, those of network and linear part together."""
        logits *= 1 - self.share
        logits += self.share * scores

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays for a model file."""
        arrays = {name: getattr(self, name) for name in self.ARRAYS}
        # Model files have no unsigned integers of 64 bits.
        return {**arrays, "keys": self.keys.view(np.int64)}

    def config(self) -> dict[str, Any]:
        """What else a model file holds, as JSON values."""
        lengths = self.char_ngram_range
        return {
            "share": self.share,
            "n_known": self.n_known,
            "ngram_range": list(self.ngram_range),
            "char_ngram_range": None if lengths is None else list(lengths),
        }

    @classmethod
    def from_arrays(
        cls,
        arrays: dict[str, np.ndarray],
        config: dict[str, Any],
        n_ids: int,
        n_outputs: int,
        of_classes: bool = True,
    ) -> NGramLinear:
        """The model of `to_arrays` and `config`; raises ValueError if they do not fit together.

        Parameters
        ----------
        arrays, config : as they were saved
        n_ids : int
            Rows of the vocabulary.
        n_outputs : int
            Classes, labels or targets.
        of_classes : bool
            Whether the outputs are classes.
        """
        if of_classes and n_outputs < 2:
            raise ValueError(f"a linear part needs two or more classes, not {n_outputs}")
        two_classes = of_classes and n_outputs == 2
        n_columns = 1 if two_classes else n_outputs
        n_ngrams = len(arrays["keys"])
        expected = {
            "word_scores": (np.float32, (n_ids, n_columns)),
            "frequent": (np.bool_, (n_ids if len(arrays["frequent"]) else 0,)),
            "keys": (np.int64, (n_ngrams,)),
            "coef": (np.float32, (n_ngrams, n_columns)),
            "intercept": (np.float64, (n_columns,)),
        }
        for name, (dtype, shape) in expected.items():
            array = arrays[name]
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(
                    f"linear.{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}"
                )
            if array.dtype.kind == "f" and array.size and not -LARGEST < array.min() <= array.max() < LARGEST:
                raise ValueError(f"linear.{name} has coefficients that are not finite or too large")
        if not (isinstance(config["share"], float) and 0 < config["share"] < 1):
            raise ValueError(f"the linear part has the share {config['share']!r:.100}")
        n_known = config["n_known"]
        if type(n_known) is not int or not 1 <= n_known <= n_ids:
            raise ValueError(f"the linear part knows {n_known!r} of {n_ids} ids")
        lengths = config["char_ngram_range"]
        return cls(
            **{**arrays, "keys": arrays["keys"].view(np.uint64)},
            ngram_range=checked_range(config["ngram_range"], "ngram_range"),
            char_ngram_range=None if lengths is None else checked_range(lengths, "char_ngram_range"),
            share=config["share"],
            n_known=n_known,
            two_classes=two_classes,
        )

    def is_finite(self) -> bool:
        """True if no array holds NaN or infinity."""
        return all(np.isfinite(getattr(self, name)).all() for name in ("word_scores", "coef", "intercept"))


def checked_range(value: Any, name: str) -> tuple[int, int]:
    """A range of lengths of n-grams as two ints; raises ValueError if it is none."""
    pair = list(value) if isinstance(value, (tuple, list)) else []
    if (
        len(pair) != 2
        or not all(isinstance(end, Integral) and not isinstance(end, bool) for end in pair)
        or not 1 <= pair[0] <= pair[1] <= MAX_ORDER
    ):
        raise ValueError(
            f"{name} is {value!r}, but it must be two integers (shortest, longest) from 1 to {MAX_ORDER}, "
            "such as (1, 2)"
        )
    return int(pair[0]), int(pair[1])


def _words(vocabulary: Vocabulary) -> UnknownWords:
    arrays = vocabulary.to_arrays()
    return UnknownWords(arrays["bytes"], arrays["offsets"])


def _frequent_words(ids: np.ndarray, offsets: np.ndarray, weight: np.ndarray, n_ids: int) -> np.ndarray:
    """Which words have FREQUENT_USES or more in texts whose weight is not zero; never the unknown one."""
    counts, done = np.zeros(n_ids, np.int64), 0
    has_weight = np.atleast_2d(weight.T).max(axis=0) > 0
    for piece_ids, piece_offsets in pieces(ids, offsets, NGRAMS_PER_PIECE):
        n_texts = len(piece_offsets) - 1
        counted = np.repeat(has_weight[done : done + n_texts], np.diff(piece_offsets))
        counts += np.bincount(piece_ids[counted], minlength=n_ids)
        done += n_texts
    counts[0] = 0
    return counts >= FREQUENT_USES


def _symbols(ids: np.ndarray, shapes: np.ndarray, frequent: np.ndarray) -> np.ndarray | None:
    """The ids of frequent words, and -1 - shape of others; None without n-grams with shapes."""
    if len(frequent) == 0:
        return None
    return np.where(frequent[ids], ids, -1 - shapes).astype(np.int32, copy=False)


@dataclass
class _Texts:
    """Encoded training texts, whose n-grams are looked at piece by piece."""

    ids: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray
    frequent: np.ndarray
    orders: tuple[int, int]

    @property
    def n_families(self) -> int:
        """2 with n-grams with shapes, else 1."""
        return 2 if len(self.frequent) else 1

    def gram_keys(self) -> Iterator[np.ndarray]:
        """Keys of the n-grams of words, of some texts at a time."""
        n_orders = self.orders[1] - self.orders[0] + 1
        if n_orders < 1:
            return
        done = 0
        for ids, offsets in pieces(
            self.ids, self.offsets, max(1, NGRAMS_PER_PIECE // (n_orders * self.n_families))
        ):
            shapes = self.shapes[done : done + len(ids)]
            done += len(ids)
            yield gram_keys(ids, offsets, *self.orders, _symbols(ids, shapes, self.frequent))[0]

    def gram_offsets(self) -> np.ndarray:
        """Where the n-grams of each text begin and end."""
        return gram_offsets(self.offsets, *self.orders, self.n_families)


def _frequent_grams(texts: _Texts, n_most: int) -> np.ndarray:
    """Keys of the n-grams of words in rising order, about the `n_most` most frequent ones if there are more.

    Memory is bounded: whenever there are too many, the rare ones are forgotten, with their counts so far.
    """
    keys, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    for piece in texts.gram_keys():
        new, new_counts = np.unique(piece, return_counts=True)
        keys, places = np.unique(np.concatenate([keys, new]), return_inverse=True)
        counts = np.bincount(places, np.concatenate([counts, new_counts]), len(keys)).astype(np.int64)
        if len(keys) > n_most:
            kept = np.sort(np.argsort(-counts, kind="stable")[:n_most])
            keys, counts = keys[kept], counts[kept]
    return keys


def _subwords(
    vocabulary: Vocabulary, lengths: tuple[int, int] | None, n_most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct keys of n-grams of characters, and those of each word as places among them, from id 1."""
    if lengths is None:
        nothing = np.empty(0, np.uint64), np.empty(0, np.int32)
        return *nothing, np.zeros(len(vocabulary), np.intp)
    words = _words(vocabulary)
    keys, offsets = subword_keys(words.bytes, words.offsets, *lengths)
    distinct, places, counts = np.unique(keys, return_inverse=True, return_counts=True)
    if len(distinct) <= n_most:
        return distinct, places.astype(np.int32), offsets
    kept = np.sort(np.argsort(-counts, kind="stable")[:n_most])
    new_places = np.full(len(distinct), -1, np.int32)
    new_places[kept] = np.arange(len(kept))
    found = new_places[places]
    n_before = np.concatenate([[0], np.cumsum(found >= 0)])
    return distinct[kept], found[found >= 0], n_before[offsets].astype(np.intp)


def _word_features(
    n_ids: int, first: int, word_subwords: np.ndarray, subword_offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Features of each id, and their offsets: the id itself, then its n-grams of characters from `first`."""
    offsets = np.arange(n_ids + 1, dtype=np.intp)
    offsets[1:] += subword_offsets
    features = np.empty(offsets[-1], np.int32)
    itself = np.zeros(len(features), bool)
    itself[offsets[:-1]] = True
    features[itself] = np.arange(n_ids)
    features[~itself] = word_subwords + first
    return features, offsets


def _gram_features(
    texts: _Texts, grams: np.ndarray, first: int, n_threads: int, collect: Collect
) -> tuple[np.ndarray, np.ndarray]:
    """Features of the n-grams of words of each text, from `first`, and their offsets; -1 for none."""
    offsets, index = texts.gram_offsets(), NGramIndex(grams)

    def features() -> Iterator[np.ndarray]:
        for keys in texts.gram_keys():
            rows = index.rows(keys, n_threads)
            yield np.where(rows >= 0, rows + np.int32(first), np.int32(-1))

    return collect(features(), int(offsets[-1])), offsets


def _in_memory(chunks: Iterable[np.ndarray], size: int) -> np.ndarray:
    """The pieces end to end, int32 of shape (size,)."""
    out, done = np.empty(size, np.int32), 0
    for chunk in chunks:
        out[done : done + len(chunk)] = chunk
        done += len(chunk)
    return out


def _fit_classes(
    features: NGramFeatures,
    targets: np.ndarray,
    weight: np.ndarray,
    n_classes: int,
    n_left_out: int,
    options: LinearOptions,
    n_threads: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and intercepts of each class against the rest; the first features may be left out."""
    positive = np.arange(n_classes, dtype=np.intp) if n_classes > 2 else np.array([1], np.intp)
    counts = np.zeros((features.n_features, n_classes))
    features.count_by_class(targets, weight, counts)
    coef = _log_ratios(counts, positive)
    del counts
    coef[:n_left_out] = 0
    intercept = np.empty(len(positive))
    # The ratios become the coefficients, in one array.
    features.fit_logistic(
        targets, options.C * weight, positive, coef, options.tol, options.max_iter, 1, coef, intercept,
        n_threads,
    )  # fmt: skip
    return coef, intercept


def _fit_labels(
    features: NGramFeatures,
    targets: np.ndarray,
    weight: np.ndarray,
    n_labels: int,
    n_left_out: int,
    options: LinearOptions,
    n_threads: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The same for labels, each against its absence."""
    cost = np.ascontiguousarray(np.atleast_2d(weight.T))
    coef = np.empty((features.n_features, n_labels), np.float32)
    second = np.array([1], np.intp)
    for k in range(n_labels):
        counts = np.zeros((features.n_features, 2))
        features.count_by_class(targets[:, k].astype(np.intp), cost[k if len(cost) > 1 else 0], counts)
        coef[:, k] = _log_ratios(counts, second)[:, 0]
    coef[:n_left_out] = 0
    intercept = np.empty(n_labels)
    goals = np.ascontiguousarray(np.where(targets, np.float32(1), np.float32(-1)))
    features.fit_columns(
        goals, options.C * cost, True, coef, options.tol, options.max_iter, 1, coef, intercept, n_threads
    )
    return coef, intercept


def _fit_numbers(
    features: NGramFeatures,
    targets: np.ndarray,
    weight: np.ndarray,
    n_targets: int,
    n_left_out: int,
    options: LinearOptions,
    n_threads: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The same for numbers, standardised, by ridge regression; errors beyond `huber_delta` count linearly."""
    delta = options.huber_delta
    near = np.clip(targets, -delta, delta)
    coef = np.stack([_mean_targets(features, near[:, k], weight) for k in range(n_targets)], axis=1)
    coef[:n_left_out] = 0
    intercept = np.empty(n_targets)
    features.fit_columns(
        np.ascontiguousarray(targets, np.float32), options.C * weight[np.newaxis], False, coef,
        RIDGE_TOLERANCE, RIDGE_PASSES, 1, coef, intercept, n_threads, delta,
    )  # fmt: skip
    return coef, intercept


def _mean_targets(features: NGramFeatures, targets: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean target of the occurrences of each feature, drawn towards 0 where they are few, float32.

    What the log-count ratio is to a class: a feature that tells nothing has 0.
    """
    sums = np.zeros((features.n_features, 2))
    features.count_by_class((targets > 0).astype(np.intp), weight * np.abs(targets).astype(np.float64), sums)
    counts = np.zeros((features.n_features, 1))
    features.count_by_class(np.zeros(len(targets), np.intp), weight, counts)
    return ((sums[:, 1] - sums[:, 0]) / (counts[:, 0] + SMOOTHING)).astype(np.float32)


def _log_ratios(counts: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Naive-Bayes log-count ratio of each feature for each class against the rest, float32.

    ``r = log((p / |p|) / (q / |q|))`` with p and q the smoothed counts of the features inside and
    outside of the class: Wang & Manning (2012), section 2.1. Features that no text has, or only texts of
    weight zero, take no part.
    """
    total = counts.sum(axis=1, dtype=np.float64)
    seen = total > 0
    ratios = np.zeros((len(counts), len(positive)), np.float32)
    for column, number in enumerate(positive):
        inside = counts[seen, number].astype(np.float64)
        outside = total[seen] - inside + SMOOTHING
        inside += SMOOTHING
        ratios[seen, column] = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    return ratios
