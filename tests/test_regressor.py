"""`TextCNNRegressor`: targets and their units, linear part, training on, files, errors."""

import copy
import inspect
import pickle
import re
import signal
import threading

import joblib
import numpy as np
import pytest
from samples import GOOD, reviews, same_bits
from scipy.sparse import csr_matrix
from sklearn.base import clone, is_regressor
from sklearn.ensemble import StackingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

import textcnn
from textcnn import ModelFileError, RegressionPredictor, TextCNNClassifier, TextCNNRegressor
from textcnn.io import load_arrays, save_arrays
from textcnn.nn.layers import ACTIVATIONS
from textcnn.text.corpus import Corpus


def valued(n, seed):
    """Texts and numbers: 300, and 50 more with a good word, and 20 more with the word town."""
    texts, _ = reviews(n, seed)
    words = [set(text.split()) for text in texts]
    return texts, np.array([300.0 + 50 * bool(found & set(GOOD)) + 20 * ("town" in found) for found in words])


X, Y = valued(120, 0)
X_NEW, Y_NEW = valued(40, 1)
Y_TWO, Y_NEW_TWO = np.stack([Y, -Y / 1000], axis=1), np.stack([Y_NEW, -Y_NEW / 1000], axis=1)


def small(**params):
    defaults = {"embedding_dim": 16, "n_filters": 8, "kernel_sizes": (1, 2), "random_state": 0, "n_jobs": 1}
    return TextCNNRegressor(
        **(defaults | {"batch_size": 10, "max_iter": 30, "learning_rate_init": 0.01, "dropout": 0.1} | params)
    )


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, Y)


@pytest.mark.parametrize("linear", [0, 0.5, 0.99])
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_learns_and_generalises(linear, loss):
    model = small(linear=linear, loss=loss).fit(X, Y)
    assert model.score(X, Y) > 0.95
    assert model.score(X_NEW, Y_NEW) > 0.85
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert is_regressor(model)


@pytest.mark.parametrize(
    "params",
    [
        *[{"activation": activation} for activation in ACTIVATIONS],
        {"learning_rate": "cosine", "warmup_steps": 20},
        {"learning_rate": "constant"},
        {"learning_rate": "adaptive", "n_iter_no_change": 2},
        {"learning_rate": "invscaling", "learning_rate_init": 0.05},
        {"solver": "sgd", "learning_rate_init": 0.03},
        {"solver": "adadelta", "learning_rate_init": 1.0, "max_iter": 100},
        {"max_grad_norm": 0.5},
        {"padding": "valid", "kernel_sizes": (5,)},
        {"batch_size": 1, "max_iter": 8},
        {"batch_size": 1000, "max_iter": 300},
        {"alpha": 0.01},
    ],
    ids=str,
)
def test_every_option_learns(params):
    model = small(**({"linear": 0, "dropout": 0.0, "word_dropout": 0.0} | params)).fit(X, Y)
    assert model.score(X, Y) >= 0.9


def test_predictions_have_the_form_of_y(fitted):
    assert fitted.predict(X_NEW).shape == (40,)
    assert fitted.predict(X_NEW).dtype == np.float64
    assert fitted.predict([]).shape == (0,)
    column = small(max_iter=2).fit(X, Y[:, np.newaxis])
    assert column.predict(X_NEW).shape == (40, 1)
    two = small().fit(X, Y_TWO)
    assert two.predict(X_NEW).shape == (40, 2)
    assert two.predict([]).shape == (0, 2)
    assert two.score(X_NEW, Y_NEW_TWO) > 0.85
    assert "2 targets" in repr(two.predictor_)
    assert "1 target," in repr(fitted.predictor_)


