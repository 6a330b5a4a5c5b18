"""The estimator for sentence classification."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, TransformerMixin, _fit_context
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from textcnn._base import (
    TextEstimator,
    check_sample_weight,
    pretrained_embeddings,
    random_embeddings,
    train_with_progress,
)
from textcnn._threads import effective_n_threads
from textcnn.io import ModelFileError, decode_classes, encode_classes
from textcnn.nn.layers import PADDINGS, ConvLayout
from textcnn.nn.ngram_linear import Collect, LinearOptions, NGramLinear, checked_range
from textcnn.nn.optimizers import SOLVERS
from textcnn.nn.packed import pieces
from textcnn.nn.sentence_cnn import SentenceCNN, side_by_side
from textcnn.nn.training import SCHEDULES, Examples, History, Trainer, TrainingOptions, mean_history
from textcnn.predictor import TOKENS_PER_PIECE, Explanation, Predictor, read_model
from textcnn.text.corpus import Corpus, StoredTexts, Texts
from textcnn.text.inputs import as_texts
from textcnn.text.vocabulary import EncodedTexts, Vocabulary

# Random embeddings are uniform in +-this. Far smaller than Kim's 0.25: with Adam, words that were
# seldom seen then stay small beside frequent ones, which measures better on every set tried.
RANDOM_EMBEDDING_LIMIT = 0.05

# "auto" holds rows out only if there are more than this, as scikit-learn's histogram boosting does.
EARLY_STOPPING_ROWS = 10_000

# The name under which model files are written.
KIND = "TextCNNClassifier"


class TextCNNClassifier(ClassifierMixin, TransformerMixin, TextEstimator):
    """Convolutional network for sentence classification (Kim 2014), with a linear part beside it.

    The network: embeddings of the tokens, filters of several widths over them, ReLU, the maximum over
    time, dropout, and a softmax layer; trained by minimising the weighted mean cross-entropy

    ``- sum_i w_i log p(y_i | x_i) / sum_i w_i  +  alpha / (2 * n_texts) * ||weights||^2``

    over mini-batches. The linear part: logistic regression, each class against the rest, over n-grams
    of words and of characters inside words, scaled by their naive-Bayes log-count ratios (Wang &
    Manning 2012). The two are trained apart, and the logits of the network are averaged with the scores of
    the regressions, which for two classes are those of the second one and their negatives. The linear
    part takes time and memory in proportion to the number of classes; with hundreds set ``linear=0``.

    With one `random_state` the result has the same bits for any `n_jobs`.

    Parameters
    ----------
    analyzer : {"word", "char"} or callable, default="word"
        How a text is cut into tokens: runs of letters and digits, single punctuation marks and single
        CJK ideographs; or characters; or a function from str to a list of str. Texts that are lists
        of tokens are taken as they are.
    lowercase : bool, default=True
        Fold to lower case in the built-in analyzers.
    min_df : int or float, default=1
        Tokens in fewer texts than this number (or this share of the texts) count as unknown.
    max_features : int, default=None
        Keep only so many of the most frequent tokens.
    embedding_dim : int, default=128
        Dimensions of random embeddings; pretrained ones bring their own.
    embeddings : str, path-like, mapping, WordVectors or KeyedVectors, default=None
        Pretrained word vectors: a word2vec (text or binary), GloVe or fastText ``.vec`` file, also
        gzipped; a mapping from words to vectors; or an object with the interface of gensim's
        ``KeyedVectors``. Words without a vector get a random one of the same variance.
    embedding_mode : {"auto", "random", "static", "fine-tuned", "multichannel"}, default="auto"
        "static" keeps the vectors as they are, "fine-tuned" trains them, "multichannel" gives each
        filter both kinds side by side. "auto" is "fine-tuned" with `embeddings` and "random" without.
    kernel_sizes : tuple of int, default=(3, 4, 5)
        Widths of the filters, in tokens.
    n_filters : int, default=100
        Filters of each width.
    padding : {"full", "same", "valid"}, default="full"
        Zeros around each text: "full" lets every token meet every tap of a filter (Kim's choice),
        "same" gives one window a token, "valid" has windows inside the text only.
    dropout : float, default=0.5
        Share of the pooled features set to zero in training.
    word_dropout : float, default=0.1
        Share of tokens replaced by the unknown token in training, which trains its vector.
    max_norm : float, default=3.0
        Limit on the l2 norm of the output weights of each class; None for none.
    max_grad_norm : float, default=None
        Limit on the l2 norm of the gradient of a batch.
    solver : {"adam", "adadelta", "sgd"}, default="adam"
        "sgd" has Nesterov's momentum of 0.9. Embedding rows are updated only when they occur.
    learning_rate : {"linear", "constant", "invscaling", "adaptive"}, default="linear"
        Schedule: falling to zero over `max_iter` epochs; constant; divided by the square root of the
        number of the step; or divided by 5 whenever `n_iter_no_change` epochs brought no progress.
    learning_rate_init : float, default=None
        First learning rate; None for 0.002 (Adam), 1.0 (Adadelta), 0.1 (SGD).
    alpha : float, default=0.0
        Strength of the l2 penalty on filters and output weights, divided by the size of the batch.
    batch_size : int, default=50
    max_iter : int, default=10
        Epochs at most.
    shuffle : bool, default=True
        Take the texts in a new random order in every epoch.
    early_stopping : bool or "auto", default="auto"
        Keep the weights of the epoch with the best validation accuracy, and stop when it has not
        risen by `tol` for `n_iter_no_change` epochs. "auto" is on if `X_val` is given, or with more
        than 10,000 texts and at least two of each class.
    validation_fraction : float, default=0.1
        Share of the training texts, stratified, held out for early stopping without `X_val`.
    n_iter_no_change : int, default=10
        Without early stopping it is the training loss that must fall.
    tol : float, default=1e-4
    linear : float, default=0.5
        Share of the linear part in the logits, from 0 (the network alone, and no linear part is
        trained) to below 1.
    ngram_range : (int, int), default=(1, 3)
        Shortest and longest n-grams of tokens in the linear part, from 1 to 20, with marks for the begin
        and the end of the text. If there are more than 2 million n-grams, or more than 32 million divided
        by the number of classes, about the most frequent ones are kept.
    char_ngram_range : (int, int) or None, default=(3, 5)
        The same for n-grams of characters inside a token, with marks at its ends; None for none.
    shape_ngrams : bool, default=True
        Count n-grams of tokens once more with the shape of each token that has fewer than 30 uses in the
        training texts in its place: plain, capitalised, in capitals, mixed, a number or a sign.
    linear_C : float, default=1.0
        Inverse strength of the l2 penalty on the linear part, as `C` of scikit-learn's
        `LogisticRegression`.
    n_members : int, default=1
        Networks trained one after another from different random weights; their logits are averaged.
    class_weight : dict or "balanced", default=None
        Weights of the classes, as in scikit-learn.
    warm_start : bool, default=False
        `fit` goes on from the weights of the last `fit` and adds words that are new. The linear part,
        whose solution does not depend on where it starts, is fitted anew.
    random_state : int, RandomState or None, default=None
    n_jobs : int, default=None
        Threads in `fit` and prediction; None for what OpenMP may use here, -1 for all processors.
    cache_size : float, default=200
        Megabytes that prediction may use to keep projected tokens.
    verbose : bool or int, default=False
        Show a progress bar with loss, validation score and tokens per second.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    vocabulary_ : dict of str to int
        Row of each token in `embedding_`; row 0 is the unknown token.
    embedding_ : float32 ndarray of shape (n_tokens + 1, n_dims)
        With several members their embeddings stand side by side.
    n_iter_ : int
        Epochs of the last fit, the most of any member.
    n_members_ : int
        Networks of the model: `n_members`, or fewer after Ctrl-C.
    loss_ : float
        Mean training loss of the network in the last epoch.
    loss_curve_ : list of float
        The same after each epoch; a mean over the members.
    validation_scores_ : list of float or None
        Accuracy after each epoch, with the linear part, if there were validation texts; a mean over the
        members.
    best_validation_score_ : float or None
    predictor_ : Predictor
        The fitted network with its text side.

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> texts = ["what a film", "what a bore", "a lovely film", "a long bore"]
    >>> clf = TextCNNClassifier(random_state=0).fit(texts, ["good", "bad", "good", "bad"])
    >>> clf.predict(["such a lovely thing"]).tolist()
    ['good']
    """

    EMBEDDING_MODES: ClassVar[tuple[str, ...]] = ("auto", "random", "static", "fine-tuned", "multichannel")

    _parameter_constraints: ClassVar[dict] = {
        "analyzer": [StrOptions({"word", "char"}), callable],
        "lowercase": ["boolean"],
        "min_df": [
            Interval(Real, 0.0, 1.0, closed="both"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "embedding_dim": [Interval(Integral, 1, None, closed="left")],
        "embeddings": "no_validation",
        "embedding_mode": [StrOptions(set(EMBEDDING_MODES))],
        "kernel_sizes": ["array-like"],
        "n_filters": [Interval(Integral, 1, None, closed="left")],
        "padding": [StrOptions(set(PADDINGS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "word_dropout": [Interval(Real, 0, 1, closed="left")],
        "max_norm": [Interval(Real, 0, None, closed="neither"), None],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "solver": [StrOptions(set(SOLVERS))],
        "learning_rate": [StrOptions(set(SCHEDULES))],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither"), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "linear": [Interval(Real, 0, 1, closed="left")],
        "ngram_range": [tuple, list],
        "char_ngram_range": [tuple, list, None],
        "shape_ngrams": ["boolean"],
        "linear_C": [Interval(Real, 0, None, closed="neither")],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "cache_size": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        analyzer: str | Callable[[str], Iterable[str]] = "word",
        lowercase: bool = True,
        min_df: int | float = 1,
        max_features: int | None = None,
        embedding_dim: int = 128,
        embeddings: Any = None,
        embedding_mode: str = "auto",
        kernel_sizes: tuple[int, ...] = (3, 4, 5),
        n_filters: int = 100,
        padding: str = "full",
        dropout: float = 0.5,
        word_dropout: float = 0.1,
        max_norm: float | None = 3.0,
        max_grad_norm: float | None = None,
        solver: str = "adam",
        learning_rate: str = "linear",
        learning_rate_init: float | None = None,
        alpha: float = 0.0,
        batch_size: int = 50,
        max_iter: int = 10,
        shuffle: bool = True,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        linear: float = 0.5,
        ngram_range: tuple[int, int] = (1, 3),
        char_ngram_range: tuple[int, int] | None = (3, 5),
        shape_ngrams: bool = True,
        linear_C: float = 1.0,
        n_members: int = 1,
        class_weight: dict | str | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        cache_size: float = 200,
        verbose: bool | int = False,
    ) -> None:
        self.analyzer = analyzer
        self.lowercase = lowercase
        self.min_df = min_df
        self.max_features = max_features
        self.embedding_dim = embedding_dim
        self.embeddings = embeddings
        self.embedding_mode = embedding_mode
        self.kernel_sizes = kernel_sizes
        self.n_filters = n_filters
        self.padding = padding
        self.dropout = dropout
        self.word_dropout = word_dropout
        self.max_norm = max_norm
        self.max_grad_norm = max_grad_norm
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.linear = linear
        self.ngram_range = ngram_range
        self.char_ngram_range = char_ngram_range
        self.shape_ngrams = shape_ngrams
        self.linear_C = linear_C
        self.n_members = n_members
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.cache_size = cache_size
        self.verbose = verbose

    # ---- training -------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None
    ) -> TextCNNClassifier:
        """Train on texts and labels.

        Ctrl-C while the network is trained stops after the step at hand and keeps the model, with a
        warning; before that, while texts are read and the linear part is fitted, it ends `fit`.

        Parameters
        ----------
        X : list of str, or of lists of str, of length n_texts
            Also an array, Series, one-column frame or iterator of them; or a `Corpus`, which brings
            its labels and stays on disk.
        y : array-like of shape (n_texts,)
            Labels of two or more classes; None with a `Corpus`.
        sample_weight : array-like of shape (n_texts,), default=None
            Weights of the texts; 2 counts like the text given twice, 0 like its absence.
        X_val, y_val : as X and y, default=None
            Validation texts; with a `Corpus` as `X_val`, `y_val` is None.

        Returns
        -------
        self : TextCNNClassifier

        Raises
        ------
        ValueError, TypeError
            If something does not fit; the message says what.
        """
        continues = self.warm_start and hasattr(self, "predictor_")
        texts, classes, targets, sample_weight = self._check_training_data(X, y, sample_weight, continues)
        if len(classes) < 2:
            raise ValueError(
                f"y has one class, {classes.tolist()}, but a classifier needs texts of two or more classes"
            )
        if continues:
            self._check_one_member("warm_start")
        if continues and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start needs the classes of the last fit, {self.classes_.tolist()}, but y has "
                f"{classes.tolist()}; set warm_start=False to start anew"
            )
        rng = check_random_state(self.random_state)
        cutter = self.predictor_.vocabulary if continues else self
        scan_options = cutter.analyzer, cutter.lowercase, effective_n_threads(self.n_jobs)
        validation = _check_validation_data(X_val, y_val, classes, scan_options)
        if validation is None and self._holds_out(targets):
            texts, targets, sample_weight, validation = self._hold_out(texts, targets, sample_weight, rng)
        early_stopping = validation is not None and self.early_stopping is not False

        model = self._continued(texts, rng) if continues else self._started(texts, classes, rng)
        weight = self._text_weights(classes[targets], sample_weight)
        examples = Examples(model.ids, model.offsets, targets, weight)
        model.linear = self._fitted_linear(model, examples, len(classes))
        history = self._train_members(model, examples, validation, early_stopping, rng)
        self._partial_trainer: Trainer | None = None
        self._set_fitted(model, classes, history)
        if history.interrupted and self.n_members > 1:
            warnings.warn(
                f"training was interrupted; the model has {self.n_members_} of {self.n_members} networks and "
                "is usable as it is",
                UserWarning,
                stacklevel=2,
            )
        elif history.interrupted:
            warnings.warn(
                f"training was interrupted after {history.n_epochs} of {self.max_iter} epochs; the model "
                "is usable as it is, and fit with warm_start=True goes on from it",
                UserWarning,
                stacklevel=2,
            )
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> TextCNNClassifier:
        """Train the network for one pass over some texts; words that are new are added.

        The learning rate stays at `learning_rate_init` with the "linear" schedule, which needs to know
        how long training will take. `early_stopping` and `max_iter` are not used. A linear part can be
        fitted to all texts at once only: that of an earlier `fit` stays as it is, and there is none if
        training began with `partial_fit`.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come; needed at the first call.

        Returns
        -------
        self : TextCNNClassifier
        """
        self._check_one_member("partial_fit")
        first_call = not hasattr(self, "predictor_")
        if first_call and classes is None:
            raise ValueError(
                "the first call of partial_fit needs all classes, but classes is None; give "
                "partial_fit(X, y, classes=...)"
            )
        all_classes = np.unique(_as_labels(classes, "classes")) if classes is not None else self.classes_
        if len(all_classes) < 2:
            raise ValueError(f"classes is {all_classes.tolist()}, but a classifier needs two or more")
        if not first_call and not np.array_equal(all_classes, self.classes_):
            raise ValueError(
                f"classes is {all_classes.tolist()}, but the first call gave {self.classes_.tolist()}"
            )
        texts, found, places, sample_weight = self._check_training_data(X, y, sample_weight, not first_call)
        targets = _class_numbers(found, all_classes, "y")[places]

        trainer = getattr(self, "_partial_trainer", None)
        rng = trainer.rng if trainer else check_random_state(self.random_state)
        model = self._started(texts, all_classes, rng) if first_call else self._continued(texts, rng)
        options = self._options(1, False)
        if options.learning_rate == "linear":
            options = replace(options, learning_rate="constant")
        if trainer:
            trainer = trainer.continued(model.network, options)
        else:
            trainer = Trainer(model.network, SOLVERS[self.solver](), options, rng)
        weight = self._text_weights(all_classes[targets], sample_weight)
        if not first_call and self.predictor_.linear is not None:
            model.linear = self.predictor_.linear.extended(model.vocabulary)
        history = self._train(model, trainer, Examples(model.ids, model.offsets, targets, weight), None)
        self.n_members_ = 1
        self._partial_trainer = trainer
        self._set_fitted(model, all_classes, history)
        return self

    def _check_training_data(
        self, X: Any, y: Any, sample_weight: Any, continues: bool
    ) -> tuple[Texts, np.ndarray, np.ndarray, np.ndarray]:
        """Texts, classes of y, the class number of each text, and its weight, all checked."""
        _check_kernel_sizes(self.kernel_sizes)
        checked_range(self.ngram_range, "ngram_range")
        if self.char_ngram_range is not None:
            checked_range(self.char_ngram_range, "char_ngram_range")
        self._resolved_mode()
        if isinstance(X, Corpus):
            if continues:  # before the texts are read, which may take long
                raise ValueError("a Corpus can only start a model; go on from one with texts in a list")
            stored = X.scan(self.analyzer, self.lowercase, effective_n_threads(self.n_jobs), y)
            return stored, stored.classes, stored.targets, check_sample_weight(sample_weight, len(stored))
        texts = as_texts(X)
        if not texts:
            raise ValueError("X has no texts, but training needs at least one text of each class")
        labels = _as_labels(y, "y")
        if len(labels) != len(texts):
            raise ValueError(f"X has {len(texts)} texts, but y has {len(labels)} labels; give one for each")
        classes, targets = np.unique(labels, return_inverse=True)
        return texts, classes, targets.astype(np.intp), check_sample_weight(sample_weight, len(texts))

    def _check_one_member(self, what: str) -> None:
        if self.n_members > 1:
            raise ValueError(
                f"n_members is {self.n_members}, but {what} goes on with one network; set n_members=1"
            )
        if getattr(self, "n_members_", 1) > 1:
            raise ValueError(
                f"the model has {self.n_members_} networks, but {what} goes on with one; fit anew with "
                "n_members=1"
            )

    def _holds_out(self, targets: np.ndarray) -> bool:
        """Should validation texts be held out of the training texts?"""
        if self.early_stopping == "auto":
            return len(targets) > EARLY_STOPPING_ROWS and bool(np.bincount(targets).min() >= 2)
        return bool(self.early_stopping)

    def _hold_out(
        self, texts: Texts, targets: np.ndarray, sample_weight: np.ndarray, rng: np.random.RandomState
    ) -> tuple[Texts, np.ndarray, np.ndarray, tuple[Texts, np.ndarray]]:
        """Split off a stratified part for validation."""
        try:
            kept, held_out = train_test_split(
                np.arange(len(texts)), test_size=self.validation_fraction, stratify=targets, random_state=rng
            )
        except ValueError as error:
            raise ValueError(
                f"early_stopping cannot hold out {self.validation_fraction:g} of {len(texts)} texts "
                f"({error}); give more texts of each class, X_val and y_val, or early_stopping=False"
            ) from error
        validation = _take(texts, held_out), targets[held_out]
        return _take(texts, kept), targets[kept], sample_weight[kept], validation

    def _text_weights(self, labels: np.ndarray, sample_weight: np.ndarray) -> np.ndarray:
        """Sample weight times class weight, float32."""
        if self.class_weight is not None:
            sample_weight = sample_weight * compute_sample_weight(self.class_weight, labels)
        return sample_weight.astype(np.float32)

    def _started(self, texts: Texts, classes: np.ndarray, rng: np.random.RandomState) -> _Model:
        """A new vocabulary and network, and the texts encoded."""
        vocabulary, ids, offsets, shapes = _build(
            texts,
            analyzer=self.analyzer,
            lowercase=self.lowercase,
            min_df=self.min_df,
            max_features=self.max_features,
            n_threads=effective_n_threads(self.n_jobs),
            with_shapes=self._needs_shapes(),
        )
        network = self._new_network(vocabulary, len(classes), rng)
        collect = texts.saved if isinstance(texts, StoredTexts) else None
        return _Model(vocabulary, network, ids, offsets, shapes, collect)

    def _needs_shapes(self) -> bool:
        """Whether there will be a linear part that looks at shapes."""
        return bool(self.linear > 0 and self.shape_ngrams)

    def _new_network(self, vocabulary: Vocabulary, n_classes: int, rng: np.random.RandomState) -> SentenceCNN:
        mode = self._resolved_mode()
        rows = self._embedding_rows(vocabulary.id_to_token, mode, rng)
        return SentenceCNN.initialized(
            rng,
            rows,
            ConvLayout(tuple(int(size) for size in self.kernel_sizes), int(self.n_filters), self.padding),
            n_classes,
            n_frozen={"static": rows.shape[1], "multichannel": rows.shape[1] // 2}.get(mode, 0),
        )

    def _continued(self, texts: Texts, rng: np.random.RandomState) -> _Model:
        """Copies of the vocabulary and the network, grown by the new words, and the texts encoded."""
        assert not isinstance(texts, StoredTexts), "refused before they are read"
        vocabulary = copy.deepcopy(self.predictor_.vocabulary)
        analyzed = vocabulary.analyzed(texts)
        network = self.predictor_.network.copy()
        n_threads = effective_n_threads(self.n_jobs)
        n_known = len(vocabulary)
        room = None if self.max_features is None else self.max_features - (n_known - 1)
        if room is None or room > 0:
            vocabulary.extend(analyzed, min_df=self.min_df, max_features=room, n_threads=n_threads)
        new_tokens = vocabulary.id_to_token[n_known:]
        if new_tokens:
            mode = self._resolved_mode() if self.embeddings is not None else "random"
            rows = self._embedding_rows(new_tokens, mode, rng, n_dims=network.embedding.shape[1])
            network.add_rows(rows)
        encoded = vocabulary.encode_fully(analyzed, n_threads, self._needs_shapes())
        return _Model(vocabulary, network, encoded.ids, encoded.offsets, encoded.shapes)

    def _embedding_rows(
        self, tokens: list[str], mode: str, rng: np.random.RandomState, n_dims: int | None = None
    ) -> np.ndarray:
        """First embeddings of tokens, float32 (n_tokens, n_dims)."""
        if mode == "random":
            return random_embeddings(
                rng, len(tokens), n_dims or int(self.embedding_dim), RANDOM_EMBEDDING_LIMIT
            )
        rows = pretrained_embeddings(self.embeddings, tokens, rng, RANDOM_EMBEDDING_LIMIT)
        return np.concatenate([rows, rows], axis=1) if mode == "multichannel" else rows

    def _options(self, max_iter: int, early_stopping: bool) -> TrainingOptions:
        return self._training_options(
            early_stopping,
            max_iter=int(max_iter),
            batch_size=int(self.batch_size),
            max_norm=self.max_norm,
        )

    def _fitted_linear(self, model: _Model, examples: Examples, n_classes: int) -> NGramLinear | None:
        """The linear part, if it has a share."""
        if self.linear == 0:
            return None
        lengths = self.char_ngram_range
        options = LinearOptions(
            share=float(self.linear),
            ngram_range=checked_range(self.ngram_range, "ngram_range"),
            char_ngram_range=None if lengths is None else checked_range(lengths, "char_ngram_range"),
            shape_ngrams=bool(self.shape_ngrams),
            C=float(self.linear_C),
        )
        linear = NGramLinear.fit(
            model.vocabulary,
            model.ids,
            model.offsets,
            model.shapes,
            examples.targets,
            examples.sample_weight,
            n_classes,
            options,
            effective_n_threads(self.n_jobs),
            model.collect,
        )
        if not linear.is_finite():
            raise ValueError(
                "training the linear part gave coefficients that are not finite numbers; lower linear_C "
                f"(now {self.linear_C:g}) or the largest sample_weight"
            )
        return linear

    def _train_members(
        self,
        model: _Model,
        examples: Examples,
        validation: tuple[Texts, np.ndarray] | None,
        early_stopping: bool,
        rng: np.random.RandomState,
    ) -> History:
        """Train `n_members` networks, the first of which is the model's; make them the model's network."""
        options = self._options(self.max_iter, early_stopping)
        held_out = validation and _Validation.of(model, *validation, options.n_threads)
        networks, histories = [model.network], []
        for member in range(self.n_members):
            if member:
                model.network = self._new_network(model.vocabulary, len(model.network.bias), rng)
                networks.append(model.network)
            trainer = Trainer(model.network, SOLVERS[self.solver](), options, rng)
            histories.append(self._train(model, trainer, examples, held_out))
            if histories[-1].interrupted:
                break
        history = mean_history(histories)
        if history.interrupted and len(networks) > 1:  # the last one is hardly trained
            networks.pop()
        self.n_members_ = len(networks)
        model.network = side_by_side(networks)
        return history

    def _train(
        self,
        model: _Model,
        trainer: Trainer,
        examples: Examples,
        held_out: _Validation | None,
    ) -> History:
        """Run the trainer with a progress bar if `verbose`."""
        validate = partial(held_out.accuracy, model, trainer.options.n_threads) if held_out else None
        return train_with_progress(trainer, examples, validate, self.verbose, "accuracy")

    def _set_fitted(self, model: _Model, classes: np.ndarray, history: History) -> None:
        self.predictor_ = Predictor(
            model.vocabulary, model.network, classes, self.n_jobs, self.cache_size, model.linear
        )
        self.n_iter_ = history.n_epochs
        self.loss_curve_ = history.loss_curve
        self.validation_scores_ = history.validation_scores or None

    # ---- prediction: all of it is the predictor's -------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
        """Label of each text.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        labels : ndarray of shape (n_texts,)
        """
        return self._fitted().predict(X)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        probabilities : float32 ndarray of shape (n_texts, n_classes)
            In the order of `classes_`.
        """
        return self._fitted().predict_proba(X)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of the probability of each class.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        log_probabilities : float32 ndarray of shape (n_texts, n_classes)
        """
        return self._fitted().predict_log_proba(X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores before softmax.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        logits : float32 ndarray of shape (n_texts, n_classes)
            With two classes their difference, of shape (n_texts,), positive for ``classes_[1]``.
        """
        return self._fitted().decision_function(X)

    def transform(self, X: Any) -> np.ndarray:
        """Pooled features: the largest activation of each filter in each text.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        features : float32 ndarray of shape (n_texts, n_features)
            Names from `get_feature_names_out`.
        """
        return self._fitted().transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of `transform`: ``w3_f0`` is the first filter of width 3.

        Parameters
        ----------
        input_features : ignored
            Here for scikit-learn's sake.

        Returns
        -------
        names : ndarray of str objects, of shape (n_features,)
        """
        return self._fitted().get_feature_names_out()

    def explain(self, X: Any) -> list[Explanation]:
        """The n-grams that decided, with their exact share in the logit of each class.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        explanations : list of Explanation
            For each text `label`, `logits`, `bias`, `tokens` and `ngrams`, those in favour of the
            label first; contributions and bias sum to the logits.

        Examples
        --------
        >>> from textcnn import TextCNNClassifier
        >>> texts = ["what a film", "what a bore", "a lovely film", "a long bore"]
        >>> clf = TextCNNClassifier(kernel_sizes=(1,), random_state=0)
        >>> explanation = clf.fit(texts, ["good", "bad", "good", "bad"]).explain(["a film"])[0]
        >>> explanation.label, explanation.ngrams[0].text
        ('good', 'film')
        """
        return self._fitted().explain(X)

    # ---- model files ------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, without code; it appears when it is complete.

        A path in `embeddings` is kept as a path; vectors given as an object are not, since the model
        has its own: to fit the loaded model anew, give them again.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        ValueError
            If the analyzer is a callable.
        OSError
            If the file cannot be written; an older file under `path` is then untouched.
        """
        fitted = {
            "n_iter": self._fitted() and self.n_iter_,
            "n_members": getattr(self, "n_members_", 1),
            "loss_curve": self.loss_curve_,
            "validation_scores": self.validation_scores_,
        }
        self._fitted().save_as(path, KIND, {**_params_to_json(self), "fitted": fitted})

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = False) -> TextCNNClassifier:
        """Read a model written by `save`.

        Parameters
        ----------
        path : str or path-like
        mmap : bool, default=False
            Map the arrays instead of reading them; they are then read-only, which prediction allows.

        Returns
        -------
        classifier : TextCNNClassifier

        Raises
        ------
        ModelFileError
            If the file is no model file of a classifier, is cut short or altered.
        """
        model = read_model(path, mmap=mmap)
        if model.kind != KIND:
            raise ModelFileError(
                f"{os.fspath(path)} holds a {model.kind}, not a {KIND}; textcnn.load reads it for prediction."
            )
        params = dict(model.params)
        fitted = params.pop("fitted", {})
        try:
            classifier = cls(**_params_from_json(params))
            classifier._validate_params()
            classifier.n_iter_ = int(fitted["n_iter"])
            classifier.n_members_ = int(fitted.get("n_members", 1))
            classifier.loss_curve_ = list(fitted["loss_curve"])
            classifier.validation_scores_ = fitted["validation_scores"]
            if classifier.n_members_ < 1:
                raise ValueError(f"{classifier.n_members_} networks")
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise ModelFileError(
                f"{os.fspath(path)} has parameters that do not fit this version of textcnn ({error})."
            ) from error
        classifier.predictor_ = Predictor(
            model.vocabulary,
            model.network,
            model.classes,
            classifier.n_jobs,
            classifier.cache_size,
            model.linear,
        )
        return classifier

    # ---- fitted attributes and scikit-learn's conventions -------------------------------------------

    @property
    def classes_(self) -> np.ndarray:
        """Labels, ndarray of shape (n_classes,)."""
        return self.predictor_.classes_

    @property
    def vocabulary_(self) -> dict[str, int]:
        """Row of each token in `embedding_`, a new dict."""
        return self.predictor_.vocabulary.to_dict()

    @property
    def embedding_(self) -> np.ndarray:
        """Embeddings, float32 ndarray of shape (n_tokens + 1, n_dims)."""
        return self.predictor_.network.embedding

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


