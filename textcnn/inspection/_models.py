"""What the functions of this package take as a model."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from textcnn.predictor import Predictor
from textcnn.tag_predictor import TagPredictor


def predictor_of(model: Any) -> Predictor | TagPredictor:
    """The runtime of a fitted estimator, or the model itself if it is one."""
    if isinstance(model, (Predictor, TagPredictor)):
        return model
    if hasattr(model, "_fitted"):
        predictor = model._fitted()  # raises if the estimator is not fitted
        if isinstance(predictor, (Predictor, TagPredictor)):
            return predictor
    raise TypeError(
        f"model is a {type(model).__name__}, but a fitted TextCNNClassifier or TextCNNTagger, or what "
        "textcnn.load gives, was expected"
    )


def classifier_of(model: Any) -> Predictor:
    """The runtime of a classifier."""
    predictor = predictor_of(model)
    if isinstance(predictor, TagPredictor):
        raise TypeError(f"model is a {type(model).__name__}, a tagger, but a classifier was expected")
    return predictor


def tagger_of(model: Any) -> TagPredictor:
    """The runtime of a tagger."""
    predictor = predictor_of(model)
    if isinstance(predictor, Predictor):
        raise TypeError(f"model is a {type(model).__name__}, a classifier, but a tagger was expected")
    return predictor


def checked_count(n: Any, name: str = "n") -> int:
    """A number of 1 or more."""
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"{name} is {n!r}, but a number of 1 or more was expected")
    return int(n)
