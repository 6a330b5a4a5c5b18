"""Activations of `textcnn.ops`: forms of input, values by hand, gradients, errors."""

import numpy as np
import pytest
from checks import THREADS, assert_gradient, assert_same_bits, both_dtypes, read_only
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import generators

from textcnn._reference import activations as reference
from textcnn.ops import activations as ops

PAIRS = {
    "relu": (ops.relu, ops.relu_backward),
    "leaky_relu": (ops.leaky_relu, ops.leaky_relu_backward),
    "gelu": (ops.gelu, ops.gelu_backward),
    "gelu_tanh": (
        lambda x, **options: ops.gelu(x, approximate="tanh", **options),
        lambda d_out, x, **options: ops.gelu_backward(d_out, x, approximate="tanh", **options),
    ),
    "tanh": (ops.tanh, ops.tanh_backward),
    "sigmoid": (ops.sigmoid, ops.sigmoid_backward),
}
ROWS = {
    "softmax": (ops.softmax, ops.softmax_backward),
    "log_softmax": (ops.log_softmax, ops.log_softmax_backward),
}
every_pair = pytest.mark.parametrize(("forward", "backward"), (PAIRS | ROWS).values(), ids=PAIRS | ROWS)
elementwise = pytest.mark.parametrize(("forward", "backward"), PAIRS.values(), ids=PAIRS)
of_rows = pytest.mark.parametrize(("forward", "backward"), ROWS.values(), ids=ROWS)

# x, gelu(x), gelu(x, "tanh") to 18 digits, computed with 40.
GELU = [
    (-30.0, -1.47201417814445612e-196, 0.0),
    (-8.0, -4.9767684594174273e-15, -3.10778293750111122e-21),
    (-3.0, -0.00404969409489028358, -0.00363739208177301884),
    (-1.0, -0.158655253931457051, -0.158808009391723295),
    (-0.25, -0.100323418579269069, -0.100324649298315),
    (0.25, 0.149676581420730931, 0.149675350701685),
    (1.0, 0.841344746068542949, 0.841191990608276705),
    (5.0, 4.9999985667421406, 4.99999977082038034),
]


@st.composite
def arrays(draw):
    """Normal numbers of any shape of up to three axes."""
    shape = tuple(draw(st.lists(st.integers(0, 6), max_size=3)))
    return draw(generators()).normal(scale=3, size=shape)


@both_dtypes
@pytest.mark.parametrize("name", ["relu", "gelu", "gelu_tanh", "tanh", "sigmoid"])
@given(x=arrays())
def test_any_shape_equals_the_reference(dtype, name, x):
    forward, backward = PAIRS[name]
    x = x.astype(dtype)
    out = forward(x)
    assert out.shape == x.shape
    assert out.dtype == dtype
    tolerance = 5e-6 if dtype == np.float32 else 1e-13
    least = 2e-6 if name == "gelu" and dtype == np.float32 else 1e-30
    assert_allclose(out, getattr(reference, name)(x), rtol=tolerance, atol=least)
    twos = np.full_like(x, 2)
    d_x = backward(twos, x)
    assert d_x.shape == x.shape
    assert d_x.dtype == dtype
    expected = getattr(reference, f"{name}_backward")(twos, x)
    assert_allclose(d_x, expected, rtol=tolerance, atol=tolerance)


@both_dtypes
@pytest.mark.parametrize("name", ROWS)
@given(x=arrays(), n_classes=st.integers(1, 9))
def test_softmax_over_the_last_axis_of_any_shape(dtype, name, x, n_classes):
    forward, backward = ROWS[name]
    x = (x[..., np.newaxis] * np.linspace(-1, 1, n_classes)).astype(dtype)
    tolerance = 5e-6 if dtype == np.float32 else 1e-13
    out, d_x = forward(x), backward(x + 1, x)
    assert out.dtype == d_x.dtype == dtype
    assert_allclose(out, getattr(reference, name)(x), rtol=tolerance, atol=tolerance)
    expected = getattr(reference, f"{name}_backward")(x + 1, x)
    assert_allclose(
        d_x, expected, rtol=tolerance, atol=10 * tolerance * max(1, np.abs(expected).max(initial=0))
    )
    assert out.shape == d_x.shape == x.shape