@dataclass
class _Model:
    """What training works on: the text side, the network, the encoded texts, and the linear part.

    `collect` keeps arrays as large as the texts where these are.
    """

    vocabulary: Vocabulary
    network: SentenceCNN
    ids: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray
    collect: Collect | None = None
    linear: NGramLinear | None = None


def _check_kernel_sizes(kernel_sizes: Any) -> None:
    sizes = np.asarray(kernel_sizes)
    if sizes.ndim != 1 or len(sizes) == 0 or sizes.dtype.kind not in "iu" or sizes.min() < 1:
        raise ValueError(
            f"kernel_sizes is {kernel_sizes!r}, but it must be a tuple of one or more positive integers, "
            "such as (3, 4, 5)"
        )


def _as_labels(y: Any, name: str) -> np.ndarray:
    """Class labels as a 1-D array that can be sorted."""
    if y is None:
        raise ValueError(f"{name} is None, but training needs a label for each text")
    labels = column_or_1d(y)
    # NumPy turns the numbers of a mixed list into strings, so look at the list itself.
    given = y if isinstance(y, (list, tuple)) else labels.tolist()
    missing = [value is None or value != value for value in labels.tolist()]
    if any(missing):
        place = missing.index(True)
        raise ValueError(f"{name}[{place}] is {labels[place]}, but every label must be given; drop its text")
    if len({isinstance(label, str) for label in given}) > 1:
        kinds = sorted({type(label).__name__ for label in given})
        raise ValueError(f"{name} mixes labels of the types {', '.join(kinds)}; use one type")
    check_classification_targets(labels)
    return labels


