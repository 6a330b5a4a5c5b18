"""`TextCNNTagger`: parameters, fitting, scores, scikit-learn's conventions."""

import copy
import pickle
import signal
import warnings
from inspect import signature

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from textcnn.data import load_entities

from textcnn import TextCNNTagger, WordVectors, nn
from textcnn.metrics import span_scores, token_accuracy
from textcnn.nn import training, window_linear
from textcnn.tagger import as_tags
from textcnn.text.tags import convert

TRAIN, TRAIN_TAGS = (part[:60] for part in load_entities("train"))
TEST, TEST_TAGS = (part[:20] for part in load_entities("test"))

X = [
    ["Ms.", "Haag", "plays", "Elianti", "."],
    ["The", "dog", "saw", "Ms.", "Haag", "in", "New", "York"],
    ["New", "York", "City", "Hall", "is", "large"],
    [],
    ["Paris", "New", "York"],
] * 4
Y = [
    ["O", "B-PER", "O", "B-PER", "O"],
    ["O", "O", "O", "O", "B-PER", "O", "B-LOC", "I-LOC"],
    ["B-LOC", "I-LOC", "I-LOC", "I-LOC", "O", "O"],
    [],
    ["B-LOC", "B-LOC", "I-LOC"],
] * 4
PLAIN = [["NOUN" if tag != "O" else "X" for tag in tags] for tags in Y]
SMALL = {
    "embedding_dim": 6,
    "char_dim": 4,
    "n_char_filters": 4,
    "affix_dim": 3,
    "n_channels": 8,
    "n_iterations": 2,
    "max_iter": 3,
    "linear_max_iter": 3,
    "random_state": 0,
}
SCHEMES = ["IOB1", "BIO", "BIOES", "BMES", "BIOS", "BILOU"]


def tagger(**params):
    return TextCNNTagger(**(SMALL | params))


def arrays_of(model):
    predictor = model.predictor_
    arrays = {f"network.{name}": array for name, array in predictor.network.arrays.items()}
    if predictor.linear is not None:
        arrays |= {f"linear.{name}": array for name, array in predictor.linear.arrays.items()}
    return arrays


def same_bits(model, other):
    mine, theirs = arrays_of(model), arrays_of(other)
    return mine.keys() == theirs.keys() and all(mine[k].tobytes() == theirs[k].tobytes() for k in mine)


@pytest.fixture(scope="module")
def fitted():
    return tagger().fit(X, Y)


# Learning


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_entities_are_learnt(head):
    model = TextCNNTagger(
        n_channels=32, embedding_dim=20, max_iter=25, linear_max_iter=8, head=head, random_state=0
    ).fit(TRAIN, TRAIN_TAGS)
    assert model.score(TRAIN, TRAIN_TAGS) > 0.95
    assert model.score(TEST, TEST_TAGS) > 0.2
    assert model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]
    assert len(model.loss_curve_) == model.n_iter_ == 25
    assert model.loss_ == model.loss_curve_[-1]


@pytest.mark.parametrize("join", ["concat", "last", "every"])
def test_the_network_alone_learns_a_small_set_by_heart(join):
    model = tagger(linear=0, join=join, max_iter=60, n_channels=16, learning_rate_init=0.01).fit(X, Y)
    assert model.predict(X) == Y
    assert model.score(X, Y) == 1


def test_the_linear_part_alone_learns_a_small_set_by_heart():
    model = tagger(linear=0.999, max_iter=1, linear_max_iter=20).fit(X, Y)
    assert model.predict(X) == Y


# Schemes


