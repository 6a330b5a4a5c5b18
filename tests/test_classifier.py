"""`TextCNNClassifier`: scikit-learn's conventions, options, and errors."""

import copy
import pickle
import signal
import threading
import time
import warnings

import joblib
import numpy as np
import pytest
from samples import BAD, GOOD, arrays_of, cased, reviews, same_bits
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from textcnn import TextCNNClassifier
from textcnn.io import load_arrays, save_arrays
from textcnn.nn.layers import ACTIVATIONS
from textcnn.nn.training import Trainer

X, Y = reviews()
X_NEW, Y_NEW = reviews(40, seed=1)


def small(**params):
    """A classifier that learns `reviews` in a moment."""
    defaults = {"embedding_dim": 16, "n_filters": 8, "kernel_sizes": (1, 2), "random_state": 0}
    return TextCNNClassifier(
        **(defaults | {"batch_size": 10, "max_iter": 20, "n_jobs": 1, "learning_rate_init": 0.01} | params)
    )


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, Y)


def test_learns_and_generalises(fitted):
    assert fitted.score(X, Y) == 1.0
    assert fitted.score(X_NEW, Y_NEW) >= 0.95
    assert fitted.classes_.tolist() == ["bad", "good"]
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    assert fitted.n_iter_ == len(fitted.loss_curve_) == 20


def test_probabilities_and_decisions_agree(fitted):
    proba = fitted.predict_proba(X_NEW)
    assert proba.shape == (40, 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.log(proba), fitted.predict_log_proba(X_NEW), rtol=1e-4, atol=1e-6)
    assert ((fitted.decision_function(X_NEW) > 0) == (fitted.predict(X_NEW) == "good")).all()


def test_three_classes_have_a_decision_for_each():
    labels = np.arange(len(X)) % 3
    assert small(max_iter=1).fit(X, labels).decision_function(X[:5]).shape == (5, 3)


def test_grid_search_in_two_processes_twice_in_a_row():
    search = GridSearchCV(small(), {"n_filters": [4, 8], "kernel_sizes": [(1,), (1, 2)]}, n_jobs=2, cv=2)
    first = search.fit(X, Y).best_score_
    assert first > 0.8
    assert search.fit(X, Y).best_score_ == first


def test_pipeline_and_cross_validation():
    strip = FunctionTransformer(lambda texts: [text.strip("!") for text in texts])
    pipeline = make_pipeline(strip, small())
    assert pipeline.fit([f"{text}!!!" for text in X], Y).score(X_NEW, Y_NEW) > 0.9
    assert cross_val_score(small(), X, Y, cv=2).mean() > 0.8


def test_clone_pickle_joblib_and_deepcopy(fitted, tmp_path):
    assert clone(fitted).get_params() == fitted.get_params()
    joblib.dump(fitted, tmp_path / "m.joblib")
    twins = [pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "m.joblib"), copy.deepcopy(fitted)]
    for twin in twins:
        assert (twin.predict_proba(X_NEW) == fitted.predict_proba(X_NEW)).all()
        assert twin.loss_curve_ == fitted.loss_curve_


def test_the_cache_is_not_pickled(fitted):
    fitted.predict(X)
    fresh = small().fit(X, Y)
    assert len(pickle.dumps(fitted)) == len(pickle.dumps(fresh))


@pytest.mark.parametrize(
    "form",
    [
        np.array,
        tuple,
        iter,
        lambda texts: np.array(texts, dtype=object),
        lambda texts: np.array(texts)[:, np.newaxis],
    ],
)
def test_forms_of_input(fitted, form):
    assert (fitted.predict(form(X_NEW)) == fitted.predict(X_NEW)).all()


def test_pandas_input(fitted):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": X_NEW})
    assert (fitted.predict(frame["text"]) == fitted.predict(X_NEW)).all()
    assert (fitted.predict(frame) == fitted.predict(X_NEW)).all()


def test_token_lists_are_taken_as_they_are():
    tokens = [text.split() for text in X]
    assert same_bits(small().fit(tokens, Y), small().fit(X, Y))
    model = small(max_iter=1).fit([["New York", "a"], ["b"]], [0, 1])
    assert set(model.vocabulary_) == {"New York", "a", "b"}


@pytest.mark.parametrize("solver", ["adam", "adadelta", "sgd"])
def test_identical_weights_for_any_number_of_threads(solver):
    # Large enough that every kernel uses the threads it is given.
    params = {"solver": solver, "embedding_dim": 200, "n_filters": 150, "kernel_sizes": (2, 3), "max_iter": 2}
    models = [small(n_jobs=n, batch_size=40, **params).fit(X, Y) for n in (1, 2, 3)]
    assert same_bits(models[0], models[1])
    assert same_bits(models[0], models[2])


def test_another_random_state_gives_other_weights():
    assert not same_bits(small(max_iter=1).fit(X, Y), small(max_iter=1, random_state=1).fit(X, Y))


@pytest.mark.parametrize("cache_size", [0, 0.0005, 200])
def test_prediction_bits_do_not_depend_on_company_call_or_cache(fitted, cache_size):
    expected = fitted.predict_proba(X_NEW).tobytes()
    model = pickle.loads(pickle.dumps(fitted))
    model.predictor_.cache_size = cache_size
    model = pickle.loads(pickle.dumps(model))  # makes the cache anew
    alone = [model.predict_proba([text]) for text in X_NEW]
    assert np.concatenate(alone).tobytes() == expected
    for n_jobs in (1, 2, 3):
        model.n_jobs = n_jobs
        assert model.predict_proba(X_NEW).tobytes() == expected