def test_targets_are_standardised_and_turned_back(fitted):
    np.testing.assert_allclose(fitted.target_mean_, [Y.mean()])
    np.testing.assert_allclose(fitted.target_scale_, [Y.std()])
    moved = small().fit(X, 1000 * Y - 7)
    np.testing.assert_allclose(moved.predict(X_NEW), 1000 * fitted.predict(X_NEW) - 7, rtol=1e-3)
    weight = np.arange(120) % 3
    model = small(max_iter=1).fit(X, Y, sample_weight=weight)
    np.testing.assert_allclose(model.target_mean_, np.average(Y, weights=weight))


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
@pytest.mark.parametrize("linear", [0, 0.5])
def test_equal_targets_are_predicted_as_they_are(loss, linear):
    weight = np.ones(120)
    weight[0] = 0
    targets = np.stack([np.full(120, 0.1), Y], axis=1)
    targets[0, 0] = 7  # of a text that counts nothing
    model = small(max_iter=3, loss=loss, linear=linear).fit(X, targets, sample_weight=weight)
    assert model.target_scale_[0] == 1.0
    assert (model.predict([*X_NEW, ""])[:, 0] == 0.1).all()
    assert len(set(model.predict(X_NEW)[:, 1])) > 1
    explanation = model.explain(X_NEW[:1])[0]
    assert not any(ngram.contributions[0] for ngram in explanation.ngrams)
    one = small(max_iter=1, loss=loss, linear=linear).fit(["a single text"], [3])
    assert one.predict(["a single text", "another"]).tolist() == [3, 3]
    embedded = TextCNNRegressor(max_iter=1, n_filters=4).fit(np.ones((3, 4, 2)), [0.1] * 3)
    assert embedded.predict(np.ones((1, 4, 2))).tolist() == [0.1]


def test_training_goes_on_from_equal_targets():
    model = small(max_iter=30).partial_fit(X[:1], Y[:1])
    assert model.predict(X[:2]).tolist() == [Y[0], Y[0]]
    for _ in range(100):
        model.partial_fit(X, Y)
    assert model.score(X, Y) > 0.5


def with_outliers(y, share=0.1, height=1e4):
    wild = y.copy()
    wild[np.random.default_rng(0).permutation(len(y))[: int(share * len(y))]] += height
    return wild


@pytest.mark.parametrize("linear", [0, 0.5, 0.99])
def test_huber_resists_wild_targets(linear):
    def error(loss, y):
        return np.abs(small(loss=loss, linear=linear).fit(X, y).predict(X_NEW) - Y_NEW).mean()

    clean, spoilt = error("huber", Y), error("huber", with_outliers(Y))
    assert clean < 9  # of targets from 300 to 370
    assert spoilt < clean + 6
    assert spoilt < 0.05 * error("squared_error", with_outliers(Y))


@pytest.mark.parametrize("linear", [0, 0.5])
def test_huber_does_not_ask_how_wild_a_target_is(linear):
    near = small(loss="huber", linear=linear, max_iter=3).fit(X, with_outliers(Y, height=1e4))
    far = small(loss="huber", linear=linear, max_iter=3).fit(X, with_outliers(Y, height=1e9))
    np.testing.assert_allclose(far.predict(X_NEW), near.predict(X_NEW), rtol=1e-5)


def test_centre_and_scale_of_huber():
    model = small(loss="huber", max_iter=1).fit(["a"] * 5, [1, 2, 3, 5, 1000])
    # the outlier counts as one scale: 1 + 2 + 3 + 5 - 4 m + s = 0
    np.testing.assert_allclose(model.target_mean_, (11 + 1.4826 * 2) / 4)
    assert model.target_scale_.tolist() == [1.4826 * 2]
    for n in (7, 8):  # numbers as given by NumPy, without weights
        y = np.random.default_rng(n).normal(size=n)
        model = small(loss="huber", max_iter=1).fit(["a"] * n, y)
        near = np.clip((y - model.target_mean_) / model.target_scale_, -1, 1)
        assert abs(near.mean()) < 1e-9
        np.testing.assert_allclose(model.target_scale_, 1.4826 * np.median(np.abs(y - np.median(y))))
    # more than half are the median: the deviations of the others, 1 and 3
    mostly = small(loss="huber", max_iter=1).fit(["a"] * 5, [4, 4, 4, 5, 7])
    np.testing.assert_allclose(mostly.target_mean_, 4.8)
    assert mostly.target_scale_.tolist() == [1.4826 * 2]