@given(x=arrays(), slope=st.floats(-2, 2))
def test_leaky_relu_of_any_slope(x, slope):
    assert_allclose(ops.leaky_relu(x, slope=slope), reference.leaky_relu(x, slope), rtol=1e-15)
    d_x = ops.leaky_relu_backward(np.ones_like(x), x, slope=slope)
    assert_allclose(d_x, reference.leaky_relu_backward(np.ones_like(x), x, slope), rtol=1e-15)


@elementwise
def test_gradient_is_a_central_difference(forward, backward):
    rng = np.random.default_rng(0)
    x, d_out = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    x[np.abs(x) < 0.01] = 0.5  # away from the kinks
    assert_gradient(backward(d_out, x), lambda moved: (d_out * forward(moved)).sum(), x)


@of_rows
def test_gradient_of_rows_is_a_central_difference(forward, backward):
    rng = np.random.default_rng(0)
    x, d_out = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    assert_gradient(backward(d_out, x), lambda moved: (d_out * forward(moved)).sum(), x)


def test_gelu_to_the_digit():
    x, exact, approximate = np.array(GELU).T
    assert_allclose(ops.gelu(x), exact, rtol=1e-15)
    assert_allclose(ops.gelu(x, approximate="tanh"), approximate, rtol=1e-14)
    assert (np.abs(ops.gelu(x.astype(np.float32)) - exact) <= 3e-7 * np.abs(x)).all()


def test_what_is_far_below_one_keeps_its_digits():
    assert_allclose(ops.sigmoid(-700.0), np.exp(-700.0), rtol=1e-14)
    assert_allclose(ops.tanh(1e-300), 1e-300, rtol=1e-15)
    assert_allclose(ops.log_softmax([40.0, 0.0])[0], -np.exp(-40.0), rtol=1e-14)
    assert_allclose(ops.tanh_backward(1.0, 100.0), 4 * np.exp(-200.0), rtol=1e-13)


@elementwise
def test_a_number_is_an_array_without_axes(forward, backward):
    out = forward(1.5)
    assert out.shape == ()
    assert out.dtype == np.float64
    assert_same_bits(out, forward([1.5]).reshape(()))
    assert_same_bits(backward(2.0, 1.5), backward([2.0], [1.5]).reshape(()))


@every_pair
def test_strides_order_and_flags_do_not_matter(forward, backward):
    rng = np.random.default_rng(0)
    whole, d_whole = rng.normal(size=(2, 8, 9, 10))
    x, d_out = whole[::2, ::-3, 1::2], d_whole[::2, ::-3, 1::2]
    before = whole.copy()
    out, d_x = forward(x.copy()), backward(d_out.copy(), x.copy())
    for form in (np.asarray, np.asfortranarray, read_only):
        assert_same_bits(forward(form(x)), out)
        assert_same_bits(backward(form(d_out), form(x)), d_x)
    assert_array_equal(whole, before)


@every_pair
def test_same_bits_for_any_number_of_threads(forward, backward):
    rng = np.random.default_rng(0)
    x, d_out = (rng.normal(size=(400, 301)).astype(np.float32) for _ in range(2))
    for n_jobs in (*THREADS, None, -1):
        assert_same_bits(forward(x, n_jobs=n_jobs), forward(x, n_jobs=1))
        assert_same_bits(backward(d_out, x, n_jobs=n_jobs), backward(d_out, x, n_jobs=1))


@every_pair
def test_dtypes(forward, backward):
    for dtype, expected in [
        ("f2", "f4"),
        ("f4", "f4"),
        ("f8", "f8"),
        ("i8", "f8"),
        ("u1", "f8"),
        ("?", "f8"),
    ]:
        x = np.ones(3, dtype)
        assert forward(x).dtype == expected
        assert backward(x, x).dtype == expected
    for wrong in (np.ones(2, complex), np.array(["a", "b"]), np.array([None, 1])):
        with pytest.raises(TypeError, match="real numbers"):
            forward(wrong)


