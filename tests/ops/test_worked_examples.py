"""Worked examples of the textbooks, with the numbers by hand: each test is named after what it teaches."""

import numpy as np
import pytest

from textcnn import ops
from textcnn.ops import initializers


def signal(*values):
    """One text of one channel, ``(1, length, 1)``."""
    return np.array(values, float).reshape(1, -1, 1)


def kernel(*values):
    """Weights of one channel in and one out, ``(kernel_size, 1, 1)``."""
    return np.array(values, float).reshape(-1, 1, 1)


def assert_values(out, *values):
    """The one channel of the one text holds these values."""
    assert out.shape[0] == out.shape[-1] == 1
    np.testing.assert_allclose(out.ravel(), values, rtol=1e-12, atol=1e-12)


# ---- what a convolution is -------------------------------------------------------------------------------


@pytest.mark.parametrize("convolve", [ops.convolve1d, ops.fft_convolve1d])
def test_the_sum_of_two_dice_is_distributed_as_their_full_convolution(convolve):
    die = np.full(6, 1 / 6)  # 1, 2, ..., 6
    two = convolve(signal(*die), kernel(*die), padding="full").ravel()  # 2, 3, ..., 12
    # 4 = 1 + 3 = 2 + 2 = 3 + 1: three of 36 pairs; 7 in six ways, 12 in one
    np.testing.assert_allclose(two * 36, [1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1], rtol=1e-12)
    assert two[4 - 2] == pytest.approx(3 / 36, rel=1e-12)


@pytest.mark.parametrize("convolve", [ops.convolve1d, ops.fft_convolve1d])
def test_full_convolution_of_three_by_three_values(convolve):
    a, b, c = 2, 3, 5
    i, j, k = 7, 11, 17
    out = convolve(signal(a, b, c), kernel(i, j, k), padding="full")
    # ai = 14, bi + aj = 21 + 22, ci + bj + ak = 35 + 33 + 34, cj + bk = 55 + 51, ck = 85
    assert_values(out, 14, 43, 102, 106, 85)
    assert_values(out, a * i, b * i + a * j, c * i + b * j + a * k, c * j + b * k, c * k)


def test_convolution_is_cross_correlation_with_the_flipped_kernel():
    x = signal(2, 3, 5)
    # ak, aj + bk, ai + bj + ck, bi + cj, ci: the kernel meets the signal as it is written
    assert_values(ops.conv1d(x, kernel(7, 11, 17), padding="full"), 34, 73, 132, 76, 35)
    # flipped it gives the convolution of the test above
    assert_values(ops.conv1d(x, kernel(17, 11, 7), padding="full"), 14, 43, 102, 106, 85)


def test_convolution_is_commutative():
    one, other = (2, 3, 5, 1), (7, 11)
    out = ops.convolve1d(signal(*one), kernel(*other), padding="full")
    # 2*7, 3*7 + 2*11, 5*7 + 3*11, 1*7 + 5*11, 1*11
    assert_values(out, 14, 43, 68, 62, 11)
    assert_values(ops.convolve1d(signal(*other), kernel(*one), padding="full"), 14, 43, 68, 62, 11)


def test_edge_detector_answers_where_a_step_is():
    box = signal(0, 0, 1, 1, 1, 0, 0)
    # the convolution with [1, -1] is x[t + 1] - x[t]: 1 where the box begins, -1 where it ends, 0 elsewhere
    assert_values(ops.convolve1d(box, kernel(1, -1)), 0, 1, 0, 0, -1, 0)
    # the cross-correlation with [1, -1] is x[t] - x[t + 1]: the other sign
    assert_values(ops.conv1d(box, kernel(1, -1)), 0, -1, 0, 0, 1, 0)


def test_a_template_is_found_at_the_maximum_of_its_normalised_correlation():
    x, template = signal(0, 1, 2, 1, 0, 5, 5, 5, 0), kernel(1, 2, 1)
    correlation = ops.conv1d(x, template)
    # the template lies at 1, where 1*1 + 2*2 + 1*1 = 6; but 5*1 + 5*2 + 5*1 = 20: what is loud wins
    assert_values(correlation, 4, 6, 4, 6, 15, 20, 15)

    norms = ops.lp_pool1d(x, 3, p=2, stride=1) * np.sqrt(6)  # of each window, and of the template
    cosine = correlation / norms
    # at 1: 6 / (sqrt(6) sqrt(6)) = 1, which Cauchy and Schwarz allow to multiples of the template alone;
    # at 5: 20 / (sqrt(75) sqrt(6)) = 0.943
    assert cosine.argmax() == 1
    assert cosine[0, 1, 0] == pytest.approx(1)
    assert cosine[0, 5, 0] == pytest.approx(20 / np.sqrt(450))


