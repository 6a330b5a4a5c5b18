"""The dense layer, and the two ways in which it and a convolution are each other."""

import numpy as np
import pytest
from checks import assert_adjoint, assert_close, assert_gradient, assert_same_bits, both_dtypes
from hypothesis import given
from hypothesis import strategies as st
from packed import assert_same_on_any_number_of_threads
from scipy.sparse import issparse

from textcnn.ops import conv1d
from textcnn.ops.dense import conv1d_as_dense, dense, dense_as_conv1d, dense_backward

shapes = st.tuples(st.lists(st.integers(0, 4), max_size=3), st.integers(0, 5), st.integers(0, 5))


def problem(shape, dtype=np.float64, seed=0):
    """x, weights and bias of a dense layer, and a gradient of its result."""
    leading, n_in, n_out = shape
    rng = np.random.default_rng(seed)
    sizes = [(*leading, n_in), (n_in, n_out), (n_out,), (*leading, n_out)]
    return [rng.normal(size=size).astype(dtype) for size in sizes]


@both_dtypes
@given(shape=shapes)
def test_equals_the_sums_of_the_formula(dtype, shape):
    x, weights, bias, d_out = problem(shape, dtype)
    rows, d_rows = x.reshape(-1, shape[1]) if shape[1] else x, d_out
    expected = np.einsum("...i,io->...o", x.astype(float), weights.astype(float)) + bias
    assert_close(dense(x, weights, bias), expected.astype(dtype))
    without = np.einsum("...i,io->...o", x.astype(float), weights.astype(float))
    assert_close(dense(x, weights), without.astype(dtype))

    n_rows = int(np.prod(shape[0]))
    rows, d_rows = x.reshape(n_rows, shape[1]).astype(float), d_out.reshape(n_rows, shape[2]).astype(float)
    expected = [
        np.einsum("...o,io->...i", d_out.astype(float), weights.astype(float)),
        np.einsum("ri,ro->io", rows, d_rows),
        d_rows.sum(axis=0),
    ]
    for found, wanted in zip(dense_backward(d_out, x, weights), expected, strict=True):
        assert_close(found, wanted.astype(dtype))


def test_gradients_are_central_differences():
    x, weights, bias, d_out = problem(([2, 3], 4, 5))
    d_x, d_weights, d_bias = dense_backward(d_out, x, weights)
    assert_gradient(d_x, lambda x: np.vdot(dense(x, weights, bias), d_out), x)
    assert_gradient(d_weights, lambda w: np.vdot(dense(x, w, bias), d_out), weights)
    assert_gradient(d_bias, lambda b: np.vdot(dense(x, weights, b), d_out), bias)


@given(shape=shapes)
def test_gradients_are_the_transposes(shape):
    x, weights, _, d_out = problem(shape)
    assert_adjoint(lambda x: dense(x, weights), lambda d: dense_backward(d, x, weights)[0], x, d_out)
    assert_adjoint(lambda w: dense(x, w), lambda d: dense_backward(d, x, weights)[1], weights, d_out)


@both_dtypes
def test_threads_and_other_rows_change_no_bit(dtype):
    x, weights, bias, d_out = problem(([3, 700], 70, 90), dtype)
    assert_same_on_any_number_of_threads(lambda n_jobs: dense(x, weights, bias, n_jobs=n_jobs))
    for k in range(3):
        assert_same_on_any_number_of_threads(
            lambda n_jobs, k=k: dense_backward(d_out, x, weights, n_jobs=n_jobs)[k]
        )
    assert_same_bits(dense(x, weights, bias)[1, 5], dense(x[1, 5], weights, bias))
    assert_same_bits(
        dense_backward(d_out, x, weights)[0][1, 5], dense_backward(d_out[1, 5], x[1, 5], weights)[0]
    )


@both_dtypes
@pytest.mark.parametrize("n_in", [0, 1, 70])
@pytest.mark.parametrize("n_out", [0, 1, 33])
def test_gradients_of_many_rows_keep_their_digits(dtype, n_in, n_out):
    rng = np.random.default_rng(0)
    x, d_out = (rng.uniform(size=(20_000, size)).astype(dtype) for size in (n_in, n_out))
    _, d_weights, d_bias = dense_backward(d_out, x, np.zeros((n_in, n_out), dtype))
    assert_close(d_weights, (x.astype(float).T @ d_out.astype(float)).astype(dtype))
    assert_close(d_bias, d_out.astype(float).sum(axis=0).astype(dtype))


