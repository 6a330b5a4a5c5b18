"""Texts on disk: the same vocabulary, ids and weights as with texts in memory."""

import re

import numpy as np
import pytest
from checks import assert_same_bits
from samples import cased, reviews, same_bits

from textcnn import TextCNNClassifier
from textcnn.text import corpus
from textcnn.text.analyzers import SHAPES
from textcnn.text.corpus import Corpus
from textcnn.text.vocabulary import Vocabulary

TEXTS = ["The cat, the DOG.", "", "a Cat; Ünïcode 映画", "dog dOg DOG a", "!", "the 映 bird A 3rd"]


def batches(texts, labels, size=7):
    return [(texts[i : i + size], labels[i : i + size]) for i in range(0, len(texts), size)]


@pytest.fixture(params=[None, 5], ids=["one block", "small blocks"])
def small_blocks(request, monkeypatch):
    """Blocks so small that there are many of them, and the real size."""
    if request.param:
        monkeypatch.setattr(corpus, "CHARACTERS_PER_BLOCK", request.param)
        monkeypatch.setattr(corpus, "TOKENS_PER_BLOCK", request.param)


def stored(texts, analyzer="word", lowercase=True):
    return Corpus(batches(texts, list("abcdef"), 2)).scan(analyzer, lowercase, 2)


@pytest.mark.parametrize("min_df", [1, 2, 3, 0.0, 0.4, 1.0])
@pytest.mark.parametrize("max_features", [None, 1, 4])
@pytest.mark.parametrize("rows", [None, [5, 2, 3, 0], [1]])
def test_the_vocabulary_is_that_of_texts_in_memory(small_blocks, min_df, max_features, rows):
    texts, found = TEXTS, stored(TEXTS)
    if rows is not None:
        texts, found = [TEXTS[i] for i in rows], found.take(np.array(rows))
    expected, ids, offsets = Vocabulary.build(texts, min_df=min_df, max_features=max_features)
    vocabulary, stored_ids, stored_offsets, shapes = found.build(min_df, max_features)
    assert vocabulary.id_to_token == expected.id_to_token
    assert_same_bits(stored_ids, ids)
    assert_same_bits(stored_offsets, offsets)
    assert_same_bits(shapes, vocabulary.shapes(texts))


@pytest.mark.parametrize(("analyzer", "lowercase"), [("char", True), ("word", False), (str.split, True)])
def test_analyzers_and_texts_held_out(small_blocks, analyzer, lowercase):
    texts = stored(TEXTS, analyzer, lowercase)
    kept, held_out = [0, 3, 4], [5, 2, 1]
    expected, _, _ = Vocabulary.build([TEXTS[i] for i in kept], analyzer=analyzer, lowercase=lowercase)
    vocabulary, _, _, shapes = texts.take(np.array(kept)).build(1, None)
    assert vocabulary.id_to_token == expected.id_to_token
    assert_same_bits(shapes, expected.shapes([TEXTS[i] for i in kept]))
    found = texts.take(np.array(held_out)).encoded(vocabulary)
    wanted = expected.encode_fully([TEXTS[i] for i in held_out])
    for name in ("ids", "offsets", "shapes"):
        assert_same_bits(getattr(found, name), getattr(wanted, name))
    assert_same_bits(found.unknown.bytes, wanted.unknown.bytes)
    assert_same_bits(found.unknown.offsets, wanted.unknown.offsets)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"early_stopping": True, "validation_fraction": 0.3},
        {"class_weight": {"bad": 2.0, "good": 0.5}, "min_df": 2},
        {"analyzer": "char", "max_features": 9, "n_jobs": 2},
        {"linear": 0.5, "ngram_range": (1, 3), "char_ngram_range": (3, 4)},
        {"linear": 0.5, "early_stopping": True, "min_df": 3, "n_members": 2},
        {"early_stopping": True, "validation_fraction": 0.4, "min_df": 2, "linear": 0.9},
        {"shape_ngrams": False, "lowercase": False},
        {"analyzer": str.split, "early_stopping": True},
    ],
)
def test_fit_gives_the_same_weights(small_blocks, monkeypatch, params):
    monkeypatch.setattr("textcnn.nn.ngram_linear.FREQUENT_USES", 10)
    texts, labels = reviews()
    texts = cased(texts)
    options = {"n_filters": 4, "embedding_dim": 8, "max_iter": 3, "random_state": 3} | params
    expected = TextCNNClassifier(**options).fit(texts, labels)
    model = TextCNNClassifier(**options).fit(Corpus(batches(texts, labels)), None)
    assert same_bits(model, expected)
    if expected.predictor_.linear:
        assert expected.predictor_.linear.frequent.any() == expected.shape_ngrams
        arrays = model.predictor_.linear.to_arrays()
        for name, array in expected.predictor_.linear.to_arrays().items():
            assert_same_bits(arrays[name], array)
    assert model.vocabulary_ == expected.vocabulary_
    assert model.classes_.tolist() == expected.classes_.tolist()
    assert model.classes_.dtype == expected.classes_.dtype
    assert model.loss_curve_ == expected.loss_curve_
    assert model.validation_scores_ == expected.validation_scores_


