"""Activations, rows of softmax and losses: against the reference, at every place of a vector."""

import numpy as np
import pytest
from checks import THREADS, assert_same_bits, both_dtypes, garbage, read_only
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from strategies import generators

from textcnn._kernels import _activations, _losses
from textcnn._reference import activations as reference

SLOPE, DELTA = 0.25, 1.5
FORWARD = {
    "relu": reference.relu,
    "leaky_relu": lambda x: reference.leaky_relu(x, SLOPE),
    "gelu": reference.gelu,
    "gelu_tanh": reference.gelu_tanh,
    "tanh": reference.tanh,
    "sigmoid": reference.sigmoid,
}
BACKWARD = {
    "relu": reference.relu_backward,
    "leaky_relu": lambda d, x: reference.leaky_relu_backward(d, x, SLOPE),
    "gelu": reference.gelu_backward,
    "gelu_tanh": reference.gelu_tanh_backward,
    "tanh": reference.tanh_backward,
    "sigmoid": reference.sigmoid_backward,
}
NAMES = _activations.ACTIVATIONS
RTOL = {np.float32: 5e-7, np.float64: 2e-15}
"""Some units in the last place."""
# The argument of erfc in the reference, and of the exponential in both, is rounded, which they magnify. In
# single precision the error of gelu is one of the argument.
GELU_RTOL = {np.float32: 3e-7, np.float64: 3e-13}
GELU_TANH_RTOL = {np.float32: 1e-5, np.float64: 2e-14}

every_activation = pytest.mark.parametrize("name", NAMES)
LENGTHS = st.integers(0, 70)


def activation(name, x, n_threads=1):
    out = garbage(x.shape, x.dtype)
    _activations.activation(NAMES.index(name), x, SLOPE, out, n_threads)
    return out


def activation_backward(name, d_out, x, n_threads=1):
    d_x = garbage(x.shape, x.dtype)
    _activations.activation_backward(NAMES.index(name), d_out, x, SLOPE, d_x, n_threads)
    return d_x


def magnitudes(rng, n, dtype):
    """Numbers of all sizes and both signs, zeros among them."""
    x = rng.normal(size=n) * 10.0 ** rng.integers(-6, 2, n)
    x[rng.uniform(size=n) < 0.1] = 0
    return x.astype(dtype)


@both_dtypes
@every_activation
@given(n=LENGTHS, rng=generators())
def test_activation_equals_the_reference(dtype, name, n, rng):
    x = magnitudes(rng, n, dtype)
    rtol = {"gelu": GELU_RTOL, "gelu_tanh": GELU_TANH_RTOL}.get(name, RTOL)[dtype]
    # A result that is subnormal has fewer digits.
    tiny = 100 * float(np.finfo(dtype).smallest_subnormal)
    if name == "gelu_tanh":
        x = np.maximum(x, dtype(-6))
    error = np.abs(activation(name, x) - FORWARD[name](x).astype(np.float64))
    of_argument = name == "gelu" and dtype == np.float32
    assert (error <= rtol * np.abs(x if of_argument else FORWARD[name](x)) + tiny).all()


@both_dtypes
@every_activation
@given(n=LENGTHS, rng=generators())
def test_activation_gradient_equals_the_reference(dtype, name, n, rng):
    x = np.clip(magnitudes(rng, n, dtype), -80, 80)
    d_out = rng.normal(size=n).astype(dtype)
    d_x = activation_backward(name, d_out, x)
    # The slope of gelu passes through 0 near -0.75: a difference of numbers of the size of 1.
    atol = 4 * RTOL[dtype] if "gelu" in name else 100 * float(np.finfo(dtype).smallest_subnormal)
    assert_allclose(d_x, BACKWARD[name](d_out, x), rtol=2 * RTOL[dtype], atol=atol)


@both_dtypes
@every_activation
def test_bits_do_not_depend_on_the_place(dtype, name):
    rng = np.random.default_rng(0)
    x, d_out = magnitudes(rng, 200, dtype) * 3, rng.normal(size=200).astype(dtype)
    out, d_x = activation(name, x), activation_backward(name, d_out, x)
    for start in range(40):
        for length in (1, 2, 7, 16, 33):
            part = slice(start, start + length)
            assert_same_bits(activation(name, x[part]), out[part])
            assert_same_bits(activation_backward(name, d_out[part], x[part]), d_x[part])