@pytest.mark.parametrize("tag_scheme", ["auto", "BIO"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("typeless", [False, True])
def test_tags_come_back_in_the_scheme_of_y(tag_scheme, scheme, typeless):
    y = [convert(tags, "BIO", scheme) for tags in Y]
    if typeless:
        y = [[tag[:1] for tag in tags] for tags in y]
    model = tagger(tag_scheme=tag_scheme, linear=0.9, linear_max_iter=20).fit(X, y)
    assert model.scheme_ == ("typeless " + scheme if typeless else scheme)
    assert {tag for tags in y for tag in tags} <= set(model.classes_)
    predicted = model.predict(X)
    assert predicted == y
    assert model.score(X, y) == 1
    assert all(
        len(marginals) == len(tags) for marginals, tags in zip(model.predict_marginals(X), y, strict=True)
    )


def test_plain_tags():
    model = tagger(linear=0.9, linear_max_iter=20).fit(X, PLAIN)
    assert model.scheme_ is None
    assert model.classes_.tolist() == ["NOUN", "X"]
    assert model.predict(X) == PLAIN
    assert model.score(X, PLAIN) == token_accuracy(PLAIN, model.predict(X)) == 1


def test_one_tag_alone():
    model = tagger().fit(X, [["O"] * len(tokens) for tokens in X])
    assert model.predict([["a", "b"]]) == [["O", "O"]]
    assert model.classes_.tolist() == ["O"]


def test_spans_without_an_outside():
    model = tagger().fit([["a", "b"], ["b"]], [["B-X", "I-X"], ["B-X"]])
    assert set(model.classes_) == {"B-X", "I-X"}
    assert set(model.predict([["a", "b", "c"]])[0]) <= {"B-X", "I-X"}


def test_score_is_the_f1_of_conlleval(fitted):
    predicted = fitted.predict(X)
    assert fitted.score(X, Y) == span_scores(Y, predicted, "BIO").f1


# Parameters


OPTIONS = {
    "analyzer": ["word", "char"],
    "lowercase": [False],
    "min_count": [3],
    "max_features": [2],
    "embedding_dim": [3],
    "embeddings": [{"haag": [1.0, 0.5], "berlin": [0.5, -1.0]}],
    "char_dim": [3],
    "char_kernel_sizes": [(1,), (2, 3), (5,), np.array([3, 4])],
    "n_char_filters": [0, 3],
    "prefix_lengths": [(), (2,), [1, 9]],
    "suffix_lengths": [(), (2,)],
    "shapes": [False],
    "affix_dim": [2],
    "n_channels": [3],
    "dilations": [(), (1,), (1, 2, 4), [3], np.array([1, 2])],
    "n_iterations": [1, 3],
    "share_weights": [False],
    "join": ["last", "every"],
    "body": [nn.Conv1d(8, 3), lambda: nn.DilatedBlock(8, shared=False)],
    "head": ["softmax"],
    "tag_scheme": ["BIO"],
    "dropout": [0, 0.2],
    "feature_dropout": [0, 0.2],
    "word_dropout": [0, 0.5],
    "rare_word_dropout": [0.0],
    "max_grad_norm": [None, 0.01],
    "solver": ["adadelta", "sgd"],
    "learning_rate": ["constant", "cosine", "invscaling", "adaptive"],
    "learning_rate_init": [0.03],
    "warmup_steps": [5],
    "alpha": [0.5],
    "batch_size": [1, 3, 1000],
    "max_iter": [1],
    "shuffle": [False],
    "early_stopping": [True],
    "linear": [0, 0.3],
    "linear_max_iter": [1],
    "linear_alpha": [0.1],
    "random_state": [1, np.random.RandomState(5)],
}
NO_EFFECT_HERE = {
    "embedding_mode",
    "validation_fraction",
    "n_iter_no_change",
    "tol",
    "warm_start",
    "n_jobs",
    "verbose",
}
SAME_VALUE = {("analyzer", "word"), ("linear", 0.3)}
RARE_X, RARE_Y = [*X, ["Rare", "words", "here"]], [*Y, ["O", "O", "O"]]


def test_every_parameter_has_a_test():
    assert set(OPTIONS) | NO_EFFECT_HERE == set(signature(TextCNNTagger).parameters)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in OPTIONS for value in OPTIONS[name]],
    ids=lambda value: "function" if callable(value) and hasattr(value, "__name__") else str(value),
)
def test_every_value_of_every_option_trains_and_has_an_effect(name, value):
    default = tagger().fit(RARE_X, RARE_Y)
    more = {"validation_fraction": 0.5} if name == "early_stopping" else {}
    model = tagger(**{name: value}, **more).fit(RARE_X, RARE_Y)
    predicted = model.predict(RARE_X)
    assert [len(tags) for tags in predicted] == [len(tokens) for tokens in RARE_X]
    if name == "linear" and value == 0:
        assert model.predictor_.linear is None
    elif (name, value if isinstance(value, (str, float, int)) else None) in SAME_VALUE:
        if name == "linear":
            pairs = zip(model.predict_marginals(X), default.predict_marginals(X), strict=True)
            assert any((a != b).any() for a, b in pairs)
        else:
            assert same_bits(model, default)
    elif name == "analyzer":
        assert model.predict(["New York"]) != default.predict(["New York"])
    else:
        assert not same_bits(model, default)