def test_huber_weight_two_is_the_text_twice_and_zero_is_absence():
    options = {"batch_size": 1000, "dropout": 0.0, "word_dropout": 0.0, "shuffle": False, "max_iter": 3}
    y = with_outliers(Y)
    texts, numbers = [*X, X[0], X[3]], np.concatenate([y, y[[0, 3]]])
    weight = np.ones(122)
    weight[[0, 3]] = 2
    weight[120:] = 0
    doubled = small(loss="huber", **options).fit(texts, numbers)
    weighted = small(loss="huber", **options).fit(texts, numbers, sample_weight=weight)
    np.testing.assert_allclose(weighted.target_mean_, doubled.target_mean_)
    np.testing.assert_allclose(weighted.target_scale_, doubled.target_scale_)
    np.testing.assert_allclose(weighted.predict(X_NEW), doubled.predict(X_NEW), atol=0.3)
    centre = small(loss="huber", max_iter=1).fit(texts, numbers, sample_weight=0.1 * weight).target_mean_
    np.testing.assert_allclose(centre, doubled.target_mean_)


def test_explanations_of_huber_add_up():
    model = small(loss="huber", max_iter=3).fit(X, with_outliers(Y))
    for explanation, value in zip(model.explain(X_NEW), model.predict(X_NEW), strict=True):
        total = explanation.bias + sum(ngram.contributions for ngram in explanation.ngrams)
        np.testing.assert_allclose(total, explanation.logits, rtol=1e-6)
        np.testing.assert_allclose(explanation.label, value, rtol=1e-6)


def test_a_target_beyond_single_precision_is_refused():
    with pytest.raises(ValueError, match=r"y has a number more than 1e\+15 times the spread of the others"):
        small(loss="huber").fit(X, with_outliers(Y, height=1e300))


@pytest.mark.parametrize("linear", [0, 0.5])
def test_identical_bits_for_any_number_of_threads_and_any_company(linear):
    params = {"embedding_dim": 200, "n_filters": 100, "batch_size": 40, "max_iter": 2, "linear": linear}
    models = [small(n_jobs=n, **params).fit(X, Y_TWO) for n in (1, 2, 3)]
    expected = models[0].predict(X_NEW)
    for model in models:
        assert same_bits(model, models[0])
        assert model.predict(X_NEW).tobytes() == expected.tobytes()
    assert np.concatenate([models[0].predict([text]) for text in X_NEW]).tobytes() == expected.tobytes()


def test_weight_two_is_the_text_twice_and_zero_is_absence():
    options = {"batch_size": 1000, "dropout": 0.0, "word_dropout": 0.0, "shuffle": False, "max_iter": 3}
    texts, numbers = [*X, X[0], X[3]], np.concatenate([Y, Y[[0, 3]]])
    weight = np.ones(122)
    weight[[0, 3]] = 2
    weight[120:] = 0
    doubled = small(**options).fit(texts, numbers)
    weighted = small(**options).fit(texts, numbers, sample_weight=weight)
    np.testing.assert_allclose(weighted.predict(X_NEW), doubled.predict(X_NEW), atol=0.3)
    np.testing.assert_allclose(weighted.loss_curve_, doubled.loss_curve_, rtol=1e-4)
    assert not same_bits(small(**options).fit(texts, numbers), weighted)


def test_predictions_are_the_weighted_mean_of_network_and_linear_part():
    model = small(linear=0.3, max_iter=3).fit(X, Y_TWO)
    predictor = model.predictor_
    network = predictor.network.logits(*predictor.vocabulary.encode(X_NEW), 1)
    linear = predictor.linear.scores(predictor.vocabulary.encode_fully(X_NEW), 1)
    expected = model.target_mean_ + model.target_scale_ * (0.7 * network + 0.3 * linear)
    np.testing.assert_allclose(model.predict(X_NEW), expected, rtol=1e-4)


def test_linear_parameters_reach_the_linear_part():
    coef = {
        C: np.abs(small(max_iter=1, linear_C=C).fit(X, Y).predictor_.linear.coef).sum() for C in (1e-3, 1.0)
    }
    assert coef[1e-3] < 0.5 * coef[1.0]
    words = small(max_iter=1, ngram_range=(1, 1), char_ngram_range=None, linear=0.99, linear_C=10.0).fit(X, Y)
    assert len(words.predictor_.linear.keys) == 0
    assert words.score(X_NEW, Y_NEW) > 0.9
    pairs = small(max_iter=1, ngram_range=(2, 2), char_ngram_range=None).fit(X, Y)
    assert not pairs.predictor_.linear.word_scores.any()


# Training on