@both_dtypes
@every_activation
def test_activation_bits_do_not_depend_on_threads(dtype, name):
    rng = np.random.default_rng(0)
    x, d_out = (rng.normal(size=150_001).astype(dtype) for _ in range(2))
    for n_threads in THREADS[1:]:
        assert_same_bits(activation(name, x, n_threads), activation(name, x))
        assert_same_bits(activation_backward(name, d_out, x, n_threads), activation_backward(name, d_out, x))


@both_dtypes
@every_activation
def test_nothing_is_written_beyond_the_array(dtype, name):
    for n in range(40):
        x, out = np.ones(n, dtype), garbage(n + 2, dtype)
        _activations.activation(NAMES.index(name), x, SLOPE, out[1:-1], 1)
        assert np.isnan(out[[0, -1]]).all()
        assert np.isfinite(out[1:-1]).all()


@both_dtypes
@every_activation
def test_not_a_number_stays(dtype, name):
    x = np.zeros(40, dtype)
    x[[3, 37]] = np.nan
    for out in (activation(name, x), activation_backward(name, np.ones(40, dtype), x)):
        assert list(np.flatnonzero(np.isnan(out))) == [3, 37]


@both_dtypes
def test_infinities_of_activations(dtype):
    x = np.array([-np.inf, np.inf, -np.finfo(dtype).max, np.finfo(dtype).max], dtype)
    most = np.finfo(dtype).max
    expected = {
        "relu": ([0, np.inf, 0, most], [0, 1, 0, 1]),
        "leaky_relu": ([-np.inf, np.inf, -most / 4, most], [SLOPE, 1, SLOPE, 1]),
        "gelu": ([0, np.inf, 0, most], [0, 1, 0, 1]),
        "gelu_tanh": ([0, np.inf, 0, most], [0, 1, 0, 1]),
        "tanh": ([-1, 1, -1, 1], [0, 0, 0, 0]),
        "sigmoid": ([0, 1, 0, 1], [0, 0, 0, 0]),
    }
    for name, (values, slopes) in expected.items():
        assert_allclose(activation(name, x), values, rtol=0, err_msg=name)
        assert_allclose(activation_backward(name, np.ones(4, dtype), x), slopes, rtol=0, err_msg=name)


def rows(rng, n, c, dtype, scale=3.0):
    return (rng.normal(size=(n, c)) * scale).astype(dtype)


def softmax(x, log, n_threads=1):
    out = garbage(x.shape, x.dtype)
    _activations.softmax(x, out, log, n_threads)
    return out


def softmax_backward(d_out, x, log, n_threads=1, out=None):
    d_x = garbage(x.shape, x.dtype)
    _activations.softmax_backward(d_out, x, out, d_x, log, n_threads)
    return d_x


@both_dtypes
@given(n=st.integers(0, 5), c=st.integers(1, 300), rng=generators())
def test_softmax_equals_the_reference(dtype, n, c, rng):
    x, d_out = rows(rng, n, c, dtype), rows(rng, n, c, dtype)
    rtol = 2 * RTOL[dtype]
    # In single precision the difference from the maximum is rounded.
    rounding = (x.max(axis=1, initial=-np.inf, keepdims=True) - x) * 2.0**-24 * (dtype == np.float32)
    expected = reference.softmax(x)
    assert (np.abs(softmax(x, False) - expected) <= (rtol + 2e-15 + rounding) * expected).all()
    assert_allclose(softmax(x, True), reference.log_softmax(x), rtol=rtol, atol=1e-15)
    atol = 20 * RTOL[dtype] * max(1, c) ** 0.5
    assert_allclose(softmax_backward(d_out, x, False), reference.softmax_backward(d_out, x), atol=atol)
    assert_allclose(
        softmax_backward(d_out, x, True), reference.log_softmax_backward(d_out, x), atol=atol, rtol=rtol
    )