@pytest.mark.parametrize(
    "params",
    [
        {"solver": "adadelta", "learning_rate_init": 1.0, "max_iter": 100},
        {"solver": "sgd", "learning_rate_init": 0.3, "max_iter": 60},
        {"learning_rate": "constant"},
        {"learning_rate": "invscaling", "learning_rate_init": 0.05},
        {"learning_rate": "adaptive", "n_iter_no_change": 2},
        {"padding": "same"},
        {"padding": "valid"},
        {"kernel_sizes": (5,)},
        {"kernel_sizes": [1]},
        {"analyzer": "char", "kernel_sizes": (4, 6), "max_iter": 60},
        {"analyzer": str.split},
        {"max_norm": None, "max_grad_norm": 0.5},
        {"word_dropout": 0.0, "dropout": 0.0},
        {"alpha": 0.01},
        {"batch_size": 1, "max_iter": 5},
        {"batch_size": 1000, "max_iter": 200},
        {"shuffle": False},
        *[{"activation": activation} for activation in ACTIVATIONS],
        {"learning_rate": "cosine"},
        {"warmup_steps": 40},
        {"warmup_steps": 10**6, "max_iter": 60, "learning_rate_init": 500.0},
        {"label_smoothing": 0.3},
        {"max_grad_norm": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("linear", [0.0, 0.5])
def test_every_option_learns(params, linear):
    assert small(**({"linear": linear} | params)).fit(X, Y).score(X, Y) >= 0.95


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_predicts_explains_and_is_saved(activation, tmp_path):
    model = small(activation=activation, padding="valid", kernel_sizes=(2, 4), n_members=2, max_iter=3)
    model.fit(X, Y)
    texts = ["", "play", "zebra", *X_NEW]  # some are shorter than the filters
    for text, explanation in zip(texts, model.explain(texts), strict=True):
        total = explanation.bias + sum(ngram.contributions for ngram in explanation.ngrams)
        np.testing.assert_allclose(total, explanation.logits, rtol=1e-5, atol=1e-5)
        assert explanation.label == model.predict([text])[0]
    alone = np.concatenate([model.predict_proba([text]) for text in texts])
    assert alone.tobytes() == model.predict_proba(texts).tobytes()
    model.save(tmp_path / "m.textcnn")
    again = TextCNNClassifier.load(tmp_path / "m.textcnn")
    assert again.predict_proba(texts).tobytes() == model.predict_proba(texts).tobytes()
    assert (model.transform([""]) == 0).all()


def test_label_smoothing_keeps_probabilities_from_the_ends():
    plain = small(linear=0, max_iter=60, dropout=0.0).fit(X, Y).predict_proba(X).max(axis=1)
    smooth = small(linear=0, max_iter=60, dropout=0.0, label_smoothing=0.4).fit(X, Y)
    assert plain.mean() > 0.95
    assert 0.7 < smooth.predict_proba(X).max(axis=1).mean() < 0.85
    assert smooth.loss_ > 0.4


def test_partial_fit_with_schedules_that_need_the_number_of_steps():
    for schedule in ("linear", "cosine"):
        model = small(learning_rate=schedule)
        for _ in range(15):
            model.partial_fit(X, Y, classes=["bad", "good"])
        assert model.score(X, Y) > 0.9


def test_files_from_before_there_were_these_options(fitted, tmp_path):
    path = tmp_path / "m.textcnn"
    fitted.save(path)
    arrays, config = load_arrays(path)
    for name in ("activation", "warmup_steps", "label_smoothing", "threshold"):
        del config["params"][name]
    save_arrays(path, arrays, config)
    again = TextCNNClassifier.load(path)
    assert again.get_params() == fitted.get_params()
    assert again.predict_proba(X_NEW).tobytes() == fitted.predict_proba(X_NEW).tobytes()


def vectors(seed=0, n_dims=6):
    rng = np.random.RandomState(seed)
    return {word: rng.normal(0, 0.3, n_dims) for word in [*GOOD, *BAD, "play"]}


def test_embedding_modes_train_the_columns_that_they_should():
    known = vectors()
    static = small(embeddings=known, embedding_mode="static").fit(X, Y)
    tuned = small(embeddings=known).fit(X, Y)
    multi = small(embeddings=known, embedding_mode="multichannel").fit(X, Y)
    row, vector = static.vocabulary_["dull"], known["dull"].astype(np.float32)
    assert (static.embedding_[row] == vector).all()
    assert not (tuned.embedding_[row] == vector).any()
    assert (multi.embedding_[row, :6] == vector).all()
    assert not (multi.embedding_[row, 6:] == vector).any()
    assert static.score(X, Y) >= 0.85  # six dimensions, and most words have no vector
    assert min(tuned.score(X, Y), multi.score(X, Y)) >= 0.9


def test_vectors_from_a_file(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("".join(f"{w} {' '.join(map(str, v))}\n" for w, v in vectors().items()))
    model = small(embeddings=str(path), embedding_mode="static").fit(X, Y)
    expected = vectors()["witty"].astype(np.float32)
    np.testing.assert_allclose(model.embedding_[model.vocabulary_["witty"]], expected, rtol=1e-6)


def test_vectors_of_no_use_are_told():
    with pytest.warns(UserWarning, match="none of the .* tokens has a vector"):
        small(embeddings={"zebra": [1.0, 2.0]}, max_iter=1).fit(X, Y)


def test_max_norm_holds_after_fit():
    model = small(max_norm=0.7, learning_rate_init=0.05).fit(X, Y)
    norms = np.linalg.norm(model.predictor_.network.weights, axis=1)
    assert (norms <= 0.7 + 1e-6).all()
    assert norms.max() > 0.69


def test_min_df_and_max_features_limit_the_vocabulary():
    texts = ["a b", "a c", "a b d"]
    assert set(small(min_df=2, max_iter=1).fit(texts, [0, 1, 0]).vocabulary_) == {"a", "b"}
    assert set(small(max_features=1, max_iter=1).fit(texts, [0, 1, 0]).vocabulary_) == {"a"}


def test_class_weight_is_a_sample_weight():
    labels = ["bad"] * 60 + ["good"] * 20
    weight = np.where(np.array(labels) == "bad", 80 / 120, 80 / 40)
    balanced = small(class_weight="balanced").fit(X, labels)
    assert same_bits(balanced, small().fit(X, labels, sample_weight=weight))
    assert not same_bits(balanced, small().fit(X, labels))


def test_equal_sample_weights_change_nothing():
    assert same_bits(small().fit(X, Y, sample_weight=np.full(80, 2.0)), small().fit(X, Y))


def test_weight_two_is_the_text_twice_and_zero_is_absence():
    options = {"batch_size": 1000, "dropout": 0.0, "word_dropout": 0.0, "shuffle": False, "max_iter": 3}
    doubled = small(**options).fit([*X, X[0], X[3]], [*Y, Y[0], Y[3]])
    weight = np.ones(82)
    weight[[0, 3]] = 2
    weight[80:] = 0
    weighted = small(**options).fit([*X, X[0], X[3]], [*Y, Y[0], Y[3]], sample_weight=weight)
    for name, array in arrays_of(doubled).items():
        # Adam turns rounding errors of gradients near 0 into steps, so compare loosely.
        np.testing.assert_allclose(arrays_of(weighted)[name], array, atol=2e-4)
    np.testing.assert_allclose(weighted.loss_curve_, doubled.loss_curve_, rtol=1e-4)


def test_early_stopping_keeps_the_best_epoch_and_stops():
    model = small(early_stopping=True, n_iter_no_change=3, max_iter=50, learning_rate="constant").fit(X, Y)
    assert model.n_iter_ < 50
    assert model.best_validation_score_ == max(model.validation_scores_)


def test_given_validation_texts_are_scored_and_the_best_weights_come_back():
    model = small(learning_rate_init=0.05, learning_rate="constant").fit(X, Y, X_val=X_NEW, y_val=Y_NEW)
    assert model.score(X_NEW, Y_NEW) == model.best_validation_score_
    assert len(model.validation_scores_) == model.n_iter_
    unwatched = small(early_stopping=False, max_iter=3).fit(X, Y, X_val=X_NEW, y_val=Y_NEW)
    assert len(unwatched.validation_scores_) == 3
    assert same_bits(unwatched, small(max_iter=3).fit(X, Y))


def test_validation_texts_do_not_enter_the_vocabulary():
    texts = [f"{text} only{i}" for i, text in enumerate(X)]
    model = small(early_stopping=True, validation_fraction=0.25, max_iter=1).fit(texts, Y)
    assert sum(word.startswith("only") for word in model.vocabulary_) == 60
    held = small(max_iter=1).fit(X, Y, X_val=["unseen words"], y_val=["good"])
    assert "unseen" not in held.vocabulary_


def test_early_stopping_is_off_for_few_texts_and_validation_free():
    assert small(max_iter=1).fit(X, Y).validation_scores_ is None


def test_warm_start_goes_on_and_adds_words():
    model = small(warm_start=True, max_iter=3).fit(X, Y)
    before = model.loss_
    model.fit([*X, "zebra crossing"], [*Y, "good"])
    assert model.loss_curve_[0] < before
    assert "zebra" in model.vocabulary_
    with pytest.raises(ValueError, match="warm_start needs the classes"):
        model.fit(X, np.arange(80) % 3)


def test_partial_fit_learns_and_adds_words():
    model = small()
    for _ in range(15):
        model.partial_fit(X[:40], Y[:40], classes=["good", "bad"])
    n_known = len(model.vocabulary_)
    model.partial_fit(["zebra"], ["good"])
    assert len(model.vocabulary_) == n_known + 1
    assert model.score(X_NEW, Y_NEW) > 0.85
    assert model.classes_.tolist() == ["bad", "good"]


def test_partial_fit_takes_up_a_fitted_model(fitted):
    model = copy.deepcopy(fitted)
    model.partial_fit(X[:3], Y[:3])
    assert model.score(X, Y) > 0.95


def test_a_partial_fit_that_fails_leaves_the_model_as_it_was(fitted):
    model = copy.deepcopy(fitted)
    for labels in (["unknown"], ["good", "bad"]):
        with pytest.raises(ValueError, match="y has"):
            model.partial_fit(["zebra"], labels)
    assert same_bits(model, fitted)


def test_explanations_add_up_to_the_logits(fitted):
    for text, explanation in zip(X_NEW, fitted.explain(X_NEW), strict=True):
        total = explanation.bias + sum(ngram.contributions for ngram in explanation.ngrams)
        np.testing.assert_allclose(total, explanation.logits, rtol=1e-5, atol=1e-5)
        assert explanation.label == fitted.predict([text])[0]
        for ngram in explanation.ngrams:
            first, last = ngram.span
            assert text[first:last] == ngram.text == " ".join(explanation.tokens[ngram.start : ngram.end])
    logits = np.array([explanation.logits for explanation in fitted.explain(X_NEW)])
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], fitted.decision_function(X_NEW), rtol=1e-5)


def test_the_deciding_word_comes_first(fitted):
    assert "splendid" in fitted.explain(["the splendid play"])[0].ngrams[0].text


def test_an_empty_text_is_explained_by_the_bias(fitted):
    explanation = fitted.explain([""])[0]
    assert explanation.ngrams == []
    np.testing.assert_array_equal(explanation.logits, explanation.bias)


def test_transform_gives_named_features(fitted):
    features = fitted.transform(X_NEW)
    names = fitted.get_feature_names_out()
    assert features.shape == (40, 16) == (40, len(names))
    assert names[0] == "w1_f0"
    assert names[-1] == "w2_f7"
    assert (features >= 0).all()
    pytest.importorskip("pandas")
    frame = copy.deepcopy(fitted).set_output(transform="pandas").transform(X_NEW)
    assert frame.columns.tolist() == names.tolist()


@pytest.mark.parametrize("texts", [[""], ["", "  "], ["zebra"], ["a"], [[]], [["zebra", "a"]]], ids=str)
def test_odd_texts_are_ordinary_input(fitted, texts):
    proba = fitted.predict_proba(texts)
    assert proba.shape == (len(texts), 2)
    assert np.isfinite(proba).all()
    assert small(max_iter=1, kernel_sizes=(1, 7)).fit([*X, *texts], Y + ["bad"] * len(texts)).n_iter_ == 1


def test_a_million_tokens_and_no_texts(fitted):
    long_text = "play splendid " * 500_000
    assert fitted.predict([long_text, "dull"]).tolist() == ["good", "bad"]
    assert fitted.predict([]).shape == (0,)
    assert fitted.predict_proba([]).shape == (0, 2)


def test_ctrl_c_keeps_the_model_and_the_handler():
    handler = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    model = small(max_iter=1_000_000, n_iter_no_change=1_000_000)
    timer.start()
    start = time.monotonic()
    with pytest.warns(UserWarning, match="interrupted after"):
        model.fit(X, Y)
    assert time.monotonic() - start < 10
    assert model.predict(X).shape == (80,)
    assert signal.getsignal(signal.SIGINT) is handler


def test_interrupted_members_are_left_out(monkeypatch):
    trained = []
    whole = Trainer._epoch

    def epoch(self, *args):
        trained.append(self)
        if len(set(map(id, trained))) == 3:
            signal.raise_signal(signal.SIGINT)
        return whole(self, *args)

    monkeypatch.setattr(Trainer, "_epoch", epoch)
    model = small(n_members=4, max_iter=2)
    with pytest.warns(UserWarning, match="interrupted; the model has 2 of 4 networks"):
        model.fit(X, Y)
    monkeypatch.undo()
    assert model.n_members_ == 2
    assert same_bits(model, small(n_members=2, max_iter=2).fit(X, Y))


def test_interrupt_ends_the_fit_of_the_linear_part():
    texts = [f"w{i % 977} w{i % 389} w{i % 83} w{i}" for i in range(4000)]
    model = small(linear_C=1e6, n_jobs=1)
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    labels = [i * 7919 % 211 for i in range(4000)]
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        model.fit(texts, labels)
    assert time.monotonic() - start < 10
    assert not hasattr(model, "predictor_")


def test_progress_is_shown_only_if_asked_for(capfd):
    small(max_iter=2).fit(X, Y)
    assert capfd.readouterr() == ("", "")
    small(max_iter=2, verbose=True).fit(X, Y, X_val=X_NEW, y_val=Y_NEW)
    shown = capfd.readouterr().err
    assert "epoch 2/2" in shown
    assert "loss=" in shown
    assert "accuracy=" in shown
    assert "tokens/s" in shown


@pytest.mark.parametrize(
    ("texts", "labels", "error", "message"),
    [
        ("a string", [0], ValueError, "X is a single string"),
        (["a", "b"], [0], ValueError, "X has 2 texts, but y has 1 labels"),
        ([], [], ValueError, "X has no texts"),
        (["a", "b"], [1, 1], ValueError, "one class"),
        (["a", None], [0, 1], TypeError, r"X\[1\] is None"),
        (["a", float("nan")], [0, 1], TypeError, r"X\[1\] is nan"),
        (["a", b"b"], [0, 1], TypeError, r"X\[1\] is of type bytes"),
        (np.array([["a", "b"], ["c", "d"]]), [0, 1], ValueError, r"X has shape \(2, 2\)"),
        (np.ones(2), [0, 1], ValueError, "X has 1 axes, .* Reshape your data"),
        ([1.0, 2.0], [0, 1], TypeError, r"X\[0\] is 1.0"),
        (csr_matrix(np.eye(2)), [0, 1], TypeError, "X is a csr_matrix, but sparse input"),
        ({"a": 1}, [0], TypeError, "X is a dict"),
        (5, [0], TypeError, "X is a int"),
        (["a", "b"], None, ValueError, "y is None"),
        (["a", "b"], ["x", None], ValueError, r"y\[1\] is None"),
        (["a", "b"], [0.0, np.nan], ValueError, r"y\[1\] is nan"),
        (["a", "b"], [0.5, 1.7], ValueError, "continuous"),
        (["a", "b"], ["x", 1], ValueError, "y mixes labels of the types int, str"),
        (["a", "b"], np.array(["x", 1], dtype=object), ValueError, "y mixes labels of the types int, str"),
        ([["a", 3], ["b"]], [0, 1], TypeError, "3|int"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_wrong_data_is_answered_by_a_sentence(texts, labels, error, message):
    with pytest.raises(error, match=message):
        small().fit(texts, labels)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, np.nan, 1.0, 1.0], r"sample_weight\[1\] is nan"),
        ([1.0, 1.0, -1.0, 1.0], r"sample_weight\[2\] is -1"),
        ([1.0], r"sample_weight has shape \(1,\)"),
        ([0, 0, 0, 0], "zero for all"),
    ],
)
def test_wrong_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        small().fit(X[:4], Y[:4], sample_weight=weights)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        *[
            ({name: "no such thing"}, f"'{name}' parameter")
            for name in ("analyzer", "embedding_mode", "padding", "solver", "learning_rate", "early_stopping")
        ],
        ({"activation": "swish"}, "'activation' parameter"),
        ({"label_smoothing": 1.0}, "'label_smoothing' parameter"),
        ({"warmup_steps": 1.5}, "'warmup_steps' parameter"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"n_filters": 0}, "'n_filters' parameter"),
        ({"min_df": 1.5}, "'min_df' parameter"),
        ({"kernel_sizes": ()}, "kernel_sizes is"),
        ({"kernel_sizes": (0,)}, "kernel_sizes is"),
        ({"kernel_sizes": (2.5,)}, "kernel_sizes is"),
        ({"embedding_mode": "static"}, "embedding_mode is 'static', but embeddings is None"),
        ({"embeddings": vectors(), "embedding_mode": "random"}, "embedding_mode is 'random'"),
        ({"embeddings": {"dull": [1.0, 2.0], "grim": [1.0]}}, "grim|dull"),
        ({"embeddings": {"dull": [1.0, np.nan]}}, "dull"),
        ({"n_jobs": 0}, "n_jobs is 0"),
    ],
    ids=str,
)
def test_wrong_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        small(**params).fit(X, Y)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"X_val": X_NEW}, "only one of X_val and y_val"),
        ({"X_val": X_NEW, "y_val": Y_NEW[:3]}, "X_val has 40 texts and y_val 3"),
        ({"X_val": ["a"], "y_val": ["ugly"]}, "y_val has the label 'ugly'"),
    ],
)
def test_wrong_validation_data(kwargs, message):
    with pytest.raises(ValueError, match=message):
        small().fit(X, Y, **kwargs)