def test_early_stopping_keeps_the_best_epoch_and_scores_are_r2():
    model = small(early_stopping=True, n_iter_no_change=3, max_iter=80, learning_rate="constant").fit(X, Y)
    assert model.n_iter_ < 80
    for y, y_new in ((Y, Y_NEW), (Y_TWO, Y_NEW_TWO)):
        model = small(learning_rate="constant", max_iter=15).fit(X, y, X_val=X_NEW, y_val=y_new)
        assert model.best_validation_score_ == pytest.approx(model.score(X_NEW, y_new), rel=1e-4)
    equal = small(max_iter=2).fit(X, Y, X_val=X_NEW, y_val=np.full(40, 300.0))
    assert equal.best_validation_score_ == 0.0


def test_warm_start_goes_on_in_the_units_of_the_first_fit():
    model = small(warm_start=True, max_iter=5).fit(X, Y)
    before, mean = model.loss_, model.target_mean_
    model.fit([*X, "zebra"], [*Y, 300.0])
    assert model.loss_curve_[0] < before
    assert "zebra" in model.vocabulary_
    assert (model.target_mean_ == mean).all()
    for wrong in (Y_TWO, Y[:, np.newaxis]):
        with pytest.raises(ValueError, match="the model has 1 target;"):
            model.fit(X, wrong)


def test_partial_fit_learns_and_adds_words():
    model = small()
    for _ in range(30):
        model.partial_fit(X, Y)
    assert model.predictor_.linear is None
    assert model.score(X_NEW, Y_NEW) > 0.85
    model.partial_fit(["zebra"], [300.0])
    assert "zebra" in model.vocabulary_
    kept = copy.deepcopy(small(max_iter=3).fit(X, Y))
    assert kept.partial_fit(X[:3], Y[:3]).predictor_.linear is not None


def test_members_and_interrupts():
    model = small(n_members=2, max_iter=2).fit(X, Y)
    assert model.n_members_ == 2
    with pytest.raises(ValueError, match="n_members is 2"):
        model.partial_fit(X, Y)
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.warns(UserWarning, match="interrupted after"):
        small(max_iter=10**6, n_iter_no_change=10**6).fit(X, Y)


def test_progress_names_the_score(capfd):
    small(max_iter=1, verbose=True).fit(X, Y, X_val=X_NEW, y_val=Y_NEW)
    assert "R2=" in capfd.readouterr().err


# Explanations and features


def test_explanations_add_up_in_the_units_of_the_target(fitted):
    texts = [*X_NEW, "", "zebra"]
    for explanation, value in zip(fitted.explain(texts), fitted.predict(texts), strict=True):
        total = explanation.bias + sum(ngram.contributions for ngram in explanation.ngrams)
        np.testing.assert_allclose(total, explanation.logits, rtol=1e-6)
        np.testing.assert_allclose(explanation.label, value, rtol=1e-6)
        sizes = [abs(ngram.contributions[0]) for ngram in explanation.ngrams]
        assert sizes == sorted(sizes, reverse=True)
    (explanation,) = fitted.explain(["the splendid play"])
    assert "splendid" in explanation.ngrams[0].text
    assert explanation.ngrams[0].contributions[0] > 5
    two = small(max_iter=3).fit(X, Y_TWO).explain(["the splendid play"])[0]
    assert np.shape(two.label) == two.logits.shape == two.ngrams[0].contributions.shape == (2,)


def test_transform(fitted):
    assert fitted.transform(X_NEW).shape == (40, 16) == (40, len(fitted.get_feature_names_out()))


# Files


def test_save_and_load(tmp_path):
    path = tmp_path / "m.textcnn"
    for y in (Y, Y_TWO, Y[:, np.newaxis]):
        model = small(max_iter=2, activation="tanh", loss="huber").fit(X, y)
        model.save(path)
        predictor, again = textcnn.load(path), TextCNNRegressor.load(path)
        assert isinstance(predictor, RegressionPredictor)
        for twin in (predictor, again):
            assert twin.predict(X_NEW).tobytes() == model.predict(X_NEW).tobytes()
            assert twin.predict(X_NEW).shape == model.predict(X_NEW).shape
        assert again.get_params() == model.get_params()
        assert same_bits(again.fit(X, y), model)
    with pytest.raises(ModelFileError, match="holds a TextCNNRegressor, not a TextCNNClassifier"):
        TextCNNClassifier.load(path)
    arrays, config = load_arrays(path)
    for name, value in {
        "target_mean": [0.0, 1.0],
        "target_scale": [0.0],
        "one_dimensional": None,
        "kind": "TextCNNClassifier",
        "task": "classification",
    }.items():
        save_arrays(
            path, arrays, {k: v for k, v in config.items() if k != name} | ({name: value} if value else {})
        )
        with pytest.raises(ModelFileError):
            (TextCNNClassifier if name == "kind" else TextCNNRegressor).load(path)