@both_dtypes
def test_a_row_of_softmax_depends_on_that_row_alone(dtype):
    rng = np.random.default_rng(0)
    for c in (1, 3, 16, 37):
        x, d_out = rows(rng, 4001, c, dtype), rows(rng, 4001, c, dtype)
        for log in (False, True):
            out, d_x = softmax(x, log), softmax_backward(d_out, x, log)
            for n_threads in THREADS:
                assert_same_bits(softmax(x, log, n_threads), out)
                assert_same_bits(softmax_backward(d_out, x, log, n_threads), d_x)
            assert_same_bits(softmax_backward(d_out, x, log, 1, out), d_x)
            assert_same_bits(softmax(x[7:8].copy(), log), out[7:8])
            assert_same_bits(softmax_backward(d_out[7:8].copy(), x[7:8].copy(), log), d_x[7:8])


def elementwise_loss(name, x, targets, weights, n_threads=1):
    number = _losses.LOSSES.index(name)
    out, sums = garbage(len(x), x.dtype), garbage(_losses.n_pieces(len(x)), np.float64)
    _losses.loss(number, x, targets, weights, DELTA, out, n_threads)
    _losses.loss_sums(number, x, targets, weights, DELTA, sums, n_threads)
    return out, sums


def elementwise_gradients(name, x, targets, weights, d_loss, n_threads=1):
    d_x, d_targets = garbage(len(x), x.dtype), garbage(len(x), x.dtype)
    number = _losses.LOSSES.index(name)
    _losses.loss_backward(number, x, targets, weights, d_loss, 1.0, DELTA, d_x, d_targets, n_threads)
    return d_x, d_targets


LOSSES = {
    "mse": lambda x, t, w: reference.mse(x, t),
    "huber": lambda x, t, w: reference.huber(x, t, DELTA),
    "binary_cross_entropy": reference.binary_cross_entropy,
}
every_loss = pytest.mark.parametrize("name", _losses.LOSSES)


@both_dtypes
@every_loss
@given(n=LENGTHS, rng=generators())
def test_loss_equals_the_reference(dtype, name, n, rng):
    x, targets = (rng.normal(size=n) * 4).astype(dtype), rng.uniform(size=n).astype(dtype)
    weights = rng.uniform(0, 3, n).astype(dtype)
    out, sums = elementwise_loss(name, x, targets, weights)
    expected = LOSSES[name](x, targets, weights)
    # The difference of prediction and target is rounded, if they are close.
    assert_allclose(out, expected, rtol=4 * RTOL[dtype], atol=4 * RTOL[dtype])
    assert_allclose(sums.sum(), expected.sum(), rtol=8 * RTOL[dtype], atol=8 * RTOL[dtype])


@both_dtypes
@every_loss
def test_loss_bits_depend_neither_on_threads_nor_on_the_place(dtype, name):
    rng = np.random.default_rng(0)
    n = 120_007
    x, targets, weights, d_loss = (rng.uniform(size=n).astype(dtype) for _ in range(4))
    one = (
        *elementwise_loss(name, x, targets, weights),
        *elementwise_gradients(name, x, targets, weights, d_loss),
    )
    for n_threads in THREADS[1:]:
        more = (
            *elementwise_loss(name, x, targets, weights, n_threads),
            *elementwise_gradients(name, x, targets, weights, d_loss, n_threads),
        )
        for actual, expected in zip(more, one, strict=True):
            assert_same_bits(actual, expected)
    for start in range(20):
        part = slice(start, start + 21)
        arguments = name, x[part], targets[part], weights[part]
        assert_same_bits(elementwise_loss(*arguments)[0], one[0][part])
        for actual, expected in zip(elementwise_gradients(*arguments, d_loss[part]), one[2:], strict=True):
            assert_same_bits(actual, expected[part])


