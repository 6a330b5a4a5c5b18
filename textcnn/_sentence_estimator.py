"""What the estimators for sentences share: parameters, training, prediction, model files."""

from __future__ import annotations

import copy
import inspect
import os
import textwrap
import warnings
from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, validate_data

from textcnn._base import (
    TextEstimator,
    check_sample_weight,
    open_checkpoints,
    pretrained_embeddings,
    random_embeddings,
    train_with_progress,
)
from textcnn._heads import Head, head_of
from textcnn._threads import effective_n_threads
from textcnn.io import ModelFileError, checked_count, checked_names, refused
from textcnn.nn.body_limits import body_of
from textcnn.nn.checkpoints import Checkpoints
from textcnn.nn.layer_cnn import LayerCNN
from textcnn.nn.layers import ACTIVATIONS, PADDINGS, ConvLayout
from textcnn.nn.losses import Loss
from textcnn.nn.modules import (
    POOLINGS,
    Conv1d,
    Layer,
    MinLength,
    Parallel,
    Pool1d,
    Sequential,
    new_layer,
    storable_config,
)
from textcnn.nn.ngram_linear import Collect, LinearOptions, NGramLinear, checked_range
from textcnn.nn.optimizers import SOLVERS
from textcnn.nn.packed import pieces
from textcnn.nn.sentence_cnn import SentenceCNN, side_by_side
from textcnn.nn.training import (
    PLANNED_SCHEDULES,
    SCHEDULES,
    Examples,
    History,
    Trainer,
    TrainingOptions,
    mean_history,
)
from textcnn.predictor import TOKENS_PER_PIECE, Explanation, as_tokens, checked_cache_size, read_model
from textcnn.text.corpus import Corpus, StoredTexts, Texts
from textcnn.text.embedded import EmbeddedTexts, as_embedded, as_embedded_like, embedded_axes
from textcnn.text.inputs import as_texts
from textcnn.text.vocabulary import EncodedTexts, Vocabulary

AnyTexts = Texts | EmbeddedTexts

# What scikit-learn turns a table into; numbers that are float32 stay so.
FLOATS = [np.float64, np.float32]

# Random embeddings are uniform in +-this. Far smaller than Kim's 0.25: with Adam, words that were
# seldom seen then stay small beside frequent ones, which measures better on every set tried.
RANDOM_EMBEDDING_LIMIT = 0.05

# "auto" holds rows out only if there are more than this, as scikit-learn's histogram boosting does.
EARLY_STOPPING_ROWS = 10_000

# What their docstrings say about embedded text.
EMBEDDED = """\
    X may also be embedded text: an array ``(n_tokens, n_dims)`` of numbers for each text; an array
    ``(n_texts, n_tokens, n_dims)``; or a table ``(n_texts, n_tokens)``, read as sequences of one channel, in
    which integers are numbers and not ids. The filters then see these numbers as they are (bring them to one
    scale first), in float32 if all of X is, else in float64. There is no vocabulary and no linear part: the
    parameters `analyzer` to `embedding_mode`, `word_dropout`, `linear` to `linear_C` and `cache_size` are not
    used, `n_members` is 1, and "elu" and "softplus" are no activations. Filters that are pooled over the text
    do not tell one column of a table from another; where they should, take ``padding="valid"`` and a
    `kernel_sizes` of the number of columns.
"""