def _class_numbers(labels: np.ndarray, classes: np.ndarray, name: str) -> np.ndarray:
    """The place of each label in `classes`."""
    unknown = sorted(set(labels.tolist()) - set(classes.tolist()), key=str)
    if unknown:
        raise ValueError(f"{name} has the label {unknown[0]!r}, which is not among {classes.tolist()}")
    return np.searchsorted(classes, labels).astype(np.intp)


def _check_validation_data(
    X_val: Any, y_val: Any, classes: np.ndarray, scan_options: tuple[Any, bool, int]
) -> tuple[Texts, np.ndarray] | None:
    """Validation texts and their class numbers, or None if none were given."""
    if X_val is None and y_val is None:
        return None
    if isinstance(X_val, Corpus):
        stored = X_val.scan(*scan_options, y_val, "X_val")
        return stored, _class_numbers(stored.classes, classes, "X_val")[stored.targets]
    if X_val is None or y_val is None:
        raise ValueError("only one of X_val and y_val was given; give both or none")
    texts, labels = as_texts(X_val, "X_val"), _as_labels(y_val, "y_val")
    if not texts or len(texts) != len(labels):
        raise ValueError(f"X_val has {len(texts)} texts and y_val {len(labels)} labels; give one for each")
    return texts, _class_numbers(labels, classes, "y_val")