def test_shapes_and_ids_of_many_tokens_do_not_mix(monkeypatch):
    # An id and a shape share an int32: with ids of many bits none may spill into the other.
    texts = [f"w{i} W{i} {i} ?" for i in range(3000)]
    found = Corpus([(texts, ["a", "b"] * 1500)]).scan("word", False, 1)
    expected, ids, _ = Vocabulary.build(texts, lowercase=False)
    vocabulary, stored_ids, _, shapes = found.build(1, None)
    assert len(vocabulary) > 9000
    assert_same_bits(stored_ids, ids)
    assert_same_bits(shapes, expected.shapes(texts))
    assert set(shapes.tolist()) == {0, 1, 4, 5}
    assert len(SHAPES) <= 1 << corpus.SHAPE_BITS
    monkeypatch.setattr(corpus, "MAX_TOKENS", 9000)
    with pytest.raises(OverflowError, match="at most 9000 distinct tokens"):
        Corpus([(texts, ["a", "b"] * 1500)]).scan("word", False, 1)


def test_a_corpus_calls_a_callable_analyzer_once_for_each_text():
    calls = []

    def analyzer(text):
        calls.append(text)
        return text.split()

    texts, labels = reviews(20)
    Corpus(batches(texts, labels)).scan(analyzer, True, 1)
    assert calls == texts


def test_validation_texts_in_memory():
    texts, labels = reviews()
    options = {"n_filters": 4, "embedding_dim": 8, "max_iter": 3, "random_state": 3}
    expected = TextCNNClassifier(**options).fit(texts, labels, X_val=texts[:9], y_val=labels[:9])
    model = TextCNNClassifier(**options)
    model.fit(Corpus(batches(texts, labels)), None, X_val=texts[:9], y_val=labels[:9])
    assert same_bits(model, expected)
    assert model.validation_scores_ == expected.validation_scores_


@pytest.mark.parametrize("of_texts", [list, Corpus])
@pytest.mark.parametrize("params", [{}, {"analyzer": "char", "min_df": 2}, {"linear": 0, "lowercase": False}])
def test_validation_texts_on_disk(small_blocks, of_texts, params):
    texts, labels = reviews()
    texts = cased(texts)
    held_out, kept = (texts[:19], labels[:19]), (texts[9:], labels[9:])
    options = {"n_filters": 4, "embedding_dim": 8, "max_iter": 3, "random_state": 3} | params
    expected = TextCNNClassifier(**options).fit(*kept, X_val=held_out[0], y_val=held_out[1])
    given = kept if of_texts is list else (Corpus(batches(*kept)), None)
    model = TextCNNClassifier(**options).fit(*given, X_val=Corpus(batches(*held_out)))
    assert same_bits(model, expected)
    assert model.validation_scores_ == expected.validation_scores_