@both_dtypes
@pytest.mark.parametrize("c", [1, 2, 15, 16, 17, 300])
def test_cross_entropy_equals_the_reference(dtype, c):
    rng = np.random.default_rng(c)
    x, p = rows(rng, 9, c, dtype), rng.dirichlet(np.ones(c), 9).astype(dtype)
    weights = rng.uniform(0, 2, c)
    scale, shift = (0.75 * weights).astype(dtype), (0.25 / c * weights).astype(dtype)
    losses = garbage(9, np.float64)
    _losses.cross_entropy(read_only(x), read_only(p), scale, shift, None, None, losses, 2)
    expected = reference.cross_entropy(x, p, weights, 0.25)
    assert_allclose(losses, expected, rtol=20 * RTOL[dtype], atol=1e-15)
    targets = rng.integers(0, c, 9)
    _losses.cross_entropy(x, None, None, shift, targets, 0.75 * weights[targets], losses, 2)
    expected = reference.cross_entropy(x, np.eye(c)[targets], weights, 0.25)
    assert_allclose(losses, expected, rtol=20 * RTOL[dtype], atol=1e-15)


@both_dtypes
def test_probabilities_outside_are_found_everywhere(dtype):
    x = np.linspace(0, 1, 5001).astype(dtype)
    assert _losses.all_within(x, 0, 1, 2)
    assert _losses.all_within(x[:0], 0, 1)
    for place in (0, 1, 16, 4095, 4096, 5000):
        for wrong in (-0.1, 1.1, np.nan, np.inf):
            changed = x.copy()
            changed[place] = wrong
            assert not _losses.all_within(changed, 0, 1, 2)


@both_dtypes
def test_wrong_shapes_are_refused(dtype):
    x, wrong, square = np.zeros(4, dtype), np.zeros(5, dtype), np.zeros((2, 2), dtype)
    long_square = np.zeros((3, 2), dtype)
    calls = [
        lambda: _activations.activation(0, x, 0, wrong),
        lambda: _activations.activation(6, x, 0, x.copy()),
        lambda: _activations.activation(-1, x, 0, x.copy()),
        lambda: _activations.activation_backward(0, wrong, x, 0, x.copy()),
        lambda: _activations.activation_backward(0, x, x, 0, wrong),
        lambda: _activations.softmax(square, long_square),
        lambda: _activations.softmax_backward(long_square, square, None, square.copy()),
        lambda: _activations.softmax_backward(square, square, None, long_square),
        lambda: _activations.softmax_backward(square, square, long_square, square.copy()),
        lambda: _losses.loss(0, x, wrong, None, 0, x.copy()),
        lambda: _losses.loss(0, x, x, wrong, 0, x.copy()),
        lambda: _losses.loss(0, x, x, None, 0, wrong),
        lambda: _losses.loss(3, x, x, None, 0, x.copy()),
        lambda: _losses.loss_sums(0, x, x, None, 0, np.zeros(2)),
        lambda: _losses.loss_backward(0, x, x, None, wrong, 1, 0, x.copy(), x.copy()),
        lambda: _losses.loss_backward(0, x, x, None, None, 1, 0, wrong, x.copy()),
        lambda: _losses.loss_backward(0, x, x, None, None, 1, 0, x.copy(), wrong),
        lambda: _losses.cross_entropy(square, long_square, None, None, None, None, np.zeros(2)),
        lambda: _losses.cross_entropy(square, None, x, None, None, None, np.zeros(2)),
        lambda: _losses.cross_entropy(square, None, None, x, None, None, np.zeros(2)),
        lambda: _losses.cross_entropy(square, None, None, None, np.array([0, 2]), np.ones(2), np.zeros(2)),
        lambda: _losses.cross_entropy(square, None, None, None, np.array([0, -1]), None, np.zeros(2)),
        lambda: _losses.cross_entropy(square, None, None, None, np.array([0, 1]), np.ones(3), np.zeros(2)),
        lambda: _losses.cross_entropy(square, square, None, None, None, None, np.zeros(3)),
        lambda: _losses.cross_entropy_backward(
            np.ones(2), square, square, None, None, None, None, square.copy(), None
        ),
        lambda: _losses.cross_entropy_backward(
            np.ones(3), square, None, None, None, np.array([0, 1]), np.ones(2), square.copy(), None
        ),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"."):
            call()
