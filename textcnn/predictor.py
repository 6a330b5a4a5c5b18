"""A fitted network with its text side: all that prediction needs, on NumPy and the kernels alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from textcnn._kernels import _softmax
from textcnn._kernels._conv import NO_WINDOW
from textcnn._threads import effective_n_threads
from textcnn.io import ModelFileError, decode_classes, encode_classes, load_arrays, save_arrays
from textcnn.nn.inference import Inference
from textcnn.nn.layers import PADDINGS, ConvLayout
from textcnn.nn.sentence_cnn import SentenceCNN
from textcnn.text.inputs import Text, as_texts
from textcnn.text.vocabulary import Analyzer, Vocabulary

# Tokens of one piece of work: its features stay in cache, and memory is bounded for any number of texts.
TOKENS_PER_PIECE = 32768


@dataclass(frozen=True)
class NGram:
    """An n-gram that at least one filter chose, and what it adds to each class's logit.

    Attributes
    ----------
    text : str
        The tokens, joined by spaces.
    start, end : int
        The tokens ``start`` to ``end - 1`` of the text.
    span : (int, int) or None
        First character and the one after the last; None if the text was given as tokens.
    contributions : float64 ndarray of shape (n_classes,)
        Sum over its filters of activation x weight.
    """

    text: str
    start: int
    end: int
    span: tuple[int, int] | None
    contributions: np.ndarray


@dataclass(frozen=True)
class Explanation:
    """Why a text got its logits: ``bias + sum of all contributions == logits``, up to rounding.

    Attributes
    ----------
    label : object
        The predicted class.
    logits : float64 ndarray of shape (n_classes,)
    bias : float64 ndarray of shape (n_classes,)
    ngrams : list of NGram
        Those with the largest contribution in favour of the predicted class first.
    tokens : list of str
    """

    label: Any
    logits: np.ndarray
    bias: np.ndarray
    ngrams: list[NGram]
    tokens: list[str]


class Predictor:
    """The runtime of a fitted classifier.

    It imports neither scikit-learn nor SciPy. `textcnn.load` makes one from a model file;
    `TextCNNClassifier` holds one and delegates to it. Any number of threads may share it.

    Parameters
    ----------
    vocabulary : Vocabulary
    network : SentenceCNN
    classes : ndarray of shape (n_classes,)
        Labels in the order of the network's outputs.
    n_jobs : int, default=None
        Threads; None for what OpenMP may use here.
    cache_size : float, default=200
        Megabytes for projected tokens, which make repeated words fast. Never saved or pickled.

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

    def __init__(
        self,
        vocabulary: Vocabulary,
        network: SentenceCNN,
        classes: np.ndarray,
        n_jobs: int | None = None,
        cache_size: float = 200,
    ) -> None:
        self.vocabulary = vocabulary
        self.network = network
        self.classes_ = classes
        self.n_jobs = n_jobs
        self.cache_size = cache_size
        self._inference = Inference(network, int(cache_size * 1e6))

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

    def transform(self, X: Any) -> np.ndarray:
        """Pooled features, float32 ndarray of shape (n_texts, n_features)."""
        return self._pooled(as_texts(X))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the features of `transform`: ``w3_f0`` is the first filter of width 3."""
        layout = self.network.layout
        names = [f"w{width}_f{i}" for width in layout.kernel_sizes for i in range(layout.n_filters)]
        return np.array(names, dtype=object)

    def explain(self, X: Any) -> list[Explanation]:
        """The n-grams that decided, with their exact share in each class's logit.

        A filter that is switched on contributes activation x weight, on account of the n-gram at
        which it was largest. Filters that chose the same n-gram are added up.

        Parameters
        ----------
        X : texts

        Returns
        -------
        list of Explanation, one for each text
        """
        texts = as_texts(X)
        return [self._explain(text) for text in texts]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a model file; it appears under `path` when it is complete, or not at all."""
        self.save_as(path, "Predictor", {"n_jobs": self.n_jobs, "cache_size": self.cache_size})

    def save_as(self, path: str | os.PathLike[str], kind: str, params: dict[str, Any]) -> None:
        """`save` with the name and the parameters of the estimator that holds the predictor."""
        vocabulary, network = self.vocabulary, self.network
        if callable(vocabulary.analyzer):
            raise ValueError(
                "the model has a callable analyzer, which a model file cannot hold; use pickle, or an "
                'analyzer that is "word" or "char"'
            )
        arrays = {name: getattr(network, name) for name in SentenceCNN.ARRAYS}
        arrays |= {f"vocabulary.{name}": array for name, array in vocabulary.to_arrays().items()}
        config = {
            "kind": kind,
            "params": params,
            "classes": encode_classes(self.classes_),
            "analyzer": vocabulary.analyzer,
            "lowercase": vocabulary.lowercase,
            "kernel_sizes": list(network.layout.kernel_sizes),
            "n_filters": network.layout.n_filters,
            "padding": network.layout.padding,
            "n_frozen": network.n_frozen,
        }
        save_arrays(path, arrays, config)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_inference"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._inference = Inference(self.network, int(self.cache_size * 1e6))

    def __repr__(self) -> str:
        layout = self.network.layout
        return (
            f"<{type(self).__name__} of {len(self.classes_)} classes, {len(self.vocabulary)} tokens, "
            f"{layout.n_outputs} filters>"
        )

    def _logits(self, X: Any) -> np.ndarray:
        texts = as_texts(X)
        n_threads = effective_n_threads(self.n_jobs)
        ids, offsets = self.vocabulary.encode(texts, n_threads)
        logits = [
            self._inference.logits(self._inference.pooled(*piece, n_threads)[0], n_threads)
            for piece in pieces(ids, offsets)
        ]
        return logits[0] if len(logits) == 1 else np.concatenate(logits)

    def _pooled(self, texts: list[Text]) -> np.ndarray:
        n_threads = effective_n_threads(self.n_jobs)
        ids, offsets = self.vocabulary.encode(texts, n_threads)
        return np.concatenate(
            [self._inference.pooled(*piece, n_threads)[0] for piece in pieces(ids, offsets)]
        )

    def _explain(self, text: Text) -> Explanation:
        ids, offsets = self.vocabulary.encode([text], 1)
        pooled, argmax = self._inference.pooled(ids, offsets, 1)
        logits = self._inference.logits(pooled, 1)[0].astype(np.float64)
        tokens = self.vocabulary.tokens(text)
        spans = self.vocabulary.spans(text) if isinstance(text, str) else None
        shares = pooled[0].astype(np.float64) * self.network.weights  # (n_classes, n_features)
        widths = np.repeat(self.network.layout.kernel_sizes, self.network.layout.n_filters)
        by_window: dict[tuple[int, int], np.ndarray] = {}
        for feature in np.flatnonzero(argmax[0] != NO_WINDOW):
            first = int(argmax[0, feature])
            window = max(0, first), min(len(tokens), first + int(widths[feature]))
            by_window[window] = by_window.get(window, 0.0) + shares[:, feature]
        best = int(logits.argmax())
        ngrams = [
            NGram(
                " ".join(tokens[start:end]),
                start,
                end,
                (spans[start][0], spans[end - 1][1]) if spans else None,
                contributions,
            )
            for (start, end), contributions in by_window.items()
        ]
        ngrams.sort(key=lambda ngram: -ngram.contributions[best] + ngram.contributions.mean())
        label = self.classes_[best : best + 1].tolist()[0]  # a plain Python value
        return Explanation(label, logits, self.network.bias.astype(np.float64), ngrams, tokens)