WRONG = {
    "analyzer": ["line", None],
    "min_count": [0, 1.5],
    "max_features": [0, "all"],
    "embedding_dim": [0],
    "embeddings": [5, {}, {"a": ["x"]}, {"haag": [1.0, float("nan")]}],
    "embedding_mode": ["static", "fine-tuned", "multichannel", None],
    "char_dim": [0],
    "char_kernel_sizes": [(), (0,), (1.5,), 3, "3", ((1,), (1, 2))],
    "n_char_filters": [-1, 1.5],
    "prefix_lengths": [(0,), None, (2**40,)],
    "suffix_lengths": [("a",), {1, 2}],
    "shapes": ["yes", None],
    "affix_dim": [0],
    "n_channels": [0],
    "dilations": [(0,), (-1,), (1.0,), None, 1, (True,), "12", [[1], [1, 2]]],
    "n_iterations": [0],
    "share_weights": ["yes"],
    "join": ["first"],
    "body": [3, "Conv1d"],
    "head": ["lstm"],
    "tag_scheme": ["BMES", None],
    "dropout": [1.0, -0.1],
    "feature_dropout": [1, "half"],
    "word_dropout": [1.0],
    "rare_word_dropout": [-1],
    "max_grad_norm": [0, -1],
    "solver": ["lbfgs"],
    "learning_rate": ["sine"],
    "learning_rate_init": [0, -1],
    "alpha": [-1],
    "batch_size": [0, "all", 1.5],
    "max_iter": [0],
    "shuffle": ["yes"],
    "early_stopping": ["sometimes"],
    "validation_fraction": [0.0, 1.0],
    "n_iter_no_change": [0],
    "tol": [-1],
    "linear": [1, -0.1],
    "linear_max_iter": [0],
    "linear_alpha": [-1],
    "random_state": ["a"],
    "n_jobs": ["two", 1.5],
    "verbose": ["very"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]], ids=str
)
def test_wrong_parameters_are_refused(name, value):
    with pytest.raises((ValueError, TypeError), match=r"\w+ .*\w+"):
        tagger(**{name: value}).fit(X, Y)
    with pytest.raises((ValueError, TypeError), match=r"\w+ .*\w+"):
        tagger(**{name: value}).partial_fit(X, Y, classes=["O", "B-PER", "B-LOC"])


def test_verbose_shows_progress(capsys):
    tagger(verbose=True).fit(X, Y, X_val=X, y_val=Y)
    shown = capsys.readouterr().err
    assert "linear part, epoch 3/3" in shown
    assert "F1=" in shown


# The same bits


def test_random_state_makes_it_reproducible():
    assert same_bits(tagger().fit(X, Y), tagger().fit(X, Y))
    assert not same_bits(tagger().fit(X, Y), tagger(random_state=1).fit(X, Y))
    state = np.random.RandomState(0)
    assert same_bits(tagger(random_state=state).fit(X, Y), tagger().fit(X, Y))


@pytest.mark.parametrize("params", [{}, {"join": "every", "head": "softmax"}], ids=str)
def test_any_number_of_threads_gives_the_same_bits(params):
    wide = params | {"n_channels": 50, "embedding_dim": 60, "max_iter": 2}
    models = [tagger(**wide, n_jobs=n_jobs).fit(TRAIN, TRAIN_TAGS) for n_jobs in (1, 2, 3)]
    assert same_bits(models[1], models[0])
    assert same_bits(models[2], models[0])
    expected = models[0].predict_marginals(TEST)
    for model in models[1:]:
        for marginals, wanted in zip(model.predict_marginals(TEST), expected, strict=True):
            assert marginals.tobytes() == wanted.tobytes()


def test_fit_does_not_change_its_arguments():
    x, y, weights = copy.deepcopy(X), copy.deepcopy(Y), np.ones(len(X))
    tagger().fit(x, y, sample_weight=weights)
    assert (x, y) == (X, Y)
    assert (weights == 1).all()


