"""A fitted network with its text side: all that prediction needs, on NumPy and the kernels alone."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, overload

import numpy as np

from textcnn._kernels import _explanations, _softmax
from textcnn._kernels._explanations import RankedPlaces
from textcnn._kernels._text import split_tokens, token_spans
from textcnn._threads import effective_n_threads
from textcnn.io import (
    ModelFileError,
    checked_kind,
    checked_params,
    decode_classes,
    encode_classes,
    load_arrays,
    readable,
    refused,
    save_arrays,
)
from textcnn.nn.inference import check_outputs
from textcnn.nn.losses import log_sigmoid, sigmoid
from textcnn.nn.ngram_linear import NGramLinear
from textcnn.nn.packed import WindowShares, pieces
from textcnn.nn.sentence_cnn import SentenceCNN
from textcnn.tag_predictor import FAMILY as TAGGER_FAMILY
from textcnn.tag_predictor import TagPredictor, tagger_from_parts
from textcnn.text.embedded import EmbeddedTexts, as_embedded_like
from textcnn.text.inputs import as_texts
from textcnn.text.vocabulary import UNKNOWN_ID, Analyzer, EncodedTexts, Text, UnknownWords, Vocabulary

if TYPE_CHECKING:
    from textcnn.nn.layer_cnn import LayerCNN

    SentenceNetwork = SentenceCNN | LayerCNN

# Tokens of one piece of work: its features stay in cache, and memory is bounded for any number of texts.
TOKENS_PER_PIECE = 32768

# Numbers at once of the contributions that are added up in an explanation, about.
CONTRIBUTIONS_PER_PIECE = 1 << 19

# Megabytes for projected tokens that a model file may ask for: a terabyte.
MAX_CACHE_SIZE = 1_000_000

# Means and standard deviations of targets in a file, whose products with outputs are to be finite.
LARGEST_TARGET = 1e200

# Tokens of a text, and the characters of each, intp (n_tokens, 2), or None if the text was given as tokens.
NamedTokens: TypeAlias = tuple[list[str], np.ndarray | None]

NO_WORDS = UnknownWords(np.empty(0, np.uint8), np.zeros(1, np.int64))


@dataclass(frozen=True)
class NGram:
    """An n-gram that a filter chose or the linear part knows, and what it adds to each output.

    The outputs are the logits of the classes or of the labels; or the targets, in their own units.

    Attributes
    ----------
    text : str
        The tokens, joined by spaces.
    start, end : int
        The tokens ``start`` to ``end - 1`` of the text.
    span : (int, int) or None
        First character and the one after the last; None if the text was given as tokens.
    contributions : float64 ndarray of shape (n_outputs,)
        Sum over its filters of activation x weight, and the coefficients of the linear part, each with
        its share in the outputs.
    linear : float64 ndarray of shape (n_outputs,)
        How much of `contributions` comes from the linear part.
    """

    text: str
    start: int
    end: int
    span: tuple[int, int] | None
    contributions: np.ndarray
    linear: np.ndarray

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NGram):
            return NotImplemented
        return (
            (self.text, self.start, self.end, self.span) == (other.text, other.start, other.end, other.span)
            and np.array_equal(self.contributions, other.contributions)
            and np.array_equal(self.linear, other.linear)
        )


class NGrams(Sequence[NGram]):
    """The n-grams of an explanation, each of which is made when it is looked at.

    It reads like a list, and equals a list or another such sequence of equal n-grams. A slice is a list.

    Parameters
    ----------
    named : str, or tuple (tokens, spans)
        The text; or its tokens, list of str, and the characters of each, intp ndarray of shape (n_tokens, 2),
        or None if the text was given as tokens.
    ranked : tuple (places, shares), or RankedPlaces of the kernels, which have them
        The first token of each n-gram and the one after the last, intp ndarray of shape (n_ngrams, 2); what
        each adds to the outputs, and how much of that comes from the linear part, float64 ndarray of shape
        (n_ngrams, 2, n_outputs).
    cut : callable, default=None
        What gives tokens and spans of a text; a text needs it.

    Raises
    ------
    ValueError
        If there is a text without it.

    Attributes
    ----------
    tokens : list of str
        Those of the text.

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn.predictor import NGrams
    >>> shares = np.array([[[1.0, -1.0], [0.0, 0.0]], [[0.5, -0.5], [0.0, 0.0]]])
    >>> ngrams = NGrams((["a", "good", "film"], None), (np.array([[1, 2], [0, 3]]), shares))
    >>> len(ngrams), ngrams[0].text, [ngram.text for ngram in ngrams]
    (2, 'good', ['good', 'a good film'])
    """

    __slots__ = ("_cut", "_named", "_ranked")

    def __init__(
        self,
        named: str | NamedTokens,
        ranked: tuple[np.ndarray, np.ndarray] | RankedPlaces,
        cut: Callable[[str], NamedTokens] | None = None,
    ) -> None:
        if isinstance(named, str) and cut is None:
            raise ValueError(
                "a text needs `cut`, which gives its tokens; give tokens and spans, or `cut` as well"
            )
        self._named, self._ranked, self._cut = named, ranked, cut

    @property
    def tokens(self) -> list[str]:
        return self._tokens_and_spans()[0]

    def __len__(self) -> int:
        ranked = self._ranked
        return len(ranked[0] if isinstance(ranked, tuple) else ranked)

    @overload
    def __getitem__(self, index: int) -> NGram: ...
    @overload
    def __getitem__(self, index: slice) -> list[NGram]: ...
    def __getitem__(self, index: int | slice) -> NGram | list[NGram]:
        if isinstance(index, slice):
            return list(self._made(index))
        index = range(len(self))[index]  # refused as a list refuses it
        return next(self._made(slice(index, index + 1)))

    def __iter__(self) -> Iterator[NGram]:
        return self._made(slice(None))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (NGrams, list)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._tokens_and_spans(), self._places_and_shares())

    def _tokens_and_spans(self) -> NamedTokens:
        named = self._named
        if isinstance(named, str):
            assert self._cut is not None
            named = self._named = self._cut(named)
        return named

    def _places_and_shares(self) -> tuple[np.ndarray, np.ndarray]:
        ranked = self._ranked
        if not isinstance(ranked, tuple):
            ranked = self._ranked = ranked.arrays()
        return ranked

    def _made(self, which: slice) -> Iterator[NGram]:
        tokens, spans = self._tokens_and_spans()
        places, shares = self._places_and_shares()
        for (start, end), (contributions, linear) in zip(places[which].tolist(), shares[which], strict=True):
            span = _characters(spans, start, end) if spans is not None else None
            yield NGram(" ".join(tokens[start:end]), start, end, span, contributions, linear)


@dataclass(frozen=True)
class Explanation:
    """Why a text got its outputs: ``bias + sum of all contributions == logits``, up to rounding.

    Attributes
    ----------
    label : object
        The predicted class; with several labels the list of those predicted; in regression the predicted
        number, or the list of them with several targets.
    logits : float64 ndarray of shape (n_outputs,)
        In regression the predicted numbers.
    bias : float64 ndarray of shape (n_outputs,)
    ngrams : sequence of NGram
        Those with the largest contribution in favour of the predicted class or labels first (without any of
        these, of the likeliest label); in regression those with the largest contribution in either direction.
        It reads like a list; each n-gram is made when it is looked at.
    """

    label: Any
    logits: np.ndarray
    bias: np.ndarray
    ngrams: NGrams

    @property
    def tokens(self) -> list[str]:
        """Tokens of the text."""
        return self.ngrams.tokens


class SentencePredictor(ABC):
    """The runtime of a fitted sentence network, whatever its outputs stand for.

    It imports neither scikit-learn nor SciPy. Any number of threads may share it.

    Parameters
    ----------
    vocabulary : Vocabulary or None
        None if texts come embedded; the network is then a `LayerCNN` without an embedding.
    network : SentenceCNN or LayerCNN
    n_jobs : int, default=None
        Threads; None for what OpenMP may use here.
    cache_size : float, default=200
        Megabytes for projected tokens, which make repeated words fast. Never saved or pickled.
    linear : NGramLinear, default=None
        The linear part, if there is one: ``outputs = (1 - share) * network + share * linear``.
    """

    TASK: ClassVar[str]
    """The name of what it does in model files."""

    # Outputs of the network as users see them: shift + scale * output.
    _shift: Any = 0.0
    _scale: Any = 1.0

    def __init__(
        self,
        vocabulary: Vocabulary | None,
        network: SentenceNetwork,
        n_jobs: int | None = None,
        cache_size: float = 200,
        linear: NGramLinear | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.network = network
        self.linear = linear
        self.n_jobs = n_jobs
        self.cache_size = cache_size
        self._inference = network.inference(int(cache_size * 1e6))

    @classmethod
    @abstractmethod
    def head_from(cls, config: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """The arguments that tell what the outputs stand for, from a model file, and how many there are."""

    @abstractmethod
    def _head(self) -> dict[str, Any]:
        """The same for a model file, as JSON values."""

    @abstractmethod
    def _outputs_in_words(self) -> str:
        """What the outputs are, and how many."""

    @abstractmethod
    def _decided(self, outputs: np.ndarray) -> tuple[list[Any], np.ndarray | None]:
        """What the outputs of each text predict, and how much a change of each counts in favour of it.

        The second is a float64 ndarray of shape (n_texts, n_outputs), or None if changes in either direction
        count alike.
        """

    @abstractmethod
    def predict(self, X: Any) -> np.ndarray:
        """What is predicted for each text."""

    @property
    def text_vocabulary(self) -> Vocabulary:
        """The vocabulary; raises AttributeError if texts come embedded, since there is none then."""
        if self.vocabulary is None:
            raise AttributeError("the model was fitted to embedded text, so it has no vocabulary of words")
        return self.vocabulary

    def transform(self, X: Any) -> np.ndarray:
        """Pooled features, ndarray of shape (n_texts, n_features)."""
        n_threads = effective_n_threads(self.n_jobs)
        if self.vocabulary is None:
            texts = self.embedded(X)
            ids, offsets = texts.rows, texts.offsets
        else:
            ids, offsets = self.vocabulary.encode(as_texts(X), n_threads)
        return np.concatenate(
            [self._inference.features(*piece, n_threads) for piece in pieces(ids, offsets, TOKENS_PER_PIECE)]
        )

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the features of `transform`: ``w3_f0`` is the first filter of width 3."""
        return np.array(self.network.feature_names(), dtype=object)

    def explain(self, X: Any) -> list[Explanation]:
        """The n-grams that decided, with their exact share in each output.

        With max pooling a filter contributes activation x weight, on account of the n-gram at which it was
        largest; with other poolings each n-gram has its part in what was pooled. The linear part
        contributes a coefficient for each n-gram of words and for each word, its n-grams of characters
        included. What falls on the same tokens is added up. The tokens of embedded text are called by their
        numbers, "0", "1", and so on.

        Parameters
        ----------
        X : texts

        Returns
        -------
        list of Explanation, one for each text
        """
        n_threads = effective_n_threads(self.n_jobs)
        named: Iterator[str | NamedTokens]
        if self.vocabulary is None:
            encoded = as_tokens(self.embedded(X))
            named = ((_numbers(n), None) for n in np.diff(encoded.offsets).tolist())
        else:
            texts = as_texts(X)
            # A callable analyzer is asked once: it need not cut a text alike twice.
            analyzed = self.vocabulary.analyzed(texts)
            encoded = self._encode(self.vocabulary, analyzed, n_threads)
            named = self._named(self.vocabulary, texts, analyzed)
        n_outputs, n_features = self.network.weights.shape
        explanations: list[Explanation] = []
        for piece in _cut(encoded, max(1, CONTRIBUTIONS_PER_PIECE // n_outputs), n_features):
            n_texts = len(piece.offsets) - 1
            explanations += self._explain_piece(piece, islice(named, n_texts), n_threads)
        return explanations

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a model file; it appears under `path` when it is complete, or not at all.

        Raises
        ------
        ValueError
            If a model file cannot hold the model, as an analyzer that is a callable.
        OSError
            If the file cannot be written; an older file under `path` is then untouched.
        """
        self.save_as(path, type(self).__name__, {"n_jobs": self.n_jobs, "cache_size": self.cache_size})

    def save_as(self, path: str | os.PathLike[str], kind: str, params: dict[str, Any]) -> None:
        """`save` with the name and the parameters of the estimator that holds the predictor."""
        vocabulary, network = self.vocabulary, self.network
        if vocabulary is not None and callable(vocabulary.analyzer):
            raise ValueError(
                "the model has a callable analyzer, which a model file cannot hold; use pickle, or an "
                'analyzer that is "word" or "char"'
            )
        arrays = network.arrays()
        if vocabulary is not None:
            arrays |= {f"vocabulary.{name}": array for name, array in vocabulary.to_arrays().items()}
        if self.linear is not None:
            arrays |= {f"linear.{name}": array for name, array in self.linear.to_arrays().items()}
        config = {
            "kind": kind,
            "params": params,
            **self._head(),
            "analyzer": None if vocabulary is None else vocabulary.analyzer,
            "lowercase": None if vocabulary is None else vocabulary.lowercase,
            **network.config(),
            "linear": None if self.linear is None else self.linear.config(),
        }
        with readable():
            _from_parts(arrays, config)
        save_arrays(path, arrays, config)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_inference"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._inference = self.network.inference(int(self.cache_size * 1e6))

    def __repr__(self) -> str:
        n_dims = self.network.embedding.shape[1]
        texts = f"{n_dims} channels" if self.vocabulary is None else f"{len(self.vocabulary)} tokens"
        return (
            f"<{type(self).__name__} of {self._outputs_in_words()}, {texts}, "
            f"{self.network.weights.shape[1]} features>"
        )

    def _logits(self, X: Any) -> np.ndarray:
        n_threads = effective_n_threads(self.n_jobs)
        if self.vocabulary is None:
            texts = as_tokens(self.embedded(X))
        else:
            texts = self._encode(self.vocabulary, as_texts(X), n_threads)
        parts = [self._piece_logits(piece, n_threads) for piece in _cut(texts, TOKENS_PER_PIECE)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _piece_logits(self, texts: EncodedTexts, n_threads: int) -> np.ndarray:
        features = self._inference.features(texts.ids, texts.offsets, n_threads)
        logits = self._inference.logits(features, n_threads)
        if self.linear is not None:
            self.linear.mix_into(logits, self.linear.scores(texts, n_threads))
        check_outputs(logits)
        return logits

    def _encode(self, vocabulary: Vocabulary, texts: Sequence[Text], n_threads: int) -> EncodedTexts:
        """Texts as ids; shapes and unknown words only if the linear part looks at them."""
        if self.linear is not None:
            return vocabulary.encode_fully(texts, n_threads, self.linear.needs_shapes)
        return EncodedTexts(*vocabulary.encode(texts, n_threads), np.empty(0, np.int32), NO_WORDS)

    def embedded(self, X: Any) -> EmbeddedTexts:
        """Embedded texts of the form that the model was fitted to."""
        network = self.network
        assert not isinstance(network, SentenceCNN)
        return as_embedded_like(X, network.embedding.shape[1], network.n_features, network.weights.dtype)

    def _named(
        self, vocabulary: Vocabulary, texts: Sequence[Text], analyzed: Sequence[Text]
    ) -> Iterator[str | NamedTokens]:
        """Texts that can be cut again when their tokens are looked at, of others tokens and spans."""
        cut_by_kernel = isinstance(vocabulary.analyzer, str)
        for text, tokens_or_text in zip(texts, analyzed, strict=True):
            if cut_by_kernel and isinstance(text, str):
                yield text
            else:
                tokens = vocabulary.tokens(tokens_or_text)
                yield tokens, vocabulary.spans(text, tokens) if isinstance(text, str) else None

    def _explain_piece(
        self, texts: EncodedTexts, named: Iterable[str | NamedTokens], n_threads: int
    ) -> list[Explanation]:
        """The explanations of some texts, each of which is given again, or its tokens and spans."""
        logits, features, windows = self._inference.contributions(texts.ids, texts.offsets, n_threads)
        bias = self.network.bias.astype(np.float64)
        n_network, share = len(windows.texts), 0.0
        if self.linear is not None:
            share = self.linear.share
            scores, terms = self.linear.scores_and_terms(texts, n_threads)
            windows = WindowShares.joined([windows, terms])
            logits = (1 - share) * logits + share * scores
            bias = (1 - share) * bias + share * self.linear.bias()
        check_outputs(logits)
        logits, bias = self._shift + self._scale * logits, self._shift + self._scale * bias
        labels, directions = self._decided(logits)
        ranked = _explanations.rank_places(
            texts.offsets, features.pooled, features.argmax, features.widths, features.weights,
            windows.texts, windows.starts, windows.ends, windows.shares, n_network, share,
            np.full(logits.shape[1], self._scale, np.float64), directions, n_threads,
        )  # fmt: skip
        cut, vocabulary = None, self.vocabulary
        if vocabulary is not None and isinstance(vocabulary.analyzer, str):
            cut = partial(_cut_text, vocabulary.analyzer, vocabulary.lowercase)
        # Copies: who keeps one explanation does not keep the outputs of all texts.
        return [
            Explanation(label, own_logits.copy(), bias.copy(), NGrams(text, places, cut))
            for label, own_logits, places, text in zip(labels, logits, ranked, named, strict=True)
        ]


class Predictor(SentencePredictor):
    """The runtime of a fitted classifier.

    `textcnn.load` makes one from a model file; `TextCNNClassifier` holds one and delegates to it. Any number
    of threads may share it.

    Parameters
    ----------
    vocabulary : Vocabulary or None
    network : SentenceCNN or LayerCNN
    classes : ndarray of shape (n_classes,)
        Labels in the order of the network's outputs.
    n_jobs : int, default=None
        Threads; None for what OpenMP may use here.
    cache_size : float, default=200
        Megabytes for projected tokens, which make repeated words fast. Never saved or pickled.
    linear : NGramLinear, default=None
        The linear part, if there is one: ``logits = (1 - share) * network + share * linear``.

    Examples
    --------
    >>> import os, tempfile, textcnn
    >>> texts = ["good film", "bad film", "good plot", "bad plot"]
    >>> clf = textcnn.TextCNNClassifier(random_state=0).fit(texts, ["pos", "neg", "pos", "neg"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "film.textcnn")
    ...     clf.save(path)
    ...     predictor = textcnn.load(path)
    >>> predictor.predict(["a good story"]).tolist()
    ['pos']
    """

    TASK = "classification"

    def __init__(
        self,
        vocabulary: Vocabulary | None,
        network: SentenceNetwork,
        classes: np.ndarray,
        n_jobs: int | None = None,
        cache_size: float = 200,
        linear: NGramLinear | None = None,
    ) -> None:
        super().__init__(vocabulary, network, n_jobs, cache_size, linear)
        self.classes_ = classes

    @classmethod
    def head_from(cls, config: dict[str, Any]) -> tuple[dict[str, Any], int]:
        classes = decode_classes(config["classes"])
        return {"classes": classes}, len(classes)

    def _head(self) -> dict[str, Any]:
        return {"classes": encode_classes(self.classes_)}

    def _outputs_in_words(self) -> str:
        return f"{len(self.classes_)} classes"

    def _decided(self, outputs: np.ndarray) -> tuple[list[Any], np.ndarray | None]:
        best = outputs.argmax(axis=1)
        directions = np.full(outputs.shape, -1 / outputs.shape[1])  # against the mean of all classes
        directions[np.arange(len(best)), best] += 1
        return self.classes_[best].tolist(), directions

    def predict(self, X: Any) -> np.ndarray:
        """Predicted label of each text, ndarray of shape (n_texts,)."""
        return self.classes_[self._logits(X).argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class, float32 ndarray of shape (n_texts, n_classes)."""
        logits = self._logits(X)
        _softmax.softmax(logits, logits)
        return logits

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of the probabilities, float32 ndarray of shape (n_texts, n_classes)."""
        logits = self._logits(X)
        _softmax.log_softmax(logits, logits)
        return logits

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits, float32 ndarray of shape (n_texts, n_classes).

        With two classes the difference of the logits, of shape (n_texts,), positive for
        ``classes_[1]``, as in scikit-learn.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits


class MultilabelPredictor(SentencePredictor):
    """The runtime of a classifier of several labels, of which a text can have any number.

    Parameters
    ----------
    vocabulary : Vocabulary or None
    network : SentenceCNN or LayerCNN
    classes : ndarray of shape (n_labels,)
        Names of the labels in the order of the network's outputs.
    threshold : float or array-like of shape (n_labels,), default=0.5
        A text has the labels whose probability is above it.
    n_jobs, cache_size, linear : as in `Predictor`

    Examples
    --------
    >>> import numpy as np
    >>> from textcnn import TextCNNClassifier
    >>> texts = ["good film", "bad film", "good book", "bad book"]
    >>> is_good_is_film = np.array([[1, 1], [0, 1], [1, 0], [0, 0]])
    >>> clf = TextCNNClassifier(max_iter=30, batch_size=2, random_state=0).fit(texts, is_good_is_film)
    >>> clf.predictor_.predict(["a good film"]).tolist()
    [[1, 1]]
    """

    TASK = "multilabel"

    def __init__(
        self,
        vocabulary: Vocabulary | None,
        network: SentenceNetwork,
        classes: np.ndarray,
        threshold: Any = 0.5,
        n_jobs: int | None = None,
        cache_size: float = 200,
        linear: NGramLinear | None = None,
    ) -> None:
        super().__init__(vocabulary, network, n_jobs, cache_size, linear)
        self.classes_ = classes
        self.threshold = threshold

    @property
    def threshold(self) -> np.ndarray:
        """Thresholds of the labels, float64 ndarray of shape (n_labels,); may be set to one number."""
        return self._threshold

    @threshold.setter
    def threshold(self, threshold: Any) -> None:
        self._threshold = checked_threshold(threshold, len(self.classes_))

    @classmethod
    def head_from(cls, config: dict[str, Any]) -> tuple[dict[str, Any], int]:
        labels = decode_classes(config["labels"])
        threshold = _numbers_from(config, "threshold")
        return {"classes": labels, "threshold": checked_threshold(threshold, len(labels))}, len(labels)

    def _head(self) -> dict[str, Any]:
        return {
            "task": self.TASK,
            "labels": encode_classes(self.classes_),
            "threshold": self.threshold.tolist(),
        }

    def _outputs_in_words(self) -> str:
        return f"{len(self.classes_)} labels"

    def _decided(self, outputs: np.ndarray) -> tuple[list[Any], np.ndarray | None]:
        found = sigmoid(outputs) > self.threshold
        likeliest = np.arange(outputs.shape[1]) == outputs.argmax(axis=1)[:, np.newaxis]
        directions = np.where(found.any(axis=1, keepdims=True), found, likeliest)
        return [self.classes_[of_text].tolist() for of_text in found], directions.astype(np.float64)

    def predict(self, X: Any) -> np.ndarray:
        """The labels of each text, int64 ndarray of 0 and 1 of shape (n_texts, n_labels)."""
        return (self.predict_proba(X) > self.threshold).astype(np.int64)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each label, float32 ndarray of shape (n_texts, n_labels)."""
        return sigmoid(self._logits(X).astype(np.float64)).astype(np.float32)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of the probabilities, float32 ndarray of shape (n_texts, n_labels)."""
        return log_sigmoid(self._logits(X).astype(np.float64)).astype(np.float32)

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits, positive for likely labels, float32 ndarray of shape (n_texts, n_labels)."""
        return self._logits(X)


class RegressionPredictor(SentencePredictor):
    """The runtime of a regressor.

    Parameters
    ----------
    vocabulary : Vocabulary or None
    network : SentenceCNN or LayerCNN
        Its outputs are targets less their means, in units of their standard deviations.
    target_mean, target_scale : float64 ndarrays of shape (n_targets,)
        Means and standard deviations of the targets.
    one_dimensional : bool
        Whether predictions have the shape (n_texts,), as the targets of `fit` had.
    n_jobs, cache_size, linear : as in `Predictor`

    Examples
    --------
    >>> from textcnn import TextCNNRegressor
    >>> texts = ["good film", "bad film", "good plot", "bad plot"]
    >>> regressor = TextCNNRegressor(random_state=0).fit(texts, [5.0, 1.0, 4.5, 1.5])
    >>> bool(regressor.predictor_.predict(["good story"])[0] > 3)
    True
    """

    TASK = "regression"

    def __init__(
        self,
        vocabulary: Vocabulary | None,
        network: SentenceNetwork,
        target_mean: np.ndarray,
        target_scale: np.ndarray,
        one_dimensional: bool,
        n_jobs: int | None = None,
        cache_size: float = 200,
        linear: NGramLinear | None = None,
    ) -> None:
        super().__init__(vocabulary, network, n_jobs, cache_size, linear)
        self._shift, self._scale = target_mean, target_scale
        self.one_dimensional = one_dimensional

    @property
    def target_mean(self) -> np.ndarray:
        """Means of the targets in `fit`, float64 ndarray of shape (n_targets,)."""
        return self._shift

    @property
    def target_scale(self) -> np.ndarray:
        """Standard deviations of the targets in `fit`, or 1 where they are 0; of shape (n_targets,)."""
        return self._scale

    @classmethod
    def head_from(cls, config: dict[str, Any]) -> tuple[dict[str, Any], int]:
        mean, scale = (_numbers_from(config, name) for name in ("target_mean", "target_scale"))
        one = config["one_dimensional"]
        if type(one) is not bool or mean.shape != scale.shape or len(mean) == 0 or (one and len(mean) > 1):
            raise ValueError(f"{len(mean)} means and {len(scale)} scales of the targets")
        if not ((np.abs(mean) <= LARGEST_TARGET) & (scale > 0) & (scale <= LARGEST_TARGET)).all():
            raise ValueError("means or scales of the targets that are too large, or scales of 0")
        return {"target_mean": mean, "target_scale": scale, "one_dimensional": one}, len(mean)

    def _head(self) -> dict[str, Any]:
        return {
            "task": self.TASK,
            "target_mean": self.target_mean.tolist(),
            "target_scale": self.target_scale.tolist(),
            "one_dimensional": self.one_dimensional,
        }

    def _outputs_in_words(self) -> str:
        return f"{len(self.target_mean)} target" + ("" if len(self.target_mean) == 1 else "s")

    def _decided(self, outputs: np.ndarray) -> tuple[list[Any], np.ndarray | None]:
        return (outputs[:, 0] if self.one_dimensional else outputs).tolist(), None

    def predict(self, X: Any) -> np.ndarray:
        """Predicted numbers, float64 ndarray of shape (n_texts,) or (n_texts, n_targets)."""
        values = self.target_mean + self.target_scale * self._logits(X)
        return values[:, 0] if self.one_dimensional else values


PREDICTORS: dict[str, type[SentencePredictor]] = {
    kind.TASK: kind for kind in (Predictor, MultilabelPredictor, RegressionPredictor)
}


def _numbers_from(config: dict[str, Any], name: str) -> np.ndarray:
    """A list of numbers in a configuration as float64."""
    values = config[name]
    if type(values) is not list or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"{name} is {values!r:.100}, which is no list of numbers")
    return np.array(values, np.float64)


def checked_threshold(threshold: Any, n_labels: int) -> np.ndarray:
    """Thresholds of the labels, float64 of shape (n_labels,), from one number or one for each label."""
    try:
        values = np.asarray(threshold, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.full(2, np.nan)
    if values.shape not in ((), (n_labels,)) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"threshold is {threshold!r}, but it must be a number from 0 to 1, or one for each of {n_labels} "
            "labels"
        )
    return np.full(n_labels, values)


def _cut(texts: EncodedTexts, n_most: int, cost_per_text: int = 0) -> Iterator[EncodedTexts]:
    """Encoded texts in pieces of about `n_most` tokens; each text counts for so many beside its own."""
    n_tokens = n_unknown = 0
    for ids, offsets in pieces(texts.ids, texts.offsets, n_most, cost_per_text):
        unknown = texts.unknown
        if len(ids) < len(texts.ids):
            n_here = int(np.count_nonzero(ids == UNKNOWN_ID)) if len(unknown) else 0
            unknown = unknown.part(n_unknown, n_unknown + n_here)
            n_unknown += n_here
        yield EncodedTexts(ids, offsets, texts.shapes[n_tokens : n_tokens + len(ids)], unknown)
        n_tokens += len(ids)


def as_tokens(texts: EmbeddedTexts) -> EncodedTexts:
    """Embedded texts with their rows in place of ids."""
    return EncodedTexts(texts.rows, texts.offsets, np.empty(0, np.int32), NO_WORDS)


def _numbers(n_tokens: int) -> list[str]:
    """What the tokens of an embedded text are called."""
    return [str(t) for t in range(n_tokens)]


def _cut_text(analyzer: str, lowercase: bool, text: str) -> NamedTokens:
    """Tokens and spans of a text."""
    return split_tokens(text, analyzer, lowercase), token_spans(text, analyzer)


def _characters(spans: np.ndarray, start: int, end: int) -> tuple[int, int]:
    """Characters of the tokens ``start`` to ``end - 1``; none if there are none, as in an empty text."""
    return (int(spans[start, 0]), int(spans[end - 1, 1])) if start < end else (0, 0)


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds, checked."""

    predictor_type: type[SentencePredictor]
    vocabulary: Vocabulary | None
    network: SentenceNetwork
    linear: NGramLinear | None
    head: dict[str, Any]
    kind: str
    params: dict[str, Any]

    def predictor(self, n_jobs: int | None, cache_size: float) -> SentencePredictor:
        """The runtime that the file describes."""
        return self.predictor_type(
            self.vocabulary,
            self.network,
            **self.head,
            n_jobs=n_jobs,
            cache_size=cache_size,
            linear=self.linear,
        )


def network_from_file(
    arrays: dict[str, np.ndarray], config: dict[str, Any], n_ids: int, n_outputs: int
) -> SentenceNetwork:
    """The network of a model file; raises ValueError if its parts do not fit together."""
    if "body" not in config and n_ids:
        return SentenceCNN.from_file(arrays, config, n_ids, n_outputs)
    from textcnn.nn.layer_cnn import LayerCNN  # few models have layers of their own

    return LayerCNN.from_file(arrays, config, n_ids, n_outputs)


def read_model(path: str | os.PathLike[str], mmap: bool = False) -> ModelFile:
    """Read a model file and check that its parts fit together; raises ModelFileError if not."""
    return _checked_model(path, *load_arrays(path, mmap=mmap))


def _checked_model(
    path: str | os.PathLike[str], arrays: dict[str, np.ndarray], config: dict[str, Any]
) -> ModelFile:
    if config.get("family") == TAGGER_FAMILY:
        with refused(path):
            kind = checked_kind(config)
        raise ModelFileError(
            f"{os.fspath(path)} holds a {kind}, which tags tokens; textcnn.load reads it for prediction."
        )
    with refused(path):
        return _from_parts(arrays, config)


def _from_parts(arrays: dict[str, np.ndarray], config: dict[str, Any]) -> ModelFile:
    if config["analyzer"] not in ("word", "char", None):
        raise ValueError(f"analyzer {config['analyzer']!r:.100}")
    task = config.get("task", Predictor.TASK)
    if not isinstance(task, str) or task not in PREDICTORS:
        raise ValueError(f"task {task!r:.100}")
    if not isinstance(config["lowercase"], bool) and config["analyzer"] is not None:
        raise ValueError(f"lowercase {config['lowercase']!r:.100}")
    predictor_type = PREDICTORS[task]
    head, n_outputs = predictor_type.head_from(config)
    vocabulary = None
    if config["analyzer"] is not None:
        vocabulary = Vocabulary.from_arrays(
            arrays["vocabulary.bytes"],
            arrays["vocabulary.offsets"],
            analyzer=config["analyzer"],
            lowercase=config["lowercase"],
        )
    network = network_from_file(arrays, config, 0 if vocabulary is None else len(vocabulary), n_outputs)
    linear = None
    if config.get("linear") is not None and vocabulary is not None:
        linear = NGramLinear.from_arrays(
            {name: arrays[f"linear.{name}"] for name in NGramLinear.ARRAYS},
            config["linear"],
            len(vocabulary),
            n_outputs,
            of_classes=predictor_type is Predictor,
        )
    return ModelFile(
        predictor_type, vocabulary, network, linear, head, checked_kind(config), checked_params(config)
    )


def checked_cache_size(params: dict[str, Any]) -> float:
    """Megabytes for projected tokens that a file asks for."""
    size = params.get("cache_size", 200)
    if type(size) not in (int, float) or not 0 <= size <= MAX_CACHE_SIZE:
        raise ValueError(f"cache_size {size!r:.100}")
    return size


def load(
    path: str | os.PathLike[str], *, n_jobs: int | None = None, mmap: bool = False
) -> SentencePredictor | TagPredictor:
    """Read a model file for prediction, without scikit-learn.

    Parameters
    ----------
    path : str or path-like
        A file written by ``save``.
    n_jobs : int, default=None
        Threads of the predictor; None for what OpenMP may use here.
    mmap : bool, default=False
        Map the arrays instead of reading them, so that processes share their memory. If someone cuts
        the file short meanwhile, the operating system ends the process.

    Returns
    -------
    Predictor, MultilabelPredictor, RegressionPredictor or TagPredictor
        As the file holds a classifier, one of several labels, a regressor or a tagger.

    Raises
    ------
    ModelFileError
        If the file is no model file, is cut short or altered.

    Examples
    --------
    >>> import textcnn
    >>> predictor = textcnn.load("reviews.textcnn")  # doctest: +SKIP
    >>> predictor.predict(["What a lovely surprise"])  # doctest: +SKIP
    """
    arrays, config = load_arrays(path, mmap=mmap)
    effective_n_threads(n_jobs)  # a wrong argument is no fault of the file
    if config.get("family") == TAGGER_FAMILY:
        tagger = tagger_from_parts(path, arrays, config)
        with refused(path):
            return tagger.predictor(n_jobs)
    model = _checked_model(path, arrays, config)
    with refused(path):
        return model.predictor(n_jobs, checked_cache_size(model.params))


__all__ = [
    "Analyzer",
    "Explanation",
    "MultilabelPredictor",
    "NGram",
    "NGrams",
    "Predictor",
    "RegressionPredictor",
    "SentencePredictor",
    "load",
]
