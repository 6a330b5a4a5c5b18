"""The estimator for sentence classification."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight

from textcnn._heads import Classes, Head, Labels, as_indicator, as_labels, is_indicator, label_names
from textcnn._sentence_estimator import SentenceEstimator, describe_shared
from textcnn.io import decode_classes, encode_classes
from textcnn.nn.losses import Loss, sigmoid_cross_entropy, softmax_cross_entropy
from textcnn.predictor import Explanation, MultilabelPredictor, Predictor, checked_threshold
from textcnn.text.corpus import StoredTexts


@describe_shared
class TextCNNClassifier(ClassifierMixin, SentenceEstimator):
    """Convolutional network for sentence classification (Kim 2014), with a linear part beside it.

    The network: embeddings of the tokens, filters of several widths over them, ReLU, the maximum over
    time, dropout, and a softmax layer; trained by minimising the weighted mean cross-entropy

    ``- sum_i w_i log p(y_i | x_i) / sum_i w_i  +  alpha / (2 * n_texts) * ||weights||^2``

    over mini-batches. The linear part: logistic regression, each class against the rest, over n-grams
    of words and of characters inside words, scaled by their naive-Bayes log-count ratios (Wang &
    Manning 2012). The two are trained apart, and the logits of the network are averaged with the scores of
    the regressions, which for two classes are those of the second one and their negatives. The linear
    part takes time and memory in proportion to the number of classes; with hundreds set ``linear=0``.

    With several labels, y being a matrix of 0 and 1 with a column for each, the last layer is sigmoid, the
    loss of a text is the sum of the cross-entropies of its labels, and the linear part has a regression for
    each label.

    With one `random_state` the result has the same bits for any `n_jobs`.

    {embedded}

    Parameters
    ----------
    {parameters}
    linear_C : float, default=1.0
        Inverse strength of the l2 penalty on the linear part, as `C` of scikit-learn's
        `LogisticRegression`.
    label_smoothing : float, default=0.0
        Share of the targets of the network that is spread evenly over all classes, or over the presence and
        the absence of a label (Szegedy et al. 2016). The linear part has none.
    class_weight : dict, list of dict or "balanced", default=None
        Weights of the classes, as in scikit-learn. With several labels a list with one dict for each label,
        such as ``{0: 1, 1: 5}``; weights are then those of a label's own loss.
    threshold : float or array-like of shape (n_labels,), default=0.5
        With several labels a text has those whose probability is above it. It may be set on a fitted model.
        For two classes use scikit-learn's `TunedThresholdClassifierCV` or `FixedThresholdClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,) or (n_labels,)
        Classes; or labels: names of the columns if y was a frame, else numbers from 0.
    {attributes}
    predictor_ : Predictor or MultilabelPredictor
        The fitted network with its text side.

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> texts = ["what a film", "what a bore", "a lovely film", "a long bore"]
    >>> clf = TextCNNClassifier(random_state=0).fit(texts, ["good", "bad", "good", "bad"])
    >>> clf.predict(["such a lovely thing"]).tolist()
    ['good']
    >>> import numpy as np
    >>> embedded = [np.array([[0.0, 1.0], [2.0, 0.0]]), np.array([[0.0, -1.0]])]  # two texts, two channels
    >>> TextCNNClassifier(random_state=0).fit(embedded, ["good", "bad"]).predict(embedded)
    array(['good', 'bad'], dtype='<U4')
    >>> is_good_is_film = [[1, 1], [0, 0], [1, 1], [0, 0]]  # several labels
    >>> TextCNNClassifier(random_state=0).fit(texts, is_good_is_film).predict(["such a lovely film"])
    array([[1, 1]])
    """

    KIND = "TextCNNClassifier"
    Y_ITEMS = "labels"
    TASKS = (Predictor.TASK, MultilabelPredictor.TASK)

    _parameter_constraints: ClassVar[dict] = {
        **SentenceEstimator._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "threshold": [Interval(Real, 0, 1, closed="both"), "array-like"],
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
        linear_C: float = 1.0,
        n_members: int = 1,
        label_smoothing: float = 0.0,
        class_weight: dict | list[dict] | str | None = None,
        threshold: Any = 0.5,
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
    ) -> TextCNNClassifier:
        """Train on texts and labels.

        Ctrl-C while the network is trained stops after the step at hand and keeps the model, with a
        warning; before that, while texts are read and the linear part is fitted, it ends `fit`.

        Parameters
        ----------
        X : list of str, or of lists of str, of length n_texts
            Also an array, Series, one-column frame or iterator of them; or a `Corpus`, which brings
            its labels and stays on disk; or embedded text, see above.
        y : array-like of shape (n_texts,), or array, frame or sparse matrix of shape (n_texts, n_labels)
            Labels of two or more classes; or a matrix of 0 and 1 for several labels; None with a `Corpus`.
        sample_weight : array-like of shape (n_texts,), default=None
            Weights of the texts; 2 counts like the text given twice, 0 like its absence.
        X_val, y_val : as X and y, default=None
            Validation texts; with a `Corpus` as `X_val`, `y_val` is None.
        checkpoint : str or path-like, default=None
            A folder in which the state of the networks is kept while they are trained, in about a twentieth
            of the time. After a kill the same call goes on from there and ends with the same weights, to the
            bit. Needs `random_state`. The files stay; remove them when the model is saved.

        Returns
        -------
        self : TextCNNClassifier

        Raises
        ------
        ValueError, TypeError
            If something does not fit; the message says what.
        """
        return self._fit(X, y, sample_weight, X_val, y_val, checkpoint)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> TextCNNClassifier:
        """Train the network for one pass over some texts; words that are new are added.

        The learning rate stays at `learning_rate_init` with the "linear" and "cosine" schedules, which
        need to know how long training will take. `early_stopping` and `max_iter` are not used. A linear part
        can be fitted to all texts at once only: that of an earlier `fit` stays as it is, and there is none if
        training began with `partial_fit`.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come; needed at the first call. With several labels their names, which
            need not be given.

        Returns
        -------
        self : TextCNNClassifier
        """
        self._check_one_member("partial_fit")
        return self._partial_fit(X, y, sample_weight, self._head_of_classes(classes, y))

    def _head_of_classes(self, classes: Any, y: Any) -> Head | None:
        """The head of the first call of partial_fit; None if it is there already or follows from y."""
        first_call = not hasattr(self, "predictor_")
        several_labels = is_indicator(y, "y")
        if classes is None:
            if first_call and not several_labels:
                raise ValueError(
                    "the first call of partial_fit needs all classes, but classes is None; give "
                    "partial_fit(X, y, classes=...)"
                )
            return None
        # Names of labels stand in the order of the columns.
        found = as_labels(classes, "classes") if several_labels else np.unique(as_labels(classes, "classes"))
        if len(found) < 2 and not several_labels:
            raise ValueError(f"classes is {found.tolist()}, but a classifier needs two or more")
        if not first_call and not np.array_equal(found, self.classes_):
            raise ValueError(f"classes is {found.tolist()}, but the first call gave {self.classes_.tolist()}")
        if not first_call:
            return None
        return Labels(found, self.threshold) if several_labels else self._head_of_found(found)

    def _checked_y(self, y: Any, name: str) -> np.ndarray:
        return as_indicator(y, name) if is_indicator(y, name) else as_labels(y, name)

    def _new_head(self, y: np.ndarray, given: Any, sample_weight: np.ndarray) -> Head:
        if y.ndim == 2:
            checked_threshold(self.threshold, y.shape[1])
            return Labels(label_names(given), self.threshold)
        return self._head_of_found(np.unique(y))

    def _corpus_head(self, stored: StoredTexts) -> Head:
        return self._head_of_found(stored.classes)

    def _head_of_found(self, classes: np.ndarray) -> Head:
        if len(classes) < 2:
            raise ValueError(
                f"y has one class, {classes.tolist()}, but a classifier needs texts of two or more classes"
            )
        self._check_no_threshold()
        return Classes(classes)

    def _check_no_threshold(self) -> None:
        if np.ndim(self.threshold) or self.threshold != 0.5:
            raise ValueError(
                f"threshold is {self.threshold!r}, but y has classes and not several labels; leave it at 0.5 "
                "and put the model into scikit-learn's FixedThresholdClassifier"
            )

    def _loss(self, head: Head) -> Loss:
        function = sigmoid_cross_entropy if isinstance(head, Labels) else softmax_cross_entropy
        return partial(function, smoothing=float(self.label_smoothing)) if self.label_smoothing else function

    def _text_weights(self, head: Head, targets: np.ndarray, sample_weight: np.ndarray) -> np.ndarray:
        """Sample weight times class weight; with several labels class weights are those of each label."""
        if isinstance(head, Classes):
            if self.class_weight is not None:
                labels = head.classes[targets]
                sample_weight = sample_weight * compute_sample_weight(self.class_weight, labels)
        elif self.class_weight is not None:
            by_label = self._label_weights(targets.shape[1])
            columns = [compute_sample_weight(w, targets[:, k].astype(int)) for k, w in enumerate(by_label)]
            sample_weight = sample_weight[:, np.newaxis] * np.stack(columns, axis=1)
        return sample_weight.astype(np.float32)

    def _label_weights(self, n_labels: int) -> list[Any]:
        """Class weights of each of several labels."""
        if self.class_weight == "balanced":
            return ["balanced"] * n_labels
        if not isinstance(self.class_weight, list) or len(self.class_weight) != n_labels:
            raise ValueError(
                f'class_weight is {self.class_weight!r}, but with {n_labels} labels it must be "balanced" or '
                f"a list of {n_labels} dicts such as {{0: 1, 1: 5}}"
            )
        return self.class_weight

    def _fitted(self) -> Any:
        predictor = super()._fitted()
        if isinstance(predictor, MultilabelPredictor):
            predictor.threshold = self.threshold
        else:
            self._check_no_threshold()
        return predictor

    # ---- prediction: all of it is the predictor's -------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
        """Label of each text.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        labels : ndarray of shape (n_texts,)
            With several labels an int64 matrix of 0 and 1, of shape (n_texts, n_labels).
        """
        return self._fitted().predict(self._checked_table(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class or label.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        probabilities : float32 ndarray of shape (n_texts, n_classes)
            In the order of `classes_`. Those of several labels do not sum to one.
        """
        return self._fitted().predict_proba(self._checked_table(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of the probability of each class or label.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        log_probabilities : float32 ndarray of shape (n_texts, n_classes)
        """
        return self._fitted().predict_log_proba(self._checked_table(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores before softmax or sigmoid.

        Parameters
        ----------
        X : texts, as in `fit`

        Returns
        -------
        logits : float32 ndarray of shape (n_texts, n_classes)
            With two classes their difference, of shape (n_texts,), positive for ``classes_[1]``. With several
            labels those with a probability above one half are positive.
        """
        return self._fitted().decision_function(self._checked_table(X))

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
        return self._fitted().explain(self._checked_table(X))

    # ---- model files and scikit-learn's conventions -------------------------------------------------

    def _params_to_json(self) -> dict[str, Any]:
        params = super()._params_to_json()
        weight = params["class_weight"]
        if isinstance(weight, dict):
            params["class_weight"] = _weights_to_json(weight)
        elif isinstance(weight, list):
            params["class_weight"] = [_weights_to_json(weights) for weights in weight]
        params["threshold"] = np.asarray(params["threshold"], dtype=np.float64).tolist()
        return params

    @classmethod
    def _params_from_json(cls, params: dict[str, Any]) -> dict[str, Any]:
        params = super()._params_from_json(params)
        weight = params["class_weight"]
        if isinstance(weight, dict):
            params["class_weight"] = _weights_from_json(weight)
        elif isinstance(weight, list):
            params["class_weight"] = [_weights_from_json(weights) for weights in weight]
        return params

    @property
    def classes_(self) -> np.ndarray:
        """Classes or labels, ndarray of shape (n_classes,) or (n_labels,)."""
        return self.predictor_.classes_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _weights_to_json(class_weight: dict[Any, Any]) -> dict[str, Any]:
    labels = np.empty(len(class_weight), dtype=object)
    labels[:] = [getattr(label, "item", lambda label=label: label)() for label in class_weight]
    weights = [float(weight) for weight in class_weight.values()]
    return {"labels": encode_classes(labels), "weights": weights}


def _weights_from_json(class_weight: dict[str, Any]) -> dict[Any, float]:
    labels = decode_classes(class_weight["labels"])
    return dict(zip(labels.tolist(), class_weight["weights"], strict=True))