@pytest.mark.parametrize(
    "form", [tuple, iter, lambda x: np.array(x, dtype=object), lambda x: [tuple(s) for s in x],
             lambda x: [np.array(s, dtype=str) for s in x]]
)  # fmt: skip
def test_forms_of_x_and_y(form, fitted):
    assert same_bits(tagger().fit(form(X), form(Y)), fitted)


def test_arrays_of_sentences_of_equal_length():
    x, y = [["a", "b"], ["c", "d"]], [["O", "B-X"], ["B-X", "I-X"]]
    expected = tagger().fit(x, y)
    for dtype in (str, object):
        model = tagger().fit(np.array(x, dtype), np.array(y, dtype))
        assert same_bits(model, expected)
        assert model.predict(np.array(x, dtype)) == expected.predict(x)


# Weights and validation


def test_weight_two_is_the_sentence_twice():
    params = {"batch_size": 1000, "shuffle": False, "dropout": 0, "feature_dropout": 0, "word_dropout": 0,
              "rare_word_dropout": 0, "linear_alpha": 0, "solver": "sgd", "linear": 0}  # fmt: skip
    x, y = X[:3], Y[:3]
    weighted = tagger(**params).fit(x, y, sample_weight=[1, 2, 1])
    # The order in which words are numbered is the same: each keeps its rank.
    repeated = tagger(**params).fit([*x, x[1]], [*y, y[1]], sample_weight=[1, 1, 1, 1])
    assert weighted.loss_curve_[0] == pytest.approx(repeated.loss_curve_[0], rel=0.2)
    doubled = tagger(**params).fit([*x, x[1]], [*y, y[1]], sample_weight=[1, 1.5, 1, 0.5])
    plain = tagger(**params).fit([*x, x[1]], [*y, y[1]], sample_weight=[1, 1, 1, 1])
    for name, array in arrays_of(doubled).items():
        np.testing.assert_allclose(array, arrays_of(plain)[name], rtol=1e-3, atol=1e-5)


def test_sentences_of_weight_zero_teach_nothing():
    x, y = [*X, ["Haag", "Elianti"]], [*Y, ["O", "O"]]
    weights = [1] * len(X) + [0]
    other = [*Y, ["B-LOC", "B-LOC"]]
    assert same_bits(tagger().fit(x, y, sample_weight=weights), tagger().fit(x, other, sample_weight=weights))
    assert not same_bits(tagger().fit(x, y), tagger().fit(x, other))


@pytest.mark.parametrize(
    "weights",
    [[1], [-1] * 20, [np.nan] * 20, [np.inf] * 20, [0] * 20, [1e300] * 20, [1e-300] * 20, np.ones((20, 2))],
    ids=str,
)
@pytest.mark.filterwarnings("error")
def test_wrong_weights_are_refused(weights):
    with pytest.raises(ValueError, match="sample_weight"):
        tagger().fit(X, Y, sample_weight=weights)


def test_early_stopping_restores_the_best_epoch():
    model = tagger(max_iter=12, learning_rate_init=0.05, linear=0).fit(
        TRAIN, TRAIN_TAGS, X_val=TEST, y_val=TEST_TAGS
    )
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_
    assert model.best_validation_score_ == max(scores)
    assert model.score(TEST, TEST_TAGS) == max(scores)
    assert len(set(scores)) > 1


def test_early_stopping_stops():
    model = tagger(max_iter=50, n_iter_no_change=2, tol=1.0).fit(X, Y, X_val=X[:1], y_val=Y[:1])
    assert model.n_iter_ == 2 + 1


def test_validation_without_early_stopping_only_watches():
    watched = tagger(early_stopping=False).fit(X, Y, X_val=X, y_val=Y)
    assert len(watched.validation_scores_) == 3
    assert same_bits(watched, tagger().fit(X, Y))


def test_a_part_is_held_out():
    model = tagger(early_stopping=True, validation_fraction=0.25).fit(X, Y)
    assert len(model.validation_scores_) == 3
    assert tagger().fit(X, Y).validation_scores_ is None
    assert tagger().fit(X, Y).best_validation_score_ is None
    with pytest.raises(ValueError, match="hold out"):
        tagger(early_stopping=True).fit(X[:1], Y[:1])


