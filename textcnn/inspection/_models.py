"""What the functions of this package take as a model."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from textcnn.nn.sentence_cnn import SentenceCNN
from textcnn.predictor import MultilabelPredictor, Predictor, RegressionPredictor, SentencePredictor
from textcnn.tag_predictor import TagPredictor


def predictor_of(model: Any) -> SentencePredictor | TagPredictor:
    """The runtime of a fitted estimator, or the model itself if it is one."""
    if isinstance(model, (SentencePredictor, TagPredictor)):
        return model
    if hasattr(model, "_fitted"):
        predictor = model._fitted()  # raises if the estimator is not fitted
        if isinstance(predictor, (SentencePredictor, TagPredictor)):
            return predictor
    raise TypeError(
        f"model is a {type(model).__name__}, but a fitted TextCNNClassifier, TextCNNRegressor or "
        "TextCNNTagger, or what textcnn.load gives, was expected"
    )


def labeller_of(model: Any) -> Predictor | MultilabelPredictor | TagPredictor:
    """The runtime of a classifier or tagger: of what gives labels."""
    predictor = predictor_of(model)
    if not isinstance(predictor, (Predictor, MultilabelPredictor, TagPredictor)):
        raise TypeError(
            f"model is a {type(model).__name__}, which predicts numbers, but a classifier or a tagger was "
            "expected; see textcnn.inspection.predictions"
        )
    return predictor


def sentence_model_of(model: Any) -> SentencePredictor:
    """The runtime of a classifier or regressor."""
    predictor = predictor_of(model)
    if isinstance(predictor, TagPredictor):
        raise TypeError(
            f"model is a {type(model).__name__}, a tagger, but a classifier or regressor was expected; see "
            "textcnn.inspection.worst_tag_errors"
        )
    return predictor


def regressor_of(model: Any) -> RegressionPredictor:
    """The runtime of a regressor."""
    predictor = predictor_of(model)
    if not isinstance(predictor, RegressionPredictor):
        raise TypeError(
            f"model is a {type(model).__name__}, which predicts labels, but a regressor was expected; see "
            "textcnn.inspection.confusion_matrix"
        )
    return predictor


def filters_of(model: Any) -> tuple[SentencePredictor, SentenceCNN]:
    """The runtime of a model whose features are filters over words, and its network."""
    predictor = predictor_of(model)
    if isinstance(predictor, TagPredictor):
        raise TypeError(f"model is a {type(model).__name__}, a tagger, but a classifier was expected")
    if not isinstance(predictor.network, SentenceCNN):
        raise TypeError(
            f"model is a {type(model).__name__} with layers in place of filters over words, so that no "
            "n-gram stands for a feature; look into a model with the defaults of body, stride, dilation, "
            "padding_mode and pooling"
        )
    return predictor, predictor.network


def tagger_of(model: Any) -> TagPredictor:
    """The runtime of a tagger."""
    predictor = predictor_of(model)
    if not isinstance(predictor, TagPredictor):
        raise TypeError(f"model is a {type(model).__name__}, a classifier, but a tagger was expected")
    return predictor


def checked_count(n: Any, name: str = "n") -> int:
    """A number of 1 or more."""
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"{name} is {n!r}, but a number of 1 or more was expected")
    return int(n)
