"""The linear part of the tagger: pairs of words, scores, gradients."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from checks import assert_same_bits
from numpy.testing import assert_allclose, assert_array_equal
from taggers import LAYOUT, N_HASHED_ROWS, N_WORDS, OPTIONS, random_batch

from textcnn.nn.optimizers import Adam
from textcnn.nn.training import Trainer
from textcnn.nn.window_linear import PAIR_WINDOW, WINDOW, WindowLinear, pair_keys, shape_keys
from textcnn.text.token_features import TypeFeatures

LENGTHS = (6, 1, 0, 9, 2)
N_TAGS = LAYOUT.n_tags


def batch_of(words, lengths):
    """Sentences in which the word of type i is i."""
    types = np.array(words, np.int32)
    n_types = int(types.max(initial=0)) + 1
    features = TypeFeatures(
        np.arange(n_types, dtype=np.int32), np.zeros(0, np.int32), np.zeros(n_types + 1, np.intp),
        np.zeros((n_types, 0), np.int32),
    )  # fmt: skip
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    return replace(random_batch(LAYOUT, (0,)), types=types, offsets=offsets, features=features)


def random_linear(batch, head="crf", seed=0, scale=0.5):
    """Random coefficients, but zero for unknown pairs."""
    linear = WindowLinear.initialized(batch, N_WORDS, N_HASHED_ROWS, N_TAGS, head)
    rng = np.random.default_rng(seed)
    for name, array in linear.arrays.items():
        array[...] = rng.normal(size=array.shape) * scale
        if head == "softmax" and name in ("transitions", "start", "stop"):
            array[...] = 0
    linear.arrays["pair_rows"][0] = 0
    return linear


def plain_emissions(linear, batch):
    """Scores of the tags, token by token and coefficient by coefficient, in float64."""
    rows = linear.arrays["rows"].astype(float).reshape(-1, WINDOW, N_TAGS)
    pair_rows = linear.arrays["pair_rows"].astype(float).reshape(-1, PAIR_WINDOW, N_TAGS)
    known = {key: i + 1 for i, key in enumerate(linear.pairs.tolist())}
    words, hashed = batch.features.words, batch.features.hashed
    out = np.zeros((batch.n_tokens, N_TAGS))
    for begin, end in zip(batch.offsets[:-1], batch.offsets[1:], strict=True):
        for t in range(begin, end):
            for place, at in enumerate(range(t - 2, t + 3)):
                if begin <= at < end:
                    kind = batch.types[at]
                    out[t] += rows[words[kind] + linear.n_hashed_rows, place]
                    for row in hashed[kind]:
                        out[t] += rows[row, place]
            for place, at in enumerate(range(t - 1, t + 3)):
                if begin <= at < end:
                    left = words[batch.types[at - 1]] if at > begin else 0
                    word = words[batch.types[at]]
                    if word > 0 and (left > 0 or at == begin):
                        row = known.get(int(left) * 2**32 + int(word), 0)
                        out[t] += pair_rows[row, place]
    return out


# Pairs of words


def test_pair_keys():
    batch = batch_of([3, 1, 2, 0, 2, 5, 0, 1, 7], [3, 0, 3, 2, 1, 0])
    unknown, pair = -1, lambda left, word: left * 2**32 + word
    expected = [
        pair(0, 3),
        pair(3, 1),
        pair(1, 2),
        unknown,
        unknown,
        pair(2, 5),
        unknown,
        unknown,
        pair(0, 7),
    ]
    assert pair_keys(batch).tolist() == expected


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_pair_keys_of_nothing(lengths):
    assert len(pair_keys(batch_of([], lengths))) == 0


# N-grams of shapes


def batch_of_shapes(shapes, lengths):
    """Sentences in which the shape of type i, its last attribute, is i; the other attribute is none of it."""
    batch = batch_of(shapes, lengths)
    n_types = len(batch.features.words)
    hashed = np.stack([np.full(n_types, 9), np.arange(n_types)], axis=1).astype(np.int32)
    return replace(batch, features=replace(batch.features, hashed=hashed))


def plain_shape_keys(sentences):
    """The rule, shape by shape, in Python's integers; 0 before the begin of a sentence."""
    factors = (0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9, 0x14D049BB133111EB)
    keys = []
    for shapes in sentences:
        for i in range(len(shapes)):
            row = []
            for back in (1, 2):
                gram = [shapes[i - k] if k <= i else 0 for k in range(back + 1)]
                known = all(gram[k] > 0 or k > i for k in range(back + 1))
                mixed = sum(shape * factor for shape, factor in zip(gram, factors)) % 2**62  # noqa: B905
                row.append(-2 - mixed - (back - 1) * 2**62 if known else -1)
            keys.append(row)
    return keys