def test_empty_sentences_are_not_held_out():
    x, y = [["a", "b"], [], [], ["c"], [], []], [["O", "B-X"], [], [], ["O"], [], []]
    for seed in range(10):
        model = tagger(early_stopping=True, random_state=seed).fit(x, y)
        assert len(model.validation_scores_) == 3
    with pytest.raises(ValueError, match="1 sentences with tokens"):
        tagger(early_stopping=True).fit(x[:3], y[:3])


def test_validation_of_plain_tags_is_accuracy():
    model = tagger().fit(X, PLAIN, X_val=X, y_val=PLAIN)
    assert model.best_validation_score_ == model.score(X, PLAIN)


# Errors


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, Y[:3], "X has 20 sentences, but y has 3 lists of tags"),
        (X, [Y[0][:2], *Y[1:]], "sentence 0 has 5 tokens, but 2 tags"),
        (X, [*Y[:-1], ["O"]], "sentence 19 has 3 tokens, but 1 tags"),
        (X, [[1, 2, 3, 4, 5], *Y[1:]], r"y\[0\] has a tag of type int"),
        (X, [["O", "O", None, "O", "O"], *Y[1:]], r"y\[0\] has a tag of type NoneType"),
        (X, ["O"] * 20, r"y\[0\] is a str"),
        (X, "O", "y is a single string"),
        (X, None, "y is None"),
        (X, 5, "y is a int"),
        ("Ms. Haag", Y, "X is a single string"),
        (None, Y, "X is a NoneType"),
        ([], [], "X has no sentences"),
        ([[], []], [[], []], "all sentences of X are empty"),
        ([["a", 5]], [["O", "O"]], r"X\[0\]\[1\]"),
        ([["a"], 5], [["O"], ["O"]], r"X\[1\]"),
        ([["a"], None], [["O"], ["O"]], r"X\[1\]"),
    ],
    ids=str,
)
def test_wrong_data_are_refused(x, y, message):
    with pytest.raises((ValueError, TypeError), match=message):
        tagger().fit(x, y)
    with pytest.raises((ValueError, TypeError), match=message):
        tagger().partial_fit(x, y, classes=["O", "B-PER", "B-LOC"])


@pytest.mark.parametrize(
    ("x_val", "y_val", "message"),
    [
        (X, None, "only one of X_val and y_val"),
        (None, Y, "only one of X_val and y_val"),
        ([], [], "X_val has no tokens"),
        ([[]], [[]], "X_val has no tokens"),
        (X, Y[:2], "X_val has 20 sentences, but y_val has 2"),
        (X, "O", "y_val is a single string"),
        ("a", Y, "X_val is a single string"),
    ],
    ids=str,
)
def test_wrong_validation_data_are_refused(x_val, y_val, message):
    with pytest.raises(ValueError, match=message):
        tagger().fit(X, Y, X_val=x_val, y_val=y_val)


def test_scores_need_tags_that_fit(fitted):
    with pytest.raises(ValueError, match="sentence 0 has 5 tokens, but 1 tags"):
        fitted.score(X[:1], [["O"]])
    with pytest.raises(ValueError, match="y is None"):
        fitted.score(X, None)


def test_tags_are_checked_by_name():
    assert as_tags([["O"]], [["a"]]) == [["O"]]
    with pytest.raises(TypeError, match=r"z\[0\] is a str"):
        as_tags(["O"], [["a"]], "X", "z")


def test_not_fitted():
    model = TextCNNTagger()
    for call in (model.predict, model.predict_marginals, model.spans, model.tag, model.save):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call("x.textcnn" if call == model.save else [["a"]])
    with pytest.raises(NotFittedError):
        model.score(X, Y)
    assert not hasattr(model, "classes_")


def test_a_refused_fit_leaves_the_model_as_it_was():
    model = tagger().fit(X, Y)
    expected = model.predict(X)
    with pytest.raises(ValueError, match="sentence 0"):
        model.fit(X, [Y[0][:2], *Y[1:]])
    assert model.predict(X) == expected


# Input


def test_words_that_were_never_seen(fitted):
    sentences = [["qwx", "zzz"], ["x" * 70_000], ["", "\ud800", "\0"], ["北京"]]
    assert [len(tags) for tags in fitted.predict(sentences)] == [2, 1, 3, 1]


