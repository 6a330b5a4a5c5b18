"""Upsampling, and its transpose."""

import numpy as np
import pytest
from checks import assert_adjoint, assert_close, assert_gradient, assert_same_bits, both_dtypes
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from packed import (
    assert_same_alone,
    assert_same_on_any_number_of_threads,
    joined,
    packed_rows,
    random_rows,
    texts_of,
)

from textcnn._kernels import _windows
from textcnn._reference import windows as reference
from textcnn.ops import conv_transpose1d, convolve1d
from textcnn.ops.resampling import upsample, upsample_backward

all_modes = pytest.mark.parametrize("mode", ["nearest", "linear", "zeros"])
factors = st.integers(1, 6)


@both_dtypes
@all_modes
@given(batch=packed_rows(), factor=factors)
def test_equals_the_reference(dtype, mode, batch, factor):
    rows, offsets = batch[0].astype(dtype), batch[1]
    out, out_offsets = upsample(rows, factor, mode=mode, offsets=offsets)
    matrices = [reference.upsampling_matrix(length, factor, mode) for length in np.diff(offsets)]
    expected = [matrix @ text for matrix, text in zip(matrices, texts_of(rows, offsets), strict=True)]
    assert_close(out, joined(expected, rows.shape[1], dtype))
    assert_array_equal(np.diff(out_offsets), [len(text) for text in expected])

    d_out = np.random.default_rng(0).normal(size=out.shape).astype(dtype)
    d_x = upsample_backward(d_out, rows, factor, mode=mode, offsets=offsets)
    expected = [matrix.T @ text for matrix, text in zip(matrices, texts_of(d_out, out_offsets), strict=True)]
    assert_close(d_x, joined(expected, rows.shape[1], dtype))


def test_by_hand():
    x = np.array([1.0, 3.0, 2.0]).reshape(1, 3, 1)
    assert_array_equal(upsample(x, 2).ravel(), [1, 1, 3, 3, 2, 2])
    assert_array_equal(upsample(x, 3, mode="zeros").ravel(), [1, 0, 0, 3, 0, 0, 2])
    assert_array_equal(upsample(x, 2, mode="linear").ravel(), [1, 1.5, 2.5, 2.75, 2.25, 2])


@all_modes
@given(length=st.integers(0, 8), factor=factors)
def test_gradient_is_the_transpose(mode, length, factor):
    rng = np.random.default_rng(length)
    x = rng.normal(size=(2, length, 3))
    y = rng.normal(size=upsample(x, factor, mode=mode).shape)
    assert_adjoint(
        lambda x: upsample(x, factor, mode=mode), lambda y: upsample_backward(y, x, factor, mode=mode), x, y
    )


@all_modes
def test_gradient_is_a_central_difference(mode):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 4, 2))
    weights = rng.normal(size=upsample(x, 3, mode=mode).shape)
    gradient = upsample_backward(weights, x, 3, mode=mode)
    assert_gradient(gradient, lambda x: np.vdot(upsample(x, 3, mode=mode), weights), x)


@all_modes
@pytest.mark.parametrize("factor", [1, 2, 5])
def test_a_constant_and_the_sum_of_a_gradient_are_kept(mode, factor):
    x = np.full((1, 6, 1), 0.1)
    out = upsample(x, factor, mode=mode)
    if mode != "zeros":
        np.testing.assert_allclose(out, 0.1, rtol=1e-15)
        d_out = np.random.default_rng(0).normal(size=out.shape)
        assert upsample_backward(d_out, x, factor, mode=mode).sum() == pytest.approx(d_out.sum(), abs=1e-12)
    else:
        assert out.sum() == pytest.approx(x.sum())


@given(length=st.integers(1, 8), stride=st.integers(1, 4), kernel_size=st.integers(1, 5))
def test_a_transposed_convolution_is_zeros_between_and_a_full_convolution(length, stride, kernel_size):
    rng = np.random.default_rng(length)
    x, weights = rng.normal(size=(2, length, 3)), rng.normal(size=(kernel_size, 3, 2))
    # The transposed convolution takes the weights of the convolution whose adjoint it is: (K, out, in).
    expected = conv_transpose1d(x, weights.swapaxes(1, 2), stride=stride)
    assert_close(convolve1d(upsample(x, stride, mode="zeros"), weights, padding="full"), expected, 1e-12)


