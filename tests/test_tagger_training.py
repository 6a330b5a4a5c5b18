"""`TextCNNTagger`: continued training, weights, and input that differs from what was trained on."""

import gc
import multiprocessing
import os
import tracemalloc

import numpy as np
import pytest

import textcnn
from textcnn import ModelFileError, TextCNNClassifier, TextCNNTagger
from textcnn.io import load_arrays, save_arrays

SMALL = {
    "n_channels": 8, "embedding_dim": 6, "char_dim": 4, "n_char_filters": 4, "affix_dim": 2,
    "dilations": (1, 2), "n_iterations": 2, "max_iter": 2, "linear_max_iter": 2, "random_state": 0,
}  # fmt: skip
X = [["Ms.", "Haag", "plays", "Elianti", "."], ["The", "dog", "saw", "Ms.", "Haag"], ["Rain"]]
Y = [["O", "B-PER", "O", "B-PER", "O"], ["O", "O", "O", "O", "B-PER"], ["O"]]
CLASSES = ["B-PER", "I-PER", "O"]


# ---- continued training ---------------------------------------------------------------------------


def many_texts():
    rng = np.random.RandomState(0)
    return [" ".join(f"w{i}" for i in row) for row in rng.randint(0, 50, (400, 30))]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_goes_on_with_partial_fit():
    texts = many_texts()
    classes = np.arange(len(texts)) % 2
    tags = [["O"] * len(text.split()) for text in texts]
    classifier = TextCNNClassifier(n_jobs=2, random_state=0).partial_fit(texts, classes, [0, 1])
    tagger = TextCNNTagger(**{**SMALL, "n_channels": 64}, n_jobs=2).partial_fit(texts, tags, CLASSES)

    def train():
        classifier.partial_fit(texts, classes)
        tagger.partial_fit(texts, tags)

    process = multiprocessing.get_context("fork").Process(target=train)
    process.start()
    process.join(60)
    hangs = process.is_alive()
    process.kill()
    assert not hangs
    assert process.exitcode == 0


def test_partial_fit_takes_the_parameters_of_today():
    tagger = TextCNNTagger(**SMALL).partial_fit(X, Y, CLASSES)
    before = tagger.predictor_.network.copy_arrays()
    tagger.set_params(learning_rate_init=1e-30).partial_fit(X, Y)
    after = tagger.predictor_.network.arrays
    assert all(np.allclose(before[name], after[name], rtol=0, atol=1e-20) for name in before)


def test_words_of_every_call_of_partial_fit_begin_with_vectors_of_their_own():
    tagger = TextCNNTagger(**SMALL, learning_rate_init=1e-30).partial_fit(X, Y, CLASSES)
    tagger.partial_fit([["second"]], [["O"]]).partial_fit([["third"]], [["O"]])
    words, number = tagger.predictor_.network.arrays["words"], tagger.vocabulary_
    assert not np.array_equal(words[number["second"]], words[number["third"]])


@pytest.mark.parametrize("classes", ["BO", "O"])
def test_partial_fit_refuses_tags_that_are_one_str(classes):
    with pytest.raises(TypeError, match="classes is the str"):
        TextCNNTagger(**SMALL).partial_fit(X, Y, classes=classes)


# ---- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_sentence_of_weight_zero_counts_like_its_absence(early_stopping):
    options = {**SMALL, "early_stopping": early_stopping}
    weighted = TextCNNTagger(**options).fit([*X, ["other", "Haag"]], [*Y, ["B-X", "O"]], [1, 1, 1, 0])
    without = TextCNNTagger(**options).fit(X, Y, [1, 1, 1])
    assert weighted.classes_.tolist() == without.classes_.tolist()
    assert weighted.vocabulary_ == without.vocabulary_
    for ours, theirs in zip(weighted.predict_marginals(X), without.predict_marginals(X), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# A coefficient of the linear part whose gradient is zero but for rounding moves by a whole step of Adam.
@pytest.mark.parametrize(("linear", "tolerance"), [(0.0, 1e-5), (0.6, 1e-3)])
def test_a_sentence_of_weight_two_counts_like_the_sentence_twice(linear, tolerance):
    options = dict.fromkeys(("dropout", "feature_dropout", "word_dropout", "rare_word_dropout"), 0.0)
    options |= {**SMALL, "batch_size": 10, "linear": linear}
    weighted = TextCNNTagger(**options).fit([*X, X[1]], [*Y, Y[1]], [1, 2, 1, 1])
    twice = TextCNNTagger(**options).fit([*X, X[1]], [*Y, Y[1]], [1, 1, 1, 2])
    repeated = TextCNNTagger(**options).fit([*X, X[1], X[1]], [*Y, Y[1], Y[1]])
    for tagger in (twice, repeated):
        for ours, theirs in zip(weighted.predict_marginals(X), tagger.predict_marginals(X), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=tolerance)
    unweighted = TextCNNTagger(**options).fit([*X, X[1]], [*Y, Y[1]])
    ours, theirs = weighted.predict_marginals(X), unweighted.predict_marginals(X)
    assert max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)) > 2 * tolerance


