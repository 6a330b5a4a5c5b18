"""Looking into a fitted model: filters, receptive fields, neighbours of words, learning curves, errors.

Each function gives data; those called ``plot_...`` draw such data with matplotlib, which nothing else here
needs. ``textcnn report`` puts all of it on one page.

The functions of this package take a fitted estimator or what `textcnn.load` gives; only `learning_curves`
needs the estimator.
"""

from textcnn.inspection.errors import (
    ConfusionMatrix,
    LabelError,
    NumberError,
    Predictions,
    TagError,
    TextError,
    confusion_matrix,
    predictions,
    worst_errors,
    worst_tag_errors,
)
from textcnn.inspection.filters import (
    ActivationMap,
    FilterNGram,
    IdealNGram,
    TopNGrams,
    activation_map,
    ideal_ngrams,
    top_ngrams,
)
from textcnn.inspection.plots import (
    plot_activation_map,
    plot_confusion_matrix,
    plot_ideal_ngram,
    plot_learning_curves,
    plot_nearest_words,
    plot_predictions,
    plot_receptive_field,
    plot_top_ngrams,
)
from textcnn.inspection.tagging import ReceptiveField, receptive_field
from textcnn.inspection.training import LearningCurves, learning_curves
from textcnn.inspection.words import Neighbour, nearest_words

__all__ = [
    "ActivationMap",
    "ConfusionMatrix",
    "FilterNGram",
    "IdealNGram",
    "LabelError",
    "LearningCurves",
    "Neighbour",
    "NumberError",
    "Predictions",
    "ReceptiveField",
    "TagError",
    "TextError",
    "TopNGrams",
    "activation_map",
    "confusion_matrix",
    "ideal_ngrams",
    "learning_curves",
    "nearest_words",
    "plot_activation_map",
    "plot_confusion_matrix",
    "plot_ideal_ngram",
    "plot_learning_curves",
    "plot_nearest_words",
    "plot_predictions",
    "plot_receptive_field",
    "plot_top_ngrams",
    "predictions",
    "receptive_field",
    "top_ngrams",
    "worst_errors",
    "worst_tag_errors",
]