def _take(texts: Texts, index: np.ndarray) -> Texts:
    """The texts `index`, in that order."""
    return texts.take(index) if isinstance(texts, StoredTexts) else [texts[i] for i in index]


def _build(
    texts: Texts, with_shapes: bool, **options: Any
) -> tuple[Vocabulary, np.ndarray, np.ndarray, np.ndarray]:
    """Vocabulary, ids, offsets and, if asked for, shapes of texts."""
    if isinstance(texts, StoredTexts):
        return texts.build(options["min_df"], options["max_features"])
    analyzed = Vocabulary(analyzer=options["analyzer"]).analyzed(texts)
    vocabulary, ids, offsets = Vocabulary.build(analyzed, **options)
    shapes = vocabulary.shapes(analyzed, options["n_threads"]) if with_shapes else np.empty(0, np.int32)
    return vocabulary, ids, offsets, shapes


def _encoded(model: _Model, texts: Texts, n_threads: int) -> EncodedTexts:
    """Texts as the model's vocabulary and linear part see them."""
    if isinstance(texts, StoredTexts):
        return texts.encoded(model.vocabulary)
    with_shapes = model.linear is not None and model.linear.needs_shapes
    return model.vocabulary.encode_fully(texts, n_threads, with_shapes)


@dataclass
class _Validation:
    """Validation texts, encoded, with their scores by the linear part."""

    batches: list[tuple[np.ndarray, np.ndarray]]
    scores: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, model: _Model, texts: Texts, targets: np.ndarray, n_threads: int) -> _Validation:
        encoded = _encoded(model, texts, n_threads)
        scores = model.linear.scores(encoded, n_threads) if model.linear else np.empty(0)
        return cls(pieces(encoded.ids, encoded.offsets, TOKENS_PER_PIECE), scores, targets)

    def accuracy(self, model: _Model, n_threads: int) -> float:
        """Share of texts whose highest logit is that of their class."""
        parts = [model.network.logits(ids, offsets, n_threads).copy() for ids, offsets in self.batches]
        logits = np.concatenate(parts)
        if model.linear:
            model.linear.mix_into(logits, self.scores)
        return float(np.mean(logits.argmax(axis=1) == self.targets))


