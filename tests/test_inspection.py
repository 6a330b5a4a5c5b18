"""`textcnn.inspection`: filters, receptive fields, neighbours, curves, errors, and their plots."""

import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from samples import reviews

import textcnn
from textcnn import TextCNNClassifier, TextCNNRegressor, TextCNNTagger, inspection
from textcnn import _reference as reference
from textcnn.cli import main
from textcnn.inspection import filters

ROOT = Path(__file__).parents[1]

matplotlib.use("Agg")

X, Y = reviews(40)
X = [*X, "", "unheard words", "dull"]
Y = [*Y, "bad", "good", "bad"]
PARAMS = {"embedding_dim": 6, "n_filters": 3, "kernel_sizes": (1, 2, 4), "max_iter": 6, "random_state": 0}

SENTENCES = [
    ["Ms.", "Haag", "plays", "Elianti", "."],
    ["The", "dog", "saw", "Ms.", "Haag", "in", "New", "York", "late", "at", "night", "again"],
    ["New", "York", "City", "Hall", "is", "large"],
    [],
] * 3
TAGS = [
    ["O", "B-PER", "O", "B-PER", "O"],
    ["O", "O", "O", "O", "B-PER", "O", "B-LOC", "I-LOC", "O", "O", "O", "O"],
    ["B-LOC", "I-LOC", "I-LOC", "I-LOC", "O", "O"],
    [],
] * 3
TAGGER_PARAMS = {
    "embedding_dim": 6,
    "char_dim": 4,
    "n_char_filters": 4,
    "affix_dim": 3,
    "n_channels": 8,
    "max_iter": 4,
    "linear_max_iter": 2,
    "random_state": 0,
}


@pytest.fixture(scope="module", params=["valid", "same", "full"])
def fitted(request):
    return TextCNNClassifier(padding=request.param, **PARAMS).fit(X, Y)


@pytest.fixture(scope="module")
def tagger():
    return TextCNNTagger(dilations=(1, 2), n_iterations=1, **TAGGER_PARAMS).fit(SENTENCES, TAGS)


def naive_ngrams(model, texts):
    """For each filter every distinct n-gram of the texts with its activation, by naive loops."""
    predictor = model.predictor_
    network, layout = predictor.network, predictor.network.layout
    starts = reference.block_starts(layout.kernel_sizes, layout.n_filters)
    found = [{} for _ in range(layout.n_outputs)]
    for number, text in enumerate(texts):
        tokens = predictor.vocabulary.tokens(text)
        ids = predictor.vocabulary.encode([text])[0].tolist()
        for k, width in enumerate(layout.kernel_sizes):
            left, right = layout.pads[k].tolist()
            for start in range(-left, reference.n_windows(len(ids), width, left, right) - left):
                places = range(start, start + width)
                key = tuple(ids[p] if 0 <= p < len(ids) else None for p in places)
                inside = [p for p in places if 0 <= p < len(ids)]
                for q in range(layout.n_filters):
                    value = float(network.filter_bias[k * layout.n_filters + q])
                    for tap, p in enumerate(places):
                        if 0 <= p < len(ids):
                            row = network.filters[starts[k] + tap * layout.n_filters + q]
                            value += float(row.astype(float) @ network.embedding[ids[p]].astype(float))
                    words = tuple(tokens[p] for p in inside)
                    found[k * layout.n_filters + q].setdefault(key, (value, number, start, words))
    return found


# ---- filters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens_per_piece", [1, 30, 10_000])
def test_top_ngrams_are_those_of_a_naive_loop(fitted, tokens_per_piece, monkeypatch):
    monkeypatch.setattr(filters, "TOKENS_PER_PIECE", tokens_per_piece)
    names = fitted.get_feature_names_out().tolist()
    found = inspection.top_ngrams(fitted, X, n=7)
    assert [each.name for each in found] == names
    for each, expected in zip(found, naive_ngrams(fitted, X), strict=True):
        best = sorted(expected.values(), key=lambda item: -item[0])[:7]
        assert len(each.ngrams) == len(best)
        assert [ngram.activation for ngram in each.ngrams] == pytest.approx(
            [item[0] for item in best], abs=1e-6
        )
        where = {item[1:3]: item for item in expected.values()}
        for ngram in each.ngrams:
            value, _, _, words = where[ngram.text, ngram.start - ngram.padding[0]]
            assert ngram.activation == pytest.approx(value, abs=1e-6)
            assert ngram.tokens == words
            assert ngram.end - ngram.start == len(words) == each.width - sum(ngram.padding)
            assert tuple(fitted.predictor_.vocabulary.tokens(X[ngram.text])[ngram.start : ngram.end]) == words


