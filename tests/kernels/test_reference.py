"""The oracle itself: against other definitions of the same functions, and its gradients."""

import numpy as np
import pytest
from checks import assert_gradient
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
from strategies import conv_problem, conv_problems, logits_and_targets, packed_batches

from textcnn import _reference as reference

PHILOX_VECTORS = [  # counter, key, words: kat_vectors of Random123
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def test_matmul_is_the_matrix_product():
    rng = np.random.default_rng(0)
    a, b, bias = rng.normal(size=(5, 7)), rng.normal(size=(7, 4)), rng.normal(size=4)
    assert_allclose(reference.matmul(a, b), a @ b, rtol=1e-13)
    assert_allclose(reference.matmul(a, b, bias, relu=True), (a @ b + bias).clip(0), rtol=1e-13)


@given(problem=conv_problems())
def test_conv_max_is_the_maximum_over_padded_windows(problem):
    out, argmax = reference.conv_max_forward(*problem.forward_arguments)
    for i in range(problem.n_texts):
        for width, (left, _) in enumerate(problem.pads):
            columns = slice(width * problem.n_filters, (width + 1) * problem.n_filters)
            z = problem.window_outputs(i, width)
            if len(z) == 0:
                assert_array_equal(out[i, columns], 0)
                assert_array_equal(argmax[i, columns], reference.NO_WINDOW)
                continue
            best = z.max(axis=0).clip(0 if problem.relu else -np.inf)
            assert_allclose(out[i, columns], best, rtol=1e-13, atol=1e-13)
            for f, window in enumerate(argmax[i, columns]):
                if window == reference.NO_WINDOW:
                    assert problem.relu
                    assert z[:, f].max() <= 1e-13
                else:
                    assert_allclose(z[window + left, f], z[:, f].max(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("n_tokens", "kernel_size", "pads", "expected"),
    [
        (0, 3, (2, 2), 0),
        (5, 3, (0, 0), 3),
        (5, 3, (1, 1), 5),
        (5, 2, (0, 1), 5),
        (5, 3, (2, 2), 7),
        (1, 3, (0, 0), 1),
        (2, 50, (0, 0), 1),
        (1, 1, (0, 0), 1),
    ],
)
def test_number_of_windows(n_tokens, kernel_size, pads, expected):
    assert reference.n_windows(n_tokens, kernel_size, *pads) == expected


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("pads", ["valid", "same", "full"])
def test_reference_gradients_of_conv_max(pads, relu):
    problem = conv_problem(
        [4, 0, 1, 6], kernel_sizes=[1, 2, 3], pads=pads, n_filters=2, relu=relu, n_dims=2, n_rows=5, rng=3
    )
    clear = problem.clear_of_ties()
    assert clear.mean() > 0.7
    d_out = np.random.default_rng(4).normal(size=clear.shape) * clear

    def total(rows=problem.rows, weights=problem.weights, bias=problem.bias):
        projected = rows @ weights.T
        out, _ = reference.conv_max_forward(projected, bias, *problem.forward_arguments[2:])
        return (out * d_out).sum()

    _, argmax = reference.conv_max_forward(*problem.forward_arguments)
    d_weights, d_bias, d_rows = reference.conv_max_backward(
        d_out, argmax, problem.rows, problem.weights, *problem.layout
    )
    assert_gradient(d_weights, lambda x: total(weights=x), problem.weights)
    assert_gradient(d_bias, lambda x: total(bias=x), problem.bias)
    assert_gradient(d_rows, lambda x: total(rows=x), problem.rows)


def test_reference_gradients_of_softmax_cross_entropy():
    rng = np.random.default_rng(0)
    logits, targets, weights = rng.normal(size=(4, 5)), np.array([0, 4, 2, 2]), np.array([1.0, 0.5, 2.0, 0.0])
    _, d_logits = reference.softmax_cross_entropy(logits, targets, weights)
    assert_gradient(d_logits, lambda x: reference.softmax_cross_entropy(x, targets, weights)[0].sum(), logits)


@given(case=logits_and_targets())
def test_softmax_is_that_of_scipy(case):
    logits, targets, weights = case
    assert_allclose(reference.softmax(logits), special.softmax(logits, axis=1), rtol=1e-12)
    log_probabilities = special.log_softmax(logits, axis=1)
    assert_allclose(reference.log_softmax(logits), log_probabilities, rtol=1e-11, atol=1e-13)
    loss, _ = reference.softmax_cross_entropy(logits, targets, weights)
    assert_allclose(loss, -weights * log_probabilities[np.arange(len(targets)), targets], atol=1e-12)


@pytest.mark.parametrize(("counter", "key", "words"), PHILOX_VECTORS)
def test_philox_gives_the_published_words(counter, key, words):
    assert tuple(reference.philox4x32(counter, key)) == words


def test_dropout_mask_keeps_the_mean():
    mask = reference.dropout_mask(7, 1, 0.25, (40, 60), np.float64)
    assert set(np.unique(mask)) == {0, 1 / 0.75}
    assert_allclose(mask.mean(), 1, atol=0.05)


def test_adam_is_that_of_scikit_learn():
    # There epsilon is added before the correction of the second moment, so it must be small to compare.
    rng = np.random.default_rng(0)
    param = rng.normal(size=(3, 4))
    other = [param.copy()]
    optimizer = AdamOptimizer(other, learning_rate_init=0.01, epsilon=1e-30)
    state = param, np.zeros((3, 4)), np.zeros((3, 4)), np.zeros(3, np.int32)
    for _ in range(5):
        grad = rng.normal(size=(3, 4))
        optimizer.update_params(other, [grad])
        new_param, first, second, steps = reference.adam_step(
            state[0], grad, *state[1:], None, 0.01, 0.9, 0.999, 1e-30, 1.0, 0.0
        )
        state = new_param, first, second, steps
        assert_allclose(new_param, other[0], rtol=1e-12)
    assert_array_equal(state[3], 5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_that_of_scikit_learn(nesterov):
    rng = np.random.default_rng(0)
    param = rng.normal(size=(3, 4))
    other = [param.copy()]
    optimizer = SGDOptimizer(other, learning_rate_init=0.1, momentum=0.8, nesterov=nesterov)
    velocity = np.zeros((3, 4))
    for _ in range(5):
        grad = rng.normal(size=(3, 4))
        optimizer.update_params(other, [grad])
        param, velocity = reference.sgd_step(param, grad, velocity, None, 0.1, 0.8, nesterov, 1.0, 0.0)
        assert_allclose(param, other[0], rtol=1e-12)


def test_adadelta_first_step_by_hand():
    # Zeros before: Eg = 0.1 * 4, u = sqrt(1e-6) / sqrt(0.4 + 1e-6) * 2, Eu = 0.1 * u * u.
    param, acc_grad, acc_update = reference.adadelta_step(
        np.array([[1.0]]), np.array([[2.0]]), np.zeros((1, 1)), np.zeros((1, 1)), None, 1, 0.9, 1e-6, 1, 0
    )
    u = 1e-3 / np.sqrt(0.400001) * 2
    assert_allclose([param[0, 0], acc_grad[0, 0], acc_update[0, 0]], [1 - u, 0.4, 0.1 * u * u], rtol=1e-12)


def test_scale_and_l2_make_the_gradient():
    param, grad = np.array([[3.0]]), np.array([[10.0]])
    new, _ = reference.sgd_step(param, grad, np.zeros((1, 1)), None, 1.0, 0.0, False, 0.5, 0.1)
    assert_allclose(new, 3 - (0.5 * 10 + 0.1 * 3))


def test_limit_row_norms():
    weights = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    assert_allclose(reference.limit_row_norms(weights, 1.0), [[0.6, 0.8], [0.3, 0.4], [0, 0]])


def test_sum_of_squares():
    assert reference.sum_of_squares(np.array([[1.0, 2.0], [3.0, 4.0]])) == 30.0


@given(batch=packed_batches())
def test_distinct_ids_are_those_of_numpy(batch):
    ids, slots = reference.distinct(batch.ids)
    assert_array_equal(ids[slots], batch.ids)
    values, first = np.unique(batch.ids, return_index=True)
    assert_array_equal(ids, values[np.argsort(first)])


@given(batch=packed_batches())
def test_taking_all_texts_gives_the_batch(batch):
    ids, offsets = reference.take_texts(batch.ids, batch.offsets, np.arange(batch.n_texts))
    assert_array_equal(ids, batch.ids)
    assert_array_equal(offsets, batch.offsets)