def test_partial_fit_needs_all_classes_first():
    with pytest.raises(ValueError, match="first call of partial_fit needs all classes"):
        small().partial_fit(X, Y)
    with pytest.raises(ValueError, match="needs two or more"):
        small().partial_fit(X, Y, classes=["good"])


def test_early_stopping_with_too_few_texts():
    with pytest.raises(ValueError, match="early_stopping cannot hold out"):
        small(early_stopping=True).fit(["a", "b", "c"], [0, 1, 0])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "transform", "explain", "decision_function"])
def test_not_fitted(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(small(), method)(X)


@pytest.mark.parametrize("solver", ["adam", "sgd", "adadelta"])
def test_a_huge_learning_rate_never_gives_numbers_that_are_not_finite(solver):
    model = small(solver=solver, learning_rate_init=1e30, max_norm=None)
    refusal = ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            model.fit(X, Y)
        except ValueError as error:
            refusal = str(error)
    assert "learning_rate_init" in refusal or np.isfinite(model.predict_proba(X)).all()


def test_input_is_not_changed():
    texts, labels, weight = list(X), list(Y), np.ones(80)
    small(max_iter=1).fit(texts, labels, sample_weight=weight)
    assert (texts, labels) == (X, Y)
    assert (weight == 1).all()


def test_the_last_batch_of_an_epoch_is_the_rest(monkeypatch):
    steps = []
    monkeypatch.setattr(Trainer, "_step", lambda self, batch, weight: steps.append(len(batch)) or 0.0)
    small(max_iter=2, batch_size=30).fit(X, Y)
    assert steps == [30, 30, 20] * 2


# The linear part, and several members


def linear_of(model):
    return model.predictor_.linear


def same_linear(model, other):
    """True if the linear parts of two classifiers are equal to the bit."""
    pairs = zip(linear_of(model).to_arrays().values(), linear_of(other).to_arrays().values(), strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


def network_logits(model, texts):
    """Logits of the network alone."""
    predictor = model.predictor_
    return predictor.network.logits(*predictor.vocabulary.encode(texts), 1).copy()


def linear_scores(model, texts):
    predictor = model.predictor_
    return predictor.linear.scores(predictor.vocabulary.encode_fully(texts), 1)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_logits_are_the_weighted_mean_of_network_and_linear_part(share):
    labels = np.arange(len(X)) % 3
    model = small(linear=share, max_iter=2).fit(X, labels)
    texts = [*X_NEW, "", "splendidly zebra"]
    expected = (1 - share) * network_logits(model, texts)
    if share:
        expected = expected + share * linear_scores(model, texts)
    np.testing.assert_allclose(model.decision_function(texts), expected, rtol=1e-4, atol=1e-5)


def test_without_a_share_no_linear_part_is_trained(monkeypatch):
    monkeypatch.setattr("textcnn._sentence_estimator.NGramLinear.fit", None)
    model = small(linear=0, max_iter=1).fit(X, Y)
    assert linear_of(model) is None
    with pytest.raises(TypeError):
        small(linear=0.1, max_iter=1).fit(X, Y)


def test_the_network_does_not_depend_on_the_linear_part():
    assert same_bits(small(linear=0, max_iter=2).fit(X, Y), small(linear=0.9, max_iter=2).fit(X, Y))


def test_the_linear_part_alone_learns():
    model = small(linear=0.99, max_iter=1).fit(X, Y)
    assert (linear_scores(model, X_NEW).argmax(axis=1) == (np.array(Y_NEW) == "good")).all()


def test_linear_parameters_reach_the_linear_part():
    base = small(max_iter=1).fit(X, Y)
    assert linear_of(base).ngram_range == (1, 3)
    assert linear_of(base).char_ngram_range == (3, 5)
    assert linear_of(base).share == 0.5
    changed = small(max_iter=1, ngram_range=[1, np.int64(2)], char_ngram_range=None, linear=0.25).fit(X, Y)
    assert linear_of(changed).ngram_range == (1, 2)
    assert linear_of(changed).char_ngram_range is None
    assert linear_of(changed).share == 0.25
    assert len(linear_of(changed).keys) < len(linear_of(base).keys)
    weak = small(max_iter=1, linear_C=1e-3).fit(X, Y)
    assert np.abs(linear_of(weak).coef).max() < 0.2 * np.abs(linear_of(base).coef).max()


def test_the_linear_part_has_the_same_bits_for_any_number_of_threads():
    labels = np.arange(len(X) * 10) % 4
    models = [small(n_jobs=n, max_iter=1).fit(X * 10, labels) for n in (1, 2, 3)]
    assert same_linear(models[0], models[1])
    assert same_linear(models[0], models[2])
    assert {model.predict_proba(X_NEW * 60).tobytes() for model in models} == {
        models[0].predict_proba(X_NEW * 60).tobytes()
    }


def test_the_linear_part_does_not_depend_on_random_state():
    assert same_linear(small(max_iter=1).fit(X, Y), small(max_iter=1, random_state=1).fit(X, Y))


def test_grid_search_over_the_linear_part():
    grid = {"linear": [0, 0.5], "ngram_range": [(1, 1), (1, 2)], "char_ngram_range": [None, (3, 4)]}
    search = GridSearchCV(small(max_iter=2), grid, cv=2).fit(X, Y)
    assert len(search.cv_results_["params"]) == 8
    copied = clone(search.best_estimator_)
    assert {name: copied.get_params()[name] for name in grid} == search.best_params_


def test_weights_in_the_linear_part():
    labels = ["bad"] * 60 + ["good"] * 20
    weight = np.where(np.array(labels) == "bad", 80 / 120, 80 / 40)
    balanced = small(class_weight="balanced", max_iter=1).fit(X, labels)
    assert same_linear(balanced, small(max_iter=1).fit(X, labels, sample_weight=weight))
    assert not same_linear(balanced, small(max_iter=1).fit(X, labels))
    by_class = small(class_weight={"bad": 3.0, "good": 1.0}, max_iter=1).fit(X, labels)
    assert (linear_scores(by_class, [""]) - linear_scores(balanced, [""]))[0, 0] > 0


def test_weight_zero_is_absence_from_the_linear_part():
    # The words of the texts without weight come last in the vocabulary, so that ids stay equal.
    texts, labels = [*X, "zebra crossing", "xylophone"], [*Y, "good", "bad"]
    weighted = small(max_iter=1).fit(texts, labels, sample_weight=[1.0] * 80 + [0.0] * 2)
    absent = small(max_iter=1).fit(X, Y)
    np.testing.assert_allclose(
        linear_scores(weighted, X_NEW), linear_scores(absent, X_NEW), rtol=1e-6, atol=1e-6
    )


def test_partial_fit_keeps_the_linear_part_and_scores_new_words_as_unknown(fitted):
    texts = [*X_NEW, "zebra", "the splendid zebra story"]
    model = copy.deepcopy(fitted)
    before = linear_scores(model, texts)
    model.partial_fit(["zebra story"], ["good"])
    assert "zebra" in model.vocabulary_
    np.testing.assert_allclose(linear_scores(model, texts), before, rtol=1e-6, atol=1e-6)
    assert len(linear_of(model).word_scores) == len(model.vocabulary_) + 1
    assert len(linear_of(fitted).word_scores) == len(fitted.vocabulary_) + 1


def test_partial_fit_from_the_start_has_no_linear_part():
    model = small().partial_fit(X, Y, classes=["bad", "good"])
    assert linear_of(model) is None
    assert linear_of(model.partial_fit(X, Y)) is None
    assert model.predict_proba(X).shape == (80, 2)


def test_warm_start_fits_the_linear_part_anew():
    model = small(warm_start=True, max_iter=1).fit(X, Y)
    first = linear_of(model)
    # With the labels turned only a new fit can be right.
    turned = ["good" if label == "bad" else "bad" for label in Y]
    model.fit([*X, "zebra"], [*turned, "good"])
    assert linear_of(model) is not first
    assert len(linear_of(model).word_scores) == len(model.vocabulary_) + 1
    assert (linear_scores(model, X_NEW).argmax(axis=1) == (np.array(Y_NEW) == "bad")).all()
    assert linear_of(model.set_params(linear=0).fit(X, Y)) is None


def test_two_members_are_the_mean_of_two_networks():
    model = small(n_members=2, max_iter=3, dropout=0.0, word_dropout=0.0, linear=0).fit(X, Y)
    # The same random numbers in turn train the members one by one.
    rng = np.random.RandomState(0)
    alone = [small(max_iter=3, dropout=0.0, word_dropout=0.0, linear=0, random_state=rng) for _ in range(2)]
    alone = [member.fit(X, Y) for member in alone]
    logits = np.mean([network_logits(member, X_NEW) for member in alone], axis=0)
    np.testing.assert_allclose(network_logits(model, X_NEW), logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        model.loss_curve_, np.mean([member.loss_curve_ for member in alone], axis=0), rtol=1e-6
    )
    assert model.embedding_.shape == (len(model.vocabulary_) + 1, 32)
    assert model.transform(X_NEW).shape == (40, 32) == (40, len(model.get_feature_names_out()))
    assert model.n_iter_ == 3


def test_members_share_one_linear_part():
    assert same_linear(small(n_members=2, max_iter=1).fit(X, Y), small(max_iter=1).fit(X, Y))


def test_explanations_of_members_add_up():
    model = small(n_members=2, max_iter=2).fit(X, Y)
    for explanation in model.explain(X_NEW[:5]):
        total = explanation.bias + sum(ngram.contributions for ngram in explanation.ngrams)
        np.testing.assert_allclose(total, explanation.logits, rtol=1e-5, atol=1e-5)


def test_members_cannot_be_trained_on(tmp_path):
    model = small(n_members=2, max_iter=1, warm_start=True).fit(X, Y)
    expected = model.predict_proba(X_NEW)
    with pytest.raises(ValueError, match="n_members is 2, but warm_start goes on with one network"):
        model.fit(X, Y)
    with pytest.raises(ValueError, match="n_members is 2, but partial_fit goes on with one network"):
        model.partial_fit(X, Y)
    assert (model.predict_proba(X_NEW) == expected).all()
    model.set_params(n_members=1)
    model.save(tmp_path / "m.textcnn")
    for either in (model, TextCNNClassifier.load(tmp_path / "m.textcnn")):
        with pytest.raises(ValueError, match="the model has 2 networks, but partial_fit goes on with one"):
            either.partial_fit(X, Y)
        with pytest.raises(ValueError, match="the model has 2 networks, but warm_start goes on with one"):
            either.fit(X, Y)
        assert either.set_params(warm_start=False).fit(X, Y).n_members_ == 1
        either.partial_fit(X, Y)
    with pytest.raises(ValueError, match="n_members is 2"):
        small(n_members=2).partial_fit(X, Y, classes=["bad", "good"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"ngram_range": (0, 1)}, r"ngram_range is \(0, 1\)"),
        ({"ngram_range": (3, 2)}, r"ngram_range is \(3, 2\)"),
        ({"ngram_range": (1, 2.0)}, r"ngram_range is \(1, 2.0\)"),
        ({"ngram_range": (1,)}, r"ngram_range is \(1,\)"),
        ({"ngram_range": (1, 99)}, r"ngram_range is \(1, 99\)"),
        ({"ngram_range": 3}, "'ngram_range' parameter"),
        ({"ngram_range": None}, "'ngram_range' parameter"),
        ({"ngram_range": "12"}, "'ngram_range' parameter"),
        ({"char_ngram_range": (0, 5)}, r"char_ngram_range is \(0, 5\)"),
        ({"char_ngram_range": ()}, r"char_ngram_range is \(\)"),
        ({"char_ngram_range": 5}, "'char_ngram_range' parameter"),
        ({"linear": 1}, "'linear' parameter"),
        ({"linear": -0.1}, "'linear' parameter"),
        ({"linear": float("nan")}, "'linear' parameter"),
        ({"linear_C": 0}, "'linear_C' parameter"),
        ({"n_members": 0}, "'n_members' parameter"),
        ({"n_members": 1.5}, "'n_members' parameter"),
    ],
    ids=str,
)
def test_wrong_parameters_of_the_linear_part(params, message):
    with pytest.raises(ValueError, match=message):
        small(**params).fit(X, Y)
    if message.startswith(("ngram", "char")):
        with pytest.raises(ValueError, match=message):
            small(**params).partial_fit(X, Y, classes=["bad", "good"])