def test_sentences_given_as_strings():
    model = tagger().fit(["Ms. Haag plays.", "Paris"], [["O", "B-PER", "O", "O"], ["B-LOC"]])
    assert model.predictor_.analyzer == "word"
    assert model.vocabulary_.keys() == {"ms.", "haag", "plays", ".", "paris"}


def test_chinese_is_cut_into_characters():
    x, y = (
        [list("我们去北京"), list("他在上海")] * 5,
        [["O", "O", "O", "B-LOC", "E-LOC"], ["O", "O", "B-LOC", "E-LOC"]] * 5,
    )
    model = tagger(linear_max_iter=20, linear=0.9).fit(x, y)
    assert model.predictor_.analyzer == "char"
    (span,) = model.tag("我们去北京")
    assert (span.label, span.start, span.stop, span.text) == ("LOC", 3, 5, "北京")
    assert tagger(analyzer="word").fit(x, y).predictor_.analyzer == "word"


def test_vocabulary():
    model = tagger(min_count=8).fit(X, Y)
    assert model.vocabulary_ == {"new": 1, "york": 2, "haag": 3, "ms.": 4}
    assert tagger(max_features=2).fit(X, Y).vocabulary_ == {"new": 1, "york": 2}
    assert "New" in tagger(lowercase=False).fit(X, Y).vocabulary_


# Word vectors

VECTORS = {"haag": [3.0, 0.5], "York": [0.25, 2.0], "berlin": [-3.0, 1.0]}


def words_of(model):
    return {word: model.predictor_.network.arrays["words"][i] for word, i in model.vocabulary_.items()}


def test_static_vectors_keep_their_directions():
    words = words_of(tagger(embeddings=VECTORS, embedding_mode="static").fit(X, Y))
    length = np.linalg.norm(words["haag"])
    for word, vector in VECTORS.items():  # all scaled to one length
        direction = np.array(vector) / np.linalg.norm(vector)
        np.testing.assert_allclose(words[word.lower()], length * direction, rtol=1e-5)
    trained = words_of(tagger(embeddings=VECTORS, embedding_mode="static", max_iter=1).fit(X, Y))
    assert trained["haag"].tolist() == words["haag"].tolist()


@pytest.mark.parametrize("mode", ["auto", "fine-tuned"])
def test_fine_tuned_vectors_start_from_what_is_given(mode):
    static = words_of(tagger(embeddings=VECTORS, embedding_mode="static").fit(X, Y))
    words = words_of(tagger(embeddings=VECTORS, embedding_mode=mode, learning_rate_init=1e-4).fit(X, Y))
    np.testing.assert_allclose(words["haag"], static["haag"], atol=0.01)
    assert words["haag"].tolist() != static["haag"].tolist()
    assert words["berlin"].tolist() == static["berlin"].tolist()  # no sentence has it


def test_words_that_only_the_vectors_have_are_known():
    model = tagger(embeddings=VECTORS).fit(X, Y)
    assert "berlin" in model.vocabulary_
    marginals = model.predict_marginals([["Berlin"], ["Bxrlin"]])
    assert (marginals[0] != marginals[1]).any()


@pytest.mark.parametrize("form", ["WordVectors", "path", "KeyedVectors"])
def test_forms_of_vectors(form, tmp_path):
    values = np.array(list(VECTORS.values()), np.float32)
    path = tmp_path / "v.txt"
    path.write_text("".join(f"{word} {a} {b}\n" for word, (a, b) in VECTORS.items()))

    class KeyedVectors:
        vector_size = 2

        def __init__(self):
            self.key_to_index = {word: i for i, word in enumerate(VECTORS)}

        def get_vector(self, word):
            return values[self.key_to_index[word]]

    forms = {"WordVectors": WordVectors(list(VECTORS), values), "path": path, "KeyedVectors": KeyedVectors()}
    expected = tagger(embeddings=VECTORS).fit(X, Y)
    assert same_bits(tagger(embeddings=forms[form]).fit(X, Y), expected)


def test_vectors_of_another_length_are_refused_when_training_goes_on():
    model = tagger(warm_start=True).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="2 dimensions, but the model goes on with 6"):
            model.set_params(embeddings=VECTORS).fit([*X, ["zz"]], [*Y, ["O"]])


# Going on