def test_on_rows_it_is_a_convolution_of_width_one():
    x, weights, bias, _ = problem(([2, 7], 4, 3))
    assert_close(dense(x, weights, bias), conv1d(x, weights[None], bias))


@given(length=st.integers(1, 6), channels=st.integers(1, 4), n_out=st.integers(1, 4))
def test_on_a_whole_text_it_is_a_convolution_as_long_as_the_text(length, channels, n_out):
    rng = np.random.default_rng(length)
    x, weights = rng.normal(size=(3, length, channels)), rng.normal(size=(length * channels, n_out))
    kernel = dense_as_conv1d(weights, length)
    assert kernel.shape == (length, channels, n_out)
    assert not np.shares_memory(kernel, weights)
    assert_close(conv1d(x, kernel), dense(x.reshape(3, -1), weights)[:, None], 1e-12)


@st.composite
def convolutions(draw):
    groups, channels, filters = (draw(st.integers(1, 3)) for _ in range(3))
    options = {
        "stride": draw(st.integers(1, 3)),
        "dilation": draw(st.integers(1, 3)),
        "groups": groups,
        "padding": draw(st.sampled_from(["valid", "same", "full"]) | st.tuples(*[st.integers(0, 5)] * 2)),
    }
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    weights = rng.normal(size=(draw(st.integers(1, 4)), channels, filters * groups))
    return rng.normal(size=(1, draw(st.integers(0, 8)), channels * groups)), weights, options


@both_dtypes
@given(case=convolutions())
def test_a_convolution_is_a_dense_layer_with_a_toeplitz_matrix(dtype, case):
    x, weights, options = case[0].astype(dtype), case[1].astype(dtype), case[2]
    matrix = conv1d_as_dense(weights, x.shape[1], **options)
    expected = conv1d(x, weights, **options)
    assert issparse(matrix)
    assert matrix.dtype == dtype
    assert matrix.shape == (x.size, expected.size)
    assert_close((x.ravel() @ matrix).astype(dtype), expected.ravel())
    assert matrix.nnz <= expected.size * weights.shape[0] * weights.shape[1]


def test_the_toeplitz_matrix_by_hand():
    a, b, c = 1.0, 2.0, 3.0
    matrix = conv1d_as_dense(np.array([a, b, c]).reshape(3, 1, 1), 4, padding="same")
    expected = [[b, a, 0, 0], [c, b, a, 0], [0, c, b, a], [0, 0, c, b]]
    np.testing.assert_array_equal(matrix.toarray(), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dense(np.zeros((2, 3)), np.zeros((4, 5))), r"x has shape \(2, 3\), but expected \(..., 4\)"),
        (lambda: dense(1.0, np.zeros((4, 5))), "x has shape"),
        (lambda: dense(np.zeros((2, 4)), np.zeros(4)), "weights has shape"),
        (lambda: dense(np.zeros((2, 4)), np.zeros((4, 5)), np.zeros(4)), "bias has shape"),
        (lambda: dense_backward(np.zeros((3, 5)), np.zeros((2, 4)), np.zeros((4, 5))), "d_out has shape"),
        (lambda: dense_backward(np.zeros((2, 4)), np.zeros((2, 4)), np.zeros((4, 5))), "d_out has shape"),
        (lambda: dense_as_conv1d(np.zeros((7, 2)), 3), "a multiple of the length, 3"),
        (lambda: dense_as_conv1d(np.zeros((6, 2)), 0), "length is 0"),
        (lambda: conv1d_as_dense(np.zeros((3, 2)), 5), "weights has shape"),
        (lambda: conv1d_as_dense(np.zeros((3, 2, 3)), 5, groups=2), "a multiple of 2 groups"),
        (lambda: conv1d_as_dense(np.zeros((0, 2, 3)), 5), "kernel_size is 0"),
        (lambda: conv1d_as_dense(np.zeros((3, 2, 3)), -1), "length is -1"),
        (lambda: conv1d_as_dense(np.zeros((3, 2, 3)), 5, stride=0), "stride is 0"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