# The parameters that classifier and regressor have, as their docstrings describe them.
PARAMETERS = """\
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
    padding_mode : {"zeros", "reflect", "replicate", "circular"}, default="zeros"
        What stands around each text: zeros, or its own tokens (see `textcnn.ops.pad1d`).
    stride : int, default=1
        Tokens from one window to the next.
    dilation : int, default=1
        Tokens from one tap of a filter to the next.
    pooling : str or tuple of str, default="max"
        What is made of a filter's outputs over time: "max", "mean", "sum", "l2", "weighted" (the middle of
        the text counts most), "kmax" (the three largest), "pyramid" (the maxima of the whole text, its halves
        and its quarters), or several of these side by side.
    activation : str, default="relu"
        Function of the filters' outputs: "relu", "identity", "leaky_relu", "elu", "softplus", "tanh",
        "logistic" or "gelu". Max pooling comes first where the function never falls, which is the same. A
        text without tokens has zeros behind it. "elu" and "softplus" go with the defaults of `padding_mode`,
        `stride`, `dilation` and `pooling` only.
    body : Layer or callable, default=None
        A network of your own between embedding and output layer, one row for each text: a layer of
        `textcnn.nn`, or a function that makes one. `kernel_sizes`, `n_filters` and the parameters from
        `padding` to `activation` are not used then. Filters with other than the defaults of `padding_mode`,
        `stride`, `dilation` and `pooling` are such layers too, and train more slowly.
    dropout : float, default=0.5
        Share of the pooled features set to zero in training.
    word_dropout : float, default=0.1
        Share of tokens replaced by the unknown token in training, which trains its vector.
    max_norm : float, default=3.0
        Limit on the l2 norm of the weights of each output; None for none.
    max_grad_norm : float, default=None
        Limit on the l2 norm of the gradient of a batch, all parameters together (gradient clipping).
    solver : {"adam", "adadelta", "sgd"}, default="adam"
        "sgd" has Nesterov's momentum of 0.9. Embedding rows are updated only when they occur.
    learning_rate : {"linear", "cosine", "constant", "invscaling", "adaptive"}, default="linear"
        Schedule: falling to zero over `max_iter` epochs, on a line or on half a cosine; constant; divided by
        the square root of the number of the step; or divided by 5 whenever `n_iter_no_change` epochs brought
        no progress.
    learning_rate_init : float, default=None
        First learning rate; None for 0.002 (Adam), 1.0 (Adadelta), 0.1 (SGD).
    warmup_steps : int, default=0
        Steps, one for each batch, during which the learning rate rises to `learning_rate_init` on a line
        before the schedule begins.
    alpha : float, default=0.0
        Strength of the l2 penalty on filters and output weights, divided by the size of the batch.
    batch_size : int, default=50
    max_iter : int, default=10
        Epochs at most.
    shuffle : bool, default=True
        Take the texts in a new random order in every epoch.
    early_stopping : bool or "auto", default="auto"
        Keep the weights of the epoch with the best validation score, and stop when it has not
        risen by `tol` for `n_iter_no_change` epochs. "auto" is on if `X_val` is given, or with more
        than 10,000 texts and at least two of each class.
    validation_fraction : float, default=0.1
        Share of the training texts, of each class the same, held out for early stopping without `X_val`.
    n_iter_no_change : int, default=10
        Without early stopping it is the training loss that must fall.
    tol : float, default=1e-4
    linear : float, default=0.5
        Share of the linear part in the outputs, from 0 (the network alone, and no linear part is
        trained) to below 1.
    ngram_range : (int, int), default=(1, 3)
        Shortest and longest n-grams of tokens in the linear part, from 1 to 20, with marks for the begin
        and the end of the text. If there are more than 2 million n-grams, or more than 32 million divided
        by the number of outputs, about the most frequent ones are kept.
    char_ngram_range : (int, int) or None, default=(3, 5)
        The same for n-grams of characters inside a token, with marks at its ends; None for none.
    shape_ngrams : bool, default=True
        Count n-grams of tokens once more with the shape of each token that has fewer than 30 uses in the
        training texts in its place: plain, capitalised, in capitals, mixed, a number or a sign.
    n_members : int, default=1
        Networks trained one after another from different random weights; their outputs are averaged.
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
"""

# The same for fitted attributes.
ATTRIBUTES = """\
    vocabulary_ : dict of str to int
        Row of each token in `embedding_`; row 0 is the unknown token. Embedded text has neither of the two.
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
        What `score` gives for the validation texts after each epoch, with the linear part; a mean over the
        members.
    best_validation_score_ : float or None
    n_features_in_, feature_names_in_ : int, ndarray of str objects
        Columns of X and their names, if X was a table of numbers.
"""

Estimator = TypeVar("Estimator", bound=type)


def describe_shared(estimator: Estimator) -> Estimator:
    """Put the shared parameters and attributes into the docstring of a class, a decorator."""
    if estimator.__doc__:  # there is none under -OO
        text = inspect.cleandoc(estimator.__doc__)  # Python 3.13 has taken the indentation away already
        for place, shared in (("embedded", EMBEDDED), ("parameters", PARAMETERS), ("attributes", ATTRIBUTES)):
            text = text.replace(f"{{{place}}}", textwrap.dedent(shared).rstrip())
        estimator.__doc__ = text
    return estimator


