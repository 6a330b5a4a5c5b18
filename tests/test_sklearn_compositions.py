"""Classifier and regressor inside scikit-learn's estimators of estimators, on text."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

from textcnn import TextCNNClassifier, TextCNNRegressor

RNG = np.random.RandomState(0)
GOOD, BAD, NEUTRAL = ["good", "lovely", "fine"], ["bad", "dull", "poor"], ["film", "book", "plot", "the", "a"]
Y = np.arange(60) % 2
X = [" ".join([*RNG.choice(NEUTRAL, 3), RNG.choice(GOOD if y else BAD), RNG.choice(NEUTRAL)]) for y in Y]
LABELS = np.array(["no", "yes"])[Y]
FAST = {"n_filters": 8, "embedding_dim": 16, "kernel_sizes": (1, 2), "batch_size": 10, "random_state": 0}


def test_calibrated_classifier():
    model = CalibratedClassifierCV(TextCNNClassifier(**FAST), cv=3, ensemble=False).fit(X, LABELS)
    assert model.score(X, LABELS) == 1
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_stacking_beside_tf_idf():
    tf_idf = make_pipeline(TfidfVectorizer(), LogisticRegression())
    stack = StackingClassifier([("cnn", TextCNNClassifier(**FAST)), ("tf-idf", tf_idf)], cv=3).fit(X, LABELS)
    assert stack.score(X, LABELS) == 1
    assert stack.transform(X).shape == (60, 2)


def test_halving_grid_search():
    grid = {"n_filters": [1, 8], "padding": ["full", "valid"]}
    search = HalvingGridSearchCV(TextCNNClassifier(**FAST), grid, cv=3, random_state=0, min_resources=20)
    search.fit(np.array(X), LABELS)
    assert search.best_params_.keys() == grid.keys()
    assert search.score(X, LABELS) > 0.9


def test_halving_by_epochs():
    search = HalvingGridSearchCV(
        TextCNNRegressor(**FAST),
        {"n_filters": [2, 8]},
        resource="max_iter",
        max_resources=8,
        cv=3,
        random_state=0,
    )
    assert search.fit(X, Y).best_params_["max_iter"] > 1


@pytest.mark.parametrize("kind", [TextCNNClassifier, TextCNNRegressor])
def test_weights_are_routed(kind):
    """A meta-estimator hands on sample_weight if it is asked for, and refuses it if nothing was said."""
    weight = np.where(Y == 1, 1.0, 0.0)
    weight[0] = 1e-6
    model = kind(**FAST, linear=0, max_iter=2)
    with config_context(enable_metadata_routing=True):
        with pytest.raises(ValueError, match="sample_weight"):
            GridSearchCV(model, {"n_filters": [2]}, cv=3).fit(X, Y, sample_weight=weight)
        model = model.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        assert model.get_metadata_routing().fit.requests["sample_weight"] is True
        search = GridSearchCV(model, {"n_filters": [2]}, cv=3).fit(X, Y, sample_weight=weight)
    direct = kind(**{**FAST, "n_filters": 2}, linear=0, max_iter=2).fit(X, Y, sample_weight=weight)
    np.testing.assert_array_equal(search.best_estimator_.transform(X), direct.transform(X))


def test_validation_texts_are_routed():
    with config_context(enable_metadata_routing=True):
        model = TextCNNClassifier(**FAST, max_iter=2).set_fit_request(X_val=True, y_val=True)
        found = cross_validate(
            model, X, Y, cv=3, params={"X_val": X[:10], "y_val": Y[:10]}, return_estimator=True
        )
    assert all(len(each.validation_scores_) == 2 for each in found["estimator"])


@pytest.mark.parametrize("kind", [TextCNNClassifier, TextCNNRegressor])
def test_set_output_on_text(kind):
    pandas = pytest.importorskip("pandas")
    model = kind(**FAST, max_iter=1).set_output(transform="pandas")
    frame = model.fit(X, Y).transform(pandas.Series(X, index=range(100, 160)))
    assert frame.columns.tolist() == model.get_feature_names_out().tolist()
    assert frame.shape == (60, 16)
