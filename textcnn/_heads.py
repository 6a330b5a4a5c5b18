"""What the outputs of a sentence network stand for while it is trained: classes, labels or numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from textcnn.nn.losses import sigmoid
from textcnn.predictor import (
    MultilabelPredictor,
    Predictor,
    RegressionPredictor,
    SentencePredictor,
    checked_threshold,
)
from textcnn.text.corpus import StoredTexts
from textcnn.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from textcnn.predictor import SentenceNetwork


# Standardised targets are below this, so that single precision holds their squares.
MOST_SCALES = 1e15


class Head(ABC):
    """The outputs of a network: how targets are made of y, and what is a good prediction."""

    SCORE: ClassVar[str]
    """The name of the validation score."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Outputs of the network."""

    @abstractmethod
    def targets(self, y: np.ndarray, name: str) -> np.ndarray:
        """What the network is trained towards, from checked y."""

    @abstractmethod
    def check_goes_on(self, y: np.ndarray) -> None:
        """Raise if a model with this head cannot be trained on with all of y."""

    @abstractmethod
    def score(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """How good outputs are; the higher, the better."""

    @abstractmethod
    def predictor(
        self, vocabulary: Vocabulary | None, network: SentenceNetwork, **common: Any
    ) -> SentencePredictor:
        """The runtime with this head, for `n_jobs`, `cache_size` and `linear`."""

    def start(self, network: SentenceNetwork) -> None:  # noqa: B027, most heads begin with the weights that were drawn
        """Set what the output layer of a new network begins with."""

    def stored_targets(self, stored: StoredTexts, name: str) -> np.ndarray:
        """The targets of a scanned Corpus."""
        raise ValueError(f"{name} is a Corpus, which holds classes, but y is no list of classes; give lists")

    def strata(self, targets: np.ndarray) -> np.ndarray | None:
        """Classes that are to have their share of the texts held out, if there are any."""
        return None


@dataclass(frozen=True)
class Classes(Head):
    """One class out of several for each text.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        In rising order.
    """

    classes: np.ndarray

    SCORE = "accuracy"

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    def targets(self, y: np.ndarray, name: str) -> np.ndarray:
        """Class numbers, intp of the shape of y."""
        self._check_form(y, name)
        unknown = sorted(set(y.tolist()) - set(self.classes.tolist()), key=str)
        if unknown:
            raise ValueError(
                f"{name} has the label {unknown[0]!r}, which is not among {self.classes.tolist()}"
            )
        return np.searchsorted(self.classes, y).astype(np.intp)

    def stored_targets(self, stored: StoredTexts, name: str) -> np.ndarray:
        return self.targets(stored.classes, name)[stored.targets]

    def _check_form(self, y: np.ndarray, name: str) -> None:
        if y.ndim != 1:
            raise ValueError(
                f"the model has classes, but {name} is a matrix of labels; give one class for each text, or "
                "fit a new model"
            )

    def check_goes_on(self, y: np.ndarray) -> None:
        self._check_form(y, "y")
        classes = np.unique(y)
        if not np.array_equal(classes, self.classes):
            raise ValueError(
                f"warm_start needs the classes of the last fit, {self.classes.tolist()}, but y has "
                f"{classes.tolist()}; set warm_start=False to start anew"
            )

    def strata(self, targets: np.ndarray) -> np.ndarray | None:
        return targets

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """Share of texts whose highest output is that of their class."""
        return float(np.mean(outputs.argmax(axis=1) == targets))

    def predictor(
        self, vocabulary: Vocabulary | None, network: SentenceNetwork, **common: Any
    ) -> SentencePredictor:
        return Predictor(vocabulary, network, self.classes, **common)


@dataclass(frozen=True)
class Labels(Head):
    """Any number of several labels for each text.

    Parameters
    ----------
    classes : ndarray of shape (n_labels,)
        Names of the labels, or their numbers.
    threshold : float or array-like of shape (n_labels,)
    """

    classes: np.ndarray
    threshold: Any

    SCORE = "subset accuracy"

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    def targets(self, y: np.ndarray, name: str) -> np.ndarray:
        """Whether a text has a label, bool (n_texts, n_labels)."""
        if y.ndim != 2 or y.shape[1] != len(self.classes):
            raise ValueError(
                f"{name} has shape {y.shape}, but the model has {len(self.classes)} labels; give a column of "
                "0 and 1 for each"
            )
        return y

    def check_goes_on(self, y: np.ndarray) -> None:
        self.targets(y, "y")

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """Share of texts all of whose labels are predicted, and no others."""
        probabilities = sigmoid(outputs.astype(np.float64)).astype(np.float32)
        found = probabilities > checked_threshold(self.threshold, len(self.classes))
        return float((found == targets).all(axis=1).mean())

    def predictor(
        self, vocabulary: Vocabulary | None, network: SentenceNetwork, **common: Any
    ) -> SentencePredictor:
        return MultilabelPredictor(vocabulary, network, self.classes, self.threshold, **common)


@dataclass(frozen=True)
class Numbers(Head):
    """One or several numbers for each text; the network sees them less their centre, over their scale.

    Parameters
    ----------
    centre, scale : float64 ndarrays of shape (n_targets,)
    one_dimensional : bool
        Whether y has one dimension.
    constant : bool ndarray of shape (n_targets,), default=None
        The targets that all texts have alike; None for none.
    """

    centre: np.ndarray
    scale: np.ndarray
    one_dimensional: bool
    constant: np.ndarray | None = None

    SCORE = "R2"

    @classmethod
    def of(cls, y: np.ndarray, sample_weight: np.ndarray, robust: bool = False) -> Numbers:
        """The head for y of shape (n_texts,) or (n_texts, n_targets).

        Centre and scale are mean and standard deviation; or, `robust`, the number with the least loss of
        Huber and 1.4826 times the median absolute deviation, which for a normal distribution are the same.
        """
        columns = y.reshape(len(y), -1)
        with np.errstate(over="ignore", invalid="ignore"):
            if robust:
                parts = [_robust_location_and_scale(column, sample_weight) for column in columns.T]
                centre, scale = (np.array(values) for values in zip(*parts, strict=True))
            else:
                centre = np.average(columns, axis=0, weights=sample_weight)
                scale = np.sqrt(np.average((columns - centre) ** 2, axis=0, weights=sample_weight))
        if not np.isfinite(scale).all():
            raise ValueError("y has numbers so large that their variance is not finite; divide them first")
        # Rounding leaves dust in the mean and the variance of equal numbers.
        constant = scale <= 1e-12 * np.abs(centre)
        centre = np.where(constant, columns[np.argmax(sample_weight > 0)], centre)
        return cls(centre, np.where(constant, 1.0, scale), y.ndim == 1, constant)

    @property
    def n_outputs(self) -> int:
        return len(self.centre)

    def start(self, network: SentenceNetwork) -> None:
        """Outputs of targets that are constant begin, and stay, at 0: the network predicts the constant."""
        if self.constant is not None:
            network.weights[self.constant] = 0

    def targets(self, y: np.ndarray, name: str) -> np.ndarray:
        """Standardised numbers, float64 (n_texts, n_targets)."""
        n = self.n_outputs
        if y.ndim != (1 if self.one_dimensional else 2) or y[:1].size not in (0, n):
            raise ValueError(
                f"{name} has shape {y.shape}, but the model has {n} target{'s' if n > 1 else ''}; give it in "
                "the form that the first fit had"
            )
        with np.errstate(over="ignore"):
            targets = (y.reshape(len(y), -1) - self.centre) / self.scale
        if not (np.abs(targets) < MOST_SCALES).all():
            raise ValueError(
                f"{name} has a number more than {MOST_SCALES:g} times the spread of the others away from "
                "them; drop its text"
            )
        return targets

    def check_goes_on(self, y: np.ndarray) -> None:
        self.targets(y, "y")

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """Coefficient of determination, a mean over the targets; 0 for equal targets that are missed."""
        errors = ((outputs.astype(np.float64) - targets) ** 2).sum(axis=0)
        spread = ((targets - targets.mean(axis=0, dtype=np.float64)) ** 2).sum(axis=0)
        varies = spread > 0
        scores = np.where(varies, 1 - errors / np.where(varies, spread, 1), errors == 0)
        return float(scores.mean())

    def predictor(
        self, vocabulary: Vocabulary | None, network: SentenceNetwork, **common: Any
    ) -> SentencePredictor:
        return RegressionPredictor(
            vocabulary, network, self.centre, self.scale, self.one_dimensional, **common
        )


def _robust_location_and_scale(numbers: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """The number with the least loss of Huber (1964), and 1.4826 times the median absolute deviation.

    Errors turn linear at that scale. Where half or more of the numbers are equal, the deviations of the
    others are taken.
    """
    centre = _weighted_median(numbers, weight)
    deviations = np.abs(numbers - centre)
    scale = 1.4826 * _weighted_median(deviations, weight)
    if scale == 0:
        scale = 1.4826 * _weighted_median(deviations, np.where(deviations > 0, weight, 0))
    step = 1.0 if 0 < scale < np.inf else 0.0
    for _ in range(100):  # each step is shorter by the share of the numbers that are near
        if abs(step) < 1e-12:
            break
        step = np.average(np.clip((numbers - centre) / scale, -1, 1), weights=weight)
        centre += scale * step
    return centre, scale


def _weighted_median(numbers: np.ndarray, weight: np.ndarray) -> float:
    """The median of numbers of which one with the weight 2 stands there twice; 0 without any weight."""
    order = np.argsort(numbers, kind="stable")
    below = np.cumsum(weight[order], dtype=np.float64)
    if not below[-1]:
        return 0.0
    # Halves that are equal but for rounding have the mean of the numbers on both sides, as everywhere.
    places = np.searchsorted(below, 0.5 * below[-1] * np.array([1 - 1e-12, 1 + 1e-12]))
    return float((0.5 * numbers[order[places]]).sum())


def head_of(predictor: SentencePredictor) -> Head:
    """The head of a fitted model."""
    if isinstance(predictor, RegressionPredictor):
        return Numbers(predictor.target_mean, predictor.target_scale, predictor.one_dimensional)
    if isinstance(predictor, MultilabelPredictor):
        return Labels(predictor.classes_, predictor.threshold)
    assert isinstance(predictor, Predictor)
    return Classes(predictor.classes_)


def is_indicator(y: Any, name: str) -> bool:
    """Whether y is a matrix with a column for each of several labels.

    Raises
    ------
    ValueError
        If y is made of sets, or of lists of different lengths.
    """
    if hasattr(y, "toarray"):  # a sparse matrix
        return True
    shape = getattr(y, "shape", None)
    holds_objects = getattr(getattr(y, "dtype", None), "kind", "") == "O" and np.ndim(y) == 1
    if isinstance(y, (list, tuple)) or holds_objects:
        groups = [item for item in y if isinstance(item, (set, frozenset, list, tuple, np.ndarray))]
        lengths = {len(group) if isinstance(group, (list, tuple, np.ndarray)) else -1 for group in groups}
        if groups and (shape is not None or len(groups) < len(y) or len(lengths) > 1 or -1 in lengths):
            raise ValueError(
                f"{name} has {groups[0]!r:.50} among its items, but with several labels for a text it must "
                "be a matrix of 0 and 1, which scikit-learn's MultiLabelBinarizer makes of lists or sets"
            )
        shape = np.shape(y) if groups else None
    return shape is not None and len(shape) == 2 and shape[1] > 1


def as_indicator(y: Any, name: str) -> np.ndarray:
    """A matrix of 0 and 1 as a bool array of shape (n_texts, n_labels)."""
    matrix = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    wrong = np.argwhere(~((matrix == 0) | (matrix == 1)))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise ValueError(
            f"{name}[{row}, {column}] is {matrix[row, column]!s}, but with several labels {name} must be a "
            "matrix of 0 and 1; scikit-learn's MultiLabelBinarizer makes one of lists of labels"
        )
    return np.ascontiguousarray(matrix, dtype=bool)


def label_names(y: Any) -> np.ndarray:
    """Names of the columns of a frame, or their numbers."""
    columns = list(getattr(y, "columns", []))
    if columns and all(isinstance(column, str) for column in columns):
        return np.array(columns)
    return np.arange(y.shape[1] if hasattr(y, "shape") else len(y[0]))


# What scikit-learn says, before all numbers, and its checks of estimators look for.
COMPLEX = "Complex data not supported"


def as_labels(y: Any, name: str) -> np.ndarray:
    """Class labels as a 1-D array that can be sorted."""
    if y is None:
        raise ValueError(
            f"training requires y to be passed, but the target y is None; give {name}, a label for each text"
        )
    try:
        labels = column_or_1d(y, warn=True)
    except ValueError as error:
        if not str(error).startswith(COMPLEX):
            raise
        raise ValueError(
            f"{COMPLEX}: {name} holds complex numbers; give strings, integers or booleans"
        ) from None
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


def as_numbers(y: Any, name: str) -> np.ndarray:
    """Targets of regression as a float64 array of one or two dimensions."""
    if y is None:
        raise ValueError(
            f"training requires y to be passed, but the target y is None; give {name}, a number for each text"
        )
    if hasattr(y, "toarray"):
        raise TypeError(
            f"{name} is a sparse matrix, but regression needs an array of numbers; give toarray()"
        )
    try:
        numbers = np.asarray(y)
        if numbers.dtype.kind in "USmMcV":
            raise ValueError(f"of the type {numbers.dtype}")
        numbers = numbers.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no array of numbers ({error}); give a number for each text") from None
    if numbers.ndim not in (1, 2) or (numbers.ndim == 2 and numbers.shape[1] == 0):
        raise ValueError(
            f"{name} has shape {numbers.shape}, but it must be (n_texts,) or (n_texts, n_targets)"
        )
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        where = ", ".join(map(str, place))
        raise ValueError(
            f"{name}[{where}] is {numbers[place]}, but every target must be finite; drop its text"
        )
    return numbers
