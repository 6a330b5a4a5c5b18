"""Loss and decoding of tag sequences by either head."""

from itertools import pairwise, product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from textcnn import _reference as reference
from textcnn.nn.crf import CHAIN, SequenceDecoder, chain_arrays, sequence_loss
from textcnn.nn.workspace import Workspace
from textcnn.text.tags import allowed_transitions

TAGS = ["O", "B-X", "I-X"]
OFFSETS = np.array([0, 4, 4, 5, 8])


def scores(seed=0, n_tags=3, dtype=np.float32):
    rng = np.random.default_rng(seed)
    emissions = rng.normal(size=(8, n_tags)).astype(dtype)
    shapes = {"transitions": (n_tags, n_tags), "start": n_tags, "stop": n_tags}
    return emissions, {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def decoder(head="crf", scheme="BIO", seed=0):
    _, arrays = scores(seed)
    if head == "softmax":
        arrays = chain_arrays(3)
    start, between, stop = allowed_transitions(TAGS, scheme)
    return SequenceDecoder(head, *(arrays[name] for name in CHAIN), start, between, stop)


def sequences(model, emissions):
    """Every allowed sequence of one sentence with its probability."""
    weights = {}
    for tags in product(range(3), repeat=len(emissions)):
        score = (
            model.start[tags[0]] + model.stop[tags[-1]] + sum(emissions[i, tag] for i, tag in enumerate(tags))
        )
        score += sum(model.transitions[a, b] for a, b in pairwise(tags))
        allowed = model.allowed_start[tags[0]] and model.allowed_stop[tags[-1]]
        if allowed and all(model.allowed[a, b] for a, b in pairwise(tags)):
            weights[tags] = np.exp(float(score))
    total = sum(weights.values())
    return {tags: weight / total for tags, weight in weights.items()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_of_the_random_field(dtype):
    emissions, arrays = scores(dtype=dtype)
    targets, weight = np.array([0, 1, 2, 2, 1, 0, 0, 1], np.int32), np.array([1, 2, 0.5, 1.5], dtype)
    loss, d_emissions, gradients = sequence_loss(
        "crf", emissions, arrays, targets, OFFSETS, weight, Workspace(), 1
    )
    expected = reference.crf_loss(
        emissions, arrays["transitions"], arrays["start"], arrays["stop"], targets, OFFSETS, weight
    )
    assert loss == pytest.approx(expected[0].sum(), rel=1e-6)
    assert_allclose(d_emissions, expected[1], atol=1e-6)
    for name, wanted in zip(CHAIN, expected[2:], strict=True):
        assert_allclose(gradients[name], wanted, atol=2e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_of_independent_tags(dtype):
    emissions, arrays = scores(dtype=dtype)
    targets, weight = np.array([0, 1, 2, 2, 1, 0, 0, 1], np.int32), np.array([1, 2, 0.5, 1.5], dtype)
    loss, d_emissions, gradients = sequence_loss(
        "softmax", emissions, arrays, targets, OFFSETS, weight, Workspace(), 1
    )
    token_weight = np.repeat(weight, np.diff(OFFSETS))
    expected, d_expected = reference.softmax_cross_entropy(emissions, targets, token_weight)
    assert gradients == {}
    assert loss == pytest.approx(expected.sum(), rel=1e-6)
    assert_allclose(d_emissions, d_expected, atol=1e-6)


def test_a_random_field_of_zeros_is_independent_tags():
    emissions, _ = scores()
    targets, weight = np.zeros(8, np.int32), np.ones(4, np.float32)
    losses = [
        sequence_loss(head, emissions, chain_arrays(3), targets, OFFSETS, weight, Workspace(), 1)[0]
        for head in ("crf", "softmax")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("scheme", ["BIO", None])
@pytest.mark.parametrize("seed", range(5))
def test_decoding_equals_all_sequences_counted_out(head, scheme, seed):
    model, (emissions, _) = decoder(head, scheme, seed), scores(seed)
    best, marginals = model.best(emissions, OFFSETS, 1), model.marginals(emissions, OFFSETS, 1)
    assert best.dtype == np.int32
    for begin, end in ((0, 4), (4, 5), (5, 8)):
        found = sequences(model, emissions[begin:end])
        assert tuple(best[begin:end]) == max(found, key=found.get)
        for i in range(end - begin):
            for tag in range(3):
                expected = sum(p for tags, p in found.items() if tags[i] == tag)
                assert marginals[begin + i, tag] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_path_probabilities_equal_all_sequences_counted_out(head):
    model, (emissions, _) = decoder(head), scores()
    found = sequences(model, emissions[:4])
    # B-X I-X at the tokens 1 and 2, and no longer; then the same if it may go on; then B-X at the end.
    probabilities = model.path_probabilities(
        emissions, OFFSETS, np.array([0, 0, 0]), np.array([1, 1, 3]), np.array([3, 3, 4]),
        np.array([1, 2, 1, 2, 1], np.int32), np.array([0, 2, 4, 5]), np.array([2, -1, 2], np.int32), 1,
    )  # fmt: skip
    expected = [
        sum(p for tags, p in found.items() if tags[1:3] == (1, 2) and tags[3] != 2),
        sum(p for tags, p in found.items() if tags[1:3] == (1, 2)),
        sum(p for tags, p in found.items() if tags[3] == 1),
    ]
    assert_allclose(probabilities, expected, rtol=1e-5)


def test_independent_tags_without_a_scheme_are_the_best_of_each_token():
    emissions, _ = scores()
    assert_array_equal(decoder("softmax", None).best(emissions, OFFSETS, 1), emissions.argmax(axis=1))


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_what_the_scheme_forbids_is_never_decoded(head):
    rng = np.random.default_rng(0)
    model = decoder(head)
    emissions = rng.normal(size=(2000, 3)).astype(np.float32) * 5
    emissions[:, 2] += 10
    best = model.best(emissions, np.arange(0, 2001, 20), 2).reshape(-1, 20)
    assert (best[:, 0] != 2).all()
    assert not ((best[:, :-1] == 0) & (best[:, 1:] == 2)).any()


@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("scheme", ["BIO", None])
@pytest.mark.parametrize("offsets", [[0], [0, 0, 0]])
def test_no_tokens(head, scheme, offsets):
    model, offsets = decoder(head, scheme), np.array(offsets)
    empty = np.zeros((0, 3), np.float32)
    assert model.best(empty, offsets, 1).shape == (0,)
    assert model.marginals(empty, offsets, 1).shape == (0, 3)