def test_weights_count_across_batches():
    options = {**SMALL, "batch_size": 1, "max_grad_norm": None, "solver": "sgd"}
    options |= {"learning_rate_init": 0.01, "linear": 0.0}
    other, tags, weights = [["other", "words"]], [["B-X", "I-X"]], np.ones(61)

    def probability(weight):
        weights[-1] = weight
        tagger = TextCNNTagger(**options).fit(X * 20 + other, Y * 20 + tags, weights)
        return tagger.predict_marginals(other)[0][0, tagger.predictor_.marginal_tags.index("B-X")]

    assert probability(0.01) < probability(1.0) / 10 < probability(5.0) / 20


def test_weights_that_leave_no_tokens_are_refused():
    with pytest.raises(ValueError, match="empty or of weight zero"):
        TextCNNTagger(**SMALL).fit([["a"], []], [["O"], []], [0, 1])


# ---- sentences given as str, validation in another scheme --------------------------------------------


def test_texts_are_cut_in_prediction_as_in_training():
    texts, tags = ["中文2003年"] * 3 + ["中" * 400], [["O", "B-X", "O", "O"]] * 3 + [["O"] * 400]
    tagger = TextCNNTagger(**SMALL).fit(texts, tags)
    assert tagger.predictor_.analyzer == "word"
    assert [len(tags) for tags in tagger.predict(texts)] == [4, 4, 4, 400]
    assert tagger.partial_fit(texts, tags).score(texts, tags) >= 0


def test_texts_are_cut_as_the_model_does_when_training_goes_on():
    tagger = TextCNNTagger(**SMALL, warm_start=True).fit([list("中文年" * 50)], [["O"] * 150])
    assert tagger.predictor_.analyzer == "char"
    text, tags = ["中文2003年"], [["O"] * 7]
    tagger.partial_fit(text, tags).fit(text, tags, X_val=text, y_val=tags)
    assert tagger.predict(text) == tags


def test_validation_tags_of_another_scheme_are_refused_before_training():
    tagger = TextCNNTagger(**SMALL)
    with pytest.raises(ValueError, match="y_val has other tags than the model, whose scheme is BIOES"):
        tagger.fit(
            [["a", "b", "c", "d"]], [["S-X", "B-X", "E-X", "O"]],
            X_val=[["a", "b", "c"]], y_val=[["B-X", "M-X", "E-X"]],
        )  # fmt: skip
    assert not hasattr(tagger, "predictor_")


# ---- words and tokens -------------------------------------------------------------------------------


def test_words_of_embeddings_are_known_if_their_lower_case_form_has_a_vector():
    vectors = {"Rome": [1.0, 2.0], "iPhone": [3.0, 4.0], "night": [0.0, 1.0]}
    tagger = TextCNNTagger(**SMALL, embeddings=vectors).fit(X, Y)
    assert {"rome", "night"} < set(tagger.vocabulary_)
    assert "iphone" not in tagger.vocabulary_
    as_written = TextCNNTagger(**SMALL, embeddings=vectors, lowercase=False).fit(X, Y)
    assert {"Rome", "night", "iPhone"} < set(as_written.vocabulary_)


def test_a_token_that_is_no_str_is_told_with_its_sentence_among_all(monkeypatch):
    tagger = TextCNNTagger(**SMALL).fit(X, Y)
    monkeypatch.setattr("textcnn.tag_predictor.TOKENS_PER_CHUNK", 4)
    with pytest.raises(TypeError, match=r"X\[2\]\[1\] is of type int"):
        tagger.predict([["a"] * 6, ["b"] * 6, ["c", 3]])


# ---- model files that would fail in use -------------------------------------------------------------


def saved(path, **options):
    """A small model as arrays and configuration."""
    TextCNNTagger(**{**SMALL, **options}).fit(X, Y).save(path)
    return load_arrays(path)


def test_a_limit_of_characters_beyond_all_integers_is_no_limit(tmp_path):
    arrays, config = saved(tmp_path / "m.textcnn")
    config["encoder"]["max_chars"] = 2**70
    save_arrays(tmp_path / "m.textcnn", arrays, config)
    assert len(textcnn.load(tmp_path / "m.textcnn").predict(X)) == 3


def test_buckets_beyond_int32_are_refused_without_attributes_too(tmp_path):
    arrays, config = saved(tmp_path / "m.textcnn", prefix_lengths=(), suffix_lengths=(), shapes=False)
    config["encoder"]["n_buckets"] = 2**40
    save_arrays(tmp_path / "m.textcnn", arrays, config)
    with pytest.raises(ModelFileError, match="n_buckets is"):
        textcnn.load(tmp_path / "m.textcnn")