def _params_to_json(classifier: TextCNNClassifier) -> dict[str, Any]:
    """Parameters as JSON values."""
    params = classifier.get_params(deep=False)
    if isinstance(params["embeddings"], (str, os.PathLike)):
        params["embeddings"] = os.fspath(params["embeddings"])
    elif params["embeddings"] is not None:
        params["embeddings"] = None
        params["embedding_mode"] = classifier._resolved_mode()
    if isinstance(params["random_state"], np.random.RandomState):
        params["random_state"] = None
    if isinstance(params["class_weight"], dict):
        labels = np.empty(len(params["class_weight"]), dtype=object)
        labels[:] = [getattr(label, "item", lambda label=label: label)() for label in params["class_weight"]]
        weights = [float(weight) for weight in params["class_weight"].values()]
        params["class_weight"] = {"labels": encode_classes(labels), "weights": weights}
    params["kernel_sizes"] = [int(size) for size in params["kernel_sizes"]]
    for name in ("ngram_range", "char_ngram_range"):
        if params[name] is not None:
            params[name] = [int(length) for length in params[name]]
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}


def _params_from_json(params: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `_params_to_json`."""
    params = dict(params)
    for name in ("kernel_sizes", "ngram_range", "char_ngram_range"):
        if isinstance(params.get(name), list):
            params[name] = tuple(params[name])
    if isinstance(params["class_weight"], dict):
        labels = decode_classes(params["class_weight"]["labels"])
        params["class_weight"] = dict(zip(labels.tolist(), params["class_weight"]["weights"], strict=True))
    return params
