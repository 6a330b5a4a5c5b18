"""The optimisers around the kernels' steps."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from textcnn.nn.optimizers import Adam, Gradient, LazyAdam

RATE, SCALE, ALPHA = 0.01, 0.5, 0.1


def plain_lazy_adam(param, gradients):
    """Adam in float64 in which all rows count as many steps as there were, and only some of them move."""
    param, first, second = param.astype(float), np.zeros(param.shape), np.zeros(param.shape)
    for t, (grad, rows) in enumerate(gradients, 1):
        for row, values in zip(range(len(param)) if rows is None else rows, grad, strict=True):
            for column, value in enumerate(values):
                g = SCALE * value + ALPHA * param[row, column]
                first[row, column] = 0.9 * first[row, column] + 0.1 * g
                second[row, column] = 0.999 * second[row, column] + 0.001 * g * g
                m, v = first[row, column] / (1 - 0.9**t), second[row, column] / (1 - 0.999**t)
                param[row, column] -= RATE * m / (np.sqrt(v) + 1e-8)
    return param


def random_gradients(rng, n_rows, n_columns):
    """Gradients of some rows, of none, and of all."""
    gradients = []
    for count in (2, 1, 0, n_rows, 3, 1):
        rows = np.sort(rng.choice(n_rows, count, replace=False)).astype(np.int32)
        gradients.append((rng.normal(size=(count, n_columns)), rows))
    gradients.append((rng.normal(size=(n_rows, n_columns)), None))
    return [*gradients, *gradients]


def stepped(optimizer, param, gradients, name="p"):
    """The parameter after these steps."""
    param = param.copy()
    for grad, rows in gradients:
        gradient = Gradient(grad.astype(param.dtype), rows, ALPHA)
        optimizer.step({name: param}, {name: gradient}, RATE, SCALE, 1)
    return param


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lazy_adam_equals_the_plain_computation(dtype):
    rng = np.random.default_rng(0)
    param = rng.normal(size=(7, 5)).astype(dtype)
    gradients = random_gradients(rng, 7, 5)
    expected = plain_lazy_adam(param, gradients)
    tolerance = 2e-5 if dtype == np.float32 else 1e-12
    assert_allclose(stepped(LazyAdam(), param, gradients), expected, rtol=tolerance, atol=tolerance)


def test_lazy_adam_moves_a_late_row_further_than_adam():
    param, late = np.zeros((2, 3)), np.array([1], np.int32)
    gradients = [(np.ones((1, 3)), np.array([0], np.int32))] * 100 + [(np.ones((1, 3)), late)]
    lazy, counted = (stepped(solver(), param, gradients) for solver in (LazyAdam, Adam))
    # A row's first step of Adam is the rate; with 100 steps behind it the moments are divided by less.
    t = 101
    ratio = (0.1 / (1 - 0.9**t)) / np.sqrt(0.001 / (1 - 0.999**t))
    assert_allclose(counted[1], -RATE, rtol=1e-6)
    assert_allclose(lazy[1], -RATE * ratio, rtol=1e-6)
    # Never left out, row 0 goes the same way with both.
    assert_array_equal(lazy[0], counted[0])


def test_lazy_adam_counts_the_steps_of_each_parameter_apart():
    rng = np.random.default_rng(1)
    param = rng.normal(size=(4, 2))
    gradients = random_gradients(rng, 4, 2)
    both = LazyAdam()
    stepped(both, param, gradients, "other")
    assert_array_equal(stepped(both, param, gradients), stepped(LazyAdam(), param, gradients))


def test_rows_that_are_added_take_part_in_lazy_adam():
    param = np.ones((2, 3))
    optimizer = LazyAdam()
    stepped(optimizer, param, [(np.ones((2, 3)), None)] * 3)
    grown = stepped(optimizer, np.ones((4, 3)), [(np.ones((1, 3)), np.array([3], np.int32))])
    t, g = 4, SCALE + ALPHA
    step = (0.1 * g / (1 - 0.9**t)) / (np.sqrt(0.001 * g * g / (1 - 0.999**t)) + 1e-8)
    assert_array_equal(grown[:3], 1)
    assert_allclose(grown[3], 1 - RATE * step, rtol=1e-12)