def test_a_template_of_word_vectors_is_found_in_a_text():
    vectors = np.random.default_rng(0).normal(size=(30, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # then the plain correlation is the cosine
    found = ops.conv1d(vectors[np.newaxis], vectors[11:14, :, np.newaxis])
    assert found.argmax() == 11
    assert found.max() == pytest.approx(3)  # three words, each with a cosine of 1


# ---- what it keeps ---------------------------------------------------------------------------------------


def test_convolution_is_equivariant_to_translation():
    early, late = signal(0, 1, 2, 1, 0, 0, 0, 0), signal(0, 0, 0, 0, 1, 2, 1, 0)
    # 1*0 + 3*1 = 3, 1*1 + 3*2 = 7, 1*2 + 3*1 = 5, 1*1 + 3*0 = 1
    assert_values(ops.conv1d(early, kernel(1, 3)), 3, 7, 5, 1, 0, 0, 0)
    # what moves by three rows has a result that moves by three rows
    assert_values(ops.conv1d(late, kernel(1, 3)), 0, 0, 0, 3, 7, 5, 1)


def test_convolution_and_max_pooling_are_invariant_to_translation():
    early, late = signal(0, 1, 2, 1, 0, 0, 0, 0), signal(0, 0, 0, 0, 1, 2, 1, 0)
    for x, place in ((early, 1), (late, 4)):
        out, argmax = ops.global_max_pool1d(ops.conv1d(x, kernel(1, 3)))
        assert out.ravel().tolist() == [7]  # 1*1 + 3*2, wherever it is
        assert argmax.ravel().tolist() == [place]  # the place is what pooling forgets


def test_linear_convolutions_without_activation_collapse_into_one():
    x = signal(1, -1, 2, 0, 1)
    # [1, 2] * [3, 4] = [1*3, 2*3 + 1*4, 2*4]
    one = ops.convolve1d(signal(1, 2), kernel(3, 4), padding="full")
    assert_values(one, 3, 10, 8)
    # 1*1 + 2*(-1) = -1, -1 + 4 = 3, 2 + 0 = 2, 0 + 2 = 2; then -3 + 12 = 9, 9 + 8 = 17, 6 + 8 = 14
    hidden = ops.conv1d(x, kernel(1, 2))
    assert_values(hidden, -1, 3, 2, 2)
    assert_values(ops.conv1d(hidden, kernel(3, 4)), 9, 17, 14)
    assert_values(ops.conv1d(x, kernel(3, 10, 8)), 9, 17, 14)
    # with a rectifier between them -1 becomes 0, and 3*0 + 4*3 = 12 is not 9
    assert_values(ops.conv1d(ops.relu(hidden), kernel(3, 4)), 12, 17, 14)


def test_linear_convolutions_of_many_channels_collapse_into_one():
    rng = np.random.default_rng(0)
    x, first, second = rng.normal(size=(2, 9, 3)), rng.normal(size=(3, 3, 4)), rng.normal(size=(2, 4, 5))
    # weights[k] = sum_j first[j] @ second[k - j]: each channel in is a text for the second convolution
    composed = ops.convolve1d(first.transpose(1, 0, 2), second, padding="full").transpose(1, 0, 2)
    assert composed.shape == (4, 3, 5)  # 3 + 2 - 1 taps
    twice = ops.conv1d(ops.conv1d(x, first), second)
    np.testing.assert_allclose(ops.conv1d(x, composed), twice, rtol=0, atol=1e-12)


# ---- how far it sees -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dilations", "positions"), [((1,), 3), ((1, 2), 7), ((1, 2, 4), 15)])
def test_dilations_1_2_4_see_3_7_15_positions(dilations, positions):
    # each layer adds 2 * dilation: 1 + 2 = 3, 3 + 4 = 7, 7 + 8 = 15
    assert ops.receptive_field([(3, 1, dilation) for dilation in dilations]) == positions

    length, middle = 21, 10
    weights = kernel(1, 1, 1)  # all positive, so that nothing cancels

    def stack(x):
        for dilation in dilations:
            x = ops.conv1d(x, weights, padding="same", dilation=dilation)
        return x

    # by perturbation: which rows, when they change, change the row in the middle?
    base = stack(np.zeros((1, length, 1)))
    moved = stack(np.eye(length)[:, :, np.newaxis])  # text t has a 1 in row t
    seen = np.flatnonzero(moved[:, middle, 0] != base[0, middle, 0])
    half = positions // 2
    assert seen.tolist() == list(range(middle - half, middle + half + 1))

    # by the gradient of the row in the middle
    gradient = np.zeros((1, length, 1))
    gradient[0, middle] = 1
    for dilation in reversed(dilations):
        gradient, _, _ = ops.conv1d_backward(gradient, gradient, weights, padding="same", dilation=dilation)
    assert np.flatnonzero(gradient).tolist() == seen.tolist()


# ---- how it learns ---------------------------------------------------------------------------------------


def test_pooling_hands_its_gradient_to_the_maximum_or_spreads_it_over_the_window():
    x, delta = signal(1, 3, 5, 4, 2, 7, 9, 6), signal(2, 8, 4, 6)
    # windows (1, 3), (5, 4), (2, 7), (9, 6)
    out, argmax = ops.max_pool1d(x, 2)
    assert_values(out, 3, 5, 7, 9)
    by_max = ops.max_pool1d_backward(delta, argmax, length=8)
    assert_values(by_max, 0, 2, 8, 0, 0, 4, 6, 0)

    assert_values(ops.mean_pool1d(x, 2), 2, 4.5, 4.5, 7.5)
    by_mean = ops.mean_pool1d_backward(delta, x, 2)
    assert_values(by_mean, 1, 1, 4, 4, 2, 2, 3, 3)

    assert by_max.sum() == by_mean.sum() == delta.sum() == 20  # nothing is lost


def test_the_gradient_of_the_input_is_the_full_convolution_of_the_error_with_the_flipped_kernel():
    x, weights, delta = signal(5, 6, 7, 8), kernel(1, 2, 3), signal(10, 100)
    d_x, d_weights, d_bias = ops.conv1d_backward(delta, x, weights)
    # x[1] is in out[0] with weight 2 and in out[1] with weight 1: 2*10 + 1*100; the others alike
    assert_values(d_x, 1 * 10, 2 * 10 + 1 * 100, 3 * 10 + 2 * 100, 3 * 100)
    # cross-correlation slides the kernel as it is written, so that here it must be flipped by hand ...
    assert_values(ops.conv1d(delta, kernel(3, 2, 1), padding="full"), 10, 120, 230, 300)
    # ... which convolution does of itself
    assert_values(ops.convolve1d(delta, weights, padding="full"), 10, 120, 230, 300)

    # and the gradient of the kernel is the cross-correlation of the input with the error
    assert d_weights.ravel().tolist() == [5 * 10 + 6 * 100, 6 * 10 + 7 * 100, 7 * 10 + 8 * 100]
    assert d_bias.tolist() == [110]


def test_the_kernel_of_an_edge_detector_is_recovered_by_gradient_descent():
    x = signal(0, 1, 3, 2)
    target = ops.conv1d(x, kernel(1, -1))
    assert_values(target, -1, -2, 1)  # 0 - 1, 1 - 3, 3 - 2

    def gradient(weights):
        predicted = ops.conv1d(x, weights)
        d_predicted, _ = ops.mse_backward(1.0, predicted, target)
        return ops.conv1d_backward(d_predicted, x, weights)[1]

    # at (0, 0) the error is (1, 2, -1), and 2/3 (1*0 + 2*1 - 1*3) = -2/3, 2/3 (1*1 + 2*3 - 1*2) = 10/3
    weights = kernel(0, 0)
    assert ops.mse(ops.conv1d(x, weights), target) == pytest.approx((1 + 4 + 1) / 3)
    np.testing.assert_allclose(gradient(weights).ravel(), [-2 / 3, 10 / 3], rtol=1e-12)

    for _ in range(300):
        weights = weights - 0.1 * gradient(weights)
    np.testing.assert_allclose(weights.ravel(), [1, -1], atol=1e-9)
    assert ops.mse(ops.conv1d(x, weights), target) < 1e-16


def trained_filters(first, second):
    """Filters, and losses, of convolution, rectifier, max over time and dense layer, trained for 30 steps."""
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(12, 7, 3)), np.arange(12) % 2
    losses = []
    for _ in range(30):
        hidden = ops.conv1d(x, first)
        pooled, argmax = ops.global_max_pool1d(ops.relu(hidden))
        logits = ops.dense(pooled, second)
        losses.append(ops.cross_entropy(logits, labels))
        d_logits = ops.cross_entropy_backward(1.0, logits, labels)
        d_pooled, d_second, _ = ops.dense_backward(d_logits, pooled, second)
        d_hidden = ops.relu_backward(ops.global_max_pool1d_backward(d_pooled, argmax, length=6), hidden)
        _, d_first, _ = ops.conv1d_backward(d_hidden, x, first)
        first, second = first - 0.5 * d_first, second - 0.5 * d_second
    return first, losses


def spread(filters):
    """The largest difference between a filter and the first."""
    return np.abs(filters - filters[:, :, :1]).max()


def test_constant_initialisation_never_breaks_symmetry():
    start = initializers.constant((2, 3, 4), value=0.1, dtype=np.float64)
    filters, losses = trained_filters(start, initializers.constant((4, 2), value=0.1, dtype=np.float64))
    assert losses[0] == pytest.approx(np.log(2))  # equal logits: each class has probability 1/2
    assert losses[-1] < losses[0]  # it learns,
    assert np.abs(filters - start).max() > 0.01
    assert spread(filters) < 1e-12  # but its four filters remain one


def test_glorot_initialisation_breaks_symmetry():
    filters, losses = trained_filters(
        initializers.glorot_uniform((2, 3, 4), random_state=0, dtype=np.float64),
        initializers.glorot_uniform((4, 2), random_state=0, dtype=np.float64),
    )
    assert losses[-1] < losses[0]
    assert spread(filters) > 0.1
