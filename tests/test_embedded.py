"""Embedded text as X of classifier and regressor."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr, get_tags

import textcnn
from textcnn import TextCNNClassifier, TextCNNRegressor
from textcnn.cli import main
from textcnn.io import ModelFileError, load_arrays, save_arrays
from textcnn.nn import Conv1d, Pool1d, Sequential

RNG = np.random.RandomState(0)
# A text has the label 1 if one of its tokens has a large first channel.
Y = np.arange(60) % 2
X = [RNG.randn(RNG.randint(1, 9), 3) for _ in Y]
for rows, label in zip(X, Y, strict=True):
    rows[:, 0] = np.minimum(rows[:, 0], 0)
    rows[RNG.randint(len(rows)), 0] += 4 * label
FAST = {"n_filters": 8, "batch_size": 10, "learning_rate_init": 0.02, "random_state": 0}


@pytest.fixture(scope="module")
def model():
    return TextCNNClassifier(**FAST).fit(X, Y)


# ---- what is learned ------------------------------------------------------------------------------


def test_classifier_learns(model):
    assert model.score(X, Y) == 1


def test_regressor_learns():
    y = np.array([rows[:, 0].max() for rows in X])
    assert TextCNNRegressor(**{**FAST, "max_iter": 40, "dropout": 0.1}).fit(X, y).score(X, y) > 0.9


def test_several_labels():
    y = np.stack([Y, 1 - Y], axis=1)
    assert_array_equal(TextCNNClassifier(**FAST).fit(X, y).predict(X), y)


@pytest.mark.parametrize(
    "params",
    [
        {"body": Sequential(Conv1d(8, 2), Pool1d("max"))},
        {"pooling": ("mean", "kmax")},
        {"padding": "valid"},
        {"padding": "same", "padding_mode": "reflect", "stride": 2, "dilation": 2},
        {"activation": "gelu", "solver": "sgd", "class_weight": "balanced"},
    ],
    ids=str,
)
def test_options_of_the_network(params):
    model = TextCNNClassifier(**{**FAST, "max_iter": 30, **params}).fit(X, Y)
    assert model.score(X, Y) > 0.8


def test_a_table_has_sequences_of_one_channel():
    table = RNG.randn(40, 6)
    y = (table.max(axis=1) > 1.3).astype(int)
    as_table = TextCNNClassifier(**FAST).fit(table, y)
    as_lists = TextCNNClassifier(**FAST).fit([row[:, np.newaxis] for row in table], y)
    assert_array_equal(as_table.predict_proba(table), as_lists.predict_proba(table[:, :, np.newaxis]))


def test_integers_are_numbers_not_ids():
    table = RNG.randint(0, 3, (30, 4))
    models = [TextCNNClassifier(**FAST).fit(X, table[:, 0] > 0) for X in (table, table.astype(float))]
    assert_array_equal(models[0].transform(table), models[1].transform(table))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_network_computes_in_the_type_of_x(dtype):
    texts = [rows.astype(dtype) for rows in X]
    model = TextCNNClassifier(**FAST).fit(texts, Y)
    assert model.transform(texts).dtype == model.predict_proba(texts).dtype == dtype


def test_a_model_for_float32_takes_float64():
    model = TextCNNClassifier(**FAST).fit([rows.astype(np.float32) for rows in X], Y)
    assert model.predict_proba(X).dtype == np.float32
    with pytest.raises(ValueError, match="NaN or infinity"):
        model.predict([np.full((2, 3), 1e300)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_text_has_the_same_bits_alone_and_with_others(dtype):
    texts = [rows.astype(dtype) for rows in X]
    model = TextCNNClassifier(**FAST).fit(texts, Y)
    alone = np.concatenate([model.predict_proba([text]) for text in texts])
    assert_array_equal(model.predict_proba(texts), alone)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_nothing(dtype):
    texts = [rows.astype(dtype) for rows in X]
    found = [TextCNNClassifier(**FAST, n_jobs=n).fit(texts, Y).transform(texts) for n in (1, 2)]
    assert_array_equal(*found)


def test_empty_texts():
    texts = [*X, np.empty((0, 3))]
    model = TextCNNClassifier(**FAST).fit(texts, [*Y, 0])
    probabilities = model.predict_proba(texts)
    assert_allclose(probabilities.sum(axis=1), 1)
    assert_array_equal(model.predict_proba([[], X[0]]), probabilities[[-1, 0]])


def test_many_texts_are_cut_into_pieces(model, monkeypatch):
    whole = model.predict_proba(X)
    monkeypatch.setattr("textcnn.predictor.TOKENS_PER_PIECE", 7)
    assert_array_equal(model.predict_proba(X), whole)


def test_parameters_of_words_are_not_used(model):
    other = TextCNNClassifier(
        **FAST, linear=0, ngram_range=(1, 1), min_df=3, word_dropout=0.9, embedding_dim=7
    )
    assert_array_equal(other.fit(X, Y).transform(X), model.transform(X))


# ---- going on -------------------------------------------------------------------------------------


def test_validation_texts():
    model = TextCNNClassifier(**FAST, early_stopping=True).fit(X, Y, X_val=X[:9], y_val=Y[:9])
    assert model.best_validation_score_ == model.score(X[:9], Y[:9])
    held_out = TextCNNClassifier(**FAST, early_stopping=True).fit(X, Y)
    assert len(held_out.validation_scores_) == held_out.n_iter_


def test_warm_start_goes_on(model):
    again = pickle.loads(pickle.dumps(model)).set_params(warm_start=True, max_iter=1, learning_rate_init=1e-6)
    assert_allclose(again.fit(X, Y).transform(X), model.transform(X), atol=1e-3)


def test_partial_fit():
    model = TextCNNClassifier(**FAST)
    for _ in range(20):
        model.partial_fit(X, Y, classes=[0, 1])
    assert model.score(X, Y) == 1


def test_fit_anew_with_text_and_back(model):
    texts, labels = ["good film", "bad film", "good plot", "bad plot"], [1, 0, 1, 0]
    other = TextCNNClassifier(**FAST).fit(np.zeros((4, 2)), labels)
    assert other.n_features_in_ == 2
    assert other.fit(texts, labels).predict(["good"]) == [1]
    assert not hasattr(other, "n_features_in_")
    assert_array_equal(other.fit(X, Y).transform(X), model.transform(X))


def test_several_networks_are_refused():
    with pytest.raises(ValueError, match="n_members is 2"):
        TextCNNClassifier(**FAST, n_members=2).fit(X, Y)


# ---- explanations, files --------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["max", "mean", ("l2", "kmax", "pyramid")], ids=str)
@pytest.mark.parametrize("kind", [TextCNNClassifier, TextCNNRegressor])
def test_explanations_sum_to_the_outputs(kind, pooling):
    model = kind(**FAST, pooling=pooling).fit(X, Y)
    for rows, found in zip(X, model.explain(X), strict=True):
        total = found.bias + sum(ngram.contributions for ngram in found.ngrams)
        assert_allclose(total, found.logits, atol=1e-9)
        assert found.tokens == [str(t) for t in range(len(rows))]
        assert all(ngram.text.split() == found.tokens[ngram.start : ngram.end] for ngram in found.ngrams)
    if kind is TextCNNRegressor:
        assert_allclose([found.label for found in model.explain(X)], model.predict(X))


def test_the_decisive_window_holds_the_large_value(model):
    best = model.explain([rows for rows, label in zip(X, Y, strict=True) if label])
    places = [int(rows[:, 0].argmax()) for rows, label in zip(X, Y, strict=True) if label]
    hits = [found.ngrams[0].start <= t < found.ngrams[0].end for found, t in zip(best, places, strict=True)]
    assert np.mean(hits) > 0.9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [TextCNNClassifier, TextCNNRegressor])
def test_model_files(kind, dtype, tmp_path):
    texts = [rows.astype(dtype) for rows in X]
    model = kind(**FAST).fit(texts, Y)
    model.save(tmp_path / "m")
    loaded, predictor = kind.load(tmp_path / "m"), textcnn.load(tmp_path / "m")
    for other in (loaded, predictor, pickle.loads(pickle.dumps(model))):
        assert_array_equal(other.transform(texts), model.transform(texts))
        assert_array_equal(other.predict(X), model.predict(X))
    assert loaded.get_params()["n_filters"] == 8


def test_model_files_keep_the_columns(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(RNG.randn(20, 3), columns=["a", "b", "c"])
    TextCNNClassifier(**FAST).fit(frame, Y[:20]).save(tmp_path / "m")
    loaded = TextCNNClassifier.load(tmp_path / "m")
    assert loaded.n_features_in_ == 3
    assert loaded.feature_names_in_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame[["c", "b", "a"]])
    with pytest.raises(ValueError, match="4 features"):
        textcnn.load(tmp_path / "m").predict(np.zeros((2, 4)))


def test_altered_model_files(model, tmp_path):
    model.save(tmp_path / "m")
    arrays, config = load_arrays(tmp_path / "m")
    changes = [
        (arrays, {**config, "analyzer": "word"}),
        (arrays, {**config, "n_frozen": 1}),
        (arrays, {**config, "n_features": "3"}),
        (arrays, {name: value for name, value in config.items() if name != "body"}),
        ({**arrays, "bias": arrays["bias"].astype(np.float32)}, config),
        ({**arrays, "embedding": np.zeros((1, 3))}, config),
        ({**arrays, "embedding": np.zeros((0, 4))}, config),
    ]
    for changed in changes:
        save_arrays(tmp_path / "changed", *changed)
        with pytest.raises(ModelFileError):
            textcnn.load(tmp_path / "changed")


def test_there_are_no_words(model):
    assert not hasattr(model, "vocabulary_")
    assert not hasattr(model, "embedding_")
    with pytest.raises(AttributeError, match="no vocabulary"):
        _ = model.predictor_.text_vocabulary
    assert repr(model.predictor_) == "<Predictor of 2 classes, 3 channels, 24 features>"


def test_commands_refuse_the_model(model, tmp_path, capsys):
    model.save(tmp_path / "m")
    assert main(["info", str(tmp_path / "m")]) != 0
    assert "embedded text" in capsys.readouterr().err


# ---- forms of X, and errors -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        tuple,
        lambda texts: [rows.tolist() for rows in texts],
        lambda texts: np.array([*texts, None], dtype=object)[:-1],
        lambda texts: [np.asfortranarray(rows) for rows in texts],
        lambda texts: pytest.importorskip("pandas").Series(list(texts), index=range(5, 5 + len(texts))),
        lambda texts: pytest.importorskip("polars").Series([rows.tolist() for rows in texts]),
        lambda texts: pytest.importorskip("pyarrow").array([rows.tolist() for rows in texts]),
    ],
    ids=["tuple", "nested lists", "object array", "column-major", "pandas", "polars", "arrow"],
)
def test_forms_of_samples(model, form):
    assert_array_equal(model.predict_proba(form(X)), model.predict_proba(X))


@pytest.mark.parametrize(
    "form",
    [
        np.ndarray.tolist,
        list,
        np.asfortranarray,
        lambda table: table.astype(object),
        lambda table: pytest.importorskip("pandas").DataFrame(table),
        lambda table: pytest.importorskip("polars").DataFrame(table.tolist(), orient="row"),
    ],
    ids=["lists", "list of arrays", "column-major", "object", "pandas", "polars"],
)
def test_forms_of_tables(form):
    table = RNG.randn(20, 4)
    model = TextCNNClassifier(**FAST).fit(table, Y[:20])
    assert_array_equal(model.predict_proba(form(table)), model.predict_proba(table))
    assert clone(model).fit(form(table), Y[:20]).n_features_in_ == 4


def test_x_is_not_changed(model):
    texts = [rows.copy() for rows in X]
    for rows in texts:
        rows.setflags(write=False)
    clone(model).fit(texts, Y).predict(texts)
    assert all((one == other).all() for one, other in zip(texts, X, strict=True))


NAN = np.array([[0.0, np.nan, 1.0]])


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ([X[0], "a text"], TypeError, r"X\[1\] is a text, but X began with numbers"),
        ([X[0], ["a", "b"]], TypeError, r"X\[1\] is a text, but X began with numbers"),
        (["a text", X[0]], TypeError, r"X\[1\] is an array of float64"),
        ([X[0], np.zeros((2, 4))], ValueError, r"X\[1\] has 4 channels, but X\[0\] has 3"),
        ([X[0], np.zeros(3)], ValueError, r"X\[1\] has 1 axes, but X began with arrays of 2"),
        ([X[0], None], ValueError, r"X\[1\] has 0 axes"),
        ([X[0], {"a": 1}], ValueError, r"X\[1\] is no array of numbers|X\[1\] has 0 axes"),
        ([X[0], NAN], ValueError, r"X\[1\] has NaN or infinity"),
        ([X[0], np.empty((0, 3)), np.full((1, 3), -np.inf)], ValueError, r"X\[2\] has NaN or infinity"),
        ([[1.0, 2.0], [1.0]], ValueError, "inhomogeneous|has 1 numbers"),
        ([[[1.0, 2.0], [1.0]]] * 2, ValueError, r"X\[0\] is no array of numbers"),
        (np.zeros((2, 3, 0)), ValueError, "no channels"),
        (np.zeros((2, 2, 2, 2)), ValueError, "X has 4 axes"),
        (np.zeros(2), ValueError, "X has 1 axes, .* Reshape your data"),
        (np.zeros((2, 3)) * 1j, ValueError, "Complex data not supported"),
        (
            [np.zeros(3) * 1j] * 2,
            ValueError,
            "^Complex data not supported: X holds complex numbers, but [^\n]*$",
        ),
        ([[1j, 2j]] * 2, ValueError, "Complex data not supported: X"),
        (np.full((2, 3), np.nan), ValueError, r"X\[0\] has NaN or infinity"),
        (np.array([["a", "b"], ["c", "d"]], dtype=object), ValueError, r"X has shape \(2, 2\)"),
    ],
    ids=str,
)
def test_wrong_texts_are_answered_by_a_sentence(texts, error, message):
    with pytest.raises(error, match=message) as caught:
        TextCNNClassifier(**FAST, linear=0).fit(texts, np.arange(len(texts)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        (["a text"], TypeError, "is a list without numbers, but the model was fitted to embedded text"),
        ([np.zeros((2, 4))], ValueError, "has 4 channels, but the model was fitted to 3"),
        (np.zeros((2, 5)), ValueError, "has 1 channels"),
        ([NAN], ValueError, r"\[0\] has NaN"),
    ],
    ids=str,
)
def test_wrong_texts_in_prediction(model, texts, error, message):
    for predictor in (model, model.predictor_):
        with pytest.raises(error, match=message):
            predictor.predict(texts)
    with pytest.raises(error, match=message):
        clone(model).set_params(early_stopping=True).fit(X, Y, X_val=texts, y_val=[0] * len(texts))


def test_a_model_of_words_refuses_numbers():
    model = TextCNNClassifier(**FAST, warm_start=True).fit(["good film", "bad film"], [1, 0])
    with pytest.raises(ValueError, match=r"X has shape \(2, 3\)"):
        model.predict(np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"X\[0\] is an array of float64 .* a model of such"):
        model.fit(X, Y)


def test_wrong_number_of_columns():
    model = TextCNNClassifier(**FAST).fit(np.zeros((4, 3)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="X has 2 features, but TextCNNClassifier is expecting 3"):
        model.predict(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="X has 2 features"):
        model.partial_fit(np.zeros((4, 2)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="2-D array with 3 features"):
        model.predict([np.zeros((2, 1))])


def test_not_fitted_comes_first():
    with pytest.raises(NotFittedError):
        TextCNNRegressor().predict(np.zeros((1, 2)))


# ---- scikit-learn ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TextCNNClassifier, TextCNNRegressor])
def test_tags(kind):
    tags = get_tags(kind()).input_tags
    assert (tags.string, tags.two_d_array, tags.three_d_array, tags.sparse, tags.one_d_array) == (
        True,
        True,
        True,
        False,
        False,
    )


def test_columns_of_a_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(RNG.randn(20, 3), columns=["a", "b", "c"])
    model = TextCNNRegressor(**FAST).fit(frame, Y[:20])
    assert model.n_features_in_ == 3
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert not hasattr(model.fit(frame.to_numpy(), Y[:20]), "feature_names_in_")


def test_samples_of_rows_have_no_columns(model):
    assert not hasattr(model, "n_features_in_")


def test_set_output():
    pandas = pytest.importorskip("pandas")
    table = RNG.randn(20, 3)
    model = TextCNNRegressor(**FAST).set_output(transform="pandas")
    frame = model.fit(pandas.DataFrame(table, index=range(7, 27)), Y[:20]).transform(
        pandas.DataFrame(table, index=range(7, 27))
    )
    assert frame.columns.tolist() == model.get_feature_names_out().tolist()
    assert frame.index.tolist() == list(range(7, 27))


def test_html_representation(model):
    assert "TextCNNClassifier" in estimator_html_repr(model)
    assert "n_filters" in repr(TextCNNClassifier(n_filters=7))


def test_pipeline_and_cross_validation():
    table = RNG.randn(60, 3) * [1, 10, 100]
    y = (table[:, 0] > 0).astype(int)
    pipeline = make_pipeline(
        StandardScaler(), TextCNNClassifier(**{**FAST, "kernel_sizes": (3,), "padding": "valid"})
    )
    assert cross_val_score(pipeline, table, y, cv=3).mean() > 0.7