@both_dtypes
def test_gradient_of_softmax_from_its_result(dtype):
    rng = np.random.default_rng(0)
    for shape in [(0, 3), (3, 0), (7,), (2, 3, 37)]:
        x, d_out = (rng.normal(size=shape).astype(dtype) for _ in range(2))
        d_x = ops.softmax_backward(d_out, x, out=read_only(ops.softmax(x)))
        assert_same_bits(d_x, ops.softmax_backward(d_out, x))


def test_wrong_result_of_softmax_is_refused():
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="out has shape"):
        ops.softmax_backward(x, x, out=x.T)
    with pytest.raises(ValueError, match="out has dtype float64"):
        ops.softmax_backward(x, x, out=x.astype(float))


@every_pair
def test_gradient_of_another_shape_is_refused(forward, backward):
    assert forward(np.ones((2, 3))).shape == (2, 3)
    for shape in [(3, 2), (2,), (6,), (), (1, 2, 3)]:
        with pytest.raises(ValueError, match="d_out has shape"):
            backward(np.ones(shape), np.ones((2, 3)))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4), (2, 0, 3)])
@every_pair
def test_empty(forward, backward, shape):
    assert forward(np.ones(shape)).shape == shape
    assert backward(np.ones(shape), np.ones(shape)).shape == shape


def test_softmax_needs_an_axis():
    for forward, backward in ROWS.values():
        with pytest.raises(ValueError, match="axis of classes"):
            forward(1.0)
        with pytest.raises(ValueError, match="axis of classes"):
            backward(1.0, 1.0)


@both_dtypes
def test_infinite_logits(dtype):
    x = np.array(
        [[-np.inf, 0, 0], [-np.inf, -np.inf, 3], [1e4, -1e4, 0], [-np.inf] * 3, [np.inf, 0, 0]], dtype
    )
    out, log_out = ops.softmax(x), ops.log_softmax(x)
    assert_array_equal(out[:3], [[0, 0.5, 0.5], [0, 0, 1], [1, 0, 0]])
    half = np.log(dtype(0.5))
    assert_array_equal(log_out[:3], [[-np.inf, half, half], [-np.inf, -np.inf, 0], [0, -2e4, -1e4]])
    assert np.isnan(out[3:]).all()
    assert np.isnan(log_out[3:]).all()


@both_dtypes
def test_not_a_number_spoils_its_row_alone(dtype):
    for position in (0, 15, 16, 20):
        x = np.zeros((3, 21), dtype)
        x[1, position] = np.nan
        for forward, backward in ROWS.values():
            for out in (forward(x), backward(np.ones_like(x), x)):
                assert np.isnan(out[1]).all()
                assert np.isfinite(out[[0, 2]]).all()


@both_dtypes
def test_signs_of_zero(dtype):
    zeros = np.array([0.0, -0.0], dtype)
    assert_array_equal(np.signbit(ops.relu(zeros)), [False, False])
    for function in (ops.leaky_relu, ops.gelu, ops.tanh):
        assert_array_equal(np.signbit(function(zeros)), [False, True])
        assert_array_equal(function(zeros), 0)
    assert_array_equal(ops.sigmoid(zeros), 0.5)


@pytest.mark.parametrize(
    ("slope", "error"),
    [
        *((slope, ValueError) for slope in (np.nan, np.inf, 10**400)),
        *((slope, TypeError) for slope in ("0.1", None, 1j, True)),
    ],
)
def test_wrong_slope_is_refused(slope, error):
    with pytest.raises(error, match="slope is"):
        ops.leaky_relu([1.0], slope=slope)
    with pytest.raises(error, match="slope is"):
        ops.leaky_relu_backward([1.0], [1.0], slope=slope)


@pytest.mark.parametrize("approximate", ["erf", None, True])
def test_wrong_approximation_is_refused(approximate):
    with pytest.raises(ValueError, match="approximate is"):
        ops.gelu([1.0], approximate=approximate)
    with pytest.raises(ValueError, match="approximate is"):
        ops.gelu_backward([1.0], [1.0], approximate=approximate)
