"""scikit-learn's own checks of estimators, on tables of numbers and on the same tables written as text."""

from functools import partial

import numpy as np
import pytest
from sklearn.utils.estimator_checks import (
    check_dict_unchanged,
    estimator_checks_generator,
    parametrize_with_checks,
)
from sklearn.utils.validation import validate_data

from textcnn import TextCNNClassifier, TextCNNRegressor, _sentence_estimator
from textcnn.nn import ngram_linear
from textcnn.nn.layer_cnn import LayerCNN
from textcnn.nn.ngram_linear import LinearOptions

# It asks for the same model, to 1e-7, from a text of weight 2 as from the text twice.
WEIGHTS = "check_sample_weight_equivalence_on_dense_data"

# Every check meets the default parameters, but for these. docs/sklearn.md has the list.
NUMBERS = {
    # Dropout draws other masks for a text that is there twice. The texts of the check fit into one batch.
    WEIGHTS: {"dropout": 0.0},
    # A filter as wide as the text, and no zeros around it: the check wants a linear function of one column
    # out of ten, while narrow filters that are pooled over the text meet a column at any place.
    "check_regressors_train": {"padding": "valid", "kernel_sizes": (10,)},
}


def name_of(check):
    """A check comes as partial(check, name of the estimator), with options for some."""
    return check.func.__name__


@pytest.fixture(autouse=True)
def with_array_api(monkeypatch):
    """The check of array API input skips itself without this variable."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


def assert_passes(check, estimator):
    """A check raises by itself, an AssertionError for the most part."""
    check(estimator)


@parametrize_with_checks([TextCNNClassifier(), TextCNNRegressor()])
def test_numbers(estimator, check):
    assert_passes(check, estimator.set_params(**NUMBERS.get(name_of(check), {})))


def test_the_named_checks_exist():
    names = {name_of(check) for _, check in estimator_checks_generator(TextCNNRegressor())}
    names |= {name_of(check) for _, check in estimator_checks_generator(TextCNNClassifier())}
    assert {*NUMBERS, *TEXT, WEIGHTS} <= names


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


WORDS = written(np.full((1, 30), np.inf))[0]  # all that a table of 30 columns can have

# The same model from a text of weight 2 as from the text twice: no random masks; and vectors that are given,
# since a text that is there twice makes its words more frequent, which moves them to other places in the
# vocabulary, where other random vectors wait for them.
SAME = {
    "dropout": 0.0,
    "word_dropout": 0.0,
    "embeddings": dict(zip(WORDS, np.random.RandomState(42).randn(len(WORDS), 8), strict=True)),
}


class InDoublePrecision:
    """The default network as layers in float64, as for embedded text, and a linear part that converges.

    1e-7 is beyond float32, and the linear part stops when it is near enough for predictions.
    """

    def _new_body(self, is_needed=False):
        return super()._new_body(is_needed=True)

    def _new_network(self, *arguments):
        return in_double_precision(super()._new_network(*arguments))

    def _fitted_linear(self, model, examples):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                _sentence_estimator, "LinearOptions", partial(LinearOptions, tol=1e-12, max_iter=10**5)
            )
            patch.setattr(ngram_linear, "RIDGE_TOLERANCE", 1e-13)
            patch.setattr(ngram_linear, "RIDGE_PASSES", 10**5)
            return super()._fitted_linear(model, examples)


def in_double_precision(network):
    embedding, weights, bias = (
        array.astype(np.float64) for array in (network.embedding, network.weights, network.bias)
    )
    for layer in network.body.layers().values():
        layer.arrays = {name: array.astype(np.float64) for name, array in layer.arrays.items()}
    return LayerCNN(embedding, network.body, weights, bias, network.n_frozen)


class PreciseClassifier(InDoublePrecision, WrittenClassifier):
    pass


class PreciseRegressor(InDoublePrecision, WrittenRegressor):
    pass


PRECISE = {WrittenClassifier: PreciseClassifier, WrittenRegressor: PreciseRegressor}

TEXT = {
    # With a stronger linear part probabilities in float32 round to 1, whose logarithm is 0 for NumPy, while
    # predict_log_proba gives the small number that it is.
    "check_classifiers_train": {"linear_C": 0.01},
}


@parametrize_with_checks([WrittenClassifier(), WrittenRegressor()])
def test_written_numbers(estimator, check):
    if name_of(check) == WEIGHTS:
        estimator = PRECISE[type(estimator)](**SAME)
    assert_passes(check, estimator.set_params(**TEXT.get(name_of(check), {})))


@pytest.mark.parametrize("kind", [WrittenClassifier, WrittenRegressor])
def test_weights_of_text_are_repetitions(kind):
    """For the network with kernels of its own too, as near as float32 is."""
    rng = np.random.RandomState(42)
    X, y, weight = rng.rand(15, 30), rng.randint(0, 3, 15), rng.randint(0, 5, 15)
    model = kind(**SAME, linear=0, random_state=0)
    weighted = model.fit(X, y, sample_weight=weight).transform(X), model.predict(X)
    repeated = model.fit(X.repeat(weight, axis=0), y.repeat(weight)).transform(X), model.predict(X)
    for one, other in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
