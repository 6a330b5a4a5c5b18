"""scikit-learn's own checks of estimators, on tables of numbers and on the same tables written as text."""

from functools import partial

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_dict_unchanged, parametrize_with_checks
from sklearn.utils.validation import validate_data

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


def assert_passes(check, estimator):
    """A check raises by itself, an AssertionError for the most part."""
    check(estimator)


@parametrize_with_checks([CLASSIFIER, REGRESSOR])
def test_numbers(estimator, check):
    assert_passes(check, estimator)


def test_checks_can_fail():
    class Remembers(TextCNNClassifier):
        def predict(self, X):
            self.seen_ = len(X)
            return super().predict(X)

    with pytest.raises(AssertionError, match="Estimator changes __dict__"):
        assert_passes(partial(check_dict_unchanged, "Remembers"), Remembers(dropout=0.0))


THRESHOLDS = [0, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 50]


def written(table):
    """Each row as a list of tokens: which thresholds each of its numbers exceeds."""
    signed = sorted({sign * threshold for threshold in THRESHOLDS for sign in (-1, 1)})
    return [[f"x{j}>{t}" for j, value in enumerate(row) for t in signed if value > t] for row in table]


class WritesNumbers:
    """Takes a table of numbers and gives texts to the estimator behind it in the order of inheritance."""

    def _new_texts(self, X):
        return written(validate_data(self, X))

    def _texts_like_before(self, X):
        return self._checked_table(X)

    def _checked_table(self, X):
        return written(validate_data(self, X, reset=False))


class WrittenClassifier(WritesNumbers, TextCNNClassifier):
    pass


class WrittenRegressor(WritesNumbers, TextCNNRegressor):
    pass


IDS = (
    "a text given twice makes its words more frequent, so that they get other places in the vocabulary and "
    "other random vectors; test_weights_of_text_are_repetitions has given ones, and float32 in place of 1e-7"
)


# linear_C: with a stronger linear part probabilities in float32 round to 1, whose logarithm is 0 for NumPy,
# while predict_log_proba gives the small number that it is.
@parametrize_with_checks(
    [WrittenClassifier(linear_C=0.01), WrittenRegressor()],
    expected_failed_checks=lambda estimator: {"check_sample_weight_equivalence_on_dense_data": IDS},
)
def test_written_numbers(estimator, check):
    assert_passes(check, estimator)


@pytest.mark.parametrize("kind", [WrittenClassifier, WrittenRegressor])
def test_weights_of_text_are_repetitions(kind):
    rng = np.random.RandomState(42)
    X, y, weight = rng.rand(15, 30), rng.randint(0, 3, 15), rng.randint(0, 5, 15)
    words = sorted({word for text in written(X) for word in text})
    vectors = dict(zip(words, rng.randn(len(words), 8), strict=True))
    options = {"embeddings": vectors, "embedding_mode": "static", "linear": 0, "random_state": 0}
    model = kind(dropout=0.0, word_dropout=0.0, **options)
    weighted = model.fit(X, y, sample_weight=weight).transform(X), model.predict(X)
    repeated = model.fit(X.repeat(weight, axis=0), y.repeat(weight)).transform(X), model.predict(X)
    for one, other in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