@pytest.mark.parametrize("seed", range(3))
def test_shape_keys_follow_their_rule(seed):
    rng = np.random.default_rng(seed)
    lengths = [1, 0, 2, 5, 0, 3, 9]
    sentences = [rng.integers(0, 4, n).tolist() for n in lengths]
    batch = batch_of_shapes([shape for sentence in sentences for shape in sentence], lengths)
    keys = shape_keys(batch)
    assert keys.dtype == np.int64
    assert keys.tolist() == plain_shape_keys(sentences)


def test_shape_keys_stay_in_their_sentence_and_tell_grams_apart():
    n = 12
    grams = [(a, b, c) for a in range(1, n) for b in range(1, n) for c in range(1, n)]
    batch = batch_of_shapes(np.ravel(grams), [3] * len(grams))
    keys = shape_keys(batch).reshape(-1, 3, 2)
    # The pairs (begin, a), (a, b) and (b, c), and the triples (begin, begin, a), (begin, a, b) and (a, b, c).
    assert len(np.unique(keys[:, 0])) == 2 * (n - 1)
    assert len(np.unique(keys[:, 1])) == 2 * (n - 1) ** 2
    assert len(np.unique(keys[:, 2, 0])) == (n - 1) ** 2
    assert len(np.unique(keys[:, 2, 1])) == (n - 1) ** 3
    # Not with the keys of pairs of words, which are 0 and above, or -1.
    assert keys.max() < -1
    assert set(keys[:, :, 0].ravel().tolist()).isdisjoint(keys[:, :, 1].ravel().tolist())


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_shape_keys_of_nothing(lengths):
    assert shape_keys(batch_of_shapes([], lengths)).shape == (0, 2)


def test_grams_of_shapes_have_a_say_of_their_own():
    batch = batch_of_shapes([1, 2, 3, 1, 2, 3], [3, 3])
    linear = WindowLinear.initialized(batch, 4, 10, 2, "softmax", has_shapes=True)
    found, last = np.searchsorted(linear.pairs, shape_keys(batch)[2]) + 1, 0
    assert linear.pairs[found - 1].tolist() == shape_keys(batch)[2].tolist()
    for row, value in zip(found, (1.0, 10.0), strict=True):
        linear.arrays["pair_rows"].reshape(-1, PAIR_WINDOW, 2)[row, 1, last] = value  # at its last token
    emissions = linear.emissions(batch.types, batch.offsets, batch.features, 1)
    assert emissions[:, last].tolist() == [0, 0, 11, 0, 0, 11]


def test_pairs_of_one_use_or_with_an_unknown_word_are_left_out():
    batch = batch_of([1, 2, 1, 2, 3, 0, 3, 0], [2, 3, 3])
    linear = WindowLinear.initialized(batch, 4, 0, 2, "crf")
    # (begin, 1) and (1, 2) come twice; (2, 3) and (begin, unknown) do not.
    assert linear.pairs.tolist() == [1, 2**32 + 2]


# Scores


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_sums_over_the_window(seed):
    batch = random_batch(LAYOUT, LENGTHS * 3, seed=seed)
    linear = random_linear(batch, seed=seed)
    assert len(linear.pairs) > 2
    emissions = linear.emissions(batch.types, batch.offsets, batch.features, 1)
    assert_allclose(emissions, plain_emissions(linear, batch), atol=1e-5)
    other = random_batch(LAYOUT, LENGTHS, seed=seed + 10)
    emissions = linear.emissions(other.types, other.offsets, other.features, 1)
    assert_allclose(emissions, plain_emissions(linear, other), atol=1e-5)