@pytest.mark.parametrize("linear_C", [1e-30, 1e30])
def test_a_tiny_or_huge_C_gives_finite_probabilities(linear_C):
    model = small(max_iter=1, linear_C=linear_C).fit(X, Y)
    assert np.isfinite(model.predict_proba([*X, ""])).all()


def test_a_linear_part_that_is_not_finite_is_told(monkeypatch):
    monkeypatch.setattr("textcnn.nn.ngram_linear.SMOOTHING", np.nan)
    with pytest.raises(ValueError, match="lower linear_C"):
        small(max_iter=1).fit(X, Y)


def test_validation_scores_are_those_of_the_mixed_model():
    # Labels at random, so that network and linear part err on different texts.
    labels = np.random.RandomState(0).randint(0, 3, 80)
    val = np.random.RandomState(1).randint(0, 3, 40)
    for share in (0.0, 0.3, 0.8):
        model = small(linear=share, early_stopping=False, max_iter=2).fit(X, labels, X_val=X_NEW, y_val=val)
        assert model.validation_scores_[-1] == model.score(X_NEW, val)


def test_the_best_epoch_is_that_of_the_mixed_model():
    model = small(linear=0.3, learning_rate_init=0.05).fit(X, Y, X_val=["", *X_NEW], y_val=["bad", *Y_NEW])
    assert model.best_validation_score_ == model.score(["", *X_NEW], ["bad", *Y_NEW])


