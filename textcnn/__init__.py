"""Convolutional networks for text in Cython, with the interface of scikit-learn.

Names and packages are imported when they are first used, so that ``textcnn.load`` and the command line
start without scikit-learn.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from textcnn._version import __version__

if TYPE_CHECKING:
    from textcnn._show_versions import show_versions
    from textcnn.classifier import TextCNNClassifier
    from textcnn.io import ModelFileError
    from textcnn.predictor import (
        Explanation,
        MultilabelPredictor,
        NGram,
        Predictor,
        RegressionPredictor,
        load,
    )
    from textcnn.regressor import TextCNNRegressor
    from textcnn.tag_predictor import TaggedSpan, TaggedText, TagPredictor, TokenSpan
    from textcnn.tagger import TextCNNTagger
    from textcnn.text.vectors import WordVectors, load_vectors
    from textcnn.text.vocabulary import Vocabulary


def _check_machine(byteorder: str, largest_size: int) -> None:
    """Raise on machines for which neither the kernels nor the model files were made."""
    if byteorder != "little" or largest_size < 2**63 - 1:
        raise ImportError(
            f"this Python is {largest_size.bit_length() + 1}-bit and {byteorder}-endian, but textcnn needs a "
            "64-bit little-endian one, such as x86-64 or ARM64; use another Python or machine"
        )


_check_machine(sys.byteorder, sys.maxsize)

_HOMES = {
    "Explanation": "textcnn.predictor",
    "ModelFileError": "textcnn.io",
    "MultilabelPredictor": "textcnn.predictor",
    "NGram": "textcnn.predictor",
    "Predictor": "textcnn.predictor",
    "RegressionPredictor": "textcnn.predictor",
    "TagPredictor": "textcnn.tag_predictor",
    "TaggedSpan": "textcnn.tag_predictor",
    "TaggedText": "textcnn.tag_predictor",
    "TextCNNClassifier": "textcnn.classifier",
    "TextCNNRegressor": "textcnn.regressor",
    "TextCNNTagger": "textcnn.tagger",
    "TokenSpan": "textcnn.tag_predictor",
    "Vocabulary": "textcnn.text.vocabulary",
    "WordVectors": "textcnn.text.vectors",
    "load": "textcnn.predictor",
    "load_vectors": "textcnn.text.vectors",
    "show_versions": "textcnn._show_versions",
}

__all__ = [
    "Explanation",
    "ModelFileError",
    "MultilabelPredictor",
    "NGram",
    "Predictor",
    "RegressionPredictor",
    "TagPredictor",
    "TaggedSpan",
    "TaggedText",
    "TextCNNClassifier",
    "TextCNNRegressor",
    "TextCNNTagger",
    "TokenSpan",
    "Vocabulary",
    "WordVectors",
    "__version__",
    "load",
    "load_vectors",
    "show_versions",
]


_PACKAGES = ("data", "inspection", "metrics", "ops")


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"textcnn.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'textcnn' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_PACKAGES})