def test_scores_without_attributes_or_pairs():
    layout = replace(LAYOUT, n_attributes=0)
    batch = random_batch(layout, (3, 2))
    linear = random_linear(random_batch(layout, (1,)))
    assert len(linear.pairs) == 0
    emissions = linear.emissions(batch.types, batch.offsets, batch.features, 1)
    assert_allclose(emissions, plain_emissions(linear, batch), atol=1e-5)


def test_scores_of_a_new_model_are_zero():
    batch = random_batch(LAYOUT, LENGTHS)
    linear = WindowLinear.initialized(batch, N_WORDS, N_HASHED_ROWS, N_TAGS, "crf")
    assert_array_equal(linear.emissions(batch.types, batch.offsets, batch.features, 1), 0)


def test_a_sentence_alone_has_the_same_bits():
    batch = random_batch(LAYOUT, LENGTHS)
    linear = random_linear(batch)
    emissions = linear.emissions(batch.types, batch.offsets, batch.features, 2)
    for i in range(len(LENGTHS)):
        rows = slice(batch.offsets[i], batch.offsets[i + 1])
        alone = linear.emissions(batch.types[rows], np.array([0, LENGTHS[i]]), batch.features, 1)
        assert_same_bits(alone, emissions[rows])


# Gradients


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_every_gradient_is_a_central_difference(head):
    batch = random_batch(LAYOUT, LENGTHS * 2)
    linear = random_linear(batch, head)
    assert len(linear.pairs) > 1

    def loss():
        return linear.batch_gradients(batch, batch.loss_weight, OPTIONS, 0, 0)[0]

    _, gradients = linear.batch_gradients(batch, batch.loss_weight, OPTIONS, 0, 0)
    parameters = linear.parameters()
    assert set(gradients) == set(parameters)
    dense = {}
    for name, param in parameters.items():
        dense[name] = np.zeros(param.shape)
        rows = gradients[name].rows
        dense[name][slice(None) if rows is None else rows] = gradients[name].value
    # The coefficients are single precision: steps are large, and the loss is smooth.
    step = np.float32(2**-5)
    for name, param in parameters.items():
        for index in np.ndindex(param.shape):
            if name == "pair_rows" and index[0] == 0:
                assert dense[name][index] == 0
                continue
            kept, losses = param[index], []
            for k in (-2, -1, 1, 2):
                param[index] = kept + k * step
                losses.append(loss())
            param[index] = kept
            numeric = (losses[0] - 8 * losses[1] + 8 * losses[2] - losses[3]) / (12 * float(step))
            assert dense[name][index] == pytest.approx(numeric, rel=1e-3, abs=5e-6), (name, index)


def test_unknown_pairs_stay_without_a_coefficient():
    batch = random_batch(LAYOUT, LENGTHS * 3)
    linear = WindowLinear.initialized(batch, N_WORDS, N_HASHED_ROWS, N_TAGS, "crf")
    Trainer(linear, Adam(), replace(OPTIONS, alpha=0.1), np.random.RandomState(0)).fit(batch)
    assert_array_equal(linear.arrays["pair_rows"][0], 0)
    assert linear.arrays["pair_rows"][1:].any()


@pytest.mark.parametrize("changed", [[1, 2, 1, 1, 1], [1, 0, 1, 1, 1]], ids=["twice", "absent"])
def test_weights_are_repetitions(changed):
    batch = random_batch(LAYOUT, LENGTHS)
    batch = replace(batch, sample_weight=np.float32(changed))
    linear = random_linear(batch)
    loss, gradients = linear.batch_gradients(batch, 3.0, OPTIONS, 0, 0)
    kept = {name: gradient.value.copy() for name, gradient in gradients.items()}
    rows = {name: None if part.rows is None else part.rows.copy() for name, part in gradients.items()}
    index = np.repeat(np.arange(5), changed)
    repeated = replace(batch.take(index), sample_weight=np.ones(len(index), np.float32))
    other_loss, others = linear.batch_gradients(repeated, 3.0, OPTIONS, 0, 0)
    assert loss == pytest.approx(other_loss, rel=1e-5)
    for name, param in linear.parameters().items():
        dense, expected = np.zeros(param.shape), np.zeros(param.shape)
        dense[slice(None) if rows[name] is None else rows[name]] = kept[name]
        expected[slice(None) if others[name].rows is None else others[name].rows] = others[name].value
        assert_allclose(dense, expected, atol=2e-6)