def test_arrays_without_columns_are_refused(tmp_path):
    arrays, config = saved(tmp_path / "m.textcnn")
    n_rows = 2**24 - 1  # a kernel size that takes gigabytes in use, but no byte in the file
    config["layout"] |= {"char_dim": 0, "char_kernel_sizes": [n_rows]}
    arrays["network.chars"] = arrays["network.chars"][:, :0]
    arrays["network.char_filters"] = np.empty((n_rows * SMALL["n_char_filters"], 0), np.float32)
    save_arrays(tmp_path / "m.textcnn", arrays, config)
    with pytest.raises(ModelFileError, match="layout"):
        textcnn.load(tmp_path / "m.textcnn")


def test_going_on_needs_the_shape_of_the_network_that_is_there():
    tagger = TextCNNTagger(**SMALL, warm_start=True).fit(X, Y)
    tagger.set_params(n_channels=9)
    with pytest.raises(ValueError, match="has n_channels 8, but the parameters ask for 9"):
        tagger.fit(X, Y)
    with pytest.raises(ValueError, match="has n_channels 8, but the parameters ask for 9"):
        tagger.partial_fit(X, Y)


def test_warm_up_steps_hold_the_network_back_and_not_the_linear_part():
    options = SMALL | {"word_dropout": 0.0, "rare_word_dropout": 0.0}
    cold = TextCNNTagger(**options, warmup_steps=10**9).fit(X, Y)
    warm, plain = (TextCNNTagger(**options, **more).fit(X, Y) for more in ({"warmup_steps": 2}, {}))
    assert cold.n_iter_ == plain.n_iter_
    assert plain.loss_ < cold.loss_
    assert warm.loss_ != plain.loss_
    before = TextCNNTagger(**options | {"max_iter": 1}, warmup_steps=10**9).fit(X, Y)
    weights = [model.predictor_.network.all_arrays()["weights"] for model in (cold, before)]
    np.testing.assert_allclose(*weights, atol=1e-6)
    for name, array in cold.predictor_.linear.arrays.items():
        np.testing.assert_array_equal(array, plain.predictor_.linear.arrays[name])


@pytest.mark.parametrize("steps", [-1, 0.5, None])
def test_warm_up_steps_are_a_number_of_steps(steps):
    with pytest.raises(ValueError, match="'warmup_steps' parameter"):
        TextCNNTagger(**SMALL, warmup_steps=steps).fit(X, Y)


def held_after(fit):
    """Bytes that a fitted model holds."""
    tracemalloc.start()
    try:
        model = fit()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        assert model is not None
        return held
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_model_of_one_long_sentence_is_as_small_as_one_of_short_ones(method):
    tokens, tags = ["a", "b", "c"] * 10_000, ["O", "O", "B-PER"] * 10_000

    def tagger():
        model = TextCNNTagger(**{**SMALL, "max_iter": 1})
        return (
            model.fit([tokens], [tags]) if method == "fit" else model.partial_fit([tokens], [tags], CLASSES)
        )

    def classifier():
        model, texts = TextCNNClassifier(max_iter=1, n_filters=4, linear=0), [tokens, ["a"]]
        return model.fit(texts, [0, 1]) if method == "fit" else model.partial_fit(texts, [0, 1], [0, 1])

    # A float for each token would be 120,000 bytes, and scratch of the network has many.
    assert held_after(tagger) < 250_000
    assert held_after(classifier) < 250_000


def test_a_linear_part_that_memory_cannot_hold_is_refused(monkeypatch):
    monkeypatch.setattr("textcnn.nn.window_linear.MOST_COEFFICIENTS", 1000)
    with pytest.raises(ValueError, match=r"linear part would have [0-9,]+ coefficients .* set linear=0"):
        TextCNNTagger(**SMALL).fit(X, Y)
    assert TextCNNTagger(**{**SMALL, "linear": 0}).fit(X, Y).predictor_.linear is None


def test_words_known_from_vectors_alone_take_no_room_in_the_linear_part(tmp_path):
    rng = np.random.default_rng(0)
    vectors = {f"word{i}": rng.normal(size=6) for i in range(500)} | {"dog": rng.normal(size=6)}
    tagger = TextCNNTagger(**SMALL, embeddings=vectors).fit(X, Y)
    predictor = tagger.predictor_
    assert predictor.encoder.n_words > 500
    assert len(predictor.linear.arrays["rows"]) < predictor.encoder.n_rows + 100
    tagger.save(tmp_path / "m.textcnn")
    unseen = [["word7", "word499", *X[0]]]
    assert textcnn.load(tmp_path / "m.textcnn").predict(unseen) == tagger.predict(unseen)
    before = tagger.predict_marginals(unseen)[0]
    tagger.partial_fit([["zebra", *X[0]]], [["O", *Y[0]]])
    assert len(tagger.predictor_.linear.arrays["rows"]) == (
        tagger.predictor_.encoder.n_rows + tagger.predictor_.encoder.n_words
    )
    assert tagger.predict_marginals(unseen)[0].shape == before.shape
