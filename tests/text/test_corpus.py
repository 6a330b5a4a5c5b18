"""Texts on disk: the same vocabulary, ids and weights as with texts in memory."""

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
    with pytest.raises(ValueError, match="a batch has 20 texts, but 1 labels"):
        TextCNNClassifier().fit(Corpus([(texts, ["bad"])]), None)
    with pytest.raises(ValueError, match="y has one class"):
        TextCNNClassifier().fit(Corpus([(texts, ["bad"] * 20)]), None)
    for odd, message in (
        (None, "is missing"),
        (float("nan"), "is missing"),
        (1, "mixes labels of the types int, str"),
    ):
        with pytest.raises(ValueError, match=message):
            TextCNNClassifier().fit(Corpus([(["a", "b"], ["good", odd])]), None)
    model = TextCNNClassifier(n_filters=2, max_iter=1, warm_start=True).fit(whole, None)
    with pytest.raises(ValueError, match="a Corpus can only start a model"):
        model.fit(whole, None)