def test_partial_fit_needs_classes_and_adds_words():
    model = tagger()
    with pytest.raises(ValueError, match="classes is None"):
        model.partial_fit(X, Y)
    classes = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG"]
    model.partial_fit(X, Y, classes=classes)
    assert set(classes) < set(model.classes_)
    assert "acme" not in model.vocabulary_
    before = arrays_of(model)["network.weights"].copy()
    known = model.vocabulary_
    model.partial_fit([["Acme", "is", "large"]], [["B-ORG", "O", "O"]])
    assert model.vocabulary_ == known | {"acme": len(known) + 1}
    assert (arrays_of(model)["network.weights"] != before).any()
    assert model.predict([["Acme"]])[0][0] in model.classes_


def test_partial_fit_learns():
    model = tagger(n_channels=16, learning_rate_init=0.01)
    losses = []
    for _ in range(25):
        model.partial_fit(X, Y, classes=["O", "B-PER", "B-LOC"])
        losses += model.loss_curve_
    assert losses[-1] < 0.5 * losses[0]
    assert model.score(X, Y) == 1


@pytest.mark.parametrize("learning_rate", ["linear", "cosine", "constant", "invscaling"])
def test_partial_fit_makes_one_pass(learning_rate):
    model = tagger(learning_rate=learning_rate, max_iter=7).partial_fit(X, Y, classes=["O", "B-PER", "B-LOC"])
    assert model.n_iter_ == len(model.loss_curve_) == 1


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        (["O"], ValueError, "but a known one was expected: O"),
        ([1, 2], TypeError, "classes has a tag of type int"),
        ([], ValueError, r"."),
    ],
    ids=str,
)
def test_partial_fit_refuses_wrong_classes(classes, error, message):
    with pytest.raises(error, match=message):
        tagger().partial_fit([["a", "b"]], [["O", "B-PER"]], classes=classes)


def test_partial_fit_refuses_unknown_tags():
    model = tagger().partial_fit(X, Y, classes=["O", "B-PER", "B-LOC"])
    with pytest.raises(ValueError, match="sentence 0 is 'B-ORG'"):
        model.partial_fit([["Acme"]], [["B-ORG"]])


def test_partial_fit_after_fit_and_after_load(tmp_path):
    model = tagger().fit(X, Y)
    model.save(tmp_path / "m.textcnn")
    loaded = TextCNNTagger.load(tmp_path / "m.textcnn")
    for other in (model, loaded):
        other.partial_fit([["Acme"]], [["O"]])
    assert same_bits(model, loaded)


def test_copies_go_on_alike():
    model = tagger().partial_fit(X, Y, classes=["O", "B-PER", "B-LOC"])
    others = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    model.partial_fit(X, Y)
    for other in others:
        assert not same_bits(other, model)
        assert same_bits(other.partial_fit(X, Y), model)


def test_warm_start_goes_on():
    model = tagger(warm_start=True).fit(X, Y)
    words, loss = model.vocabulary_, model.loss_curve_[-1]
    model.fit([*X, ["Acme"]], [*Y, ["O"]])
    assert model.vocabulary_ == words | {"acme": len(words) + 1}
    assert model.loss_curve_[0] < tagger().fit(X, Y).loss_curve_[0]
    assert loss != model.loss_curve_[0]
    with pytest.raises(ValueError, match="y has 'B-ORG'"):
        model.fit([["Acme"]], [["B-ORG"]])
    assert model.set_params(warm_start=False).fit([["Acme"]], [["B-ORG"]]).vocabulary_ == {"acme": 1}


def test_warm_start_of_another_linear_share():
    model = tagger(warm_start=True).fit(X, Y)
    assert model.set_params(linear=0).fit(X, Y).predictor_.linear is None
    assert model.set_params(linear=0.5).fit(X, Y).predictor_.linear is not None


# scikit-learn's conventions


def test_clone_and_params(fitted):
    other = clone(fitted)
    assert other.get_params() == fitted.get_params() | {"random_state": 0}
    assert not hasattr(other, "predictor_")
    assert same_bits(other.fit(X, Y), fitted)
    assert "TextCNNTagger(" in repr(fitted)


