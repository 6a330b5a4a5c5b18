"""No NaN or infinity leaves a fitted model for finite input; weights count as they say."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from textcnn.data import load_entities, load_messages

from textcnn import TextCNNClassifier, TextCNNRegressor, TextCNNTagger
from textcnn.nn import Conv1d, LayerNorm, Pool1d, Sequential
from textcnn.nn.tagging_cnn import TaggedExamples
from textcnn.nn.training import Examples

TEXTS, LABELS = (part[:120] for part in load_messages())
SENTENCES, TAGS = (part[:60] for part in load_entities("train"))
SMALL = {"n_filters": 4, "embedding_dim": 8, "max_iter": 3, "random_state": 0}
SMALL_TAGGER = {
    "n_channels": 8, "embedding_dim": 8, "n_iterations": 1, "max_iter": 2, "linear_max_iter": 2,
    "random_state": 0,
}  # fmt: skip
ODD_TEXTS = ["zzz qqq", "", TEXTS[0], " ".join(TEXTS[:20]), "zzz"]
ODD_SENTENCES = [["zzz", "qqq"], SENTENCES[0], [], [token for sentence in SENTENCES for token in sentence]]
LEARNING_RATES = [1.0, 1e4, 1e10, 1e30, 1e38]
SOLVERS = ["adam", "adadelta", "sgd"]


def assert_probabilities(p):
    """Finite, from 0 to 1, with a sum of 1 in each row."""
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    assert (p <= 1).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=0, atol=1e-6)


def assert_sound_classifier(model, X=ODD_TEXTS):
    assert_probabilities(model.predict_proba(X))
    for outputs in (model.predict_log_proba(X), model.decision_function(X), model.transform(X)):
        assert np.isfinite(outputs).all()
    for explanation in model.explain(X):
        assert np.isfinite(explanation.logits).all()
        assert all(np.isfinite(ngram.contributions).all() for ngram in explanation.ngrams)


def assert_sound_regressor(model, X=ODD_TEXTS):
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.transform(X)).all()


def assert_sound_tagger(model, X=ODD_SENTENCES):
    for marginals in model.predict_marginals(X):
        assert_probabilities(marginals)
    for spans in model.spans(X):
        assert all(0 <= span.probability <= 1 for span in spans)
    assert all(np.isfinite(features).all() for features in model.transform(X))


@contextlib.contextmanager
def or_advice(*sentences):
    """What is done ends well, or in a sentence that says what to change."""
    try:
        yield
    except ValueError as error:
        assert any(sentence in str(error) for sentence in sentences or ["lower learning_rate_init"])  # noqa: PT017


@pytest.mark.parametrize("rate", LEARNING_RATES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_huge_learning_rates(rate, solver):
    options = {"learning_rate_init": rate, "solver": solver}
    for max_norm in (3.0, None):
        with or_advice():
            model = TextCNNClassifier(**SMALL, **options, max_norm=max_norm).fit(TEXTS, LABELS)
            assert_sound_classifier(model)
    with or_advice():
        assert_sound_regressor(TextCNNRegressor(**SMALL, **options).fit(TEXTS, range(120)))
    with or_advice():
        assert_sound_tagger(TextCNNTagger(**SMALL_TAGGER, **options).fit(SENTENCES, TAGS))


@pytest.mark.parametrize("rate", LEARNING_RATES)
@pytest.mark.parametrize("activation", ["gelu", "elu", "softplus", "logistic"])
def test_huge_learning_rates_of_other_networks(rate, activation):
    with or_advice():
        model = TextCNNClassifier(**SMALL, learning_rate_init=rate, activation=activation)
        assert_sound_classifier(model.fit(TEXTS, LABELS))


@pytest.mark.parametrize("rate", LEARNING_RATES)
def test_huge_learning_rates_of_layers(rate):
    body = Sequential(Conv1d(6, 3, activation="gelu"), LayerNorm(), Pool1d("l2"))
    with or_advice():
        model = TextCNNClassifier(**SMALL, learning_rate_init=rate, body=body).fit(TEXTS, LABELS)
        assert_probabilities(model.predict_proba(ODD_TEXTS))


@pytest.mark.parametrize("option", ["linear_C", "alpha"])
@pytest.mark.parametrize("value", [1e-30, 1e10, 1e30])
def test_absurd_penalties(option, value):
    assert_sound_classifier(TextCNNClassifier(**SMALL, **{option: value}).fit(TEXTS, LABELS))
    assert_sound_regressor(TextCNNRegressor(**SMALL, **{option: value}).fit(TEXTS, range(120)))
    option = {"linear_C": "linear_alpha"}.get(option, option)
    assert_sound_tagger(TextCNNTagger(**SMALL_TAGGER, **{option: value}).fit(SENTENCES, TAGS))


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 1 - 1e-9},
        {"word_dropout": 1 - 1e-9},
        {"max_norm": 1e-30},
        {"max_norm": 1e30},
        {"max_grad_norm": 1e-30},
        {"label_smoothing": 1 - 1e-9},
        {"linear": 1 - 1e-9},
        {"linear": 1e-30},
    ],
)
def test_options_near_their_limits(options):
    assert_sound_classifier(TextCNNClassifier(**SMALL, **options).fit(TEXTS, LABELS))


def vectors(scale, words):
    rows = np.random.RandomState(0).randn(len(words), 8) * scale
    return dict(zip(words, rows.clip(-3e38, 3e38).astype(np.float32), strict=True))


@pytest.mark.parametrize("mode", ["static", "fine-tuned", "multichannel"])
def test_vectors_of_any_length(mode):
    words = sorted({word for text in TEXTS for word in text.lower().split()})
    for scale in (1e-42, 1e-30, 1.0, 1e9):
        model = TextCNNClassifier(**SMALL, embeddings=vectors(scale, words), embedding_mode=mode)
        assert_sound_classifier(model.fit(TEXTS, LABELS))
    for scale in (1e11, 1e20, 1e30, 1e38):
        model = TextCNNClassifier(**SMALL, embeddings=vectors(scale, words), embedding_mode=mode)
        with pytest.raises(ValueError, match="divide them, best so that their lengths are near 1"):
            model.fit(TEXTS, LABELS)


def test_vectors_of_any_length_in_regressor_and_tagger():
    words = sorted({word for text in TEXTS for word in text.lower().split()})
    tokens = sorted({token for sentence in SENTENCES for token in sentence})
    for scale in (1e-42, 1e9):
        assert_sound_regressor(
            TextCNNRegressor(**SMALL, embeddings=vectors(scale, words)).fit(TEXTS, range(120))
        )
        tagger = TextCNNTagger(**SMALL_TAGGER, embeddings=vectors(scale, tokens))
        assert_sound_tagger(tagger.fit(SENTENCES, TAGS))
    for scale in (1e11, 1e38):
        with pytest.raises(ValueError, match="divide them"):
            TextCNNRegressor(**SMALL, embeddings=vectors(scale, words)).fit(TEXTS, range(120))
        with pytest.raises(ValueError, match="divide them"):
            TextCNNTagger(**SMALL_TAGGER, embeddings=vectors(scale, tokens)).fit(SENTENCES, TAGS)


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e100])
def test_targets_of_any_size(loss, scale):
    y = np.arange(120) * scale
    model = TextCNNRegressor(**SMALL, loss=loss).fit(TEXTS, y)
    assert_sound_regressor(model)
    assert abs(model.predict(TEXTS) - y).max() < 200 * scale


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e10, 1e30, 1e37, 1e300])
def test_embedded_text_of_any_size(dtype, scale):
    X = np.random.RandomState(0).randn(120, 9)
    with np.errstate(over="ignore", under="ignore"):
        scaled = (X * scale).astype(dtype)
    if not np.isfinite(scaled).all():
        pytest.skip("numbers of this size are not finite in this type")
    too_large = "the numbers that it is given, are too large"
    with or_advice("bring the numbers in X", too_large):
        assert_probabilities(TextCNNClassifier(**SMALL).fit(scaled, LABELS).predict_proba(scaled))
    model = TextCNNClassifier(**SMALL).fit(X.astype(dtype), LABELS)
    with or_advice(too_large):
        assert_probabilities(model.predict_proba(scaled))
    assert np.isfinite(model.transform(scaled)).all()


# ---- weights ------------------------------------------------------------------------------------


def loss_and_gradients(model, batch, options):
    """Of a batch as training computes them, the gradients of embeddings spread over all rows."""
    loss, gradients = model.predictor_.network.batch_gradients(batch, batch.step_weight, options, 0, 0)
    dense = {}
    for name, param in model.predictor_.network.parameters().items():
        gradient = gradients[name]
        dense[name] = np.zeros(param.shape)
        np.add.at(dense[name], slice(None) if gradient.rows is None else gradient.rows, gradient.value)
    return loss, dense


def assert_same_step(model, batch, other, options):
    options = replace(options, dropout=0.0, word_dropout=0.0)
    loss, gradients = loss_and_gradients(model, batch, options)
    other_loss, other_gradients = loss_and_gradients(model, other, options)
    assert loss == pytest.approx(other_loss, rel=1e-6)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, other_gradients[name], rtol=1e-4, atol=1e-7)


MODELS = {
    "classes": lambda: (TextCNNClassifier(**SMALL), LABELS),
    "labels": lambda: (TextCNNClassifier(**SMALL), np.arange(360).reshape(120, 3) % 2),
    "numbers": lambda: (TextCNNRegressor(**SMALL), np.arange(120) % 7),
    "layers": lambda: (TextCNNClassifier(**SMALL, pooling=("max", "mean")), LABELS),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_weight_of_two_is_the_text_twice_and_zero_its_absence(kind):
    estimator, y = MODELS[kind]()
    model = estimator.fit(TEXTS, y)
    encoded = model.predictor_.vocabulary.encode_fully(TEXTS[:6], 1, False)
    head = model._fitted_head()
    targets = head.targets(model._checked_y(y[:6], "y"), "y")
    targets = targets.astype(np.float32) if targets.dtype.kind == "f" else targets

    def batch(index, weights):
        alone = Examples(encoded.ids, encoded.offsets, targets, np.ones(6, np.float32)).take(np.array(index))
        return replace(alone, sample_weight=np.array(weights, np.float32))

    options = model._options(head, 1, False)
    assert_same_step(model, batch([0, 1, 2], [2, 1, 1]), batch([0, 0, 1, 2], [1, 1, 1, 1]), options)
    assert_same_step(model, batch([0, 1, 2], [0, 1, 3]), batch([1, 2, 2, 2], [1, 1, 1, 1]), options)
    assert_same_step(model, batch([3, 4, 5], [1, 0, 0]), batch([3], [1]), options)


def test_a_weight_of_zero_is_the_absence_of_a_sentence():
    weight = np.r_[np.ones(50), np.zeros(10)]
    weighted = TextCNNTagger(**SMALL_TAGGER).fit(SENTENCES, TAGS, sample_weight=weight)
    without = TextCNNTagger(**SMALL_TAGGER).fit(SENTENCES[:50], TAGS[:50])
    assert_same_arrays(weighted, without)


def test_a_weight_of_two_is_the_sentence_twice():
    model = TextCNNTagger(**SMALL_TAGGER).fit(SENTENCES, TAGS)
    predictor = model.predictor_
    encoded = predictor.encoder.encode(SENTENCES[:6], 1)
    targets = predictor.tags.encode(TAGS[:6])[0]
    rare = np.zeros(len(encoded.features.words), bool)
    options = replace(
        model._options(60, False), dropout=0.0, feature_dropout=0.0, word_dropout=0.0, rare_word_dropout=0.0
    )

    def batch(index, weights):
        examples = TaggedExamples(
            encoded.types, encoded.offsets, targets, np.ones(6, np.float32), encoded.features, rare
        )
        return replace(examples.take(np.array(index)), sample_weight=np.array(weights, np.float32))

    # Training divides by the tokens of the batch; by their weights the two are comparable.
    for one, other in (
        (batch([0, 1, 2], [2, 1, 1]), batch([0, 0, 1, 2], [1, 1, 1, 1])),
        (batch([3, 4, 5], [0, 1, 3]), batch([4, 5, 5, 5], [1, 1, 1, 1])),
    ):
        assert one.loss_weight == other.loss_weight
        loss, gradients = loss_and_gradients(model, one, options)
        other_loss, other_gradients = loss_and_gradients(model, other, options)
        assert loss * one.step_weight == pytest.approx(other_loss * other.step_weight, rel=1e-6)
        for name, gradient in gradients.items():
            expected = other_gradients[name] * other.step_weight / one.step_weight
            np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-7)


def assert_same_arrays(model, other):
    arrays, others = (estimator.predictor_.network.copy_arrays() for estimator in (model, other))
    assert arrays.keys() == others.keys()
    assert all(array.tobytes() == others[name].tobytes() for name, array in arrays.items())
