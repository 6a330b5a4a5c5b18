"""The estimator for sequence tagging."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, overload

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from textcnn._base import (
    TextEstimator,
    check_sample_weight,
    open_checkpoints,
    pretrained_embeddings,
    random_embeddings,
    train_with_progress,
)
from textcnn._threads import effective_n_threads
from textcnn.io import ModelFileError, refused
from textcnn.metrics import span_scores, token_accuracy
from textcnn.nn.body_limits import body_of
from textcnn.nn.checkpoints import Checkpoints
from textcnn.nn.crf import HEADS
from textcnn.nn.layer_tagging_cnn import LayerTaggingCNN
from textcnn.nn.modules import Layer, new_layer
from textcnn.nn.optimizers import SOLVERS as COMMON_SOLVERS
from textcnn.nn.optimizers import LazyAdam, Optimizer
from textcnn.nn.tagging_cnn import JOINS, TaggedExamples, TaggerLayout, TaggingCNN, TokenLayout, TokenNetwork
from textcnn.nn.training import (
    PLANNED_SCHEDULES,
    SCHEDULES,
    History,
    Trainer,
    TrainingLoop,
    TrainingOptions,
)
from textcnn.nn.window_linear import WindowLinear, WindowTrainer
from textcnn.tag_predictor import (
    TaggedText,
    TagPredictor,
    TokenSpan,
    cut_texts,
    read_tagger,
    refuse_other_tokens,
)
from textcnn.text.inputs import as_sentences
from textcnn.text.tags import InnerTags, detect_scheme
from textcnn.text.token_features import EncodedTokens, TokenEncoder
from textcnn.text.vectors import case_forms, load_vectors, lookup

KIND = "TextCNNTagger"

# Random embeddings are uniform in +-this, as with the classifier: on half of CoNLL-2003 the network gains 1.7
# points of F1 over 0.17.
RANDOM_EMBEDDING_LIMIT = 0.05

# Pretrained vectors are scaled to this root mean square. Large ones drown the affixes beside them: 1.7 points
# of F1 for the network on half of CoNLL-2003.
PRETRAINED_SCALE = 0.1

# "auto" holds sentences out only if there are more than this, as with the classifier.
EARLY_STOPPING_ROWS = 10_000

# "auto" takes independent tags above this: a random field costs the square of their number.
MOST_CRF_TAGS = 200

# Share of training tokens of one character from which on "auto" cuts texts into characters.
CHARACTER_TOKENS = 0.99

# Words of an embeddings object that training texts do not have are added up to this number, the first ones.
MOST_ADDED_WORDS = 200_000

# The network's solvers. With a step count for each row, as the classifier has it, rare words and affixes
# learn too slowly: that costs one point of F1 on half of CoNLL-2003.
SOLVERS: dict[str, type[Optimizer]] = {**COMMON_SOLVERS, "adam": LazyAdam}

# First learning rate of the linear part, with Adam.
LINEAR_RATE = 0.02


class TextCNNTagger(TextEstimator):
    """Iterated dilated convolutional network for sequence tagging, with a linear part beside it.

    The network (Strubell et al. 2017): token features (word embedding, character CNN, embeddings of hashed
    prefixes, suffixes and of the shape), a convolution of width 3, the same block of dilated convolutions
    applied several times, dropout, a linear layer, and a linear-chain conditional random field (Lample et
    al. 2016), or independent tags. The linear part: a random field of the usual kind over the words,
    affixes, shapes, word pairs, and pairs and triples of shapes in a window around each token. Both minimise
    the negative log-likelihood of the tag sequences, a mean over tokens, each by itself; in prediction their
    scores are averaged.

    Tags of a span scheme (IOB1, BIO, BIOES, BMES, BILOU, with or without labels) are recognised; they are
    learnt in the scheme `tag_scheme`, and come back in that of `y`. What a scheme forbids is never
    predicted.

    With one `random_state` the result has the same bits for any `n_jobs`.

    Parameters
    ----------
    analyzer : {"auto", "word", "char"}, default="auto"
        How a sentence that is given as a str is cut into tokens: as the Penn Treebank and CoNLL files are,
        or into characters. "auto" is "char" if nearly all training tokens are single characters and were
        given as such, not as a str. Lists of tokens are taken as they are.
    lowercase : bool, default=True
        Look words up in lower case; characters and the shape tell the case.
    min_count : int, default=1
        Words with fewer uses count as unknown.
    max_features : int, default=None
        Keep only so many of the most frequent words; those that only `embeddings` has are added to them.
    embedding_dim : int, default=100
        Dimensions of random word embeddings; pretrained ones bring their own.
    embeddings : str, path-like, mapping, WordVectors or KeyedVectors, default=None
        Pretrained word vectors, as in `TextCNNClassifier`, each scaled to the root mean square 0.1.
        Their words are known in prediction even if no training sentence has them.
    embedding_mode : {"auto", "random", "static", "fine-tuned"}, default="auto"
        "static" keeps the directions of the vectors, "fine-tuned" trains them. "auto" is "fine-tuned" with
        `embeddings` and "random" without.
    char_dim : int, default=32
        Dimensions of the character embeddings.
    char_kernel_sizes : tuple of int, default=(3,)
        Widths of the filters over the characters of a token.
    n_char_filters : int, default=48
        Filters of each width; 0 for no character network.
    prefix_lengths, suffix_lengths : tuple of int, default=(1, 2, 3, 4)
        Prefixes and suffixes that are features, in characters; () for none.
    shapes : bool, default=True
        Whether the shape of a token (``Xxxx``, ``dd.d``) is a feature.
    affix_dim : int, default=16
        Dimensions of the embedding of each prefix, suffix and shape in the network.
    n_channels : int, default=128
        Channels of the convolutions.
    dilations : tuple of int, default=(1, 1, 2)
        Dilations of the convolutions of a block, all of width 3.
    n_iterations : int, default=4
        How often the block is applied.
    share_weights : bool, default=True
        Whether all iterations have the same weights.
    join : {"concat", "last", "every"}, default="concat"
        What is scored: the outputs of all iterations side by side; that of the last one; or in training
        each by itself, and the last one in prediction (Strubell et al. 2017, 4.3).
    body : Layer or callable, default=None
        A network of your own in place of the first convolution and the dilated block, one row for each
        token: a layer of `textcnn.nn`, or a function that makes one. The parameters from `n_channels` to
        `join` are not used then. It sees each sentence as a whole, so that the memory that it needs grows
        with the longest.
    head : {"auto", "crf", "softmax"}, default="auto"
        A random field over the tags of a sentence, or independent tags. "auto" is "crf" up to 200 tags.
    tag_scheme : {"auto", "BIO", "BIOES"}, default="auto"
        Scheme in which spans are learnt; "auto" is "BIOES". Without meaning for plain tags.
    dropout : float, default=0.5
        Share of the inputs of the output layer set to zero in training.
    feature_dropout : float, default=0.5
        Share of the token features set to zero in training.
    word_dropout : float, default=0.1
        Share of tokens whose word is replaced by the unknown one in training, which trains its vector.
    rare_word_dropout : float, default=0.5
        The same for words with one use in the training sentences.
    max_grad_norm : float, default=5.0
        Limit on the l2 norm of the gradient of a batch; None for none.
    solver : {"adam", "adadelta", "sgd"}, default="adam"
        Of the network; the linear part has Adam.
    learning_rate : {"linear", "cosine", "constant", "invscaling", "adaptive"}, default="linear"
        Schedule, as in `TextCNNClassifier`.
    learning_rate_init : float, default=None
        First learning rate; None for 0.002 (Adam), 1.0 (Adadelta), 0.1 (SGD).
    warmup_steps : int, default=0
        Steps of the network, one for each batch, during which the learning rate rises to `learning_rate_init`
        on a line before the schedule begins.
    alpha : float, default=0.0
        Strength of the l2 penalty on the weights of the network, divided by the size of the batch.
    batch_size : int or "auto", default="auto"
        Sentences. "auto" is 32, but with fewer than 4,096 training sentences one for every 128, so that there
        are enough steps, and at least 4.
    max_iter : int, default=12
        Epochs of the network at most.
    shuffle : bool, default=True
        Take the sentences in a new random order in every epoch.
    early_stopping : bool or "auto", default="auto"
        Keep the weights of the epoch with the best validation score, and stop when it has not risen by
        `tol` for `n_iter_no_change` epochs. "auto" is on if `X_val` is given, or with more than 10,000
        sentences.
    validation_fraction : float, default=0.1
        Share of the training sentences held out for early stopping without `X_val`.
    n_iter_no_change : int, default=10
    tol : float, default=1e-4
    linear : float, default=0.6
        Share of the linear part in the scores, from 0 (the network alone, and no linear part is trained)
        to below 1.
        It takes ``4 * n_tags * (5 * n_rows + 4 * n_ngrams)`` bytes, three times that in training, where
        `n_rows` are the words, affixes and shapes of the training sentences, `n_ngrams` the pairs and
        triples that occur twice or more, and `n_tags` the tags in the scheme `tag_scheme`. More than 2 GB
        are refused: with very many tags set 0.
    linear_max_iter : int, default=8
        Epochs of the linear part.
    linear_alpha : float, default=5e-5
        Strength of the l2 penalty on the coefficients of the linear part that a batch touches.
    warm_start : bool, default=False
        `fit` goes on from the weights of the last `fit` and adds words that are new; the linear part is
        trained anew.
    random_state : int, RandomState or None, default=None
    n_jobs : int, default=None
        Threads in `fit` and prediction; None for what OpenMP may use here, -1 for all processors.
    verbose : bool or int, default=False
        Show progress bars with loss, validation score and tokens per second.

    Attributes
    ----------
    classes_ : ndarray of str objects, of shape (n_tags,)
        The tags, sorted; those of a span scheme complete for each label.
    scheme_ : str or None
        Scheme of the tags of `y`; None for plain tags.
    vocabulary_ : dict of str to int
        Number of each known word; 0 is the unknown one.
    n_iter_ : int
        Epochs of the last fit.
    loss_ : float
        Mean training loss of the network per token in the last epoch.
    loss_curve_ : list of float
        The same after each epoch.
    validation_scores_ : list of float or None
        Span F1, or token accuracy for plain tags, after each epoch, with the linear part.
    best_validation_score_ : float or None
    predictor_ : TagPredictor
        The fitted model.

    Examples
    --------
    >>> from textcnn import TextCNNTagger
    >>> X = [["Ms.", "Haag", "plays", "Elianti", "."], ["The", "dog", "saw", "Ms.", "Haag"]]
    >>> y = [["O", "B-PER", "O", "B-ROLE", "O"], ["O", "O", "O", "O", "B-PER"]]
    >>> tagger = TextCNNTagger(random_state=0).fit(X * 10, y * 10)
    >>> tagger.predict([["Ms.", "Haag", "saw", "Elianti"]])
    [['O', 'B-PER', 'O', 'B-ROLE']]
    >>> [(span.label, span.text) for span in tagger.tag("The dog saw Ms. Haag.")]
    [('PER', 'Haag')]
    """

    EMBEDDING_MODES: ClassVar[tuple[str, ...]] = ("auto", "random", "static", "fine-tuned")

    _parameter_constraints: ClassVar[dict] = {
        "analyzer": [StrOptions({"auto", "word", "char"})],
        "lowercase": ["boolean"],
        "min_count": [Interval(Integral, 1, None, closed="left")],
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "embedding_dim": [Interval(Integral, 1, None, closed="left")],
        "embeddings": "no_validation",
        "embedding_mode": [StrOptions(set(EMBEDDING_MODES))],
        "char_dim": [Interval(Integral, 1, None, closed="left")],
        "char_kernel_sizes": ["array-like"],
        "n_char_filters": [Interval(Integral, 0, None, closed="left")],
        "prefix_lengths": ["array-like"],
        "suffix_lengths": ["array-like"],
        "shapes": ["boolean"],
        "affix_dim": [Interval(Integral, 1, None, closed="left")],
        "n_channels": [Interval(Integral, 1, None, closed="left")],
        "dilations": ["array-like"],
        "n_iterations": [Interval(Integral, 1, None, closed="left")],
        "share_weights": ["boolean"],
        "join": [StrOptions(set(JOINS))],
        "body": [Layer, callable, None],
        "head": [StrOptions({"auto", *HEADS})],
        "tag_scheme": [StrOptions({"auto", "BIO", "BIOES"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "feature_dropout": [Interval(Real, 0, 1, closed="left")],
        "word_dropout": [Interval(Real, 0, 1, closed="left")],
        "rare_word_dropout": [Interval(Real, 0, 1, closed="left")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "solver": [StrOptions(set(SOLVERS))],
        "learning_rate": [StrOptions(set(SCHEDULES))],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither"), None],
        "warmup_steps": [Interval(Integral, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "linear": [Interval(Real, 0, 1, closed="left")],
        "linear_max_iter": [Interval(Integral, 1, None, closed="left")],
        "linear_alpha": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        analyzer: str = "auto",
        lowercase: bool = True,
        min_count: int = 1,
        max_features: int | None = None,
        embedding_dim: int = 100,
        embeddings: Any = None,
        embedding_mode: str = "auto",
        char_dim: int = 32,
        char_kernel_sizes: tuple[int, ...] = (3,),
        n_char_filters: int = 48,
        prefix_lengths: tuple[int, ...] = (1, 2, 3, 4),
        suffix_lengths: tuple[int, ...] = (1, 2, 3, 4),
        shapes: bool = True,
        affix_dim: int = 16,
        n_channels: int = 128,
        dilations: tuple[int, ...] = (1, 1, 2),
        n_iterations: int = 4,
        share_weights: bool = True,
        join: str = "concat",
        body: Any = None,
        head: str = "auto",
        tag_scheme: str = "auto",
        dropout: float = 0.5,
        feature_dropout: float = 0.5,
        word_dropout: float = 0.1,
        rare_word_dropout: float = 0.5,
        max_grad_norm: float | None = 5.0,
        solver: str = "adam",
        learning_rate: str = "linear",
        learning_rate_init: float | None = None,
        warmup_steps: int = 0,
        alpha: float = 0.0,
        batch_size: int | str = "auto",
        max_iter: int = 12,
        shuffle: bool = True,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        linear: float = 0.6,
        linear_max_iter: int = 8,
        linear_alpha: float = 5e-5,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: bool | int = False,
    ) -> None:
        self.analyzer = analyzer
        self.lowercase = lowercase
        self.min_count = min_count
        self.max_features = max_features
        self.embedding_dim = embedding_dim
        self.embeddings = embeddings
        self.embedding_mode = embedding_mode
        self.char_dim = char_dim
        self.char_kernel_sizes = char_kernel_sizes
        self.n_char_filters = n_char_filters
        self.prefix_lengths = prefix_lengths
        self.suffix_lengths = suffix_lengths
        self.shapes = shapes
        self.affix_dim = affix_dim
        self.n_channels = n_channels
        self.dilations = dilations
        self.n_iterations = n_iterations
        self.share_weights = share_weights
        self.join = join
        self.body = body
        self.head = head
        self.tag_scheme = tag_scheme
        self.dropout = dropout
        self.feature_dropout = feature_dropout
        self.word_dropout = word_dropout
        self.rare_word_dropout = rare_word_dropout
        self.max_grad_norm = max_grad_norm
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.warmup_steps = warmup_steps
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.linear = linear
        self.linear_max_iter = linear_max_iter
        self.linear_alpha = linear_alpha
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    # ---- training -------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> TextCNNTagger:
        """Train on sentences and their tags.

        Ctrl-C while the network is trained stops after the step at hand and keeps the model, with a
        warning.

        Parameters
        ----------
        X : list of n_sentences lists of str
            Also an array, Series or iterator of them. A sentence that is a str is cut into tokens.
        y : list of n_sentences lists of str
            A tag for each token.
        sample_weight : array-like of shape (n_sentences,), default=None
            Weights of the sentences in the loss; 2 counts there like the sentence given twice. A sentence of
            weight 0 is left out, its words and tags too.
        X_val, y_val : as X and y, default=None
            Validation sentences.
        checkpoint : str or path-like, default=None
            A folder in which the state of the networks is kept while they are trained, in about a twentieth
            of the time. After a kill the same call goes on from there and ends with the same weights, to the
            bit. Needs `random_state`. The files stay; remove them when the model is saved.

        Returns
        -------
        self : TextCNNTagger

        Raises
        ------
        ValueError, TypeError
            If something does not fit; the message says what.
        """
        self._check_tuples()
        checkpoints = open_checkpoints(checkpoint, self.random_state)
        continues = self.warm_start and hasattr(self, "predictor_")
        given = as_sentences(X)
        analyzer = self.predictor_.analyzer if continues else self._resolved_analyzer(given)
        sentences, tags, sample_weight = _checked_data(given, y, sample_weight, analyzer)
        validation = _checked_validation(X_val, y_val, analyzer)
        inner = self._inner_tags(tags, continues)
        rng = check_random_state(self.random_state)
        if validation is not None:
            _check_scheme(validation[1], inner.scheme, "y_val")
        elif self._holds_out(len(sentences)):
            sentences, tags, sample_weight, validation = self._hold_out(sentences, tags, sample_weight, rng)
        early_stopping = validation is not None and self.early_stopping is not False

        model = (
            self._continued(sentences, rng) if continues else self._started(sentences, inner, analyzer, rng)
        )
        examples = self._examples(model, tags, sample_weight)
        held_out = validation and _Validation(*validation)
        if self.linear > 0:
            model.linear = self._fitted_linear(model, examples, rng, checkpoints)
        trainer = Trainer(
            model.network, SOLVERS[self.solver](), self._options(len(examples), early_stopping), rng
        )
        history = self._train(model, trainer, examples, held_out, checkpoints)
        self._partial_trainers: list[TrainingLoop] | None = None
        self._set_fitted(model, history)
        if history.interrupted:
            warnings.warn(
                f"training was interrupted after {history.n_epochs} of {self.max_iter} epochs; the model "
                "is usable as it is, and fit with warm_start=True goes on from it",
                UserWarning,
                stacklevel=2,
            )
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> TextCNNTagger:
        """Train network and linear part for one pass over some sentences; words that are new are added.

        The learning rates stay at their first values with the "linear" schedule, which needs to know how
        long training will take. `early_stopping` and `max_iter` are not used. The word pairs of the linear
        part are those of the first call.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`
        classes : list of str, default=None
            All tags that will ever come; needed at the first call.

        Returns
        -------
        self : TextCNNTagger
        """
        self._check_tuples()
        first_call = not hasattr(self, "predictor_")
        if first_call and classes is None:
            raise ValueError(
                "the first call of partial_fit needs all tags, but classes is None; give "
                "partial_fit(X, y, classes=...)"
            )
        given = as_sentences(X)
        analyzer = self._resolved_analyzer(given) if first_call else self.predictor_.analyzer
        sentences, tags, sample_weight = _checked_data(given, y, sample_weight, analyzer)
        trainers = getattr(self, "_partial_trainers", None)
        # A generator made anew would give the new words of every call the same vectors.
        rng = trainers[0].rng if trainers else check_random_state(self.random_state)
        if isinstance(classes, str):
            raise TypeError(f"classes is the str {classes!r:.50}, but a list of tags was expected")
        if first_call:
            names = sorted({_checked_tag(tag, "classes") for tag in classes})
            # The sentences tell schemes apart that have the same tags.
            scheme = detect_scheme([*tags, *([tag] for tag in names)])
            inner = InnerTags(names, scheme, self._inner_scheme())
            model = self._started(sentences, inner, analyzer, rng)
        else:
            model = self._continued(sentences, rng)
            model.linear = self.predictor_.linear.copy() if self.predictor_.linear is not None else None
            if model.linear is not None:
                model.linear.cover_words(model.encoder.n_words)
        examples = self._examples(model, tags, sample_weight)
        if first_call and self.linear > 0:
            model.linear = self._new_linear(model, examples)
        history = self._train_once(model, examples, rng)
        self._set_fitted(model, history)
        return self

    def _train_once(self, model: _Model, examples: TaggedExamples, rng: np.random.RandomState) -> History:
        """One pass over some sentences, going on with the optimisers of the calls before."""
        options = self._options(len(examples), False, one_pass=True)
        linear_options = replace(self._linear_options(len(examples)), max_iter=1, learning_rate="constant")
        trainers: list[TrainingLoop] | None = getattr(self, "_partial_trainers", None)
        if trainers:
            trainers = [trainers[0].continued(model.network, options), *trainers[1:]]
            if model.linear is not None:
                trainers[1] = trainers[1].continued(model.linear, linear_options)
        else:
            trainers = [Trainer(model.network, SOLVERS[self.solver](), options, rng)]
            if model.linear is not None:
                trainers.append(WindowTrainer(model.linear, linear_options, rng))
        if model.linear is not None:
            prepared = model.linear.prepared(examples)
            if train_with_progress(
                trainers[1], prepared, None, self.verbose, "", "linear part, "
            ).interrupted:
                raise KeyboardInterrupt
        history = self._train(model, trainers[0], examples, None)
        self._partial_trainers = trainers
        return history

    def _check_tuples(self) -> None:
        for name in ("char_kernel_sizes", "dilations", "prefix_lengths", "suffix_lengths"):
            try:
                values = np.asarray(getattr(self, name))
            except ValueError:  # lists of unequal lengths inside
                values = np.empty((0, 0))
            may_be_empty = name != "char_kernel_sizes"
            if values.ndim != 1 or (
                len(values) and (values.dtype.kind not in "iu" or values.min() < 1 or values.max() > 10_000)
            ) or not (may_be_empty or len(values)):  # fmt: skip
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, but it must be a tuple of integers from 1 to 10,000"
                )
        self._resolved_mode()

    def _resolved_analyzer(self, given: list[Any]) -> str:
        """`analyzer` without "auto", for training sentences as they were given."""
        if self.analyzer != "auto":
            return self.analyzer
        if any(isinstance(sentence, str) for sentence in given):
            return "word"
        lengths = [len(token) for sentence in given for token in sentence if isinstance(token, str)]
        return "char" if lengths and np.mean(np.equal(lengths, 1)) >= CHARACTER_TOKENS else "word"

    def _inner_scheme(self) -> str:
        return "BIOES" if self.tag_scheme == "auto" else self.tag_scheme

    def _inner_tags(self, tags: list[list[str]], continues: bool) -> InnerTags:
        if not continues:
            names = {tag for sentence in tags for tag in sentence}
            return InnerTags(names, detect_scheme(tags), self._inner_scheme())
        inner = self.predictor_.tags
        new = sorted({tag for sentence in tags for tag in sentence} - set(inner.tags))
        if new:
            raise ValueError(
                f"warm_start needs the tags of the last fit, but y has {new[0]!r}; set warm_start=False to "
                "start anew"
            )
        return inner

    def _holds_out(self, n: int) -> bool:
        if self.early_stopping == "auto":
            return n > EARLY_STOPPING_ROWS
        return bool(self.early_stopping)

    def _hold_out(
        self,
        sentences: list[list[str]],
        tags: list[list[str]],
        sample_weight: np.ndarray,
        rng: np.random.RandomState,
    ) -> tuple[
        list[list[str]], list[list[str]], np.ndarray, tuple[list[list[str]], list[list[str]]]
    ]:  # fmt: skip
        """Split off a random part of the sentences with tokens for validation."""
        n = len(sentences)
        order = rng.permutation(n)
        filled = np.array([i for i in order if sentences[i]])
        n_held = min(max(1, round(n * self.validation_fraction)), len(filled) - 1)
        held = np.sort(filled[:n_held])
        kept = np.setdiff1d(order, held)
        if len(filled) < 2:
            raise ValueError(
                f"early_stopping cannot hold out {self.validation_fraction:g} of {len(filled)} sentences "
                "with tokens; give more sentences, X_val and y_val, or early_stopping=False"
            )
        return (
            [sentences[i] for i in kept],
            [tags[i] for i in kept],
            sample_weight[kept],
            ([sentences[i] for i in held], [tags[i] for i in held]),
        )

    def _started(
        self, sentences: list[list[str]], tags: InnerTags, analyzer: str, rng: np.random.RandomState
    ) -> _Model:
        """A new encoder and network, and the sentences encoded."""
        encoder, encoded = TokenEncoder.build(
            sentences,
            lowercase=self.lowercase,
            min_count=int(self.min_count),
            max_features=self.max_features,
            prefix_lengths=tuple(int(n) for n in self.prefix_lengths),
            suffix_lengths=tuple(int(n) for n in self.suffix_lengths),
            shape=bool(self.shapes),
            max_chars=MAX_CHARS if self.n_char_filters else 0,
            n_threads=effective_n_threads(self.n_jobs),
        )
        n_training_words = encoder.n_words
        mode = self._resolved_mode()
        if mode == "random":
            words = random_embeddings(rng, encoder.n_words, int(self.embedding_dim), RANDOM_EMBEDDING_LIMIT)
        else:
            vectors = _loaded(self.embeddings)
            encoder.extend([_words_of(vectors, bool(self.lowercase))[:MOST_ADDED_WORDS]])
            words = self._pretrained(vectors, encoder.vocabulary.id_to_token, rng)
        layout = self._layout(len(tags.inner_tags), words.shape[1], encoder.n_attributes)
        network = self._new_network(rng, layout, words, encoder, mode == "static")
        return _Model(encoder, network, tags, analyzer, float(self.linear), n_training_words, encoded)

    def _new_network(
        self,
        rng: np.random.RandomState,
        layout: TokenLayout,
        words: np.ndarray,
        encoder: TokenEncoder,
        frozen_words: bool,
    ) -> TokenNetwork:
        n_chars, n_rows = encoder.n_chars, encoder.n_rows
        if isinstance(layout, TaggerLayout):
            return TaggingCNN.initialized(rng, layout, words, n_chars, n_rows, frozen_words)
        body = new_layer(self.body)
        return LayerTaggingCNN.initialized(rng, layout, words, n_chars, n_rows, body, frozen_words)

    def _layout(self, n_tags: int, word_dim: int, n_attributes: int) -> TokenLayout:
        """The shape of the network that the parameters ask for."""
        around: dict[str, Any] = {
            "n_tags": n_tags,
            "word_dim": word_dim,
            "char_dim": int(self.char_dim),
            "char_kernel_sizes": tuple(int(size) for size in self.char_kernel_sizes),
            "n_char_filters": int(self.n_char_filters),
            "hashed_dim": int(self.affix_dim),
            "n_attributes": n_attributes,
            "head": self._resolved_head(n_tags),
        }
        if self.body is not None:
            return TokenLayout(**around)
        return TaggerLayout(
            **around,
            n_channels=int(self.n_channels),
            dilations=tuple(int(dilation) for dilation in self.dilations),
            n_iterations=int(self.n_iterations),
            share_weights=bool(self.share_weights),
            join=self.join,
        )

    def _pretrained(self, vectors: Any, words: list[str], rng: np.random.RandomState) -> np.ndarray:
        """Pretrained vectors, all of the root mean square `PRETRAINED_SCALE`."""
        rows = pretrained_embeddings(vectors, words, rng, RANDOM_EMBEDDING_LIMIT)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        wanted = PRETRAINED_SCALE * np.sqrt(rows.shape[1])
        return rows * np.divide(wanted, lengths, out=np.zeros_like(lengths), where=lengths > 0)

    def _resolved_head(self, n_tags: int) -> str:
        return ("crf" if n_tags <= MOST_CRF_TAGS else "softmax") if self.head == "auto" else self.head

    def _continued(self, sentences: list[list[str]], rng: np.random.RandomState) -> _Model:
        """Copies of the encoder and the network, grown by the new words, and the sentences encoded."""
        old = self.predictor_
        encoder, network = copy.deepcopy(old.encoder), old.network.copy()
        self._check_network(network)
        n_threads, n_known = effective_n_threads(self.n_jobs), encoder.n_words
        room = None if self.max_features is None else self.max_features - (n_known - 1)
        if room is None or room > 0:
            encoder.extend(sentences, min_count=int(self.min_count), max_features=room, n_threads=n_threads)
        new = encoder.vocabulary.id_to_token[n_known:]
        if new:
            n_dims = network.layout.word_dim
            rows = (
                random_embeddings(rng, len(new), n_dims, RANDOM_EMBEDDING_LIMIT)
                if self.embeddings is None
                else self._pretrained(self.embeddings, new, rng)
            )
            if rows.shape[1] != n_dims:
                raise ValueError(
                    f"the vectors of embeddings have {rows.shape[1]} dimensions, but the model goes on with "
                    f"{n_dims}; give vectors of that length, or fit anew with warm_start=False"
                )
            network.add_words(rows)
        encoded = encoder.encode(sentences, n_threads)
        return _Model(encoder, network, old.tags, old.analyzer, float(self.linear), encoder.n_words, encoded)

    def _check_network(self, network: TokenNetwork) -> None:
        """Raise if the parameters ask for another network than that of the last fit."""
        layout = network.layout
        wanted = self._layout(layout.n_tags, layout.word_dim, layout.n_attributes)
        body = network.body if isinstance(network, LayerTaggingCNN) else None
        asked = None if self.body is None else new_layer(self.body)
        if (body and body.config()) != (asked and asked.config()):
            raise ValueError(
                f"the network of the last fit has the body {body}, but the parameters ask for {asked}; set "
                "it back, or fit a new model"
            )
        for name in type(layout).__dataclass_fields__:
            is_now, was = getattr(wanted, name), getattr(layout, name)
            if is_now != was:
                raise ValueError(
                    f"the network of the last fit has {name} {was}, but the parameters ask for {is_now}; set "
                    "it back, or fit a new model"
                )

    def _examples(self, model: _Model, tags: list[list[str]], sample_weight: np.ndarray) -> TaggedExamples:
        encoded = model.encoded
        words = encoded.features.words
        uses = np.bincount(words[encoded.types], minlength=model.encoder.n_words)
        # The mean weight of a token is one: what counts is how a weight compares to those of all sentences.
        lengths = np.diff(encoded.offsets)
        sample_weight = sample_weight * (lengths.sum() / (lengths @ sample_weight))
        return TaggedExamples(
            encoded.types,
            encoded.offsets,
            model.tags.encode(tags)[0],
            sample_weight.astype(np.float32),
            encoded.features,
            (uses[words] == 1) & (words > 0),
        )

    def _resolved_batch_size(self, n: int) -> int:
        return min(32, max(4, n // 128)) if self.batch_size == "auto" else int(self.batch_size)

    def _options(self, n: int, early_stopping: bool, one_pass: bool = False) -> TrainingOptions:
        """For `n` sentences; one pass alone has a constant rate instead of one that falls to zero."""
        constant = one_pass and self.learning_rate in PLANNED_SCHEDULES
        return self._training_options(
            early_stopping,
            max_iter=1 if one_pass else int(self.max_iter),
            batch_size=self._resolved_batch_size(n),
            max_norm=None,
            learning_rate="constant" if constant else self.learning_rate,
            feature_dropout=float(self.feature_dropout),
            rare_word_dropout=float(self.rare_word_dropout),
            warmup_steps=int(self.warmup_steps),
        )

    def _linear_options(self, n: int) -> TrainingOptions:
        return replace(
            self._options(n, False),
            max_iter=int(self.linear_max_iter),
            max_grad_norm=None,
            # the loop divides the penalty by the size of the batch
            alpha=float(self.linear_alpha) * self._resolved_batch_size(n),
            learning_rate="linear",
            learning_rate_init=LINEAR_RATE,
            warmup_steps=0,
            n_iter_no_change=int(self.linear_max_iter),
        )

    def _new_linear(self, model: _Model, examples: TaggedExamples) -> WindowLinear:
        encoder, layout = model.encoder, model.network.layout
        return WindowLinear.initialized(
            examples, model.n_training_words, encoder.n_rows, layout.n_tags, layout.head, encoder.shape
        )

    def _fitted_linear(
        self,
        model: _Model,
        examples: TaggedExamples,
        rng: np.random.RandomState,
        checkpoints: Checkpoints | None,
    ) -> WindowLinear:
        linear = self._new_linear(model, examples)
        trainer = WindowTrainer(linear, self._linear_options(len(examples)), rng)
        prepared = linear.prepared(examples)
        history = train_with_progress(trainer, prepared, None, self.verbose, "", "linear part, ", checkpoints)
        if history.interrupted:
            raise KeyboardInterrupt
        return linear

    def _train(
        self,
        model: _Model,
        trainer: TrainingLoop,
        examples: TaggedExamples,
        held_out: _Validation | None,
        checkpoints: Checkpoints | None = None,
    ) -> History:
        validate = partial(held_out.score, model, trainer.options.n_threads) if held_out else None
        name = "accuracy" if model.tags.scheme is None else "F1"
        return train_with_progress(
            trainer, examples, validate, self.verbose, name, checkpoints=checkpoints, held_out=held_out
        )

    def _set_fitted(self, model: _Model, history: History) -> None:
        model.network.work.release()  # a long sentence asks for much, and prediction needs none of it
        self.predictor_ = model.predictor(self.n_jobs)
        self.n_iter_ = history.n_epochs
        self.loss_curve_ = history.loss_curve
        self.validation_scores_ = history.validation_scores or None

    # ---- prediction: all of it is the predictor's -------------------------------------------------

    def predict(self, X: Any) -> list[list[str]]:
        """Tags of each sentence.

        Parameters
        ----------
        X : list of n_sentences lists of str, or of str

        Returns
        -------
        tags : list of lists of str
            In the scheme of `y`.
        """
        return self._fitted().predict(X)

    def predict_marginals(self, X: Any) -> list[np.ndarray]:
        """Probability of each tag at each token.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        marginals : list of float32 ndarray of shape (n_tokens, n_tags)
            In the order of ``predictor_.marginal_tags``: that of `classes_`, but the tags of the BIO scheme
            where `y` has IOB1, whose tags depend on the tag before.
        """
        return self._fitted().predict_marginals(X)

    def transform(self, X: Any) -> list[np.ndarray]:
        """Features of each token in its sentence: what the output layer of the network sees.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        features : list of float32 ndarray of shape (n_tokens, n_features)
            The outputs of the last layer, or of the body; with ``join="concat"`` those of every iteration,
            side by side. The linear part has no share in them.

        Examples
        --------
        >>> from textcnn import TextCNNTagger
        >>> X, y = [["Ms.", "Haag", "smiled"], ["Elianti", "too"]], [["O", "B-PER", "O"], ["B-PER", "O"]]
        >>> tagger = TextCNNTagger(n_channels=8, join="last", random_state=0).fit(X, y)
        >>> [features.shape for features in tagger.transform(X)]
        [(3, 8), (2, 8)]
        """
        return self._fitted().transform(X)

    def spans(self, X: Any) -> list[list[TokenSpan]]:
        """Spans of each sentence with their exact probabilities.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        spans : list of lists of TokenSpan
            With `label`, `start` and `stop` (tokens) and `probability`.
        """
        return self._fitted().spans(X)

    @overload
    def tag(self, text: str, sentences: str = "split") -> TaggedText: ...  # type: ignore[overload-overlap]
    @overload
    def tag(self, text: Sequence[str], sentences: str = "split") -> list[TaggedText]: ...
    def tag(self, text: str | Sequence[str], sentences: str = "split") -> TaggedText | list[TaggedText]:
        """Find the spans of a text.

        Parameters
        ----------
        text : str, or list of str
        sentences : {"split", "line"}, default="split"
            Find sentences, which is what most models are trained on; a blank line ends one in any case. Or
            take each line of a text as a sentence.

        Returns
        -------
        tagged : TaggedText, or a list of them
            A sequence of spans with `label`, `start` and `stop` (characters), `text` and the exact
            `probability`; in a notebook it shows the text in colour.
        """
        return self._fitted().tag(text, sentences)

    def score(self, X: Any, y: Any) -> float:
        """Span F1 as conlleval counts it; token accuracy for plain tags.

        Parameters
        ----------
        X, y : as in `fit`

        Returns
        -------
        score : float
        """
        predictor = self._fitted()
        sentences = cut_texts(as_sentences(X), predictor.analyzer)
        tags = as_tags(y, sentences)
        _check_scheme(tags, predictor.scheme, "y")
        predicted = predictor.predict(sentences)
        return _score(tags, predicted, predictor.scheme)

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
            If a model file cannot hold the model: layers that are not the library's, or more than 5000.
        OSError
            If the file cannot be written; an older file under `path` is then untouched.
        """
        predictor = self._fitted()
        predictor.save_as(path, KIND, {**_params_to_json(self), "fitted": self._history()})

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = False) -> TextCNNTagger:
        """Read a model written by `save`.

        Parameters
        ----------
        path : str or path-like
        mmap : bool, default=False
            Map the arrays instead of reading them; they are then read-only, which prediction allows.

        Returns
        -------
        tagger : TextCNNTagger

        Raises
        ------
        ModelFileError
            If the file is no model file of a tagger, is cut short or altered.
        """
        model = read_tagger(path, mmap=mmap)
        if model.kind != KIND:
            raise ModelFileError(
                f"{os.fspath(path)} holds a {model.kind}, not a {KIND}; textcnn.load reads it for prediction."
            )
        with refused(path, "has parameters that do not fit this version of textcnn"):
            params = dict(model.params)
            fitted = params.pop("fitted", {})
            if params.get("body") is not None:
                params["body"] = body_of(params["body"])
            tagger = cls().set_params(
                **{name: tuple(v) if isinstance(v, list) else v for name, v in params.items()}
            )
            tagger._validate_params()
            effective_n_threads(tagger.n_jobs)
            tagger._set_history(fitted)
            tagger.predictor_ = model.predictor(tagger.n_jobs)
        return tagger

    # ---- fitted attributes and scikit-learn's conventions -------------------------------------------

    @property
    def classes_(self) -> np.ndarray:
        """Tags, ndarray of str objects, of shape (n_tags,)."""
        return self.predictor_.classes_

    @property
    def scheme_(self) -> str | None:
        """Scheme of the tags."""
        return self.predictor_.scheme

    @property
    def vocabulary_(self) -> dict[str, int]:
        """Number of each known word, a new dict."""
        return self.predictor_.encoder.vocabulary.to_dict()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


# Characters of a token that the character network sees.
MAX_CHARS = 30


@dataclass
class _Model:
    """What training works on: the text side, the network, the linear part, and the encoded sentences."""

    encoder: TokenEncoder
    network: TokenNetwork
    tags: InnerTags
    analyzer: str
    share: float
    n_training_words: int  # of the encoder; those behind them are known from word vectors alone
    encoded: EncodedTokens
    linear: WindowLinear | None = None

    def predictor(self, n_jobs: int | None) -> TagPredictor:
        return TagPredictor(
            self.encoder, self.network, self.tags, self.analyzer, self.linear, self.share, n_jobs
        )


@dataclass
class _Validation:
    """Validation sentences with their tags."""

    sentences: list[list[str]]
    tags: list[list[str]]

    def score(self, model: _Model, n_threads: int) -> float:
        """Span F1, or accuracy for plain tags, of the model as it is."""
        predicted = model.predictor(n_threads).predict(self.sentences)
        return _score(self.tags, predicted, model.tags.scheme)


def _score(tags: list[list[str]], predicted: list[list[str]], scheme: str | None) -> float:
    """Span F1 as conlleval counts it; token accuracy for plain tags."""
    return token_accuracy(tags, predicted) if scheme is None else span_scores(tags, predicted, scheme).f1


def _checked_data(
    given: list[Any], y: Any, sample_weight: Any, analyzer: str
) -> tuple[list[list[str]], list[list[str]], np.ndarray]:
    """Token lists, tag lists and weights, all checked; sentences of weight zero are left out."""
    if not given:
        raise ValueError("X has no sentences, but training needs at least one")
    sentences = cut_texts(given, analyzer)
    refuse_other_tokens(sentences)
    tags = as_tags(y, sentences)
    weights = check_sample_weight(sample_weight, len(sentences), "sentences")
    if not weights.all():
        kept = np.flatnonzero(weights)
        sentences, tags, weights = [sentences[i] for i in kept], [tags[i] for i in kept], weights[kept]
    if not any(sentences):
        raise ValueError("all sentences of X are empty or of weight zero, but training needs tokens")
    return sentences, tags, weights


def _checked_validation(
    X_val: Any, y_val: Any, analyzer: str
) -> tuple[list[list[str]], list[list[str]]] | None:
    if X_val is None and y_val is None:
        return None
    if X_val is None or y_val is None:
        raise ValueError("only one of X_val and y_val was given; give both or none")
    sentences = cut_texts(as_sentences(X_val, "X_val"), analyzer)
    if not any(sentences):
        raise ValueError("X_val has no tokens; give validation sentences, or neither X_val nor y_val")
    return sentences, as_tags(y_val, sentences, "X_val", "y_val")


def _check_scheme(tags: list[list[str]], scheme: str | None, name: str) -> None:
    """Raise if tags are not in the scheme of the model: they would be read as something else."""
    if scheme is None:
        return
    names = sorted({tag for sentence in tags for tag in sentence})
    try:
        InnerTags(names, scheme)
    except ValueError as error:
        raise ValueError(
            f"{name} has other tags than the model, whose scheme is {scheme} ({error}); "
            "textcnn.text.tags.convert changes the scheme"
        ) from error


def as_tags(y: Any, sentences: list[list[str]], x_name: str = "X", name: str = "y") -> list[list[str]]:
    """Tag lists that fit the sentences, checked.

    Raises
    ------
    ValueError, TypeError
        If there are not as many lists as sentences, or tags as tokens, or a tag is no str; the message
        tells which sentence.
    """
    if y is None:
        raise ValueError(f"{name} is None, but training needs a list of tags for each sentence")
    given = as_sentences(y, name)
    if len(given) != len(sentences):
        raise ValueError(
            f"{x_name} has {len(sentences)} sentences, but {name} has {len(given)} lists of tags; give one "
            "for each"
        )
    for i, (tags, tokens) in enumerate(zip(given, sentences, strict=True)):
        if isinstance(tags, str):
            raise TypeError(f"{name}[{i}] is a str, but a list with a tag for each token was expected")
        if len(tags) != len(tokens):
            raise ValueError(
                f"sentence {i} has {len(tokens)} tokens, but {len(tags)} tags; give a tag for each token"
            )
        for tag in tags:
            if not isinstance(tag, str):
                _checked_tag(tag, f"{name}[{i}]")
    return given


def _checked_tag(tag: Any, where: str) -> str:
    if not isinstance(tag, str):
        raise TypeError(f"{where} has a tag of type {type(tag).__name__}, but tags must be str; convert them")
    return tag


def _loaded(embeddings: Any) -> Any:
    """Word vectors in memory."""
    return load_vectors(embeddings) if isinstance(embeddings, (str, os.PathLike)) else embeddings


def _words_of(embeddings: Any, lowercase: bool) -> list[str]:
    """Words of an object with word vectors; with `lowercase` those whose lower-case form finds a vector."""
    lookup(embeddings, [])  # refuses what has no vectors
    known = getattr(embeddings, "key_to_index", embeddings)
    words = [word for word in known if isinstance(word, str)]
    if lowercase:  # "iPhone" is not found from "iphone", which would get a random vector that nobody trains
        words = [word for word in words if any(form in known for form in case_forms(word.lower()))]
    return words


def _params_to_json(tagger: TextCNNTagger) -> dict[str, Any]:
    """Parameters as JSON values."""
    params = tagger.get_params(deep=False)
    if isinstance(params["embeddings"], (str, os.PathLike)):
        params["embeddings"] = os.fspath(params["embeddings"])
    elif params["embeddings"] is not None:
        params["embeddings"] = None
        params["embedding_mode"] = "auto"
    if isinstance(params["random_state"], np.random.RandomState):
        params["random_state"] = None
    for name in ("char_kernel_sizes", "dilations", "prefix_lengths", "suffix_lengths"):
        params[name] = [int(value) for value in params[name]]
    if params["body"] is not None:  # a function too: what it made
        params["body"] = tagger.predictor_.network.config().get("body")
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}


__all__ = ["TextCNNTagger", "as_tags"]