def pieces(ids: np.ndarray, offsets: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut a packed batch between texts into packed batches of about TOKENS_PER_PIECE tokens."""
    if len(ids) <= TOKENS_PER_PIECE:
        return [(ids, offsets)]
    cuts = np.searchsorted(offsets, np.arange(TOKENS_PER_PIECE, len(ids), TOKENS_PER_PIECE))
    edges = np.unique([0, *cuts, len(offsets) - 1])
    return [
        (ids[offsets[first] : offsets[last]], offsets[first : last + 1] - offsets[first])
        for first, last in pairwise(edges)
    ]


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds, checked."""

    vocabulary: Vocabulary
    network: SentenceCNN
    classes: np.ndarray
    kind: str
    params: dict[str, Any]


def read_model(path: str | os.PathLike[str], mmap: bool = False) -> ModelFile:
    """Read a model file and check that its parts fit together; raises ModelFileError if not."""
    arrays, config = load_arrays(path, mmap=mmap)
    try:
        return _from_parts(arrays, config)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelFileError(
            f"{os.fspath(path)} is no valid model file ({type(error).__name__}: {error}): do not use it."
        ) from error


def _from_parts(arrays: dict[str, np.ndarray], config: dict[str, Any]) -> ModelFile:
    if config["analyzer"] not in ("word", "char") or config["padding"] not in PADDINGS:
        raise ValueError(f"analyzer {config['analyzer']!r}, padding {config['padding']!r}")
    sizes, n_filters = config["kernel_sizes"], config["n_filters"]
    if not all(type(size) is int and 0 < size < 2**31 for size in [*sizes, n_filters]):
        raise ValueError(f"kernel sizes {sizes}, {n_filters} filters")
    layout = ConvLayout(tuple(sizes), n_filters, config["padding"])
    classes = decode_classes(config["classes"])
    vocabulary = Vocabulary.from_arrays(
        arrays["vocabulary.bytes"],
        arrays["vocabulary.offsets"],
        analyzer=config["analyzer"],
        lowercase=bool(config["lowercase"]),
    )
    n_dims = arrays["embedding"].shape[-1]
    shapes = {
        "embedding": (len(vocabulary), n_dims),
        "filters": (layout.n_rows, n_dims),
        "filter_bias": (layout.n_outputs,),
        "weights": (len(classes), layout.n_outputs),
        "bias": (len(classes),),
    }
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{name} is {array.dtype} {array.shape}, not finite float32 {shape}")
    n_frozen = config["n_frozen"]
    if type(n_frozen) is not int or not 0 <= n_frozen <= n_dims or not len(classes):
        raise ValueError(f"{n_frozen} frozen columns of {n_dims}, {len(classes)} classes")
    network = SentenceCNN(**{name: arrays[name] for name in shapes}, layout=layout, n_frozen=n_frozen)
    return ModelFile(vocabulary, network, classes, str(config["kind"]), dict(config["params"]))


def load(path: str | os.PathLike[str], *, n_jobs: int | None = None, mmap: bool = False) -> Predictor:
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
    Predictor

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
    model = read_model(path, mmap=mmap)
    cache_size = model.params.get("cache_size", 200)
    return Predictor(model.vocabulary, model.network, model.classes, n_jobs, cache_size)


__all__ = ["Analyzer", "Explanation", "NGram", "Predictor", "load"]