def test_clone_pickle_joblib_and_deepcopy(fitted, tmp_path):
    assert clone(fitted).get_params() == fitted.get_params()
    joblib.dump(fitted, tmp_path / "m.joblib")
    for twin in (
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "m.joblib"),
        copy.deepcopy(fitted),
    ):
        assert twin.predict(X_NEW).tobytes() == fitted.predict(X_NEW).tobytes()


# scikit-learn's tools, and errors


def test_search_and_cross_validation_and_stacking():
    search = GridSearchCV(small(max_iter=5), {"loss": ["squared_error", "huber"]}, cv=2, n_jobs=2).fit(X, Y)
    assert search.best_score_ > 0.5
    assert cross_val_score(small(), X, Y, cv=3).mean() > 0.8
    others = [("cnn", small()), ("ridge", make_pipeline(TfidfVectorizer(), Ridge()))]
    stack = StackingRegressor(others, cv=2).fit(np.array(X), Y)
    assert stack.score(np.array(X_NEW), Y_NEW) > 0.85


@pytest.mark.parametrize(
    ("texts", "y", "error", "message"),
    [
        (["a", "b"], [1.0, np.nan], ValueError, r"y\[1\] is nan"),
        (["a", "b"], [[1.0, 2.0], [1.0, np.inf]], ValueError, r"y\[1, 1\] is inf"),
        (["a", "b"], ["x", "y"], ValueError, "y is no array of numbers"),
        (["a", "b"], ["1", "2"], ValueError, "y is no array of numbers"),
        (["a", "b"], [1.0, None], ValueError, r"y\[1\] is nan|no array of numbers"),
        (["a", "b"], None, ValueError, "y is None"),
        (["a", "b"], [1.0], ValueError, "X has 2 texts, but y has 1 numbers"),
        (["a", "b"], [[[1.0]], [[2.0]]], ValueError, r"y has shape \(2, 1, 1\)"),
        (["a", "b"], [[1.0], [1.0, 2.0]], ValueError, "y is no array of numbers"),
        (["a", "b"], [1e308, -1e308], ValueError, "variance is not finite"),
        (["a", "b"], csr_matrix(np.eye(2)), TypeError, "y is a sparse matrix"),
        ([], [], ValueError, "X has no texts"),
        ("a text", [1.0], ValueError, "X is a single string"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_wrong_data_is_answered_by_a_sentence(texts, y, error, message):
    with pytest.raises(error, match=message):
        small().fit(texts, y)


def test_a_corpus_holds_no_numbers():
    with pytest.raises(TypeError, match="X is a Corpus, which holds classes"):
        small().fit(Corpus([(["a", "b"], [1, 2])]), None)
    with pytest.raises(ValueError, match="X_val is a Corpus, which holds classes"):
        small().fit(X, Y, X_val=Corpus([(["a", "b"], [1, 2])]))


@pytest.mark.parametrize("params", [{"loss": "poisson"}, {"activation": "swish"}, {"warmup_steps": -1}])
def test_wrong_parameters(params):
    with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter"):
        small(**params).fit(X, Y)


@pytest.mark.parametrize("method", ["predict", "transform", "explain"])
def test_not_fitted(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(small(), method)(X)


def test_there_are_no_probabilities(fitted):
    assert not hasattr(fitted, "predict_proba")
    assert not hasattr(fitted, "classes_")
    assert "class_weight" not in fitted.get_params()


@pytest.mark.parametrize("estimator", [TextCNNClassifier, TextCNNRegressor])
def test_every_parameter_is_described(estimator):
    text = inspect.getdoc(estimator)
    described = text[text.index("\nParameters\n") : text.index("\nAttributes\n")]
    names = {line.split(" :")[0] for line in described.splitlines() if re.match(r"\w.* :", line)}
    assert set(estimator().get_params()) <= names
    assert "\nn_iter_ : int\n" in text
    assert not re.search(r"\{(embedded|parameters|attributes)\}", text)