def test_all_ngrams_come_once_and_no_more(fitted):
    for each, expected in zip(
        inspection.top_ngrams(fitted, X * 2, n=100_000), naive_ngrams(fitted, X), strict=True
    ):
        assert len(each.ngrams) == len(expected)
        places = sorted((ngram.text, ngram.start - ngram.padding[0]) for ngram in each.ngrams)
        assert places == sorted(item[1:3] for item in expected.values())


def test_equal_activations_come_in_the_order_of_the_texts(fitted):
    model = textcnn.Predictor(
        fitted.predictor_.vocabulary, fitted.predictor_.network.copy(), fitted.predictor_.classes_
    )
    model.network.filters[...] = 0
    ngrams = inspection.top_ngrams(model, ["dull play", "witty play", "town"], n=2)[0].ngrams
    assert [ngram.tokens for ngram in ngrams] == [("dull",), ("play",)]
    model.network.filters[0, 0] = 1
    model.network.embedding[:, 0] = 0
    model.network.embedding[model.vocabulary["witty"], 0] = 1
    ngrams = inspection.top_ngrams(model, ["dull play", "witty play", "town"], n=2)[0].ngrams
    assert [ngram.tokens for ngram in ngrams] == [("witty",), ("dull",)]


def test_some_filters_are_those_of_all(fitted):
    everything = inspection.top_ngrams(fitted, X, n=3), inspection.ideal_ngrams(fitted, n=3)
    some = inspection.top_ngrams(fitted, X, 3, [7, 0, 4]), inspection.ideal_ngrams(fitted, 3, [7, 0, 4])
    for all_of, chosen in zip(everything, some, strict=True):
        assert [each.name for each in chosen] == [all_of[i].name for i in (7, 0, 4)]
    assert [each.ngrams for each in some[0]] == [everything[0][i].ngrams for i in (7, 0, 4)]
    assert [each.words for each in some[1]] == [everything[1][i].words for i in (7, 0, 4)]
    assert inspection.top_ngrams(fitted, X, features=[]) == []


def test_texts_without_tokens_have_no_ngrams(fitted):
    assert all(not each.ngrams for each in inspection.top_ngrams(fitted, ["", "  "]))
    assert all(not each.ngrams for each in inspection.top_ngrams(fitted, []))