class SentenceEstimator(TransformerMixin, TextEstimator):
    """A sentence network with a linear part beside it; a subclass tells what its outputs stand for."""

    EMBEDDING_MODES: ClassVar[tuple[str, ...]] = ("auto", "random", "static", "fine-tuned", "multichannel")

    KIND: ClassVar[str]
    """The name under which model files are written."""

    TASKS: ClassVar[tuple[str, ...]]
    """What its model files may be for."""

    Y_ITEMS: ClassVar[str]
    """What messages call the elements of y."""

    predictor_: Any

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
        "padding_mode": [StrOptions({"zeros", "reflect", "replicate", "circular"})],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "dilation": [Interval(Integral, 1, None, closed="left")],
        "pooling": [StrOptions(set(POOLINGS)), tuple, list],
        "activation": [StrOptions({*ACTIVATIONS, "gelu"})],
        "body": [Layer, callable, None],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "word_dropout": [Interval(Real, 0, 1, closed="left")],
        "max_norm": [Interval(Real, 0, None, closed="neither"), None],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "solver": [StrOptions(set(SOLVERS))],
        "learning_rate": [StrOptions(set(SCHEDULES))],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither"), None],
        "warmup_steps": [Interval(Integral, 0, None, closed="left")],
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
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "cache_size": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
    }

    def _store(self, parameters: dict[str, Any]) -> None:
        """Keep the arguments of the constructor as they are."""
        for name in self._get_param_names():
            setattr(self, name, parameters[name])

    # ---- what the outputs stand for --------------------------------------------------------------

    @abstractmethod
    def _checked_y(self, y: Any, name: str) -> np.ndarray:
        """What was given as y, as an array with a row or an element for each text."""

    @abstractmethod
    def _new_head(self, y: np.ndarray, given: Any, sample_weight: np.ndarray) -> Head:
        """The head for checked y; `given` is y as it came."""

    @abstractmethod
    def _loss(self, head: Head) -> Loss:
        """The loss that training minimises."""

    def _huber_delta(self) -> float:
        """Errors beyond it count linearly in a linear part for numbers; infinity for the squared loss."""
        return np.inf

    def _corpus_head(self, stored: StoredTexts) -> Head:
        """The head for a Corpus, which has classes."""
        raise TypeError(
            f"X is a Corpus, which holds classes, but a {type(self).__name__} needs numbers; give lists"
        )

    def _text_weights(self, head: Head, targets: np.ndarray, sample_weight: np.ndarray) -> np.ndarray:
        """Weights of the texts, or of texts and outputs, in training, float32."""
        return sample_weight.astype(np.float32)

    # ---- training -------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any, checkpoint: Any) -> Self:
        checkpoints = open_checkpoints(checkpoint, self.random_state)
        continues = self.warm_start and hasattr(self, "predictor_")
        texts, head, targets, sample_weight = self._check_training_data(X, y, sample_weight, continues)
        if continues:
            self._check_one_member("warm_start")
        rng = check_random_state(self.random_state)
        cutter = self.predictor_.vocabulary if continues and isinstance(X_val, Corpus) else self
        scan_options = cutter.analyzer, cutter.lowercase, effective_n_threads(self.n_jobs)
        validation = self._check_validation_data(X_val, y_val, head, scan_options, texts)
        if validation is None and self._holds_out(head, targets):
            texts, targets, sample_weight, validation = self._hold_out(
                texts, head, targets, sample_weight, rng
            )
        early_stopping = validation is not None and self.early_stopping is not False

        model = self._continued(texts, head, rng) if continues else self._started(texts, head, rng)
        weight = self._text_weights(head, targets, sample_weight)
        examples = Examples(model.ids, model.offsets, targets, weight)
        model.linear = self._fitted_linear(model, examples)
        history = self._train_members(model, examples, validation, early_stopping, rng, checkpoints)
        self._partial_trainer: Trainer | None = None
        self._set_fitted(model, history)
        if history.interrupted and self.n_members > 1:
            warnings.warn(
                f"training was interrupted; the model has {self.n_members_} of {self.n_members} networks and "
                "is usable as it is",
                UserWarning,
                stacklevel=3,
            )
        elif history.interrupted:
            warnings.warn(
                f"training was interrupted after {history.n_epochs} of {self.max_iter} epochs; the model "
                "is usable as it is, and fit with warm_start=True goes on from it",
                UserWarning,
                stacklevel=3,
            )
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, head: Head | None) -> Self:
        """Train for one pass; a head is given if it does not follow from y."""
        first_call = not hasattr(self, "predictor_")
        texts, head, targets, sample_weight = self._check_training_data(
            X, y, sample_weight, not first_call, head or (None if first_call else self._fitted_head())
        )
        trainer = getattr(self, "_partial_trainer", None)
        rng = trainer.rng if trainer else check_random_state(self.random_state)
        model = self._started(texts, head, rng) if first_call else self._continued(texts, head, rng)
        options = self._options(head, 1, False)
        if options.learning_rate in PLANNED_SCHEDULES:
            options = replace(options, learning_rate="constant")
        if trainer:
            trainer = trainer.continued(model.network, options)
        else:
            trainer = Trainer(model.network, SOLVERS[self.solver](), options, rng)
        weight = self._text_weights(head, targets, sample_weight)
        if not first_call and self.predictor_.linear is not None:
            model.linear = self.predictor_.linear.extended(model.vocabulary)
        history = self._train(model, trainer, Examples(model.ids, model.offsets, targets, weight), None)
        self.n_members_ = 1
        self._partial_trainer = trainer
        self._set_fitted(model, history)
        return self

    def _fitted_head(self) -> Head:
        return head_of(self._fitted())

    def _check_training_data(
        self, X: Any, y: Any, sample_weight: Any, continues: bool, head: Head | None = None
    ) -> tuple[AnyTexts, Head, np.ndarray, np.ndarray]:
        """Texts, head, targets and weights, all checked.

        If no head is given it follows from y, which must then have all that the last fit had if it continues.
        """
        check_kernel_sizes(self.kernel_sizes)
        checked_range(self.ngram_range, "ngram_range")
        if self.char_ngram_range is not None:
            checked_range(self.char_ngram_range, "char_ngram_range")
        self._resolved_mode()
        if isinstance(X, Corpus):
            if continues:  # before the texts are read, which may take long
                raise ValueError(
                    "X is a Corpus, which can only start a model, but this call goes on with a fitted one; "
                    "give texts in a list"
                )
            stored = X.scan(self.analyzer, self.lowercase, effective_n_threads(self.n_jobs), y)
            head = head or self._corpus_head(stored)
            weight = check_sample_weight(sample_weight, len(stored))
            return stored, head, head.stored_targets(stored, "X"), weight
        texts = self._texts_like_before(X) if continues else self._new_texts(X)
        if not len(texts):
            raise ValueError("X has no texts, but training needs some")
        checked = self._checked_y(y, "y")
        if len(checked) != len(texts):
            raise ValueError(
                f"X has {len(texts)} texts, but y has {len(checked)} {self.Y_ITEMS}; give one for each"
            )
        weight = check_sample_weight(sample_weight, len(texts))
        if head is None:
            if continues:
                head = self._fitted_head()
                head.check_goes_on(checked)
            else:
                head = self._new_head(checked, y, weight)
        return texts, head, _in_precision_of(texts, head.targets(checked, "y")), weight

    def _new_texts(self, X: Any) -> AnyTexts:
        """Texts or embedded texts that a new model is fitted to; notes the columns of a table."""
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                delattr(self, name)
        axes = embedded_axes(X)
        if axes is None:
            return as_texts(X)
        return as_embedded(self._validated_table(X) if axes == 2 else X)

    def _texts_like_before(self, X: Any) -> AnyTexts:
        """Texts of the kind that the model was fitted to."""
        if self.predictor_.vocabulary is not None:
            return as_texts(X)
        return self.predictor_.embedded(self._checked_table(X))

    def _checked_table(self, X: Any) -> Any:
        """X; if the model takes embedded text, and X is a table, with the columns that `fit` saw."""
        if self.predictor_.vocabulary is None and embedded_axes(X) == 2:
            return self._validated_table(X, reset=False)
        return X

    def _validated_table(self, X: Any, reset: bool = True) -> np.ndarray:
        """A table as an array, its columns noted or compared; whether it is finite is looked at later."""
        return validate_data(self, X, reset=reset, dtype=FLOATS, ensure_all_finite=False)

    def _check_validation_data(
        self, X_val: Any, y_val: Any, head: Head, scan_options: tuple[Any, bool, int], texts: AnyTexts
    ) -> tuple[AnyTexts, np.ndarray] | None:
        """Validation texts and their targets, or None if none were given; `texts` are those of training."""
        if X_val is None and y_val is None:
            return None
        if isinstance(X_val, Corpus):
            if isinstance(texts, EmbeddedTexts):
                raise TypeError("X_val is a Corpus, but X is embedded text; give X_val in the form of X")
            stored = X_val.scan(*scan_options, y_val, "X_val")
            return stored, head.stored_targets(stored, "X_val")
        if X_val is None or y_val is None:
            raise ValueError("only one of X_val and y_val was given; give both or none")
        held_out: AnyTexts
        if isinstance(texts, EmbeddedTexts):
            n_dims, dtype = texts.rows.shape[1], texts.rows.dtype
            held_out = as_embedded_like(X_val, n_dims, texts.n_features, dtype, "X_val")
        else:
            held_out = as_texts(X_val, "X_val")
        checked = self._checked_y(y_val, "y_val")
        if not len(held_out) or len(held_out) != len(checked):
            raise ValueError(
                f"X_val has {len(held_out)} texts and y_val {len(checked)} {self.Y_ITEMS}; give one for each"
            )
        return held_out, _in_precision_of(held_out, head.targets(checked, "y_val"))

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

    def _holds_out(self, head: Head, targets: np.ndarray) -> bool:
        """Should validation texts be held out of the training texts?"""
        if self.early_stopping == "auto":
            strata = head.strata(targets)
            return len(targets) > EARLY_STOPPING_ROWS and (
                strata is None or bool(np.bincount(strata).min() >= 2)
            )
        return bool(self.early_stopping)

    def _hold_out(
        self,
        texts: AnyTexts,
        head: Head,
        targets: np.ndarray,
        sample_weight: np.ndarray,
        rng: np.random.RandomState,
    ) -> tuple[AnyTexts, np.ndarray, np.ndarray, tuple[AnyTexts, np.ndarray]]:
        """Split off a part for validation, stratified if there are classes."""
        strata = head.strata(targets)
        more = "more texts" if strata is None else "more texts of each class"
        try:
            kept, held_out = train_test_split(
                np.arange(len(texts)), test_size=self.validation_fraction, stratify=strata, random_state=rng
            )
        except ValueError as error:
            raise ValueError(
                f"early_stopping cannot hold out {self.validation_fraction:g} of {len(texts)} texts "
                f"({error}); give {more}, X_val and y_val, or early_stopping=False"
            ) from error
        validation = _take(texts, held_out), targets[held_out]
        return _take(texts, kept), targets[kept], sample_weight[kept], validation

    def _started(self, texts: AnyTexts, head: Head, rng: np.random.RandomState) -> _Model:
        """A new vocabulary and network, and the texts encoded; embedded ones have no vocabulary."""
        if isinstance(texts, EmbeddedTexts):
            body = self._new_body(is_needed=True)
            assert body is not None
            of_rows = LayerCNN.of_embedded_text(rng, texts, body, head.n_outputs)
            head.start(of_rows)
            return _Model.of_embedded(head, of_rows, texts)
        vocabulary, ids, offsets, shapes = _build(
            texts,
            analyzer=self.analyzer,
            lowercase=self.lowercase,
            min_df=self.min_df,
            max_features=self.max_features,
            n_threads=effective_n_threads(self.n_jobs),
            with_shapes=self._needs_shapes(),
        )
        network = self._new_network(vocabulary, head, rng)
        collect = texts.saved if isinstance(texts, StoredTexts) else None
        return _Model(head, vocabulary, network, ids, offsets, shapes, collect)

    def _needs_shapes(self) -> bool:
        """Whether there will be a linear part that looks at shapes."""
        return bool(self.linear > 0 and self.shape_ngrams)

    def _new_network(
        self, vocabulary: Vocabulary, head: Head, rng: np.random.RandomState
    ) -> SentenceCNN | LayerCNN:
        mode = self._resolved_mode()
        rows = self._embedding_rows(vocabulary.id_to_token, mode, rng)
        n_frozen = {"static": rows.shape[1], "multichannel": rows.shape[1] // 2}.get(mode, 0)
        body = self._new_body()
        network: SentenceCNN | LayerCNN
        if body is not None:
            network = LayerCNN.initialized(rng, rows, body, head.n_outputs, n_frozen)
        else:
            network = SentenceCNN.initialized(rng, rows, self._layout(), head.n_outputs, n_frozen)
        head.start(network)
        return network

    def _new_body(self, is_needed: bool = False) -> Layer | None:
        """The layers before the outputs; None, unless needed, for the network that has kernels of its own."""
        if self.body is not None:
            return new_layer(self.body)
        poolings = (self.pooling,) if isinstance(self.pooling, str) else tuple(self.pooling)
        plain = poolings == ("max",) and self.activation in ACTIVATIONS and self.padding_mode == "zeros"
        if plain and self.stride == self.dilation == 1 and not is_needed:
            return None
        activation = "sigmoid" if self.activation == "logistic" else str(self.activation)
        if activation in ("elu", "softplus"):
            raise ValueError(
                f"activation is {activation!r}, which goes with max pooling, stride 1, dilation 1 and zeros "
                "around the text only, and not with embedded text; choose another activation"
            )
        if not poolings:
            raise ValueError("pooling is empty, but it must name at least one way to pool")
        return Parallel(*(self._column(int(width), activation, poolings) for width in self.kernel_sizes))

    def _column(self, width: int, activation: str, poolings: tuple[str, ...]) -> Sequential:
        """The filters of one width and what pools their outputs."""
        conv = Conv1d(
            self.n_filters, width, self.stride, self.dilation, padding=self.padding,
            padding_mode=self.padding_mode, activation=activation,
        )  # fmt: skip
        pools = [Pool1d(name, flatten=name == "kmax") for name in poolings]
        # a text shorter than the filter is padded to its width, as by the network with kernels of its own
        before = [MinLength(self.dilation * (width - 1) + 1)] if self.padding == "valid" else []
        return Sequential(*before, conv, pools[0] if len(pools) == 1 else Parallel(*pools))

    def _layout(self) -> ConvLayout:
        return ConvLayout(
            tuple(int(size) for size in self.kernel_sizes), int(self.n_filters), self.padding, self.activation
        )

    def _continued(self, texts: AnyTexts, head: Head, rng: np.random.RandomState) -> _Model:
        """Copies of the vocabulary and the network, grown by the new words, and the texts encoded."""
        self._check_network()
        if isinstance(texts, EmbeddedTexts):
            return _Model.of_embedded(head, self.predictor_.network.copy(), texts)
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
        return _Model(head, vocabulary, network, encoded.ids, encoded.offsets, encoded.shapes)

    def _check_network(self) -> None:
        """Raise if the parameters ask for another network than that of the last fit."""
        network = self.predictor_.network
        was = network.body if isinstance(network, LayerCNN) else network.layout
        asked = self._new_body(is_needed=self.predictor_.vocabulary is None) or self._layout()
        if repr(asked) != repr(was):
            raise ValueError(
                f"the network of the last fit has {was}, but the parameters ask for {asked}; set them back, "
                "or fit a new model"
            )

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

    def _options(self, head: Head, max_iter: int, early_stopping: bool) -> TrainingOptions:
        return self._training_options(
            early_stopping,
            max_iter=int(max_iter),
            batch_size=int(self.batch_size),
            max_norm=self.max_norm,
            warmup_steps=int(self.warmup_steps),
            loss=self._loss(head),
        )

    def _fitted_linear(self, model: _Model, examples: Examples) -> NGramLinear | None:
        """The linear part, if it has a share and there are words."""
        if self.linear == 0 or model.vocabulary is None:
            return None
        lengths = self.char_ngram_range
        options = LinearOptions(
            share=float(self.linear),
            ngram_range=checked_range(self.ngram_range, "ngram_range"),
            char_ngram_range=None if lengths is None else checked_range(lengths, "char_ngram_range"),
            shape_ngrams=bool(self.shape_ngrams),
            C=float(self.linear_C),
            huber_delta=self._huber_delta(),
        )
        linear = NGramLinear.fit(
            model.vocabulary,
            model.ids,
            model.offsets,
            model.shapes,
            examples.targets,
            examples.sample_weight,
            model.head.n_outputs,
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
        validation: tuple[AnyTexts, np.ndarray] | None,
        early_stopping: bool,
        rng: np.random.RandomState,
        checkpoints: Checkpoints | None,
    ) -> History:
        """Train `n_members` networks, the first of which is the model's; make them the model's network."""
        options = self._options(model.head, self.max_iter, early_stopping)
        held_out = validation and _Validation.of(model, *validation, options.n_threads)
        if self.n_members > 1 and isinstance(model.network, LayerCNN):
            raise ValueError(
                f"n_members is {self.n_members}, but a network of layers has one member; set n_members=1, or "
                "use scikit-learn's VotingClassifier or VotingRegressor"
            )
        networks: list[Any] = [model.network]
        histories = []
        for member in range(self.n_members):
            if member:
                assert model.vocabulary is not None, "a network of layers has one member"
                model.network = self._new_network(model.vocabulary, model.head, rng)
                networks.append(model.network)
            trainer = Trainer(model.network, SOLVERS[self.solver](), options, rng)
            histories.append(self._train(model, trainer, examples, held_out, checkpoints))
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
        checkpoints: Checkpoints | None = None,
    ) -> History:
        """Run the trainer with a progress bar if `verbose`."""
        validate = partial(held_out.score, model, trainer.options.n_threads) if held_out else None
        return train_with_progress(
            trainer,
            examples,
            validate,
            self.verbose,
            model.head.SCORE,
            checkpoints=checkpoints,
            held_out=held_out,
        )

    def _set_fitted(self, model: _Model, history: History) -> None:
        model.network.work.release()  # a long text asks for much, and prediction needs none of it
        self.predictor_ = model.head.predictor(
            model.vocabulary,
            model.network,
            n_jobs=self.n_jobs,
            cache_size=self.cache_size,
            linear=model.linear,
        )
        self.n_iter_ = history.n_epochs
        self.loss_curve_ = history.loss_curve
        self.validation_scores_ = history.validation_scores or None

    # ---- prediction: all of it is the predictor's -------------------------------------------------

    def transform(self, X: Any) -> np.ndarray:
        """Pooled features: the largest activation of each filter in each text.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        features : float32 ndarray of shape (n_texts, n_features)
            Names from `get_feature_names_out`. Float64 if X in `fit` was embedded text of that type.
        """
        return self._fitted().transform(self._checked_table(X))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of `transform`: ``w3_f0`` is the first filter of width 3.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X if it was a table; they must be those of `fit`. Else ignored.

        Returns
        -------
        names : ndarray of str objects, of shape (n_features,)
        """
        predictor = self._fitted()
        if hasattr(self, "n_features_in_"):
            _check_feature_names_in(self, input_features)
        return predictor.get_feature_names_out()

    def explain(self, X: Any) -> list[Explanation]:
        """The n-grams that decided, with their exact share in each output.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        explanations : list of Explanation
            For each text `label`, `logits`, `bias`, `tokens` and `ngrams`, the weightiest first;
            contributions and bias sum to `logits`, which in regression are the predicted numbers.
        """
        return self._fitted().explain(self._checked_table(X))

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
            If a model file cannot hold the model: an analyzer that is a callable, layers that are not the
            library's, or more than 5000 of them.
        OSError
            If the file cannot be written; an older file under `path` is then untouched.
        """
        predictor = self._fitted()
        fitted = {**self._history(), "n_members": getattr(self, "n_members_", 1)}
        if hasattr(self, "n_features_in_"):
            fitted["n_features_in"] = self.n_features_in_
        if hasattr(self, "feature_names_in_"):
            fitted["feature_names_in"] = self.feature_names_in_.tolist()
        if isinstance(predictor.network, LayerCNN):
            storable_config(predictor.network.body)  # refuses layers that are not the library's
        predictor.save_as(path, self.KIND, {**self._params_to_json(), "fitted": fitted})

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = False) -> Self:
        """Read a model written by `save`.

        Parameters
        ----------
        path : str or path-like
        mmap : bool, default=False
            Map the arrays instead of reading them; they are then read-only, which prediction allows.

        Returns
        -------
        estimator : of this class

        Raises
        ------
        ModelFileError
            If the file is no model file of this class, is cut short or altered.
        """
        model = read_model(path, mmap=mmap)
        if model.kind != cls.KIND or model.predictor_type.TASK not in cls.TASKS:
            raise ModelFileError(
                f"{os.fspath(path)} holds a {model.kind}, not a {cls.KIND}; textcnn.load reads it for "
                "prediction."
            )
        with refused(path, "has parameters that do not fit this version of textcnn"):
            params = dict(model.params)
            fitted = params.pop("fitted", {})
            estimator = cls(**cls._params_from_json(params))
            estimator._validate_params()
            effective_n_threads(estimator.n_jobs)
            estimator._set_history(fitted)
            estimator.n_members_ = checked_count(fitted.get("n_members", 1), "n_members")
            if "n_features_in" in fitted:
                estimator.n_features_in_ = checked_count(fitted["n_features_in"], "n_features_in")
            if "feature_names_in" in fitted:
                estimator.feature_names_in_ = checked_names(fitted["feature_names_in"])
            n_columns = getattr(model.network, "n_features", None)
            if n_columns is not None and n_columns != fitted.get("n_features_in", n_columns):
                raise ValueError(f"{fitted['n_features_in']} columns, but {n_columns} of the network")
            estimator.predictor_ = model.predictor(estimator.n_jobs, checked_cache_size(params))
            estimator._fitted()  # where prediction looks at parameters
        return estimator

    def _params_to_json(self) -> dict[str, Any]:
        """Parameters as JSON values."""
        params = self.get_params(deep=False)
        if isinstance(params["embeddings"], (str, os.PathLike)):
            params["embeddings"] = os.fspath(params["embeddings"])
        elif params["embeddings"] is not None:
            params["embeddings"] = None
            params["embedding_mode"] = self._resolved_mode()
        if isinstance(params["random_state"], np.random.RandomState):
            params["random_state"] = None
        params["kernel_sizes"] = [int(size) for size in params["kernel_sizes"]]
        for name in ("ngram_range", "char_ngram_range"):
            if params[name] is not None:
                params[name] = [int(length) for length in params[name]]
        if not isinstance(params["pooling"], str):
            params["pooling"] = list(params["pooling"])
        if params["body"] is not None:  # a function too: what it made
            params["body"] = self.predictor_.network.body.config()
        return {
            name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()
        }

    @classmethod
    def _params_from_json(cls, params: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `_params_to_json`."""
        params = dict(params)
        for name in ("kernel_sizes", "ngram_range", "char_ngram_range", "pooling"):
            if isinstance(params.get(name), list):
                params[name] = tuple(params[name])
        if params.get("body") is not None:
            params["body"] = body_of(params["body"])
        return params

    # ---- fitted attributes and scikit-learn's conventions -------------------------------------------

    @property
    def vocabulary_(self) -> dict[str, int]:
        """Row of each token in `embedding_`, a new dict."""
        return self.predictor_.text_vocabulary.to_dict()

    @property
    def embedding_(self) -> np.ndarray:
        """Embeddings, float32 ndarray of shape (n_tokens + 1, n_dims)."""
        if self.predictor_.vocabulary is None:
            raise AttributeError("the model was fitted to embedded text, so it has no embedding of its own")
        return self.predictor_.network.embedding

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags


@dataclass
class _Model:
    """What training works on: the head, the text side, the network, the encoded texts, and the linear part.

    `collect` keeps arrays as large as the texts where these are.
    """

    head: Head
    vocabulary: Vocabulary | None
    network: SentenceCNN | LayerCNN
    ids: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray
    collect: Collect | None = None
    linear: NGramLinear | None = None

    @classmethod
    def of_embedded(cls, head: Head, network: LayerCNN, texts: EmbeddedTexts) -> _Model:
        """That for embedded texts, whose rows stand in place of ids."""
        return cls(head, None, network, texts.rows, texts.offsets, np.empty(0, np.int32))


def check_kernel_sizes(kernel_sizes: Any) -> None:
    sizes = np.asarray(kernel_sizes)
    if sizes.ndim != 1 or len(sizes) == 0 or sizes.dtype.kind not in "iu" or sizes.min() < 1:
        raise ValueError(
            f"kernel_sizes is {kernel_sizes!r}, but it must be a tuple of one or more positive integers, "
            "such as (3, 4, 5)"
        )


def _take(texts: AnyTexts, index: np.ndarray) -> AnyTexts:
    """The texts `index`, in that order."""
    return [texts[i] for i in index] if isinstance(texts, list) else texts.take(index)


def _in_precision_of(texts: AnyTexts, targets: np.ndarray) -> np.ndarray:
    """Targets that are numbers in the type that the network for these texts computes in."""
    if targets.dtype.kind != "f":
        return targets
    return targets.astype(texts.rows.dtype if isinstance(texts, EmbeddedTexts) else np.float32)


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


def _encoded(model: _Model, texts: AnyTexts, n_threads: int) -> EncodedTexts:
    """Texts as the model's vocabulary and linear part see them."""
    if isinstance(texts, EmbeddedTexts):
        return as_tokens(texts)
    assert model.vocabulary is not None
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
    def of(cls, model: _Model, texts: AnyTexts, targets: np.ndarray, n_threads: int) -> _Validation:
        encoded = _encoded(model, texts, n_threads)
        scores = model.linear.scores(encoded, n_threads) if model.linear else np.empty(0)
        return cls(pieces(encoded.ids, encoded.offsets, TOKENS_PER_PIECE), scores, targets)

    def score(self, model: _Model, n_threads: int) -> float:
        """The score of the network, with the linear part, as it is."""
        parts = [model.network.logits(ids, offsets, n_threads).copy() for ids, offsets in self.batches]
        outputs = np.concatenate(parts)
        if model.linear:
            model.linear.mix_into(outputs, self.scores)
        return model.head.score(outputs, self.targets)