@pytest.mark.parametrize("way", ["pickle", "joblib", "deepcopy", "file"])
def test_ways_to_keep_a_model(fitted, way, tmp_path):
    if way == "pickle":
        other = pickle.loads(pickle.dumps(fitted))
    elif way == "joblib":
        joblib.dump(fitted, tmp_path / "m.joblib")
        other = joblib.load(tmp_path / "m.joblib")
    elif way == "deepcopy":
        other = copy.deepcopy(fitted)
    else:
        fitted.save(tmp_path / "m.textcnn")
        other = TextCNNTagger.load(tmp_path / "m.textcnn")
    assert same_bits(other, fitted)
    assert other.get_params() == fitted.get_params()
    assert other.predict(TEST) == fitted.predict(TEST)
    assert (other.n_iter_, other.loss_curve_) == (fitted.n_iter_, fitted.loss_curve_)
    assert other.validation_scores_ == fitted.validation_scores_
    assert (other.scheme_, other.classes_.tolist()) == (fitted.scheme_, fitted.classes_.tolist())
    assert same_bits(other.fit(X, Y), fitted)


def test_params_survive_a_file(tmp_path):
    params = {
        "dilations": [np.int64(1), 2], "char_kernel_sizes": np.array([2, 3]), "max_features": np.int64(9),
        "embeddings": VECTORS, "embedding_mode": "static", "random_state": np.random.RandomState(0),
        "dropout": np.float64(0.25), "prefix_lengths": (), "early_stopping": False,
    }  # fmt: skip
    model = tagger(**params).fit(X, Y, X_val=X, y_val=Y)
    model.save(tmp_path / "m.textcnn")
    loaded = TextCNNTagger.load(tmp_path / "m.textcnn")
    assert loaded.dilations == (1, 2)
    assert loaded.char_kernel_sizes == (2, 3)
    assert (loaded.max_features, loaded.dropout, loaded.prefix_lengths) == (9, 0.25, ())
    assert (loaded.embeddings, loaded.embedding_mode, loaded.random_state) == (None, "auto", None)
    assert loaded.validation_scores_ == model.validation_scores_
    assert loaded.predict(X) == model.predict(X)


@pytest.mark.parametrize("equal", [False, True])
def test_grid_search_in_two_processes(equal):
    x, y = ([s[:3] for s in X if s], [t[:3] for t in Y if t]) if equal else (X, Y)
    search = GridSearchCV(tagger(), {"linear": [0, 0.5], "dilations": [(1,), (1, 2)]}, cv=2, n_jobs=2)
    search.fit(x, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.score(x, y) == search.best_estimator_.score(x, y)


def test_cross_val_score():
    scores = cross_val_score(tagger(linear=0.9, linear_max_iter=10), X, Y, cv=4)
    assert scores.shape == (4,)
    assert (scores > 0.5).all()


def test_pipeline(fitted):
    pipeline = make_pipeline(FunctionTransformer(), tagger())
    pipeline.fit(X, Y)
    assert pipeline.predict(X) == fitted.predict(X)
    assert pipeline.score(X, Y) == fitted.score(X, Y)


def interrupt_at_call(monkeypatch, trainer, method, number):
    """Ctrl-C at the call with this number of a trainer's method; the list returned grows with each call."""
    call, calls = getattr(trainer, method), []

    def interrupted(self, *args):
        calls.append(self)
        if len(calls) == number:
            signal.raise_signal(signal.SIGINT)
        return call(self, *args)

    monkeypatch.setattr(trainer, method, interrupted)
    return calls


def test_ctrl_c_keeps_the_model(monkeypatch):
    steps = interrupt_at_call(monkeypatch, training.Trainer, "_step", 8)
    model = tagger(max_iter=50, linear=0)
    with pytest.warns(UserWarning, match="interrupted after 1 of 50 epochs"):
        model.fit(X, Y)
    assert len(model.predict(X)) == len(X)
    assert len(steps) == 8


def test_ctrl_c_in_the_linear_part_leaves_the_model_as_it_was(monkeypatch):
    model = tagger().partial_fit(X, Y, classes=["O", "B-PER", "B-LOC"])
    kept = copy.deepcopy(model)
    for method in (model.fit, model.partial_fit):
        calls = interrupt_at_call(monkeypatch, window_linear.WindowTrainer, "_train", 1)
        with pytest.raises(KeyboardInterrupt):
            method(X, Y)
        assert len(calls) == 1  # of several in fit
        assert same_bits(model, kept)
