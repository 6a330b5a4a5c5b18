"""The course of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class LearningCurves:
    """Training loss and validation score of each epoch.

    Attributes
    ----------
    loss : float64 ndarray of shape (n_epochs,)
        Mean training loss.
    validation : float64 ndarray of shape (n_epochs,), or None
        Score on the validation data, if there were any.
    """

    loss: np.ndarray
    validation: np.ndarray | None

    @property
    def best_epoch(self) -> int | None:
        """The first epoch with the highest validation score, counted from 1."""
        return None if self.validation is None else int(self.validation.argmax()) + 1


def learning_curves(model: Any) -> LearningCurves:
    """Training loss and validation score of each epoch of a fitted estimator.

    Parameters
    ----------
    model : fitted TextCNNClassifier or TextCNNTagger
        Their `load` brings the curves back from a model file; what `textcnn.load` gives has none.

    Returns
    -------
    LearningCurves

    Examples
    --------
    >>> from textcnn import TextCNNClassifier
    >>> from textcnn.inspection import learning_curves
    >>> clf = TextCNNClassifier(max_iter=3, random_state=0).fit(["good", "bad"], [1, 0])
    >>> curves = learning_curves(clf)
    >>> curves.loss.shape, curves.validation is None
    ((3,), True)
    """
    if not hasattr(model, "loss_curve_"):
        raise TypeError(
            f"this {type(model).__name__} knows nothing of a training; give a fitted estimator, or one that "
            "its load has read from a model file"
        )
    scores = model.validation_scores_
    validation = None if scores is None or len(scores) == 0 else np.array(scores, dtype=float)
    return LearningCurves(np.array(model.loss_curve_, dtype=float), validation)
