"""`TextCNNClassifier` with several labels: shapes, thresholds, weights, files, scikit-learn's tools."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from samples import reviews, same_bits
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.base import clone
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

import textcnn
from textcnn import ModelFileError, MultilabelPredictor, Predictor, TextCNNClassifier
from textcnn.io import load_arrays, save_arrays


def labelled(n, seed):
    """Texts, and whether each is good, has the word town, and has the word late."""
    texts, labels = reviews(n, seed)
    words = [text.split() for text in texts]
    columns = [
        [label == "good" for label in labels],
        ["town" in found for found in words],
        ["late" in found for found in words],
    ]
    return texts, np.array(columns).T.astype(int)


X, Y = labelled(120, 0)
X_NEW, Y_NEW = labelled(40, 1)


def small(**params):
    defaults = {"embedding_dim": 16, "n_filters": 8, "kernel_sizes": (1, 2), "random_state": 0, "n_jobs": 1}
    return TextCNNClassifier(
        **(defaults | {"batch_size": 10, "max_iter": 20, "learning_rate_init": 0.01, "dropout": 0.2} | params)
    )


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, Y)


def test_learns_and_generalises(fitted):
    assert fitted.score(X, Y) >= 0.95
    assert fitted.score(X_NEW, Y_NEW) >= 0.8
    assert fitted.classes_.tolist() == [0, 1, 2]
    assert isinstance(fitted.predictor_, MultilabelPredictor)
    assert "3 labels" in repr(fitted.predictor_)


def test_shapes_and_types_are_those_of_scikit_learn(fitted):
    proba, predicted = fitted.predict_proba(X_NEW), fitted.predict(X_NEW)
    assert predicted.dtype == np.int64
    assert predicted.shape == proba.shape == (40, 3)
    logits = fitted.decision_function(X_NEW)
    np.testing.assert_allclose(proba, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    np.testing.assert_allclose(np.log(proba), fitted.predict_log_proba(X_NEW), rtol=1e-4, atol=1e-6)
    assert (predicted == (logits > 0)).all()
    assert fitted.predict([]).shape == fitted.predict_proba([]).shape == (0, 3)
    assert fitted.transform(X_NEW).shape == (40, 16)


def test_metrics_of_scikit_learn(fitted):
    assert roc_auc_score(Y_NEW, fitted.predict_proba(X_NEW)) > 0.95
    assert average_precision_score(Y_NEW, fitted.decision_function(X_NEW)) > 0.9
    assert f1_score(Y_NEW, fitted.predict(X_NEW), average="macro") > 0.9
    assert fitted.score(X_NEW, csr_matrix(Y_NEW)) == fitted.score(X_NEW, Y_NEW)


@pytest.mark.parametrize(
    "form",
    [csr_matrix, coo_matrix, np.ndarray.tolist, lambda y: y.astype(bool), lambda y: y.astype(float)],
)
def test_forms_of_the_matrix(form):
    one = small(max_iter=1).fit(X, Y)
    assert same_bits(one, small(max_iter=1).fit(X, form(Y)))


class Frame:
    """As much of a data frame as `fit` looks at."""

    columns = ("good", "town", "late")
    shape = Y.shape

    def __array__(self, dtype=None, copy=None):
        return Y.astype(dtype or Y.dtype)


def frames():
    try:
        import pandas
    except ImportError:
        return [Frame()]
    return [Frame(), pandas.DataFrame(Y, columns=Frame.columns)]


@pytest.mark.parametrize("frame", frames(), ids=lambda frame: type(frame).__module__)
def test_columns_of_a_frame_name_the_labels(frame):
    model = small().fit(X, frame)
    assert model.classes_.tolist() == ["good", "town", "late"]
    (explanation,) = model.explain(["a splendid story in town"])
    assert explanation.label == ["good", "town"]


def test_a_label_of_every_text_or_of_none():
    constant = np.stack([np.ones(120), np.zeros(120), Y[:, 0]], axis=1).astype(int)
    for weight in (None, "balanced"):
        predicted = small(class_weight=weight).fit(X, constant).predict(X_NEW)
        assert predicted[:, :2].tolist() == [[1, 0]] * 40


def test_one_label_in_a_sparse_matrix():
    model = small(max_iter=5).fit(X, csr_matrix(Y[:, :1]))
    assert model.predict_proba(X_NEW).shape == (40, 1)
    assert model.predictor_.linear.coef.shape[1] == 1
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict(X_NEW) == model.predict(X_NEW)).all()


def test_two_labels_are_not_two_classes(tmp_path):
    model = small(max_iter=3).fit(X, Y[:, :2])
    assert model.predictor_.linear.coef.shape[1] == 2
    model.save(tmp_path / "m.textcnn")
    loaded = textcnn.load(tmp_path / "m.textcnn")
    assert loaded.predict_proba(X_NEW).tobytes() == model.predict_proba(X_NEW).tobytes()


def test_the_linear_part_of_each_label_is_that_of_two_classes():
    model = small(max_iter=1).fit(X, Y)
    encoded = model.predictor_.vocabulary.encode_fully(X_NEW)
    scores = model.predictor_.linear.scores(encoded, 1)
    for k in range(3):
        alone = small(max_iter=1).fit(X, Y[:, k]).predictor_.linear.scores(encoded, 1)
        np.testing.assert_allclose(scores[:, k], alone[:, 1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("linear", [0, 0.5])
def test_identical_bits_for_any_number_of_threads_and_any_company(linear):
    params = {"embedding_dim": 200, "n_filters": 100, "batch_size": 40, "max_iter": 2, "linear": linear}
    models = [small(n_jobs=n, **params).fit(X, Y) for n in (1, 2, 3)]
    expected = models[0].predict_proba(X_NEW)
    for model in models:
        assert same_bits(model, models[0])
        assert model.predict_proba(X_NEW).tobytes() == expected.tobytes()
    alone = np.concatenate([models[0].predict_proba([text]) for text in X_NEW])
    assert alone.tobytes() == expected.tobytes()


# Thresholds


def test_thresholds_of_all_labels_and_of_each(fitted):
    model = copy.deepcopy(fitted)
    proba = model.predict_proba(X_NEW)
    for threshold in (0.0, 0.2, 1.0, [0.1, 0.5, 0.9], np.array([0.3, 1.0, 0.0])):
        model.set_params(threshold=threshold)
        assert (model.predict(X_NEW) == (proba > np.asarray(threshold))).all()
    assert (model.predict_proba(X_NEW) == proba).all()
    assert clone(model).threshold.tolist() == [0.3, 1.0, 0.0]


def test_thresholds_are_searched_and_count_in_validation():
    search = GridSearchCV(small(max_iter=3), {"threshold": [0.5, 1.0, [0.5, 0.5, 1.0]]}, cv=2).fit(X, Y)
    assert search.best_params_["threshold"] == 0.5
    model = small(threshold=[0.5, 1.0, 1.0], early_stopping=False, max_iter=2)
    model.fit(X, Y, X_val=X_NEW, y_val=Y_NEW)
    assert model.validation_scores_[-1] == model.score(X_NEW, Y_NEW)


@pytest.mark.parametrize("threshold", [[0.5, 0.5], [0.5] * 4, 1.5, -0.1, [0.5, 0.5, np.nan], ["a"] * 3])
def test_wrong_thresholds(fitted, threshold):
    with pytest.raises(ValueError, match="threshold"):
        small(threshold=threshold).fit(X, Y)
    with pytest.raises(ValueError, match="threshold is"):
        copy.deepcopy(fitted).set_params(threshold=threshold).predict(X)


def test_thresholds_of_classes_are_scikit_learns():
    labels = np.where(Y[:, 0] == 1, "good", "bad")
    with pytest.raises(ValueError, match="FixedThresholdClassifier"):
        small(threshold=0.3).fit(X, labels)
    model = small(max_iter=1).fit(X, labels).set_params(threshold=0.3)
    with pytest.raises(ValueError, match="FixedThresholdClassifier"):
        model.predict(X)
    with pytest.raises(ValueError, match="FixedThresholdClassifier"):
        small(threshold=0.3).partial_fit(X, labels, classes=["bad", "good"])
    tuned = TunedThresholdClassifierCV(small(max_iter=5), scoring="balanced_accuracy", cv=3)
    assert tuned.fit(X, labels).score(X_NEW, np.where(Y_NEW[:, 0] == 1, "good", "bad")) >= 0.9
    assert 0 < tuned.best_threshold_ < 1
    never = FixedThresholdClassifier(small(max_iter=2), threshold=1.0, pos_label="good").fit(X, labels)
    assert set(never.predict(X_NEW)) == {"bad"}


# Weights


def test_class_weights_are_those_of_each_label():
    few = Y.copy()
    few[20:, 0] = 0
    plain = small(max_iter=5).fit(X, few)
    balanced = small(max_iter=5, class_weight="balanced").fit(X, few)
    assert balanced.predict_proba(X_NEW)[:, 0].mean() > plain.predict_proba(X_NEW)[:, 0].mean() + 0.1
    ones = [{0: 1, 1: 1}] * 3
    np.testing.assert_allclose(
        small(max_iter=5, class_weight=ones).fit(X, few).predict_proba(X_NEW),
        plain.predict_proba(X_NEW),
        atol=1e-3,
    )
    first = small(max_iter=5, class_weight=[{0: 1, 1: 9}, {0: 1, 1: 1}, {0: 1, 1: 1}]).fit(X, few)
    shift = (first.predict_proba(X_NEW) - plain.predict_proba(X_NEW)).mean(axis=0)
    assert shift[0] > 0.05
    assert (np.abs(shift[1:]) < 0.02).all()


@pytest.mark.parametrize("weight", [{0: 1, 1: 2}, [{0: 1, 1: 2}], [{0: 1}] * 4])
def test_wrong_class_weights(weight):
    with pytest.raises(ValueError, match="class_weight is"):
        small(class_weight=weight).fit(X, Y)


def test_weight_two_is_the_text_twice_and_zero_is_absence():
    options = {"batch_size": 1000, "dropout": 0.0, "word_dropout": 0.0, "shuffle": False, "max_iter": 3}
    texts, labels = [*X, X[0], X[3]], np.concatenate([Y, Y[[0, 3]]])
    weight = np.ones(122)
    weight[[0, 3]] = 2
    weight[120:] = 0
    doubled = small(**options).fit(texts, labels)
    weighted = small(**options).fit(texts, labels, sample_weight=weight)
    np.testing.assert_allclose(weighted.predict_proba(X_NEW), doubled.predict_proba(X_NEW), atol=2e-3)
    np.testing.assert_allclose(weighted.loss_curve_, doubled.loss_curve_, rtol=1e-4)
    plain = small(**options).fit(texts, labels)
    assert same_bits(plain, doubled)
    assert not same_bits(plain, weighted)


# Training on


def test_label_smoothing_keeps_probabilities_from_the_ends():
    plain = small(linear=0, max_iter=60).fit(X, Y).predict_proba(X)
    smooth = small(linear=0, max_iter=60, label_smoothing=0.4).fit(X, Y).predict_proba(X)
    assert np.abs(plain - 0.5).mean() > 0.4
    assert 0.2 < np.abs(smooth - 0.5).mean() < 0.35


def test_validation_score_is_subset_accuracy_and_early_stopping_stops():
    model = small(early_stopping=True, n_iter_no_change=3, max_iter=50, learning_rate="constant").fit(X, Y)
    assert model.n_iter_ < 50
    model = small().fit(X, Y, X_val=X_NEW, y_val=Y_NEW)
    assert model.best_validation_score_ == model.score(X_NEW, Y_NEW)


def test_warm_start_and_partial_fit():
    model = small(warm_start=True, max_iter=3).fit(X, Y)
    before = model.loss_
    model.fit([*X, "zebra"], np.concatenate([Y, [[1, 0, 0]]]))
    assert model.loss_curve_[0] < before
    assert "zebra" in model.vocabulary_
    with pytest.raises(ValueError, match="the model has 3 labels"):
        model.fit(X, Y[:, :2])
    with pytest.raises(ValueError, match="the model has 3 labels"):
        model.fit(X, Y[:, 0])
    model = small()
    for _ in range(15):
        model.partial_fit(X, Y)
    assert model.score(X, Y) > 0.8
    named = small().partial_fit(X, Y, classes=["good", "town", "late"])
    assert named.classes_.tolist() == ["good", "town", "late"]
    with pytest.raises(ValueError, match="the model has 3 labels"):
        model.partial_fit(X, Y[:, :2])
    with pytest.raises(ValueError, match=r"y has shape .* but the model has 2 labels"):
        small().partial_fit(X, Y, classes=["good", "town"])
    classes = small(warm_start=True, max_iter=1).fit(X, Y[:, 0])
    with pytest.raises(ValueError, match="the model has classes, but y is a matrix"):
        classes.fit(X, Y)
    with pytest.raises(ValueError, match="the model has classes, but y is a matrix"):
        classes.partial_fit(X, Y)


def test_members():
    model = small(n_members=2, max_iter=2).fit(X, Y)
    assert model.n_members_ == 2
    assert model.predict(X_NEW).shape == (40, 3)


# Explanations


def test_explanations_add_up_for_every_label(fitted):
    for text, explanation in zip([*X_NEW, ""], fitted.explain([*X_NEW, ""]), strict=True):
        total = explanation.bias + sum(ngram.contributions for ngram in explanation.ngrams)
        np.testing.assert_allclose(total, explanation.logits, rtol=1e-5, atol=1e-5)
        assert explanation.label == np.flatnonzero(fitted.predict([text])[0]).tolist()
    np.testing.assert_allclose(
        [explanation.logits for explanation in fitted.explain(X_NEW)],
        fitted.decision_function(X_NEW),
        rtol=1e-4,
        atol=1e-5,
    )


def test_ngrams_in_favour_of_the_predicted_labels_come_first(fitted):
    (explanation,) = fitted.explain(["the splendid play"])
    assert explanation.label == [0]
    assert "splendid" in explanation.ngrams[0].text
    shares = [ngram.contributions[0] for ngram in explanation.ngrams]
    assert shares == sorted(shares, reverse=True)


# Files


def test_save_and_load(fitted, tmp_path):
    path = tmp_path / "m.textcnn"
    weights = [{0: 1.0, 1: 2.0}] * 3
    model = small(max_iter=2, threshold=np.array([0.2, 0.5, 0.8]), class_weight=weights).fit(X, Y)
    model.save(path)
    again, predictor = TextCNNClassifier.load(path), textcnn.load(path)
    for twin in (again, predictor):
        assert (twin.predict(X_NEW) == model.predict(X_NEW)).all()
        assert twin.predict_proba(X_NEW).tobytes() == model.predict_proba(X_NEW).tobytes()
        assert twin.classes_.tolist() == [0, 1, 2]
    assert again.class_weight == weights
    assert again.threshold == [0.2, 0.5, 0.8]
    assert same_bits(again.set_params(threshold=0.5).fit(X, Y), model.set_params(threshold=0.5).fit(X, Y))
    predictor.save(path)
    assert (textcnn.load(path).predict(X_NEW) == predictor.predict(X_NEW)).all()
    with pytest.raises(ModelFileError, match="holds a MultilabelPredictor"):
        TextCNNClassifier.load(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", [0.5, 0.5]),
        ("threshold", "a"),
        ("threshold", [0.5, 0.5, 2.0]),
        ("labels", None),
        ("task", "multitask"),
        ("activation", "gelu"),
    ],
)
def test_altered_files_are_refused(fitted, tmp_path, name, value):
    path = tmp_path / "m.textcnn"
    fitted.save(path)
    arrays, config = load_arrays(path)
    save_arrays(path, arrays, config | {name: value})
    with pytest.raises(ModelFileError):
        textcnn.load(path)


def test_files_of_classes_hold_nothing_new(tmp_path):
    model = small(max_iter=1).fit(X, Y[:, 0])
    model.save(tmp_path / "m.textcnn")
    _, config = load_arrays(tmp_path / "m.textcnn")
    assert not {"task", "activation", "threshold", "labels"} & set(config)
    assert type(textcnn.load(tmp_path / "m.textcnn")) is Predictor


def test_pickles_and_clones(fitted):
    twin = pickle.loads(pickle.dumps(fitted))
    assert twin.predict_proba(X_NEW).tobytes() == fitted.predict_proba(X_NEW).tobytes()
    assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.parametrize("threshold", [np.array(0.9), np.float32(0.25), [0.5, 0.25, 1], 1])
def test_thresholds_of_any_form_are_saved(threshold, tmp_path):
    model = small(max_iter=1, threshold=threshold).fit(X, Y)
    model.save(tmp_path / "m")
    again = TextCNNClassifier.load(tmp_path / "m")
    assert np.array_equal(again.threshold, np.asarray(threshold, np.float64))
    for twin in (again, textcnn.load(tmp_path / "m")):
        assert (twin.predict(X_NEW) == model.predict(X_NEW)).all()


# scikit-learn's tools, and errors


def as_objects(items):
    """An array of one dimension, as a column of a frame has it."""
    array = np.empty(len(items), object)
    array[:] = items
    return array


def test_cross_validation_and_one_against_the_rest():
    assert cross_val_score(small(), X, Y, cv=3).mean() > 0.7
    rest = OneVsRestClassifier(small(max_iter=5)).fit(np.array(X), Y)
    assert rest.predict(np.array(X_NEW)).shape == (40, 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([["a"], ["a", "b"]] * 60, "MultiLabelBinarizer"),
        ([{"a"}, {"a", "b"}] * 60, r"y has {'a'} among its items, .* MultiLabelBinarizer"),
        ([frozenset("a"), frozenset()] * 60, "MultiLabelBinarizer"),
        (["a", ["a", "b"]] * 60, "MultiLabelBinarizer"),
        (as_objects([["a"], ["a", "b"]] * 60), "MultiLabelBinarizer"),
        (as_objects([("a",), ("b",)] * 60), "MultiLabelBinarizer"),
        (as_objects([{"a"}, {"b"}] * 60), "MultiLabelBinarizer"),
        ([["a", "b"], ["b", "c"]] * 60, "MultiLabelBinarizer"),
        (Y * 2, r"y\[\d, \d\] is 2"),
        (np.where(Y == 1, np.nan, 0), r"y\[\d, \d\] is nan"),
        (Y[:5], "X has 120 texts, but y has 5 labels"),
    ],
)
def test_wrong_matrices(labels, message):
    with pytest.raises(ValueError, match=message):
        small().fit(X, labels)


def test_wrong_validation_matrices():
    with pytest.raises(ValueError, match=r"y_val has shape .* but the model has 3 labels"):
        small().fit(X, Y, X_val=X_NEW, y_val=Y_NEW[:, :2])


def test_lists_of_labels_by_way_of_the_binarizer():
    binarizer = MultiLabelBinarizer()
    lists = [[name for name, has in zip("abc", row, strict=True) if has] for row in Y]
    model = small().fit(X, binarizer.fit_transform(lists))
    assert binarizer.inverse_transform(model.predict(X[:3])) == [tuple(found) for found in lists[:3]]


def test_no_warnings_are_given():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert small(max_iter=2).fit(X, Y).predict(["", "zebra"]).shape == (2, 3)