@pytest.mark.parametrize("words_per_block", [3, 1000])
def test_the_ideal_ngram_is_the_best_of_all_ngrams(words_per_block, monkeypatch):
    monkeypatch.setattr(filters, "WORDS_PER_BLOCK", words_per_block)
    texts = ["good film", "bad film", "good old plot", "bad plot"]
    params = PARAMS | {"kernel_sizes": (1, 3), "padding": "valid"}
    model = TextCNNClassifier(**params).fit(texts, [1, 0, 1, 0])
    words = model.predictor_.vocabulary.id_to_token[1:]
    for column, found in enumerate(inspection.ideal_ngrams(model)):
        all_ngrams = [list(ngram) for ngram in product(words, repeat=found.width)]
        activations = [
            inspection.activation_map(model, ngram).activations[column // 3][0, column % 3]
            for ngram in all_ngrams
        ]
        assert tuple(all_ngrams[int(np.argmax(activations))]) == found.tokens
        assert found.activation == pytest.approx(max(activations), abs=1e-6)


@pytest.mark.parametrize("words_per_block", [3, 1000])
def test_the_best_words_of_every_tap_are_in_order(fitted, words_per_block, monkeypatch):
    monkeypatch.setattr(filters, "WORDS_PER_BLOCK", words_per_block)
    network = fitted.predictor_.network
    words = fitted.predictor_.vocabulary.id_to_token
    layout = network.layout
    starts = reference.block_starts(layout.kernel_sizes, layout.n_filters)
    for column, found in enumerate(inspection.ideal_ngrams(fitted, n=5)):
        for tap in range(found.width):
            k, q = divmod(column, layout.n_filters)
            products = network.embedding[1:] @ network.filters[starts[k] + tap * layout.n_filters + q]
            order = np.argsort(-products, kind="stable")[:5]
            assert found.words[tap] == [words[1 + i] for i in order]
            np.testing.assert_allclose(found.scores[tap], products[order], atol=1e-6)


def test_more_words_than_there_are(fitted):
    n_words = len(fitted.vocabulary_)
    found = inspection.ideal_ngrams(fitted, n=n_words + 5)[0]
    assert sorted(found.words[0]) == sorted(fitted.vocabulary_)


def test_the_first_of_equal_words_is_the_best_one():
    embedding = np.ones((6, 2), np.float32)
    words, products = filters.best_words(embedding, np.ones((1, 1, 2), np.float32), 3)
    assert words.ravel().tolist() == [1, 2, 3]
    assert products.ravel().tolist() == [2, 2, 2]


@pytest.mark.parametrize("text", [X[0], "dull", "a unheard story", ["Dull", "dull", "play"]])
def test_the_largest_activations_are_the_features(fitted, text):
    found = inspection.activation_map(fitted, text)
    pooled = np.concatenate([np.maximum(each.max(axis=0), 0) for each in found.activations])
    np.testing.assert_allclose(pooled, fitted.transform([text])[0], atol=1e-6)
    for starts, activations, width in zip(found.starts, found.activations, found.kernel_sizes, strict=True):
        assert len(starts) == len(activations)
        assert starts.tolist() == list(range(starts[0], starts[0] + len(starts)))
        assert -width < starts[0] <= 0
    assert found.tokens == fitted.predictor_.vocabulary.tokens(text)


def test_an_empty_text_has_no_windows(fitted):
    found = inspection.activation_map(fitted, "")
    assert found.tokens == []
    assert [each.shape for each in found.activations] == [(0, 3)] * 3


def test_a_callable_analyzer_is_asked_once():
    calls = []

    def cut(text):
        calls.append(text)
        return text.split("-")

    model = TextCNNClassifier(analyzer=cut, **PARAMS).fit(["so-it", "goes-on"] * 3, [0, 1] * 3)
    calls.clear()
    found = inspection.top_ngrams(model, ["so-it", "goes"])
    assert {ngram.tokens for ngram in found[0].ngrams} == {("so",), ("it",), ("goes",)}
    assert inspection.activation_map(model, "so-it").tokens == ["so", "it"]
    assert calls == ["so-it", "goes", "so-it"]


def test_what_load_gives_will_do(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    predictor = textcnn.load(tmp_path / "m")
    assert inspection.top_ngrams(predictor, X, 2) == inspection.top_ngrams(fitted, X, 2)
    assert [each.words for each in inspection.ideal_ngrams(predictor)] == [
        each.words for each in inspection.ideal_ngrams(fitted)
    ]


# ---- receptive fields ----------------------------------------------------------------------------------


DILATIONS = [((1,), 1), ((2,), 1), ((4,), 1), ((1, 2), 2), ((), 1)]


@pytest.mark.parametrize("linear", [0.0, 0.5])
@pytest.mark.parametrize(
    ("dilations", "n_iterations"), [((1,), 1), ((2,), 1), ((4,), 1), ((1, 2), 2), ((), 1)]
)
def test_what_is_visible_and_nothing_else_changes_the_scores(dilations, n_iterations, linear):
    params = TAGGER_PARAMS | {"dilations": dilations, "n_iterations": n_iterations, "linear": linear}
    tagger = TextCNNTagger(**params).fit(SENTENCES, TAGS)
    sentence, position = SENTENCES[1] + SENTENCES[2] + SENTENCES[1], 12
    found = inspection.receptive_field(tagger, sentence, position)
    predictor = tagger.predictor_

    def scores(tokens):
        encoded = predictor.encoder.encode([tokens])
        return predictor._inference.emissions(encoded.types, encoded.offsets, encoded.features, 1)[position]

    before = scores(sentence)
    changed = set()
    for replacement in ("Paris", "zzz9", "-", "Haag", "Hall"):
        for j in range(len(sentence)):
            if abs(scores([*sentence[:j], replacement, *sentence[j + 1 :]]) - before).max() > 1e-6:
                changed.add(j)
    assert changed <= set(np.flatnonzero(found.visible).tolist())
    # Each convolution reaches its dilation to either side; what the linear part adds needs known n-grams.
    reach = {0}
    for dilation in (1, *dilations * n_iterations):
        reach = {r + s for r in reach for s in (-dilation, 0, dilation)}
    of_network = {position + r for r in reach if 0 <= position + r < len(sentence)}
    of_linear = {position + r for r in range(-3, 3)} if linear else set()
    assert set(np.flatnonzero(found.visible).tolist()) == of_network | of_linear
    if not linear:
        assert changed == of_network
    assert (found.effects[~found.visible] == 0).all()


def test_the_effects_are_those_of_a_naive_erasure(tagger):
    predictor = tagger.predictor_
    # So long that both ends are out of sight.
    sentence = SENTENCES[2] * 2 + SENTENCES[1] + SENTENCES[2] * 2
    position = 17
    found = inspection.receptive_field(tagger, sentence, position)
    assert found.tokens == sentence
    assert found.position == position
    assert not found.visible[0]
    assert not found.visible[-1]
    # The network scores tags of its own scheme, with the same labels.
    assert found.tag.split("-")[-1] == tagger.predict([sentence])[0][position].split("-")[-1]

    def log_probability(erased):
        encoded = predictor.encoder.encode([sentence])
        words = encoded.features.words[encoded.types].copy()
        hashed = encoded.features.hashed[encoded.types].copy()
        pairs = zip(
            encoded.features.char_offsets[encoded.types],
            encoded.features.char_offsets[encoded.types + 1],
            strict=True,
        )
        chars = [encoded.features.chars[first:last] for first, last in pairs]
        if erased is not None:
            words[erased], hashed[erased], chars[erased] = 0, 0, np.empty(0, np.int32)
        features = type(encoded.features)(
            words,
            np.concatenate(chars),
            np.concatenate([[0], np.cumsum([len(each) for each in chars])]).astype(np.intp),
            hashed,
        )
        types = np.arange(len(sentence), dtype=np.int32)
        scores = predictor._inference.emissions(types, encoded.offsets, features, 1)[position].astype(float)
        tag = predictor.tags.inner_tags.index(found.tag)
        return scores[tag] - np.log(np.exp(scores).sum())

    expected = [log_probability(None) - log_probability(j) for j in range(len(sentence))]
    np.testing.assert_allclose(found.effects, expected, atol=1e-5)
    assert np.abs(found.effects).max() > 0.01


def test_a_sentence_of_one_token_and_a_str(tagger):
    assert inspection.receptive_field(tagger, ["Haag"], 0).visible.tolist() == [True]
    assert inspection.receptive_field(tagger, "Haag, again", 2).tokens == ["Haag", ",", "again"]


# ---- words, curves, errors -----------------------------------------------------------------------------


def test_nearest_words_by_brute_force(fitted, tagger):
    classifying, tagging = fitted.predictor_, tagger.predictor_
    cases = [
        (fitted, classifying.network.embedding, classifying.vocabulary.id_to_token, "dull"),
        (tagger, tagging.network.arrays["words"], tagging.encoder.vocabulary.id_to_token, "haag"),
    ]
    for model, vectors, names, word in cases:
        own = vectors[names.index(word)].astype(float)
        cosines = {
            name: own @ v / np.linalg.norm(own) / np.linalg.norm(v)
            for name, v in zip(names[1:], vectors[1:].astype(float), strict=True)
            if name != word
        }
        found = inspection.nearest_words(model, word.upper(), n=5)
        expected = sorted(cosines, key=lambda name: -cosines[name])[:5]
        assert [each.word for each in found] == expected
        assert [each.similarity for each in found] == pytest.approx([cosines[name] for name in expected])
        assert len(inspection.nearest_words(model, word, n=1000)) == len(names) - 2


def test_a_vector_of_zeros_is_near_to_nothing(fitted):
    model = textcnn.Predictor(
        fitted.predictor_.vocabulary, fitted.predictor_.network.copy(), fitted.predictor_.classes_
    )
    model.network.embedding[model.vocabulary["dull"]] = 0
    assert {each.similarity for each in inspection.nearest_words(model, "dull")} == {0.0}


def test_learning_curves(fitted):
    curves = inspection.learning_curves(fitted)
    assert curves.loss.tolist() == fitted.loss_curve_
    assert curves.validation is None
    assert curves.best_epoch is None
    model = TextCNNClassifier(**PARAMS).fit(X, Y, X_val=X, y_val=Y)
    curves = inspection.learning_curves(model)
    assert curves.validation.tolist() == model.validation_scores_
    assert curves.best_epoch == np.argmax(model.validation_scores_) + 1


def test_the_confusion_matrix_is_that_of_scikit_learn(fitted, tagger):
    from sklearn.metrics import accuracy_score, confusion_matrix

    labels = ["bad", "good"] * 21 + ["awful"]
    found = inspection.confusion_matrix(fitted, X, labels)
    predicted = fitted.predict(X)
    assert found.labels == ["bad", "good", "awful"]
    assert (found.counts == confusion_matrix(labels, predicted, labels=found.labels)).all()
    assert found.accuracy == pytest.approx(accuracy_score(labels, predicted))
    found = inspection.confusion_matrix(tagger, SENTENCES, TAGS)
    flat = [tag for tags in TAGS for tag in tags]
    predicted = [tag for tags in tagger.predict(SENTENCES) for tag in tags]
    assert (found.counts == confusion_matrix(flat, predicted, labels=found.labels)).all()
    assert np.isnan(inspection.confusion_matrix(fitted, [], []).accuracy)


def test_the_worst_errors_have_the_largest_losses(fitted):
    labels = ["good", "bad"] * 21 + ["awful"]
    found = inspection.worst_errors(fitted, X, np.array(labels), n=5)
    probabilities = fitted.predict_proba(X)
    losses = [
        -np.log(row[fitted.classes_.tolist().index(label)]) if label in fitted.classes_ else np.inf
        for row, label in zip(probabilities, labels, strict=True)
    ]
    wrong = np.flatnonzero(fitted.predict(X) != np.array(labels))
    expected = sorted(wrong.tolist(), key=lambda i: (-losses[i], i))[:5]
    assert [error.index for error in found] == expected
    assert found[0].label == "awful"
    assert found[0].loss == np.inf
    assert [error.loss for error in found[1:]] == pytest.approx([losses[i] for i in expected[1:]], rel=1e-5)
    for error in found:
        assert error.text == X[error.index]
        assert error.predicted == error.explanation.label == fitted.predict([error.text])[0]
    assert inspection.worst_errors(fitted, X, fitted.predict(X)) == []
    assert inspection.worst_errors(fitted, [], []) == []


@pytest.fixture(scope="module")
def labelling():
    """A classifier of two labels, and the labels of X."""
    truth = np.array(
        [["dull" in text or "grim" in text, label == "good"] for text, label in zip(X, Y, strict=True)]
    )
    return TextCNNClassifier(**PARAMS).fit(X, truth.astype(int)), truth.astype(int)


@pytest.fixture(scope="module")
def counting():
    """A regressor, and the numbers of X: of its letters, and of the letter o."""
    numbers = np.array([[len(text), text.count("o")] for text in X], float)
    return TextCNNRegressor(**PARAMS).fit(X, numbers), numbers


def test_confusions_of_several_labels_are_those_of_scikit_learn(labelling):
    from sklearn.metrics import multilabel_confusion_matrix

    model, truth = labelling
    for wanted in (truth, 1 - truth, truth[::-1]):
        found = inspection.confusion_matrix(model, X, wanted)
        expected = multilabel_confusion_matrix(wanted, model.predict(X))
        assert [each.name for each in found] == model.classes_.tolist()
        assert [each.labels for each in found] == [[0, 1]] * 2
        np.testing.assert_array_equal([each.counts for each in found], expected)
    assert [each.counts.sum() for each in inspection.confusion_matrix(model, [], np.empty((0, 2)))] == [0, 0]


def test_the_worst_labels_have_the_largest_losses(labelling):
    model, truth = labelling
    wanted = truth[::-1]
    found = inspection.worst_errors(model, X, wanted, n=7)
    probabilities = model.predict_proba(X).astype(float)
    losses = -np.log(np.where(wanted > 0, probabilities, 1 - probabilities))
    wrong = np.argwhere(model.predict(X) != wanted)
    expected = sorted(losses[tuple(wrong.T)], reverse=True)[:7]
    np.testing.assert_allclose([error.loss for error in found], expected, rtol=1e-4)
    for error in found:
        assert error.text == X[error.index]
        assert error.label == model.classes_[error.output]
        assert (
            error.is_true == wanted[error.index, error.output] != model.predict([error.text])[0, error.output]
        )
        assert error.probability == pytest.approx(probabilities[error.index, error.output], rel=1e-5)
        np.testing.assert_array_equal(error.explanation.logits, model.explain([error.text])[0].logits)
    assert inspection.worst_errors(model, X, model.predict(X)) == []
    assert inspection.worst_errors(model, [], np.empty((0, 2))) == []


def test_the_worst_numbers_are_farthest_off(counting):
    model, numbers = counting
    found = inspection.worst_errors(model, X, numbers, n=5)
    sizes = np.abs(model.predict(X) - numbers) / model.predictor_.target_scale
    expected = sorted(sizes.max(axis=1), reverse=True)[:5]
    scale = model.predictor_.target_scale
    np.testing.assert_allclose(
        [abs(error.error) / scale[error.output] for error in found], expected, rtol=1e-5
    )
    for error in found:
        assert error.target == numbers[error.index, error.output]
        assert error.predicted == pytest.approx(model.predict([error.text])[0, error.output])
    assert inspection.worst_errors(model, [], np.empty((0, 2))) == []


def test_figures_of_predictions_are_those_of_scikit_learn(counting):
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    model, numbers = counting
    found = inspection.predictions(model, X, numbers)
    np.testing.assert_allclose(found.predicted, model.predict(X))
    assert found.r2 == pytest.approx(r2_score(numbers, found.predicted))
    assert found.mean_absolute_error == pytest.approx(mean_absolute_error(numbers, found.predicted))
    assert np.sqrt(np.mean((numbers - found.predicted) ** 2)) == pytest.approx(found.root_mean_squared_error)
    one = inspection.Predictions(numbers[:, :1], found.predicted[:, :1])
    assert one.root_mean_squared_error == pytest.approx(
        root_mean_squared_error(numbers[:, 0], found.predicted[:, 0])
    )
    for true, guess in (([3.0, 3.0], [3.0, 3.0]), ([3.0, 3.0], [3.0, 4.0])):
        constant = inspection.Predictions(np.array([true]).T, np.array([guess]).T)
        assert constant.r2 == r2_score(true, guess)
    nothing = inspection.predictions(model, [], np.empty((0, 2)))
    assert np.isnan([nothing.r2, nothing.mean_absolute_error, nothing.root_mean_squared_error]).all()


def test_embedded_texts_have_errors_too():
    rng = np.random.RandomState(0)
    labels = np.arange(20) % 2
    for data in (rng.randn(20, 6), rng.randn(20, 5, 3), [rng.randn(rng.randint(1, 5), 3) for _ in labels]):
        model = TextCNNClassifier(**PARAMS).fit(data, labels)
        assert inspection.confusion_matrix(model, data, labels).accuracy == model.score(data, labels)
        errors = inspection.worst_errors(model, data, 1 - model.predict(data), n=3)
        assert [error.predicted for error in errors] == [model.predict(data)[error.index] for error in errors]
        np.testing.assert_array_equal(errors[0].text, np.asarray(data[errors[0].index]))


@pytest.mark.parametrize("scheme", ["BIO", "IOB1", "BIOES"])
@pytest.mark.parametrize("inner_scheme", ["BIO", "BIOES"])
def test_the_worst_tags_have_the_largest_losses(scheme, inner_scheme):
    from textcnn.text.tags import convert

    tags = [convert(each, "BIO", scheme) for each in TAGS]
    # Spans of one label that touch, where IOB1 has a B.
    sentences = [*SENTENCES, ["New", "York", "Haag"]]
    tags.append(convert(["B-LOC", "B-LOC", "B-PER"], "BIO", scheme))
    params = TAGGER_PARAMS | {"max_iter": 2, "tag_scheme": inner_scheme}
    model = TextCNNTagger(**params).fit(sentences, tags)
    shuffled = [convert(["B-PER"] + ["O"] * (len(each) - 1), "BIO", scheme) if each else [] for each in tags]
    found = inspection.worst_tag_errors(model, sentences, shuffled, n=100)
    predicted = model.predict(sentences)
    columns = model.predictor_.marginal_tags
    for error in found:
        marginals = model.predict_marginals([error.tokens])[0][error.position]
        own = shuffled[error.index]
        if set(columns) != set(model.classes_) or scheme == "IOB1":
            own = convert(own, scheme, "BIO")
        assert error.loss == pytest.approx(-np.log(marginals[columns.index(own[error.position])]), rel=1e-4)
        assert error.tag == shuffled[error.index][error.position] != error.predicted
        assert error.predicted == predicted[error.index][error.position]
        assert error.field.position == error.position
    wrong = {i for i, pair in enumerate(zip(shuffled, predicted, strict=True)) if pair[0] != pair[1]}
    assert {error.index for error in found} == wrong
    losses = [error.loss for error in found]
    assert losses == sorted(losses, reverse=True)
    assert len(inspection.worst_tag_errors(model, sentences, shuffled, n=1)) == 1


def test_a_tag_that_the_model_lacks_has_an_infinite_loss(tagger):
    found = inspection.worst_tag_errors(tagger, [["Haag", "plays"]], [["O", "B-XYZ"]])
    assert (found[0].position, found[0].tag, found[0].loss) == (1, "B-XYZ", np.inf)


# ---- plots ---------------------------------------------------------------------------------------------


def plots(fitted, tagger):
    regressor = TextCNNRegressor(**PARAMS).fit(X, [[i, -i] for i in range(len(X))])
    several = TextCNNClassifier(**PARAMS).fit(X, [[i % 2, i % 3 == 0] for i in range(len(X))])
    yield inspection.plot_top_ngrams, inspection.top_ngrams(fitted, [*X, "$x$ \x00"], features=[0])[0]
    yield inspection.plot_top_ngrams, inspection.top_ngrams(fitted, [""], features=[0])[0]
    yield inspection.plot_ideal_ngram, inspection.ideal_ngrams(fitted, n=3, features=[4])[0]
    yield inspection.plot_nearest_words, inspection.nearest_words(fitted, "dull")
    yield inspection.plot_nearest_words, []
    yield inspection.plot_predictions, inspection.predictions(regressor, X, [[0, 1]] * len(X))
    yield inspection.plot_predictions, inspection.predictions(regressor, [], np.empty((0, 2)))
    yield inspection.plot_confusion_matrix, inspection.confusion_matrix(several, X, [[0, 1]] * len(X))
    yield inspection.plot_activation_map, inspection.activation_map(fitted, "a $dull$ play\x00 in town")
    yield inspection.plot_activation_map, inspection.activation_map(fitted, "")
    yield inspection.plot_receptive_field, inspection.receptive_field(tagger, SENTENCES[1], 4)
    yield inspection.plot_learning_curves, inspection.learning_curves(fitted)
    yield inspection.plot_confusion_matrix, inspection.confusion_matrix(fitted, X, Y)


def test_plots_go_into_given_or_new_axes(fitted, tagger):
    import matplotlib.pyplot as plt

    for plot, data in plots(fitted, tagger):
        figure, ax = plt.subplots()
        assert plot(data, ax=ax) is ax
        other = plot(data)
        assert other.figure is not figure
        for each in (figure, other.figure):
            each.canvas.draw()
            plt.close(each)


def test_the_map_shows_the_strongest_filters(fitted):
    import matplotlib.pyplot as plt

    found = inspection.activation_map(fitted, X[0])
    ax = inspection.plot_activation_map(found, n_filters=4)
    names = [label.get_text() for label in ax.get_yticklabels()]
    features = fitted.transform([X[0]])[0]
    expected = np.argsort(-features, kind="stable")[:4]
    assert names == fitted.get_feature_names_out()[expected].tolist()
    cells = ax.images[0].get_array()
    np.testing.assert_allclose(np.nanmax(cells, axis=1), features[expected], atol=1e-6)
    plt.close(ax.figure)


def test_bars_and_points_are_the_data(fitted, labelling):
    import matplotlib.pyplot as plt

    found = inspection.top_ngrams(fitted, X, n=4, features=[0])[0]
    ax = inspection.plot_top_ngrams(found)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(
        [each.activation for each in found.ngrams]
    )
    assert ax.get_yticklabels()[0].get_text().replace("· ", "").startswith(found.ngrams[0].tokens[0])
    ideal = inspection.ideal_ngrams(fitted, n=2, features=[0])[0]
    ax = inspection.plot_ideal_ngram(ideal)
    assert [text.get_text() for text in ax.texts] == [word for words in ideal.words for word in words]
    ax = inspection.plot_predictions(inspection.Predictions(np.array([[1.0], [2]]), np.array([[3.0], [4]])))
    assert ax.lines[1].get_xydata().tolist() == [[1, 3], [2, 4]]
    model, truth = labelling
    matrices = inspection.confusion_matrix(model, X, truth)
    ax = inspection.plot_confusion_matrix(matrices)
    counts = [int(text.get_text()) for text in ax.texts]
    assert counts == np.array([matrix.counts for matrix in matrices]).ravel().tolist()
    plt.close("all")


def test_without_matplotlib_a_plot_says_what_to_install(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="drawing needs matplotlib, which is not installed; python -m pip"):
        inspection.plot_confusion_matrix(inspection.confusion_matrix(fitted, X, Y))


# ---- the documentation ---------------------------------------------------------------------------------


def test_the_documentation_runs_as_written(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "inspection.md").read_text("utf-8")
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^    (?:textcnn|head|tail) .*$", page, re.MULTILINE)
    assert len(commands) == 7
    for command in commands:
        name, *arguments = command.split()
        if name != "textcnn":
            subprocess.run(command, shell=True, check=True)
            continue
        # As written, but for a training that is cut short.
        less = ["--set", "max_iter=2"] if arguments[0] == "train" else []
        assert main([*arguments, *less]) == 0
    names = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, names)
    pages = {"report.html", "explain.html", "ner.html"}
    pictures = {"filter", "ideal", "words", "map", "curves", "confusion", "field", "labels", "numbers"}
    written = pages | {f"{name}.png" for name in pictures}
    assert written <= {path.name for path in tmp_path.iterdir()}
    assert len(capsys.readouterr().out.splitlines()) >= 10


# ---- wrong calls ---------------------------------------------------------------------------------------


def test_wrong_calls(fitted, tagger):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError, match="is not fitted yet"):
        inspection.top_ngrams(TextCNNClassifier(), X)
    with pytest.raises(TypeError, match="a tagger, but a classifier was expected"):
        inspection.ideal_ngrams(tagger)
    with pytest.raises(TypeError, match="a classifier, but a tagger was expected"):
        inspection.receptive_field(fitted, ["a"], 0)
    with pytest.raises(
        TypeError, match="model is a str, but a fitted TextCNNClassifier, TextCNNRegressor or"
    ):
        inspection.nearest_words("model", "dull")
    with pytest.raises(ValueError, match="X has 1 texts, but y has 2 labels"):
        inspection.worst_errors(fitted, ["a"], ["good", "bad"])
    with pytest.raises(ValueError, match=r"X\[0\] has 2 tokens, but y\[0\] has 1 tags"):
        inspection.worst_tag_errors(tagger, [["a", "b"]], [["O"]])
    numbers = TextCNNRegressor(**PARAMS).fit(X, range(len(X)))
    labels = TextCNNClassifier(**PARAMS).fit(X, [[i % 2, 1] for i in range(len(X))])
    with pytest.raises(TypeError, match="which predicts numbers, but a classifier or a tagger was expected"):
        inspection.confusion_matrix(numbers, X, range(len(X)))
    with pytest.raises(TypeError, match="which predicts labels, but a regressor was expected"):
        inspection.predictions(fitted, X, Y)
    with pytest.raises(TypeError, match="worst_tag_errors"):
        inspection.worst_errors(tagger, X, Y)
    with pytest.raises(ValueError, match=r"y has shape \(1, 3\), but \(1, 2\) was expected"):
        inspection.worst_errors(labels, ["a"], [[0, 1, 1]])
    with pytest.raises(ValueError, match=r"y has shape \(2,\), but \(1, 1\) or \(1,\) was expected"):
        inspection.worst_errors(numbers, ["a"], [0, 1])
    with pytest.raises(ValueError, match="other numbers than 0 and 1"):
        inspection.confusion_matrix(labels, ["a"], [[0, 2]])
    with pytest.raises(ValueError, match="NaN or infinity"):
        inspection.predictions(numbers, ["a"], [np.nan])
    with pytest.raises(ValueError, match="y is no array of numbers"):
        inspection.predictions(numbers, ["a"], ["many"])
    with pytest.raises(ValueError, match="X has 1 sentences, but y has 2"):
        inspection.confusion_matrix(tagger, [["a"]], [["O"], ["O"]])
    with pytest.raises(ValueError, match="has no word 'xyzzy'"):
        inspection.nearest_words(fitted, "xyzzy")
    with pytest.raises(ValueError, match="has no word ''"):
        inspection.nearest_words(tagger, "")
    with pytest.raises(TypeError, match="word is of type int"):
        inspection.nearest_words(fitted, 3)
    with pytest.raises(TypeError, match="knows nothing of a training"):
        inspection.learning_curves(fitted.predictor_)
    with pytest.raises(ValueError, match="columns of transform are 0 to 8"):
        inspection.top_ngrams(fitted, X, features=[9])
    with pytest.raises(TypeError, match="a list of columns of transform was expected"):
        inspection.ideal_ngrams(fitted, features=["w1_f0"])
    with pytest.raises(ValueError, match="single string"):
        inspection.top_ngrams(fitted, "a text")


@pytest.mark.parametrize("n", [0, -1, 1.5, True, None])
def test_wrong_numbers(fitted, n):
    for call in (inspection.top_ngrams, inspection.nearest_words):
        with pytest.raises(ValueError, match="a number of 1 or more was expected"):
            call(fitted, X if call is inspection.top_ngrams else "dull", n)


@pytest.mark.parametrize("position", [-1, 5])
def test_wrong_positions(tagger, position):
    with pytest.raises(ValueError, match=f"position is {position}, but it must be that of one of 5 tokens"):
        inspection.receptive_field(tagger, SENTENCES[0], position)
    with pytest.raises(ValueError, match="one of 0 tokens"):
        inspection.receptive_field(tagger, [], 0)