def test_validation_scores_of_members_are_means():
    labels = np.random.RandomState(0).randint(0, 2, 80)
    options = {"early_stopping": False, "max_iter": 2, "dropout": 0.0, "word_dropout": 0.0}
    both = small(n_members=2, **options).fit(X, labels, X_val=X_NEW, y_val=labels[:40])
    rng = np.random.RandomState(0)
    alone = [
        small(random_state=rng, **options).fit(X, labels, X_val=X_NEW, y_val=labels[:40]) for _ in range(2)
    ]
    expected = np.mean([member.validation_scores_ for member in alone], axis=0)
    np.testing.assert_allclose(both.validation_scores_, expected)


def test_linear_parts_of_explanations_are_the_share_of_the_linear_part():
    for share, labels in ((0.3, Y), (0.5, np.arange(80) % 3)):
        model = small(linear=share, max_iter=2).fit([*X, ""], [*labels, labels[0]])
        texts = [*X_NEW[:8], "", "zebra splendidly", "\ud800x play"]
        for text, explanation in zip(texts, model.explain(texts), strict=True):
            from_linear = sum(ngram.linear for ngram in explanation.ngrams)
            bias = share * model.predictor_.linear.bias()
            expected = share * linear_scores(model, [text])[0]
            np.testing.assert_allclose(from_linear + bias, expected, rtol=1e-10, atol=1e-10)
            total = explanation.bias + sum(ngram.contributions for ngram in explanation.ngrams)
            np.testing.assert_allclose(total, explanation.logits, rtol=1e-5, atol=1e-5)
            network = (1 - share) * network_logits(model, [text])[0]
            np.testing.assert_allclose(explanation.logits, network + expected, rtol=1e-5, atol=1e-5)