@both_dtypes
@all_modes
def test_threads_and_batch_change_no_bit(dtype, mode):
    rows, offsets = random_rows([3000, 0, 1, 200, 2], 100)
    rows = rows.astype(dtype)

    def forward(rows, offsets, n_jobs=2):
        return upsample(rows, 3, mode=mode, offsets=offsets, n_jobs=n_jobs)

    assert_same_alone(forward, rows, offsets)
    assert_same_on_any_number_of_threads(lambda n_jobs: forward(rows, offsets, n_jobs)[0])
    d_out, d_offsets = forward(rows, offsets)

    def backward(d_out, rows, offsets, n_jobs=2):
        return upsample_backward(d_out, rows, 3, mode=mode, offsets=offsets, n_jobs=n_jobs)

    assert_same_on_any_number_of_threads(lambda n_jobs: backward(d_out, rows, offsets, n_jobs))
    whole = backward(d_out, rows, offsets)
    for text, d_text, expected in zip(
        texts_of(rows, offsets), texts_of(d_out, d_offsets), texts_of(whole, offsets), strict=True
    ):
        assert_same_bits(backward(d_text, text, np.array([0, len(text)])), expected)


@all_modes
def test_dense_batches_and_degenerate_shapes(mode):
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    length = 9 if mode == "zeros" else 10
    rows, offsets = upsample(x.reshape(10, 3), 2, mode=mode, offsets=[0, 5, 10])
    assert_same_bits(upsample(x, 2, mode=mode), rows.reshape(2, length, 3))
    assert_array_equal(offsets, [0, length, 2 * length])
    assert_same_bits(upsample(x, 1, mode=mode), x)
    assert upsample(x[:0], 2, mode=mode).shape == (0, length, 3)
    assert upsample(x[:, :0], 2, mode=mode).shape == (2, 0, 3)
    assert upsample(x[:, :, :0], 2, mode=mode).shape == (2, length, 0)
    assert upsample_backward(np.zeros((2, 0, 3)), x[:, :0], 2, mode=mode).shape == (2, 0, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: upsample(x, 0), ValueError, "factor is 0"),
        (lambda x: upsample(x, 1.5), TypeError, "factor is 1.5"),
        (lambda x: upsample(x, 2, mode="cubic"), ValueError, "mode is 'cubic'"),
        (lambda x: upsample(x[0], 2), ValueError, "x has shape"),
        (lambda x: upsample_backward(x, x, 2), ValueError, "d_out has shape"),
    ],
)
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(np.zeros((1, 3, 2)))


@pytest.mark.parametrize(
    ("offsets", "out_offsets", "factor", "mode", "columns", "message"),
    [
        ([0, 2, 4], [0, 4, 10], 2, 0, 2, "offsets end with 4, but there are 5 rows"),
        ([0, 2, 5], [0, 4, 9], 2, 0, 2, "out_offsets end with 9, but there are 10 rows"),
        ([0, 2, 5], [0, 5, 10], 2, 0, 2, "text 0 must have 4"),
        ([0, 2, 5], [0, 4, 10], 2, 2, 2, "text 0 must have 3"),
        ([0, 2, 5], [0, 10], 2, 0, 2, "both must hold 2 texts"),
        ([0, 2, 5], [0, 4, 10], 0, 0, 2, "factor is 0"),
        ([0, 2, 5], [0, 4, 10], 2, 3, 2, "mode is 3"),
        ([0, 2, 5], [0, 4, 10], 2, 0, 3, "must have"),
    ],
)
def test_kernels_check_their_arguments(offsets, out_offsets, factor, mode, columns, message):
    offsets, out_offsets = np.array(offsets, np.intp), np.array(out_offsets, np.intp)
    rows, out = np.zeros((5, 2)), np.zeros((10, columns))
    with pytest.raises(ValueError, match=message):
        _windows.upsample(rows, offsets, out_offsets, factor, mode, out)
    with pytest.raises(ValueError, match=message):
        _windows.upsample_backward(out, out_offsets, offsets, factor, mode, rows)
