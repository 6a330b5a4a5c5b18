"""The linear part of the tagger: pairs of words, scores, gradients."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from checks import assert_same_bits
from numpy.testing import assert_allclose, assert_array_equal
from taggers import LAYOUT, N_HASHED_ROWS, N_WORDS, OPTIONS, random_batch

from textcnn.nn.window_linear import (
    PAIR_WINDOW,
    WINDOW,
    WindowLinear,
    WindowTrainer,
    pair_keys,
    shape_keys,
)
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


# Training


def history_of(linear, examples, on_step=None, **options):
    trainer = WindowTrainer(linear, replace(OPTIONS, **options), np.random.RandomState(0))
    return trainer.fit(linear.prepared(examples), on_step=on_step)


def new_linear(batch, head="crf"):
    return WindowLinear.initialized(batch, N_WORDS, N_HASHED_ROWS, N_TAGS, head)


def test_unknown_pairs_stay_without_a_coefficient():
    batch = random_batch(LAYOUT, LENGTHS * 3)
    linear = new_linear(batch)
    history_of(linear, batch, alpha=0.1)
    assert_array_equal(linear.arrays["pair_rows"][0], 0)
    assert linear.arrays["pair_rows"][1:].any()


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_a_softmax_trains_no_transitions(head):
    batch = random_batch(LAYOUT, LENGTHS)
    linear = new_linear(batch, head)
    history_of(linear, batch)
    for name in ("transitions", "start", "stop"):
        assert linear.arrays[name].any() == (head == "crf")


@pytest.mark.parametrize("work", [1, 20 * 516, 10**9])
def test_training_does_not_depend_on_how_much_one_call_does(work, monkeypatch):
    batch = random_batch(LAYOUT, LENGTHS * 4)
    expected = new_linear(batch)
    curve = history_of(expected, batch).loss_curve
    monkeypatch.setattr("textcnn.nn.window_linear.WORK_PER_CALL", work)
    linear, steps = new_linear(batch), []
    assert history_of(linear, batch, steps.append).loss_curve == pytest.approx(curve, rel=1e-12)
    for name, array in linear.arrays.items():
        assert_same_bits(array, expected.arrays[name])
    assert sum(steps) == OPTIONS.max_iter * batch.n_tokens
    if work == 1:
        assert len(steps) > 2 * OPTIONS.max_iter
    elif work == 10**9:
        assert steps == [batch.n_tokens] * OPTIONS.max_iter


def test_a_batch_without_weight_is_no_step():
    batch = random_batch(LAYOUT, (3, 4, 0, 5, 2))
    batch = replace(batch, sample_weight=np.float32([1, 0, 1, 0, 1]))
    linear = new_linear(batch)
    trainer = WindowTrainer(
        linear, replace(OPTIONS, batch_size=1, max_iter=2, shuffle=False), np.random.RandomState(0)
    )
    trainer.fit(linear.prepared(batch))
    assert trainer.n_steps == 4
    other = new_linear(batch)
    kept = replace(batch.take(np.array([0, 4])), features=batch.features)
    history_of(other, kept, batch_size=1, max_iter=2, shuffle=False)
    assert_same_bits(linear.arrays["rows"], other.arrays["rows"])


@pytest.mark.parametrize("weights", [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], ids=["no weight", "no token"])
def test_nothing_to_learn_from_changes_nothing(weights):
    batch = random_batch(LAYOUT, LENGTHS if not any(weights) else (0,) * 5)
    linear = random_linear(random_batch(LAYOUT, LENGTHS))
    kept = linear.copy_arrays()
    assert history_of(linear, replace(batch, sample_weight=np.float32(weights)), max_iter=1).loss_curve == [0]
    for name, array in linear.arrays.items():
        assert_same_bits(array, kept[name])


def test_many_tags_are_less_in_one_call():
    """A token's random field costs the square of the number of tags."""
    batch, steps = random_batch(replace(LAYOUT, n_tags=150), (10,) * 120), []
    linear = WindowLinear.initialized(batch, N_WORDS, N_HASHED_ROWS, 150, "crf")
    history_of(linear, batch, steps.append, max_iter=1)
    assert len(steps) == 2


def test_examples_that_were_not_prepared_are_refused():
    batch = random_batch(LAYOUT, LENGTHS)
    with pytest.raises(ValueError, match="examples have no window_rows; give those"):
        WindowTrainer(new_linear(batch), OPTIONS, np.random.RandomState(0)).fit(batch)


def test_a_request_to_stop_is_heard_after_a_call(monkeypatch):
    monkeypatch.setattr("textcnn.nn.window_linear.WORK_PER_CALL", 1)
    batch = random_batch(LAYOUT, LENGTHS * 4)
    linear = new_linear(batch)
    trainer = WindowTrainer(linear, OPTIONS, np.random.RandomState(0))

    def stop(n_tokens):
        trainer.stop_requested = True

    history = trainer.fit(linear.prepared(batch), on_step=stop)
    assert history.interrupted
    assert trainer.n_steps == 1


def test_a_loss_that_is_not_finite_is_an_error_with_its_step(monkeypatch):
    monkeypatch.setattr("textcnn.nn.window_linear.WORK_PER_CALL", 15 * 516)
    batch = random_batch(LAYOUT, (4, 4, 4, 4, 4, 4))
    batch = replace(batch, sample_weight=np.float32([1, 1, 1, 1, 1, np.inf]))
    linear = new_linear(batch)
    with pytest.raises(
        ValueError, match=r"became inf after 5 steps, .*; lower linear_alpha \(now 0\) or set"
    ):
        history_of(linear, batch, batch_size=1, shuffle=False)
    with pytest.raises(ValueError, match=r"the loss of the first batch is inf"):
        history_of(new_linear(batch), batch, batch_size=6)


def test_training_has_the_same_bits_with_any_number_of_threads():
    sizes = (300, 30, 200)
    layout = replace(LAYOUT, n_attributes=5, n_tags=9)
    batch = random_batch(layout, np.random.default_rng(0).integers(0, 40, 80), 400, sizes=sizes)

    def trained(n_threads):
        linear = WindowLinear.initialized(batch, sizes[0], sizes[2], 9, "crf")
        options = replace(OPTIONS, n_threads=n_threads, batch_size=30, max_iter=2)
        WindowTrainer(linear, options, np.random.RandomState(0)).fit(linear.prepared(batch))
        return linear.arrays

    expected = trained(1)
    for n_threads in (2, 3):
        for name, array in trained(n_threads).items():
            assert_same_bits(array, expected[name])


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_a_small_set_is_learnt_by_heart(head):
    batch = random_batch(LAYOUT, LENGTHS)
    history = history_of(new_linear(batch, head), batch, max_iter=200, learning_rate_init=0.1)
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
    assert np.isfinite(history_of(linear, replace(batch, features=features)).loss_curve).all()


def test_copies_and_pickles():
    batch = random_batch(LAYOUT, LENGTHS)
    linear = random_linear(batch)

    def scores(model):
        return model.emissions(batch.types, batch.offsets, batch.features, 1)

    expected = scores(linear)
    other, again = linear.copy(), pickle.loads(pickle.dumps(linear))
    kept = linear.copy_arrays()
    linear.arrays["rows"][...] = 0
    for model in (other, again):
        assert_same_bits(scores(model), expected)
    linear.restore_arrays(kept)
    assert_same_bits(scores(linear), expected)
    assert linear.is_finite()
    linear.arrays["stop"][0] = np.inf
    assert not linear.is_finite()