def test_without_a_linear_part_explanations_have_none_of_it():
    explanation = small(linear=0, max_iter=2).fit(X, Y).explain(["the splendid play"])[0]
    assert explanation.ngrams
    assert all((ngram.linear == 0).all() for ngram in explanation.ngrams)


def test_clones_and_copies_keep_the_linear_part(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "m.joblib")
    for twin in (
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "m.joblib"),
        copy.deepcopy(fitted),
    ):
        assert same_linear(twin, fitted)
        assert (twin.predict_proba(["zebra", ""]) == fitted.predict_proba(["zebra", ""])).all()
    assert not hasattr(clone(fitted), "predictor_")


def test_a_linear_part_over_characters():
    model = small(analyzer="char", kernel_sizes=(4,), max_iter=1, ngram_range=(1, 6), char_ngram_range=(3, 5))
    assert (linear_scores(model.fit(X, Y), X).argmax(axis=1) == (np.array(Y) == "good")).all()


def test_a_linear_part_with_limits_of_the_vocabulary_and_empty_texts():
    texts = ["", "play", *X, ""]
    model = small(min_df=3, max_features=5, max_iter=1).fit(texts, ["bad", "good", *Y, "good"])
    assert len(linear_of(model).word_scores) == 6
    assert np.isfinite(model.predict_proba([*texts, "zebra"])).all()


