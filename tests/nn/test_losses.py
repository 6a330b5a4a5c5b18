"""Losses: their values by hand, their gradients by differences."""

from functools import partial

import numpy as np
import pytest
from checks import assert_gradient

from textcnn.nn.losses import (
    huber,
    log_sigmoid,
    sigmoid,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
)

RNG = np.random.RandomState(0)
OUTPUTS = RNG.normal(0, 2, (5, 3))
CLASSES = np.array([0, 2, 1, 1, 0], np.intp)
LABELS = RNG.randint(0, 2, (5, 3)).astype(np.float64)
VALUES = RNG.normal(0, 2, (5, 3))
WEIGHT = np.array([1.0, 0.5, 0.0, 2.0, 0.3])
WEIGHTS = RNG.uniform(0, 2, (5, 3))

CASES = [
    (softmax_cross_entropy, CLASSES, WEIGHT),
    (partial(softmax_cross_entropy, smoothing=0.3), CLASSES, WEIGHT),
    (sigmoid_cross_entropy, LABELS, WEIGHT),
    (partial(sigmoid_cross_entropy, smoothing=0.3), LABELS, WEIGHTS),
    (squared_error, VALUES, WEIGHT),
    (squared_error, VALUES, WEIGHTS),
    (huber, VALUES, WEIGHT),
]


def computed(function, outputs, targets, weight):
    """Losses of the texts and the gradient."""
    loss, d_outputs = np.empty(len(outputs)), np.empty_like(outputs)
    function(outputs, targets, weight, loss, d_outputs, 1)
    return loss, d_outputs


@pytest.mark.parametrize(("function", "targets", "weight"), CASES)
def test_gradients_are_central_differences(function, targets, weight):
    _, gradient = computed(function, OUTPUTS, targets, weight)
    assert_gradient(gradient, lambda x: computed(function, x, targets, weight)[0].sum(), OUTPUTS)


@pytest.mark.parametrize(("function", "targets", "weight"), CASES)
def test_float32_differs_by_rounding_alone(function, targets, weight):
    expected, d_expected = computed(function, OUTPUTS, targets, weight)
    targets = targets if targets.dtype == np.intp else targets.astype(np.float32)
    loss, gradient = computed(function, OUTPUTS.astype(np.float32), targets, weight.astype(np.float32))
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, d_expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_smoothed_classes_are_cross_entropy_with_smoothed_targets(smoothing):
    log_p = OUTPUTS - np.log(np.exp(OUTPUTS).sum(axis=1, keepdims=True))
    goal = (1 - smoothing) * np.eye(3)[CLASSES] + smoothing / 3
    loss, _ = computed(partial(softmax_cross_entropy, smoothing=smoothing), OUTPUTS, CLASSES, WEIGHT)
    np.testing.assert_allclose(loss, -WEIGHT * (goal * log_p).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_labels_are_cross_entropies_of_their_own(smoothing):
    p = 1 / (1 + np.exp(-OUTPUTS))
    goal = (1 - smoothing) * LABELS + smoothing / 2
    expected = -(WEIGHTS * (goal * np.log(p) + (1 - goal) * np.log(1 - p))).sum(axis=1)
    loss, _ = computed(partial(sigmoid_cross_entropy, smoothing=smoothing), OUTPUTS, LABELS, WEIGHTS)
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


def test_huber_is_a_square_near_and_a_line_far():
    outputs, targets = np.array([[0.5], [3.0], [-3.0]]), np.zeros((3, 1))
    loss, gradient = computed(huber, outputs, targets, np.ones(3))
    assert loss.tolist() == [0.125, 1.375, 1.375]
    assert gradient.ravel().tolist() == [0.5, 0.5, -0.5]


def test_sigmoid_of_extreme_values_is_exact_and_silent():
    z = np.array([-800.0, -40.0, 0.0, 40.0, 800.0])
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(sigmoid(z), [0, np.exp(-40), 0.5, 1, 1], rtol=1e-12)
        np.testing.assert_allclose(log_sigmoid(z), [-800, -40, np.log(0.5), 0, 0], rtol=1e-12, atol=1e-15)
    for function in (sigmoid_cross_entropy, squared_error, huber):
        loss, gradient = computed(function, np.array([[1e4], [-1e4]]), np.array([[0.0], [1.0]]), np.ones(2))
        assert np.isfinite(loss).all()
        assert np.isfinite(gradient).all()