def test_validation_texts_on_disk_of_a_model_that_goes_on():
    # Its vocabulary cuts texts as it did when it was built, whatever the parameters say now.
    texts, labels = reviews()
    options = {"n_filters": 4, "embedding_dim": 8, "max_iter": 2, "random_state": 3, "warm_start": True}
    scores = []
    for validation in ((texts[:9], labels[:9]), (Corpus(batches(texts[:9], labels[:9])), None)):
        model = TextCNNClassifier(**options).fit(texts, labels).set_params(analyzer="char")
        scores.append(model.fit(texts, labels, None, *validation).validation_scores_)
    assert scores[0] == scores[1]


def test_wrong_validation_texts_on_disk():
    texts, labels = reviews(20)
    for found, y_val, message in (
        ((texts, labels), labels, "X_val is a Corpus, which has its labels, but y_val is a list; give y_val"),
        ((["a"], ["fair"]), None, "X_val has the label 'fair', which is not among ['bad', 'good']"),
        ((["a"], [1]), None, "X_val has the label 1, which is not among ['bad', 'good']"),
        ((["a"], []), None, "X_val.batches[0] has 1 texts, but 0 labels"),
        (([], []), None, "X_val: the Corpus has no texts"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            TextCNNClassifier().fit(texts, labels, X_val=Corpus([found]), y_val=y_val)


def test_the_temporary_file_is_in_the_folder_and_goes(tmp_path):
    texts, labels = reviews(20)
    TextCNNClassifier(n_filters=2, max_iter=1).fit(Corpus(batches(texts, labels), tmp_path), None)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        TextCNNClassifier().fit(Corpus(batches(texts, labels), tmp_path / "none"), None)


def test_ids_are_a_read_only_map():
    _, ids, _, shapes = stored(TEXTS).build(1, None)
    for array in (ids, shapes):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable


@pytest.mark.parametrize("min_df", [1, 2])
def test_texts_without_tokens(min_df):
    texts = Corpus([(["", " "], ["a", "b"])]).scan("word", True, 1)
    vocabulary, ids, offsets, shapes = texts.build(min_df, None)
    assert len(vocabulary) == 1
    assert (ids.tolist(), offsets.tolist(), shapes.tolist()) == ([], [0, 0, 0], [])


def test_wrong_calls():
    texts, labels = reviews(20)
    whole = Corpus(batches(texts, labels))
    with pytest.raises(ValueError, match="which has its labels, but y is a list; give y=None"):
        TextCNNClassifier().fit(whole, labels)
    with pytest.raises(ValueError, match="the Corpus has no texts"):
        TextCNNClassifier().fit(Corpus([]), None)
    with pytest.raises(ValueError, match=r"X.batches\[0\] has 20 texts, but 1 labels"):
        TextCNNClassifier().fit(Corpus([(texts, ["bad"])]), None)
    with pytest.raises(ValueError, match="y has one class"):
        TextCNNClassifier().fit(Corpus([(texts, ["bad"] * 20)]), None)


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
def test_a_corpus_that_cannot_go_on_is_not_read(again):
    texts, labels = reviews(20)
    model = TextCNNClassifier(n_filters=2, max_iter=1, warm_start=True).fit(texts, labels)
    unread = iter(batches(texts, labels))
    with pytest.raises(
        ValueError, match="X is a Corpus, which can only start a model, but this call goes on"
    ):
        getattr(model, again)(Corpus(unread), None)
    assert len(list(unread)) == 3


def assert_refused(found, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        Corpus(found).scan("word", True, 1)


def test_each_batch_needs_as_many_labels_as_texts():
    # Joined, these have five texts and five labels, and every label from the third on would move.
    first = (["good one", "good two", "bad three"], ["g", "g"])
    second = (["bad four", "good five"], ["b", "b", "g"])
    assert_refused(
        [first, second], ValueError, "X.batches[0] has 3 texts, but 2 labels; give one label for each"
    )
    assert_refused([(["a"], ["g"]), second], ValueError, "X.batches[1] has 2 texts, but 3 labels")
    assert_refused([(["a"], ["g"]), ([], ["g"])], ValueError, "X.batches[1] has 0 texts, but 1 labels")


def test_texts_and_labels_may_be_any_container():
    texts, labels = ["a b", "c", "d"], ["p", "q", "p"]
    expected = Corpus([(texts, labels)]).scan("word", True, 1)
    for batch in (
        (iter(texts), (label for label in labels)),
        (tuple(texts), np.array(labels)),
        (np.array(texts, object), np.array(labels, object)[:, None]),
        ([["a", "b"], ("c",), "d"], labels),
    ):
        found = Corpus([([], []), batch]).scan("word", True, 1)
        assert found.tokens == expected.tokens
        assert_same_bits(found.codes, expected.codes)
        assert_same_bits(found.targets, expected.targets)
        assert found.classes.tolist() == ["p", "q"]


def test_batches_of_series_and_frames():
    pandas = pytest.importorskip("pandas")
    texts, labels = ["a b", "c", "d"], ["p", "q", "p"]
    frame = pandas.DataFrame({"text": texts, "label": labels})
    expected = Corpus([(texts, labels)]).scan("word", True, 1)
    for batch in ([frame["text"], frame["label"]], (frame[["text"]], frame[["label"]])):
        found = Corpus([batch]).scan("word", True, 1)
        assert_same_bits(found.codes, expected.codes)
        assert_same_bits(found.targets, expected.targets)
    message = "X.batches[0][1][1] is <NA>, but every label must be given; drop its text"
    assert_refused([(["a", "b"], ["x", pandas.NA])], ValueError, message)


@pytest.mark.parametrize("values", [[2, 1, 2], [2.0, 1.0, 2.0], [True, False, True]])
@pytest.mark.parametrize("dtype", [None, np.int32, np.int8])
def test_classes_are_those_of_a_list(values, dtype):
    labels = values if dtype is None else np.array(values, dtype)
    found = Corpus([(["a", "b", "c"], labels)]).scan("word", True, 1)
    classes, targets = np.unique(labels, return_inverse=True)
    assert_same_bits(found.classes, classes)
    assert found.targets.tolist() == targets.tolist()


OTHER = (["good film"], ["good"])


@pytest.mark.parametrize(
    ("batch", "kind", "message"),
    [
        (("abc", ["x", "y", "x"]), TypeError, "X.batches[1][0] is a single str, but the texts"),
        ((b"ab", ["x", "y"]), TypeError, "X.batches[1][0] is a single bytes, but the texts"),
        (("good film", "good"), TypeError, "X.batches[1][0] is a single str, but the texts"),
        ((["a", "b", "c"], "xyx"), TypeError, "X.batches[1][1] is a single str, but the labels"),
        ((["a"], {"x": 1}), TypeError, "X.batches[1][1] is a dict, but the labels"),
        ((["a", "b"], {"x", "y"}), TypeError, "X.batches[1][1] is a set, but the labels"),
        ((["a"], None), TypeError, "X.batches[1][1] is a NoneType, but the labels"),
        ((["a"], 1), TypeError, "X.batches[1][1] is a int, but the labels"),
        ((["a"], np.array("x")), TypeError, "X.batches[1][1] is a ndarray, but the labels"),
        ((["a"], np.zeros((1, 2))), ValueError, "X.batches[1][1] has shape (1, 2), but the labels"),
        ((None, ["x"]), TypeError, "X.batches[1][0] is a NoneType, but expected a list"),
        ((["a", None], ["x", "y"]), TypeError, "X.batches[1][0][1] is None, but every text must be"),
        ((["a", 5], ["x", "y"]), TypeError, "X.batches[1][0][1] is of type int, but every text must be"),
        ((["a", ["b", 5]], ["x", "y"]), TypeError, "X.batches[1][0][1][1] is of type int, but every token"),
        (None, TypeError, "X.batches[1] is a NoneType, but every batch must be a pair (texts, labels)"),
        ("ab", TypeError, "X.batches[1] is a str, but every batch must be a pair"),
        ({"a": 1, "b": 2}, TypeError, "X.batches[1] is a dict, but every batch must be a pair"),
        ((["a"],), TypeError, "X.batches[1] is a tuple of length 1, but every batch must be a pair"),
        ((["a"], ["x"], [1.0]), TypeError, "X.batches[1] is a tuple of length 3, but every batch"),
    ],
)
def test_batches_that_are_refused(batch, kind, message):
    assert_refused([OTHER, batch], kind, message)
    assert_refused(iter([OTHER, batch]), kind, message)


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        ([1, None], ValueError, "X.batches[0][1][1] is None, but every label must be given; drop its text"),
        ([1, float("nan")], ValueError, "X.batches[0][1][1] is nan, but every label must be given"),
        (["x", np.nan], ValueError, "X.batches[0][1][1] is nan, but every label must be given"),
        (np.array(["2020-01-01", "NaT"], "M8[D]"), ValueError, "X.batches[0][1][1] is NaT, but every"),
        ([1.0, 0.5], ValueError, "X.batches[0][1][1] is 0.5, but labels must be classes"),
        (np.array([1.5, 0.5]), ValueError, "X.batches[0][1][0] is 1.5, but labels must be classes"),
        ([1.0, float("inf")], ValueError, "X.batches[0][1][1] is inf, but labels must be classes"),
        ([("a", 1), ("b", 2)], TypeError, "X.batches[0][1][0] is a tuple, but every label must be"),
        (["x", ["y"]], TypeError, "X.batches[0][1][1] is a list, but every label must be"),
        (["x", np.array([1, 2])], TypeError, "X.batches[0][1][1] is a ndarray, but every label must be"),
        ([b"x", b"y"], TypeError, "X.batches[0][1][0] is a bytes, but every label must be"),
        ([1 + 2j, 1], TypeError, "X.batches[0][1][0] is a complex, but every label must be"),
        (
            ["x", 1],
            ValueError,
            "X.batches[0][1][1] is a label of type int, but the Corpus began with the type",
        ),
    ],
)
def test_labels_that_are_refused(labels, kind, message):
    assert_refused([(["a", "b"], labels)], kind, message)


def test_labels_of_two_types_in_two_batches():
    message = "X.batches[1][1][0] is a label of type int, but the Corpus began with the type str; use one"
    assert_refused([(["a"], ["x"]), (["b"], [1])], ValueError, message)


def test_batches_that_cannot_be_read():
    for batches_, name in ((5, "int"), ("ab", "str"), ({}, "dict")):
        assert_refused(
            batches_, TypeError, f"X.batches is a {name}, but it must be a list or an iterator of pairs"
        )


def test_an_analyzer_that_returns_no_str():
    with pytest.raises(TypeError, match=r"the analyzer must return an iterable of str, but .* with a int"):
        Corpus([OTHER]).scan(lambda text: [1], True, 1)


def test_an_iterator_is_read_once():
    texts, labels = reviews(20)
    whole = Corpus(iter(batches(texts, labels)))
    model = TextCNNClassifier(n_filters=2, max_iter=1).fit(whole, None)
    with pytest.raises(ValueError, match="X is a Corpus whose batches are an iterator, which was used up"):
        model.fit(whole, None)
    assert_refused(
        iter([]), ValueError, "X: the Corpus has no texts, but at least one is needed; if its iterator"
    )
    # After an error in the first batch the iterator would go on with the second.
    broken = Corpus(iter([(["a"], []), (["b", "c"], ["x", "y"])]))
    for message in ("has 1 texts, but 0 labels", "which was used up"):
        with pytest.raises(ValueError, match=message):
            broken.scan("word", True, 1)
    again = Corpus(batches(texts, labels))
    assert len(again.scan("word", True, 1)) == len(again.scan("word", True, 1)) == 20