# N-grams with shapes. The class of these texts is told by capital letters and by nothing else.

NAMES = [f"{a}{b}o" for a in ("bar", "dil", "fen", "gus", "mor", "tav") for b in ("k", "l", "n", "s", "t")]
CASED = [f"who met {name.capitalize() if i % 2 else name} today" for i, name in enumerate(NAMES)]
CASE_LABELS = ["good" if i % 2 else "bad" for i in range(len(NAMES))]


@pytest.mark.parametrize("char_ngram_range", [None, (3, 5)])
def test_capital_letters_tell_the_class_with_shapes_only(char_ngram_range):
    new = ["who met Zubo today", "who met zubo today"]
    options = {"linear": 0.99, "max_iter": 1, "char_ngram_range": char_ngram_range}
    model = small(**options).fit(CASED, CASE_LABELS)
    assert model.predict(new).tolist() == ["good", "bad"]
    blind = small(**options, shape_ngrams=False).fit(CASED, CASE_LABELS)
    first, second = blind.predict_proba(new)
    assert (first == second).all()
    assert same_bits(model, blind)  # the network sees no shapes


def test_a_callable_analyzer_gives_shapes():
    new = ["who met Zubo today", "who met zubo today"]

    def analyzer(text):
        return text.split()

    model = small(linear=0.99, max_iter=1, analyzer=analyzer).fit(CASED, CASE_LABELS)
    assert model.predict(new).tolist() == ["good", "bad"]
    lists = [text.split() for text in CASED]
    model = small(linear=0.99, max_iter=1).fit(lists, CASE_LABELS)
    assert model.predict([text.split() for text in new]).tolist() == ["good", "bad"]