@pytest.mark.parametrize("index", [[3, 0, 4], [1, 1, 2, 0], []], ids=["some", "twice", "none"])
def test_prepared_examples_have_the_rows_that_a_batch_looks_up(index):
    batch = random_batch(LAYOUT, LENGTHS)
    linear = random_linear(batch)
    index = np.array(index, np.intp)
    taken, prepared = batch.take(index), linear.prepared(batch).take(index)
    loss, gradients = linear.batch_gradients(taken, 3.0, OPTIONS, 0, 0)
    expected = {name: (part.value.copy(), np.copy(part.rows)) for name, part in gradients.items()}
    assert prepared.window_rows is not None
    prepared_loss, others = linear.batch_gradients(prepared, 3.0, OPTIONS, 0, 0)
    assert prepared_loss == loss
    for name, (value, rows) in expected.items():
        assert_array_equal(others[name].value, value)
        assert_array_equal(others[name].rows, rows)


def test_training_has_the_same_bits_with_any_number_of_threads():
    sizes = (300, 30, 200)
    layout = replace(LAYOUT, n_attributes=5, n_tags=9)
    batch = random_batch(layout, np.random.default_rng(0).integers(0, 40, 80), 400, sizes=sizes)

    def trained(n_threads):
        linear = WindowLinear.initialized(batch, sizes[0], sizes[2], 9, "crf")
        options = replace(OPTIONS, n_threads=n_threads, batch_size=30, max_iter=2)
        Trainer(linear, Adam(), options, np.random.RandomState(0)).fit(batch)
        return linear.arrays

    expected = trained(1)
    for n_threads in (2, 3):
        for name, array in trained(n_threads).items():
            assert_same_bits(array, expected[name])


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_a_small_set_is_learnt_by_heart(head):
    batch = random_batch(LAYOUT, LENGTHS)
    linear = WindowLinear.initialized(batch, N_WORDS, N_HASHED_ROWS, N_TAGS, head)
    options = replace(OPTIONS, max_iter=200, learning_rate_init=0.1)
    history = Trainer(linear, Adam(), options, np.random.RandomState(0)).fit(batch)
    assert history.loss_curve[-1] < 0.05


# State


def test_words_can_be_added_and_have_no_say():
    batch = random_batch(LAYOUT, LENGTHS)
    linear = random_linear(batch)
    expected = linear.emissions(batch.types, batch.offsets, batch.features, 1)
    linear.cover_words(N_WORDS + 3)
    assert len(linear.arrays["rows"]) == N_HASHED_ROWS + N_WORDS + 3
    assert_same_bits(linear.emissions(batch.types, batch.offsets, batch.features, 1), expected)
    features = replace(batch.features, words=np.full_like(batch.features.words, N_WORDS + 2))
    assert np.isfinite(linear.emissions(batch.types, batch.offsets, features, 1)).all()
    assert np.isfinite(linear.batch_gradients(replace(batch, features=features), 1.0, OPTIONS, 0, 0)[0])


def test_copies_and_pickles():
    batch = random_batch(LAYOUT, LENGTHS)
    linear = random_linear(batch)
    expected, _ = linear.batch_gradients(batch, 1.0, OPTIONS, 0, 0)
    other, again = linear.copy(), pickle.loads(pickle.dumps(linear))
    kept = linear.copy_arrays()
    linear.arrays["rows"][...] = 0
    for model in (other, again):
        assert model.batch_gradients(batch, 1.0, OPTIONS, 0, 0)[0] == expected
    linear.restore_arrays(kept)
    assert linear.batch_gradients(batch, 1.0, OPTIONS, 0, 0)[0] == expected
    assert linear.is_finite()
    linear.arrays["stop"][0] = np.inf
    assert not linear.is_finite()
