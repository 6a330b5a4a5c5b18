"""Model files for the commands that work with models of one kind."""

from __future__ import annotations

from typing import Any

from textcnn.cli.lines import InputError


def load_tagger(path: str, n_jobs: int | None = None) -> Any:
    """The TagPredictor of a model file; a classifier raises."""
    model = load_any(path, n_jobs)
    if not is_tagger(model):
        raise InputError(
            f"{path} holds a classifier, but a tagger was expected; label texts with textcnn predict"
        )
    return model


def load_sentence_model(path: str, n_jobs: int | None = None) -> Any:
    """The predictor of a classifier or regressor; a tagger raises."""
    model = load_any(path, n_jobs)
    if is_tagger(model):
        raise InputError(
            f"{path} holds a tagger, but a classifier was expected; find spans in texts with textcnn tag"
        )
    return model


def load_any(path: str, n_jobs: int | None = None) -> Any:
    """What textcnn.load makes of a model file; a model for embedded text raises."""
    import textcnn

    model: Any = textcnn.load(path, n_jobs=n_jobs)
    if not is_tagger(model) and model.vocabulary is None:
        raise InputError(
            f"{path} holds a model for embedded text, but commands have text; use it in Python, with "
            'textcnn.load("MODEL")'
        )
    return model


def has_filters(predictor: Any) -> bool:
    """Whether the features are filters over words, and not what layers in their place make of the text."""
    from textcnn.nn.sentence_cnn import SentenceCNN

    return isinstance(predictor.network, SentenceCNN)


def is_tagger(model: Any) -> bool:
    """Whether a model tags tokens, and does not label texts."""
    from textcnn.tag_predictor import TagPredictor

    return isinstance(model, TagPredictor)