def test_a_callable_analyzer_is_called_once_for_each_text_of_fit():
    calls = []

    def analyzer(text):
        calls.append(text)
        return text.lower().split()

    model = small(max_iter=1, analyzer=analyzer, warm_start=True).fit(X, Y)
    assert sorted(calls) == sorted(X)
    for further in (model.fit, model.partial_fit):
        calls.clear()
        further(X, Y)
        assert sorted(calls) == sorted(X)
    calls.clear()
    model.predict(X)
    assert calls == X


def test_shape_ngrams_is_a_parameter_like_any_other():
    assert small().get_params()["shape_ngrams"] is True
    model = small(shape_ngrams=False, max_iter=1)
    assert clone(model).get_params()["shape_ngrams"] is False
    assert len(linear_of(model.fit(X, Y)).frequent) == 0
    assert (
        len(linear_of(model.set_params(shape_ngrams=True).fit(X, Y)).frequent) == len(model.vocabulary_) + 1
    )
    for wrong in ("yes", None, 1.5):
        with pytest.raises(ValueError, match="'shape_ngrams' parameter"):
            small(shape_ngrams=wrong).fit(X, Y)


def test_partial_fit_keeps_scores_of_shapes():
    model = small(max_iter=1).fit(CASED, CASE_LABELS)
    texts = [*CASED, "who met Zubo today", "who met ZUBO today", "WHO met zubo", "Zubo"]
    before = linear_scores(model, texts)
    model.partial_fit(["who met Zubo", "zubo"] * 40, ["bad", "good"] * 40)
    assert "zubo" in model.vocabulary_
    np.testing.assert_allclose(linear_scores(model, texts), before, rtol=1e-6, atol=1e-6)


def test_warm_start_counts_frequent_words_anew(monkeypatch):
    monkeypatch.setattr("textcnn.nn.ngram_linear.FREQUENT_USES", 20)
    model = small(warm_start=True, max_iter=1).fit(CASED, CASE_LABELS)
    assert linear_of(model).frequent.sum() == 3  # who, met, today
    turned = ["good" if label == "bad" else "bad" for label in CASE_LABELS]
    model.fit([*CASED, *["Zubo again"] * 20], turned + ["bad", "good"] * 10)
    found = {name for name, i in model.vocabulary_.items() if linear_of(model).frequent[i]}
    assert found == {"who", "met", "today", "zubo", "again"}
    new = ["who met Zilo today", "who met zilo today"]
    assert linear_scores(model, new).argmax(axis=1).tolist() == [0, 1]
    model.set_params(shape_ngrams=False).fit(CASED, CASE_LABELS)
    assert len(linear_of(model).frequent) == 0


@pytest.mark.parametrize("shape_ngrams", [True, False])
def test_explanations_of_mixed_case_add_up(monkeypatch, shape_ngrams):
    monkeypatch.setattr("textcnn.nn.ngram_linear.FREQUENT_USES", 20)
    texts = [*cased(X), "", "A 3rd Play, in NYC!"]
    model = small(linear=0.6, max_iter=2, shape_ngrams=shape_ngrams).fit(texts, [*Y, "good", "bad"])
    new = [*cased(X_NEW[:8], 1), "", "Zebra ZEBRA zebra?", "the 4th \ud800X Play"]
    for text, explanation in zip(new, model.explain(new), strict=True):
        from_linear = sum(ngram.linear for ngram in explanation.ngrams) + 0.6 * linear_of(model).bias()
        expected = 0.6 * linear_scores(model, [text])[0]
        np.testing.assert_allclose(from_linear, expected, rtol=1e-10, atol=1e-10)
        total = explanation.bias + sum(ngram.contributions for ngram in explanation.ngrams)
        np.testing.assert_allclose(total, explanation.logits, rtol=1e-5, atol=1e-5)


def test_shapes_have_the_same_bits_for_any_number_of_threads(monkeypatch):
    monkeypatch.setattr("textcnn.nn.ngram_linear.FREQUENT_USES", 100)
    texts, labels = cased(X * 10), np.arange(len(X) * 10) % 3
    models = [small(n_jobs=n, max_iter=1).fit(texts, labels) for n in (1, 2)]
    assert same_linear(*models)
    new = cased(X_NEW * 60, 1)
    assert (models[0].predict_proba(new) == models[1].predict_proba(new)).all()


def test_complex_numbers_are_no_labels_and_no_text():
    for y in (np.array([1j, 2j]), [1j, 2j], [[[1j]], [[2j]]]):
        with pytest.raises(
            ValueError, match=r"^Complex data not supported: y holds complex numbers; [^\n]*$"
        ):
            small().fit(["a", "b"], y)
    with pytest.raises(ValueError, match=r"^Complex data not supported: X holds complex numbers, [^\n]*$"):
        TextCNNClassifier().fit(np.array([[1 + 2j], [1]]), [0, 1])
