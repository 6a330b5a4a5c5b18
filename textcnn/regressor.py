"""The estimator for regression on texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions

from textcnn._heads import Head, Numbers, as_numbers
from textcnn._sentence_estimator import SentenceEstimator, describe_shared
from textcnn.nn.losses import Loss, huber, squared_error
from textcnn.predictor import RegressionPredictor

# Errors of the linear part beyond it count linearly, in scales of the target. Those of the network turn at
# half of that: they are smaller, since its coefficients are not held down by a penalty.
LINEAR_HUBER_DELTA = 1.0

LOSSES: dict[str, Loss] = {"squared_error": squared_error, "huber": huber}


@describe_shared
class TextCNNRegressor(RegressorMixin, SentenceEstimator):
    """Convolutional network that predicts numbers from texts, with a linear part beside it.

    The network is that of `TextCNNClassifier` with an output for each target and no softmax. Inside, targets
    are standardised: what the network sees is y less its mean, divided by its standard deviation, and
    predictions are turned back. A target that is the same in all texts is predicted as it is. Training
    minimises the weighted mean of

    ``1/2 sum_k (f_k(x_i) - y_ik)^2``  +  ``alpha / (2 * n_texts) * ||weights||^2``

    over mini-batches. The linear part is ridge regression over n-grams of words and of characters inside
    words, each scaled by the mean target of the texts that have it, which is to numbers what the naive-Bayes
    log-count ratio is to classes (Wang & Manning 2012), fitted by dual coordinate descent (Ho & Lin 2012).
    The two are trained apart, and their predictions are averaged.

    With one `random_state` the result has the same bits for any `n_jobs`.

    {embedded}

    Parameters
    ----------
    loss : {"squared_error", "huber"}, default="squared_error"
        Loss of network and linear part. "huber" (Huber 1964), ``1/2 e^2`` for errors to d and
        ``d (|e| - d / 2)`` beyond, is for data with wild targets, which then count no more than others that
        are missed. Targets are standardised by the number with the least loss of this kind and by the median
        absolute deviation; d is half of that scale for the network and all of it for the linear part.
    {parameters}
    linear_C : float, default=0.1
        Inverse strength of the l2 penalty on the linear part, for standardised targets: ``1 / alpha`` of
        scikit-learn's `Ridge`.

    Attributes
    ----------
    {attributes}
    target_mean_, target_scale_ : float64 ndarrays of shape (n_targets,)
        Mean and standard deviation of the targets in the first fit, with the weights of the texts; with
        "huber" the number with the least loss and 1.4826 times the median absolute deviation (of the numbers
        that are not the median, if half or more are). 1 in place of a deviation of 0.
    predictor_ : RegressionPredictor
        The fitted network with its text side.

    Examples
    --------
    >>> from textcnn import TextCNNRegressor
    >>> texts = ["a dull film", "a good film", "a dull book", "a good book"]
    >>> regressor = TextCNNRegressor(max_iter=50, random_state=0).fit(texts, [1.0, 4.0, 1.5, 4.5])
    >>> regressor.predict(["a good play", "a dull play"]).round() > 2
    array([ True, False])
    """

    KIND = "TextCNNRegressor"
    Y_ITEMS = "numbers"
    TASKS = (RegressionPredictor.TASK,)

    _parameter_constraints: ClassVar[dict] = {
        **SentenceEstimator._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
    }

    def __init__(
        self,
        *,
        loss: str = "squared_error",
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
        padding_mode: str = "zeros",
        stride: int = 1,
        dilation: int = 1,
        pooling: str | tuple[str, ...] = "max",
        activation: str = "relu",
        body: Any = None,
        dropout: float = 0.5,
        word_dropout: float = 0.1,
        max_norm: float | None = 3.0,
        max_grad_norm: float | None = None,
        solver: str = "adam",
        learning_rate: str = "linear",
        learning_rate_init: float | None = None,
        warmup_steps: int = 0,
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
        linear_C: float = 0.1,
        n_members: int = 1,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        cache_size: float = 200,
        verbose: bool | int = False,
    ) -> None:
        self._store(locals())

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
    ) -> TextCNNRegressor:
        """Train on texts and numbers.

        Ctrl-C while the network is trained stops after the step at hand and keeps the model, with a
        warning; before that, while texts are read and the linear part is fitted, it ends `fit`.

        Parameters
        ----------
        X : list of str, or of lists of str, of length n_texts
            Also an array, Series, one-column frame or iterator of them; or embedded text, see above.
        y : array-like of shape (n_texts,) or (n_texts, n_targets)
            Finite numbers. Predictions have as many dimensions.
        sample_weight : array-like of shape (n_texts,), default=None
            Weights of the texts; 2 counts like the text given twice, 0 like its absence.
        X_val, y_val : as X and y, default=None
            Validation texts.
        checkpoint : str or path-like, default=None
            A folder in which the state of the networks is kept while they are trained, in about a twentieth
            of the time. After a kill the same call goes on from there and ends with the same weights, to the
            bit. Needs `random_state`. The files stay; remove them when the model is saved.

        Returns
        -------
        self : TextCNNRegressor

        Raises
        ------
        ValueError, TypeError
            If something does not fit; the message says what.
        """
        return self._fit(X, y, sample_weight, X_val, y_val, checkpoint)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> TextCNNRegressor:
        """Train the network for one pass over some texts; words that are new are added.

        The first call tells the mean and the deviation by which targets are standardised ever after. The
        learning rate stays at `learning_rate_init` with the "linear" and "cosine" schedules. `early_stopping`
        and `max_iter` are not used. A linear part can be fitted to all texts at once only: that of an earlier
        `fit` stays as it is, and there is none if training began with `partial_fit`.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`

        Returns
        -------
        self : TextCNNRegressor
        """
        self._check_one_member("partial_fit")
        return self._partial_fit(X, y, sample_weight, None)

    def _checked_y(self, y: Any, name: str) -> np.ndarray:
        return as_numbers(y, name)

    def _new_head(self, y: np.ndarray, given: Any, sample_weight: np.ndarray) -> Head:
        return Numbers.of(y, sample_weight, robust=self.loss == "huber")

    def _loss(self, head: Head) -> Loss:
        return LOSSES[self.loss]

    def _huber_delta(self) -> float:
        return LINEAR_HUBER_DELTA if self.loss == "huber" else np.inf

    # ---- prediction and fitted attributes ---------------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
        """Predicted numbers.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        y : float64 ndarray of shape (n_texts,) or (n_texts, n_targets)
            As y in `fit` was.
        """
        return self._fitted().predict(self._checked_table(X))

    @property
    def target_mean_(self) -> np.ndarray:
        """Means of the targets, or robust ones, float64 ndarray of shape (n_targets,)."""
        return self.predictor_.target_mean

    @property
    def target_scale_(self) -> np.ndarray:
        """Standard deviations of the targets, or robust ones, float64 ndarray of shape (n_targets,)."""
        return self.predictor_.target_scale

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
