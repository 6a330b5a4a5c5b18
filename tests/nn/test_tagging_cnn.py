"""The tagger's network as a whole: loss, gradients, weights, threads, state."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from checks import assert_same_bits
from numpy.testing import assert_allclose, assert_array_equal
from taggers import (
    LAYOUT,
    OPTIONS,
    WITH_DROPOUT,
    plain_loss,
    random_batch,
    random_features,
    random_network,
)

from textcnn.nn.optimizers import Adam
from textcnn.nn.tagging_cnn import TaggedExamples, TaggingCNN
from textcnn.nn.tagging_inference import TaggingInference
from textcnn.nn.training import Trainer

LAYOUTS = {
    "concat": LAYOUT,
    "last": replace(LAYOUT, join="last"),
    "every": replace(LAYOUT, join="every"),
    "softmax": replace(LAYOUT, head="softmax"),
    "softmax every": replace(LAYOUT, head="softmax", join="every"),
    "own weights": replace(LAYOUT, share_weights=False),
    "own weights, every": replace(LAYOUT, share_weights=False, join="every"),
    "no dilations": replace(LAYOUT, dilations=()),
    "no dilations, every": replace(LAYOUT, dilations=(), join="every"),
    "no dilations, last": replace(LAYOUT, dilations=(), join="last"),
    "one iteration": replace(LAYOUT, n_iterations=1),
    "three layers": replace(LAYOUT, dilations=(1, 1, 2), n_iterations=3),
    "wide dilation": replace(LAYOUT, dilations=(4,)),
    "no characters": replace(LAYOUT, n_char_filters=0),
    "no attributes": replace(LAYOUT, n_attributes=0),
    "words alone": replace(LAYOUT, n_char_filters=0, n_attributes=0),
    "no words": replace(LAYOUT, word_dim=0),
    "one tag": replace(LAYOUT, n_tags=1),
}
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def loss_of(network, batch, options=OPTIONS, weight=None):
    weight = batch.loss_weight if weight is None else weight
    return network.batch_gradients(batch, weight, options, 7, 3)[0]


def gradients_of(network, batch, options=OPTIONS, weight=None):
    """Loss, and the gradient of each parameter as a matrix of all its rows."""
    weight = batch.loss_weight if weight is None else weight
    loss, gradients = network.batch_gradients(batch, weight, options, 7, 3)
    dense = {}
    for name, param in network.parameters().items():
        dense[name] = np.zeros(param.shape, param.dtype)
        rows = gradients[name].rows
        dense[name][slice(None) if rows is None else rows] = gradients[name].value
    assert set(gradients) == set(dense)
    return loss, dense


def assert_gradients(network, batch, options):
    """Every gradient is a central difference, but where a ReLU or a maximum turns inside the step."""
    _, gradients = gradients_of(network, batch, options)
    n_kinks = n_values = 0
    for name, param in network.parameters().items():
        for index in np.ndindex(param.shape):
            kept, numeric = param[index], []
            for step in (1e-5, 2e-6):
                losses = []
                for k in (-2, -1, 1, 2):
                    param[index] = kept + k * step
                    losses.append(loss_of(network, batch, options))
                numeric.append((losses[0] - 8 * losses[1] + 8 * losses[2] - losses[3]) / (12 * step))
            param[index] = kept
            n_values += 1
            if abs(numeric[0] - numeric[1]) > 1e-7:
                n_kinks += 1
            else:
                assert gradients[name][index] == pytest.approx(numeric[0], rel=1e-6, abs=1e-8), (name, index)
    assert n_kinks < 0.01 * n_values


@layouts
def test_every_gradient_is_a_central_difference(layout):
    assert_gradients(random_network(layout), random_batch(layout), OPTIONS)


@pytest.mark.parametrize("name", ["concat", "every", "softmax", "no dilations"])
def test_gradients_with_dropout_are_those_under_its_masks(name):
    layout = LAYOUTS[name]
    network, batch = random_network(layout), random_batch(layout)
    assert_gradients(network, batch, WITH_DROPOUT)
    assert loss_of(network, batch, WITH_DROPOUT) != loss_of(network, batch)


@layouts
def test_loss_is_that_of_the_plain_network(layout):
    network, batch = random_network(layout), random_batch(layout)
    assert loss_of(network, batch) == pytest.approx(plain_loss(network, batch, batch.loss_weight), rel=1e-6)
    single = random_network(layout, np.float32)
    expected = plain_loss(single, batch, batch.loss_weight)
    assert loss_of(single, batch) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_parameters_are_those_that_are_used():
    def names(layout, frozen_words=False):
        return set(random_network(layout, frozen_words=frozen_words).parameters())

    everything = names(LAYOUT)
    assert everything == set(random_network(LAYOUT).arrays)
    assert everything - names(LAYOUTS["no characters"]) == {"chars", "char_filters", "char_bias"}
    assert everything - names(LAYOUTS["no attributes"]) == {"hashed"}
    assert everything - names(LAYOUTS["no dilations"]) == {"block", "block_bias"}
    assert everything - names(LAYOUTS["softmax"]) == {"transitions", "start", "stop"}
    assert everything - names(LAYOUTS["no words"]) == {"words"}
    assert everything - names(LAYOUT, frozen_words=True) == {"words"}


def test_parameters_share_memory_with_the_network():
    network = random_network(LAYOUT)
    for name, param in network.parameters().items():
        assert np.shares_memory(param, network.arrays[name])


def test_frozen_words_leave_the_other_gradients_as_they_are():
    batch = random_batch(LAYOUT)
    loss, gradients = gradients_of(random_network(LAYOUT), batch)
    frozen_loss, frozen = gradients_of(random_network(LAYOUT, frozen_words=True), batch)
    assert frozen_loss == loss
    for name, gradient in frozen.items():
        assert_same_bits(gradient, gradients[name])


# Weights of sentences


def test_weight_two_is_the_sentence_twice():
    network, batch = random_network(LAYOUT), random_batch(LAYOUT)
    doubled = replace(batch, sample_weight=batch.sample_weight * np.float32([1, 2, 2, 2]))
    loss, gradients = gradients_of(network, doubled)
    gradients = copy.deepcopy(gradients)
    twice = batch.take(np.array([0, 1, 1, 2, 2, 3, 3]))
    assert twice.loss_weight == pytest.approx(doubled.loss_weight)
    other_loss, others = gradients_of(network, twice)
    assert loss == pytest.approx(other_loss, rel=1e-6)
    for name, gradient in gradients.items():
        assert_allclose(gradient, others[name], rtol=1e-5, atol=1e-8)


def test_weight_zero_is_absence():
    network, batch = random_network(LAYOUT), random_batch(LAYOUT)
    without = batch.take(np.array([0, 2]))
    batch.sample_weight[[1, 3]] = 0
    assert batch.loss_weight == without.loss_weight
    loss, gradients = gradients_of(network, batch)
    gradients = copy.deepcopy(gradients)
    other_loss, others = gradients_of(network, without)
    assert loss == pytest.approx(other_loss, rel=1e-12)
    for name, gradient in gradients.items():
        assert_allclose(gradient, others[name], rtol=1e-10, atol=1e-14)


def test_loss_is_a_mean_over_tokens():
    batch = random_batch(LAYOUT)
    lengths = np.diff(batch.offsets)
    assert batch.loss_weight == pytest.approx((lengths * batch.sample_weight.astype(float)).sum())
    network = random_network(LAYOUT)
    assert loss_of(network, batch, weight=2.0) == pytest.approx(
        loss_of(network, batch, weight=1.0) / 2, rel=1e-6
    )


def test_taking_sentences():
    batch = random_batch(LAYOUT)
    taken = batch.take(np.array([3, 1]))
    assert len(taken) == 2
    assert taken.n_tokens == 6
    assert_array_equal(taken.types, np.concatenate([batch.types[5:10], batch.types[4:5]]))
    assert_array_equal(taken.targets, np.concatenate([batch.targets[5:10], batch.targets[4:5]]))
    assert_array_equal(taken.sample_weight, batch.sample_weight[[3, 1]])
    assert taken.rare is batch.rare


def test_a_batch_without_tokens_has_gradients_of_zero():
    network = random_network(LAYOUT)
    loss, gradients = gradients_of(network, random_batch(LAYOUT, lengths=(0, 0)), WITH_DROPOUT, weight=1.0)
    assert loss == 0
    assert all((gradient == 0).all() for gradient in gradients.values())


# Dropout


def test_masks_depend_on_the_step_and_the_seed():
    network, batch = random_network(LAYOUT), random_batch(LAYOUT)

    def loss(seed, step):
        return network.batch_gradients(batch, 1.0, WITH_DROPOUT, seed, step)[0]

    assert loss(7, 3) == loss(7, 3)
    assert loss(7, 3) != loss(7, 4)
    assert loss(7, 3) != loss(8, 3)


def test_each_kind_of_dropout_by_itself_changes_the_loss():
    network, batch = random_network(LAYOUT), random_batch(LAYOUT)
    plain = loss_of(network, batch)
    for name in ("dropout", "feature_dropout", "word_dropout", "rare_word_dropout"):
        assert loss_of(network, batch, replace(OPTIONS, **{name: 0.6})) != plain, name


def test_dropped_words_become_the_unknown_one_and_keep_their_characters():
    network, batch = random_network(LAYOUT), random_batch(LAYOUT)
    almost_all = replace(OPTIONS, word_dropout=1 - 1e-7)
    unknown = replace(batch.features, words=np.zeros_like(batch.features.words))
    expected = loss_of(network, replace(batch, features=unknown))
    assert loss_of(network, batch, almost_all) == pytest.approx(expected, rel=1e-12)
    _, gradients = gradients_of(network, batch, almost_all)
    assert_array_equal(gradients["words"][1:], 0)
    assert gradients["words"][0].any()


def test_rare_word_dropout_drops_rare_words_alone():
    network, batch = random_network(LAYOUT), random_batch(LAYOUT)
    options = replace(OPTIONS, rare_word_dropout=1 - 1e-7)
    words = np.where(batch.rare, 0, batch.features.words).astype(np.int32)
    expected = loss_of(network, replace(batch, features=replace(batch.features, words=words)))
    assert loss_of(network, batch, options) == pytest.approx(expected, rel=1e-12)
    assert expected != loss_of(network, batch)
    assert loss_of(network, replace(batch, rare=None), options) == loss_of(network, batch)


# Training


def wide_problem():
    """A network and sentences with enough work for several threads."""
    layout = replace(LAYOUT, word_dim=20, n_char_filters=9, n_channels=40, hashed_dim=7, n_attributes=4)
    sizes = (300, 30, 200)
    lengths = np.random.default_rng(0).integers(0, 40, 60)
    batch = random_batch(layout, lengths, 400, seed=1, sizes=sizes)
    network = random_network(layout, np.float32, sizes=sizes)
    return network, batch


@pytest.mark.parametrize(
    "changed", [{}, {"join": "every"}, {"head": "softmax"}, {"share_weights": False}], ids=str
)
def test_training_has_the_same_bits_with_any_number_of_threads(changed):
    def trained(n_threads):
        network, batch = wide_problem()
        layout = replace(network.layout, **changed)
        network = random_network(layout, np.float32, sizes=(300, 30, 200))
        options = replace(WITH_DROPOUT, n_threads=n_threads, batch_size=20, max_iter=2)
        Trainer(network, Adam(), options, np.random.RandomState(0)).fit(batch)
        return network.arrays

    expected = trained(1)
    for n_threads in (2, 3):
        for name, array in trained(n_threads).items():
            assert_same_bits(array, expected[name])


@pytest.mark.parametrize("join", ["concat", "last", "every"])
@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_a_small_set_is_learnt_by_heart(join, head):
    layout = replace(
        LAYOUT, join=join, head=head, n_channels=16, word_dim=8, char_dim=4, n_char_filters=4, n_attributes=0
    )
    rng = np.random.RandomState(0)
    network = TaggingCNN.initialized(
        rng, layout, rng.normal(size=(7, 8)).astype(np.float32) * np.float32(0.3), 6, 1
    )
    batch = replace(
        random_batch(layout, lengths=(6, 1, 0, 5, 7)),
        features=random_features(8, layout, rng=np.random.default_rng(3)),
    )
    options = replace(OPTIONS, max_iter=150, learning_rate_init=0.02)
    history = Trainer(network, Adam(), options, rng).fit(batch)
    assert history.loss_curve[-1] < 0.1 * history.loss_curve[0]
    assert history.loss_curve[-1] < 0.05
    emissions = TaggingInference(network, None, 0.0).emissions(batch.types, batch.offsets, batch.features, 1)
    assert (emissions.argmax(axis=1) == batch.targets).mean() > 0.9


@pytest.mark.parametrize("layout", [LAYOUT, LAYOUTS["own weights"], LAYOUTS["no dilations"]], ids=str)
def test_a_new_network_has_the_shapes_that_its_layout_tells(layout):
    rng = np.random.RandomState(0)
    network = TaggingCNN.initialized(rng, layout, np.ones((5, layout.word_dim), np.float32), 6, 4)
    c = layout.n_channels
    assert network.arrays["block"].shape == (layout.n_sets, 3, c, c)
    assert network.arrays["first"].shape == (3 * c, layout.n_features)
    assert network.arrays["weights"].shape == (layout.n_tags, layout.n_joined)
    assert all(array.dtype == np.float32 for array in network.arrays.values())
    assert network.is_finite()
    assert np.isfinite(loss_of(network, random_batch(layout, sizes=(5, 6, 4))))


def test_receptive_field_of_the_default_network():
    layout = replace(LAYOUT, dilations=(1, 1, 2), n_iterations=4)
    assert layout.receptive_field == 1 + 2 * (1 + 4 * (1 + 1 + 2))
    assert layout.halo >= layout.receptive_field // 2


@pytest.mark.parametrize("dilations", [(), (1,), (3,), (1, 1, 2)])
def test_scores_depend_on_the_receptive_field_alone(dilations):
    layout = replace(LAYOUT, dilations=dilations)
    network = random_network(layout, np.float32)
    for weights in ("first", "block"):  # no ReLU stays closed
        network.arrays[weights] = np.abs(network.arrays[weights])
    network.arrays["words"], network.arrays["hashed"] = (
        np.abs(network.arrays["words"]), np.abs(network.arrays["hashed"]) + 1
    )  # fmt: skip
    n = 4 * layout.receptive_field
    batch = random_batch(layout, lengths=(n,), n_types=9)
    types = batch.types % 8
    inference = TaggingInference(network, None, 0.0)
    emissions = inference.emissions(types, batch.offsets, batch.features, 1)
    changed = types.copy()
    changed[n // 2] = 8
    others = inference.emissions(changed, batch.offsets, batch.features, 1)
    reach = layout.receptive_field // 2
    touched = np.flatnonzero(np.abs(emissions - others).max(axis=1) > 1e-4 * np.abs(emissions).max())
    assert len(touched) > 0
    assert touched.min() >= n // 2 - reach
    assert touched.max() <= n // 2 + reach
    same = np.flatnonzero((emissions == others).all(axis=1))
    outside = [i for i in range(n) if abs(i - n // 2) > layout.halo]
    assert set(outside) <= set(same.tolist())


# State


def test_copies_have_arrays_of_their_own():
    network = random_network(LAYOUT)
    other = network.copy()
    kept = network.copy_arrays()
    other.arrays["first"][...] = 0
    assert network.arrays["first"].any()
    network.arrays["bias"][...] = 5
    network.restore_arrays(kept)
    assert_same_bits(network.arrays["bias"], kept["bias"])


def test_pickle_leaves_the_scratch_memory_out():
    network, batch = wide_problem()
    expected = loss_of(network, batch)
    content = pickle.dumps(network)
    assert len(content) < 1.05 * sum(array.nbytes for array in network.arrays.values()) + 5000
    assert loss_of(pickle.loads(content), batch) == expected


def test_words_can_be_added():
    network, batch = random_network(LAYOUT), random_batch(LAYOUT)
    expected = loss_of(network, batch)
    network.add_words(np.ones((2, LAYOUT.word_dim)))
    assert loss_of(network, batch) == expected
    features = replace(batch.features, words=batch.features.words + 2)
    _, gradients = gradients_of(network, replace(batch, features=features))
    assert len(gradients["words"]) == len(network.arrays["words"]) == 9
    assert_array_equal(gradients["words"][:2], 0)


def test_is_finite():
    network = random_network(LAYOUT)
    assert network.is_finite()
    network.arrays["block"][0, 0, 0, 0] = np.nan
    assert not network.is_finite()


def test_examples_know_their_size():
    batch = random_batch(LAYOUT)
    assert isinstance(batch, TaggedExamples)
    assert (len(batch), batch.n_tokens) == (4, 10)
